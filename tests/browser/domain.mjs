// What others see of a domain, and the keys that sign for it.

import assert from "node:assert/strict";
import { LOOKS, critic } from "./looks.mjs";
import { Names, submit, until } from "./world.mjs";

const DOMAIN = "example.org";

/** A relay whose mail leaves by MX, to a mail server of that domain; what is published is little. */
async function home(t, records) {
  const seen = "250-sink.example at your service, [203.0.113.7]\r\n250 8BITMIME";
  const sink = await t.sink((verb) => (verb === "EHLO" ? seen : undefined));
  const names = await t.keep(
    Names.start({
      [DOMAIN + " MX"]: "mx.example.org",
      "mx.example.org A": "127.0.0.1",
      "relay.example.org A": "203.0.113.7",
      "7.113.0.203.in-addr.arpa PTR": "relay.example.org",
      ...records,
    }),
  );
  const relay = await t.relay({
    dns: [names.address],
    delivery: { port: sink.port, ipv6: false },
    routes: [],
  });
  return { sink, names, relay };
}

/** Of a card, or of what the findings come to. */
const heading = (page, name) => page.getByRole("heading", { name, exact: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });
const card = (page, name) =>
  page.locator("section.card").filter({ has: page.getByRole("heading", { name, exact: true }) });

async function check(page) {
  await page.getByLabel("Your domain").fill(DOMAIN);
  await button(page, "Check").click();
  await page.getByRole("heading", { level: 2, name: /wrong|could/ }).waitFor();
}

export default function chapter(test) {
  test("a domain is judged, and the records to publish are there to be copied", async (t) => {
    const { sink, names, relay } = await home(t, { [DOMAIN + " TXT"]: "v=spf1 mx -all" });
    const page = await t.page(relay, "test");
    await page.getByRole("link", { name: "See what others see of it" }).click();
    await check(page);
    await heading(page, "2 things are wrong").waitFor();
    const good = card(page, "In order");
    await good.getByText('Open: mx.example.org said "220 sink.example ESMTP".').waitFor();
    const spf = card(page, "SPF");
    await spf.getByText("says that mail from 203.0.113.7 is forged").waitFor();
    await spf.getByRole("button", { name: "Copy the value of example.org" }).click();
    await page.getByText("Copied: v=spf1 ip4:203.0.113.7 mx -all").waitFor();
    await card(page, "DMARC").getByText("Could be better.").waitFor();
    assert.equal(sink.messages.length, 0, "nothing is sent");
    // Published, and looked at again: the sum is another.
    names.records[DOMAIN + " TXT"] = "v=spf1 ip4:203.0.113.7 mx -all";
    await until(async () => {
      await button(page, "Check").click();
      return (await good.getByText("Mail from 203.0.113.7 is allowed.").count()) > 0;
    }, "the new record");
    await page.getByLabel("Your domain").fill("nonsense");
    await button(page, "Check").click();
    await page.getByText("nonsense is no domain, such as example.org").waitFor();
  });

  test("keys are made, sign, are shown with their records, and are retired", async (t) => {
    const { sink, names, relay } = await home(t, {});
    const page = await t.page(relay, "domain/" + DOMAIN);
    await page.getByText("There is no key yet.").waitFor();
    await button(page, "Make keys for the domain above").click();
    await page.getByText("Mail is signed with these keys from now on").waitFor();
    await heading(page, "example.org, RSA").waitFor();
    const ed = card(page, "example.org, Ed25519");
    const [, name, value] = await ed.locator("code").allTextContents();
    assert.match(name, /^[a-z0-9-]+\._domainkey\.example\.org$/);
    assert.match(value, /^v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=$/);
    await submit(relay, { from: "me@" + DOMAIN, to: "you@" + DOMAIN });
    await until(() => sink.messages.length === 1, "the message");
    assert.equal(sink.messages[0].data.match(/^DKIM-Signature:/gm).length, 2);
    names.records[name + " TXT"] = value;
    await check(page);
    await page.getByText("is published.").waitFor();
    await ed.getByRole("button", { name: "Retire" }).click();
    await page.locator("dialog[open]").getByRole("button", { name: "Retire" }).click();
    await page.getByText("Leave its record published for a week").waitFor();
    await until(async () => (await ed.count()) === 0, "the key to go");
    assert.equal(await card(page, "example.org, RSA").count(), 1);
  });

  for (const look of LOOKS) {
    test(`a domain fits and reads well: ${look.width} px, ${look.dark ? "dark" : "light"}`, async (t) => {
      const { relay } = await home(t, { "_dmarc.example.org TXT": "v=DMARC1; p=none" });
      const page = await t.page(relay, "domain", look);
      const { look: see, end } = critic(page, look);
      await page.getByText("There is no key yet.").waitFor();
      await see("domain");
      await check(page);
      await button(page, "Make keys for the domain above").click();
      await heading(page, "example.org, RSA").waitFor();
      await see("domain-looked-at");
      end();
    });
  }
}
