// A full house: the page with ten thousand messages in the queue and a hundred thousand events.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { OUT, through } from "./trial.mjs";
import { say, until } from "./world.mjs";

const QUEUED = 10000;
const DELIVERED = 40000;

/** Hand in messages `from` up to `to` in ten sessions at once. */
async function flood(relay, from, to) {
  const session = (n) => {
    const lines = ["EHLO camera"];
    for (let k = from + n; k < to; k += 10)
      lines.push(
        "MAIL FROM:<camera@home.example>",
        "RCPT TO:<friend" + k + "@far.example>",
        "DATA",
        "Subject: picture " + k + "\r\nMessage-ID: <p" + k + "@camera.example>\r\n\r\nIt moved.\r\n.",
      );
    return say(relay.smtp, lines);
  };
  const replies = await Promise.all([...Array(10).keys()].map(session));
  const bad = replies.flat().find((reply) => !/^[23]/.test(reply));
  assert.equal(bad, undefined);
}

/** Memory that nobody else has and no file can give back, in octets. */
const memory = (relay) => {
  const text = readFileSync("/proc/" + relay.child.pid + "/smaps_rollup", "utf8");
  return Number(/^Anonymous: +(\d+) kB/m.exec(text)[1]) * 1024;
};

export default function chapter(test) {
  test("ten thousand messages and a hundred thousand events are shown in pages, by ten windows at once", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink) });
    for (let n = 0; n < DELIVERED; n += 5000) await flood(relay, n, n + 5000);
    await until(() => sink.messages.length === DELIVERED, "all to arrive", 60);
    sink.answer = (verb) => (verb === "RCPT" ? "451 4.7.1 Come back later" : undefined);
    await flood(relay, DELIVERED, DELIVERED + QUEUED);
    const as = await relay.enter();
    const queued = async () => (await relay.ask("GET", "/api/status", { as })).data.queued;
    await until(async () => (await queued()).waiting === QUEUED, "all to wait", 60);
    // What has happened is written in the background; then nothing is left to do.
    await until(async () => {
      const before = relay.written;
      relay.written = (await relay.ask("GET", "/api/status", { as })).data.flash.written;
      await new Promise((wake) => setTimeout(wake, 1000));
      return before === relay.written;
    }, "everything to be written", 60);

    const idle = memory(relay);
    const places = ["", "queue", "find", "devices", "test", "settings", "care", "find/picture", "", "queue"];
    const pages = [];
    for (const place of places) pages.push(await t.page(relay, place, { as }));
    // Each has been drawn, and has asked again since.
    for (const page of pages) await page.locator("main h1:visible").waitFor();
    await new Promise((wake) => setTimeout(wake, 11000));
    const grown = memory(relay) - idle;
    console.log("     " + (idle >> 10) + " KiB with a full queue, ten pages take " + (grown >> 10) + " KiB more");
    assert.ok(grown < 1 << 20, "ten pages take " + grown + " octets");

    const [, queue, find] = pages;
    await queue.getByText("the oldest 50 of 10,000 messages").waitFor();
    assert.equal(await queue.locator(".item").count(), 50);
    await queue.getByRole("button", { name: "Show more" }).click();
    await queue.getByText("the oldest 100 of 10,000 messages").waitFor();
    assert.equal(await queue.locator(".item").count(), 100);
    for (const { text, response } of await Promise.all(queue.answers))
      if (response.url().includes("/api/")) assert.ok(text.length < 64 * 1024, response.url());

    const last = DELIVERED - 1;
    for (const [what, whom] of [
      ["p0@camera.example", 0],
      ["p" + last + "@camera.example", last],
      ["picture " + DELIVERED, DELIVERED],
      // The oldest that can be found, by a word that only it has.
      ["friend0@far", 0],
    ]) {
      await find.getByRole("searchbox").fill(what);
      await find.keyboard.press("Enter");
      await find.getByRole("heading", { name: "events for " + what }).waitFor();
      await find.getByText("friend" + whom + "@far.example").first().waitFor();
    }

    await queue.getByRole("button", { name: "Choose all shown" }).click();
    await queue.getByText("100 chosen").waitFor();
    await queue.getByRole("button", { name: "Choose all 10,000" }).click();
    await queue.getByText("All 10,000 chosen").waitFor();
    await queue.screenshot({ path: OUT + "/queue-all.png" });
    await queue.getByRole("button", { name: "Drop", exact: true }).click();
    await queue.getByRole("dialog").getByRole("button", { name: "Drop" }).click();
    await queue.getByText("Dropped 10,000 messages.").waitFor();
    await queue.getByText("Nothing is waiting").waitFor();
    assert.equal((await queued()).total, 0);
  });
}
