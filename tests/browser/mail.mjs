// What happens to mail: the test message, the queue, finding it again, the sentence at home.

import assert from "node:assert/strict";
import { OUT, glimpse, heading, story, through, trouble } from "./trial.mjs";
import { submit, until } from "./world.mjs";

const LATER = "451 4.7.1 Greylisted; see <https://mx.far.example/?a=1&b=2> and come back";
const NEVER = '550 5.1.1 <nobody@far.example>: "No such user" here & elsewhere';
const queued = async (relay, as, id) => (await relay.ask("GET", "/api/queue/" + id, { as })).data;

export default function chapter(test) {
  test("a test message is followed from accepted to delivered, in the server's exact words", async (t) => {
    const words = "250 2.6.0 <4Xyz@sink> Queued; thanks & <b>bye</b>  (2 blanks)";
    const sink = await t.sink((verb) => (verb === "." ? words : undefined));
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay, "test");
    await page.getByLabel("Send to").fill("me@far.example");
    await page.getByRole("button", { name: "Send test message" }).click();
    await page.getByText("It got through.").waitFor();
    const told = await story(page);
    assert.equal(told[0][0], "accepted");
    const [kind, said] = told[told.length - 1];
    assert.equal(kind, "delivered");
    assert.ok(said.includes(words), said);
    assert.deepEqual(sink.messages[0].to, ["me@far.example"]);
    assert.match(sink.messages[0].data, /Subject: Test message/);
  });

  test("a test to what is no address is refused beside the field, one that is refused in words", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay, "test");
    const send = page.getByRole("button", { name: "Send test message" });
    await page.getByLabel("Send to").fill("nowhere");
    await send.click();
    await page.getByText("An address such as you@example.org is needed.").waitFor();
    await page.getByLabel("Send to").fill("a b@far.example");
    await send.click();
    await page.getByText("'a b@far.example' is no address").waitFor();
    await page.getByLabel("Send to").fill("nobody@relay.example.org");
    await send.click();
    await page.getByText("550 5.1.1").waitFor();
    assert.equal(sink.attempts, 0);
  });

  test("a test that is put off says so, and goes on by itself", async (t) => {
    let answer = LATER;
    const sink = await t.sink((verb) => (verb === "RCPT" ? answer : undefined));
    const relay = await t.relay({ routes: through(sink), retry: { first: "1s" } });
    const page = await t.page(relay, "test");
    await page.getByLabel("Send to").fill("me@far.example");
    await page.getByRole("button", { name: "Send test message" }).click();
    await page.getByText("Not yet.").waitFor();
    assert.ok((await story(page)).some(([, words]) => words.includes(LATER)));
    answer = undefined;
    await page.getByText("It got through.").waitFor({ timeout: 20000 });
  });

  test("a temporary refusal stands in the queue in its exact words; hold, release and retry work", async (t) => {
    let answer = LATER;
    const sink = await t.sink((verb) => (verb === "RCPT" ? answer : undefined));
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay, "queue");
    const { id } = await submit(relay, { subject: "Motion at the door" });
    const row = page.locator("a.item");
    await glimpse(page, row.filter({ hasText: LATER }).getByText("Waiting"));
    await row.getByText("Motion at the door").waitFor();
    await row.click();
    await heading(page, "Motion at the door").waitFor();
    assert.ok((await page.locator(".quote").textContent()).includes(LATER));
    await page.getByText("Next try in").first().waitFor();

    await page.getByRole("button", { name: "Hold" }).click();
    await page.getByRole("heading", { name: "On hold until you release it" }).waitFor();
    assert.equal((await queued(relay, page.session, id)).state, "held");
    assert.equal(sink.attempts, 1);
    await page.getByRole("button", { name: "Release" }).click();
    await page.getByRole("button", { name: "Hold" }).waitFor();
    assert.notEqual((await queued(relay, page.session, id)).state, "held");
    const tried = async (times) => (await queued(relay, page.session, id))?.attempts >= times;
    const before = sink.attempts;
    await until(async () => (await queued(relay, page.session, id)).state === "waiting", "rest");
    await page.getByRole("button", { name: "Try now" }).click();
    await until(() => sink.attempts > before, "another attempt");
    await until(() => tried(2), "its outcome");

    answer = undefined;
    await page.getByRole("button", { name: "Try now" }).click();
    await glimpse(page, page.getByText("This message is no longer in the queue."));
    const told = (await story(page)).map(([kind]) => kind);
    for (const kind of ["accepted", "deferred", "held", "released", "delivered"])
      assert.ok(told.includes(kind), kind + " of " + told);
    assert.equal(sink.messages.length, 1);
  });

  test("dropping asks first, and forgets the message without a report", async (t) => {
    const sink = await t.sink((verb) => (verb === "RCPT" ? LATER : undefined));
    const relay = await t.relay({ routes: through(sink) });
    const { id } = await submit(relay, { subject: "Unwanted" });
    const page = await t.page(relay, "queue/" + id);
    await heading(page, "Unwanted").waitFor();
    const drop = page.getByRole("button", { name: "Drop", exact: true });
    await until(async () => (await queued(relay, page.session, id)).state === "waiting", "rest");
    await drop.click();
    await page.getByRole("button", { name: "Cancel" }).click();
    assert.equal((await queued(relay, page.session, id)).id, id);
    await drop.click();
    await page.getByRole("button", { name: "Drop it" }).click();
    await page.getByText("Nothing is waiting").waitFor();
    assert.equal((await relay.ask("GET", "/api/queue", { as: page.session })).data.total, 0);
    assert.equal(sink.messages.length, 0);
    await page.goto(relay.url + "/#/find/" + id);
    await page.locator(".line b", { hasText: "Dropped" }).waitFor();
  });

  test("a permanent refusal is told as failed, with the report that went to the sender", async (t) => {
    const sink = await t.sink((verb, line) =>
      verb === "RCPT" && line.includes("nobody@") ? NEVER : undefined,
    );
    const relay = await t.relay({ routes: through(sink) });
    const { id } = await submit(relay, { from: "me@far.example", to: "nobody@far.example" });
    await until(() => sink.messages.length > 0, "the report");
    assert.equal(sink.messages[0].from, "");
    assert.deepEqual(sink.messages[0].to, ["me@far.example"]);
    assert.ok(sink.messages[0].data.includes("5.1.1"));
    const page = await t.page(relay, "find/" + id);
    await page.locator(".line b", { hasText: "Bounced" }).waitFor();
    const told = await story(page);
    const failed = told.find(([kind]) => kind === "failed");
    assert.ok(failed[1].includes(NEVER), failed[1]);
    const advice = page.locator(".advice");
    assert.match(await advice.innerText(), /no such address there.*\s+Source: RFC 3463 §3.2$/);
    const report = told.find(([kind]) => kind === "bounced")[1].match(/[0-9A-Z]{10}/)[0];
    await page.getByLabel("Address, device, subject or id").fill(report);
    await page.getByRole("button", { name: "Find" }).click();
    await page.getByRole("heading", { name: "for " + report }).waitFor();
    assert.ok((await story(page)).some(([kind]) => kind === "delivered"));
  });

  test("what happened up to a time is shown, in the reader's own zone", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink) });
    await submit(relay);
    await until(() => sink.messages.length === 1, "the message");
    const page = await t.page(relay, "find");
    await page.getByText("Or look at a time").click();
    await page.getByRole("button", { name: "Look at it" }).click();
    await page.getByText("Give a day and a time.").waitFor();
    await page.screenshot({ path: OUT + "/find-time.png" });
    const at = (seconds) =>
      page.evaluate((s) => {
        const there = new Date(Date.now() + s * 1000);
        return new Date(there - there.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
      }, seconds);
    const when = page.getByLabel("What happened up to");
    await when.fill(await at(120));
    await page.getByRole("button", { name: "Look at it" }).click();
    await page.getByRole("heading", { name: "Up to" }).waitFor();
    await page.locator(".line b", { hasText: "Delivered" }).waitFor();
    await when.fill(await at(-86400));
    await page.getByRole("button", { name: "Look at it" }).click();
    await page.getByText("Nothing is known of that time.").waitFor();
  });

  test("a message is found by queue id, Message-ID and address, a stranger's is not", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink) });
    const one = await submit(relay, { to: "friend@far.example" });
    await submit(relay, { to: "somebody.else@far.example", from: "printer@home.example" });
    await until(() => sink.messages.length === 2, "both");
    const page = await t.page(relay, "find");
    await until(async () => (await page.locator(".line > li").count()) >= 4, "the latest");
    const asked = [one.id, one.messageId, "<" + one.messageId + ">", "friend@far.example"];
    for (const query of [...asked, "Camera@Home.example", " " + one.id.toLowerCase() + " "]) {
      await page.getByLabel("Address, device, subject or id").fill(query);
      await page.getByRole("button", { name: "Find" }).click();
      await page.getByRole("heading", { name: "for " + query.trim() }).waitFor();
      const told = (await story(page)).map(([, words]) => words).join("\n");
      assert.ok(told.includes("friend@far.example"), query);
      assert.ok(!told.includes("somebody.else"), query);
    }
    await page.getByLabel("Address, device, subject or id").fill("unknown@far.example");
    await page.keyboard.press("Enter");
    await page.getByText("Nothing is known about “unknown@far.example”.").waitFor();
    // The address of the window is one of this search: it can be kept and shared.
    await page.goBack();
    await page.locator(".line > li").first().waitFor();
  });

  test("one sentence at home says whether it works, and the queue's number is in the menu", async (t) => {
    let answer = LATER;
    const sink = await t.sink((verb) => (verb === "RCPT" ? answer : undefined));
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay);
    await heading(page, "Ready for mail.").waitFor();
    await page.locator(".hero", { hasText: "through " + sink.address }).waitFor();
    const { id } = await submit(relay);
    await glimpse(page, page.locator(".hero", { hasText: LATER }));
    await heading(page, "1 message is waiting.").waitFor();
    await page.locator("nav b", { hasText: "1" }).waitFor();
    await until(
      async () => (await queued(relay, page.session, id)).state === "waiting",
      "the attempt's end",
    );
    await relay.ask("POST", "/api/queue/" + id + "/hold", { as: page.session });
    await glimpse(page, page.getByText("1 message is on hold until you release it."));
    answer = undefined;
    await relay.ask("POST", "/api/queue/" + id + "/retry", { as: page.session });
    await glimpse(page, page.getByText("Nothing waits."));
    await heading(page, "Everything is working.").waitFor();
    await until(async () => (await page.locator("nav b").count()) === 0, "no number");
    await trouble(relay, page.session, sink);
    await glimpse(page, heading(page, "Something needs you."));
    await page.locator(".note.bad", { hasText: "cannot listen on " + sink.address }).waitFor();
  });

  test("a long queue comes in pages of 50, and all of it can be tried at once", async (t) => {
    let answer = LATER;
    const sink = await t.sink((verb) => (verb === "RCPT" ? answer : undefined));
    const relay = await t.relay({ routes: through(sink) });
    for (let n = 1; n <= 120; n++) await submit(relay, { subject: "Alert " + n });
    const page = await t.page(relay, "queue");
    await page.getByText("the oldest 50 of 120 messages").waitFor();
    assert.equal(await page.locator("a.item").count(), 50);
    await page.getByRole("button", { name: "Show more" }).click();
    await page.getByText("the oldest 100 of 120 messages").waitFor();
    await page.getByRole("button", { name: "Show more" }).click();
    await until(async () => (await page.locator("a.item").count()) === 120, "all rows");
    answer = undefined;
    await page.getByRole("button", { name: "Try all now" }).click();
    await until(() => sink.messages.length === 120, "all messages", 30);
    await glimpse(page, page.getByText("Nothing is waiting"));
  });

  test("what a camera needs can be copied, also where the browser has no clipboard for plain HTTP", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay);
    await page.evaluate(() => {
      Object.defineProperty(navigator, "clipboard", { value: undefined });
      document.addEventListener("copy", (event) => (globalThis.copied = event.target.value));
    });
    await page.getByRole("button", { name: "Copy port" }).click();
    await page.getByText("Copied: " + relay.smtp).waitFor();
    assert.equal(await page.evaluate("globalThis.copied"), String(relay.smtp));
  });
}
