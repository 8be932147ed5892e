// The settings: saved ones are in force at once, wrong ones are told beside their field, secrets stay secret.

import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { glimpse, heading, logIn, through } from "./trial.mjs";
import { PASSWORD, say, submit, until } from "./world.mjs";

const save = (page) =>
  page.getByRole("region", { name: "Unsaved changes" }).getByRole("button", { name: "Save" });
const saved = (page) => page.getByText("Saved. It is in effect now.").last();
const toProvider = (page) => page.getByRole("radio", { name: /Through my provider/ }).check();
const plain = (name, password) => Buffer.from("\0" + name + "\0" + password).toString("base64");

/** Does the relay let this user in? */
async function letsIn(relay, name, password) {
  const replies = await say(relay.submission, ["EHLO me", "AUTH PLAIN " + plain(name, password)]);
  return replies[2].startsWith("235");
}

export default function chapter(test) {
  test("a smarthost set in the form takes the next mail and what already waits, without a restart", async (t) => {
    const first = await t.sink((verb) => (verb === "RCPT" ? "451 4.3.0 Not today" : undefined));
    const second = await t.sink();
    const relay = await t.relay({ routes: through(first) });
    await submit(relay, { subject: "Waits" });
    const page = await t.page(relay, "settings");
    const server = page.getByLabel("Server and port");
    await until(() => first.attempts > 0, "the first attempt");
    assert.equal(await server.inputValue(), first.address);
    assert.ok(!(await save(page).isVisible()));
    await server.fill(second.address);
    await save(page).click();
    await saved(page).waitFor();
    assert.ok(!(await save(page).isVisible()));
    await submit(relay, { subject: "New" });
    await until(() => second.messages.some((m) => m.data.includes("Subject: New")), "the new one");
    // What waits for the old server is due at once: nobody has to click.
    await until(
      () => second.messages.some((m) => m.data.includes("Subject: Waits")),
      "the old one",
    );
    const text = await readFile(path.join(relay.data, "waypost.json"), "utf8");
    assert.equal(JSON.parse(text).routes[0].via, second.address);
  });

  test("the way out can be chosen: from direct to a provider with a login, and back", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay();
    const page = await t.page(relay, "settings");
    await toProvider(page);
    await page.getByLabel("Server and port").fill(sink.address);
    await page.getByLabel("User name").first().fill("me");
    await page.getByLabel("Password", { exact: true }).first().fill("sésame & <open>");
    await page.getByLabel("Encryption").first().selectOption("none");
    await save(page).click();
    await saved(page).waitFor();
    await submit(relay);
    await until(() => sink.messages.length === 1, "the message");
    assert.deepEqual(sink.logins, ["\0me\0sésame & <open>"]);
    // A later change leaves the password as it is.
    await page.getByLabel("Domains whose mail stays here").fill("home.example");
    await save(page).click();
    await until(async () => {
      const { data } = await relay.ask("GET", "/api/config", { as: page.session });
      return data.domains?.[0] === "home.example" && data.routes[0].password === "(set)";
    }, "the domain");
    await page.getByRole("radio", { name: /Straight to the recipients/ }).check();
    await save(page).click();
    await until(
      async () => !(await relay.ask("GET", "/api/config", { as: page.session })).data.routes,
      "no route",
    );
  });

  test("a wrong value is told beside its field, and nothing is saved", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay, "settings");
    const before = await readFile(path.join(relay.data, "waypost.json"), "utf8");
    const wrong = [
      [page.getByLabel("Server and port"), "mail.example.org:99999"],
      [page.getByLabel("Name", { exact: true }).first(), "not a host name"],
      [page.getByLabel("Networks at home"), "192.168.1.0/24\n0.0.0.0/0"],
    ];
    for (const [input, value] of wrong) await input.fill(value);
    await save(page).click();
    for (const [input] of wrong) {
      await until(async () => (await input.getAttribute("aria-invalid")) === "true", "the mark");
      const ids = (await input.getAttribute("aria-describedby")).split(" ");
      const complaint = page.locator("#" + ids[ids.length - 1]);
      assert.ok((await complaint.textContent()).length > 10);
      const [field, words] = [await input.boundingBox(), await complaint.boundingBox()];
      assert.ok(words.y >= field.y && words.y - field.y - field.height < 40, "beside its field");
    }
    assert.equal(await readFile(path.join(relay.data, "waypost.json"), "utf8"), before);
    await page.getByText(/^Line 2: .*0\.0\.0\.0\/0/).waitFor();
    // The first of them has the keyboard, and is in sight.
    assert.equal(
      await page.evaluate("document.activeElement.getAttribute('aria-invalid')"),
      "true",
    );
    await page.getByRole("button", { name: "Discard" }).click();
    assert.equal(await page.getByLabel("Server and port").inputValue(), sink.address);
    assert.equal(await page.locator("[aria-invalid=true]").count(), 0);
  });

  test("every field of the settings has a name, and the relay's own defaults pass its own check", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "settings");
    await page.getByLabel("Networks at home").waitFor();
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("main input, main select, main textarea")]
        .filter((e) => !e.hidden && ![...(e.labels || [])].some((l) => l.textContent.trim()))
        .map((e) => e.outerHTML.slice(0, 80)),
    );
    assert.deepEqual(nameless, []);
    await page.getByText("All settings as text").click();
    await page.getByRole("button", { name: "Check" }).click();
    await page.getByText("All of it is right.").waitFor();
    const area = page.getByLabel("Configuration");
    await area.fill('{ "hostname": ');
    await page.getByRole("button", { name: "Check" }).click();
    await page.getByText("This is not JSON").waitFor();
    await area.fill('{ "hostnam": "x" }');
    await page.getByRole("button", { name: "Check" }).click();
    await page
      .getByText(/hostname/)
      .locator("visible=true")
      .last()
      .waitFor();
    page.expectsDialog = (dialog) => dialog.accept();
  });

  test("a user is added, logs in, gets a new password and is removed", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "settings");
    await page.getByLabel("Name", { exact: true }).last().fill("Not A Name!");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.locator("details .note.bad").waitFor();
    await page.getByLabel("Name", { exact: true }).last().fill("alice");
    const password = page.locator("details").getByLabel("Password", { exact: true });
    await password.last().fill("alices first one");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByText("alice was added.").waitFor();
    await page.locator(".people").getByText("can log in").waitFor();
    assert.ok(await letsIn(relay, "alice", "alices first one"));
    await page.getByRole("button", { name: "New password for alice" }).click();
    await page.locator("dialog").getByLabel("New password for alice").fill("alices second one");
    await page.getByRole("button", { name: "Set password" }).click();
    await page.getByText("The password of alice was changed.").waitFor();
    assert.ok(await letsIn(relay, "alice", "alices second one"));
    assert.ok(!(await letsIn(relay, "alice", "alices first one")));
    await page.getByRole("button", { name: "Remove alice" }).click();
    await page.locator("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByText("alice was removed.").waitFor();
    assert.equal(await page.locator(".people").count(), 0);
    assert.ok(!(await letsIn(relay, "alice", "alices second one")));
  });

  test("what is typed stays while a user is added", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "settings");
    await page.getByLabel("Domains whose mail stays here").fill("home.example");
    await page.getByLabel("Name", { exact: true }).last().fill("bob");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.locator(".people").getByText("bob").waitFor();
    const domains = page.getByLabel("Domains whose mail stays here");
    assert.equal(await domains.inputValue(), "home.example");
    await save(page).click();
    await saved(page).waitFor();
    const { data } = await relay.ask("GET", "/api/config", { as: page.session });
    assert.deepEqual([data.domains, data.users.length], [["home.example"], 1]);
  });

  test("no secret is in any answer of the relay, in the page or where others can read", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({
      routes: through(sink, { user: "me", password: "route-secret" }),
    });
    const page = await t.page(relay, "settings");
    await page.getByLabel("Name", { exact: true }).last().fill("carol");
    const boxes = page.locator("details").getByLabel("Password", { exact: true });
    await boxes.last().fill("user-secret-one");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.locator(".people").getByText("carol").waitFor();
    await page.getByText("All settings as text").click();
    const route = page.getByLabel("Password", { exact: true }).first();
    await route.fill("route-secret-two");
    await save(page).click();
    await saved(page).waitFor();
    await page.getByText("All settings as text").click();
    const secrets = ["route-secret", "user-secret", PASSWORD, "$argon2"];
    const shown = await page.evaluate(() => {
      const fields = [...document.querySelectorAll("input, textarea")].map((e) => e.value);
      return document.documentElement.outerHTML + fields.join("\n");
    });
    for (const place of ["", "queue", "find", "test"])
      await page
        .goto(relay.url + "/#/" + place)
        .then(() => page.locator("main h1:visible").waitFor());
    const answers = (await Promise.all(page.answers)).map(({ url, text }) => url + "\n" + text);
    for (const where of ["/api/config", "/api/settings", "/api/status", "/api/recent", "/metrics"])
      answers.push((await relay.ask("GET", where, { as: page.session })).text);
    const wrong = {
      as: page.session,
      body: { routes: [{ for: "*", via: "x y", password: "(set)" }] },
    };
    answers.push((await relay.ask("POST", "/api/config/check", wrong)).text);
    const readable = await readFile(path.join(relay.data, "waypost.json"), "utf8");
    for (const secret of secrets) {
      assert.ok(!shown.includes(secret), secret + " is in the page");
      for (const answer of answers) assert.ok(!answer.includes(secret), secret + " in " + answer);
      assert.ok(!relay.output.includes(secret), secret + " is in the log");
      // The hash of a user's password is in the file, which only its owner reads.
      const hash = secret.startsWith("$");
      assert.ok(hash || !readable.includes(secret), secret + " is in waypost.json");
    }
    const file = path.join(relay.data, "secrets.json");
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    await submit(relay);
    await until(() => sink.messages.length === 1, "the message");
    assert.deepEqual(sink.logins, ["\0me\0route-secret-two"]);
  });

  test("a wrong password at the provider is told in the provider's words", async (t) => {
    const words = "535 5.7.8 Username and Password not accepted. Learn more at <help>";
    const sink = await t.sink((verb) => (verb === "AUTH" ? words : undefined));
    const relay = await t.relay({ routes: through(sink, { user: "me", password: "wrong" }) });
    const page = await t.page(relay, "queue");
    await submit(relay, { subject: "Alert" });
    await glimpse(page, page.locator("a.item", { hasText: words }));
  });

  test("of two windows, the second to save is told that the settings have changed", async (t) => {
    const relay = await t.relay();
    const one = await t.page(relay, "settings");
    const two = await t.page(relay, "settings", { as: one.session });
    for (const page of [one, two])
      await page.getByLabel("Domains whose mail stays here").fill("home.example");
    await save(one).click();
    await saved(one).waitFor();
    await save(two).click();
    await two.getByText("The settings have changed meanwhile").waitFor();
    two.expectsDialog = (dialog) => dialog.accept();
  });

  test("leaving with changes that are not saved asks first", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "settings");
    await page.getByLabel("Domains whose mail stays here").fill("home.example");
    let asked = 0;
    page.expectsDialog = (dialog) => (asked++ ? dialog.accept() : dialog.dismiss());
    const queue = page.getByRole("link", { name: "Queue" });
    await queue.click();
    await until(() => asked === 1, "the question");
    const domains = page.getByLabel("Domains whose mail stays here");
    assert.equal(await domains.inputValue(), "home.example");
    await queue.click();
    await heading(page, "Queue").waitFor();
  });

  test("a new password of the page logs all other browsers out", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay, "settings");
    const other = await t.page(relay, "queue", { as: page.session });
    await page.getByLabel("Password now").fill("wrong one");
    await page.getByLabel("New password", { exact: true }).fill("a newer password");
    await page.getByRole("button", { name: "Change password" }).click();
    await page.getByText("That password is not right.").waitFor();
    await page.getByLabel("Password now").fill(PASSWORD);
    await page.getByRole("button", { name: "Change password" }).click();
    await page.getByText("The password was changed.").waitFor();
    await glimpse(other, heading(other, "Log in"));
    await page.getByRole("link", { name: "Queue" }).click();
    await page.getByText("Nothing is waiting").waitFor();
    await logIn(other, "a newer password");
    await other.getByText("Nothing is waiting").waitFor();
  });
}
