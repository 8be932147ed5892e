// Whether mail from a domain will arrive: what others see of it, what to publish, and its keys.

import { ask, attempt, confirmed, copyButton, field, form, get, h, note, post, toast } from "./kit.js";

const VERDICTS = {
  good: ["good", "Good"],
  advice: ["wait", "Could be better"],
  wrong: ["bad", "Wrong"],
  unknown: ["plain", "Not known"],
};

const ORDER = ["wrong", "advice", "unknown"];

export function domainView(view, wanted) {
  const domain = field(
    "Your domain",
    h("input", {
      value: wanted,
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      placeholder: "example.org",
      required: true,
    }),
    "What comes after the @ in the addresses that your mail is from.",
  );
  const found = h("div", { class: "fields", "aria-live": "polite" });
  const keys = h("div", { class: "fields" });
  view.show(
    "Will it arrive?",
    h(
      "p",
      { class: "soft" },
      "What others see of your domain decides whether your mail arrives, ends as spam or is refused. ",
      "This asks your name servers, and one mail server for its greeting; nothing is sent.",
    ),
    form([domain], "Check", async () => {
      found.replaceChildren(h("p", { class: "soft" }, "Looking. This may take half a minute."));
      try {
        const { findings } = await post("/api/check/domain", { domain: domain.input.value.trim() });
        const rest = findings.filter((it) => it.verdict !== "good");
        const good = findings.filter((it) => it.verdict === "good");
        rest.sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict));
        found.replaceChildren(
          ...[h("h2", null, sum(findings)), ...rest.map(finding), good.length && inOrder(good)].filter(Boolean),
        );
      } catch (wrong) {
        found.replaceChildren();
        throw wrong;
      }
    }),
    found,
    h("h2", null, "Signatures"),
    h(
      "p",
      { class: "soft" },
      "Mail that goes straight to others should be signed with a key of your domain (DKIM). ",
      "The key stays here; its record is published where your domain is managed.",
    ),
    keys,
    h(
      "div",
      { class: "row" },
      h(
        "button",
        {
          type: "button",
          onclick: () =>
            attempt(async () => {
              if (!domain.input.reportValidity()) return;
              await post("/api/dkim", { domain: domain.input.value.trim() });
              toast("Made. Mail is signed with these keys from now on; publish their records.");
              await view.reload();
            }),
        },
        "Make keys for the domain above",
      ),
    ),
  );
  if (!wanted)
    attempt(async () => {
      const { domains, hostname } = await get("/api/config");
      if (!domain.input.value) domain.input.value = (domains && domains[0]) || hostname || "";
    });
  const draw = ({ keys: rows, notes }) => {
    keys.replaceChildren(
      ...notes.map((words) => note("wait", words)),
      ...(rows.length ? rows.map(key) : [h("p", null, "There is no key yet.")]),
    );
  };
  const key = (row) =>
    h(
      "section",
      { class: "card" },
      h("h3", null, row.domain + ", " + (row.algorithm === "rsa" ? "RSA" : "Ed25519")),
      record({ name: row.name, type: "TXT", value: row.text }),
      h(
        "div",
        { class: "row" },
        h(
          "button",
          {
            type: "button",
            "data-key": "retire" + row.name,
            onclick: () =>
              attempt(async () => {
                const sure = await confirmed(
                  "Retire this key?",
                  "Mail is not signed with it any more, and the key is gone.",
                  "Retire",
                );
                if (!sure) return;
                const { domain, selector } = row;
                await ask("POST", "/api/dkim/retire", { domain, selector });
                toast("Retired. Leave its record published for a week, for mail that is on its way.");
                await view.reload();
              }),
          },
          "Retire",
        ),
      ),
    );
  view.live(30, () => get("/api/dkim"), draw);
}

function sum(findings) {
  const wrong = findings.filter((it) => it.verdict === "wrong").length;
  if (wrong) return wrong === 1 ? "One thing is wrong" : wrong + " things are wrong";
  const more = findings.some((it) => it.verdict === "advice");
  return more ? "It will arrive, and could do better" : "Nothing is wrong";
}

const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);

/** What is as it should be, in one place. */
function inOrder(findings) {
  return h(
    "section",
    { class: "card" },
    h("h3", null, "In order"),
    h(
      "dl",
      { class: "type" },
      findings.map(({ about, words }) =>
        h("div", null, h("dt", null, capital(about)), h("dd", null, h("span", null, words))),
      ),
    ),
  );
}

function finding({ about, verdict, words, publish }) {
  const [tone, word] = VERDICTS[verdict] || ["plain", verdict];
  return h(
    "section",
    { class: "card" },
    h("h3", null, capital(about)),
    note(tone, h("b", null, word + ". "), words),
    publish && record(publish),
  );
}

/** A record to publish, as the forms of domain hosts want it. */
function record({ name, type, value }) {
  const line = (label, text) =>
    h(
      "div",
      null,
      h("dt", null, label),
      h("dd", null, h("code", null, text), copyButton(text, "the " + label.toLowerCase() + " of " + name)),
    );
  return h(
    "dl",
    { class: "type" },
    h("div", null, h("dt", null, "Type"), h("dd", null, h("code", null, type))),
    line("Name", name),
    line("Value", value),
  );
}
