// The first visit to its end, the devices of the house, and the care of a relay.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { OUT, assertFits, heading, logIn, setUp, through, violations } from "./trial.mjs";
import { PASSWORD, TOP, say, submit, until } from "./world.mjs";

/** A real Postfix with a login (user `me`, password `right`), as the interop tests have it. */
class Postfix {
  static async start() {
    const it = new Postfix();
    const env = { ...process.env, INTEROP_WORK: path.join(OUT, "postfix") };
    const script = path.join(TOP, "tests/interop/alone.py");
    it.child = spawn("/usr/bin/python3", [script], { env, stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: it.child.stdout });
    const [line] = await Promise.race([
      new Promise((told) => lines.once("line", (text) => told([text]))),
      new Promise((_, no) => it.child.once("exit", () => no(new Error("Postfix did not start")))),
    ]);
    Object.assign(it, JSON.parse(line));
    return it;
  }

  /** All messages that came. */
  async messages() {
    const dir = path.join(this.box, "new");
    const names = await readdir(dir).catch(() => []);
    return Promise.all(names.map((name) => readFile(path.join(dir, name), "utf8")));
  }

  async end() {
    this.child.stdin.end();
    await new Promise((gone) => this.child.once("exit", gone));
  }
}

const LOOKS = [360, 1280].flatMap((width) => [false, true].map((dark) => ({ width, dark })));

export default function chapter(test) {
  test("from nothing to a delivered test message, through a real Postfix with a login", async (t) => {
    const postfix = await t.keep(Postfix.start());
    const relay = await t.relay();
    const page = await t.window(relay, { width: 360, height: 740 });
    await page.goto(relay.link);
    await page.getByLabel("New password").fill(PASSWORD);
    await page.getByRole("button", { name: "Start" }).click();
    await heading(page, "You and this relay").waitFor();
    await assertFits(page, "the first step");
    await page.getByLabel("Your own address").fill("not an address@");
    await page.getByRole("button", { name: "Save and go on" }).click();
    await page.locator("[aria-invalid=true]").waitFor();
    await page.getByLabel("Your own address").fill("me@far.example");
    await page.getByRole("button", { name: "Save and go on" }).click();
    await heading(page, "How mail leaves").waitFor();
    await page.getByText("Another server").click();
    await page.getByLabel("Server and port").fill(postfix.host + ":" + postfix.port);
    await page.getByRole("textbox", { name: "User name" }).fill("me");
    await page.locator("input[type=password]").fill("wrong");
    await page.getByLabel("Sender").fill("me@provider.test");
    await assertFits(page, "the way out");
    await page.getByRole("button", { name: "Try these" }).click();
    await heading(page, "Try it").waitFor();
    assert.equal(await page.getByLabel("Send a test message to").inputValue(), "me@far.example");
    await page.getByRole("button", { name: "Try it" }).click();
    // The server's exact words, and nothing was saved or sent.
    await page.getByText("It does not work.").waitFor();
    await page.getByText("535 5.7.8 Error: authentication failed").first().waitFor();
    await assertFits(page, "a refused login");
    await page.screenshot({ path: path.join(OUT, "wizard-refused-360.png"), fullPage: true });
    const text = () => readFile(path.join(relay.data, "waypost.json"), "utf8");
    assert.ok(!(await text()).includes(postfix.host), "nothing is saved yet");
    await page.getByRole("button", { name: "Back" }).click();
    await page.getByText("Another server").click();
    await page.getByLabel("Server and port").fill(postfix.host + ":" + postfix.port);
    await page.getByRole("textbox", { name: "User name" }).fill("me");
    await page.locator("input[type=password]").fill("right");
    await page.getByLabel("Sender").fill("me@provider.test");
    await page.getByRole("button", { name: "Try these" }).click();
    await page.getByRole("button", { name: "Try it" }).click();
    await page.getByText("It works.").waitFor();
    for (const words of ["Encrypt", "Log in", "Sender", "Recipient", "Message"])
      await page.locator(".line b", { hasText: words }).first().waitFor();
    const code = /Test message (\w+)/.exec(await page.locator(".entry").innerText())[1];
    await until(async () => (await postfix.messages()).some((m) => m.includes(code)), "the message");
    await page.getByRole("button", { name: "Yes, it is there" }).click();
    await page.screenshot({ path: path.join(OUT, "wizard-works-360.png"), fullPage: true });
    await page.getByRole("button", { name: "Save and go on" }).click();
    await heading(page, "Your first device").waitFor();
    await assertFits(page, "the device");
    assert.ok((await text()).includes(postfix.host) && !(await text()).includes("right"));
    await page.screenshot({ path: path.join(OUT, "wizard-device-360.png"), fullPage: true });
    await page.getByRole("button", { name: "Wait for my device" }).click();
    await page.getByText("Waiting for your device.").waitFor();
    const { id } = await submit(relay, { to: "me@far.example", subject: "First alarm" });
    await page.getByText("has sent a message.").waitFor();
    await until(async () => (await postfix.messages()).some((m) => m.includes("First alarm")), id);
    await page.getByRole("link", { name: "Done" }).click();
    await heading(page, "Everything is working.").waitFor();
  });

  test("each step can be left out, and come back to", async (t) => {
    const relay = await t.relay();
    const page = await t.window(relay);
    await page.goto(relay.url);
    await setUp(page, relay.code);
    for (const name of ["You and this relay", "How mail leaves", "Try it"]) {
      await heading(page, name).waitFor();
      assert.deepEqual(await violations(page), [], name);
      await page.getByRole("button", { name: "Skip this step" }).click();
    }
    await heading(page, "Your first device").waitFor();
    assert.deepEqual(await violations(page), []);
    await page.getByRole("button", { name: "Back" }).click();
    await heading(page, "Try it").waitFor();
    await page.getByRole("button", { name: "Do this later" }).click();
    await heading(page, "Ready for mail.").waitFor();
    await page.getByRole("link", { name: "Settings", exact: true }).click();
    await page.getByRole("link", { name: "Step by step" }).click();
    await heading(page, "You and this relay").waitFor();
  });

  test("mail can stay here: a mailbox for all names", async (t) => {
    const relay = await t.relay({ hostname: "relay.home.arpa" });
    const page = await t.page(relay, "start/way");
    await page.getByText("None: mail stays here").click();
    await page.getByRole("textbox", { name: "Name" }).fill("Alice");
    await page.locator("input[type=password]").fill("a long one");
    await page.getByRole("button", { name: "Make the mailbox" }).click();
    await heading(page, "Try it").waitFor();
    await submit(relay, { to: "anything@relay.home.arpa", subject: "For Alice" });
    const dir = path.join(relay.data, "mail/alice/new");
    await until(async () => (await readdir(dir).catch(() => [])).length === 1, "the mail");
  });

  test("the QR code of a device is read by another program", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "start/device");
    await page.locator(".qr").waitFor();
    const file = path.join(OUT, "qr.png");
    await page.locator(".qr").screenshot({ path: file });
    const read = execFileSync("zbarimg", ["-q", "--raw", "-Sbinary", file], { stdio: ["ignore", "pipe", "ignore"] });
    assert.match(String(read), /^SMTP server: \S+\nPort: \d+\nEncryption: none\nLogin: none\s*$/);
  });

  test("an unknown device is refused, appears, is allowed by one click, and delivers", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ trusted: [], routes: through(sink) });
    const page = await t.page(relay, "devices");
    await page.getByText("Nobody has come yet").waitFor();
    await assert.rejects(submit(relay, { helo: "reolink_front" }), /Relaying denied/);
    await page.getByText("Is it yours?").waitFor();
    await page.getByText("550 5.7.1 Relaying denied").first().waitFor();
    assert.ok(await page.getByText("calls itself reolink_front").isVisible());
    await page.screenshot({ path: path.join(OUT, "device-unknown.png"), fullPage: true });
    await page.getByRole("button", { name: "Allow this device" }).click();
    await page.locator(".chip", { hasText: "May send" }).waitFor();
    await submit(relay, { helo: "reolink_front", subject: "Now it works" });
    await until(() => sink.messages.length === 1, "the message");
    await page.getByText("1 message in all.").waitFor();
    // Rules of its own count from the next connection on.
    await page.locator("summary", { hasText: "Rules for it" }).click();
    const rules = page.locator(".device form");
    await rules.getByLabel("Name", { exact: true }).fill("Front door");
    await rules.getByLabel("What it may").selectOption("block");
    await rules.getByRole("button", { name: "Save the rules" }).click();
    await page.locator(".chip", { hasText: "Blocked" }).waitFor();
    await page.getByText("Front door").waitFor();
    await assert.rejects(submit(relay, {}), /554 5.7.1 Nothing is taken/);
    await page.locator("summary", { hasText: "Rules for it" }).click();
    await page.getByRole("button", { name: "Take the rules away" }).click();
    await page.getByRole("button", { name: "Take away" }).click();
    await page.locator(".device .chip, .card .chip", { hasText: /Not allowed yet|Is it yours/ }).first().waitFor();
  });

  test("a device that is wrong in a field is told so beside it", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "devices");
    await page.getByLabel("Address", { exact: true }).fill("0.0.0.0/0");
    await page.getByRole("button", { name: "Add this device" }).click();
    await page.getByText("found \"0.0.0.0/0\"").waitFor();
    await page.getByLabel("Address", { exact: true }).fill("192.168.1.20");
    await page.getByLabel("Name", { exact: true }).fill("Garden");
    await page.getByRole("button", { name: "Add this device" }).click();
    await page.locator(".device", { hasText: "Garden" }).waitFor();
    const { data } = await relay.ask("GET", "/api/config", { as: page.session });
    assert.deepEqual(data.devices, [{ address: "192.168.1.20", name: "Garden" }]);
  });

  test("a backup, a wiped relay, and all is as it was", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink, { user: "me", password: "secret" }) });
    const page = await t.page(relay, "care");
    await page.getByLabel("Password for the file").fill("short");
    await page.getByRole("button", { name: "Download a backup" }).click();
    await page.getByText("at least 8 characters is needed").waitFor();
    await page.getByLabel("Password for the file").fill("a word for the file");
    const waiting = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download a backup" }).click();
    const file = path.join(OUT, "waypost.backup");
    await (await waiting).saveAs(file);
    const octets = await readFile(file, "latin1");
    assert.ok(octets.startsWith("waypost-backup-1 argon2id ") && !octets.includes("secret"));
    const other = await t.relay();
    const fresh = await t.page(other, "care");
    await fresh.locator("summary", { hasText: "Put a backup back" }).click();
    await fresh.getByLabel("File", { exact: true }).setInputFiles(file);
    const put = async (password) => {
      await fresh.getByLabel("Its password").fill(password);
      await fresh.getByRole("button", { name: "Put it back" }).first().click();
      await fresh.locator("dialog").getByRole("button", { name: "Put it back" }).click();
    };
    await put("another word");
    await fresh.getByText("the password is not right").waitFor();
    const broken = path.join(OUT, "broken.backup");
    await writeFile(broken, "this is something else\n");
    await fresh.getByLabel("File", { exact: true }).setInputFiles(broken);
    await put("a word for the file");
    await fresh.getByText("this is no backup of Waypost").waitFor();
    await fresh.getByLabel("File", { exact: true }).setInputFiles(file);
    await put("a word for the file");
    await fresh.getByText("It is in place.").waitFor();
    // The listening addresses came along: there the other relay still is.
    const { data } = await other.ask("GET", "/api/config", { as: fresh.session });
    assert.equal(data.routes[0].user, "me");
    const secrets = await readFile(path.join(other.data, "secrets.json"), "utf8");
    assert.ok(secrets.includes("secret"));
  });

  test("changes are seen before they are saved, and the last is undone", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "settings");
    await page.getByLabel("Domains whose mail stays here").fill("home.arpa");
    await page.getByText("1 change, not saved yet").click();
    await page.locator(".save ins", { hasText: "home.arpa" }).waitFor();
    await page.getByRole("button", { name: "Save" }).first().click();
    await page.getByText("Saved. It is in effect now.").waitFor();
    await page.getByRole("link", { name: "Backup, log, undo …" }).click();
    await page.locator(".changes del", { hasText: "home.arpa" }).waitFor();
    await page.getByRole("button", { name: "Undo the last change" }).click();
    await page.getByText("The settings are as they were before.").waitFor();
    const { data } = await relay.ask("GET", "/api/config", { as: page.session });
    assert.equal(data.domains, undefined);
  });

  test("values that are not saved are tried, with the server's exact words", async (t) => {
    const sink = await t.sink((verb) => (verb === "AUTH" ? "535 5.7.8 No such luck" : undefined));
    const relay = await t.relay({ routes: [{ for: "*", via: "mx" }] });
    const page = await t.page(relay, "settings");
    await page.getByText("Through my provider").click();
    await page.getByLabel("Server and port").fill(sink.address);
    await page.getByRole("textbox", { name: "User name" }).first().fill("me");
    await page.locator("input[type=password]").first().fill("x");
    await page.getByLabel("Encryption").first().selectOption("none");
    await page.locator("summary", { hasText: "Try these values" }).click();
    await page.getByLabel("Send a test message to").fill("you@far.example");
    await page.getByRole("button", { name: "Try them" }).click();
    await page.getByText("535 5.7.8 No such luck").first().waitFor();
    const { data } = await relay.ask("GET", "/api/config", { as: page.session });
    assert.equal(data.routes[0].via, "mx", "nothing is saved");
    await page.getByRole("button", { name: "Discard" }).click();
  });

  test("the log runs along, with a filter, and can be had whole", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "care");
    await page.locator(".log", { hasText: "event=started" }).waitFor();
    await say(relay.smtp, ["EHLO <b>printer</b>", "MAIL FROM:<p@home.arpa>", "RCPT TO:<bob@" + "localhost>"]);
    await page.locator(".log", { hasText: "event=refused" }).waitFor();
    await page.getByLabel("Only lines with").fill("REFUSED");
    assert.ok(!(await page.locator(".log").innerText()).includes("event=started"));
    const waiting = page.waitForEvent("download");
    await page.getByRole("link", { name: "Download all that is kept" }).click();
    const file = path.join(OUT, "waypost.log");
    await (await waiting).saveAs(file);
    assert.ok((await readFile(file, "utf8")).includes("event=refused"));
  });

  test("a token opens the API as far as it says, until it is taken away", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "care");
    await page.getByLabel("For", { exact: true }).fill("Home Assistant");
    await page.getByRole("button", { name: "Make a token" }).click();
    const token = await page.locator(".note code", { hasText: "wp_" }).innerText();
    const headers = { Authorization: "Bearer " + token };
    assert.equal((await relay.ask("GET", "/api/status", { headers })).status, 200);
    assert.equal((await relay.ask("GET", "/metrics", { headers })).status, 200);
    assert.equal((await relay.ask("POST", "/api/queue/retry", { headers, body: {} })).status, 403);
    const text = await readFile(path.join(relay.data, "waypost.json"), "utf8");
    assert.ok(!text.includes(token), "the token is in the file");
    await page.getByRole("button", { name: "Take away" }).click();
    await page.locator("dialog").getByRole("button", { name: "Take away" }).click();
    await page.getByText("No program has one.").waitFor();
    assert.equal((await relay.ask("GET", "/api/status", { headers })).status, 401);
  });

  test("strangers get nothing through, and one sees it", async (t) => {
    const relay = await t.relay({ trusted: ["127.0.0.0/8", "203.0.113.0/24"] });
    const page = await t.page(relay, "care");
    await page.getByRole("button", { name: "Look", exact: true }).click();
    await page.getByText("A stranger gets nothing through here").first().waitFor();
    await page.getByText("203.0.113.0/24 is on the internet").waitFor();
  });

  test("several messages at once are held and dropped; one is downloaded, and what was said is shown", async (t) => {
    const sink = await t.sink((verb) => (verb === "RCPT" ? "451 4.7.1 Later" : undefined));
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay, "queue");
    const all = [];
    for (const n of [1, 2, 3]) all.push(await submit(relay, { subject: "Number " + n }));
    for (const n of [1, 2]) await page.getByLabel("Choose Number " + n).check();
    await page.getByText("2 chosen").waitFor();
    await page.locator(".several").getByRole("button", { name: "Hold" }).click();
    await until(async () => (await page.locator(".chip", { hasText: "On hold" }).count()) === 2, "both");
    for (const n of [1, 2]) await page.getByLabel("Choose Number " + n).check();
    await page.locator(".several").getByRole("button", { name: "Drop" }).click();
    await page.locator("dialog").getByRole("button", { name: "Drop" }).click();
    await until(async () => (await page.locator("a.item").count()) === 1, "one is left");
    await page.locator("a.item").click();
    await page.locator("summary", { hasText: "What was said" }).click();
    await page.locator("pre", { hasText: "S: 451 4.7.1 Later" }).waitFor();
    const waiting = page.waitForEvent("download");
    await page.getByText("Header", { exact: true }).click();
    await page.getByRole("link", { name: "Download the message" }).click();
    const file = path.join(OUT, "message.eml");
    await (await waiting).saveAs(file);
    assert.match(await readFile(file, "utf8"), /^Received: .*Subject: Number 3.*Something moved/s);
    await page.goto(relay.url + "/#/find/" + encodeURIComponent("number 3"));
    await page.locator(".line > li").first().waitFor();
  });

  test("without script one logs in, and reads how it is and what waits", async (t) => {
    const sink = await t.sink((verb) => (verb === "RCPT" ? "451 4.7.1 Later" : undefined));
    const relay = await t.relay({ hostname: "relay.home.arpa", routes: through(sink) });
    await relay.enter();
    await submit(relay, { subject: "<b>Bold</b> words" });
    const page = await t.window(relay, { width: 360, script: false });
    await page.goto(relay.url);
    await page.getByRole("link", { name: "log in and read how it is" }).click();
    await logIn(page, "wrong horse");
    await page.getByText("That password is not right.").waitFor();
    await logIn(page);
    await page.getByText("<b>Bold</b> words", { exact: true }).waitFor();
    assert.deepEqual(await page.locator("li b").allInnerTexts(), ["<b>Bold</b> words"]);
    await assertFits(page, "without script");
    await page.screenshot({ path: path.join(OUT, "plain-360.png"), fullPage: true });
  });

  for (const look of LOOKS)
    test("the new views fit and read well: " + look.width + (look.dark ? ", dark" : ", light"), async (t) => {
      const sink = await t.sink();
      const relay = await t.relay({ routes: through(sink), devices: [{ address: "192.168.1.9", name: "Waschmaschinenüberwachung" }] });
      const page = await t.page(relay, "", look);
      await submit(relay, { helo: "cam" });
      for (const [place, ready] of [
        ["devices", (p) => p.locator(".device").nth(1)],
        ["care", (p) => p.locator(".log", { hasText: "event=" })],
        ["start/name", (p) => p.getByLabel("Your own address")],
        ["start/way", (p) => p.getByText("Another server")],
        ["start/test", (p) => p.getByLabel("Send a test message to")],
        ["start/device", (p) => p.locator(".qr")],
        ["test", (p) => p.getByRole("button", { name: "Wait for my device" })],
      ]) {
        await page.goto(relay.url + "/#/" + place);
        await ready(page).waitFor();
        await assertFits(page, place);
        await page.locator("main details").evaluateAll((all) => all.forEach((e) => (e.open = true)));
        await assertFits(page, place + " unfolded");
        assert.deepEqual(await violations(page), [], place);
        const file = place.replace("/", "-") + "-" + look.width + (look.dark ? "-dark" : "-light") + ".png";
        await page.screenshot({ path: path.join(OUT, file), fullPage: true });
      }
    });
}
