// Opens a report in headless Chromium as its readers do: wide and narrow, light and dark, on paper.
// usage: node look.mjs CHROMIUM REPORT FOLDER; pictures and the PDF are kept in FOLDER. Prints `ok …` and `FAILED …` lines.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const [chromium, report, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const LONGEST_MS = 1000;
let failed = 0;
const check = (what, wrong) => {
  const problems = [].concat(wrong).filter(Boolean);
  failed += problems.length > 0;
  console.log(problems.length === 0 ? `ok ${what}` : `FAILED ${what}\n  ${problems.join("\n  ")}`);
};

// Chromium refuses its own sandbox to root.
const browser = await puppeteer.launch({
  executablePath: chromium,
  args: process.getuid() === 0 ? ["--no-sandbox"] : [],
  protocolTimeout: 600_000,
});
// The first page of a browser waits for the browser itself.
await (await browser.newPage()).goto(pathToFileURL(resolve(report)), { waitUntil: "load" });
for (const [width, scheme] of [[1280, "light"], [1280, "dark"], [400, "light"], [400, "dark"]]) {
  const name = `${width} ${scheme}`;
  const page = await browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => said.push(`error: ${error.message}`));
  page.on("requestfailed", (request) => said.push(`request failed: ${request.url().slice(0, 80)}`));
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) said.push(`request to elsewhere: ${request.url()}`);
  });
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  // Work of the page's thread in processor time: what a busy machine takes for others does not count.
  const devtools = await page.createCDPSession();
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  const began = performance.now();
  await page.goto(pathToFileURL(resolve(report)), { waitUntil: "load" });
  // Until the first frame after loading is drawn.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const took = Math.round(performance.now() - began);
  check(`${name}: nothing on the console, nothing from elsewhere`, said);
  const { metrics } = await devtools.send("Performance.getMetrics");
  const work = Math.round(metrics.find((metric) => metric.name === "TaskDuration").value * 1000);
  check(`${name}: opens with ${work} ms of work (${took} ms by the clock)`, work > LONGEST_MS && `more than ${LONGEST_MS} ms`);
  check(`${name}: nothing is wider than the page`, await page.evaluate(() => {
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    return wide > 0 ? `${wide} pixels too wide` : null;
  }));
  check(`${name}: every chart has a name`, await page.evaluate(() => {
    const charts = [...document.querySelectorAll("svg")].filter((svg) => svg.getAttribute("aria-hidden") !== "true");
    if (charts.length === 0) return "there is no chart";
    return charts.filter((svg) => svg.getAttribute("role") !== "img" || !svg.getAttribute("aria-label")).map((svg) => svg.outerHTML.slice(0, 80));
  }));
  await page.screenshot({ path: join(folder, `${width}-${scheme}.png`), fullPage: true });
  if (width === 1280 && scheme === "light") await page.pdf({ path: join(folder, "report.pdf"), format: "A4", timeout: 0 });
  // A long report has the same markup as a short one: thousands of rows are looked at once.
  const rows = await page.evaluate(() => document.querySelectorAll("tr").length);
  if (rows > 1000 && name !== "1280 light") {
    await page.close();
    continue;
  }
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  check(`${name}: no barrier that axe knows`, found.violations.map((violation) =>
    `${violation.id} (${violation.nodes.length}): ${violation.help}: ${violation.nodes[0].html.slice(0, 120)} ${violation.nodes[0].any.map((any) => any.message)[0] ?? ""}`));
  await page.close();
}
await browser.close();
process.exit(failed === 0 ? 0 : 1);
