// Is the same key the same action on a Latin, an Arabic and a Persian keyboard?
import assert from "node:assert/strict";
import { test } from "node:test";

import { keyOf } from "../../crates/web/assets/keys.js";

test("digits are digits in every script, on the pad too", () => {
  assert.equal(keyOf({ key: "۷", code: "Digit7" }), "7");
  assert.equal(keyOf({ key: "٠", code: "Digit0" }), "0");
  assert.equal(keyOf({ key: "3", code: "Numpad3" }), "3");
  assert.equal(keyOf({ key: "-", code: "NumpadSubtract" }), "-");
});

test("letters go by the place of the key where the keyboard has no Latin ones", () => {
  assert.equal(keyOf({ key: "ع", code: "KeyU" }), "u");
  assert.equal(keyOf({ key: "U", code: "KeyU" }), "u");
  assert.equal(keyOf({ key: "؟", code: "Slash" }), "?");
});

test("named keys keep their names", () => {
  assert.equal(keyOf({ key: "ArrowLeft", code: "ArrowLeft" }), "ArrowLeft");
});
