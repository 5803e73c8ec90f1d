// Do the whole stories work in a browser: from an invitation to a settled face, two people at once, a server that dies?
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";

import AxeBuilder from "@axe-core/playwright";

import { startBrowser, startProject } from "./lib.mjs";

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

async function person(t, role, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  t.after(() => context.close());
  const account = project.account(role);
  await project.signIn(context, account);
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(error));
  return { context, page, account };
}

const faceOf = (page) => page.getByTestId("face").getAttribute("data-face");

/** Answers the face in hand by keys and waits for the next. @returns {Promise<number>} which it was */
async function answer(page, ...keys) {
  const face = await faceOf(page);
  for (const key of keys) await page.keyboard.press(key);
  await page.waitForFunction((old) => document.querySelector("[data-testid=face]")?.dataset.face !== old, face);
  return Number(face);
}

const saved = (page) => page.getByTestId("state").getByText(/^All saved$/).waitFor();

/** With SHOTS set: pictures of what a story saw, for the docs and for eyes. */
async function shot(page, name) {
  if (!process.env.SHOTS) return;
  mkdirSync(process.env.SHOTS, { recursive: true });
  await page.screenshot({ path: `${process.env.SHOTS}/${name}.png` });
}

test("from an invitation over tutorial and quiz to fifty faces, a flag, a decision, and another agreement", async (t) => {
  const { page: lead } = await person(t, "administrator");
  await lead.goto(`${project.url}/pools`);
  await lead.getByLabel("Name").fill("after the quiz");
  await lead.getByLabel("Overlap, percent of faces").fill("100");
  await lead.getByLabel("Only faces that nobody has labelled").uncheck();
  await lead.getByRole("button", { name: "Make the pool" }).click();
  await lead.getByRole("rowheader", { name: "after the quiz" }).waitFor();
  await shot(lead, "pools");

  await lead.goto(`${project.url}/people`);
  await lead.getByLabel("E-mail address").fill("noor@example.org");
  await lead.getByRole("button", { name: "Make an invitation link" }).click();
  const link = await lead.getByTestId("invitation-link").textContent();

  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  t.after(() => context.close());
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(error));
  await page.goto(link);
  await page.getByLabel("Name").fill("Noor <b>");
  await page.getByLabel("Password", { exact: true }).fill("a long password");
  await page.getByLabel("Password again").fill("another password");
  await page.locator("main button[type=submit]").click();
  await page.getByRole("alert").getByText("The two passwords differ.").waitFor();
  await page.getByLabel("Password", { exact: true }).fill("a long password");
  await page.getByLabel("Password again").fill("a long password");
  await page.locator("main button[type=submit]").click();
  await page.getByRole("heading", { name: "Your work" }).waitFor();
  await shot(page, "home");
  const used = await browser.newContext();
  assert.equal((await (await used.newPage()).goto(link)).status(), 410, "a link works once");
  await used.close();

  // The pool is closed until the quiz is passed; the first try fails.
  const pool = (await (await lead.request.get(`${project.url}/pools`)).text()).match(/\/pools\/(\d+)\/state/)[1];
  assert.equal((await page.request.get(`${project.url}/annotate/${pool}`)).status(), 422);
  await page.goto(`${project.url}/tutorial`);
  assert.equal(await page.locator("article.lesson").count(), 11, "each category has a worked face");
  await shot(page, "tutorial");
  await page.getByRole("link", { name: "To the quiz" }).click();
  for (const question of await page.locator("fieldset").all()) await question.getByLabel("Uncertain").check();
  await page.getByRole("button", { name: "Answer" }).click();
  await page.getByTestId("quiz-result").getByText("Not yet: 0 of 18").waitFor();
  await page.getByRole("link", { name: "Try again" }).click();
  // What the drawings show, in the quiz's order.
  const shown = ["Contempt", "Happy", "Fear", "No face", "Sad", "Anger", "Neutral", "Surprise", "Disgust"];
  const questions = await page.locator("fieldset").all();
  for (const [i, question] of questions.entries()) await question.getByLabel(shown[i % 9], { exact: true }).check();
  await shot(page, "quiz");
  await page.getByRole("button", { name: "Answer" }).click();
  await page.getByTestId("quiz-result").getByText("Passed: 18 of 18").waitFor();

  await page.goto(`${project.url}/annotate/${pool}`);
  await page.getByTestId("face").waitFor();
  const answered = [];
  for (let i = 0; i < 50; i += 1) answered.push(await answer(page, "2", "Enter"));
  assert.equal(new Set(answered).size, 50);
  await page.keyboard.press("u");
  await page.waitForFunction((face) => document.querySelector("[data-testid=face]")?.dataset.face === face, String(answered[49]));
  await answer(page, "3", "Enter");
  await page.keyboard.press("f");
  await page.getByRole("dialog").locator("textarea").fill("two <i>faces</i>?");
  await page.getByRole("dialog").locator("button.primary").click();
  await saved(page);
  await shot(page, "annotate");

  // A second annotator disagrees about everything: agreement falls.
  const agreement = async () => {
    const response = await lead.request.get(`${project.url}/api/agreement`);
    return response.ok() ? response.json() : { n_annotations: -1 };
  };
  const counted = async (n) => {
    for (;;) {
      const figures = await agreement();
      if (figures.n_annotations >= n) return figures;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  const imported = 300;
  const before = await counted(imported + 50);
  const { page: other } = await person(t, "lead");
  await other.goto(`${project.url}/annotate/${project.pool}`);
  await other.getByTestId("face").waitFor();
  for (let i = 0; i < 20; i += 1) await answer(other, "7", "Enter");
  await saved(other);
  const later = await counted(imported + 70);
  assert.notEqual(later.agreement.expression.percent, before.agreement.expression.percent);
  const printed = JSON.parse(project.run(["--json", "annotations", "agreement"]));
  assert.deepEqual(later.agreement, printed, "the dashboard's figures are the command line's");
  await lead.goto(`${project.url}/quality`);
  await lead.getByTestId("percent").waitFor();
  await shot(lead, "quality");

  await lead.goto(`${project.url}/flags`);
  assert.equal(await lead.getByTestId("note").first().textContent(), "two <i>faces</i>?");
  await lead.getByLabel("Answer").first().fill("The left one.");
  await lead.getByRole("button", { name: "Done" }).first().click();
  await lead.getByText("Nothing is flagged.").waitFor();

  await lead.goto(`${project.url}/adjudicate`);
  await lead.locator("main article a").first().waitFor({ timeout: 20_000 });
  await shot(lead, "adjudicate");
  const place = await lead.locator("main article a").first().getAttribute("href");
  await lead.goto(project.url + place);
  await lead.getByLabel("Category").selectOption({ label: "Sad" });
  await lead.getByLabel("Valence, -1 to 1").fill("-0.5");
  await lead.getByLabel("Arousal, -1 to 1").fill("-0.2");
  await lead.getByRole("button", { name: "Decide" }).click();
  await lead.waitForURL(`${project.url}/adjudicate`);
  assert.equal(await lead.locator(`main a[href="${place}"]`).count(), 0, "a settled face is no longer doubtful");
  await lead.goto(project.url + place);
  await lead.getByText("(decision)").waitFor();

  await lead.goto(`${project.url}/audit`);
  for (const act of ["invite", "make-account", "make-pool", "quiz", "adjudicate", "resolve-flag"]) {
    assert.ok(await lead.getByRole("cell", { name: act, exact: true }).count(), `${act} is in the audit log`);
  }
});

test("two browsers at once never get the same assignment", async (t) => {
  project.run(["pools", "add", "one each", "--labelled", "--overlap", "0"]);
  const pools = JSON.parse(project.run(["--json", "pools", "list"]));
  const pool = pools.find(({ name }) => name === "one each").id;
  const both = await Promise.all([person(t, "annotator"), person(t, "annotator")]);
  await Promise.all(both.map(({ page }) => page.goto(`${project.url}/annotate/${pool}`)));
  await Promise.all(both.map(({ page }) => page.getByTestId("face").waitFor()));
  const seen = await Promise.all(
    both.map(async ({ page }) => {
      const faces = [];
      for (let i = 0; i < 40; i += 1) faces.push(await answer(page, "9"));
      await saved(page);
      return faces;
    }),
  );
  assert.equal(new Set(seen.flat()).size, 80);
  const after = JSON.parse(project.run(["--json", "pools", "list"])).find(({ id }) => id === pool);
  assert.equal(after.n_done, 80);
});

test("a server that is killed loses nothing, and the work goes on without it", async (t) => {
  const { page } = await person(t, "annotator");
  await page.goto(`${project.url}/annotate/${project.pool}`);
  await page.getByTestId("face").waitFor();
  const faces = [await answer(page, "9")];
  await saved(page);
  await project.kill();
  for (let i = 0; i < 5; i += 1) faces.push(await answer(page, "9"));
  await page.getByTestId("state").getByText("Waiting: 5; no connection").waitFor();
  await project.restart();
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await saved(page);
  const { answers } = await (await page.request.get(`${project.url}/api/pools/${project.pool}/today`)).json();
  assert.deepEqual(answers.map(({ face }) => face).reverse(), faces);
});

test("nothing to complain of for axe on any page, light and dark, desktop and tablet", async (t) => {
  const { page } = await person(t, "administrator");
  const pages = ["/", "/tutorial", "/quiz", "/account", "/quality", "/adjudicate", "/collection", "/pools", "/training", "/flags", "/people", "/audit"];
  for (const path of pages) {
    await page.goto(project.url + path);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await new AxeBuilder({ page }).analyze();
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes[0].html]), [], `${path}, ${colorScheme}`);
    }
    await page.setViewportSize({ width: 768, height: 1024 });
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(sideways <= 0, `${path} scrolls sideways by ${sideways} pixels on a tablet`);
    await page.setViewportSize({ width: 1280, height: 800 });
  }
  const signedOut = await browser.newContext();
  const login = await signedOut.newPage();
  await login.goto(`${project.url}/login`);
  assert.deepEqual((await new AxeBuilder({ page: login }).analyze()).violations, []);
  await signedOut.close();
});
