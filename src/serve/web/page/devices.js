// The devices of the house: who has come, what they may, and one click to let one in.

import {
  Failure,
  ago,
  attempt,
  confirmed,
  edit,
  field,
  form,
  get,
  h,
  nothing,
  plural,
  post,
  toast,
} from "./kit.js";
import { wayIn } from "./trial.js";

const ACCESS = {
  allow: ["good", "May send"],
  "any-login": ["good", "May send"],
  network: ["good", "May send"],
  login: ["plain", "With a login"],
  block: ["bad", "Blocked"],
  near: ["wait", "Not allowed yet"],
  stranger: ["plain", "Stranger"],
};

/** What people call it. */
const named = (row) => row.name || row.host || row.helo || row.maker || row.address;
/** It knocked and may not come in, and it is of this house. */
const isUnknown = (row) =>
  row.entry == null && row.last_refusal && row.access === "near";

export function devicesView(view) {
  const list = h("div", { class: "fields" });
  const reload = () => {
    for (const open of list.querySelectorAll("details[open]")) open.open = false;
    return view.reload();
  };
  view.show(
    "Devices",
    h(
      "p",
      { class: "soft" },
      "Everything that has handed in mail, or tried to. Who is refused shows up here by itself.",
    ),
    list,
    wayIn(view),
    h(
      "section",
      { class: "card" },
      h("h2", null, "Add one by hand"),
      h("p", { class: "soft small" }, "For a device that has not come yet. Give it a fixed address in your router first."),
      editor({ address: "" }, null, reload),
    ),
  );
  view.live(
    5,
    async () => {
      const [{ rows }, config] = await Promise.all([get("/api/devices"), get("/api/config")]);
      return { rows, config };
    },
    ({ rows, config }) => {
      // What is being typed stays.
      if (list.querySelector("details[open] form")) return;
      const draw = (row) => device(row, config, reload);
      const unknown = rows.filter(isUnknown);
      const strangers = rows.filter((row) => row.access === "stranger" && row.entry == null);
      const known = rows.filter((row) => !unknown.includes(row) && !strangers.includes(row));
      list.replaceChildren(
        ...unknown.map((row) => knocking(row, reload)),
        known.length
          ? h("ul", { class: "card list" }, known.map(draw))
          : unknown.length
            ? ""
            : nothing("plain", "Nobody has come yet", "As soon as a device connects, it shows up here."),
        strangers.length
          ? h(
              "section",
              { class: "card" },
              h(
                "details",
                null,
                h(
                  "summary",
                  { "data-key": "strangers" },
                  plural(strangers.length, "stranger", "strangers") + " from the internet",
                ),
                h("p", { class: "soft small" }, "They may send mail to your own mailboxes, and nowhere else."),
                h("ul", { class: "fields" }, strangers.map(draw)),
              ),
            )
          : "",
      );
    },
  );
}

/** A device that was refused: what it wanted, and one click. */
function knocking(row, reload) {
  const no = row.last_refusal;
  const wanted = no.to ? "It wanted to send to " + no.to + ". " : "";
  return h(
    "section",
    { class: "card" },
    h("div", { class: "row between" }, h("h2", { class: "words" }, named(row)), h("span", { class: "chip wait" }, "Is it yours?")),
    facts(row),
    h("p", null, wanted, "It heard: ", h("q", null, no.reply), no.reason ? " — " + no.reason + "." : ""),
    h(
      "div",
      { class: "row" },
      h(
        "button",
        {
          type: "button",
          class: "main",
          "data-key": "allow-" + row.address,
          onclick: () => put({ address: row.address, name: row.host || row.maker || undefined }, null, reload, "It may send now."),
        },
        "Allow this device",
      ),
      h(
        "button",
        {
          type: "button",
          "data-key": "block-" + row.address,
          onclick: () => put({ address: row.address, access: "block" }, null, reload, "Nothing is taken from it any more."),
        },
        "Block it",
      ),
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          "data-key": "forget-" + row.address,
          onclick: () => attempt(async () => (await post("/api/devices/forget", { address: row.address }), reload())),
        },
        "Not now",
      ),
    ),
  );
}

function facts(row) {
  const way = row.tls ? "encrypted (" + row.tls + ")" : row.seen == null ? "" : "not encrypted";
  const all = [
    row.address,
    row.mac && row.mac + (row.maker ? ", " + row.maker : ""),
    row.host && row.host !== named(row) && row.host,
    row.helo && "calls itself " + row.helo,
    row.user && "logged in as " + row.user,
    way,
  ];
  return h("p", { class: "soft small words" }, all.filter(Boolean).join(" · "));
}

function device(row, config, reload) {
  const [tone, words] = ACCESS[row.access] || ["plain", row.access];
  const no = row.last_refusal;
  const entry = row.entry == null ? null : (config.devices || [])[row.entry];
  const rest = h("div", { class: "fields" });
  const unfold = (event) => {
    if (event.target.open && !rest.childElementCount)
      rest.append(editor(entry || { address: row.address }, entry, reload, row));
  };
  return h(
    "li",
    { class: "device" },
    h(
      "div",
      { class: "row between" },
      h("b", { class: "words" }, named(row)),
      h("span", { class: "chip " + (row.silent ? "bad" : tone) }, row.silent ? "Silent" : words),
    ),
    facts(row),
    row.last_in
      ? h(
          "p",
          { class: "small" },
          "Last mail " + ago(row.last_in.ago) + ", " + plural(row.messages, "message", "messages") + " in all. ",
          h("a", { href: "#/find/" + encodeURIComponent(row.last_in.id), "data-key": "last-" + row.address }, "Where it went"),
        )
      : h("p", { class: "small soft" }, "No mail yet."),
    row.repairs.length > 0 && h("p", { class: "small soft" }, "Put right in it: " + row.repairs.join(", ") + "."),
    no &&
      h(
        "p",
        { class: "small" },
        "Last refused" + (no.ago == null ? "" : " " + ago(no.ago)) + ": ",
        h("q", null, no.reply),
        no.reason ? " — " + no.reason + "." : "",
      ),
    h(
      "details",
      { ontoggle: unfold },
      h("summary", { "data-key": "rules-" + row.address }, entry ? "Rules for it" : "Give it rules of its own"),
      rest,
    ),
  );
}

/** Put an entry in the place of `before` (`null`: a new one). */
async function put(entry, before, reload, words) {
  await attempt(async () => {
    await save(entry, before);
    toast(words);
    await reload();
  });
}

async function save(entry, before) {
  await edit((config) => {
    const devices = config.devices || [];
    const at = before ? devices.findIndex((one) => one.address === before.address) : -1;
    if (at >= 0) devices[at] = entry;
    else devices.push(entry);
    config.devices = devices;
  });
}

const LEVELS = [
  ["", "It may send without a login"],
  ["any-login", "The same, and whatever login it gives is good"],
  ["login", "Only with the login of a user"],
  ["block", "Nothing is taken from it"],
];

/** The rules of one device, as fields. */
function editor(entry, before, reload, row) {
  const input = (key, options) =>
    h("input", { value: entry[key] == null ? "" : String(entry[key]), autocapitalize: "none", autocomplete: "off", spellcheck: "false", ...options });
  const box = {
    address: field("Address", input("address", { placeholder: "192.168.1.20" }), "An IP address that stays the same, or a network."),
    name: field("Name", input("name", { placeholder: "Front door", autocapitalize: "sentences" })),
    access: field(
      "What it may",
      h("select", null, LEVELS.map(([value, words]) => h("option", { value }, words))),
    ),
    sender: field("Sends as", input("sender", { placeholder: "as it says" }), "The sender that others see, for example one that your provider takes."),
    owner: field("Failures are told to", input("owner", { placeholder: "its sender" })),
    digest_after: field("Messages one by one", input("digest_after", { placeholder: "all of them", inputmode: "numeric" }), "When more come within the time below, the rest is summed up in one."),
    digest_every: field("… within", input("digest_every", { placeholder: "10m" })),
    expect_every: field("Expect it every", input("expect_every", { placeholder: "never" }), "For example 24h: then you are told when it falls silent."),
  };
  box.access.input.value = entry.access === "allow" ? "" : entry.access || "";
  const encrypted = h("input", { type: "checkbox", checked: entry.encrypted === true });
  const number = (text) => (/^\d+$/.test(text) ? Number(text) : text);
  const collect = () => {
    const next = {};
    for (const [key, { input: from }] of Object.entries(box)) {
      const text = from.value.trim();
      if (text) next[key] = key === "digest_after" ? number(text) : text;
    }
    if (encrypted.checked) next.encrypted = true;
    return next;
  };
  const submit = async () => {
    for (const one of Object.values(box)) one.complain("");
    try {
      await save(collect(), before);
    } catch (wrong) {
      if (!(wrong instanceof Failure)) throw wrong;
      let told = false;
      for (const problem of wrong.problems) {
        const key = problem.key.replace(/^devices\[\d+\]\./, "");
        if (box[key]) {
          box[key].complain(problem.words);
          told = true;
        }
      }
      if (!told) throw wrong;
      return;
    }
    toast("Saved. It counts from the next connection on.");
    await reload();
  };
  const remove = async () => {
    const sure = await confirmed("Take these rules away?", "The device is treated like all others of its network then.", "Take away");
    if (!sure) return;
    await attempt(async () => {
      await edit((config) => {
        config.devices = (config.devices || []).filter((one) => one.address !== before.address);
        if (!config.devices.length) delete config.devices;
      });
      toast("The rules are gone.");
      await reload();
    });
  };
  const forget = () =>
    attempt(async () => {
      await post("/api/devices/forget", { address: row.address });
      await reload();
    });
  return h(
    "div",
    { class: "fields" },
    form(
      [
        h("div", { class: "pair" }, box.address, box.name),
        box.access,
        h("label", { class: "row small look" }, encrypted, "It must encrypt what it sends"),
        h(
          "details",
          { open: ["sender", "owner", "digest_after", "expect_every"].some((key) => entry[key] != null) },
          h("summary", null, "Sender, floods and silence"),
          h("div", { class: "pair" }, box.sender, box.owner, box.digest_after, box.digest_every, box.expect_every),
        ),
      ],
      before ? "Save the rules" : "Add this device",
      submit,
    ),
    h(
      "div",
      { class: "row" },
      before && h("button", { type: "button", class: "quiet danger", onclick: remove }, "Take the rules away"),
      row && row.seen != null && h("button", { type: "button", class: "quiet", onclick: forget }, "Forget what it did"),
      before && h("a", { href: "#/settings", class: "small" }, "Send its mail another way: special routes"),
    ),
  );
}
