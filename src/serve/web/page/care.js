// Care for the relay: a backup, the log as it is written, a look for holes, tokens for programs, and
// the way back from the last change.

import { Failure, ask, attempt, confirmed, copyButton, edit, field, form, get, h, icon, note, post, session, toast } from "./kit.js";

export function careView(view) {
  view.show(
    "Care",
    h("a", { class: "back", href: "#/settings" }, icon("back"), "Settings"),
    backup(),
    undo(),
    holes(),
    tokens(),
    log(view),
  );
}

const card = (title, words, ...content) =>
  h("section", { class: "card" }, h("h2", null, title), words && h("p", { class: "soft small" }, words), content);

/** Give the browser a file. */
function save(octets, name) {
  const link = h("a", { href: URL.createObjectURL(new Blob([octets])), download: name, hidden: true });
  document.body.append(link);
  link.click();
  setTimeout(() => {
    URL.revokeObjectURL(link.href);
    link.remove();
  }, 1000);
}

// ---- Backup ----

function backup() {
  const password = field(
    "Password for the file",
    h("input", { type: "password", autocomplete: "new-password" }),
    "Without it nobody can open the file, you neither. At least " + session.shortest + " characters.",
  );
  const make = async () => {
    const response = await fetch("/api/backup", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": session.token },
      body: JSON.stringify({ password: password.input.value }),
    });
    if (!response.ok) throw new Failure(response.status, (await response.json()).error);
    save(await response.arrayBuffer(), "waypost-" + new Date().toISOString().slice(0, 10) + ".backup");
    toast("The file is in your downloads.");
  };
  const file = field("File", h("input", { type: "file" }));
  const key = field("Its password", h("input", { type: "password", autocomplete: "off" }));
  const restore = async () => {
    const [chosen] = file.input.files;
    if (!chosen) throw new Failure(0, "Choose the file first.");
    const sure = await confirmed(
      "Put this backup in place of all settings?",
      "Settings, passwords, sign-ins and keys become those of the file, at once. Mail that waits stays.",
      "Put it back",
    );
    if (!sure) return;
    const octets = new Uint8Array(await chosen.arrayBuffer());
    let text = "";
    for (const octet of octets) text += String.fromCharCode(octet);
    await post("/api/restore", { file: btoa(text), password: key.input.value });
    toast("It is in place. Log in again if the page's password was another one.");
  };
  return card(
    "Backup",
    "Everything that makes this relay yours, in one encrypted file: settings, passwords, sign-ins and keys. Mail is not in it.",
    form([password], "Download a backup", make),
    h("p", null, h("button", { type: "button", class: "quiet", onclick: readable }, "Or the settings as readable text, without secrets")),
    h("details", null, h("summary", null, "Put a backup back"), form([file, key], "Put it back", restore)),
  );
}

const readable = () =>
  attempt(async () => save((await ask("GET", "/api/config", undefined, { whole: true })).text, "waypost.json"));

// ---- The last change ----

/** What differs between two configurations, as words: key, before, after. */
export function differences(before, after, key = "") {
  const isTree = (value) => value !== null && typeof value === "object";
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (!isTree(before) || !isTree(after) || Array.isArray(before) !== Array.isArray(after))
    return [[key, before, after]];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const name = (part) => (Array.isArray(after) ? key + "[" + part + "]" : key ? key + "." + part : part);
  return keys.flatMap((part) => differences(before[part], after[part], name(part)));
}

export function changeList(list) {
  const shown = (value) => (value === undefined ? "nothing" : typeof value === "string" ? value : JSON.stringify(value));
  return h(
    "ul",
    { class: "changes small" },
    list.map(([key, before, after]) =>
      h("li", null, h("code", null, key || "all"), ": ", h("del", null, shown(before)), " → ", h("ins", null, shown(after))),
    ),
  );
}

function undo() {
  const show = h("div", { class: "fields" });
  const load = async () => {
    const [{ document: before }, config] = await Promise.all([get("/api/config/previous"), get("/api/config")]);
    if (before == null) {
      show.replaceChildren(h("p", { class: "soft" }, "Nothing was changed since the relay started."));
      return;
    }
    show.replaceChildren(
      changeList(differences(config, JSON.parse(before))),
      h(
        "div",
        { class: "row" },
        h(
          "button",
          {
            type: "button",
            onclick: () =>
              attempt(async () => {
                await post("/api/config/undo");
                toast("The settings are as they were before.");
                await load();
              }),
          },
          "Undo the last change",
        ),
      ),
    );
  };
  attempt(load);
  return card("The last change", "What going back would do.", show);
}

// ---- Holes ----

const VERDICTS = { good: "good", advice: "wait", wrong: "bad", unknown: "wait" };

function holes() {
  const show = h("div", { class: "fields", "aria-live": "polite" });
  const look = () =>
    attempt(async () => {
      const { findings } = await get("/api/open-relay");
      show.replaceChildren(
        ...findings.map((it) => note(VERDICTS[it.verdict] || "wait", h("b", null, it.about + ": "), it.words)),
      );
    });
  return card(
    "Could strangers send through this relay?",
    "Asks itself in every way that has opened a mail server somewhere.",
    h("div", { class: "row" }, h("button", { type: "button", onclick: look }, "Look")),
    show,
  );
}

// ---- Tokens ----

const SCOPES = [
  ["read", "look"],
  ["queue", "look, and work on the queue"],
  ["all", "everything"],
];

function tokens() {
  const list = h("div", null);
  const fresh = h("div", { "aria-live": "polite" });
  const name = field("For", h("input", { autocomplete: "off", placeholder: "Home Assistant" }));
  const scope = field("It may", h("select", null, SCOPES.map(([value, words]) => h("option", { value }, words))));
  const remove = async (token) => {
    if (!(await confirmed("Take this token away?", "“" + token.name + "” cannot use the API any more.", "Take away"))) return;
    await attempt(async () => {
      await edit((config) => {
        config.tokens = config.tokens.filter((one) => one.name !== token.name);
        if (!config.tokens.length) delete config.tokens;
      });
      await load();
    });
  };
  const load = async () => {
    const all = (await get("/api/config")).tokens || [];
    list.replaceChildren(
      all.length
        ? h(
            "ul",
            { class: "people" },
            all.map((token) =>
              h(
                "li",
                null,
                h("span", null, h("b", null, token.name), " ", h("span", { class: "soft small" }, "may " + (SCOPES.find(([value]) => value === (token.scope || "read")) || ["", token.scope])[1])),
                h("button", { type: "button", class: "quiet danger", onclick: () => remove(token) }, "Take away"),
              ),
            ),
          )
        : h("p", { class: "soft" }, "No program has one."),
    );
  };
  attempt(load);
  return card(
    "Programs",
    "Home Assistant, scripts and monitoring use the API with a token, as “Authorization: Bearer …”.",
    list,
    form([h("div", { class: "pair" }, name, scope)], "Make a token", async () => {
      const { token } = await post("/api/tokens", { name: name.input.value.trim(), scope: scope.input.value });
      fresh.replaceChildren(
        note("good", "Copy it now, it is not shown again: ", h("code", null, token), " ", copyButton(token, "the token")),
      );
      name.input.value = "";
      await load();
    }),
    fresh,
  );
}

// ---- Log ----

function log(view) {
  const filter = field("Only lines with", h("input", { type: "search", autocapitalize: "none", spellcheck: "false", placeholder: "refused" }));
  const show = h("pre", { class: "log", tabindex: "0", "aria-label": "Log" });
  const all = [];
  const draw = () => {
    const wanted = filter.input.value.trim().toLowerCase();
    const atEnd = show.scrollHeight - show.scrollTop - show.clientHeight < 30;
    const lines = wanted ? all.filter((line) => line.toLowerCase().includes(wanted)) : all;
    show.textContent = lines.join("\n") || "Nothing yet.";
    if (atEnd) show.scrollTop = show.scrollHeight;
  };
  filter.input.addEventListener("input", draw);
  let last = 0;
  const follow = async () => {
    while (view.isOpen()) {
      try {
        const part = await get("/api/log?after=" + last);
        last = part.last;
        const time = (at) => (at == null ? "" : new Date(at * 1000).toLocaleTimeString() + " ");
        all.push(...part.lines.map((line) => time(line.at) + line.text));
        all.splice(0, Math.max(0, all.length - 500));
        if (part.lines.length) draw();
        if (!last) await new Promise((wake) => setTimeout(wake, 2000));
      } catch (wrong) {
        if (!(wrong instanceof Failure)) throw wrong;
        if (wrong.status === 401) return;
        await new Promise((wake) => setTimeout(wake, 5000));
      }
    }
  };
  draw();
  setTimeout(follow, 0);
  return card(
    "Log",
    "As it is written.",
    filter,
    show,
    h("div", { class: "row" }, h("a", { class: "button", href: "/api/log/all", download: "waypost.log" }, "Download all that is kept")),
  );
}
