// End-to-end tests of the page, in a real Chromium against a real relay on loopback.
//
//   node tests/browser/run.mjs [WORDS ...]      only cases whose name contains one of these
//
// scripts/browser calls it, and sees to what it needs.

import { mkdirSync } from "node:fs";
import board from "./board.mjs";
import domain from "./domain.mjs";
import doors from "./doors.mjs";
import entry from "./entry.mjs";
import first from "./first.mjs";
import hostile from "./hostile.mjs";
import looks from "./looks.mjs";
import mail from "./mail.mjs";
import scale from "./scale.mjs";
import settings from "./settings.mjs";
import signin from "./signin.mjs";
import { OUT, Trial, launch } from "./trial.mjs";
import vitals from "./vitals.mjs";

// Whoever ends this early ends what it has started, too: each Relay sees to its own at "exit".
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
])
  process.on(signal, () => process.exit(code));

/** The longest that one case may take. */
const PATIENCE = 120000;

const cases = [];
for (const chapter of [entry, first, mail, vitals, settings, signin, domain, board, hostile, doors, looks, scale])
  chapter((name, work) => cases.push({ name, work }));
const words = process.argv.slice(2);
const chosen = cases.filter(({ name }) => !words.length || words.some((w) => name.includes(w)));

async function within(work, patience) {
  let timer;
  const late = new Promise((_, no) => {
    timer = setTimeout(() => no(new Error("took more than " + patience + " ms")), patience);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function run({ name, work }, browser) {
  const trial = new Trial(browser);
  const since = Date.now();
  let failure = null;
  try {
    await within(work(trial), PATIENCE);
    if (trial.faults.length) throw new Error("meanwhile: " + trial.faults.join("; "));
  } catch (error) {
    failure = error;
  }
  try {
    await within(trial.end(), 30000);
  } catch (error) {
    failure ||= error;
  }
  const seconds = ((Date.now() - since) / 1000).toFixed(1);
  console.log((failure ? "FAIL " : "ok   ") + name + " (" + seconds + " s)");
  if (!failure) return true;
  const words = String(failure.stack || failure).replace(/\x1b\[\d+m/g, "");
  console.log("     " + words.replaceAll("\n", "\n     "));
  for (const fault of trial.faults) console.log("     meanwhile: " + fault);
  for (const { output } of trial.things)
    if (output) console.log("     the relay: " + output.slice(-1500).replaceAll("\n", "\n       "));
  return false;
}

mkdirSync(OUT, { recursive: true });
const browser = await launch();
const waiting = [...chosen];
let passed = 0;
// Most of its time a case waits: two at once take half as long, and are strangers to each other.
const worker = async () => {
  while (waiting.length) {
    const good = await run(waiting.shift(), browser);
    passed += good ? 1 : 0;
  }
};
await Promise.all([worker(), worker()]);
await browser.close();
const failed = chosen.length - passed;
console.log(passed + " passed, " + failed + " failed");
process.exitCode = failed || !passed ? 1 : 0;
