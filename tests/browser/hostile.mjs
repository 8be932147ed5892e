// What strangers wrote is shown as text: in subjects, addresses, HELO names, replies and searches.

import assert from "node:assert/strict";
import { assertFits, through } from "./trial.mjs";
import { submit, until } from "./world.mjs";

const MARK = "globalThis.broken=1";
const CORPUS = [
  `<script>${MARK}</script>`,
  `"><img src=x onerror="${MARK}">`,
  `'><svg/onload=${MARK}>`,
  `<iframe srcdoc="<script>parent.${MARK}</script>"></iframe>`,
  `</title></textarea></pre><body onload=${MARK}>`,
  `<a href="javascript:${MARK}">click</a>`,
  `javascript:${MARK}//`,
  "&lt;script&gt;&#60;b&#62;&amp;amp;",
  "{{constructor.constructor('" + MARK + "')()}} ${" + MARK + "} `" + MARK + "`",
  "\u202Egpj.exe\u2066\u202Dabc\u200F\u061C\u2028x",
  "W".repeat(300),
  "ﷺ".repeat(60) + "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍" + "🧨".repeat(40),
  "__proto__",
  "",
];

/** Nothing but what the page itself makes is in the document. */
async function assertOnlyText(page, where) {
  const found = await page.evaluate(() => ({
    ran: globalThis.broken,
    strange: [...document.querySelectorAll("main *, #toasts *, dialog *")]
      .filter((e) =>
        /^(script|img|iframe|object|embed|base|style|link|body|meta)$/i.test(e.tagName),
      )
      .map((e) => e.outerHTML.slice(0, 100)),
    handlers: [...document.querySelectorAll("*")]
      .filter((e) => [...e.attributes].some((a) => /^on/i.test(a.name)))
      .map((e) => e.outerHTML.slice(0, 100)),
    links: [...document.querySelectorAll("a[href]")]
      .map((e) => e.getAttribute("href"))
      .filter((href) => !/^#|^\/api\/(queue\/\w{10}\/message|log\/all)$/.test(href)),
  }));
  assert.deepEqual(found, { ran: undefined, strange: [], handlers: [], links: [] }, where);
}

const encoded = (text) => "=?utf-8?B?" + Buffer.from(text).toString("base64") + "?=";
/** An address whose local part is this, quoted, as far as an address may hold it. */
const quoted = (text) => {
  const kept = text.replace(/[^\x20-\x7e]/g, "").slice(0, 60);
  return '"' + kept.replace(/["\\]/g, "\\$&") + '"@far.example';
};

export default function chapter(test) {
  test("hostile subjects, senders, HELO names and replies are text in every view, at 320 px", async (t) => {
    let words = "";
    const sink = await t.sink((verb) => (verb === "RCPT" ? "451 4.0.0 " + words : undefined));
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay, "", { width: 320, height: 700 });
    const look = async (place) => {
      await page.goto(relay.url + "/#/" + place);
      await page.locator("main :is(.card, .hero):visible").first().waitFor();
      return place;
    };
    const ids = [];
    for (const text of CORPUS) {
      words = text.slice(0, 400).replace(/[\r\n\u2028]/g, " ");
      const { id } = await submit(relay, {
        subject: encoded(text),
        from: text ? quoted(text) : "",
        fromField: encoded(text) + " <camera@home.example>",
        helo: text.replace(/[^\x21-\x7e]/g, "").slice(0, 200) || "x",
        extra: ["X-Raw: " + text.replace(/[\r\n\u2028]/g, " ")],
      });
      ids.push(id);
      const { data } = await until(async () => {
        const answer = await relay.ask("GET", "/api/queue/" + id, { as: page.session });
        return answer.data.state === "waiting" && answer;
      }, "the refusal of " + id);
      assert.ok(data.recipients[0].words.length > 0);
      await look("queue/" + id);
      await page.getByText("What happened so far").waitFor();
      await page.locator("summary").last().click();
      await page.locator("summary", { hasText: "What was said" }).click();
      await page.locator("pre", { hasText: "S: 451" }).waitFor();
      await assertOnlyText(page, "message with " + text);
      await assertFits(page, "message with " + text);
    }
    for (const place of [
      "",
      "queue",
      "find",
      "find/friend%40far.example",
      "devices",
      "test",
      "settings",
      "care",
    ]) {
      await look(place);
      if (place === "queue")
        await until(async () => (await page.locator("a.item").count()) === CORPUS.length, "rows");
      if (place.startsWith("find")) await page.locator(".line > li").first().waitFor();
      if (place === "settings") await page.getByLabel("Networks at home").waitFor();
      await assertOnlyText(page, place);
      await assertFits(page, place);
    }
    // Not only harmless, but shown: as it was written, letter by letter.
    await look("queue");
    await until(async () => (await page.locator("a.item").count()) === CORPUS.length, "rows");
    const shown = await page.locator(".item .subject").allTextContents();
    for (const text of CORPUS.slice(0, 6)) assert.ok(shown.includes(text), text);
    await page.locator("a.item").nth(1).click();
    await page.getByRole("button", { name: "Drop", exact: true }).click();
    await page.locator("dialog[open]").waitFor();
    await assertOnlyText(page, "the question");
    await assertFits(page, "the question");
  });

  test("hostile text that is refused at the door is text, too", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "", { width: 320, height: 700 });
    for (const text of CORPUS) {
      const to = quoted(text).replace("far.example", "relay.example.org");
      await submit(relay, { to, helo: text.replace(/[^\x21-\x7e]/g, "") || "x" }).catch(() => {});
    }
    for (const place of ["", "find", "devices", "care"]) {
      await page.goto(relay.url + "/#/" + place);
      const ready = { devices: ".device", care: ".log" }[place] || ".line > li";
      await page.locator(ready).first().waitFor();
      await assertOnlyText(page, place);
      await assertFits(page, place);
    }
  });

  test("hostile words typed or in the window's address are text, too", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "find", { width: 320, height: 700 });
    for (const text of CORPUS.filter(Boolean)) {
      await page.goto(relay.url + "/#/find/" + encodeURIComponent(text));
      await page.getByText("Nothing is known about").waitFor();
      await assertOnlyText(page, "search for " + text);
      await assertFits(page, "search for " + text);
      await page.goto(relay.url + "/#/queue/" + encodeURIComponent(text));
      await page.locator("main .note").first().waitFor();
      await assertOnlyText(page, "message " + text);
      await page.goto(relay.url + "/#/find");
    }
    for (const raw of [
      "find/%zz",
      "queue/%00",
      "queue/../api/logout",
      "nowhere",
      "constructor/x",
    ]) {
      await page.goto(relay.url + "/#/" + raw);
      await page.locator("main h1:visible").waitFor();
      await assertOnlyText(page, raw);
    }
    assert.equal((await relay.ask("GET", "/api/status", { as: page.session })).status, 200);
  });

  test("hostile settings are text, too: names, routes and aliases", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "settings", { width: 320, height: 700 });
    await page.getByText("All settings as text").click();
    const [script, image] = CORPUS;
    const document = { hostname: script, routes: [{ for: image, via: script }], [image]: 1 };
    document.aliases = [{ from: image, to: [script, "W".repeat(300)] }];
    document.domains = ["W".repeat(300)];
    await page.getByLabel("Configuration").fill(JSON.stringify(document));
    await page.getByRole("button", { name: "Check" }).click();
    await page.locator("[aria-invalid=true], main .note.bad").first().waitFor();
    await assertOnlyText(page, "settings");
    await assertFits(page, "settings");
    page.expectsDialog = (dialog) => dialog.accept();
  });
}
