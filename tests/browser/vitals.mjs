// How the relay is: the figures at home, and trouble that is shown while it lasts and gone after it.

import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { LOOKS, critic } from "./looks.mjs";
import { glance, glimpse, heading, through } from "./trial.mjs";
import { say, submit, until } from "./world.mjs";

const LATER = "451 4.7.1 Greylisted, please come back in 5 minutes";
const SMALL = { spool: "4M", message: "1M" };
const problems = (page) => page.locator(".fields > .note.bad");

/** What stands beside a name in the numbers at home, with the small print below it. */
const fact = (page, name) =>
  page.evaluate((wanted) => {
    const names = [...document.querySelectorAll(".facts dt")];
    return names.find((dt) => dt.textContent === wanted)?.nextSibling.innerText;
  }, name);

const status = async (relay, as) => (await relay.ask("GET", "/api/status", { as })).data;

/** Hand in messages, large ones and then small ones, until not even those are taken; all that were. */
async function fill(relay) {
  let taken = 0;
  for (const octets of [50000, 0]) {
    const body = ("x".repeat(998) + "\r\n").repeat(octets / 1000);
    for (let n = 0; n < 3000; n++) {
      const replies = await say(relay.smtp, [
        "EHLO camera",
        "MAIL FROM:<camera@home.example>",
        "RCPT TO:<me@far.example>",
        "DATA",
        "Subject: picture\r\n\r\n" + body + ".",
      ]);
      const last = replies.at(-1);
      if (replies.some((reply) => reply.startsWith("452 4.3.1"))) break;
      assert.match(last, /^250/, replies.join(" | "));
      taken++;
    }
  }
  return taken;
}

export default function chapter(test) {
  test("what mail costs the flash is told in all and by the message, with room and memory", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay);
    await page.getByText("Written to flash").waitFor();
    assert.equal((await fact(page, "Written to flash")).includes("a message"), false);
    for (let n = 0; n < 4; n++) await submit(relay);
    await until(() => sink.messages.length === 4, "four messages");
    await until(async () => {
      await glance(page);
      return (await fact(page, "Taken in")) === "4";
    }, "the four at home");
    assert.match(await fact(page, "Written to flash"), /^[\d.]+ [KM]B\n[\d.]+ [KM]B a message$/);
    assert.match(await fact(page, "Syncs"), /^\d+\n[\d.]+ a message$/);
    assert.match(await fact(page, "Memory"), /^[\d.]+ MB$/);
    assert.match(await fact(page, "Room for mail"), /^.* of 256 MB\n[\d.]+ [MGT]B free on the disk$/);
    const { flash, memory, spool } = await status(relay, page.session);
    assert.ok(flash.written >= 4 * 4096 && flash.syncs >= 4, JSON.stringify(flash));
    assert.ok(memory > 1 << 20 && memory < 64 << 20, String(memory));
    assert.ok(spool.file_system > 0);
    const metrics = await relay.ask("GET", "/metrics");
    assert.match(metrics.headers.get("content-type"), /^text\/plain; version=0\.0\.4/);
    assert.match(metrics.text, /^waypost_accepted_messages_total 4$/m);
  });

  test("what was unfolded at home stays so when the figures change", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay);
    await page.getByText("What is counted?").click();
    const words = page.getByText("in whole pages of 4 KB");
    await words.waitFor();
    await submit(relay);
    await until(async () => {
      await glance(page);
      return (await fact(page, "Taken in")) === "1";
    }, "the message at home");
    assert.ok(await words.isVisible());
  });

  test("a full spool is told with what to do, looks well, and is over when mail has gone", async (t) => {
    let answer = LATER;
    const sink = await t.sink((verb) => (verb === "RCPT" ? answer : undefined));
    const relay = await t.relay({ routes: through(sink), limits: SMALL });
    const page = await t.page(relay);
    assert.ok((await fill(relay)) > 20);
    await glimpse(page, heading(page, "No mail is taken at the moment."));
    const told = await problems(page).allInnerTexts();
    assert.equal(told.length, 1, told.join("; "));
    assert.match(told[0], /^The spool is full: .* told to come back later.* by itself as soon as/);
    assert.match(await page.locator(".hero").innerText(), /messages wait here meanwhile/);
    assert.equal((await relay.ask("GET", "/healthz")).status, 503);
    for (const look of LOOKS) {
      const other = await t.page(relay, "", { as: page.session, ...look });
      const { look: check, end } = critic(other, look);
      await problems(other).first().waitFor();
      await check("home-full");
      end();
    }
    answer = undefined;
    await relay.ask("POST", "/api/queue/retry", { as: page.session, body: {} });
    await until(async () => (await status(relay, page.session)).queued.total === 0, "all to go", 60);
    await glimpse(page, heading(page, "Everything is working."));
    assert.equal(await problems(page).count(), 0);
    assert.equal((await relay.ask("GET", "/healthz")).status, 200);
  });

  test("a history that starts anew is told until the old one is deleted", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink) });
    await relay.stop();
    const index = path.join(relay.data, "index");
    await rm(index, { recursive: true, force: true });
    await writeFile(index, "no index");
    await relay.run();
    const page = await t.page(relay);
    // Until then nobody has looked into it.
    await relay.ask("GET", "/api/trace?q=me%40far.example", { as: page.session });
    await glimpse(page, page.getByText("The history could not be read and starts anew"));
    const told = await problems(page).innerText();
    assert.ok(told.includes(index + ".bad-1") && told.includes("No mail is touched"), told);
    assert.match((await relay.ask("GET", "/metrics")).text, /^waypost_index_trouble 1$/m);
    await submit(relay);
    await until(() => sink.messages.length === 1, "mail to go through all the same");
    await rm(index + ".bad-1");
    await glimpse(page, heading(page, "Everything is working."));
    assert.equal(await problems(page).count(), 0);
    assert.match((await relay.ask("GET", "/metrics")).text, /^waypost_index_trouble 0$/m);
  });
}
