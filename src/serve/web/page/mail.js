// What waits, and what happened.

import {
  advice,
  ago,
  attempt,
  bdi,
  confirmed,
  field,
  get,
  h,
  icon,
  moment,
  note,
  nothing,
  plural,
  post,
  session,
  size,
  timeline,
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

const sender = (from) => from || "the mail system (a report)";
const subject = (row) => row.subject || "(no subject)";

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
  const chosen = new Set();
  // Those that are not shown, too.
  let everything = false,
    waiting = 0;
  const count = h("span", null);
  const several = h("div", { class: "card several", role: "region", "aria-label": "Chosen messages", hidden: true });
  const onAll = (words, action, done, style) =>
    h(
      "button",
      {
        type: "button",
        class: style || "",
        onclick: () =>
          attempt(async () => {
            const ids = [...chosen];
            const sure =
              action !== "drop" ||
              (await confirmed(
                "Drop " + plural(everything ? waiting : ids.length, "message", "messages") + "?",
                "They will not be sent, and nobody is told. This cannot be undone.",
                "Drop",
              ));
            if (!sure) return;
            let sum = 0;
            const wrong = [];
            // So many can be named at once.
            for (let n = 0; n < (everything ? 1 : ids.length); n += ROWS) {
              const which = everything ? { all: true } : { ids: ids.slice(n, n + ROWS) };
              const { messages, failed } = await post("/api/queue/act", { ...which, action });
              sum += messages;
              wrong.push(...(failed || []));
            }
            chosen.clear();
            everything = false;
            toast(done + plural(sum, "message", "messages") + ". " + wrong.join(" "));
            await view.reload();
            choose();
          }),
      },
      words,
    );
  const boxes = () => [...list.querySelectorAll("input[type=checkbox]")];
  const choose = (box) => {
    if (box && !box.checked) everything = false;
    several.hidden = chosen.size === 0;
    const all = boxes().length && chosen.size === boxes().length;
    rest.hidden = everything || !all || waiting <= chosen.size;
    rest.textContent = "Choose all " + waiting.toLocaleString("en");
    count.textContent = everything ? "All " + waiting.toLocaleString("en") + " chosen" : chosen.size + " chosen";
  };
  const rest = h(
    "button",
    {
      type: "button",
      class: "quiet",
      onclick: () => {
        everything = true;
        choose();
      },
    },
    "",
  );
  const chooseShown = () => {
    for (const box of boxes()) if (!box.checked) box.click();
  };
  several.append(
    h("span", { class: "row" }, count, rest),
    h(
      "div",
      { class: "row" },
      onAll("Try now", "retry", "Trying "),
      onAll("Hold", "hold", "On hold: "),
      onAll("Release", "release", "Released "),
      onAll("Drop", "drop", "Dropped ", "danger"),
    ),
  );
  const pick = h("button", { type: "button", class: "quiet", hidden: true, onclick: chooseShown }, "Choose all shown");
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
      h("span", { class: "row" }, pick, all),
    ),
    several,
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
      all.hidden = pick.hidden = total === 0;
      waiting = total;
      for (const id of chosen) if (!rows.some((row) => row.id === id)) chosen.delete(id);
      session.onQueued(total);
      list.replaceChildren(
        total === 0
          ? nothing("good", "Nothing is waiting", "Everything that came in has been passed on.")
          : h("ul", { class: "card list" }, rows.map((row) => queueRow(row, chosen, choose))),
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
      choose();
    },
  );
}

function queueRow(row, chosen, choose) {
  const more =
    row.to.length > 2 ? row.to.slice(0, 2).join(", ") + " and others" : row.to.join(", ");
  return h(
    "li",
    { class: "pick" },
    h(
      "label",
      null,
      h("input", {
        type: "checkbox",
        "aria-label": "Choose " + subject(row),
        "data-key": "pick-" + row.id,
        checked: chosen.has(row.id),
        onchange: (event) => {
          event.target.checked ? chosen.add(row.id) : chosen.delete(row.id);
          choose(event.target);
        },
      }),
    ),
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
  const said = transcripts(id);
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
        body.replaceChildren(
          note("good", "This message is no longer in the queue."),
          story || "",
          said,
        );
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
        said,
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
            h(
              "div",
              { class: "row" },
              h(
                "a",
                { class: "button", href: "/api/queue/" + id + "/message", download: id + ".eml" },
                "Download the message",
              ),
            ),
          )) ||
          "",
      );
    },
  );
}

/** What was said to servers about a message: asked for when somebody wants to see it. */
function transcripts(id) {
  const said = h("div", { class: "fields" });
  const load = (event) => {
    if (!event.target.open || said.childElementCount) return;
    attempt(async () => {
      const { rows } = await get("/api/transcripts/" + encodeURIComponent(id));
      said.replaceChildren(
        ...(rows.length
          ? rows.map((row) => [
              moment(row.at),
              h("pre", { tabindex: "0", "aria-label": "What was said" }, row.text),
            ])
          : [h("p", { class: "soft" }, "Nothing is remembered: it was not tried lately.")]
        ).flat(),
      );
    });
  };
  return h(
    "section",
    { class: "card" },
    h(
      "details",
      { ontoggle: load },
      h("summary", { "data-key": "said" }, "What was said, word by word"),
      h("p", { class: "help soft small" }, "C is this relay, S the server. Passwords and the message itself are left out."),
      said,
    ),
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
    to.advice && advice(to.advice),
  );
}

// ---- What happened to my mail? ----

/** As a field for a time has it, in the reader's zone. */
const local = (at) =>
  new Date((at - new Date(at * 1000).getTimezoneOffset() * 60) * 1000).toISOString().slice(0, 16);

export function findView(view, asked) {
  // `@1795785073`: what happened up to then.
  const time = Number(/^@(\d+)$/.exec(asked || "")?.[1] || 0);
  const query = time ? "" : asked;
  const input = h("input", {
    type: "search",
    value: query,
    autocapitalize: "none",
    autocorrect: "off",
    spellcheck: "false",
    placeholder: "someone@example.org, or words of the subject",
    enterkeyhint: "search",
  });
  const box = field("Address, device, subject or id", input);
  const go = () => {
    const text = input.value.trim();
    location.hash = text ? "#/find/" + encodeURIComponent(text) : "#/find";
  };
  const find = h("div", { class: "find" });
  input.replaceWith(find);
  find.append(input, h("button", { class: "main", type: "submit" }, icon("find"), "Find"));
  const when = field(
    "What happened up to",
    h("input", { type: "datetime-local", value: time ? local(time) : "" }),
  );
  const look = () => {
    const at = new Date(when.input.value).getTime() / 1000;
    if (at > 0) location.hash = "#/find/@" + at;
    else when.complain("Give a day and a time.");
  };
  const found = h("section", { class: "card" });
  const said = h("div");
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
      h("details", { open: time > 0 }, h("summary", { class: "small" }, "Or look at a time"),
        h("div", { class: "fields" }, when, h("button", { type: "button", onclick: look }, "Look at it"))),
    ),
    found,
    said,
  );
  let rest = 0,
    before;
  view.live(
    query ? 5 : 10,
    async () => {
      // To seek words is work: only the way of one message is looked at again and again.
      if (rest-- > 0) return before;
      before = await get(
        time
          ? "/api/recent?limit=50&until=" + time
          : query
            ? "/api/trace?q=" + encodeURIComponent(query)
            : "/api/recent?limit=50",
      );
      const ids = new Set(before.events.map((event) => event.id));
      rest = time || (query && ids.size !== 1) ? 11 : 0;
      return before;
    },
    ({ events }) => {
      if (events.length > 0) {
        found.replaceChildren(
          h(
            "h2",
            { class: "words" },
            time
              ? "Up to " + new Date(time * 1000).toLocaleString()
              : query
                ? plural(events.length, "event", "events") + " for " + query
                : "The latest",
          ),
          timeline(events, query),
        );
        const ids = [...new Set(events.map((event) => event.id).filter(Boolean))];
        if (query && ids.length === 1 && said.dataset.of !== ids[0]) {
          said.dataset.of = ids[0];
          said.replaceChildren(transcripts(ids[0]));
        }
      } else {
        found.replaceChildren(
          h(
            "p",
            { class: "soft" },
            time
              ? "Nothing is known of that time. Old events are forgotten after a while."
              : query
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
