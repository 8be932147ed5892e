// How it looks and reads: every view in every width, light and dark, by keyboard and without script.

import assert from "node:assert/strict";
import path from "node:path";
import { OUT, heading, later, misfits, setUp, through, trouble, violations } from "./trial.mjs";
import { say, submit, until } from "./world.mjs";

const GREY = "451 4.7.1 Greylisted, please come back in 5 minutes";
/** Octets on the wire, header fields and all, of what a first visit loads. */
const FIRST_VISIT = 30 * 1024;

/** A relay with something in every view, and a session on it. */
async function lively(t) {
  const answer = (verb, line) => {
    if (verb !== "RCPT") return undefined;
    if (line.includes("anna@")) return GREY;
    if (line.includes("ghost@")) return "550 5.1.1 No such user here";
    return undefined;
  };
  const sink = await t.sink(answer);
  const relay = await t.relay({
    hostname: "relay.home.arpa",
    domains: ["home.arpa"],
    users: [{ name: "alice" }],
    aliases: [{ from: "root", to: ["alice", "me@far.example"] }],
    routes: [...through(sink, { user: "me@provider.example", password: "secret" })],
  });
  const as = await relay.enter();
  const camera = { from: "camera@home.arpa", helo: "reolink-front" };
  await submit(relay, { ...camera, to: "me@far.example", subject: "Person detected at the door" });
  await submit(relay, { ...camera, to: "alice@home.arpa", subject: "Daily summary" });
  await submit(relay, { from: "me@far.example", to: "ghost@far.example", subject: "Lost" });
  const late = await submit(relay, {
    ...camera,
    to: ["anna@far.example", "bernd@far.example"],
    subject: "Motion in the garden (3 pictures)",
  });
  const held = await submit(relay, {
    from: "nas@home.arpa",
    to: "anna@far.example",
    subject: "Datensicherungsaufgabe „Familienfotografien“ wurde mit Warnungen abgeschlossen",
  });
  const state = async (id) => (await relay.ask("GET", "/api/queue/" + id, { as })).data.state;
  for (const { id } of [late, held])
    await until(async () => (await state(id)) === "waiting", "the refusal");
  await relay.ask("POST", "/api/queue/" + held.id + "/hold", { as });
  await say(relay.smtp, ["EHLO printer", "MAIL FROM:<p@home.arpa>", "RCPT TO:<bob@home.arpa>"]);
  return { relay, sink, as, late };
}

/** Every view with a login: its name, its place, and what must be there before it is looked at. */
const views = ({ late }) => [
  ["home", "", (p) => p.locator(".line > li").first()],
  ["queue", "queue", (p) => p.locator("a.item").nth(1)],
  ["message", "queue/" + late.id, (p) => p.getByText("What happened so far")],
  ["find", "find", (p) => p.locator(".line > li").first()],
  ["found", "find/" + late.id, (p) => p.locator(".line > li").first()],
  ["not-found", "find/nobody%40nowhere.example", (p) => p.getByText("Nothing is known about")],
  ["test", "test", (p) => p.getByLabel("Send to")],
  ["settings", "settings", (p) => p.getByLabel("Networks at home")],
];

/** What a finger must hit is at least this high and wide (WCAG 2.2, 2.5.5); links in a text may be less. */
const TAP = 44;

const untappable = (page) =>
  page.evaluate((least) => {
    const found = new Set();
    const targets = "button, nav a, .brand, .back, a.item, summary, .choice, input, select";
    for (const e of document.querySelectorAll(targets)) {
      const { width, height } = (e.closest("label") || e).getBoundingClientRect();
      if (width > 0 && (width < least - 0.5 || height < least - 0.5))
        found.add(`${Math.round(width)} x ${Math.round(height)}: ${e.outerHTML.slice(0, 60)}`);
    }
    return [...found];
  }, TAP);

/** Looks at a window again and again; `end` fails with all that was found. */
export function critic(page, look) {
  const found = [];
  return {
    async look(name) {
      const say = (what, list) =>
        list.length && found.push(name + " " + what + ": " + list.join("; "));
      say("does not fit", await misfits(page));
      say("is hard to hit", await untappable(page));
      const file = `${name}-${look.width}-${look.dark ? "dark" : "light"}.png`;
      // Of what stays in its place in the window, as the menu of a phone does, there is one.
      const dialog = await page.locator("dialog[open]").count();
      const height = dialog ? 0 : await page.evaluate("document.documentElement.scrollHeight");
      await page.setViewportSize({ ...look, height: Math.max(look.height, height) });
      await page.screenshot({ path: path.join(OUT, file) });
      await page.setViewportSize(look);
      if (look.width !== 768) say("axe", await violations(page));
    },
    end() {
      assert.deepEqual(found, []);
    },
  };
}

export const LOOKS = [360, 768, 1280].flatMap((width) =>
  [false, true].map((dark) => ({ width, height: width < 500 ? 740 : 900, dark })),
);
const named = ({ width, dark }) => width + " px, " + (dark ? "dark" : "light");

export default function chapter(test) {
  for (const look of LOOKS) {
    test("every view fits and reads well: " + named(look), async (t) => {
      const world = await lively(t);
      const { relay } = world;
      const page = await t.page(relay, "", { as: world.as, ...look });
      const { look: check, end } = critic(page, look);
      for (const [name, place, ready] of views(world)) {
        await page.goto(relay.url + "/#/" + place);
        await ready(page).waitFor();
        await check(name);
      }
      await page.getByLabel("Name", { exact: true }).first().fill("not a name");
      await page.getByLabel("Networks at home").fill("0.0.0.0/0\n192.168.1.0/24");
      await page.getByRole("button", { name: "Save" }).first().click();
      await page.locator("[aria-invalid=true]").first().waitFor();
      await check("settings-wrong");
      await page.getByRole("button", { name: "Discard" }).click();
      await page.locator("main details").evaluateAll((all) => all.forEach((e) => (e.open = true)));
      await check("settings-open");
      await page.goto(relay.url + "/#/queue/" + world.late.id);
      await page.getByRole("button", { name: "Drop", exact: true }).click();
      await page.locator("dialog[open]").waitFor();
      await check("dialog");
      await page.keyboard.press("Escape");
      await page.goto(relay.url + "/#/test");
      for (const [name, to, words] of [
        ["test-through", "me@far.example", "It got through."],
        ["test-not-yet", "anna@far.example", "Not yet."],
        ["test-not", "ghost@far.example", "It did not get through."],
      ]) {
        await page.getByLabel("Send to").fill(to);
        await page.getByRole("button", { name: "Send test message" }).click();
        await page.getByText(words).waitFor();
        await check(name);
      }
      await trouble(relay, world.as, world.sink);
      await page.goto(relay.url + "/#/");
      await heading(page, "Something needs you.").waitFor();
      await check("home-trouble");
      end();
    });

    test("the first visit fits and reads well: " + named(look), async (t) => {
      const relay = await t.relay();
      const page = await t.window(relay, look);
      const { look: check, end } = critic(page, look);
      await page.goto(relay.url);
      await heading(page, "Welcome to Waypost").waitFor();
      await check("setup");
      await setUp(page, "wrong");
      await page.getByText("That is not the setup code.").waitFor();
      await check("setup-wrong");
      await setUp(page, relay.code);
      await later(page);
      await check("home-fresh");
      await page.goto(relay.url + "/#/queue");
      await page.getByText("Nothing is waiting").waitFor();
      await check("queue-empty");
      await page.context().clearCookies();
      await page.reload();
      await heading(page, "Log in").waitFor();
      await check("login");
      end();
    });
  }

  test("without script a plain notice says what to do", async (t) => {
    const relay = await t.relay();
    for (const width of [320, 1280]) {
      const page = await t.window(relay, { width, script: false });
      await page.goto(relay.url);
      await heading(page, "This page needs JavaScript").waitFor();
      const words = await page.locator("body").innerText();
      assert.ok(words.includes("waypost queue"));
      await page.screenshot({ path: path.join(OUT, `no-script-${width}.png`) });
      const box = await page.locator("h1").boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= width);
    }
  });

  test("all of it can be done by keyboard, and the heading is told after each step", async (t) => {
    const { relay, as } = await lively(t);
    const page = await t.page(relay, "", { as });
    await page.locator(".line > li").first().waitFor();
    const focused = () => page.evaluate("document.activeElement.textContent.trim()");
    await page.locator("body").press("Tab");
    assert.equal(await focused(), "Skip to the content");
    const press = async (name) => {
      for (let n = 0; n < 30; n++) {
        await page.keyboard.press("Tab");
        if ((await focused()).startsWith(name)) return page.keyboard.press("Enter");
      }
      throw new Error("the keyboard does not reach " + name);
    };
    await press("Queue");
    await heading(page, "Queue").waitFor();
    await page.locator("a.item").first().waitFor();
    assert.equal(await focused(), "Queue");
    await press("Motion in the garden");
    await heading(page, "Motion in the garden (3 pictures)").waitFor();
    await press("Hold");
    await page.getByRole("heading", { name: "On hold until you release it" }).waitFor();
    await press("Drop");
    await page.locator("dialog[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    const ring = await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return style.outlineStyle + " " + style.outlineWidth;
    });
    assert.match(ring, /^solid [2-9]px$/);
  });

  test("a first visit, to setup and on to Home, loads at most 30 KB, all of it from the relay", async (t) => {
    const relay = await t.relay();
    const page = await t.window(relay);
    await page.goto(relay.url, { waitUntil: "networkidle" });
    await setUp(page, relay.code);
    await later(page);
    await page.waitForLoadState("networkidle");
    const loaded = await Promise.all(page.answers);
    const sizes = await Promise.all(loaded.map(({ response }) => response.request().sizes()));
    const sum = (of) => sizes.reduce((total, one) => total + of(one), 0);
    const fields = sum((one) => one.responseHeadersSize);
    const total = fields + sum((one) => one.responseBodySize);
    const plain = loaded.reduce((all, { text }) => all + Buffer.byteLength(text), fields);
    console.log(`     ${loaded.length} answers, ${total} octets; ${plain} were they not packed`);
    assert.ok(total <= FIRST_VISIT, total + " octets");
    assert.ok(!loaded.some(({ url }) => url.endsWith("/settings.js")), "who wants settings yet?");
  });

  test("texts half as long again, as in German, and large letters do not break a view", async (t) => {
    const world = await lively(t);
    const { relay, as } = world;
    const page = await t.page(relay, "", { as, width: 320, height: 700 });
    const found = [];
    for (const [name, place, ready] of views(world)) {
      await page.goto(relay.url + "/#/" + place);
      await ready(page).waitFor();
      await page.evaluate(() => {
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        for (let node = walker.nextNode(); node; node = walker.nextNode())
          if (node.parentElement.closest("h1, h2, button, label, summary, dt, nav, .chip"))
            node.data = node.data.replace(/\p{L}{4,}/gu, (word) => word + word.slice(0, 3));
      });
      found.push(...(await misfits(page)).map((what) => name + " in long words: " + what));
      await page.evaluate(() => {
        document.documentElement.style.fontSize = "24px";
      });
      found.push(...(await misfits(page)).map((what) => name + " in large letters: " + what));
      await page.reload();
    }
    assert.deepEqual(found, []);
  });
}
