// Is the time per face what was really spent looking at it?
import assert from "node:assert/strict";
import { test } from "node:test";

import { Clock, IDLE_MS } from "../../crates/web/assets/clock.js";

test("attended time counts", () => {
  assert.equal(new Clock(1000, true).read(3310), 2310);
});

test("a hidden tab does not count", () => {
  const clock = new Clock(0, true);
  clock.attend(false, 1000);
  clock.input(400_000);
  clock.attend(true, 500_000);
  assert.equal(clock.read(500_700), 1700);
});

test("after thirty seconds without input the clock stands until the next one", () => {
  const clock = new Clock(0, true);
  assert.equal(clock.read(600_000), IDLE_MS);
  clock.input(600_000);
  assert.equal(clock.read(601_000), IDLE_MS + 1000);
});

test("input keeps a long look counting", () => {
  const clock = new Clock(0, true);
  for (let now = 20_000; now <= 100_000; now += 20_000) clock.input(now);
  assert.equal(clock.read(100_000), 100_000);
});

test("a face that waited for its picture starts at nothing, and an earlier look is added", () => {
  const clock = new Clock(0, false, 500);
  clock.attend(true, 9000);
  assert.equal(clock.read(9250), 750);
});
