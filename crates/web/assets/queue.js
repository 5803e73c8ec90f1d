// How does no answer get lost between the key and the server?
//
// An event is in the browser's storage before the next face shows. It leaves only when the server says what became of
// it. One item an event, never a list that is read and rewritten: two tabs can add at once and neither loses anything.

/**
 * What happened, as the server is told; `age_ms` is added when it is sent.
 * @typedef {{id: string, kind: "answer" | "undo" | "flag", pool: number, face: number, expression?: number,
 *   valence?: number | null, arousal?: number | null, elapsed_ms?: number, is_outside?: boolean, note?: string}} Happening
 */
/**
 * `at`: milliseconds since 1970 on this machine; `shown`: where the face's pictures are, for today's list.
 * @typedef {{event: Happening, at: number, shown: {image: string, context: string}}} Entry
 */
/**
 * @typedef {{id: string, status: "recorded" | "repeated" | "refused", reason: string | null,
 *   suggestion?: import("./faces.js").Suggestion | null}} Result
 */
/**
 * `sending`: nothing is wrong; `offline`: no answer came; `busy`: the server cannot now; `signed-out`; `rejected`: it
 * does not take the request as it is.
 * @typedef {"sending" | "offline" | "busy" | "signed-out" | "rejected"} Condition
 */

export const FIRST_DELAY_MS = 1_000;
export const LAST_DELAY_MS = 15_000;
/** A tab whose event the sending tab has not sent by then takes the sending over: a tablet may have put it to sleep. */
const PATIENCE_MS = 20_000;
const BATCH = 200;

/**
 * @param {object} parts
 * @param {number} parts.account
 * @param {Pick<Storage, "length" | "key" | "getItem" | "setItem" | "removeItem">} parts.storage
 * @param {(events: object[]) => Promise<{status: number, body: any}>} parts.send rejects when no answer came
 * @param {() => number} parts.now milliseconds since 1970
 * @param {(ms: number, early: Promise<void>) => Promise<void>} parts.pause waits, or until `early`
 * @param {Pick<LockManager, "request"> | undefined} parts.locks
 * @param {(results: Result[], body: any) => void} parts.onResults
 * @param {() => void} parts.onChange the number waiting or the condition may be another
 */
export function createQueue({ account, storage, send, now, pause, locks, onResults, onChange }) {
  const prefix = `affectory.event.${account}.`;
  /** Where an event goes that the storage has no room for. @type {Map<string, Entry>} */
  const memory = new Map();
  /** How the tab that sends is doing, for the other tabs to read. */
  const shared = `affectory.condition.${account}`;
  /** @type {{condition: Condition, reason: string}} */
  let sending = { condition: "sending", reason: "" };
  let isDraining = false;
  let delay = FIRST_DELAY_MS;
  let wake = () => {};

  const keys = () => {
    const found = [...memory.keys()];
    for (let i = 0; i < storage.length; i += 1) {
      const key = storage.key(i);
      if (key !== null && key.startsWith(prefix)) found.push(key);
    }
    return found.sort();
  };

  /** @returns {[string, Entry][]} in the order in which they happened */
  const entries = () =>
    keys().flatMap((key) => {
      const kept = memory.get(key);
      if (kept) return [[key, kept]];
      const text = storage.getItem(key);
      return text === null ? [] : [[key, JSON.parse(text)]];
    });

  // The key carries the order. A clock that was set back must not put an undo before its answer.
  const orderAfterAll = () => {
    const last = keys().at(-1);
    const least = last === undefined ? 0 : Number(last.slice(prefix.length, prefix.length + 16)) + 1;
    return String(Math.max(now(), least)).padStart(16, "0");
  };

  /** @param {Condition} condition */
  const say = (condition, reason = "") => {
    sending = { condition, reason };
    try {
      if (condition === "sending") storage.removeItem(shared);
      else storage.setItem(shared, JSON.stringify(sending));
    } catch {
      // No room; only the other tabs' line of state is the poorer.
    }
  };

  const settle = (batch, body) => {
    /** @type {Result[]} */
    const results = Array.isArray(body?.results) ? body.results : [];
    const byId = new Map(results.map((result) => [result.id, result]));
    const settled = batch.filter(([, { event }]) =>
      ["recorded", "repeated", "refused"].includes(byId.get(event.id)?.status ?? ""),
    );
    for (const [key] of settled) {
      memory.delete(key);
      storage.removeItem(key);
    }
    onResults(settled.map(([, entry]) => byId.get(entry.event.id)), body);
    return settled.length > 0;
  };

  /** @returns {Promise<boolean>} whether something was settled, or nothing is left to send */
  const sendBatch = async () => {
    const batch = entries().slice(0, BATCH);
    if (batch.length === 0) return true;
    const sentAt = now();
    let answer;
    try {
      answer = await send(batch.map(([, { event, at }]) => ({ ...event, age_ms: Math.max(0, sentAt - at) })));
    } catch {
      say("offline");
      return false;
    }
    const { status, body } = answer;
    if (status === 200) {
      say("sending");
      return settle(batch, body);
    }
    if (status === 401 || status === 403) say("signed-out");
    else if (status >= 500 || status === 408 || status === 429) say("busy");
    else say("rejected", typeof body?.error === "string" ? body.error : `HTTP ${status}`);
    return false;
  };

  const drain = async () => {
    if (isDraining || !isSender) return;
    isDraining = true;
    try {
      while (isSender && keys().length > 0) {
        const isDone = await sendBatch();
        onChange();
        if (isDone) {
          delay = FIRST_DELAY_MS;
        } else {
          await pause(delay, new Promise((resolve) => { wake = resolve; }));
          delay = Math.min(delay * 2, LAST_DELAY_MS);
        }
      }
    } finally {
      isDraining = false;
    }
  };

  // One tab sends for all, as long as it is open: what a tab removes from the storage reaches the others a moment
  // later, too late for a lock that changes hands at each request. Without locks (an old browser, plain http) every
  // tab sends, and the server says "repeated" where two send the same.
  let isSender = locks === undefined;
  const becomeSender = () => {
    isSender = true;
    say("sending");
    void drain();
  };
  /** @param {LockOptions} options */
  const claim = async (options) => {
    try {
      await locks?.request(`${prefix}send`, options, () => new Promise(becomeSender));
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") {
        isSender = false;
        void claim({});
      } else {
        becomeSender();
      }
    }
  };
  if (locks) void claim({});
  /** @param {string} key */
  const watch = async (key) => {
    await pause(PATIENCE_MS, new Promise(() => {}));
    if (!isSender && keys().includes(key)) void claim({ steal: true });
  };

  return {
    /**
     * Kept when this returns; sent in the background.
     * @param {Happening} event @param {{image: string, context: string}} shown
     * @returns {Entry}
     */
    put(event, shown) {
      const entry = { event, at: now(), shown };
      const key = `${prefix}${orderAfterAll()}.${event.id}`;
      try {
        storage.setItem(key, JSON.stringify(entry));
      } catch {
        memory.set(key, entry);
        // What only this tab has only this tab can send.
        isSender = true;
      }
      if (isSender) void drain();
      else void watch(key);
      return entry;
    },
    /** @returns {Entry[]} what the server has not settled yet, oldest first */
    waiting: () => entries().map(([, entry]) => entry),
    /** Sends what an earlier visit left, or at once what waits for its next try. */
    wake() {
      delay = FIRST_DELAY_MS;
      wake();
      void drain();
    },
    /** Another tab may have added something. */
    notice: () => void drain(),
    /** @returns {{n_waiting: number, condition: Condition, reason: string, isPersistent: boolean}} */
    state() {
      const told = isSender ? null : storage.getItem(shared);
      return { n_waiting: keys().length, isPersistent: memory.size === 0, ...(told ? JSON.parse(told) : sending) };
    },
  };
}

/**
 * The real wait between two tries.
 * @param {number} ms @param {Promise<void>} early
 */
export async function pause(ms, early) {
  let timer;
  await Promise.race([new Promise((resolve) => { timer = setTimeout(resolve, ms); }), early]);
  clearTimeout(timer);
}
