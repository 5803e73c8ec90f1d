// Can an annotator work by keyboard alone, without losing an answer, in every language and with a screen reader?
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import AxeBuilder from "@axe-core/playwright";

import { LANGUAGES, startBrowser, startProject } from "./lib.mjs";

let browser;
let project;
before(async () => {
  project = await startProject();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await project?.stop();
});

/** The annotation page as a new annotator sees it, and what a story asks of it. */
async function open(t, { language = "en", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  t.after(() => context.close());
  await project.signIn(context, project.account("annotator", language));
  const { pool } = project;
  const page = await visit(context, pool);
  return { context, page, pool, answers: () => answersOf(page, pool) };
}

async function visit(context, pool) {
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(error));
  await page.goto(`${project.url}/annotate/${pool}`);
  await page.getByTestId("face").waitFor();
  return page;
}

/** What the server has, newest first. */
async function answersOf(page, pool) {
  const response = await page.request.get(`${project.url}/api/pools/${pool}/today`);
  return (await response.json()).answers;
}

const faceOf = (page) => page.getByTestId("face").getAttribute("data-face");
/** Waits until the line of state begins with these words. */
const stateIs = (page, words) => page.getByTestId("state").getByText(words).waitFor();
const saved = (page) => stateIs(page, /^All saved$/);
const waiting = (page, n) => stateIs(page, `Waiting: ${n}; no connection`);

const PERSIAN = { "۷": "Digit7" };

/** Presses the keys that answer the present face, and waits for the next. @returns {Promise<number>} which it was */
async function answer(page, keys) {
  const face = await faceOf(page);
  for (const key of keys) {
    // Playwright's keyboard is an American one.
    if (key in PERSIAN) await page.locator("body").dispatchEvent("keydown", { key, code: PERSIAN[key] });
    else await page.keyboard.press(key);
  }
  await page.waitForFunction((old) => document.querySelector("[data-testid=face]")?.dataset.face !== old, face);
  return Number(face);
}

/** Every event that reaches the server from now on. */
function listen(context) {
  const events = [];
  context.on("requestfinished", (request) => {
    if (request.url().endsWith("/api/events")) events.push(...request.postDataJSON().events);
  });
  return events;
}

test("fifty faces by keyboard alone; the next face is there at once", async (t) => {
  const { context, page, answers } = await open(t);
  const sent = listen(context);
  const ways = [
    { keys: ["2", "Enter"], expression: 1 },
    { keys: ["3", "ArrowLeft", "ArrowDown", "Space"], expression: 2 },
    { keys: ["4", "5", "Shift+ArrowUp", "Enter"], expression: 4 },
    { keys: ["9"], expression: 8 },
    { keys: ["0"], expression: 9 },
    { keys: ["-"], expression: 10 },
    { keys: ["1", "Enter"], expression: 0 },
    { keys: ["۷", "Enter"], expression: 6 },
  ];
  const expected = [];
  for (let i = 0; i < 50; i += 1) {
    const { keys, expression } = ways[i % ways.length];
    expected.push([await answer(page, keys), expression]);
  }
  await saved(page);
  assert.deepEqual((await answers()).map(({ face, expression }) => [face, expression]).reverse(), expected);
  assert.equal(new Set(expected.map(([face]) => face)).size, 50);
  assert.equal(await page.getByTestId("count").textContent(), "50");

  const sad = sent.find(({ expression }) => expression === 2);
  assert.ok(sad.valence < 0 && sad.arousal < 0 && sad.is_outside === false);
  assert.ok(sent.every(({ elapsed_ms, age_ms }) => elapsed_ms >= 0 && elapsed_ms < 60_000 && age_ms >= 0));
  const none = sent.find(({ expression }) => expression === 8);
  assert.deepEqual([none.valence, none.arousal], [null, null]);

  const took = await page.evaluate(() => performance.getEntriesByName("answer-to-next-face").map((entry) => entry.duration));
  took.sort((a, b) => a - b);
  t.diagnostic(`answer-to-next-face: median ${took[25].toFixed(1)} ms, p95 ${took[47].toFixed(1)} ms, of ${took.length}`);
  assert.equal(took.length, 50);
  assert.ok(took[25] < 50, `median ${took[25]} ms`);
});

test("undo goes back any number of times, also after a reload", async (t) => {
  const { page, answers } = await open(t);
  const faces = [];
  for (const key of ["9", "0", "-", "9"]) faces.push(await answer(page, [key]));
  await page.keyboard.press("u");
  assert.equal(Number(await faceOf(page)), faces[3]);
  assert.equal(await page.getByTestId("expression-8").getAttribute("aria-pressed"), "true");
  await saved(page);
  await page.reload();
  await page.getByTestId("face").waitFor();
  await page.waitForFunction(() => document.querySelector("[data-testid=count]")?.textContent === "3");
  // At once: undo knows what was answered before the reload, or waits until it does.
  await page.keyboard.press("Control+z");
  await page.keyboard.press("u");
  await page.waitForFunction((face) => document.querySelector("[data-testid=face]")?.dataset.face === face, String(faces[1]));
  assert.equal(await answer(page, ["2", "Enter"]), faces[1]);
  assert.equal(await answer(page, ["3", "Enter"]), faces[2], "what was taken back comes next");
  await saved(page);
  assert.deepEqual((await answers()).map(({ face, expression }) => [face, expression]), [[faces[2], 2], [faces[1], 1], [faces[0], 8]]);
});

test("one of today's answers is corrected, and the face in hand comes back", async (t) => {
  const { page, answers } = await open(t);
  const first = await answer(page, ["2", "Enter"]);
  await answer(page, ["9"]);
  const inHand = Number(await faceOf(page));
  await page.keyboard.press("t");
  await page.getByTestId("today-answer").nth(1).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  assert.equal(Number(await faceOf(page)), first);
  assert.equal(await page.getByTestId("expression-1").getAttribute("aria-pressed"), "true");
  await page.keyboard.press("Escape");
  assert.equal(Number(await faceOf(page)), inHand, "Escape leaves the answer as it was");

  await page.keyboard.press("t");
  await page.getByTestId("today-answer").nth(1).click();
  assert.equal(await answer(page, ["7", "Enter"]), first);
  assert.equal(Number(await faceOf(page)), inHand);
  await saved(page);
  const list = await answers();
  assert.equal(list.length, 2);
  assert.equal(list.find(({ face }) => face === first).expression, 6);
  assert.equal(await page.getByTestId("count").textContent(), "2");
});

test("a point outside the region is asked about once and then kept", async (t) => {
  const { context, page } = await open(t);
  const sent = listen(context);
  const face = await faceOf(page);
  await page.keyboard.press("2");
  for (let i = 0; i < 6; i += 1) await page.keyboard.press("Shift+ArrowLeft");
  await page.keyboard.press("Enter");
  await page.getByText("Outside the suggested region; press Enter again").first().waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Enter");
  assert.equal(await faceOf(page), face);
  await answer(page, ["Enter"]);
  await saved(page);
  assert.equal(sent[0].is_outside, true);
  assert.ok(sent[0].valence < -0.5);
});

test("a held key answers once", async (t) => {
  const { page, answers } = await open(t);
  const face = await faceOf(page);
  await page.keyboard.press("1");
  for (let i = 0; i < 5; i += 1) await page.keyboard.down("Enter");
  await page.keyboard.up("Enter");
  for (let i = 0; i < 5; i += 1) await page.keyboard.down("9");
  await page.keyboard.up("9");
  await saved(page);
  assert.equal((await answers()).length, 2);
  assert.notEqual(await faceOf(page), face);
});

test("a face is flagged with a note, and stays to be answered", async (t) => {
  const { context, page, answers } = await open(t);
  const sent = listen(context);
  const face = Number(await faceOf(page));
  await page.keyboard.press("f");
  await page.keyboard.type("two faces <b>here</b>");
  await page.keyboard.press("Control+Enter");
  await page.getByTestId("flag").waitFor({ state: "hidden" });
  await page.getByText("Flagged for a lead").first().waitFor();
  await saved(page);
  assert.equal(Number(await faceOf(page)), face);
  assert.deepEqual([sent[0].kind, sent[0].face, sent[0].note], ["flag", face, "two faces <b>here</b>"]);
  assert.equal((await answers()).length, 0);
});

test("the photograph shows while c is held, or until it is pressed again", async (t) => {
  const { page } = await open(t);
  const photograph = page.getByAltText("The whole photograph");
  await page.keyboard.press("c");
  await photograph.waitFor();
  await page.keyboard.press("c");
  await photograph.waitFor({ state: "hidden" });
  await page.keyboard.down("c");
  await photograph.waitFor();
  await page.waitForFunction((since) => performance.now() - since > 450, await page.evaluate(() => performance.now()));
  await page.keyboard.up("c");
  await photograph.waitFor({ state: "hidden" });
});

test("without a connection the work goes on, says so, and catches up by itself", async (t) => {
  const { context, page, answers } = await open(t);
  const sent = listen(context);
  await page.waitForLoadState("networkidle");
  await context.setOffline(true);
  const expected = [];
  for (let i = 0; i < 8; i += 1) expected.push(await answer(page, ["2", "Enter"]));
  await waiting(page, 8);
  await page.keyboard.press("u");
  await page.keyboard.press("9");
  while (await page.getByTestId("face").isVisible()) await page.keyboard.press("0");
  await page.getByText("No connection and no more faces loaded").waitFor();
  sent.length = 0;
  await context.setOffline(false);
  await page.getByTestId("face").waitFor();
  await saved(page);
  const list = (await answers()).reverse();
  assert.deepEqual(list.slice(0, 7).map(({ face }) => face), expected.slice(0, 7));
  assert.deepEqual([list[7].face, list[7].expression], [expected[7], 8]);
  assert.equal(new Set(sent.map(({ id }) => id)).size, sent.length, "nothing was sent twice");
  assert.ok(sent[0].age_ms > sent.at(-1).age_ms);
});

test("answers that wait survive a reload", async (t) => {
  const { context, page, answers } = await open(t);
  await context.route("**/api/events", (route) => route.abort());
  const expected = [];
  for (const key of ["9", "0", "-"]) expected.push(await answer(page, [key]));
  await waiting(page, 3);
  await page.reload();
  await page.getByTestId("face").waitFor();
  assert.ok(!expected.includes(Number(await faceOf(page))), "an answered face is not shown again");
  await waiting(page, 3);
  assert.deepEqual(await answers(), []);
  await context.unroute("**/api/events");
  await saved(page);
  assert.deepEqual((await answers()).map(({ face }) => face).reverse(), expected);
});

test("two tabs send each event once", async (t) => {
  const { context, page, pool, answers } = await open(t);
  await context.route("**/api/events", (route) => route.abort());
  const expected = [];
  for (const key of ["9", "0", "-"]) expected.push(await answer(page, [key]));
  const other = await visit(context, pool);
  expected.push(await answer(other, ["9"]));
  await waiting(other, 4);
  const sent = listen(context);
  await context.unroute("**/api/events");
  await Promise.all([page, other].map((tab) => tab.evaluate(() => window.dispatchEvent(new Event("online")))));
  await Promise.all([saved(page), saved(other)]);
  assert.deepEqual((await answers()).map(({ face }) => face).reverse(), expected);
  assert.equal(new Set(sent.map(({ id }) => id)).size, sent.length);
});

test("signed out: everything is kept and the way to sign in is shown", async (t) => {
  const { context, page, answers } = await open(t);
  await context.route("**/api/**", (route) => route.fulfill({ status: 401, json: { error: "signed out" } }));
  await answer(page, ["9"]);
  await stateIs(page, "Waiting: 1; you are signed out");
  assert.equal(await page.locator("#sign-in").getAttribute("href"), "/login");
  await context.unroute("**/api/**");
  await page.evaluate(() => window.dispatchEvent(new Event("focus")));
  await saved(page);
  assert.equal((await answers()).length, 1);
});

test("after signing in again the page goes on, but never under another name", async (t) => {
  const { context, pool, page: first } = await open(t);
  await first.waitForLoadState("networkidle");
  await first.close();
  const response = await context.request.get(`${project.url}/annotate/${pool}`);
  const [headers, fresh] = [response.headers(), await response.text()];
  // The page as it was before: with a token of the last session, and perhaps of another account.
  const visitStale = async (change) => {
    const body = change(fresh.replace(/(name="csrf" content=")[^"]*/, "$1stale"));
    await context.route(`**/annotate/${pool}`, (route) => route.fulfill({ headers, body }), { times: 1 });
    const page = await context.newPage();
    await page.goto(`${project.url}/annotate/${pool}`);
    return page;
  };
  const other = await visitStale((body) => body.replace(/"account":\d+/, '"account":999999'));
  await other.getByText("You are signed out.").waitFor();
  assert.equal(await other.getByTestId("face").count(), 0);
  await other.close();
  const page = await visitStale((body) => body);
  await page.getByTestId("face").waitFor();
  await answer(page, ["9"]);
  await saved(page);
  assert.equal((await answersOf(page, pool)).length, 1);
});

test("what the server refuses is said and dropped", async (t) => {
  const { context, page } = await open(t);
  await context.route("**/api/events", (route) => {
    const results = route.request().postDataJSON().events.map(({ id }) => ({ id, status: "refused", reason: "<i>gone</i>", suggestion: null }));
    return route.fulfill({ json: { results, progress: { today: 0, mine: 0, done: 0, wanted: 1 } } });
  });
  await answer(page, ["9"]);
  await page.getByText("The server did not take an answer: <i>gone</i>").waitFor();
  await saved(page);
});

test("the time per face leaves out dialogs", async (t) => {
  const { context, page } = await open(t);
  const sent = listen(context);
  await page.keyboard.press("?");
  await page.waitForFunction((since) => performance.now() - since > 1500, await page.evaluate(() => performance.now()));
  await page.keyboard.press("Escape");
  await answer(page, ["9"]);
  await saved(page);
  assert.ok(sent[0].elapsed_ms < 1400, `${sent[0].elapsed_ms} ms`);
});

test("the point follows a pointer, and to the right is pleasant also in a right-to-left page", async (t) => {
  for (const language of ["en", "fa"]) {
    const { context, page } = await open(t, { language, hasTouch: true });
    const sent = listen(context);
    await page.getByTestId("expression-1").tap();
    const box = await page.getByTestId("plot").boundingBox();
    const at = (valence, arousal) => [
      box.x + box.width / 2 + (valence * 100 * box.width) / 224,
      box.y + box.height / 2 - (arousal * 100 * box.height) / 224,
    ];
    await page.mouse.move(...at(0.3, 0.3));
    await page.mouse.down();
    await page.mouse.move(...at(0.6, 0.2));
    await page.mouse.up();
    await page.keyboard.press("ArrowRight");
    const face = await faceOf(page);
    await page.getByTestId("confirm").tap();
    await page.waitForFunction((old) => document.querySelector("[data-testid=face]")?.dataset.face !== old, face);
    await page.waitForFunction(() => document.querySelector("[data-testid=state]")?.dataset.condition === "saved");
    assert.ok(Math.abs(sent[0].valence - 0.65) < 0.03 && Math.abs(sent[0].arousal - 0.2) < 0.03, JSON.stringify(sent[0]));
  }
});

test("a screen reader hears what was answered", async (t) => {
  const { page } = await open(t);
  await page.keyboard.press("2");
  await page.keyboard.press("ArrowUp");
  const slider = page.getByRole("slider", { name: "Arousal" });
  assert.match(await slider.getAttribute("aria-valuetext"), /^0\.24, excited, inside the suggested region$/);
  assert.ok(await slider.evaluate((element) => element === document.activeElement));
  await answer(page, ["Enter"]);
  assert.match(await page.getByTestId("announce").textContent(), /^Face 1, Happy, valence 0\.52, arousal 0\.24, saved$/);
});

test("nothing to complain of for axe, in every state and language, light and dark", async (t) => {
  for (const language of LANGUAGES) {
    const { page } = await open(t, { language });
    const check = async (state) => {
      // Colours are the same in all languages.
      for (const colorScheme of language === "en" ? ["light", "dark"] : ["light"]) {
        await page.emulateMedia({ colorScheme });
        const { violations } = await new AxeBuilder({ page }).analyze();
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
        assert.deepEqual(found, [], `${language}, ${state}, ${colorScheme}`);
      }
    };
    await check("first face");
    await page.keyboard.press("2");
    await check("category chosen");
    for (let i = 0; i < 6; i += 1) await page.keyboard.press("Shift+ArrowLeft");
    await page.keyboard.press("Enter");
    await check("outside the region");
    await page.keyboard.press("Enter");
    await page.keyboard.press("c");
    await check("photograph");
    for (const [key, dialog] of [["t", "today"], ["f", "flag"], ["?", "help"]]) {
      await page.keyboard.press(key);
      await page.getByTestId(dialog).waitFor();
      await check(dialog);
      await page.keyboard.press("Escape");
      await page.getByTestId(dialog).waitFor({ state: "hidden" });
    }
  }
});

test("it fits desktop and tablets without scrolling sideways, and fingers hit every control", async (t) => {
  for (const [width, height] of [[1280, 800], [1024, 768], [768, 1024]]) {
    for (const language of LANGUAGES) {
      const { page } = await open(t, { language, viewport: { width, height } });
      await page.keyboard.press("2");
      const size = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
      assert.deepEqual(size, [width, height], language);
      const small = await page.locator("button:visible, [role=slider]:visible, nav a:visible").evaluateAll((all) =>
        all.filter((element) => element.getBoundingClientRect().height < 44 || element.getBoundingClientRect().width < 44).map((element) => element.outerHTML),
      );
      assert.deepEqual(small, []);
    }
  }
});
