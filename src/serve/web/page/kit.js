// What every view needs: elements, requests, words for times and sizes.
//
// Everything the relay tells may hold what a stranger wrote. It reaches the page only as text nodes
// and as values of fields, never as markup.

/** An element. Properties that start with "on" are listeners; false and null leave an attribute out. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else if (value !== false && value != null)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child != null && child !== false));
  return element;
}

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", "#i-" + name);
  svg.append(use);
  return svg;
}

/** What went wrong with a request, in words. */
export class Failure extends Error {
  constructor(status, words, problems) {
    super(words);
    this.status = status;
    this.problems = problems || [];
  }
}

/** Who is at the page. `skew`: seconds that the relay's clock is ahead of this device's. */
export const session = {
  state: "",
  token: "",
  shortest: 8,
  board: false,
  skew: 0,
  onEnd: () => {},
  onQueued: () => {},
};

/** Ask the relay. `body` is sent as JSON, a string as it is. */
export async function ask(method, path, body, fields) {
  const headers = { ...fields };
  if (session.token) headers["X-CSRF-Token"] = session.token;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 30000);
  let response, text;
  try {
    response = await fetch(path, {
      method,
      headers,
      signal: stop.signal,
      cache: "no-store",
      credentials: "same-origin",
      body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    });
    text = await response.text();
  } catch {
    throw new Failure(
      0,
      "The relay does not answer. Is it switched on, and are you on its network?",
    );
  } finally {
    clearTimeout(timer);
  }
  let data = {};
  try {
    data = JSON.parse(text);
  } catch {
    data = { error: text.trim() };
  }
  if (response.ok)
    return fields && fields.whole ? { data, text, tag: response.headers.get("ETag") } : data;
  if (response.status === 401) session.onEnd();
  throw new Failure(
    response.status,
    data.error || "The relay answered " + response.status + ".",
    data.problems,
  );
}

export const get = (path) => ask("GET", path);
export const post = (path, body) => ask("POST", path, body === undefined ? {} : body);

// ---- Words ----

export const plural = (n, one, many) => n.toLocaleString("en") + " " + (n === 1 ? one : many);

/** A span of seconds: "3 minutes". */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return plural(s, "second", "seconds");
  if (s < 3570) return plural(Math.round(s / 60), "minute", "minutes");
  if (s < 84600) return plural(Math.round(s / 3600), "hour", "hours");
  return plural(Math.round(s / 86400), "day", "days");
}

export const ago = (seconds) => (seconds < 5 ? "just now" : span(seconds) + " ago");
export const until = (seconds) => (seconds < 2 ? "any moment" : "in " + span(seconds));

export function size(octets) {
  // Steps of 1024, as in the settings: 256M there is 256 MB here.
  if (octets < 1024) return octets + " B";
  const units = ["KB", "MB", "GB", "TB"];
  let n = octets,
    unit = -1;
  do {
    n /= 1024;
    unit++;
  } while (n >= 1023.5 && unit < units.length - 1);
  return (n < 10 ? n.toFixed(1) : Math.round(n)) + " " + units[unit];
}

/** A time of the relay's clock, in the reader's zone. Nothing where the clock was not set. */
export function moment(at) {
  if (at == null) return h("span", { class: "soft small" }, "time not known");
  const date = new Date(at * 1000);
  const now = Date.now() / 1000 + session.skew;
  const today = new Date().toDateString() === date.toDateString();
  const clock = date.toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  const words =
    now - at < 90 && now - at > -5
      ? ago(now - at)
      : today
        ? clock
        : date.toLocaleDateString([], { day: "numeric", month: "short" }) + ", " + clock;
  return h("time", { datetime: date.toISOString(), title: date.toLocaleString() }, words);
}

// ---- Telling and asking ----

export function toast(words) {
  const line = h("p", null, words);
  document.getElementById("toasts").append(line);
  setTimeout(() => line.remove(), 5000);
}

/** Do something; what goes wrong is told at the bottom of the window. */
export async function attempt(work) {
  try {
    return await work();
  } catch (wrong) {
    if (!(wrong instanceof Failure)) throw wrong;
    toast(wrong.message);
    return undefined;
  }
}

/** A question with two answers; true for the one that does it. */
export function confirmed(title, words, yes) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "ask-title" },
      h("h2", { id: "ask-title" }, title),
      h("p", null, words),
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", onclick: () => dialog.close("no") }, "Cancel"),
        h("button", { type: "button", class: "danger", onclick: () => dialog.close("yes") }, yes),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

let fieldNumber = 0;

/** A labelled field with its help and a place for what is wrong with it. */
export function field(label, input, help) {
  const id = "f" + ++fieldNumber;
  input.id = id;
  const about = help ? h("p", { class: "help", id: id + "h" }, help) : null;
  const wrong = h("p", { class: "wrong", id: id + "w", hidden: true });
  input.setAttribute("aria-describedby", (about ? id + "h " : "") + id + "w");
  const box = h("div", { class: "field" }, h("label", { for: id }, label), input, wrong, about);
  box.complain = (words) => {
    wrong.hidden = !words;
    wrong.textContent = words || "";
    input.setAttribute("aria-invalid", words ? "true" : "false");
  };
  box.input = input;
  return box;
}

/** A form of fields with one button; `work` may throw a Failure, which is shown above the button. */
export function form(fields, label, work) {
  const wrong = h("div", { role: "alert" });
  const button = h("button", { class: "main", type: "submit" }, label);
  return h(
    "form",
    {
      novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        wrong.replaceChildren();
        try {
          await work();
        } catch (failure) {
          if (!(failure instanceof Failure)) throw failure;
          wrong.replaceChildren(note("bad", failure.message));
        } finally {
          button.disabled = false;
        }
      },
    },
    fields,
    wrong,
    h("div", { class: "row" }, button),
  );
}

export function note(tone, ...words) {
  return h("div", { class: "note " + tone }, icon(tone), h("div", null, ...words));
}

export function copyButton(text, what) {
  return h(
    "button",
    {
      type: "button",
      class: "copy",
      "aria-label": "Copy " + what,
      onclick: async () => {
        try {
          await navigator.clipboard.writeText(text);
        } catch {
          // Plain HTTP has no clipboard of its own: the old way still works there.
          const area = h("textarea", { value: text });
          document.body.append(area);
          area.select();
          document.execCommand("copy");
          area.remove();
        }
        toast("Copied: " + text);
      },
    },
    icon("copy"),
  );
}

// ---- What happened ----

export const TONES = {
  accepted: "in",
  delivered: "good",
  deferred: "wait",
  held: "wait",
  waiting: "wait",
  "in-clear": "wait",
  skipped: "wait",
  "tls-failed": "wait",
  bounced: "bad",
  damaged: "bad",
  dropped: "bad",
  failed: "bad",
  "login-failed": "bad",
  lost: "bad",
  refused: "bad",
  trouble: "bad",
  unsettled: "bad",
};
/** `login-failed` reads "Login failed". */
const kind = (word) => word.charAt(0).toUpperCase() + word.slice(1).replace(/-/g, " ");

/** Text that may change the direction of writing, but not that of its neighbours. */
export const bdi = (text) => h("bdi", null, text);

/** Events one below the other; those of the message `self` do not name it again. */
export function timeline(events, self) {
  // What comes again and again is explained once, the last time.
  const last = new Map();
  events.forEach((event, n) => event.advice && last.set(event.advice.words, n));
  return h(
    "ol",
    { class: "line" },
    events.map((event, n) => {
      const tone = TONES[event.event] || "plain";
      return h(
        "li",
        null,
        h("span", { class: "dot " + tone }, icon(tone)),
        h(
          "div",
          null,
          h("div", { class: "head" }, h("b", null, kind(event.event)), moment(event.at)),
          h("p", null, event.words),
          event.advice && last.get(event.advice.words) === n && advice(event.advice),
          event.id &&
            event.id !== self &&
            h("a", { class: "ref", href: "#/find/" + encodeURIComponent(event.id) }, event.id),
        ),
      );
    }),
  );
}

/** What a refusal means, and where that stands. */
export function advice({ words, source }) {
  const from = source.split("; ").map((one, n) => [
    n ? "; " : "",
    one.startsWith("https://")
      ? h("a", { href: one, target: "_blank", rel: "noopener noreferrer" }, one.slice(8).split("/")[0])
      : one,
  ]);
  return h(
    "div",
    { class: "inset advice" },
    h("p", null, words),
    h("p", { class: "soft small" }, "Source: ", from.flat()),
  );
}

export function nothing(tone, title, words) {
  return h(
    "div",
    { class: "card empty" },
    h("span", { class: "seal " + tone }, icon(tone)),
    h("h2", null, title),
    h("p", null, words),
  );
}

/** Change the configuration: `change` gets a copy of it, and what it leaves is kept and in force. */
export async function edit(change) {
  const { data, tag } = await ask("GET", "/api/config", undefined, { whole: true });
  change(data);
  await ask("PUT", "/api/config", JSON.stringify(data), { "If-Match": tag });
}
