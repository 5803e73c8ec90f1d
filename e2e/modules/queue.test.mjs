// Is nothing lost, nothing doubled, and everything in order, whatever the connection and the tabs do?
import assert from "node:assert/strict";
import { test } from "node:test";

import { FIRST_DELAY_MS, LAST_DELAY_MS, createQueue } from "../../crates/web/assets/queue.js";

const SHOWN = { image: "/faces/1/crop", context: "/faces/1/context" };

/** A Storage of this process; `quota` items fit. */
function createStorage(quota = Infinity) {
  const items = new Map();
  return {
    get length() { return items.size; },
    key: (index) => [...items.keys()][index] ?? null,
    getItem: (key) => items.get(key) ?? null,
    setItem(key, value) {
      if (items.size >= quota) throw new Error("full");
      items.set(key, value);
    },
    removeItem: (key) => items.delete(key),
  };
}

/** A server that records each id once, as the real one does. */
function createServer() {
  const log = [];
  const ids = new Set();
  return {
    log,
    refuse: new Set(),
    take(events) {
      const results = events.map(({ id }) => {
        if (this.refuse.has(id)) return { id, status: "refused", reason: "not your face" };
        if (ids.has(id)) return { id, status: "repeated", reason: null };
        ids.add(id);
        log.push(id);
        return { id, status: "recorded", reason: null };
      });
      return { status: 200, body: { results } };
    },
  };
}

/** One tab: waits end when the test says so. */
function createTab({ storage, send, locks, now = () => 1000 }) {
  const waits = [];
  const results = [];
  const queue = createQueue({
    account: 7,
    storage,
    send,
    now,
    locks,
    pause: (ms, early) => Promise.race([early, new Promise((resolve) => waits.push({ ms, end: resolve }))]),
    onResults: (settled) => results.push(...settled),
    onChange() {},
  });
  return { queue, waits, results };
}

const event = (id, kind = "answer") => ({ id, kind, pool: 3, face: 1 });
const settle = async () => { for (let i = 0; i < 20; i += 1) await Promise.resolve(); };
const ids = (queue) => queue.waiting().map((entry) => entry.event.id);

test("events arrive once, in order, and leave the storage", async () => {
  const storage = createStorage();
  const server = createServer();
  const { queue } = createTab({ storage, send: async (events) => server.take(events) });
  for (const id of ["a", "b", "c"]) queue.put(event(id), SHOWN);
  await settle();
  assert.deepEqual(server.log, ["a", "b", "c"]);
  assert.equal(storage.length, 0);
});

test("an event is in the storage before put returns, and a new visit sends it", async () => {
  const storage = createStorage();
  const server = createServer();
  createTab({ storage, send: () => new Promise(() => {}) }).queue.put(event("a"), SHOWN);
  assert.equal(storage.length, 1);
  const { queue } = createTab({ storage, send: async (events) => server.take(events) });
  queue.wake();
  await settle();
  assert.deepEqual(server.log, ["a"]);
});

test("an answer that got through but was not heard of is not recorded twice", async () => {
  const storage = createStorage();
  const server = createServer();
  let isFirst = true;
  const { queue, waits } = createTab({
    storage,
    send: async (events) => {
      const answer = server.take(events);
      if (isFirst) {
        isFirst = false;
        throw new Error("connection reset");
      }
      return answer;
    },
  });
  queue.put(event("a"), SHOWN);
  await settle();
  assert.equal(queue.state().condition, "offline");
  waits[0].end();
  await settle();
  assert.deepEqual(server.log, ["a"]);
  assert.equal(storage.length, 0);
});

test("failures are tried again after 1, 2, 4, 8 and at most 15 seconds, at once when woken", async () => {
  let n_sent = 0;
  const { queue, waits } = createTab({ storage: createStorage(), send: async () => { n_sent += 1; return { status: 503, body: null }; } });
  queue.put(event("a"), SHOWN);
  for (let i = 0; i < 6; i += 1) {
    await settle();
    waits[i].end();
  }
  assert.deepEqual(waits.slice(0, 6).map(({ ms }) => ms), [FIRST_DELAY_MS, 2000, 4000, 8000, LAST_DELAY_MS, LAST_DELAY_MS]);
  await settle();
  const n_before = n_sent;
  queue.wake();
  await settle();
  assert.equal(n_sent, n_before + 1);
  assert.deepEqual(ids(queue), ["a"]);
});

test("what the server refuses is dropped with its reason and does not hold up the rest", async () => {
  const server = createServer();
  server.refuse.add("b");
  const { queue, results } = createTab({ storage: createStorage(), send: async (events) => server.take(events) });
  for (const id of ["a", "b", "c"]) queue.put(event(id), SHOWN);
  await settle();
  assert.deepEqual(server.log, ["a", "c"]);
  assert.deepEqual(results.find(({ id }) => id === "b"), { id: "b", status: "refused", reason: "not your face" });
  assert.deepEqual(ids(queue), []);
});

test("signed out, not allowed, a bad request or a strange answer: everything is kept", async () => {
  const answers = [
    [{ status: 401, body: null }, "signed-out"],
    [{ status: 403, body: null }, "signed-out"],
    [{ status: 429, body: null }, "busy"],
    [{ status: 400, body: { error: "no" } }, "rejected"],
    [{ status: 200, body: { results: [] } }, "sending"],
  ];
  for (const [answer, condition] of answers) {
    const { queue } = createTab({ storage: createStorage(), send: async () => answer });
    queue.put(event("a"), SHOWN);
    await settle();
    assert.deepEqual(ids(queue), ["a"]);
    assert.equal(queue.state().condition, condition);
  }
});

test("of two tabs one sends, for both, until it is closed", async () => {
  const storage = createStorage();
  const waiting = [];
  const locks = { request: async (name, options, hold) => (waiting.push(hold) === 1 ? hold() : new Promise(() => {})) };
  const server = createServer();
  const sent = { one: [], two: [] };
  const open = (name) => createTab({ storage, locks, send: async (events) => { sent[name].push(...events.map(({ id }) => id)); return server.take(events); } }).queue;
  const [one, two] = [open("one"), open("two")];
  one.put(event("a"), SHOWN);
  two.put(event("b"), SHOWN);
  two.wake();
  one.notice();
  await settle();
  assert.deepEqual(sent, { one: ["a", "b"], two: [] });
  two.put(event("c"), SHOWN);
  waiting[1]();
  await settle();
  assert.deepEqual(sent, { one: ["a", "b"], two: ["c"] });
});

test("a tab takes the sending over from one that has fallen asleep, which gives it up", async () => {
  const storage = createStorage();
  let lose = () => {};
  const locks = {
    request: (name, { steal }, hold) => new Promise((resolve, reject) => {
      if (steal) lose(new DOMException("stolen", "AbortError"));
      if (steal || lose.length === 0) {
        lose = reject;
        hold();
      }
    }),
  };
  const server = createServer();
  const asleep = createTab({ storage, locks, send: () => new Promise(() => {}) });
  const awake = createTab({ storage, locks, send: async (events) => server.take(events) });
  awake.queue.put(event("a"), SHOWN);
  await settle();
  assert.deepEqual(server.log, []);
  awake.waits[0].end();
  await settle();
  assert.deepEqual(server.log, ["a"]);
  asleep.queue.put(event("b"), SHOWN);
  awake.queue.notice();
  await settle();
  assert.deepEqual(server.log, ["a", "b"]);
});

test("a clock that is set back does not put an undo before its answer", () => {
  let time = 5000;
  const { queue } = createTab({ storage: createStorage(), send: () => new Promise(() => {}), now: () => time });
  queue.put(event("z"), SHOWN);
  time = 10;
  queue.put(event("a", "undo"), SHOWN);
  assert.deepEqual(ids(queue), ["z", "a"]);
});

test("age is the time since the decision, never negative", async () => {
  let time = 5000;
  const sent = [];
  const { queue, waits } = createTab({
    storage: createStorage(),
    now: () => time,
    send: async (events) => { sent.push(events[0].age_ms); throw new Error("no connection"); },
  });
  queue.put(event("a"), SHOWN);
  await settle();
  time = 65_000;
  waits[0].end();
  await settle();
  time = 10;
  waits[1].end();
  await settle();
  assert.deepEqual(sent, [0, 60_000, 0]);
});

test("without room in the storage events are still sent, and the page is told", async () => {
  const server = createServer();
  let isUp = false;
  const { queue } = createTab({
    storage: createStorage(1),
    send: async (events) => { if (!isUp) throw new Error("no connection"); return server.take(events); },
  });
  queue.put(event("a"), SHOWN);
  queue.put(event("b"), SHOWN);
  await settle();
  assert.equal(queue.state().isPersistent, false);
  assert.deepEqual(ids(queue), ["a", "b"]);
  isUp = true;
  queue.wake();
  await settle();
  assert.deepEqual(server.log, ["a", "b"]);
  assert.equal(queue.state().isPersistent, true);
});
