// The page of a board that runs an image, with a keeper of the test's own behind it.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { LOOKS, critic } from "./looks.mjs";
import { heading } from "./trial.mjs";
import { until } from "./world.mjs";

const TOLD = {
  board: "raspberry-pi-3",
  title: "Raspberry Pi 3",
  architecture: "aarch64",
  version: "0.1.0",
  built: 1_795_000_000,
  slot: "a",
  trial: false,
  outcome: "fell-back slot b was started and did not serve",
  updating: false,
  name: "waypost.local",
  addresses: ["192.168.1.5", "fd12:3456::5"],
  network: "",
  wifi: "In My home.",
  clock: "By time servers.",
  clock_is_set: true,
  memory_octets: 1_000_000_000,
  free_octets: 912_000_000,
  last_words: "The relay ended with code 101, 2026-11-27T10:00:00Z.\nevent=panic at=<b>nowhere</b>\n",
  troubles: ["The card failed while it was written, and takes nothing now."],
};

/** A keeper that tells this, and remembers what it is asked. */
async function keeper(t, told) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "waypost-keeper-"));
  const place = path.join(folder, "sock");
  const asked = [];
  const server = net.createServer((peer) =>
    peer.once("data", (octets) => {
      const question = JSON.parse(octets);
      if (question.do !== "tell") asked.push(question);
      if (question.do === "network") told = { ...told, network: question.text.replace(/(wifi_password) *=.*/, "$1 = (kept)") };
      const answers = {
        tell: told,
        update: { error: "The update's signature is not right: it was changed on its way." },
        network: question.text === "nonsense" ? { error: "network, line 1: found \"nonsense\"" } : {},
      };
      peer.end(JSON.stringify(answers[question.do] || {}) + "\n");
    }),
  );
  await new Promise((done) => server.listen(place, done));
  t.things.push({
    end: async () => {
      server.close();
      await rm(folder, { recursive: true });
    },
  });
  return { place, asked };
}

/** A relay on a board, and a page of it. */
async function onBoard(t, told = TOLD, look = {}) {
  const { place, asked } = await keeper(t, told);
  process.env.WAYPOST_BOARD = place;
  let relay;
  try {
    relay = await t.relay({});
  } finally {
    delete process.env.WAYPOST_BOARD;
  }
  const page = await t.page(relay, "", look);
  return { relay, page, asked };
}

const open = async (page) => {
  await page.getByRole("link", { name: "Settings" }).first().click();
  await page.getByRole("link", { name: "Board, update" }).click();
  await page.getByText("Root A, the old one").waitFor();
};

export default function chapter(test) {
  test("the board tells which version runs and why, and its troubles are told at home, too", async (t) => {
    const { page } = await onBoard(t);
    await page.getByText("The card failed while it was written").waitFor();
    await open(page);
    for (const words of ["Raspberry Pi 3", "192.168.1.5", "In My home.", "By time servers.", "slot b was started and did not serve"])
      await page.getByText(words).first().waitFor();
    await page.getByText("Last words of a relay").click();
    await page.getByText("at=<b>nowhere</b>").waitFor();
  });

  test("an update is sent in parts, and what the board says to it is shown", async (t) => {
    const { page, asked } = await onBoard(t);
    await open(page);
    const folder = await mkdtemp(path.join(os.tmpdir(), "waypost-update-"));
    t.things.push({ end: () => rm(folder, { recursive: true }) });
    const file = path.join(folder, "x.update");
    await writeFile(file, Buffer.alloc(1_000_000, 7));
    await page.getByLabel("File").setInputFiles(file);
    await page.getByRole("button", { name: "Update" }).click();
    await page.getByText("signature is not right").waitFor();
    assert.deepEqual(asked, [{ do: "update" }]);
  });

  test("a network is asked about before it is used, and refused in words", async (t) => {
    const { page, asked } = await onBoard(t);
    await open(page);
    await page.getByLabel("Fixed values").fill("nonsense");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Use it" }).click();
    await page.getByText('found "nonsense"').waitFor();
    await page.getByLabel("Fixed values").fill("name = mail");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Use it" }).click();
    await until(() => asked.length === 2, "the second question");
    assert.deepEqual(asked[1], { do: "network", text: "name = mail" });
    await page.getByLabel("Fixed values").fill("wifi = My home\nwifi_password = hunter22");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Use it" }).click();
    await until(() => asked.length === 3, "the third question");
    assert.match(asked[2].text, /hunter22/);
    await until(async () => (await page.getByLabel("Fixed values").inputValue()).includes("(kept)"), "the password to go", 20_000);
    await page.getByRole("button", { name: "Start the board anew" }).click();
    await page.getByRole("button", { name: "Start it anew" }).click();
    await until(() => asked.some((question) => question.do === "restart"), "the new start");
  });

  test("a relay that is on no board has no such page", async (t) => {
    const relay = await t.relay({});
    const page = await t.page(relay);
    await page.getByRole("link", { name: "Settings" }).first().click();
    await heading(page, "Settings").waitFor();
    assert.equal(await page.getByRole("link", { name: "Board, update" }).count(), 0);
  });

  for (const look of LOOKS)
    test(`the board looks right at ${look.width} px, ${look.dark ? "dark" : "light"}`, async (t) => {
      const { page } = await onBoard(t, TOLD, look);
      const { look: check, end } = critic(page, look);
      await open(page);
      await check("board");
      end();
    });
}
