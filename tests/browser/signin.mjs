// Signing in with a provider: by a link that comes back, by a pasted address, by a code.

import assert from "node:assert/strict";
import { LOOKS, critic } from "./looks.mjs";
import { glimpse, heading, through } from "./trial.mjs";
import { submit, until } from "./world.mjs";

const OFFER = "250-sink.example\r\n250 AUTH XOAUTH2";
const login = { user: "me@example.org", oauth: "mine", client_id: "us" };

/** A relay whose mail leaves by a smarthost that takes the tokens of a service. */
async function wanting(t, more) {
  const service = await t.service();
  const sink = await t.sink((verb) => (verb === "EHLO" ? OFFER : undefined));
  const relay = await t.relay({ oauth: service.oauth, routes: through(sink, { ...login, ...more }) });
  return { service, sink, relay };
}

const button = (page, name) => page.getByRole("button", { name, exact: true });
const token = "user=me@example.org\x01auth=Bearer access\x01\x01";

export default function chapter(test) {
  test("who is wanted to sign in is told on Home, follows the link, and comes back to mail that has left", async (t) => {
    const { sink, relay } = await wanting(t);
    await submit(relay);
    const page = await t.page(relay);
    page.goesElsewhere = true;
    await heading(page, "Something needs you.").waitFor();
    await page.getByText("Nobody has signed in at 127.0.0.1 as me@example.org yet").first().waitFor();
    await page.getByRole("link", { name: "Sign in" }).click();
    await heading(page, "Sign in").waitFor();
    await button(page, "Sign in, and come back here").click();
    await page.getByRole("link", { name: "Open the service’s page" }).click();
    await page.getByText("Signed in as me@example.org at 127.0.0.1.").waitFor();
    await page.getByText("Signed in since").waitFor();
    assert.equal(page.url(), relay.url + "/#/sign-in", "no code is left in the address");
    await until(() => sink.messages.length === 1, "the message");
    assert.deepEqual(sink.logins, [token]);
    await page.goto(relay.url + "/#/");
    await glimpse(page, heading(page, "Everything is working."));
  });

  test("an address that did not come back by itself is pasted, and a wrong one is told in words", async (t) => {
    const { service, sink, relay } = await wanting(t);
    await submit(relay);
    const page = await t.page(relay, "sign-in");
    await button(page, "Sign in").click();
    const link = await page.getByRole("link", { name: "Open the service’s page" }).getAttribute("href");
    const address = page.getByLabel("The address", { exact: true });
    await address.fill("I do not know");
    await button(page, "Done").click();
    await page.getByText("neither an address with a code in it").waitFor();
    const { headers } = await fetch(link, { redirect: "manual" });
    service.answers.push([400, { error: "invalid_grant", error_description: "<b>No</b> such code" }]);
    await address.fill(headers.get("location"));
    await button(page, "Done").click();
    await page.getByText("invalid_grant: <b>No</b> such code").first().waitFor();
    assert.equal(sink.messages.length, 0);
    await button(page, "Sign in").click();
    const shown = page.getByRole("link", { name: "Open the service’s page" });
    let next;
    await until(async () => (next = await shown.getAttribute("href")) !== link, "a new link");
    const back = await fetch(next, { redirect: "manual" });
    await address.fill(back.headers.get("location"));
    await button(page, "Done").click();
    await page.getByText("Signed in since").waitFor();
    await until(() => sink.messages.length === 1, "the message");
  });

  test("a code is shown until it is typed elsewhere, and then the page knows", async (t) => {
    const { service, sink, relay } = await wanting(t);
    await submit(relay);
    const page = await t.page(relay, "sign-in");
    await button(page, "By a code, on another device").click();
    await page.getByText("WDJB-MJHT", { exact: true }).waitFor();
    const there = page.getByRole("link", { name: "Open the page for it" });
    assert.equal(await there.getAttribute("href"), service.url + "/type");
    service.typed = true;
    await glimpse(page, page.getByText("Signed in since"));
    await until(() => sink.messages.length === 1, "the message");
  });

  test("a browser that comes back without a login is asked for the password first", async (t) => {
    const { relay } = await wanting(t);
    const as = await relay.enter();
    const begun = { route: 0, by: "link", page: relay.url };
    const { data } = await relay.ask("POST", "/api/sign-ins", { as, body: begun });
    const { headers } = await fetch(data.link, { redirect: "manual" });
    const page = await t.window(relay);
    await page.goto(headers.get("location"));
    await heading(page, "Log in").waitFor();
    assert.ok(!page.url().includes("code"), page.url());
    await page.getByLabel("Password").fill("correct horse battery");
    await button(page, "Log in").click();
    await page.getByText("Signed in since").waitFor();
  });

  test("the settings ask for what a sign-in needs, and send there", async (t) => {
    const service = await t.service();
    const sink = await t.sink((verb) => (verb === "EHLO" ? OFFER : undefined));
    const relay = await t.relay({
      oauth: service.oauth,
      routes: through(sink, { user: "me@example.org", password: "old" }),
    });
    const page = await t.page(relay, "settings");
    await page.getByText("Sign in with Google or Microsoft instead").click();
    await page.getByLabel("Where", { exact: true }).fill("mine");
    await page.getByLabel("Client id", { exact: true }).first().fill("us");
    await page.getByLabel("Client secret", { exact: true }).first().fill("hush");
    await page.getByRole("region", { name: "Unsaved changes" }).getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved. It is in effect now.").last().waitFor();
    const { data } = await relay.ask("GET", "/api/config", { as: page.session });
    const [{ oauth, client_id, client_secret, password }] = data.routes;
    assert.deepEqual([oauth, client_id, client_secret, password], ["mine", "us", "(set)", undefined]);
    await page.getByRole("link", { name: "sign in", exact: true }).click();
    await page.getByText("Nobody has signed in yet").waitFor();
  });

  test("a provider that is known brings its server, and says what it wants", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay, "settings");
    await page.getByLabel("Provider", { exact: true }).selectOption({ label: "Gmail" });
    await page.getByText("If empty: smtp.gmail.com:587.").waitFor();
    await page.getByText("It takes 500 messages a day.").waitFor();
    await page.getByText("An app password (myaccount.google.com").waitFor();
    await page.getByLabel("User name").first().fill("me@gmail.com");
    await page.getByLabel("Password", { exact: true }).first().fill("abcd efgh ijkl mnop");
    const save = page.getByRole("region", { name: "Unsaved changes" });
    await save.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved. It is in effect now.").last().waitFor();
    const { data } = await relay.ask("GET", "/api/config", { as: page.session });
    assert.deepEqual(data.routes[0], {
      for: "*",
      tls: "none",
      provider: "gmail",
      user: "me@gmail.com",
      password: "(set)",
    });
    await page.getByLabel("Provider", { exact: true }).selectOption({ label: "Amazon SES" });
    await page.getByText("For example email-smtp.eu-central-1.amazonaws.com:587").waitFor();
  });

  for (const look of LOOKS) {
    test(`signing in fits and reads well: ${look.width} px, ${look.dark ? "dark" : "light"}`, async (t) => {
      const { service, relay } = await wanting(t);
      const page = await t.page(relay, "sign-in", look);
      const { look: check, end } = critic(page, look);
      await page.getByText("Nobody has signed in yet").waitFor();
      await check("sign-in");
      await button(page, "Sign in").click();
      await page.getByRole("link", { name: "Open the service’s page" }).waitFor();
      await check("sign-in-link");
      await button(page, "By a code, on another device").click();
      await page.getByText("WDJB-MJHT", { exact: true }).waitFor();
      await check("sign-in-code");
      service.typed = true;
      await glimpse(page, page.getByText("Signed in since"));
      await check("sign-in-done");
      end();
    });
  }
}
