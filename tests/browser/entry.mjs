// The first visit, logging in and out.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { glimpse, heading, later, logIn, setUp } from "./trial.mjs";
import { PASSWORD, until } from "./world.mjs";

export default function chapter(test) {
  test("the setup code that the relay prints and a password open the page", async (t) => {
    const relay = await t.relay();
    const page = await t.window(relay);
    await page.goto(relay.url);
    await setUp(page, relay.code);
    await later(page);
    const text = await readFile(path.join(relay.data, "waypost.json"), "utf8");
    assert.ok(!text.includes(PASSWORD), "the password is in the file");
    // Nothing that a script could read logs one in.
    assert.equal(await page.evaluate("document.cookie"), "");
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
  });

  test("the link that the relay prints fills the code in, and leaves no trace of it", async (t) => {
    const relay = await t.relay();
    const page = await t.window(relay);
    await page.goto(relay.link);
    assert.equal(await page.getByLabel("Setup code").inputValue(), relay.code);
    await page.getByLabel("New password").fill(PASSWORD);
    await page.getByLabel("New password").press("Enter");
    await later(page);
    assert.ok(!page.url().includes(relay.code));
  });

  test("a wrong setup code is refused in words, and sets nothing", async (t) => {
    const relay = await t.relay();
    const page = await t.window(relay);
    await page.goto(relay.url);
    await setUp(page, "0000-0000");
    await page.getByText("That is not the setup code.").waitFor();
    await setUp(page, relay.code, "short");
    await page.getByText("The password needs at least 8 characters.").waitFor();
    assert.equal((await relay.ask("GET", "/api/session")).data.state, "setup");
    await setUp(page, relay.code);
    await later(page);
  });

  test("who guesses setup codes must wait, and is told so", async (t) => {
    const relay = await t.relay();
    const page = await t.window(relay);
    await page.goto(relay.url);
    for (let n = 0; n < 5; n++) {
      await relay.ask("POST", "/api/setup", { body: { code: "guess-" + n, password: PASSWORD } });
    }
    await setUp(page, relay.code);
    await page.getByText(/^Too many wrong tries\. Try again in \d+ seconds\.$/).waitFor();
  });

  test("the setup code works once, also after a restart", async (t) => {
    const relay = await t.relay();
    const { code } = relay;
    await relay.enter();
    const again = { body: { code, password: "another password" } };
    assert.equal((await relay.ask("POST", "/api/setup", again)).status, 409);
    const page = await t.window(relay);
    await page.goto(relay.url);
    await heading(page, "Log in").waitFor();
    await relay.stop();
    await relay.run();
    assert.equal(relay.code, undefined, "a code is printed again");
    assert.equal((await relay.ask("POST", "/api/setup", again)).status, 409);
    await page.reload();
    await logIn(page);
    await heading(page, "Ready for mail.").waitFor();
  });

  test("a wrong password does not open the page, the right one does, logging out closes it", async (t) => {
    const relay = await t.relay();
    await relay.enter();
    const page = await t.window(relay);
    await page.goto(relay.url);
    await logIn(page, "wrong horse");
    await page.getByText("That password is not right.").waitFor();
    assert.equal((await page.context().cookies()).length, 0);
    await logIn(page);
    await heading(page, "Ready for mail.").waitFor();
    const [cookie] = await page.context().cookies();
    await page.getByRole("link", { name: "Settings", exact: true }).click();
    await page.getByRole("button", { name: "Log out" }).click();
    await heading(page, "Log in").waitFor();
    const replay = { headers: { Cookie: cookie.name + "=" + cookie.value } };
    assert.equal((await relay.ask("GET", "/api/status", replay)).status, 401);
  });

  test("after many wrong passwords one must wait, and is told so", async (t) => {
    const relay = await t.relay();
    await relay.enter();
    const page = await t.window(relay);
    await page.goto(relay.url);
    await until(async () => {
      const answer = await relay.ask("POST", "/api/login", { body: { password: "a guess" } });
      return answer.status === 429;
    }, "the throttle");
    await logIn(page);
    await page.getByText(/^Too many wrong tries\. Try again in \d+ seconds\.$/).waitFor();
  });

  test("an open page notices that the relay is gone, and asks for the login when it is back", async (t) => {
    const relay = await t.relay();
    const page = await t.page(relay);
    await heading(page, "Ready for mail.").waitFor();
    await relay.stop();
    await glimpse(page, page.getByText("The relay does not answer."));
    await relay.run();
    await glimpse(page, heading(page, "Log in"));
    await logIn(page);
    await heading(page, "Ready for mail.").waitFor();
  });
}
