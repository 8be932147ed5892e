// One case of the browser tests: what it starts, what it looks at, and what must never happen in it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { Elsewhere, PASSWORD, Relay, Service, Sink, TOP, until } from "./world.mjs";

/** Where npm has put its packages, and where pictures go. */
export const OUT = process.env.BROWSER_OUT || path.join(TOP, "target/browser");
const require = createRequire(path.join(OUT, "npm/package.json"));
export const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: FLAGS });

/** All mail through this sink, in the clear. */
export const through = (sink, more) => [{ for: "*", via: sink.address, tls: "none", ...more }];

export class Trial {
  constructor(browser) {
    this.browser = browser;
    this.things = [];
    /** What must not happen in any case: dialogs, errors of scripts, requests to elsewhere. */
    this.faults = [];
  }

  async keep(thing) {
    const kept = await thing;
    this.things.push(kept);
    return kept;
  }

  relay(config) {
    return this.keep(Relay.start(config));
  }

  sink(answer) {
    return this.keep(Sink.start(answer));
  }

  service() {
    return this.keep(Service.start());
  }

  elsewhere(html) {
    return this.keep(Elsewhere.start(html));
  }

  /** A window without a login. `look`: width, dark, script. */
  async window(relay, look = {}) {
    const context = await this.browser.newContext({
      viewport: { width: look.width || 1000, height: look.height || 900 },
      colorScheme: look.dark ? "dark" : "light",
      javaScriptEnabled: look.script !== false,
      reducedMotion: "reduce",
      deviceScaleFactor: look.width < 500 ? 2 : 1,
      hasTouch: look.width < 500,
    });
    this.things.push({ end: () => context.close() });
    context.setDefaultTimeout(12000);
    const page = await context.newPage();
    page.answers = [];
    this.watch(page, relay);
    return page;
  }

  /** A window that is logged in and shows this place. `as`: a session, where there is one. */
  async page(relay, place = "", { as, ...look } = {}) {
    const page = await this.window(relay, look);
    page.session = as || (await relay.enter());
    const [name, value] = page.session.cookie.split("=");
    await page.context().addCookies([{ name, value, url: relay.url }]);
    await page.goto(relay.url + "/#/" + place);
    await page.locator("nav a").first().waitFor();
    return page;
  }

  watch(page, relay) {
    page.on("dialog", async (dialog) => {
      if (page.expectsDialog) return void (await page.expectsDialog(dialog));
      this.faults.push("dialog: " + dialog.message());
      await dialog.dismiss();
    });
    page.on("pageerror", (error) => this.faults.push("script: " + error));
    page.on("console", (message) => {
      // An answer that is no 2xx is told here, too; the page says it in words.
      const told = /^Failed to load resource/.test(message.text());
      if (message.type() === "error" && !told) this.faults.push("console: " + message.text());
    });
    page.on("request", (request) => {
      const url = request.url();
      const ours = url.startsWith(relay.url + "/") || url.startsWith("data:");
      if (!ours && !page.goesElsewhere) this.faults.push("request to " + url);
    });
    page.on("response", (response) => {
      const read = response.text().catch(() => "");
      page.answers.push(read.then((text) => ({ url: response.url(), response, text })));
    });
  }

  async end() {
    for (const thing of this.things.reverse()) await thing.end();
  }
}

/** Something that needs a person: the relay shall listen where somebody else does already. */
export async function trouble(relay, as, sink) {
  const { data } = await relay.ask("GET", "/api/config", { as });
  data.listen.submissions = [sink.address];
  const { status, text } = await relay.ask("PUT", "/api/config", { as, body: data });
  assert.equal(status, 200, text);
}

/** The form of the first visit, filled in and sent. */
export async function setUp(page, code, password = PASSWORD) {
  await page.getByLabel("Setup code").fill(code);
  await page.getByLabel("New password").fill(password);
  await page.getByRole("button", { name: "Start" }).click();
}

/** Leave what comes after that, and go Home. */
export async function later(page) {
  await page.getByRole("button", { name: "Do this later" }).click();
  await heading(page, "Ready for mail.").waitFor();
}

export async function logIn(page, password = PASSWORD) {
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
}

/** The window comes to the front: it asks the relay at once, and not when its time has come. */
export const glance = (page) =>
  page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));

/** Glance until this is in sight. */
export const glimpse = (page, locator) =>
  until(async () => {
    await glance(page);
    return locator.isVisible();
  }, String(locator));

export const heading = (page, name) => page.getByRole("heading", { level: 1, name, exact: true });

/** The words of every event of the timeline shown, as [kind, words]. */
export const story = (page) =>
  page
    .locator(".line > li")
    .evaluateAll((items) =>
      items.map((item) => [
        item.querySelector("b").textContent.toLowerCase(),
        item.querySelector("p").textContent,
      ]),
    );

/** What is wider than the window, or cut off at a side. */
export const misfits = (page) =>
  page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const name = (e) => e.tagName.toLowerCase() + " “" + e.textContent.trim().slice(0, 30) + "”";
    const found = [];
    if (document.documentElement.scrollWidth > width) found.push("the page is too wide");
    for (const e of document.querySelectorAll("body *")) {
      if (e.closest(".skip, .sprite")) continue;
      const { left, right, width: own } = e.getBoundingClientRect();
      if (own > 0 && (right > width + 1 || left < -1)) found.push(name(e) + " is outside");
      const cuts = getComputedStyle(e).overflowX !== "visible";
      if (cuts && e.tagName !== "INPUT" && e.scrollWidth > e.clientWidth + 1)
        found.push(name(e) + " is cut");
    }
    return found.slice(0, 5);
  });

export async function assertFits(page, where) {
  assert.deepEqual(await misfits(page), [], where + " at " + page.viewportSize().width + " px");
}

/** What axe-core has to say against what is shown. */
export async function violations(page) {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    const places = (nodes) => nodes.slice(0, 3).map((node) => node.html.slice(0, 120));
    return violations.map((v) => v.impact + " " + v.id + ": " + places(v.nodes).join(" "));
  });
}
