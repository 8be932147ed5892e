// Trying it: a message of the relay's own, a way out step by step, and a device's way in.

import {
  TONES,
  ago,
  ask,
  attempt,
  field,
  form,
  get,
  h,
  icon,
  note,
  post,
  timeline,
  toast,
} from "./kit.js";

const ENDS = ["delivered", "bounced", "failed", "dropped"];
// ---- A test ----

export function testView(view) {
  const to = field(
    "Send to",
    h("input", {
      type: "email",
      autocomplete: "email",
      autocapitalize: "none",
      placeholder: "you@example.org",
    }),
    "Your own address, where you can look whether it arrived.",
  );
  const from = field(
    "From (optional)",
    h("input", { type: "email", autocomplete: "off", autocapitalize: "none" }),
    "What a device would write as its sender. Some providers accept only your own address here.",
  );
  const follow = h("div", { class: "fields", "aria-live": "polite" });
  let current = "";
  const start = async () => {
    to.complain("");
    if (!to.input.value.includes("@")) {
      to.complain("An address such as you@example.org is needed.");
      to.input.focus();
      return;
    }
    const body = { to: to.input.value.trim() };
    if (from.input.value.trim()) body.from = from.input.value.trim();
    const { id } = await ask("POST", "/api/test", body);
    current = id;
    attempt(() => watch(id, body.to));
  };
  const watch = async (id, address) => {
    const since = Date.now();
    let last = "";
    while (current === id && view.isOpen()) {
      const [{ events }, waiting] = await Promise.all([
        get("/api/trace?q=" + encodeURIComponent(id)),
        stillQueued(id),
      ]);
      const end = events.filter((event) => ENDS.includes(event.event)).pop();
      const trouble = events.filter((event) => event.event === "deferred").pop();
      const over = end && !waiting;
      const text = JSON.stringify([events, waiting]);
      if (text !== last) {
        last = text;
        follow.replaceChildren(
          h(
            "section",
            { class: "card" },
            verdict(over && end, trouble, address),
            timeline(events, id),
          ),
        );
      }
      if (over || Date.now() - since > 600000) return;
      await new Promise((wake) => setTimeout(wake, Date.now() - since < 30000 ? 1000 : 5000));
    }
  };
  view.leave(() => {
    current = "";
  });
  view.show(
    "Send a test",
    h("p", { class: "soft" }, "Waypost sends a real message, and you watch it go."),
    h(
      "section",
      { class: "card" },
      form([h("div", { class: "pair" }, to, from)], "Send test message", start),
    ),
    follow,
    stepwise(),
    wayIn(view),
    h(
      "p",
      { class: "soft" },
      "Is your mail from a domain of your own? ",
      h("a", { href: "#/domain" }, "See what others see of it"),
      ", and sign it.",
    ),
  );
}

async function stillQueued(id) {
  try {
    await get("/api/queue/" + id);
    return true;
  } catch (wrong) {
    if (wrong.status === 404) return false;
    throw wrong;
  }
}

function verdict(end, trouble, address) {
  if (end && TONES[end.event] === "good")
    return note(
      "good",
      h("b", null, "It got through. "),
      "The server for " + address + " has taken it. Look in the inbox, and in the spam folder.",
    );
  if (end)
    return note("bad", h("b", null, "It did not get through. "), "The exact words are below.");
  if (trouble)
    return note(
      "wait",
      h("b", null, "Not yet. "),
      "The other side said “try again later”. Waypost will, by itself; its exact words are below.",
    );
  return h("p", { class: "soft pulse" }, "On its way…");
}

// ---- A way out, step by step ----

const STAGES = [
  ["dns", "Find the server"],
  ["connect", "Connect"],
  ["tls", "Encrypt"],
  ["hello", "Say hello"],
  ["login", "Log in"],
  ["sender", "Sender"],
  ["recipient", "Recipient"],
  ["message", "Message"],
];

/** How a stage stands: what was found, and what the server said. */
function toneOf(steps) {
  const bad = (step) =>
    step.kind === "bad" || (step.kind === "server" && /^[45]/.test(step.words));
  if (steps.some(bad)) return "bad";
  if (steps.some((step) => step.kind === "note")) return "wait";
  return steps.some((step) => step.kind !== "us") ? "good" : "wait";
}

function stageRow(words, steps) {
  const tone = toneOf(steps);
  const said = steps.filter((step) => step.kind === "us" || step.kind === "server");
  const found = steps.filter((step) => !said.includes(step));
  const last = said.filter((step) => step.kind === "server").pop();
  return h(
    "li",
    null,
    h("span", { class: "dot " + tone }, icon(tone)),
    h(
      "div",
      null,
      h(
        "div",
        { class: "head" },
        h("b", null, words),
        h("span", { class: "soft small" }, steps[steps.length - 1].at + " ms"),
      ),
      found.map((step) => h("p", null, step.words)),
      last && h("p", { class: "quote" }, last.words),
      said.length > 1 &&
        h(
          "details",
          { class: "small" },
          h("summary", null, "Word by word"),
          h(
            "pre",
            { tabindex: "0", "aria-label": words + ", word by word" },
            said.map((step) => (step.kind === "us" ? "C: " : "S: ") + step.words).join("\n"),
          ),
        ),
    ),
  );
}

/**
 * Try a way out: `route` gives it as it would stand in the configuration (nothing: as it is),
 * `done` hears whether the server took the message. An element that shows it, and what starts it.
 */
export function trialPanel({ route = () => undefined, done = () => {} }) {
  const show = h("div", { class: "fields", "aria-live": "polite" });
  let number = 0;
  const draw = (steps, over, code) => {
    const stages = STAGES.map(([stage, words]) => [words, steps.filter((s) => s.stage === stage)]);
    const end = steps.filter((step) => step.stage === "end" && step.kind !== "us").pop();
    const good = over && end && end.kind === "good";
    show.replaceChildren(
      over && end
        ? note(good ? "good" : "bad", h("b", null, good ? "It works. " : "It does not work. "), end.words)
        : h("p", { class: "soft pulse" }, "Trying…"),
      h(
        "ol",
        { class: "line" },
        stages.filter(([, all]) => all.length).map(([words, all]) => stageRow(words, all)),
      ),
      good ? arrived(code) : "",
    );
    return good;
  };
  const start = async (to, from) => {
    show.replaceChildren(h("p", { class: "soft pulse" }, "Trying…"));
    const body = { to, route: route() || null };
    if (from) body.from = from;
    const begun = await post("/api/trial", body);
    number = begun.number;
    const steps = [];
    while (number === begun.number && show.isConnected) {
      const part = await get("/api/trial/" + number + "?since=" + steps.length);
      steps.push(...part.steps);
      const good = draw(steps, part.over, part.code);
      if (part.over) return done(good);
    }
  };
  return { show, start };
}

/** The server has taken it; the person can tell whether it came. */
function arrived(code) {
  const answer = h("div", null);
  const no = h(
    "div",
    { class: "fields" },
    note(
      "wait",
      "Give it some minutes, and look into the spam folder. If it is there, or nowhere: your domain or the sender may not be believed. ",
      h("a", { href: "#/domain" }, "See what others see of it"),
      ".",
    ),
  );
  const button = (words, show) =>
    h("button", { type: "button", onclick: () => answer.replaceChildren(show()) }, words);
  return h(
    "div",
    { class: "entry" },
    h("p", null, h("b", null, "Did it arrive? "), "Look for the subject “Test message " + code + "”."),
    h(
      "div",
      { class: "row" },
      button("Yes, it is there", () => note("good", "Then mail gets through.")),
      button("No", () => no),
    ),
    answer,
  );
}

function stepwise() {
  const to = field(
    "Try it with",
    h("input", { type: "email", autocomplete: "email", autocapitalize: "none", placeholder: "you@example.org" }),
    "An address outside. The way out as it is set now is tried at once, past the queue.",
  );
  const panel = trialPanel({});
  return h(
    "section",
    { class: "card" },
    h("h2", null, "The way out, step by step"),
    form([to], "Try each step", () => panel.start(to.input.value.trim())),
    panel.show,
  );
}

// ---- A way in ----

/** Wait for a device and tell what it does: connects, is refused and why, has sent. */
export function wayIn(view) {
  const show = h("div", { class: "fields", "aria-live": "polite" });
  let watching = false;
  const watch = async () => {
    const before = new Map((await get("/api/devices")).rows.map((row) => [row.address, row]));
    show.replaceChildren(h("p", { class: "soft pulse" }, "Waiting for your device. Press its test button now."));
    const since = Date.now();
    while (watching && view.isOpen() && Date.now() - since < 600000) {
      await new Promise((wake) => setTimeout(wake, 1500));
      const { rows } = await get("/api/devices");
      const news = rows.filter((row) => {
        const was = before.get(row.address);
        return row.seen != null && (!was || row.messages > was.messages || row.refused > was.refused);
      });
      if (news.length) show.replaceChildren(...news.map((row) => cameIn(row, before.get(row.address))));
    }
  };
  const toggle = h(
    "button",
    {
      type: "button",
      onclick: () => {
        watching = !watching;
        toggle.textContent = watching ? "Stop waiting" : "Wait for my device";
        if (watching) attempt(watch);
      },
    },
    "Wait for my device",
  );
  view.leave(() => {
    watching = false;
  });
  return h(
    "section",
    { class: "card" },
    h("h2", null, "The way in"),
    h("p", { class: "soft" }, "See what happens when a camera, a printer or a program sends its test message to this relay."),
    h("div", { class: "row" }, toggle),
    show,
  );
}

function cameIn(row, was) {
  const who = row.name || row.host || row.helo || row.maker;
  const title = who ? who + " (" + row.address + ")" : row.address;
  if (row.messages > (was ? was.messages : 0))
    return note(
      "good",
      h("b", null, title + " has sent a message. "),
      row.repairs.length ? "Put right on the way: " + row.repairs.join(", ") + ". " : "",
      h("a", { href: "#/find/" + encodeURIComponent(row.last_in.id) }, "See where it went"),
      ".",
    );
  const no = row.last_refusal;
  return note(
    "bad",
    h("b", null, title + " connected and was refused: "),
    no.reply + (no.reason ? " — " + no.reason : "") + ". ",
    h("a", { href: "#/devices" }, "Let it send"),
  );
}
