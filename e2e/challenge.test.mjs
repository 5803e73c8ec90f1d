// Does a team get through a challenge in a browser: refused for line 17, scored, climbing, out of quota, at last ranked?
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import AxeBuilder from "@axe-core/playwright";

import { startBrowser, startProject } from "./lib.mjs";

const LABELS = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"];
const N = 400;
const name = (n) => `${String(n).padStart(3, "0")}.png`;
const label = (n) => LABELS[(n * 7 + Math.floor(n / 9)) % 8];
const other = (n) => LABELS[(LABELS.indexOf(label(n)) + 1) % 8];
const table = (of) => `image,expression\n${Array.from({ length: N }, (_, n) => `${name(n)},${of(n)}\n`).join("")}`;
/** @param {number} nRight @returns {string} answers of which so many are right */
const answers = (nRight) => table((n) => (n < nRight ? label(n) : other(n)));
const day = (offset) => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);

let browser;
let project;
let folder;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "affectory-e2e-key-"));
  project = await startProject();
  browser = await startBrowser();
  writeFileSync(join(folder, "truth.csv"), table(label));
  process.env.AFFECTORY_CHALLENGE_KEY = join(folder, "key");
  project.run(["challenge", "key", join(folder, "key")]);
  const dates = ["--opens", day(-1), "--final-opens", day(5), "--closes", day(9)];
  const what = ["--task", "expression", "--metric", "accuracy", "--per-day", "3", "--title", "Faces in the wild"];
  project.run(["challenge", "create", "faces", "--truth", join(folder, "truth.csv"), ...what, ...dates]);
});
after(async () => {
  await browser?.close();
  await project?.stop();
  if (folder) rmSync(folder, { recursive: true });
});

test("a team submits, is refused for line 17, submits again, climbs, runs out of quota", async (t) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, javaScriptEnabled: true });
  t.after(() => context.close());
  await project.signIn(context, project.account("researcher"));
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(error));
  const hand = async (text) => {
    await page.getByLabel("CSV with your answers").setInputFiles({ name: "answers.csv", mimeType: "text/csv", buffer: Buffer.from(text) });
    await page.getByRole("button", { name: "Submit" }).click();
    await page.waitForURL(/\/challenges\/faces\/team$/);
  };
  const newest = () => page.getByTestId("submissions").locator("tbody tr").first();

  await page.goto(`${project.url}/challenges`);
  await page.getByRole("link", { name: "Faces in the wild" }).click();
  await page.getByTestId("phase").getByText("development phase").waitFor();
  const inputs = await (await page.request.get(`${project.url}/challenges/faces/inputs.csv`)).text();
  assert.equal(inputs, `image\n${Array.from({ length: N }, (_, n) => `${name(n)}\n`).join("")}`);
  await page.getByRole("link", { name: "Your team and submissions" }).click();
  await page.getByLabel("Name of the team").fill("The <b>Nets</b>");
  await page.getByRole("button", { name: "Make the team" }).click();

  await hand(answers(200).replace(/015\.png,\w+/, "015.png,hapy"));
  await newest().getByText("line 17: expression `hapy` is no category of this challenge").waitFor();
  await page.getByTestId("quota").getByText("0 of 3").waitFor();

  await hand(answers(200));
  await newest().getByText("queued").waitFor();
  assert.deepEqual(JSON.parse(project.run(["--json", "challenge", "score", "faces"])), { scored: 1, refused: 0 });
  await page.reload();
  const first = Number(/expression: (0\.\d\d)/.exec(await newest().textContent())[1]);
  assert.ok(Math.abs(first - 0.5) < 0.1, String(first));

  await hand(answers(199));
  project.run(["challenge", "score", "faces"]);
  await page.reload();
  await newest().getByText(`expression: ${first.toFixed(2)}, as before`).waitFor();

  await hand(answers(320));
  project.run(["challenge", "score", "faces"]);
  await page.reload();
  const last = Number(/expression: (0\.\d\d)/.exec(await newest().textContent())[1]);
  assert.ok(last > first + 0.2, `${first} to ${last}`);
  await page.getByTestId("quota").getByText("3 of 3").waitFor();
  assert.equal(await page.getByRole("button", { name: "Submit" }).count(), 0, "out of quota");

  await page.goto(`${project.url}/challenges/faces`);
  const row = page.getByTestId("board-expression").locator("tbody tr").first();
  await row.getByText("The <b>Nets</b>").waitFor();
  await row.getByText(last.toFixed(2), { exact: true }).waitFor();
  for (const path of ["/challenges", "/challenges/faces", "/challenges/faces/team"]) {
    await page.goto(project.url + path);
    const { violations } = await new AxeBuilder({ page }).analyze();
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes[0].html]), [], path);
  }
});

test("the close reveals the private half", async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  assert.equal((await page.request.get(`${project.url}/challenges/faces/final/results.csv`)).status(), 404);
  project.run(["challenge", "close", "faces", "--early"]);
  await page.goto(`${project.url}/challenges/faces`);
  await page.getByRole("heading", { name: "Final results: expression" }).waitFor();
  const csv = await (await page.request.get(`${project.url}/challenges/faces/final/results.csv`)).text();
  assert.equal(csv, project.run(["challenge", "tables", "faces"]));
  assert.match(csv, /^task,metric,rank,tied,team,submission,score,low,high\nexpression,accuracy,1,0,The <b>Nets<\/b>,/);
});
