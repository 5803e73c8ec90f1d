// Where does a story get a browser, a project with faces, a server and a signed-in annotator from?
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";

import { chromium } from "playwright-core";
import { SMTPServer } from "smtp-server";

export const LANGUAGES = ["en", "es", "pt", "de", "ar", "fa"];
const N_FACES = 300;
const PASSWORD = "correct horse battery staple";
const LABELS = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"];

/** CHROMIUM names the browser. @returns {Promise<import("playwright-core").Browser>} */
export function startBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}

/**
 * A running server with faces to annotate. AFFECTORY_BIN names the program.
 *
 * All stories share one pool in which every face is wanted from many annotators, and each story has people of its own: so
 * none sees what another has answered.
 *
 * @param {(run: (args: string[], input?: string) => string, project: string) => void} prepare what is done before it serves
 * @returns {Promise<{url: string, pool: number, project: string, run: (args: string[], input?: string) => string,
 *   sql: (statement: string) => void,
 *   account: (role?: string, language?: string) => {email: string, password: string},
 *   signIn: (context: import("playwright-core").BrowserContext, account: {email: string, password: string}) =>
 *   Promise<void>, kill: () => Promise<void>, restart: () => Promise<void>, stop: () => Promise<void>}>}
 */
export async function startProject(prepare = () => {}) {
  const bin = process.env.AFFECTORY_BIN;
  if (!bin) throw new Error("set AFFECTORY_BIN to the program, as scripts/test does");
  const folder = mkdtempSync(join(tmpdir(), "affectory-e2e-"));
  const project = join(folder, "project");
  const run = (args, input = "") => {
    const { status, stdout, stderr } = spawnSync(bin, ["--project", project, ...args], { input, encoding: "utf8" });
    if (status !== 0) throw new Error(`affectory ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const catalog = newCatalog();
  run(["init", project, "--catalog", catalog.url]);
  run(["import", "folder", drawFaces(join(folder, "faces"))]);
  const pool = JSON.parse(run(["--json", "pools", "add", "stories", "--labelled", "--overlap", "100", "--annotators", "90"])).pool;
  let n_accounts = 0;
  const account = (role = "annotator", language = "en") => {
    n_accounts += 1;
    const email = `${role}${n_accounts}@example.org`;
    run(["accounts", "add", email, "--name", `Story ${n_accounts}`, "--role", role, "--language", language, "--password-stdin"], PASSWORD);
    return { email, password: PASSWORD };
  };
  account("administrator");
  prepare(run, project);
  let child;
  let url = "";
  const serve = async (bind) => {
    child = spawn(bin, ["--project", project, "serve", "--bind", bind], { stdio: ["ignore", "pipe", "pipe"] });
    url = await new Promise((resolve, reject) => {
      let said = "";
      const listen = (chunk) => {
        said += chunk;
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said);
        if (found) resolve(found[0]);
      };
      child.stdout.setEncoding("utf8").on("data", listen);
      child.stderr.setEncoding("utf8").on("data", listen);
      child.on("exit", () => reject(new Error(`affectory serve ended: ${said}`)));
    });
  };
  const end = async (signal) => {
    const ended = new Promise((resolve) => child.on("exit", resolve));
    child.kill(signal);
    await ended;
  };
  await serve("127.0.0.1:0");
  return {
    url,
    pool,
    project,
    run,
    sql: (statement) => changeBehind(catalog.url, project, statement),
    account,
    async signIn(context, { email, password }) {
      const page = await context.newPage();
      await page.goto(`${url}/login`);
      await page.locator("[name=email]").fill(email);
      await page.locator("[name=password]").fill(password);
      await page.locator("main button[type=submit]").click();
      await page.waitForURL((address) => address.pathname !== "/login");
      await page.close();
    },
    /** As a power cut would. */
    kill: () => end("SIGKILL"),
    restart: () => serve(new URL(url).host),
    async stop() {
      await end("SIGTERM");
      rmSync(folder, { recursive: true });
      catalog.drop();
    },
  };
}

/**
 * SQLite, unless AFFECTORY_TEST_CATALOG=postgres: then a database of its own on the server in AFFECTORY_TEST_POSTGRES, whose
 * password stands in PGPASSWORD, as scripts/test sets them.
 * @returns {{url: string, drop: () => void}}
 */
function newCatalog() {
  if (process.env.AFFECTORY_TEST_CATALOG !== "postgres") return { url: "sqlite", drop() {} };
  const server = process.env.AFFECTORY_TEST_POSTGRES;
  const name = `affectory_e2e_${process.pid}`;
  psql(server, `create database ${name}`);
  const url = new URL(server);
  url.password = "";
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => psql(server, `drop database ${name} with (force)`) };
}

/** Changes a project's rows past the program, as time would. */
function changeBehind(url, project, statement) {
  if (url !== "sqlite") return psql(url, statement);
  const script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], 30); c.execute(sys.argv[2]); c.commit()";
  execFileSync("python3", ["-c", script, join(project, "catalog.sqlite"), statement]);
}

function psql(url, statement) {
  execFileSync("psql", [url, "--quiet", "--command", statement]);
}

/**
 * A mail server that keeps what it gets.
 * @returns {Promise<{port: number, letters: {to: string, text: string}[], link: (to: string, path: string) => Promise<string>,
 *   stop: () => Promise<void>}>}
 */
export async function startMail() {
  const letters = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    onData(stream, session, done) {
      const chunks = [];
      stream.on("data", (chunk) => chunks.push(chunk));
      stream.on("end", () => {
        const raw = Buffer.concat(chunks).toString("utf8");
        letters.push({ to: session.envelope.rcptTo[0].address, text: plain(raw) });
        done();
      });
    },
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: server.server.address().port,
    letters,
    /** The newest link to `path` in a letter to somebody; waits for the letter, and no link is given twice. */
    async link(to, path) {
      for (let n = 0; n < 200; n += 1) {
        const at = letters.findLastIndex((letter) => letter.to === to && letter.text.includes(path));
        if (at >= 0) {
          const [found] = letters.splice(at, 1);
          return new RegExp(`https?://\\S*${path}\\S*`).exec(found.text)[0];
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      throw new Error(`no letter to ${to} with ${path}: ${JSON.stringify(letters)}`);
    },
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
}

/** A letter's text, its transfer encoding undone. */
function plain(raw) {
  const [head, ...body] = raw.split("\r\n\r\n");
  const text = body.join("\r\n\r\n");
  if (/base64/i.test(head)) return Buffer.from(text, "base64").toString("utf8");
  if (!/quoted-printable/i.test(head)) return text;
  return text.replace(/=\r\n/g, "").replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Images that no perceptual hash takes for copies of each other: coarse noise. @returns {string} the folder */
function drawFaces(folder) {
  let state = 1;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  for (const label of LABELS) mkdirSync(join(folder, label), { recursive: true });
  for (let i = 0; i < N_FACES; i += 1) {
    const cells = Array.from({ length: 64 }, () => Math.floor(random() * 256));
    writeFileSync(join(folder, LABELS[i % LABELS.length], `${i}.png`), png(128, (x, y) => cells[(y >> 4) * 8 + (x >> 4)]));
  }
  return folder;
}

/** Large images, which nothing compresses. @returns {string} the folder */
export function drawNoise(folder, n_images, size) {
  let state = 7;
  const random = () => (state = (state * 48271) % 2147483647) & 255;
  mkdirSync(join(folder, "happy"), { recursive: true });
  for (let i = 0; i < n_images; i += 1) writeFileSync(join(folder, "happy", `noise${i}.png`), png(size, random));
  return folder;
}

/** @param {number} size @param {(x: number, y: number) => number} grey @returns {Buffer} a square grey PNG */
function png(size, grey) {
  const chunk = (name, data) => {
    const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header[8] = 8; // bits a sample; colour type 0 is grey
  const rows = Buffer.alloc(size * (size + 1));
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) rows[y * (size + 1) + 1 + x] = grey(x, y);
  }
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}
