// Does a researcher get what was signed for, and nobody else: by letters, a PDF, a reviewer, a download?
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";

import AxeBuilder from "@axe-core/playwright";
import { PDFDocument, rgb } from "@cantoo/pdf-lib";

import { drawNoise, startBrowser, startMail, startProject } from "./lib.mjs";

let browser;
let mail;
let project;
before(async () => {
  mail = await startMail();
  project = await startProject((run, folder) => {
    // More than a connection's buffers hold, so that a download can be ended in its middle.
    run(["import", "folder", drawNoise(join(folder, "..", "noise"), 40, 720)]);
    run(["release", "build", "v1", "--seed", "1"]);
    run(["portal", "init"]);
    const path = join(folder, "portal.toml");
    const settings = readFileSync(path, "utf8")
      .replace('server = ""', `server = "127.0.0.1:${mail.port}"`)
      .replace('security = "starttls"', 'security = "none"')
      .replace("# [[release]]\n", '[[release]]\nname = "v1"\ntitle = "First release"\nchanges = ["the first one"]\n');
    writeFileSync(path, settings);
    run(["portal", "check"]);
  });
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await project?.stop();
  await mail?.stop();
});

async function visitor(t, account) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true });
  t.after(() => context.close());
  if (account) await project.signIn(context, account);
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(error));
  return page;
}

/** With SHOTS set: pictures of what a story saw, for the docs and for eyes. */
async function shot(page, name) {
  if (!process.env.SHOTS) return;
  mkdirSync(process.env.SHOTS, { recursive: true });
  await page.screenshot({ path: `${process.env.SHOTS}/${name}.png`, fullPage: true });
}

async function isAccessible(page) {
  const { violations } = await new AxeBuilder({ page }).exclude("iframe").analyze();
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), []);
}

const professor = (email) => ({ "Your name": "Noor Ξένια Ivić", "Your address at your institution": email, Position: "Professor", Institution: "University of Cagliari", "What for": "To study how agreement varies." });

async function ask(page, fields, who = "the head of a laboratory, or a professor") {
  await page.goto(`${project.url}/data/v1`);
  await page.getByRole("link", { name: "Ask for access" }).click();
  await page.getByLabel(who).check();
  for (const [label, text] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(text);
  await page.getByRole("button", { name: "Ask for access" }).click();
}

const PASSWORD = "a long password";

async function own(page, email) {
  await page.goto(await mail.link(email, "/request/confirm/"));
  await page.getByLabel("A password, for your account here").fill(PASSWORD);
  await page.getByLabel("Password again").fill(PASSWORD);
  await page.getByRole("button", { name: "Go on to the agreement" }).click();
  await page.getByText("The agreement waits for a signature.").waitFor();
}

/** The agreement, as bytes. */
async function download(page) {
  const waiting = page.waitForEvent("download");
  await page.getByRole("link", { name: /Download the agreement/ }).click();
  return readFileSync(await (await waiting).path());
}

/** Draws a line where people sign, as a PDF reader's pen does. */
async function signed(pdf, change = () => {}) {
  const document = await PDFDocument.load(pdf);
  const last = document.getPages().at(-1);
  const { context } = document;
  const ink = context.register(context.obj({
    Type: "Annot", Subtype: "Ink", Rect: [90, 120, 400, 420], F: 4, C: [0, 0, 0.5],
    InkList: [[100, 300, 140, 340, 180, 290, 220, 330, 260, 300]],
  }));
  last.node.addAnnot(ink);
  await change(document);
  return Buffer.from(await document.save());
}

async function upload(page, bytes, name = "signed.pdf") {
  await page.getByLabel("The signed PDF, at most 10 MiB").setInputFiles({ name, mimeType: "application/pdf", buffer: bytes });
  await page.getByRole("button", { name: /^Upload/ }).click();
}

/** What a program gets, with a token. */
function get(path, token, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.get(`${project.url}${path}`, { headers: { authorization: `Bearer ${token}`, ...headers } }, (response) => {
      const chunks = [];
      const settle = (isWhole) => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks), isWhole });
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => settle(response.complete));
      response.on("error", () => settle(false));
    });
    request.on("error", reject);
  });
}

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

test("a professor asks, signs, is asked back, gets access, downloads, names a student, and loses it in mid-download", async (t) => {
  const page = await visitor(t);
  await page.goto(`${project.url}/data`);
  await isAccessible(page);
  await ask(page, { ...professor("noor@unica.example"), "ORCID iD": "0000-0002-1825-0098" });
  await page.getByRole("alert").getByText("is no ORCID iD").waitFor();
  await isAccessible(page);
  await page.getByLabel("ORCID iD").fill("0000-0002-1825-0097");
  await page.getByLabel("Your address at your institution").fill("noor@gmail.com");
  await page.getByRole("button", { name: "Ask for access" }).click();
  await page.getByRole("alert").getByText("is open to everybody").waitFor();
  await page.getByLabel("Your address at your institution").fill("noor@unica.example");
  await page.getByRole("button", { name: "Ask for access" }).click();
  await page.getByRole("status").getByText("We have written to").waitFor();
  await own(page, "noor@unica.example");
  await isAccessible(page);
  await shot(page, "agreement-waits");

  const agreement = await download(page);
  assert.equal(agreement.subarray(0, 5).toString(), "%PDF-");
  await upload(page, agreement);
  await page.getByRole("alert").getByText(/signature: refused/).waitFor();
  await upload(page, await signed(agreement));
  await page.getByText("waits for our decision").waitFor();

  const lead = await visitor(t, project.account("lead"));
  await lead.goto(`${project.url}/requests`);
  await lead.getByRole("link", { name: "Noor Ξένια Ivić" }).click();
  await lead.getByRole("heading", { name: "As it came back" }).waitFor();
  await isAccessible(lead);
  await shot(lead, "review");
  await lead.getByLabel(/Your question/).fill("Is the second campus meant?");
  await lead.getByRole("button", { name: "Ask back" }).click();
  await lead.getByText("We have a question.").waitFor();
  await page.reload();
  await page.getByText("Is the second campus meant?").waitFor();
  await page.getByLabel("Your answer").fill("Yes, it is.");
  await page.getByRole("button", { name: "Answer" }).click();
  await page.getByText("waits for our decision").waitFor();
  await lead.reload();
  await lead.getByText("Yes, it is.").waitFor();
  await lead.getByRole("button", { name: "Grant" }).click();
  await lead.getByText("Granted.").waitFor();

  await page.reload();
  await page.getByRole("heading", { name: "Access to v1" }).waitFor();
  await page.getByLabel("What it is for").fill("the cluster");
  await page.getByRole("button", { name: "Make a token" }).click();
  const token = await page.getByTestId("token").textContent();
  const grant = (await page.getByRole("link", { name: "Files" }).getAttribute("href")).split("/").at(-1);
  let list = await get(`/files/${grant}`, token, { accept: "application/json" });
  for (let n = 0; n < 100 && list.status === 503; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    list = await get(`/files/${grant}`, token, { accept: "application/json" });
  }
  const { files } = JSON.parse(list.body);
  const [archive, manifest] = await Promise.all(files.map(({ name }) => get(`/files/${grant}/${name}`, token)));
  assert.deepEqual([sha256(archive.body), sha256(manifest.body)], files.map((file) => file.sha256));
  const part = await get(`/files/${grant}/${files[0].name}`, token, { range: "bytes=700-1699", "if-range": archive.headers.etag });
  assert.equal(part.status, 206);
  assert.ok(part.body.equals(archive.body.subarray(700, 1700)));
  await page.goto(`${project.url}/files/${grant}`);
  await isAccessible(page);
  await shot(page, "files");
  // The same by our program, which goes on with a part, and by the script with curl.
  const folder = join(project.project, "..", "fetched");
  const scripted = join(project.project, "..", "scripted");
  for (const made of [folder, scripted]) mkdirSync(made);
  writeFileSync(join(folder, `${files[0].name}.part`), archive.body.subarray(0, 5000));
  const env = { ...process.env, AFFECTORY_TOKEN: token };
  const { bytes } = JSON.parse(execFileSync(process.env.AFFECTORY_BIN, ["--json", "fetch", `${project.url}/files/${grant}`, "--to", folder], { env })).files[0];
  assert.equal(bytes, archive.body.length);
  writeFileSync(join(scripted, "download.sh"), (await get(`/files/${grant}/download.sh`, token)).body);
  execFileSync("sh", ["download.sh"], { env, cwd: scripted, stdio: "pipe" });
  for (const made of [folder, scripted]) assert.ok(readFileSync(join(made, files[0].name)).equals(archive.body));

  await page.goto(`${project.url}/access`);
  await page.getByLabel("Name", { exact: true }).fill("Sam Student");
  await page.getByLabel("Address at your institution", { exact: true }).fill("sam@unica.example");
  await page.getByRole("button", { name: "Name a student" }).click();
  await page.getByText("Sam Student").waitFor();
  const student = await visitor(t);
  await student.goto(await mail.link("sam@unica.example", "/join/"));
  await isAccessible(student);
  await student.getByLabel("A password, for your account here").fill(PASSWORD);
  await student.getByLabel("Password again").fill(PASSWORD);
  await student.getByLabel(/accept these terms/).check();
  await student.getByRole("button", { name: "Accept" }).click();
  await student.getByText("through Noor Ξένια Ivić").waitFor();
  await shot(page, "access");

  // A client that reads slowly: most of the archive is still on its way when the access ends.
  const slow = await new Promise((resolve) => {
    http.get(`${project.url}/files/${grant}/${files[0].name}`, { headers: { authorization: `Bearer ${token}` } }, resolve);
  });
  slow.pause();
  await lead.goto(`${project.url}/grants`);
  await shot(lead, "grants");
  await lead.getByLabel("Reason to revoke; it is mailed").fill("a copy was found elsewhere");
  await lead.getByRole("button", { name: "Revoke at once" }).click();
  await lead.getByText("a copy was found elsewhere").waitFor();
  let n_bytes = 0;
  const isWhole = await new Promise((resolve) => {
    slow.on("data", (chunk) => (n_bytes += chunk.length));
    slow.on("end", () => resolve(slow.complete));
    slow.on("error", () => resolve(false));
    slow.resume();
  });
  assert.ok(!isWhole && n_bytes < files[0].bytes, `${n_bytes} of ${files[0].bytes} bytes came`);
  assert.equal((await get(`/files/${grant}/${files[0].name}`, token)).status, 404);
  await student.reload();
  await student.getByText("Ended on").waitFor();
});

test("a student is sent to the supervisor, who owns the request; a link opens once, and an old one nothing", async (t) => {
  const page = await visitor(t);
  await ask(
    page,
    { ...professor("stud@uni.example"), "Your name": "Stu Dent", "Their name": "Ada Advisor", "Their address at the institution": "ada@uni.example" },
    "a student, or employed by one of them",
  );
  await page.getByRole("status").waitFor();
  const link = await mail.link("stud@uni.example", "/request/confirm/");
  await page.goto(link);
  await page.getByRole("button", { name: "Send it to my supervisor" }).click();
  await page.getByText("We have written to").waitFor();
  await page.goto(link);
  await page.getByText("This link was used, or it has expired.").waitFor();

  // A week passes for one link.
  const late = await visitor(t);
  await ask(late, professor("late@uni.example"));
  const old = await mail.link("late@uni.example", "/request/confirm/");
  await late.goto(old);
  await late.getByRole("button", { name: "Go on to the agreement" }).waitFor();
  const earlier = "update access_request set token_expires_ms = token_expires_ms - 7 * 86400000 where email = 'late@uni.example'";
  project.sql(earlier);
  await late.goto(old);
  await late.getByText("This link was used, or it has expired.").waitFor();

  const advisor = await visitor(t);
  const theirs = await mail.link("ada@uni.example", "/request/confirm/");
  await advisor.goto(theirs);
  await advisor.getByText("asks for access through you").waitFor();
  await isAccessible(advisor);
  await advisor.getByLabel("Position").fill("Professor");
  await advisor.getByLabel("Your name").fill("阿达");
  await advisor.getByLabel("A password, for your account here").fill(PASSWORD);
  await advisor.getByLabel("Password again").fill(PASSWORD);
  await advisor.getByRole("button", { name: "Go on to the agreement" }).click();
  await advisor.getByRole("alert").getByText("write it in Latin letters").waitFor();
  await advisor.getByLabel("Your name").fill("Ada Advisor");
  await advisor.getByLabel("A password, for your account here").fill(PASSWORD);
  await advisor.getByLabel("Password again").fill(PASSWORD);
  await advisor.getByRole("button", { name: "Go on to the agreement" }).click();
  await advisor.getByText("The agreement waits for a signature.").waitFor();
  await upload(advisor, await signed(await download(advisor)));
  await advisor.getByText("waits for our decision").waitFor();
  const lead = await visitor(t, project.account("lead"));
  await lead.goto(`${project.url}/requests`);
  await lead.getByRole("link", { name: "Ada Advisor" }).click();
  await lead.getByText("On behalf of").waitFor();
  await lead.getByRole("button", { name: "Grant" }).click();
  await lead.getByText("Granted.").waitFor();
  await page.goto(await mail.link("stud@uni.example", "/join/"));
  await page.getByText("signed these terms").waitFor();
});

test("a forged, an edited, a foreign, an encrypted and a 500-page PDF are refused, each with what to do", async (t) => {
  const page = await visitor(t);
  await ask(page, professor("eve@uni.example"));
  await own(page, "eve@uni.example");
  const issued = await download(page);
  const refused = async (bytes, words) => {
    await upload(page, bytes);
    await page.getByRole("alert").getByText(words).first().waitFor();
    await page.goto(`${project.url}/access`);
    await page.getByText("The agreement waits for a signature.").waitFor();
  };
  const forged = await PDFDocument.create();
  forged.addPage().drawText("I agree to everything.");
  await refused(Buffer.from(await forged.save()), /refused/);
  await refused(Buffer.from("<html>I agree</html>"), /refused/);
  const edited = await signed(issued, (document) => {
    const page = document.getPages()[0];
    page.drawRectangle({ x: 60, y: 300, width: 400, height: 40, color: rgb(1, 1, 1) });
    page.drawText("for any purpose", { x: 60, y: 310, size: 11 });
  });
  await refused(edited, /page 1/);
  const other = await visitor(t);
  await ask(other, professor("mal@uni.example"));
  await own(other, "mal@uni.example");
  await refused(await signed(await download(other)), /AFF-\d{4}-\d+/);
  const encrypted = await signed(issued, (document) => document.encrypt({ userPassword: "x", ownerPassword: "y" }));
  await refused(encrypted, /password/);
  const long = await signed(issued, (document) => {
    while (document.getPageCount() < 500) document.addPage();
  });
  await refused(long, /500|pages/);
});

test("somebody in a picture has it withdrawn: it leaves the archive, and who has it is written to", async (t) => {
  const page = await visitor(t);
  await ask(page, professor("hol@uni.example"));
  await own(page, "hol@uni.example");
  await upload(page, await signed(await download(page)));
  const lead = await visitor(t, project.account("lead"));
  await lead.goto(`${project.url}/requests`);
  await lead.getByRole("link", { name: "Noor Ξένια Ivić" }).first().click();
  await lead.getByRole("button", { name: "Grant" }).click();
  await lead.getByText("Granted.").waitFor();
  await page.goto(`${project.url}/access`);
  await page.getByLabel("What it is for").fill("x");
  await page.getByRole("button", { name: "Make a token" }).click();
  const token = await page.getByTestId("token").textContent();
  const grant = (await page.getByRole("link", { name: "Files" }).getAttribute("href")).split("/").at(-1);
  const files = async (revision) => {
    for (let n = 0; n < 150; n += 1) {
      const list = await get(`/files/${grant}`, token, { accept: "application/json" });
      if (list.status === 200 && JSON.parse(list.body).revision === revision) return JSON.parse(list.body).files;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error(`there is no revision ${revision}`);
  };
  const [first, table] = await files(1);
  const manifest = (await get(`/files/${grant}/${table.name}`, token)).body.toString();
  await get(`/files/${grant}/${first.name}`, token);
  const image = /,([0-9a-f]{64}),/.exec(manifest)[1];

  const somebody = await visitor(t);
  await somebody.goto(`${project.url}/withdraw`);
  await isAccessible(somebody);
  await somebody.getByLabel("Which picture").fill(`It is ${image}, I am the one on the left.`);
  await somebody.getByLabel("Your e-mail address").fill("me@home.example");
  await somebody.getByRole("button", { name: "Ask for the withdrawal" }).click();
  await somebody.getByRole("status").waitFor();
  await lead.goto(`${project.url}/withdrawals`);
  await shot(lead, "withdrawals");
  await lead.getByRole("button", { name: "Withdraw and answer" }).click();
  await lead.getByText("Answered on").waitFor();
  const [second, next] = await files(2);
  assert.ok(!(await get(`/files/${grant}/${next.name}`, token)).body.includes(image));
  assert.ok(!(await get(`/files/${grant}/${second.name}`, token)).body.includes(image));
  assert.equal((await get(`/files/${grant}/${first.name}`, token)).status, 404);
  assert.match(await mail.link("hol@uni.example", "/access"), /access/);
  assert.ok(mail.letters.some(({ to, text }) => to === "me@home.example" && text.includes("out of the database")));
  assert.match(project.run(["portal", "holders", image]), /hol@uni.example/);
  assert.match(project.run(["audit", "verify"]), /none was changed/);
});
