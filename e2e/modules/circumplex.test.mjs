// Does the browser's circumplex agree with crates/core/src/circumplex.rs, whose cases these are?
import assert from "node:assert/strict";
import { test } from "node:test";

import { centre, contains, pointAt, stepped } from "../../crates/web/assets/circumplex.js";

const MAX = 1.414_213_5; // what the server's 32-bit sqrt(2) reads as
const sector = (from_degrees, sweep_degrees) => ({ from_degrees, sweep_degrees, min_intensity: 0.1, max_intensity: MAX });
const neutral = { from_degrees: 0, sweep_degrees: 360, min_intensity: 0, max_intensity: 0.2 };
const regions = {
  neutral,
  happy: sector(330, 100),
  surprise: sector(45, 90),
  fear: sector(90, 65),
  anger: sector(100, 80),
  disgust: sector(120, 75),
  contempt: sector(135, 75),
  sad: sector(180, 85),
};

test("every expression has its centre inside", () => {
  for (const [name, region] of Object.entries(regions)) assert.ok(contains(region, centre(region)), name);
});

test("a smile is happy, across 0 degrees, and neither sad nor neutral", () => {
  const smile = { valence: 0.7, arousal: -0.1 };
  assert.ok(contains(regions.happy, smile));
  assert.ok(!contains(regions.sad, smile));
  assert.ok(!contains(neutral, smile));
});

test("edges belong to the region", () => {
  assert.ok(contains(neutral, { valence: 0.12, arousal: 0.16 }), "outer radius");
  assert.ok(contains(regions.happy, { valence: 0.1, arousal: 0 }), "inner radius");
  assert.ok(contains(regions.happy, { valence: 1, arousal: 1 }), "corner of the square");
  assert.ok(contains(regions.fear, { valence: 0, arousal: 0.5 }), "first direction");
  assert.ok(contains(regions.anger, { valence: -0.5, arousal: 0 }), "last direction");
  assert.ok(!contains(regions.happy, { valence: 0.09, arousal: 0 }));
  assert.ok(!contains(regions.fear, { valence: 0.01, arousal: 0.5 }));
});

test("the centre of the circumplex is neutral only", () => {
  const inside = Object.entries(regions).filter(([, region]) => contains(region, { valence: 0, arousal: 0 }));
  assert.deepEqual(inside.map(([name]) => name), ["neutral"]);
});

test("steps stay in the square and are exact hundredths", () => {
  let point = { valence: 0, arousal: 0.9 };
  for (let i = 0; i < 3; i += 1) point = stepped(point, "ArrowRight", false);
  assert.deepEqual(point, { valence: 0.15, arousal: 0.9 });
  assert.deepEqual(stepped(point, "ArrowUp", true), { valence: 0.15, arousal: 1 });
  assert.equal(stepped(point, "Enter", false), null);
});

test("a pointer's place becomes valence to the right and arousal up", () => {
  const box = { left: 10, top: 20, width: 224, height: 224 };
  assert.deepEqual(pointAt(122, 132, box, 12), { valence: 0, arousal: 0 });
  assert.deepEqual(pointAt(172, 82, box, 12), { valence: 0.5, arousal: 0.5 });
  assert.deepEqual(pointAt(900, 900, box, 12), { valence: 1, arousal: -1 });
});
