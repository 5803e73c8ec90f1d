// How does a face become an answer? The annotation page: one face, one decision, the next face at once.
//
// Reading order: what is on the screen (`draw`), what the annotator can do (`choose` to `flag`), which key does what,
// and at the end what runs in the background.

import { COARSE_STEP, centre, contains, stepped } from "./circumplex.js";
import { Clock } from "./clock.js";
import { createFaces } from "./faces.js";
import { keyOf } from "./keys.js";
import { createPlot, sliderKey } from "./plot.js";
import { createQueue, pause } from "./queue.js";
import { createServer } from "./server.js";
import { after, merged } from "./today.js";

/** @typedef {import("./circumplex.js").Point} Point */
/** @typedef {import("./circumplex.js").Region} Region */
/** @typedef {import("./faces.js").Face} Face */
/** @typedef {import("./today.js").TodaysAnswer} TodaysAnswer */
/**
 * @typedef {{pool: number, language: string, account: number, messages: Record<string, string>,
 *   expressions: {index: number, label: string, key: string, region: Region | null}[]}} Page
 */

/** @returns {any} the element of the page that has this id */
const element = (id) => document.getElementById(id);

/** @type {Page} */
const page = JSON.parse(element("page").textContent);
const poolPath = `/api/pools/${page.pool}`;
const token = document.querySelector('meta[name="csrf"]')?.getAttribute("content") ?? "";
const server = createServer(token, page.account);

const digits = new Intl.NumberFormat(page.language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const counts = new Intl.NumberFormat(page.language);
const times = new Intl.DateTimeFormat(page.language, { hour: "2-digit", minute: "2-digit" });
const number = (value) => digits.format(value);

/** @param {string} key @param {Record<string, string | number>} values */
const text = (key, values = {}) =>
  (page.messages[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));

const label = (expression) => page.expressions[expression].label;
const buttons = /** @type {HTMLButtonElement[]} */ ([...document.querySelectorAll("button.category")]);
const sliders = { valence: element("valence"), arousal: element("arousal") };
const plot = createPlot({ svg: element("plot"), sliders, text, number, onMove: (point) => move(point) });

// What is being decided.
/** @type {Face | null} */
let current = null;
/** The face has an answer already, which a new one corrects. */
let isAgain = false;
/** @type {number | null} */
let chosen = null;
/** @type {Point | null} */
let point = null;
/** The annotator has been told that the point lies outside, and has not moved it since. */
let isWarned = false;
let clock = new Clock(0, false);
/** When the key or tap came that gave the last answer. @type {number | null} */
let answeredAt = null;

// What has been decided.
/** @type {TodaysAnswer[]} */
let today = [];
let isTodayKnown = false;
let n_today = 0;
/** What happened since the page was opened. @type {import("./queue.js").Entry[]} */
const visit = [];

// ---- what is on the screen

function draw() {
  const region = chosen === null ? null : page.expressions[chosen].region;
  const isInside = region !== null && point !== null && contains(region, point);
  const isReady = current !== null && current.element !== null;
  const suggestion = current?.suggestion ?? null;
  for (const button of buttons) {
    const expression = Number(button.dataset.expression);
    button.disabled = !isReady;
    button.setAttribute("aria-pressed", String(expression === chosen));
    /** @type {HTMLElement} */ (button.querySelector(".by")).hidden = suggestion?.expression !== expression;
  }
  element("placement").dataset.expression = chosen ?? "";
  plot.show({ region, point, suggested: isReady ? pointOf(suggestion) : null, isInside });
  element("confirm").disabled = point === null;
  for (const id of ["show-context", "show-flag"]) element(id).disabled = !isReady;
  setText("hint", text(isWarned ? "annotate_hint_outside" : point ? "annotate_hint_point" : "annotate_hint_category"));
  element("hint").classList.toggle("is-warning", isWarned);
}

function drawFace() {
  const picture = current?.element ?? null;
  element("wait").hidden = picture !== null;
  if (picture === null) {
    setText("wait", text(faces.isLoading() || current ? "annotate_loading" : `annotate_supply_${faces.supply().replace("-", "_")}`));
    element("picture").replaceChildren();
    return;
  }
  picture.alt = text("annotate_face_alt");
  picture.dataset.testid = "face";
  picture.dataset.face = String(current?.face);
  if (element("picture").firstChild !== picture) element("picture").replaceChildren(picture);
  setText("face-title", text("annotate_face_n", { n: counts.format(n_today + 1) }));
}

function drawState() {
  const { n_waiting, condition, reason, isPersistent } = queue.state();
  const isSignedOut = condition === "signed-out" || faces.supply() === "signed-out";
  const isOffline = condition === "offline" || !navigator.onLine || faces.supply() === "offline";
  const cause = condition !== "sending" ? condition : isOffline ? "offline" : isSignedOut ? "signed-out" : "sending";
  const kind = n_waiting > 0 ? cause : isOffline ? "saved_offline" : "saved";
  const parts = [text(`annotate_state_${kind.replace("-", "_")}`, { n: counts.format(n_waiting), reason })];
  if (!isPersistent) parts.push(text("annotate_state_fragile"));
  setText("state-text", parts.join(" "));
  // Spoken only when the kind changes: a reader that says "all saved" after each face drowns the faces out.
  const state = element("state");
  const spoken = kind === "sending" ? "saved" : kind;
  if (state.dataset.condition !== kind) {
    if (spoken !== (state.dataset.spoken ?? "saved")) announce(parts.join(" "));
    state.dataset.condition = kind;
    state.dataset.spoken = spoken;
  }
  element("sign-in").hidden = !isSignedOut;
}

/** What still waits is counted here, so the server's number holds when nothing does. @param {any} progress */
function takeProgress({ today: n, done, wanted }) {
  element("progress").max = Math.max(1, wanted);
  element("progress").value = done;
  if (queue.state().n_waiting === 0) n_today = n;
  setText("count", counts.format(n_today));
}

function drawNote(words) {
  setText("note", words);
  element("note").hidden = words === "";
}

function announce(words) {
  setText("announce", words);
}

function setText(id, words) {
  if (element(id).textContent !== words) element(id).textContent = words;
}

// ---- what the annotator can do

/**
 * Puts a face on the screen; with an earlier answer, that is shown as chosen.
 * @param {Face | null} face @param {TodaysAnswer | null} earlier @param {boolean} again
 */
function show(face, earlier, again) {
  hideContext();
  current = face;
  isAgain = again;
  chosen = earlier?.expression ?? null;
  point = earlier ? pointOf(earlier) : null;
  isWarned = false;
  clock = new Clock(performance.now(), isAttended() && Boolean(face?.element), face?.spent_ms ?? 0);
  drawFace();
  draw();
  setText("count", counts.format(n_today));
  const suggestion = face?.suggestion;
  if (earlier) drawNote(text("annotate_face_again", { expression: label(earlier.expression) }));
  else if (suggestion) drawNote(text("annotate_suggestion", { by: suggestion.by, expression: label(suggestion.expression) }));
  else drawNote("");
  measureSwitch();
}

function next() {
  show(faces.take(), null, false);
}

/** Keeps what the present face has cost so far; shows it again later if it is still to be answered. */
function leave() {
  if (!current) return;
  current.spent_ms = clock.read(performance.now());
  if (!isAgain) faces.putBack(current);
}

/** @param {number} expression */
function choose(expression) {
  if (!current?.element) return;
  const { region } = page.expressions[expression];
  if (region === null) {
    answer(expression, null, false);
    return;
  }
  if (expression !== chosen || point === null) {
    chosen = expression;
    isWarned = false;
    // Whoever agrees with the model's category starts from its point, everyone else from the middle of the region.
    const suggestion = current.suggestion;
    point = (suggestion?.expression === expression && pointOf(suggestion)) || centre(region);
    draw();
  }
  sliders.valence.focus({ preventScroll: true });
}

/** @param {Point} wanted */
function move(wanted) {
  if (point === null) return;
  point = wanted;
  isWarned = false;
  draw();
}

function confirm() {
  if (chosen === null || point === null) return;
  const region = page.expressions[chosen].region;
  const isOutside = region !== null && !contains(region, point);
  if (isOutside && !isWarned) {
    isWarned = true;
    draw();
    announce(text("annotate_hint_outside"));
    return;
  }
  answer(chosen, point, isOutside);
}

/** One step back: from the warning to the point, from the point to the categories, from a correction to new faces. */
function back() {
  if (!element("context").hidden) hideContext();
  else if (isWarned) {
    isWarned = false;
    draw();
  } else if (isAgain) {
    leave();
    next();
    element("face-title").focus({ preventScroll: true });
  } else if (chosen !== null) {
    chosen = null;
    point = null;
    draw();
    element("face-title").focus({ preventScroll: true });
  }
}

/** @param {number} expression @param {Point | null} place @param {boolean} isOutside */
function answer(expression, place, isOutside) {
  const face = /** @type {Face} */ (current);
  face.spent_ms = clock.read(performance.now());
  answeredAt = lastInputAt;
  const said = {
    n: counts.format(n_today + 1),
    expression: label(expression),
    valence: place ? number(place.valence) : "",
    arousal: place ? number(place.arousal) : "",
  };
  happened(face, {
    kind: "answer",
    expression,
    valence: place?.valence ?? null,
    arousal: place?.arousal ?? null,
    elapsed_ms: face.spent_ms,
    is_outside: isOutside,
  });
  if (!isAgain) n_today += 1;
  next();
  announce(text(place ? "annotate_said_point" : "annotate_said_answer", said));
  element("face-title").focus({ preventScroll: true });
}

function undo() {
  const last = today.at(-1);
  if (!last && !isTodayKnown) {
    void todayKnown.then(undo);
    return;
  }
  if (!last) {
    announce(text("annotate_undo_empty"));
    drawNote(text("annotate_undo_empty"));
    return;
  }
  leave();
  const face = faces.again(last);
  happened(face, { kind: "undo" });
  n_today = Math.max(0, n_today - 1);
  show(face, last, false);
  announce(text("annotate_said_undo", { expression: label(last.expression) }));
  element("face-title").focus({ preventScroll: true });
}

/** @param {TodaysAnswer} earlier */
function correct(earlier) {
  if (current?.face === earlier.face) return;
  leave();
  const face = faces.again(earlier);
  // A correction is a new look. Undo, which takes the earlier answer away, goes on counting.
  face.spent_ms = 0;
  show(face, earlier, true);
  element("face-title").focus({ preventScroll: true });
}

/** @param {string} note */
function flag(note) {
  if (!current || note.trim() === "") return;
  happened(current, { kind: "flag", note: note.trim() });
  announce(text("annotate_said_flag"));
  drawNote(text("annotate_said_flag"));
}

/** @param {Face} face @param {object} what */
function happened({ face, image, context }, what) {
  const event = { id: uuid(), pool: page.pool, face, ...what };
  const entry = queue.put(/** @type {any} */ (event), { image, context });
  visit.push(entry);
  today = after(today, entry);
  drawState();
}

async function showContext() {
  if (!current?.element) return;
  const { context: path, face } = current;
  const photograph = element("context");
  element("show-context").setAttribute("aria-pressed", "true");
  if (photograph.getAttribute("src") !== path) photograph.setAttribute("src", path);
  setText("wait", text("annotate_context_loading"));
  element("wait").hidden = photograph.complete;
  photograph.hidden = false;
  try {
    await photograph.decode();
    if (current?.face === face) element("wait").hidden = true;
  } catch {
    if (current?.face !== face || photograph.hidden) return;
    hideContext();
    // Asked for afresh next time.
    photograph.removeAttribute("src");
    drawNote(text("annotate_context_failed"));
  }
}

function hideContext() {
  element("context").hidden = true;
  element("wait").hidden = Boolean(current?.element);
  element("show-context").setAttribute("aria-pressed", "false");
}

function toggleContext() {
  if (element("context").hidden) void showContext();
  else hideContext();
}

// ---- dialogs

const dialogs = /** @type {HTMLDialogElement[]} */ (["today", "flag", "help"].map(element));

/** @param {HTMLDialogElement} dialog */
function open(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  attend();
}

async function openToday() {
  drawToday();
  open(element("today"));
  await refreshToday();
  if (element("today").open) drawToday();
}

function drawToday() {
  element("today-empty").hidden = today.length > 0;
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.face : undefined;
  element("today-list").replaceChildren(
    ...today.toReversed().map((earlier) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.face = String(earlier.face);
      button.dataset.testid = "today-answer";
      const thumbnail = document.createElement("img");
      thumbnail.src = earlier.image;
      thumbnail.alt = "";
      thumbnail.loading = "lazy";
      const words = document.createElement("span");
      words.textContent = label(earlier.expression);
      const figures = document.createElement("bdi");
      figures.dir = "ltr";
      if (earlier.valence !== null && earlier.arousal !== null) {
        figures.textContent = `${number(earlier.valence)} / ${number(earlier.arousal)}`;
      }
      const time = document.createElement("time");
      time.dateTime = new Date(earlier.at).toISOString();
      time.textContent = times.format(earlier.at);
      button.append(thumbnail, words, figures, time);
      button.addEventListener("click", () => {
        element("today").close();
        correct(earlier);
      });
      item.append(button);
      return item;
    }),
  );
  const again = focused && element("today-list").querySelector(`[data-face="${focused}"]`);
  (again || element("today-list").querySelector("button"))?.focus();
}

for (const dialog of dialogs) dialog.addEventListener("close", attend);
element("flag").addEventListener("close", () => {
  if (element("flag").returnValue === "flag") {
    flag(element("flag-note").value);
    element("flag-note").value = "";
  }
});
element("flag-note").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element("flag").querySelector("button[value=flag]").click();
});
element("today-list").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const all = [...element("today-list").querySelectorAll("button")];
  all[all.indexOf(document.activeElement) + step]?.focus();
});

// ---- keys and taps

const byKey = new Map(page.expressions.map(({ key, index }) => [key, index]));
/** After this long a key that is let go was held, not pressed. */
const HELD_MS = 400;
let lastInputAt = 0;
let contextKeyAt = 0;

for (const kind of ["keydown", "pointerdown", "pointermove", "wheel"]) {
  document.addEventListener(kind, ({ timeStamp }) => {
    lastInputAt = timeStamp;
    clock.input(performance.now());
  }, { capture: true, passive: true });
}

document.addEventListener("keydown", (event) => {
  if (dialogs.some((dialog) => dialog.open)) return;
  const key = keyOf(event);
  const isCommand = event.ctrlKey || event.metaKey;
  if (isCommand && key === "z" && !event.shiftKey && !event.altKey) {
    event.preventDefault();
    undo();
    return;
  }
  if (isCommand || event.altKey) return;
  const isHandled = byKey.has(key) ? pressed(event, () => choose(/** @type {number} */ (byKey.get(key)))) : actOn(key, event);
  if (isHandled) event.preventDefault();
});

/** @param {string} key @param {KeyboardEvent} event @returns {boolean} whether the key meant something here */
function actOn(key, event) {
  switch (key) {
    case "u": return pressed(event, undo);
    case "t": return pressed(event, () => void openToday());
    case "f": return pressed(event, () => element("show-flag").click());
    case "?": return pressed(event, () => open(element("help")));
    case "c":
      return pressed(event, () => {
        contextKeyAt = event.timeStamp;
        toggleContext();
      });
    case "Escape": return pressed(event, back);
    case "Enter":
    case " ":
      // A button that has the focus does what it says.
      if (point === null || (event.target instanceof Element && event.target.closest("button, a"))) return false;
      return pressed(event, confirm);
    default: return nudge(key, event);
  }
}

/** @param {string} key @param {KeyboardEvent} event */
function nudge(key, event) {
  if (point === null) return false;
  const isArousal = document.activeElement === sliders.arousal;
  const isSlider = isArousal || document.activeElement === sliders.valence;
  const wanted =
    stepped(point, key, event.shiftKey) ??
    (isSlider ? sliderKey(key, isArousal ? "arousal" : "valence", point, COARSE_STEP) : null);
  if (wanted === null) return false;
  move(wanted);
  // A screen reader speaks the value that has the focus.
  if (key.startsWith("Arrow")) {
    const axis = key === "ArrowUp" || key === "ArrowDown" ? "arousal" : "valence";
    sliders[axis].focus({ preventScroll: true });
  }
  return true;
}

/** A key held down repeats; it must not answer face after face. @param {KeyboardEvent} event @param {() => void} act */
function pressed(event, act) {
  if (!event.repeat) act();
  return true;
}

document.addEventListener("keyup", (event) => {
  if (keyOf(event) === "c" && contextKeyAt > 0 && event.timeStamp - contextKeyAt > HELD_MS) hideContext();
});

for (const button of buttons) button.addEventListener("click", () => choose(Number(button.dataset.expression)));
element("confirm").addEventListener("click", confirm);
element("do-undo").addEventListener("click", undo);
element("show-today").addEventListener("click", () => void openToday());
element("show-context").addEventListener("click", toggleContext);
element("show-flag").addEventListener("click", () => open(element("flag")));
element("show-help").addEventListener("click", () => open(element("help")));

// ---- in the background

const queue = createQueue({
  account: page.account,
  storage: localStorage,
  send: (events) => server.post("/api/events", { events }),
  now: () => Date.now(),
  pause,
  locks: navigator.locks,
  onResults,
  onChange: drawState,
});

const faces = createFaces({
  ask: (n) => server.post(`${poolPath}/next`, { n }),
  isAnswered: (face) => today.some((answer) => answer.face === face),
  countWaiting: () => queue.state().n_waiting,
  pause,
  onChange() {
    if (current === null) next();
    else if (current.element !== null && element("picture").firstChild !== current.element) showDecoded();
    else drawFace();
    drawState();
  },
  onProgress(progress) {
    takeProgress(progress);
  },
  onBroken(face) {
    refuse(text("annotate_broken"));
    if (current?.face === face) next();
  },
});

/** A face that was chosen before its picture was there: the time starts now. */
function showDecoded() {
  clock = new Clock(performance.now(), isAttended(), current?.spent_ms ?? 0);
  drawFace();
  draw();
}

/** @param {import("./queue.js").Result[]} results @param {any} body */
function onResults(results, body) {
  for (const { status, reason, suggestion } of results) {
    if (status === "refused") refuse(text("annotate_refused", { reason: reason ?? "" }));
    else if (suggestion && chosen === null && element("note").hidden) {
      drawNote(text("annotate_suggestion_after", { by: suggestion.by, expression: label(suggestion.expression) }));
    }
  }
  if (body?.progress) takeProgress(body.progress);
  if (results.some(({ status }) => status === "refused")) void refreshToday();
  if (current === null) faces.wake();
}

/** Bad news stays until it is put away. @param {string} words */
function refuse(words) {
  const line = document.createElement("p");
  line.className = "error";
  const put = document.createElement("span");
  put.textContent = words;
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = text("close");
  close.addEventListener("click", () => line.remove());
  line.append(put, close);
  element("refusals").append(line);
}

async function refreshToday() {
  const waiting = queue.waiting();
  const n_before = visit.length;
  try {
    const { status, body } = await server.get(`${poolPath}/today`);
    if (status !== 200) return;
    const meanwhile = visit.slice(n_before);
    today = merged(body.answers, [...waiting, ...meanwhile], page.pool, Date.now());
  } catch {
    // Without a connection the list of this visit has to do.
  }
}

function isAttended() {
  return document.visibilityState === "visible" && document.hasFocus() && !dialogs.some((dialog) => dialog.open);
}

function attend() {
  clock.attend(isAttended() && Boolean(current?.element), performance.now());
}

function measureSwitch() {
  const start = answeredAt;
  if (start === null || !current) return;
  answeredAt = null;
  // The frame that the callback precedes is on the screen when the message behind it arrives.
  requestAnimationFrame(() => {
    const painted = new MessageChannel();
    painted.port1.onmessage = () => {
      performance.measure("answer-to-next-face", { start, end: performance.now() });
      painted.port1.close();
    };
    painted.port2.postMessage(null);
  });
}

/** @param {{valence: number | null, arousal: number | null} | null} answer @returns {Point | null} */
function pointOf(answer) {
  if (!answer || answer.valence === null || answer.arousal === null) return null;
  return { valence: answer.valence, arousal: answer.arousal };
}

/** Version 4. crypto.randomUUID is missing where a lab serves plain http. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function wake() {
  queue.wake();
  faces.wake();
  drawState();
}

window.addEventListener("online", wake);
window.addEventListener("offline", drawState);
// Another tab has sent, or added, an event.
window.addEventListener("storage", () => {
  queue.notice();
  drawState();
});
window.addEventListener("focus", () => {
  attend();
  // Perhaps from signing in in another tab.
  if (queue.state().condition !== "sending" || faces.supply() === "signed-out") wake();
});
window.addEventListener("blur", attend);
document.addEventListener("visibilitychange", attend);
window.addEventListener("beforeunload", (event) => {
  if (!queue.state().isPersistent) event.preventDefault();
});

today = merged([], queue.waiting(), page.pool, Date.now());
n_today = today.length;
// Before the first face, so that none that was answered on an earlier visit is shown as new.
queue.wake();
draw();
drawState();
void faces.fill();
const todayKnown = refreshToday().then(() => {
  isTodayKnown = true;
});
