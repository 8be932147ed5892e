// What waits, what happened, and a test message.

import {
  ago,
  ask,
  attempt,
  confirmed,
  field,
  form,
  get,
  h,
  icon,
  moment,
  note,
  plural,
  post,
  session,
  size,
  toast,
  until,
} from "./kit.js";

const ROWS = 50;
const STATES = {
  due: ["wait", "Next in line"],
  waiting: ["wait", "Waiting"],
  held: ["plain", "On hold"],
  sending: ["good", "Sending"],
};
const TONES = {
  accepted: "in",
  delivered: "good",
  deferred: "wait",
  held: "wait",
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
const ENDS = ["delivered", "bounced", "failed", "dropped"];

/** `login-failed` reads "Login failed". */
const kind = (word) => word.charAt(0).toUpperCase() + word.slice(1).replace(/-/g, " ");

const sender = (from) => from || "the mail system (a report)";
const subject = (row) => row.subject || "(no subject)";

/** Text that may change the direction of writing, but not that of its neighbours. */
const bdi = (text) => h("bdi", null, text);

function chip(state) {
  const [tone, words] = STATES[state] || ["plain", state];
  return h("span", { class: "chip " + tone }, words);
}

function nextTry(row) {
  if (row.state === "held") return "On hold until you release it";
  if (row.state === "sending") return "Being sent right now";
  return row.next == null ? "Next try soon" : "Next try " + until(row.next);
}

const age = (at) => (at == null ? "" : ago(Date.now() / 1000 + session.skew - at));

/** Events one below the other; those of the message `self` do not name it again. */
export function timeline(events, self) {
  return h(
    "ol",
    { class: "line" },
    events.map((event) => {
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
          event.id &&
            event.id !== self &&
            h("a", { class: "ref", href: "#/find/" + encodeURIComponent(event.id) }, event.id),
        ),
      );
    }),
  );
}

function nothing(tone, title, words) {
  return h(
    "div",
    { class: "card empty" },
    h("span", { class: "seal " + tone }, icon(tone)),
    h("h2", null, title),
    h("p", null, words),
  );
}

// ---- The queue ----

export function queueView(view) {
  const list = h("div", { class: "fields" });
  const all = h(
    "button",
    {
      type: "button",
      hidden: true,
      onclick: () =>
        attempt(async () => {
          const { messages } = await post("/api/queue/retry");
          toast("Trying " + plural(messages, "message", "messages") + " again now.");
          await view.reload();
        }),
    },
    "Try all now",
  );
  let shown = ROWS;
  view.show(
    "Queue",
    h(
      "div",
      { class: "row between" },
      h(
        "p",
        { class: "soft" },
        "Mail that is still on its way out. Waypost keeps trying by itself.",
      ),
      all,
    ),
    list,
  );
  view.live(
    10,
    async () => {
      const rows = [];
      let total = 0;
      while (rows.length < shown) {
        const page = await get("/api/queue?offset=" + rows.length + "&limit=" + ROWS);
        total = page.total;
        rows.push(...page.rows);
        if (page.rows.length < ROWS) break;
      }
      return { total, rows };
    },
    ({ total, rows }) => {
      all.hidden = total === 0;
      session.onQueued(total);
      list.replaceChildren(
        total === 0
          ? nothing("good", "Nothing is waiting", "Everything that came in has been passed on.")
          : h("ul", { class: "card list" }, rows.map(queueRow)),
        (total > rows.length &&
          h(
            "p",
            { class: "row" },
            h(
              "button",
              {
                type: "button",
                "data-key": "more",
                onclick: () => {
                  shown += ROWS;
                  view.reload();
                },
              },
              "Show more",
            ),
            h(
              "span",
              { class: "soft small" },
              "the oldest " + rows.length + " of " + plural(total, "message", "messages"),
            ),
          )) ||
          "",
      );
    },
  );
}

function queueRow(row) {
  const more =
    row.to.length > 2 ? row.to.slice(0, 2).join(", ") + " and others" : row.to.join(", ");
  return h(
    "li",
    null,
    h(
      "a",
      { class: "item", href: "#/queue/" + row.id, "data-key": row.id },
      h("span", { class: "top" }, h("span", { class: "subject" }, subject(row)), chip(row.state)),
      h("span", { class: "way" }, bdi(sender(row.from)), " → ", bdi(more)),
      row.reason && h("span", { class: "why" }, row.reason),
      h(
        "span",
        { class: "soft small" },
        [age(row.arrived) && "Came " + age(row.arrived), size(row.size), nextTry(row)]
          .filter(Boolean)
          .join(" · "),
      ),
    ),
  );
}

// ---- One message ----

export function messageView(view, id) {
  const body = h("div", { class: "fields" });
  view.show("Message", h("a", { class: "back", href: "#/queue" }, icon("back"), "Queue"), body);
  const act = async (action, done) => {
    await attempt(async () => {
      await post("/api/queue/" + id + "/" + action);
      toast(done);
      if (action === "drop") location.hash = "#/queue";
      else await view.reload();
    });
  };
  const button = (words, action, done, style) =>
    h(
      "button",
      { type: "button", class: style || "", "data-key": action, onclick: () => act(action, done) },
      words,
    );
  const drop = async (message) => {
    const sure = await confirmed(
      "Drop this message?",
      "“" + subject(message) + "” will not be sent, and nobody is told. This cannot be undone.",
      "Drop it",
    );
    if (sure) await act("drop", "The message was dropped.");
  };
  let open = false;
  view.live(
    5,
    async () => {
      const trace = get("/api/trace?q=" + encodeURIComponent(id));
      try {
        return { message: await get("/api/queue/" + id), events: (await trace).events };
      } catch (wrong) {
        if (wrong.status === 404) return { events: (await trace).events };
        throw wrong;
      }
    },
    ({ message, events }) => {
      const story =
        events.length > 0 &&
        h(
          "section",
          { class: "card" },
          h("h2", null, "What happened so far"),
          timeline(events, id),
        );
      if (!message) {
        body.replaceChildren(note("good", "This message is no longer in the queue."), story || "");
        return;
      }
      view.heading.textContent = subject(message);
      body.replaceChildren(
        h(
          "section",
          { class: "card" },
          h("div", { class: "row between" }, h("h2", null, nextTry(message)), chip(message.state)),
          h(
            "div",
            { class: "row" },
            button("Try now", "retry", "Trying now.", "main"),
            message.state === "held"
              ? button("Release", "release", "Released.")
              : button("Hold", "hold", "On hold: it stays here until you release it."),
            h(
              "button",
              {
                type: "button",
                class: "quiet danger",
                "data-key": "drop",
                onclick: () => drop(message),
              },
              "Drop",
            ),
          ),
          h(
            "dl",
            { class: "type" },
            fact("From", sender(message.from)),
            fact("Handed over by", message.source),
            fact("Came", message.arrived == null ? "time not known" : moment(message.arrived)),
            fact("Size", size(message.size)),
            fact("Tries so far", String(message.attempts)),
            fact("Queue id", h("code", null, message.id)),
            message.message_id && fact("Message-ID", h("code", null, message.message_id)),
          ),
        ),
        h(
          "section",
          { class: "card" },
          h("h2", null, plural(message.recipients.length, "recipient", "recipients")),
          h("ul", { class: "fields" }, message.recipients.map(recipient)),
        ),
        story || "",
        (message.header &&
          h(
            "section",
            { class: "card" },
            h(
              "details",
              {
                open,
                ontoggle: (event) => {
                  open = event.target.open;
                },
              },
              h("summary", { "data-key": "header" }, "Header"),
              h("pre", { tabindex: "0", "aria-label": "Header of the message" }, message.header),
            ),
          )) ||
          "",
      );
    },
  );
}

const fact = (name, value) =>
  h("div", null, h("dt", null, name), h("dd", null, h("span", { class: "value" }, value)));

function recipient(to) {
  const [tone, words] = {
    waiting: ["wait", "Waiting"],
    delivered: ["good", "Delivered"],
    failed: ["bad", "Failed"],
  }[to.state] || ["plain", to.state];
  const said = to.words && [
    h("p", { class: "soft small" }, to.by ? [bdi(to.by), " said:"] : "Waypost says:"),
    h("p", { class: "quote" }, to.words),
  ];
  return h(
    "li",
    { class: "entry" },
    h(
      "div",
      { class: "row between" },
      h("b", { class: "words" }, to.to),
      h("span", { class: "chip " + tone }, words),
    ),
    said || h("p", { class: "soft small" }, "Not tried yet."),
  );
}

// ---- What happened to my mail? ----

export function findView(view, query) {
  const input = h("input", {
    type: "search",
    value: query,
    autocapitalize: "none",
    autocorrect: "off",
    spellcheck: "false",
    placeholder: "someone@example.org",
    enterkeyhint: "search",
  });
  const box = field("Address, Message-ID or queue id", input);
  const go = () => {
    const text = input.value.trim();
    location.hash = text ? "#/find/" + encodeURIComponent(text) : "#/find";
  };
  const find = h("div", { class: "find" });
  input.replaceWith(find);
  find.append(input, h("button", { class: "main", type: "submit" }, icon("find"), "Find"));
  const found = h("section", { class: "card" });
  view.show(
    "What happened to my mail?",
    h(
      "form",
      {
        role: "search",
        class: "card",
        onsubmit: (event) => {
          event.preventDefault();
          go();
        },
      },
      box,
    ),
    found,
  );
  view.live(
    query ? 5 : 10,
    () => get(query ? "/api/trace?q=" + encodeURIComponent(query) : "/api/recent?limit=50"),
    ({ events }) => {
      if (events.length > 0) {
        found.replaceChildren(
          h(
            "h2",
            { class: "words" },
            query ? plural(events.length, "event", "events") + " for " + query : "The latest",
          ),
          timeline(events, query),
        );
      } else {
        found.replaceChildren(
          h(
            "p",
            { class: "soft" },
            query
              ? "Nothing is known about “" +
                  query +
                  "”. Is it spelt exactly as in the message? Old events are forgotten after a while."
              : "Nothing has happened yet. As soon as a device sends mail, it shows up here.",
          ),
        );
      }
    },
  );
}

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
