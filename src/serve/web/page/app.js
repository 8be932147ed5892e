// The page: who is there, which view is open, and the first things one sees.

import {
  Failure,
  ago,
  ask,
  attempt,
  copyButton,
  field,
  form,
  get,
  h,
  icon,
  note,
  plural,
  post,
  session,
  size,
  span,
  timeline,
} from "./kit.js";

/** A service has sent the browser back here after signing in; its code is nothing for the history. */
const returned = { address: /[?&]state=/.test(location.search) ? location.href : "" };
if (returned.address) history.replaceState(null, "", "/#/sign-in");

const main = document.getElementById("main");
const nav = document.getElementById("nav");
let open = null;

// ---- Views ----

/** What is shown at present: content, and what keeps it fresh. */
class View {
  constructor() {
    this.left = [];
    this.trouble = h("div", { role: "alert" });
  }

  isOpen() {
    return open === this;
  }

  leave(work) {
    this.left.push(work);
  }

  show(title, ...content) {
    document.title = title + " · Waypost";
    this.heading = h("h1", { tabindex: "-1" }, title);
    // "Back" stands above the heading.
    const back = content[0] && content[0].className === "back" ? content.shift() : null;
    main.replaceChildren(...[back, this.heading, this.trouble, ...content].filter(Boolean));
  }

  /** Load now and every so many seconds while somebody looks; draw what has changed. */
  live(seconds, load, draw) {
    let last = "",
      running = null;
    const once = async () => {
      try {
        const data = await load();
        if (!this.isOpen()) return;
        this.trouble.replaceChildren();
        const text = JSON.stringify(data);
        if (text === last || isSelecting()) return;
        last = text;
        keepFocus(() => draw(data));
      } catch (wrong) {
        if (!(wrong instanceof Failure)) throw wrong;
        if (this.isOpen() && wrong.status !== 401)
          this.trouble.replaceChildren(note("bad", wrong.message));
      }
    };
    const again = () =>
      (running =
        running ||
        once().finally(() => {
          running = null;
        }));
    const timer = setInterval(() => {
      if (!document.hidden) again();
    }, seconds * 1000);
    const seen = () => {
      if (!document.hidden) again();
    };
    document.addEventListener("visibilitychange", seen);
    this.leave(() => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", seen);
    });
    this.reload = async () => {
      last = "";
      await running;
      await again();
    };
    return again();
  }
}

function isSelecting() {
  const selection = getSelection();
  return !selection.isCollapsed && main.contains(selection.anchorNode);
}

/** Redraw; the keyboard stays where it was, and what was unfolded stays so. */
function keepFocus(draw) {
  const key = document.activeElement && document.activeElement.dataset.key;
  const summaries = () => [...main.querySelectorAll("summary[data-key]")];
  const open = summaries().filter((summary) => summary.parentElement.open);
  const unfolded = new Set(open.map((summary) => summary.dataset.key));
  draw();
  for (const summary of summaries())
    if (unfolded.has(summary.dataset.key)) summary.parentElement.open = true;
  if (!key) return;
  const same = [...main.querySelectorAll("[data-key]")].find(
    (element) => element.dataset.key === key,
  );
  if (same) same.focus({ preventScroll: true });
}

// ---- Where one is ----

const PLACES = [
  ["", "home", "Home"],
  ["queue", "queue", "Queue"],
  ["find", "find", "Find"],
  ["devices", "device", "Devices"],
  ["test", "test", "Test"],
  ["settings", "settings", "Settings"],
];

/** What is loaded by the first who goes there: title, part, and how it is shown. */
const mail = () => import("./mail.js");
const PARTS = {
  queue: ["Queue", mail, (it, view, id) => (id ? it.messageView(view, id) : it.queueView(view))],
  find: ["What happened to my mail?", mail, (it, view, words) => it.findView(view, words)],
  devices: ["Devices", () => import("./devices.js"), (it, view) => it.devicesView(view)],
  test: ["Send a test", () => import("./trial.js"), (it, view) => it.testView(view)],
  settings: ["Settings", () => import("./settings.js"), (it, view) => it.settingsView(view)],
  start: ["Set up", () => import("./wizard.js"), (it, view, step) => it.wizardView(view, step)],
  board: ["Board", () => import("./board.js"), (it, view) => it.boardView(view)],
  care: ["Care", () => import("./care.js"), (it, view) => it.careView(view)],
  "sign-in": ["Sign in", () => import("./signin.js"), (it, view) => it.signInView(view, returned)],
  domain: ["Will it arrive?", () => import("./domain.js"), (it, view, name) => it.domainView(view, name)],
};

function turn(event) {
  const path = location.hash.replace(/^#\/?/, "");
  const cut = path.indexOf("/");
  const place = cut < 0 ? path : path.slice(0, cut);
  let rest = cut < 0 ? "" : path.slice(cut + 1);
  try {
    rest = decodeURIComponent(rest);
  } catch {
    /* a hand-made address: take it as it is */
  }
  if (open && open.stay && event && !open.stay()) {
    history.replaceState(null, "", "#/settings");
    return;
  }
  close();
  open = new View();
  if (session.state === "setup") setupView(open);
  else if (session.state !== "ok") loginView(open);
  else if (Object.hasOwn(PARTS, place)) {
    const [title, load, show] = PARTS[place];
    later(open, title, load, (it) => show(it, open, rest));
  }
  else homeView(open);
  nav.hidden = session.state !== "ok";
  for (const link of nav.children) {
    if (link.dataset.place === place) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (event) {
    scrollTo(0, 0);
    open.heading.focus({ preventScroll: true });
  }
}

/** A part of the page that is loaded by the first who wants it. */
async function later(view, title, load, show) {
  view.show(title);
  let part;
  try {
    part = await load();
  } catch {
    view.trouble.replaceChildren(
      note("bad", "The relay does not answer. Load this page again once it does."),
    );
    return;
  }
  if (!view.isOpen()) return;
  const wasHere = document.activeElement === view.heading;
  show(part);
  if (wasHere) view.heading.focus({ preventScroll: true });
}

function close() {
  if (open) open.left.forEach((work) => work());
  open = null;
}

async function begin() {
  session.onEnd = () => {
    if (session.state === "ok") begin();
  };
  try {
    const state = await get("/api/session");
    session.state = state.state;
    session.token = state.token || "";
    session.shortest = state.shortest_password || 8;
    session.board = state.board;
  } catch (wrong) {
    session.state = "";
    main.replaceChildren(
      h(
        "section",
        { class: "card narrow" },
        h("h1", null, "No answer"),
        h("p", null, wrong.message),
        h(
          "div",
          { class: "row" },
          h("button", { class: "main", type: "button", onclick: begin }, "Try again"),
        ),
      ),
    );
    return;
  }
  turn();
  if (session.state === "ok")
    attempt(async () => session.onQueued((await get("/api/status")).queued.total));
  const first = main.querySelector("input:not([hidden])");
  if (session.state !== "ok" && first) first.focus();
}

nav.append(
  ...PLACES.map(([place, name, words]) =>
    h("a", { href: "#/" + place, "data-place": place }, icon(name), h("span", null, words)),
  ),
);
addEventListener("hashchange", turn);

// ---- Before one is in ----

function admitted(answer, first) {
  session.token = answer.token;
  session.state = "ok";
  if (location.hash.startsWith("#setup=")) history.replaceState(null, "", "#/");
  if (first) history.replaceState(null, "", "#/start");
  turn(true);
}

/** Password managers want to see a name beside a password. */
const username = () =>
  h("input", {
    type: "text",
    autocomplete: "username",
    value: "admin",
    hidden: true,
    tabindex: "-1",
    "aria-hidden": "true",
  });

function setupView(view) {
  const printed = location.hash.startsWith("#setup=")
    ? decodeURIComponent(location.hash.slice(7))
    : "";
  const code = field(
    "Setup code",
    h("input", {
      value: printed,
      autocomplete: "one-time-code",
      autocapitalize: "characters",
      spellcheck: "false",
      class: "mono",
    }),
    "Waypost prints it when it starts: in the window where you started it, or in its log.",
  );
  const password = field(
    "New password",
    h("input", { type: "password", autocomplete: "new-password", minlength: session.shortest }),
    "At least " + session.shortest + " characters. You need it to open this page.",
  );
  const look = h(
    "label",
    { class: "row small look" },
    h("input", {
      type: "checkbox",
      onchange: (event) => {
        password.input.type = event.target.checked ? "text" : "password";
      },
    }),
    "Show it",
  );
  view.show("Welcome");
  main.replaceChildren(
    h(
      "section",
      { class: "card narrow" },
      h("span", { class: "seal good" }, icon("post")),
      h("h1", { tabindex: "-1" }, "Welcome to Waypost"),
      h(
        "p",
        { class: "soft" },
        "It takes the mail of your devices, keeps it safe, and gets it through. First, make this page yours.",
      ),
      form([username(), code, password, look], "Start", async () => {
        const asked = { code: code.input.value, password: password.input.value };
        admitted(await post("/api/setup", asked), true);
      }),
    ),
  );
}

function loginView(view) {
  const password = field(
    "Password",
    h("input", { type: "password", autocomplete: "current-password" }),
  );
  view.show("Log in");
  main.replaceChildren(
    h(
      "section",
      { class: "card narrow" },
      h("span", { class: "seal good" }, icon("post")),
      h("h1", { tabindex: "-1" }, "Log in"),
      form([username(), password], "Log in", async () => {
        admitted(await post("/api/login", { password: password.input.value }));
      }),
      h(
        "details",
        { class: "small soft" },
        h("summary", null, "Forgotten?"),
        h(
          "p",
          null,
          "On the relay itself, ",
          h("code", null, "waypost config set admin.password"),
          " sets a new one.",
        ),
      ),
    ),
  );
}

// ---- Home ----

function homeView(view) {
  const hero = h("div", { class: "hero", "aria-live": "polite" });
  const body = h("div", { class: "fields" });
  view.show("Home", hero, body);
  view.heading.hidden = true;
  let sentence = "";
  view.live(
    5,
    async () => {
      const asked = ["/api/status", "/api/recent?limit=6", "/api/chart"];
      const [status, recent, charted] = await Promise.all(asked.map(get));
      if (status.now != null) session.skew = status.now - Date.now() / 1000;
      return { status, events: recent.events, charted };
    },
    ({ status, events, charted }) => {
      session.onQueued(status.queued.total);
      const [tone, title, words] = judge(status);
      if (sentence !== title + words) {
        sentence = title + words;
        // The sentence is the heading: there is none above it.
        view.heading = h("h1", { tabindex: "-1" }, title);
        hero.replaceChildren(
          h("span", { class: "seal " + tone }, icon(tone)),
          h("div", null, view.heading, words && h("p", null, words)),
        );
      }
      body.replaceChildren(
        ...status.problems.map(problemNote),
        lasts(status),
        h(
          "div",
          { class: "two" },
          h("div", { class: "column" }, typeIn(status), facts(status)),
          h(
            "section",
            { class: "card" },
            h("h2", null, "Lately"),
            chart(charted),
            events.length
              ? timeline(events)
              : h(
                  "p",
                  { class: "soft" },
                  "Nothing has happened yet. Set up a device, or ",
                  h("a", { href: "#/test" }, "send a test message"),
                  ".",
                ),
          ),
        ),
      );
    },
  );
}

/** What is wrong, in the relay's words, and the place where something can be done about it. */
function problemNote({ key, words }) {
  const [place, name] = {
    spool: ["queue", "Look into the queue"],
    listen: ["settings", "Open the settings"],
    devices: ["devices", "Look at the devices"],
    sign_in: ["sign-in", "Sign in"],
  }[/^routes\[/.test(key) ? "sign_in" : key] || [];
  const link = place && h("a", { href: "#/" + place, "data-key": "to-" + place }, name);
  return note("bad", words, " ", link);
}

/** Is it working? Tone, sentence, and a second one. */
function judge(status) {
  const { queued, counts, problems } = status;
  const waits = queued.total - queued.held;
  const lead = waits === 1 ? "The reason: " : "Most wait because: ";
  const why = queued.reason ? lead + queued.reason : "";
  if (!status.taking)
    return [
      "bad",
      "No mail is taken at the moment.",
      "Senders are told to come back later. " +
        (waits > 0
          ? plural(waits, "message waits", "messages wait") + " here meanwhile, safely kept."
          : "What was taken before is safe."),
    ];
  if (problems.length > 0)
    return [
      "bad",
      "Something needs you.",
      waits > 0
        ? plural(waits, "message waits", "messages wait") + " meanwhile, safely kept."
        : "Mail that comes in is kept meanwhile.",
    ];
  if (queued.due + queued.waiting > 0)
    return [
      "wait",
      plural(waits, "message is waiting.", "messages are waiting."),
      why || "They are on their way.",
    ];
  if (queued.held > 0)
    return [
      "good",
      "Everything is working.",
      plural(queued.held, "message is", "messages are") +
        " on hold until you release " +
        (queued.held === 1 ? "it." : "them."),
    ];
  if (counts.received === 0 && !status.last_in)
    return [
      "good",
      "Ready for mail.",
      "Nothing has come in yet. Waypost sends " + status.outward + ".",
    ];
  return ["good", "Everything is working.", "Nothing waits. Waypost sends " + status.outward + "."];
}

function lasts({ last_in, last_out, last_trouble, queued }) {
  const last = (name, words, what, empty) =>
    h(
      "div",
      { class: "card last" },
      h("dt", null, icon(name), words),
      h("dd", { class: "when" }, what ? ago(what.ago) : empty),
      what &&
        h(
          "dd",
          { class: "what" },
          what.id
            ? h(
                "a",
                { href: "#/find/" + encodeURIComponent(what.id), class: "soft", "data-key": name },
                what.words,
              )
            : what.words,
        ),
    );
  return h(
    "dl",
    { class: "lasts" },
    last("in", "Last mail in", last_in, "none yet"),
    last("out", "Last mail out", last_out, "none yet"),
    queued.total > 0
      ? h(
          "div",
          { class: "card last" },
          h("dt", null, icon("queue"), "In the queue"),
          h(
            "dd",
            { class: "when" },
            h(
              "a",
              { href: "#/queue", "data-key": "waiting" },
              plural(queued.total, "message", "messages"),
            ),
          ),
          h(
            "dd",
            { class: "what" },
            queued.oldest == null
              ? ""
              : "the oldest came " +
                  ago(queued.oldest) +
                  (queued.held ? ", " + queued.held + " on hold" : ""),
          ),
        )
      : last("wait", "Last trouble", last_trouble, "none"),
  );
}

/** Bars of what came in, an hour each, and a day each. */
function chart({ hours, days }) {
  const draw = (all, title, first, last) => {
    // Taken in, delivered, bounced, refused.
    const most = Math.max(1, ...all.map(([taken]) => taken));
    const sum = all.reduce((total, [taken]) => total + taken, 0);
    const refused = all.reduce((total, one) => total + one[3], 0);
    const words = title + ": " + plural(sum, "message", "messages");
    const bars = all.map(([taken]) => {
      const bar = h("i", { class: taken ? "" : "none" });
      bar.style.height = Math.max(2, Math.round((taken / most) * 40)) + "px";
      return bar;
    });
    return h(
      "figure",
      { class: "chart" },
      h("figcaption", { class: "small soft" }, words + (refused ? ", " + refused + " refused" : "")),
      h("div", { class: "bars", "aria-hidden": "true" }, bars),
      h("div", { class: "row between small soft", "aria-hidden": "true" }, h("span", null, first), h("span", null, last)),
    );
  };
  return (
    hours.length > 0 &&
    h(
      "div",
      { class: "two charts" },
      draw(hours, "Last day", "24 hours ago", "now"),
      draw(days, "Last month", "30 days ago", "today"),
    )
  );
}

const port = (address) => address.slice(address.lastIndexOf(":") + 1);
const isLocal = (address) => /^(127\.|\[::1\])/.test(address);

/** What to type into a camera. */
export function typeIn(status, more = true) {
  const doors = (service) => status.listening.filter((door) => door.service === service);
  const ports = (service) => [...new Set(doors(service).map((door) => port(door.address)))];
  const server = status.addresses[0] || location.hostname;
  const line = (name, value, copy) =>
    h(
      "div",
      null,
      h("dt", null, name),
      h(
        "dd",
        null,
        h("span", { class: "value" }, value),
        copy && copyButton(copy, name.toLowerCase()),
      ),
    );
  const smtp = ports("smtp"),
    submission = [
      ...ports("submission").map((p) => p + " (STARTTLS)"),
      ...ports("submissions").map((p) => p + " (TLS)"),
    ];
  const all = ["smtp", "submission", "submissions"].flatMap(doors);
  return h(
    "section",
    { class: "card" },
    h("h2", null, "Type this into your camera"),
    h(
      "p",
      { class: "soft small" },
      "Or printer, NAS, program: wherever it asks for a mail server.",
    ),
    h(
      "dl",
      { class: "type" },
      line("Server", server, server),
      smtp.length > 0 && line("Port", smtp.join(" or "), smtp[0]),
      smtp.length > 0 && line("Encryption", "none, or STARTTLS"),
      smtp.length > 0 && line("Login", "none needed at home"),
      submission.length > 0 && line("With a login", "port " + submission.join(", ")),
    ),
    all.length > 0 &&
      all.every((door) => isLocal(door.address)) &&
      note(
        "wait",
        "At present only programs on this machine can connect. Change the listening addresses in the ",
        h("a", { href: "#/settings", "data-key": "doors" }, "settings"),
        ".",
      ),
    more &&
    h(
      "p",
      { class: "small" },
      h("a", { href: "#/start/device", "data-key": "to-device" }, "Set up a device step by step"),
    ),
    status.trusted.length > 0 &&
      h(
        "details",
        { class: "small" },
        h("summary", { "data-key": "trusted" }, "Who needs no login?"),
        h("p", { class: "soft" }, "Devices in these networks: ", status.trusted.join(", "), "."),
      ),
  );
}

function facts({ spool, uptime, memory, flash, counts, version, hostname }) {
  const item = (name, value, more) =>
    h(
      "div",
      null,
      h("dt", null, name),
      h("dd", null, value, more && h("span", { class: "more" }, more)),
    );
  const each = (n, words) => counts.received > 0 && words(n / counts.received) + " a message";
  const left = spool.file_system;
  return h(
    "section",
    { class: "card" },
    h("h2", null, "In numbers"),
    h(
      "dl",
      { class: "facts" },
      item("Taken in", counts.received.toLocaleString("en")),
      item("Delivered", counts.delivered.toLocaleString("en")),
      item("Bounced", counts.bounced.toLocaleString("en")),
      item("Refused", counts.refused.toLocaleString("en")),
      item(
        "Written to flash",
        size(flash.written),
        each(flash.written - flash.laid_out, (n) => size(Math.max(0, Math.round(n)))),
      ),
      item(
        "Syncs",
        flash.syncs.toLocaleString("en"),
        each(flash.syncs, (n) => n.toFixed(n < 10 ? 1 : 0)),
      ),
      memory != null && item("Memory", size(memory)),
      item("Running for", span(uptime)),
      h(
        "div",
        { class: "wide" },
        h("dt", null, "Room for mail"),
        h(
          "dd",
          null,
          size(spool.used) + " of " + size(spool.most),
          left != null && h("span", { class: "more" }, size(left) + " free on the disk"),
          h("progress", {
            max: Math.max(spool.most, 1),
            value: spool.used,
            "aria-label": "Room for mail used",
          }),
        ),
      ),
    ),
    h(
      "details",
      { class: "small" },
      h("summary", { "data-key": "counted" }, "What is counted?"),
      h(
        "p",
        { class: "soft" },
        "Everything since the start. To flash: the spool, mailboxes and settings" +
          (flash.history == null ? ", without the history" : " and the history") +
          ", in whole pages of 4 KB. What the file system adds of its own is not in it. " +
          (flash.laid_out > 0
            ? "Laying out the spool, " + size(flash.laid_out) + ", is not counted for each message. "
            : "") +
          "Syncs are those of mail, mailboxes and settings.",
      ),
    ),
    h("p", { class: "soft small words" }, hostname + " · Waypost " + version),
  );
}

session.onQueued = (total) => {
  const label = nav.querySelector("[data-place=queue] span");
  label.replaceChildren(
    "Queue",
    total > 0
      ? h("b", null, h("span", { "aria-hidden": "true" }, total > 999 ? "999+" : String(total)))
      : "",
  );
};

begin();
