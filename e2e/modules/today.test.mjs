// Does today's list show what the annotator did, also what the server has not heard of?
import assert from "node:assert/strict";
import { test } from "node:test";

import { merged } from "../../crates/web/assets/today.js";

const shown = { image: "i", context: "c" };
const known = (face, age_ms) => ({ face, ...shown, expression: 1, valence: 0.5, arousal: 0, age_ms });
const answer = (face, expression, at) => ({
  event: { id: `${face}`, kind: "answer", pool: 3, face, expression, valence: null, arousal: null },
  at,
  shown,
});
const undo = (face, at) => ({ event: { id: `u${face}`, kind: "undo", pool: 3, face }, at, shown });

test("waiting answers, corrections and undos are laid over the server's list, newest last", () => {
  const waiting = [answer(12, 9, 800), answer(10, 8, 900), undo(11, 950)];
  const list = merged([known(11, 100), known(10, 200)], waiting, 3, 1000);
  assert.deepEqual(list.map(({ face, expression }) => [face, expression]), [[12, 9], [10, 8]]);
});

test("events that reached the server meanwhile change nothing when laid over again", () => {
  const waiting = [answer(12, 9, 800)];
  const once = merged([known(10, 200)], waiting, 3, 1000);
  const twice = merged([{ ...known(12, 200), expression: 9, valence: null, arousal: null }, known(10, 200)], waiting, 3, 1000);
  assert.deepEqual(twice, once);
});

test("another pool's events stay out", () => {
  assert.deepEqual(merged([], [answer(12, 9, 800)], 4, 1000), []);
});
