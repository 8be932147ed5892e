// The settings: a copy of the configuration is edited, checked by the relay and saved whole.

import { changeList, differences } from "./care.js";
import { Failure, ask, attempt, field, form, get, h, note, plural, session, toast } from "./kit.js";
import { ownPassword, people } from "./people.js";
import { trialPanel } from "./trial.js";

/** What the relay shows in place of a secret, and what leaves it as it is. */
const SECRET = "(set)";

export function settingsView(view) {
  const body = h("div", { class: "fields" }, h("p", { class: "soft pulse" }, "Loading…"));
  view.show(
    "Settings",
    h(
      "p",
      { class: "soft" },
      "Everything takes effect when you save, also for mail that already waits.",
    ),
    h(
      "p",
      { class: "row" },
      h("a", { class: "button", href: "#/start" }, "Step by step"),
      h("a", { class: "button", href: "#/care" }, "Backup, log, undo …"),
      session.board && h("a", { class: "button", href: "#/board" }, "Board, update …"),
    ),
    body,
  );
  const editor = new Editor(view, body);
  view.stay = () => !editor.isChanged() || confirm("Leave without saving your changes?");
  const warn = (event) => {
    if (editor.isChanged()) event.preventDefault();
  };
  addEventListener("beforeunload", warn);
  view.leave(() => removeEventListener("beforeunload", warn));
  attempt(() => editor.load());
}

class Editor {
  constructor(view, body) {
    this.view = view;
    this.body = body;
    this.fields = new Map();
  }

  async load() {
    const [config, settings, providers] = await Promise.all([
      ask("GET", "/api/config", undefined, { whole: true }),
      get("/api/settings"),
      get("/api/providers"),
    ]);
    if (!this.view.isOpen()) return;
    this.rows = settings.rows;
    this.providers = providers.rows;
    this.take(config);
    this.draw();
  }

  take({ data, tag }) {
    this.saved = JSON.stringify(data);
    this.document = data;
    this.tag = tag;
  }

  isChanged() {
    return this.document !== undefined && JSON.stringify(this.document) !== this.saved;
  }

  /** The row of the settings table for a key without its numbers. */
  about(key) {
    const general = key.replace(/\[\d+\]/g, "[]");
    return (
      this.rows.find((row) => row.key === general) || {
        key: general,
        kind: "text",
        default: "",
        help: "",
      }
    );
  }

  read(key) {
    return steps(key).reduce(
      (place, step) => (place == null ? undefined : place[step]),
      this.document,
    );
  }

  /** Set a value, or remove it; objects that become empty go too. */
  write(key, value) {
    const path = steps(key),
      last = path.pop();
    let place = this.document;
    for (const step of path) {
      if (place[step] === undefined) place[step] = {};
      place = place[step];
    }
    if (value !== undefined) place[last] = value;
    else if (Array.isArray(place)) place.splice(last, 1);
    else delete place[last];
    this.prove(place, last, value !== undefined);
    const parent = path.join(".");
    if (
      value === undefined &&
      parent &&
      !Array.isArray(place) &&
      Object.keys(place).length === 0 &&
      !/\d$/.test(parent)
    )
      this.write(parent, undefined);
    this.changed();
  }

  /** Without its user a secret is for nobody, and a user has one: password, token or sign-in. */
  prove(place, last, isSet) {
    const proofs = { password: ["password"], token: ["token"] };
    proofs.oauth = ["oauth", "client_id", "client_secret"];
    const others = Object.keys(proofs).filter((name) => name !== last);
    const gone =
      last === "user" && !isSet
        ? Object.values(proofs).flat()
        : proofs[last] && isSet
          ? others.flatMap((name) => proofs[name])
          : last === "oauth"
            ? proofs.oauth
            : [];
    for (const name of gone) delete place[name];
  }

  changed() {
    this.bar.hidden = !this.isChanged();
    const list = differences(JSON.parse(this.saved), this.document);
    this.told.replaceChildren(
      h("summary", null, plural(list.length, "change", "changes") + ", not saved yet"),
      changeList(list),
    );
    if (this.text && document.activeElement !== this.text.input)
      this.text.input.value = pretty(this.document);
  }

  // ---- The form ----

  draw() {
    this.fields.clear();
    this.problems = h("div", { class: "fields", role: "alert" });
    this.told = h("details", null);
    this.bar = h(
      "div",
      { class: "save", role: "region", "aria-label": "Unsaved changes", hidden: !this.isChanged() },
      this.told,
      h(
        "span",
        { class: "row" },
        h(
          "button",
          {
            type: "button",
            class: "quiet",
            onclick: () => {
              this.document = JSON.parse(this.saved);
              this.draw();
            },
          },
          "Discard",
        ),
        h(
          "button",
          { type: "button", class: "main", onclick: (event) => this.save(event.target) },
          "Save",
        ),
      ),
    );
    const card = (title, help, ...content) =>
      h(
        "section",
        { class: "card" },
        h("h2", null, title),
        help && h("p", { class: "soft small" }, help),
        h("div", { class: "fields" }, content),
      );
    this.body.replaceChildren(
      this.problems,
      card(
        "This relay",
        "",
        this.input("hostname", "Name"),
        this.input("domains", "Domains whose mail stays here"),
      ),
      card(
        "How mail leaves",
        "Most internet lines at home need a provider: its mail server is called a smarthost.",
        this.wayOut(),
      ),
      card(
        "Who may send without a login",
        ["Single devices have rules of their own under ", h("a", { href: "#/devices" }, "Devices"), "."],
        this.input("trusted", "Networks at home"),
      ),
      card(
        "People",
        "Everybody here can log in with their name to send mail, and gets a mailbox.",
        people(this.document.users || [], () => this.refresh()),
      ),
      card(
        "Names and forwarding",
        "Which mail goes to whom.",
        this.entries("aliases", "New name", "Add a name", "name"),
        this.input("catch_all", "Mail to unknown names goes to"),
        this.input("owner", "Owner: mail for root, and reports, go to"),
        this.input("masquerade", "Domain of what leaves, instead of names of this network"),
      ),
      card(
        "When something is wrong",
        "Mail may be what is stuck: a push message gets through all the same, by ntfy or a webhook.",
        this.input("alerts", "Who is told"),
        this.entries("push", "New place", "Add a place for push messages", "place"),
      ),
      this.rest(),
      card("Password of this page", "", ownPassword()),
      h(
        "section",
        { class: "card" },
        h("details", null, h("summary", null, "All settings as text"), this.asText()),
      ),
      this.bar,
    );
    this.changed();
  }

  /** A field for one key, by what it holds. */
  input(key, label, help) {
    const about = this.about(key),
      value = this.read(key);
    const options = {
      placeholder: hint(about),
      autocapitalize: "none",
      autocorrect: "off",
      spellcheck: "false",
      autocomplete: "off",
    };
    let input;
    if (about.kind === "list") {
      input = h("textarea", {
        ...options,
        rows: Math.min(8, Math.max(2, (value || []).length + 1)),
        value: (value || []).join("\n"),
        oninput: () => {
          const list = lines(input.value);
          this.write(key, list.length ? list : undefined);
        },
      });
    } else if (about.kind === "choice" || about.kind === "yes or no") {
      const values =
        about.kind === "choice" ? (about.allowed || "").split(", ") : ["true", "false"];
      const words = WORDS[about.key] || WORDS[about.kind] || {};
      const usual = words.usual ?? (words[about.default] || about.default);
      input = h(
        "select",
        { onchange: () => this.write(key, typed(about.kind, input.value)) },
        h("option", { value: "" }, "as usual" + (usual ? ": " + usual : "")),
        values.map((value) => h("option", { value }, words[value] || value)),
      );
      input.value = value === undefined ? "" : String(value);
    } else {
      const secret = about.kind === "secret";
      input = h("input", {
        ...options,
        type: secret ? "password" : "text",
        inputmode: about.kind === "number" ? "numeric" : false,
        autocomplete: secret ? "new-password" : "off",
        value: secret || value === undefined ? "" : String(value),
        placeholder: secret && value === SECRET ? "unchanged" : options.placeholder,
        oninput: () =>
          this.write(
            key,
            input.value === "" && secret && before === SECRET
              ? SECRET
              : typed(about.kind, input.value),
          ),
      });
      const before = value;
    }
    const lead = about.kind === "list" ? "One per line. " : "";
    // A short default stands in the empty field, a longer one would be cut off there.
    const usual = about.kind !== "choice" && !hint(about) && about.default;
    const trail = usual ? " If empty: " + usual + "." : "";
    return this.remember(
      key,
      field(
        label || LABELS[about.key] || title(key),
        input,
        help === undefined ? lead + (about.help || "") + trail : help,
      ),
    );
  }

  remember(key, box) {
    this.fields.set(key, box);
    return box;
  }

  // ---- How mail leaves ----

  wayOut() {
    const routes = () => this.document.routes || [];
    const place = () => routes().findIndex((route) => route.for === "*");
    const host = h("div", null);
    const isDirect = () => place() < 0 || routes()[place()].via === "mx";
    const profile = () => this.profile(routes()[place()].provider);
    const details = () => {
      const key = "routes[" + place() + "]";
      host.replaceChildren(
        isDirect()
          ? ""
          : h(
              "div",
              { class: "inset fields" },
              this.provider(key, details),
              this.input(
                key + ".via",
                "Server and port",
                profile().via
                  ? "If empty: " + profile().via + "."
                  : "For example " + profile().example + ", as your provider tells you.",
              ),
              h(
                "div",
                { class: "pair" },
                this.input(key + ".user", "User name", sentence(profile().user)),
                this.input(key + ".password", "Password", sentence(profile().password)),
              ),
              h(
                "details",
                { open: this.read(key + ".oauth") !== undefined },
                h("summary", null, "Sign in with Google or Microsoft instead of a password"),
                h(
                  "p",
                  { class: "help" },
                  "The README tells how to register this relay there. Save, and then ",
                  h("a", { href: "#/sign-in" }, "sign in"),
                  ".",
                ),
                h("div", { class: "pair" }, [
                  this.input(key + ".oauth", "Where", undefined),
                  this.input(key + ".client_id", "Client id", undefined),
                  this.input(key + ".client_secret", "Client secret", undefined),
                ]),
              ),
              this.input(key + ".senders", "Senders that it takes", undefined),
              this.input(
                key + ".tls",
                "Encryption",
                "As usual: always for a server with a name, if offered for one with an IP address.",
              ),
              this.tryOut(key),
            ),
      );
    };
    const choose = (direct) => {
      if (direct && place() >= 0) {
        routes().splice(place(), 1);
        if (routes().length === 0) delete this.document.routes;
      } else if (!direct && place() < 0) {
        this.document.routes = [...routes(), { for: "*", via: "" }];
      } else if (!direct) {
        routes()[place()].via = "";
      }
      this.changed();
      details();
      others.replaceWith((others = this.otherRoutes()));
    };
    const option = (direct, words, help) =>
      h(
        "label",
        { class: "choice" },
        h("input", {
          type: "radio",
          name: "way",
          checked: isDirect() === direct,
          onchange: () => choose(direct),
        }),
        h("span", null, words, h("small", null, help)),
      );
    let others = this.otherRoutes();
    details();
    return [
      h(
        "fieldset",
        { class: "field" },
        h("legend", null, "Mail to everybody else goes"),
        option(
          false,
          "Through my provider",
          "Recommended at home. You need its server, your name and your password there.",
        ),
        option(
          true,
          "Straight to the recipients’ servers",
          "Needs a fixed address with a good name, and an open port 25.",
        ),
        h(
          "p",
          { class: "help" },
          h("a", { href: "#/domain" }, "Will it arrive?"),
          " shows what others see of your domain.",
        ),
      ),
      host,
      others,
    ];
  }

  /** What is typed, tried before it is saved. */
  tryOut(key) {
    const to = field(
      "Send a test message to",
      h("input", { type: "email", autocomplete: "email", autocapitalize: "none", placeholder: "you@example.org" }),
      "What stands above is tried as it is, saved or not.",
    );
    const panel = trialPanel({ route: () => this.read(key) });
    return h(
      "details",
      null,
      h("summary", null, "Try these values"),
      form([to], "Try them", async () => {
        this.complain([]);
        try {
          await panel.start(to.input.value.trim());
        } catch (wrong) {
          if (!(wrong instanceof Failure)) throw wrong;
          const own = (problem) => ({ ...problem, key: problem.key.replace(/^routes\[0\]/, key) });
          const [about, rest] = [[], []];
          for (const problem of wrong.problems) (problem.key === "to" ? rest : about).push(own(problem));
          if (about.length) this.complain(about);
          if (rest.length) to.complain(rest.map((problem) => problem.words).join("\n"));
          if (!wrong.problems.length) throw wrong;
        }
      }),
      panel.show,
    );
  }

  /** What is known of a provider; of none, what is so with most. */
  profile(name) {
    const known = (wanted) => this.providers.find((one) => one.name === wanted);
    return known(name) || known("generic");
  }

  /** Whose server it is, and what has to be known of them; `changed` when that is another one. */
  provider(key, changed) {
    const name = this.read(key + ".provider");
    const select = h(
      "select",
      {
        onchange: () => {
          this.write(key + ".provider", select.value || undefined);
          // The server of the one before is nothing for this one.
          this.write(key + ".via", this.profile(select.value).via ? undefined : "");
          changed();
        },
      },
      this.providers.map(({ name, title }) =>
        h("option", { value: name === "generic" ? "" : name }, title),
      ),
    );
    select.value = name && name !== "generic" ? name : "";
    const { notes, pace, senders } = this.profile(name);
    const bounds = [
      [pace.per_minute, "a minute"],
      [pace.per_hour, "an hour"],
      [pace.per_day, "a day"],
    ].filter(([most]) => most);
    const more = [
      name && senders === "own" ? "Mail of all devices is sent from your own address." : "",
      senders === "verified" ? "List below which senders it takes." : "",
      bounds.length
        ? "It takes " + bounds.map(([most, span]) => most + " messages " + span).join(" and ") + "."
        : "",
      ...(name ? notes : []),
    ];
    return this.remember(
      key + ".provider",
      field("Provider", select, more.filter(Boolean).join(" ")),
    );
  }

  otherRoutes() {
    return h(
      "details",
      { open: (this.document.routes || []).some((route) => route.for !== "*") },
      h("summary", null, "Special routes for some recipients"),
      this.entries("routes", "New route", "Add a route", "route", (route) => route.for !== "*"),
    );
  }

  /** Objects of a list, with a field for each key that the table knows. */
  entries(key, name, add, kind, isShown = () => true) {
    const host = h("div", { class: "fields" });
    const keys = this.rows
      .filter((row) => row.key.startsWith(key + "[]."))
      .map((row) => row.key.slice(key.length + 3));
    const draw = () => {
      const list = this.document[key] || [];
      host.replaceChildren(
        ...list
          .map(
            (entry, n) =>
              isShown(entry) &&
              h(
                "fieldset",
                { class: "entry" },
                h("legend", { class: "small soft" }, entry.for || entry.from || entry.name || name),
                h(
                  "div",
                  { class: "pair" },
                  keys.map((part) => this.input(key + "[" + n + "]." + part, undefined, undefined)),
                ),
                h(
                  "div",
                  { class: "row" },
                  h(
                    "button",
                    {
                      type: "button",
                      class: "quiet danger",
                      onclick: () => {
                        this.document[key].splice(n, 1);
                        if (this.document[key].length === 0) delete this.document[key];
                        this.changed();
                        draw();
                      },
                    },
                    "Remove this " + kind,
                  ),
                ),
              ),
          )
          .filter(Boolean),
        h(
          "div",
          { class: "row" },
          h(
            "button",
            {
              type: "button",
              onclick: () => {
                this.document[key] = [...(this.document[key] || []), {}];
                this.changed();
                draw();
                const boxes = host.querySelectorAll("fieldset");
                boxes[boxes.length - 1].querySelector("input, textarea").focus();
              },
            },
            add,
          ),
        ),
      );
    };
    draw();
    return host;
  }

  /** The users have changed at the relay; what is edited here stays. */
  async refresh() {
    const config = await ask("GET", "/api/config", undefined, { whole: true });
    const edited = this.isChanged() ? this.document : null;
    this.take(config);
    if (edited) this.document = { ...edited, users: JSON.parse(this.saved).users };
    if (edited && this.document.users === undefined) delete this.document.users;
    this.draw();
  }

  // ---- The rest ----

  rest() {
    const shown = [
      "hostname",
      "domains",
      "trusted",
      "users",
      "aliases",
      "catch_all",
      "owner",
      "masquerade",
      "routes",
      "alerts",
      "admin",
    ];
    const groups = new Map();
    for (const row of this.rows) {
      const top = row.key.split(/[.[]/)[0];
      if (shown.includes(top) || row.key.includes("[]") || row.kind === "objects") continue;
      groups.set(top, [...(groups.get(top) || []), row]);
    }
    return h(
      "section",
      { class: "card" },
      h("h2", null, "Everything else"),
      h("p", { class: "soft small" }, "Good as it is for nearly everybody."),
      [...groups].map(([top, rows]) =>
        h(
          "details",
          { "data-group": top },
          h("summary", null, GROUPS[top] || title(top)),
          h(
            "div",
            { class: "fields" },
            rows.map((row) => this.input(row.key)),
          ),
        ),
      ),
    );
  }

  asText() {
    const area = h("textarea", {
      class: "text",
      value: pretty(this.document),
      spellcheck: "false",
      autocapitalize: "none",
      autocorrect: "off",
    });
    this.text = field(
      "Configuration",
      area,
      "One JSON document. “" + SECRET + "” stands for a secret that stays as it is.",
    );
    const parsed = () => {
      this.text.complain("");
      try {
        return JSON.parse(area.value);
      } catch (wrong) {
        this.text.complain("This is not JSON: " + wrong.message);
        return null;
      }
    };
    const use = (work) => async (event) => {
      const document = parsed();
      if (!document) return;
      this.document = document;
      this.changed();
      await work(event.target);
    };
    return [
      this.text,
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", onclick: use((button) => this.check(button)) }, "Check"),
        h(
          "button",
          { type: "button", class: "main", onclick: use((button) => this.save(button)) },
          "Save",
        ),
      ),
    ];
  }

  // ---- To the relay ----

  async check(button) {
    if (await this.send(button, "POST", "/api/config/check")) toast("All of it is right.");
  }

  async save(button) {
    const done = await this.send(button, "PUT", "/api/config", async () => {
      this.take(await ask("GET", "/api/config", undefined, { whole: true }));
    });
    if (!done) return;
    if (this.view.isOpen()) this.draw();
    toast("Saved. It is in effect now.");
  }

  /** Send what is edited, then do what follows; true if all went well. */
  async send(button, method, path, then = async () => {}) {
    this.complain([]);
    button.disabled = true;
    // What would be typed meanwhile would be lost when the saved document is shown.
    this.body.inert = true;
    let problems = null;
    try {
      await ask(method, path, JSON.stringify(this.document), { "If-Match": this.tag });
      await then();
    } catch (wrong) {
      if (!(wrong instanceof Failure)) throw wrong;
      problems = wrong.problems.length ? wrong.problems : [{ key: "", words: wrong.message }];
    } finally {
      button.disabled = this.body.inert = false;
    }
    if (problems) this.complain(problems);
    return !problems;
  }

  /** Each problem beside its field, or above all where there is none. */
  complain(problems) {
    for (const box of this.fields.values()) box.complain("");
    const byField = new Map(),
      above = [];
    for (const problem of problems) {
      let key = problem.key;
      while (key && !this.isThere(key)) key = key.replace(/(\.[^.[]*|\[\d+\])$|^[^.[]*$/, "");
      if (key)
        byField.set(key, [
          ...(byField.get(key) || []),
          place(problem.key.slice(key.length)) + problem.words,
        ]);
      else
        above.push(note("bad", problem.key ? h("b", null, problem.key + ": ") : "", problem.words));
    }
    this.problems.replaceChildren(...above);
    let first = above.length ? this.problems : null;
    for (const [key, words] of byField) {
      const box = this.fields.get(key);
      box.complain(words.join("\n"));
      for (let place = box.parentElement; place; place = place.parentElement)
        if (place.tagName === "DETAILS") place.open = true;
      first = first || box;
    }
    if (!first) return;
    first.scrollIntoView({ block: "center" });
    if (first.input) first.input.focus({ preventScroll: true });
  }

  isThere(key) {
    const box = this.fields.get(key);
    return box && box.isConnected;
  }
}

const LABELS = {
  "routes[].for": "Recipients",
  "routes[].via": "Go through",
  "routes[].tls": "Encryption",
  "routes[].user": "User name",
  "aliases[].from": "Mail to",
  "aliases[].to": "Goes to",
  "push[].url": "Address",
  "push[].kind": "What is there",
  "listen.smtp": "Devices and servers",
  "listen.submission": "People with a login",
  "listen.submissions": "The same, encrypted from the start",
  "listen.web": "This page",
  dns: "Name servers",
  dns_trusted: "They check DNSSEC, and nobody stands between",
  "delivery.ipv6": "Use IPv6",
  "delivery.policies": "Heed how domains want to be reached (MTA-STS, DANE)",
  "tls.certificate": "Certificate file",
  "tls.key": "Key file",
};
/** What the values of a choice mean. */
const WORDS = {
  "yes or no": { true: "yes", false: "no" },
  "push[].kind": { ntfy: "ntfy", json: "anything that takes JSON (a webhook)" },
  "routes[].tls": {
    none: "never",
    may: "if the server offers it",
    require: "always",
    verify: "always, and its certificate must be right",
    usual: "",
  },
};
const GROUPS = {
  listen: "Where to listen",
  dns: "Name servers",
  delivery: "Delivery",
  retry: "When to try again",
  limits: "Limits",
  maildir: "Mailboxes",
  tls: "Certificate",
};

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1) + ".";
const steps = (key) => key.replace(/\[(\d+)\]/g, ".$1").split(".");
const pretty = (document) => JSON.stringify(document, null, 2);
const lines = (text) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/** `warn_after` reads "Warn after". */
function title(key) {
  const word = steps(key).pop().replace(/_/g, " ");
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function hint(about) {
  return about.default && about.default.length <= 20 ? about.default : "";
}

/** Where in its field a problem is: `[1]` of a list is what stands in its second line. */
function place(rest) {
  const line = /^\[(\d+)\]$/.exec(rest);
  if (line) return "Line " + (Number(line[1]) + 1) + ": ";
  return rest && rest + " ";
}

/** What stands in the document for what was typed; nothing typed is no key. */
function typed(kind, text) {
  const plain = text.trim();
  if (plain === "") return undefined;
  if (kind === "yes or no") return plain === "true";
  if (kind === "number" && /^\d+$/.test(plain)) return Number(plain);
  return kind === "secret" ? text : plain;
}
