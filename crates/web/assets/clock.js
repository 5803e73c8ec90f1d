// How long has the annotator looked at this face, pauses left out?

/** After this long without a key, a touch or a movement nobody is taken to be looking. */
export const IDLE_MS = 30_000;

/**
 * Counts while it is attended (page visible, window focused, no dialog open) and the last input is at most
 * IDLE_MS ago. Times are milliseconds of one monotonic clock, given by the caller.
 */
export class Clock {
  #spent = 0;
  #isAttended;
  /** @type {number} from when on time is still to be counted */
  #since;
  #lastInput;

  /** @param {number} now @param {boolean} isAttended @param {number} spent what earlier looks at the face took */
  constructor(now, isAttended, spent = 0) {
    this.#since = now;
    this.#lastInput = now;
    this.#isAttended = isAttended;
    this.#spent = spent;
  }

  /** @param {number} now */
  input(now) {
    this.#count(now);
    this.#lastInput = now;
    this.#since = now;
  }

  /** Coming back is an input; leaving ends the counting. @param {boolean} isAttended @param {number} now */
  attend(isAttended, now) {
    if (isAttended === this.#isAttended) return;
    this.#count(now);
    this.#isAttended = isAttended;
    this.#since = now;
    if (isAttended) this.#lastInput = now;
  }

  /** @param {number} now @returns {number} whole milliseconds */
  read(now) {
    this.#count(now);
    return Math.round(this.#spent);
  }

  #count(now) {
    const until = Math.min(now, this.#lastInput + IDLE_MS);
    if (this.#isAttended && until > this.#since) {
      this.#spent += until - this.#since;
      this.#since = until;
    }
  }
}
