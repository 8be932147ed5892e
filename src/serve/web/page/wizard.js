// The first visit, step by step: a name, the way out, a test, a device. Each step can be left out
// and come back to.

import { typeIn } from "./app.js";
import { Failure, attempt, edit, field, form, get, h, icon, note, toast } from "./kit.js";

const STEPS = [
  ["name", "You and this relay", nameStep],
  ["way", "How mail leaves", wayStep],
  ["test", "Try it", testStep],
  ["device", "Your first device", deviceStep],
];

/** The way out that was chosen and is not kept yet; nothing: the one there is. */
let draft;

export function wizardView(view, wanted) {
  const at = Math.max(
    0,
    STEPS.findIndex(([step]) => step === wanted),
  );
  const [, title, show] = STEPS[at];
  const go = (n) => {
    location.hash = n < STEPS.length ? "#/start/" + STEPS[n][0] : "#/";
  };
  const body = h("div", { class: "fields" });
  view.show(
    title,
    h(
      "ol",
      { class: "visit", "aria-label": "Steps" },
      STEPS.map(([step, words], n) =>
        h(
          "li",
          null,
          h("a", { href: "#/start/" + step, "aria-current": n === at ? "step" : false }, h("b", null, String(n + 1)), h("span", null, words)),
        ),
      ),
    ),
    body,
    h(
      "div",
      { class: "row between" },
      at > 0 ? h("button", { type: "button", class: "quiet", onclick: () => go(at - 1) }, "Back") : h("span"),
      h(
        "span",
        { class: "row" },
        at < STEPS.length - 1 && h("button", { type: "button", onclick: () => go(at + 1) }, "Skip this step"),
        h("button", { type: "button", class: "quiet", onclick: () => go(STEPS.length) }, "Do this later"),
      ),
    ),
  );
  attempt(() => show({ view, body, next: () => go(at + 1) }));
}

/** Problems beside their fields; what has none is thrown on. */
function complain(wrong, boxes) {
  if (!(wrong instanceof Failure)) throw wrong;
  let told = false;
  for (const problem of wrong.problems) {
    const box = boxes[problem.key.replace(/^routes\[\d+\]\./, "")];
    if (box) {
      box.complain(problem.words);
      told = true;
    }
  }
  if (!told) throw wrong;
}

// ---- A name ----

async function nameStep({ body, next }) {
  const [config, status] = await Promise.all([get("/api/config"), get("/api/status")]);
  const boxes = {
    hostname: field(
      "Name of this relay",
      h("input", { value: config.hostname || "", placeholder: status.hostname, autocapitalize: "none", spellcheck: "false" }),
      "Only other mail servers see it. If you have no domain, leave it as it is.",
    ),
    owner: field(
      "Your own address",
      h("input", { type: "email", value: config.owner || "", placeholder: "you@example.org", autocomplete: "email", autocapitalize: "none" }),
      "Mail for root and reports of failures go there.",
    ),
  };
  body.replaceChildren(
    clock(status.now),
    h(
      "section",
      { class: "card" },
      form(Object.values(boxes), "Save and go on", async () => {
        for (const box of Object.values(boxes)) box.complain("");
        try {
          await edit((document) => {
            for (const [key, box] of Object.entries(boxes)) {
              const text = box.input.value.trim();
              if (text) document[key] = text;
              else delete document[key];
            }
          });
        } catch (wrong) {
          return complain(wrong, boxes);
        }
        next();
      }),
    ),
  );
}

function clock(now) {
  if (now == null)
    return note(
      "wait",
      "The clock of this relay is not set yet. Mail is taken and kept all the same; it is dated once the time is known.",
    );
  const off = Math.abs(now - Date.now() / 1000);
  const time = new Date(now * 1000).toLocaleString();
  return off < 120
    ? note("good", "The clock of this relay is right: it is " + time + ".")
    : note("wait", "The clock of this relay says " + time + ", and that of this device something else. Set it on the machine that the relay runs on.");
}

// ---- The way out ----

async function wayStep({ body, next }) {
  const [config, { rows }] = await Promise.all([get("/api/config"), get("/api/providers")]);
  const now = (config.routes || []).find((route) => route.for === "*");
  const fields = h("div", null);
  const tile = (value, title, words) =>
    h(
      "label",
      { class: "choice tile" },
      h("input", { type: "radio", name: "way", value, onchange: () => choose(value) }),
      h("span", null, title, words && h("small", null, words)),
    );
  const choose = (value) => {
    const profile = rows.find((row) => row.name === value);
    if (value === "direct") fields.replaceChildren(plainWay("Straight to the recipients’ own servers. That needs a fixed address with a good name, and a provider that leaves port 25 open.", undefined, next));
    else if (value === "local") fields.replaceChildren(localWay(next));
    else fields.replaceChildren(server(profile || rows.find((row) => row.name === "generic"), now, next));
  };
  const known = rows.filter((row) => row.name !== "generic");
  body.replaceChildren(
    h(
      "fieldset",
      { class: "field" },
      h("legend", null, "Whose server passes your mail on?"),
      h(
        "div",
        { class: "tiles" },
        known.map((row) => tile(row.name, row.title)),
        tile("generic", "Another server", "Its name, your user name and password."),
        tile("direct", "None: straight out", "For a line with a fixed address."),
        tile("local", "None: mail stays here", "Into a mailbox on this relay."),
      ),
    ),
    fields,
  );
  const current = now ? now.provider || "generic" : "";
  const radio = body.querySelector("input[value='" + current + "']");
  if (radio) {
    radio.checked = true;
    choose(current);
  }
}

function server(profile, now, next) {
  const same = now && (now.provider || "generic") === profile.name ? now : {};
  const input = (key, options) =>
    h("input", { value: same[key] && same[key] !== "(set)" ? same[key] : "", autocapitalize: "none", autocomplete: "off", spellcheck: "false", ...options });
  const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1) + ".";
  const boxes = {
    via: field(
      "Server and port",
      input("via", { placeholder: profile.via || profile.example || "smtp.example.com:587" }),
      profile.via ? "If empty: " + profile.via + "." : "As your provider tells you.",
    ),
    user: field("User name", input("user"), capital(profile.user)),
    password: field(
      "Password",
      h("input", { type: "password", autocomplete: "new-password", placeholder: same.password ? "unchanged" : "" }),
      capital(profile.password),
    ),
    senders: field(
      "Sender",
      input("senders", { value: (same.senders || []).join(", "), placeholder: profile.senders === "own" ? "your user name" : "any" }),
      "The address that your provider takes mail from. Mail of all devices is sent from it.",
    ),
  };
  const route = () => {
    const made = { for: "*" };
    if (profile.name !== "generic") made.provider = profile.name;
    for (const key of ["via", "user"]) if (boxes[key].input.value.trim()) made[key] = boxes[key].input.value.trim();
    const secret = boxes.password.input.value || (same.user === made.user && same.password);
    if (secret) made.password = secret;
    const senders = boxes.senders.input.value.split(/[\s,]+/).filter(Boolean);
    if (senders.length) made.senders = senders;
    return { ...same, ...made };
  };
  return h(
    "section",
    { class: "card" },
    h("h2", null, profile.title),
    profile.notes.length > 0 && h("p", { class: "soft small" }, profile.notes.join(" ")),
    form([h("div", { class: "pair" }, boxes.user, boxes.password, boxes.via, boxes.senders)], "Try these", async () => {
      for (const box of Object.values(boxes)) box.complain("");
      draft = route();
      next();
    }),
    h("p", { class: "soft small" }, "To sign in with Google or Microsoft instead of a password, use the ", h("a", { href: "#/settings" }, "settings"), "."),
  );
}

/** The routes for all recipients become this one, or none. */
async function keep(route) {
  await edit((document) => {
    const others = (document.routes || []).filter((one) => one.for !== "*");
    document.routes = route ? [...others, route] : others;
    if (!document.routes.length) delete document.routes;
  });
}

function plainWay(words, route, next) {
  return h(
    "section",
    { class: "card" },
    h("p", null, words),
    h(
      "div",
      { class: "row" },
      h(
        "button",
        {
          type: "button",
          class: "main",
          onclick: () =>
            attempt(async () => {
              await keep(route);
              draft = undefined;
              next();
            }),
        },
        "Do it so",
      ),
    ),
  );
}

function localWay(next) {
  const name = field("Name", h("input", { autocapitalize: "none", autocomplete: "off", spellcheck: "false", placeholder: "alice" }), "Of the mailbox: small letters and digits.");
  const password = field("Password", h("input", { type: "password", autocomplete: "new-password" }), "To log in with; mail programs and devices may use it.");
  return h(
    "section",
    { class: "card" },
    h("p", { class: "soft" }, "Mail to names of this relay, and to every name that nobody has, goes into this mailbox."),
    form([h("div", { class: "pair" }, name, password)], "Make the mailbox", async () => {
      await edit((document) => {
        const user = name.input.value.trim().toLowerCase();
        const users = (document.users || []).filter((one) => one.name !== user);
        document.users = [...users, { name: user, ...(password.input.value ? { password: password.input.value } : {}) }];
        document.catch_all = user;
      });
      draft = undefined;
      toast("The mailbox is there.");
      next();
    }),
  );
}

// ---- A test ----

async function testStep({ body, next }) {
  const [config, { trialPanel }] = await Promise.all([get("/api/config"), import("./trial.js")]);
  const save = h(
    "button",
    {
      type: "button",
      onclick: () =>
        attempt(async () => {
          await keep(draft);
          draft = undefined;
          toast("Saved. It is in effect now.");
          next();
        }),
    },
    "Save all the same",
  );
  const to = field(
    "Send a test message to",
    h("input", { type: "email", value: config.owner && config.owner.includes("@") ? config.owner : "", autocomplete: "email", autocapitalize: "none", placeholder: "you@example.org" }),
    "Your own address, where you can look whether it arrives.",
  );
  const panel = trialPanel({
    route: () => draft,
    done: (good) => {
      save.textContent = good ? "Save and go on" : "Save all the same";
      save.className = good ? "main" : "";
    },
  });
  body.replaceChildren(
    draft
      ? h("p", { class: "soft" }, "Nothing is saved before you say so.")
      : h("p", { class: "soft" }, "The way out as it is set now."),
    h("section", { class: "card" }, form([to], "Try it", () => panel.start(to.input.value.trim())), panel.show),
    draft ? h("div", { class: "row" }, save) : h("div", { class: "row" }, h("button", { type: "button", class: "main", onclick: next }, "Go on")),
  );
}

// ---- A device ----

async function deviceStep({ view, body }) {
  const [status, { picture }, { wayIn }] = await Promise.all([
    get("/api/status"),
    import("./qr.js"),
    import("./trial.js"),
  ]);
  const smtp = status.listening.filter((door) => door.service === "smtp");
  const port = smtp.length ? smtp[0].address.slice(smtp[0].address.lastIndexOf(":") + 1) : "25";
  const server = status.addresses[0] || location.hostname;
  const text = "SMTP server: " + server + "\nPort: " + port + "\nEncryption: none\nLogin: none";
  body.replaceChildren(
    typeIn(status, false),
    h(
      "section",
      { class: "card" },
      h("h2", null, "On your phone"),
      h("p", { class: "soft small" }, "Set the device up in an app? Scan this to have the same on your phone."),
      picture(text, "QR code with server and port"),
    ),
    wayIn(view),
    h("div", { class: "row" }, h("a", { class: "button main", href: "#/" }, icon("good"), "Done")),
  );
}
