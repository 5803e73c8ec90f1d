// Which face comes next, and is its picture decoded before it is needed?

/** @typedef {{expression: number, valence: number | null, arousal: number | null, by: string}} Suggestion */
/**
 * `element`: the decoded picture, null until it is; `spent_ms`: what earlier looks at the face took.
 * @typedef {{face: number, image: string, context: string, suggestion: Suggestion | null,
 *   element: HTMLImageElement | null, spent_ms: number}} Face
 */
/** @typedef {"asking" | "open" | "paused" | "finished" | "offline" | "signed-out"} Supply */

/** A face takes about five seconds, so this many last for a minute without a connection. */
export const AHEAD = 12;
/** Faces that were shown last keep their pictures, so that undo is as quick as the next face. */
const BEHIND = 24;
const AGAIN_MS = 15_000;
const TRIES = 3;

/**
 * @param {object} parts
 * @param {(n: number) => Promise<{status: number, body: any}>} parts.ask rejects when no answer came
 * @param {(face: number) => boolean} parts.isAnswered here, whatever the server has heard
 * @param {() => number} parts.countWaiting answers that the server may not have heard of
 * @param {(ms: number, early: Promise<void>) => Promise<void>} parts.pause
 * @param {() => void} parts.onChange a picture is ready, or there is news about the supply
 * @param {(progress: any) => void} parts.onProgress
 * @param {(face: number) => void} parts.onBroken a picture that cannot be shown
 */
export function createFaces({ ask, isAnswered, countWaiting, pause, onChange, onProgress, onBroken }) {
  /** @type {Face[]} */
  let upcoming = [];
  /** @type {Map<number, Face>} in the order in which they were taken */
  const taken = new Map();
  /** @type {Set<number>} */
  const broken = new Set();
  /** @type {Supply} */
  let supply = "asking";
  /** @type {Face | null} */
  let current = null;
  let isAsking = false;
  let signal = createSignal();

  const isKnown = (face) =>
    current?.face === face || upcoming.some((other) => other.face === face) || broken.has(face) || isAnswered(face);

  // A picture that fails to load may be a lost connection. Only an answer that is no picture makes it broken.
  const isUnusable = async (face) => {
    try {
      const response = await fetch(face.image);
      return response.ok || response.status === 404 || response.status === 410;
    } catch {
      return false;
    }
  };

  /** @param {Face} face */
  const decode = async (face) => {
    for (let attempt = 1; ; attempt += 1) {
      const image = new Image();
      image.decoding = "sync";
      image.src = face.image;
      try {
        await image.decode();
        face.element = image;
        onChange();
        return;
      } catch {
        if (attempt >= TRIES && (await isUnusable(face))) {
          broken.add(face.face);
          upcoming = upcoming.filter((other) => other !== face);
          onBroken(face.face);
          void fill();
          return;
        }
        await pause(Math.min(1000 * 2 ** attempt, AGAIN_MS), signal.promise);
      }
    }
  };

  /** @returns {Promise<boolean>} whether the server gave as many as were asked for */
  const askOnce = async () => {
    const n = AHEAD + 1 + countWaiting() + broken.size;
    let answer;
    try {
      answer = await ask(n);
    } catch {
      supply = "offline";
      return false;
    }
    if (answer.status !== 200) {
      supply = answer.status === 401 || answer.status === 403 ? "signed-out" : "offline";
      return false;
    }
    const { faces, progress, state } = answer.body;
    supply = state;
    onProgress(progress);
    for (const { face, image, context, suggestion } of faces) {
      if (isKnown(face)) continue;
      const next = { face, image, context, suggestion, element: null, spent_ms: 0 };
      upcoming.push(next);
      void decode(next);
    }
    return faces.length >= n;
  };

  const fill = async () => {
    if (isAsking) return;
    isAsking = true;
    let wait = 1000;
    while (upcoming.length < AHEAD) {
      const isFull = await askOnce();
      onChange();
      if (isFull) continue;
      const hasFailed = supply === "offline" || supply === "signed-out";
      await pause(hasFailed ? wait : AGAIN_MS, signal.promise);
      wait = Math.min(wait * 2, AGAIN_MS);
    }
    isAsking = false;
  };

  const remember = (face) => {
    taken.delete(face.face);
    taken.set(face.face, face);
    for (const old of taken.keys()) {
      if (taken.size <= BEHIND) break;
      taken.delete(old);
    }
  };

  return {
    /** @returns {Face | null} the next face whose picture is decoded; null: none yet */
    take() {
      const index = upcoming.findIndex((face) => face.element !== null);
      current = index < 0 ? null : upcoming.splice(index, 1)[0];
      if (current) remember(current);
      void fill();
      return current;
    },
    /**
     * A face that was answered before, to be looked at again.
     * @param {{face: number, image: string, context: string}} answer @returns {Face}
     */
    again({ face, image, context }) {
      let found = taken.get(face);
      if (!found) {
        found = { face, image, context, suggestion: null, element: null, spent_ms: 0 };
        void decode(found);
      }
      remember(found);
      current = found;
      return found;
    },
    /** The face is shown next, again. @param {Face} face */
    putBack(face) {
      if (!broken.has(face.face)) upcoming.unshift(face);
    },
    fill,
    /** The connection may be back, or the server may have more: no waiting. */
    wake() {
      const before = signal;
      signal = createSignal();
      before.fire();
      void fill();
    },
    /** @returns {Supply} */
    supply: () => supply,
    isLoading: () => upcoming.length > 0 || supply === "asking",
    countReady: () => upcoming.filter((face) => face.element !== null).length,
  };
}

function createSignal() {
  let fire = () => {};
  const promise = /** @type {Promise<void>} */ (new Promise((resolve) => { fire = () => resolve(undefined); }));
  return { promise, fire };
}
