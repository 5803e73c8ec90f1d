// Where does a story get a browser, a project with faces, a server and a signed-in annotator from?
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";

import { chromium } from "playwright-core";

export const LANGUAGES = ["en", "es", "pt", "de", "ar", "fa"];
const N_FACES = 300;
const EMAIL = "annotator@example.org";
const PASSWORD = "correct horse battery staple";
const LABELS = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"];

/** CHROMIUM names the browser. @returns {Promise<import("playwright-core").Browser>} */
export function startBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}

/**
 * A running server with faces to annotate.
 *
 * With AFFECTORY_URL (http://127.0.0.1:PORT) it is one that runs already: nobody needs to sign in there, the language
 * follows the cookie `language`, and every number is a pool with at least 300 faces that nobody has answered.
 *
 * Otherwise AFFECTORY_BIN names the program, and what is expected of it is this:
 *   init DIR                                    makes the project
 *   --project DIR import folder DIR             takes 300 drawn faces in, one sub-folder a label
 *   --project DIR accounts add EMAIL --name NAME --role annotator --password-stdin
 *                                               makes an account that can sign in with the password on stdin
 *   --project DIR --json pools add NAME --annotator EMAIL
 *                                               puts all faces into a pool of that annotator's, assistance off;
 *                                               prints {"pool": ID}
 *   --project DIR serve --bind 127.0.0.1:0      prints the address it serves on, http://127.0.0.1:PORT, on a line of
 *                                               stdout or stderr, and ends on SIGTERM
 * The form at /login has fields named `email` and `password` and one submit button; the cookie `language` chooses the
 * language of an account that has none of its own.
 *
 * @returns {Promise<{url: string, freshPool: () => number, signIn: (context: import("playwright-core").BrowserContext)
 *   => Promise<void>, stop: () => Promise<void>}>} `freshPool`: a pool in which nothing is answered
 */
export async function startProject() {
  const running = process.env.AFFECTORY_URL;
  if (running) {
    let pool = Math.floor(Math.random() * 1e6) * 1000;
    return { url: running, freshPool: () => (pool += 10), signIn: async () => {}, stop: async () => {} };
  }
  const bin = process.env.AFFECTORY_BIN;
  if (!bin) throw new Error("set AFFECTORY_BIN to the program, or AFFECTORY_URL to a server that runs");
  const folder = mkdtempSync(join(tmpdir(), "affectory-e2e-"));
  const project = join(folder, "project");
  const affectory = (args, input = "") => {
    const { status, stdout, stderr } = spawnSync(bin, args, { input, encoding: "utf8" });
    if (status !== 0) throw new Error(`affectory ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  affectory(["init", project]);
  affectory(["--project", project, "import", "folder", drawFaces(join(folder, "faces"))]);
  affectory(["--project", project, "accounts", "add", EMAIL, "--name", "Annotator", "--role", "annotator", "--password-stdin"], PASSWORD);

  const child = spawn(bin, ["--project", project, "serve", "--bind", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "pipe"] });
  const url = await new Promise((resolve, reject) => {
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
  let n_pools = 0;
  return {
    url,
    freshPool() {
      n_pools += 1;
      return JSON.parse(affectory(["--project", project, "--json", "pools", "add", `story ${n_pools}`, "--annotator", EMAIL])).pool;
    },
    async signIn(context) {
      const page = await context.newPage();
      await page.goto(`${url}/login`);
      await page.locator("[name=email]").fill(EMAIL);
      await page.locator("[name=password]").fill(PASSWORD);
      await page.locator("main button[type=submit]").click();
      await page.waitForURL((address) => address.pathname !== "/login");
      await page.close();
    },
    async stop() {
      const ended = new Promise((resolve) => child.on("exit", resolve));
      child.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
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
