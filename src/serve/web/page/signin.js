// Signing in where a password is not taken any more: by a link, or by a code.

import { ask, attempt, copyButton, field, form, get, h, moment, note, post, toast } from "./kit.js";

/** The address where nobody listens, and from where a person brings the answer. */
const NOBODY = "http://localhost";

/** Services send a browser back over https, or on its own machine. */
const mayComeBack =
  location.hostname !== "localhost" &&
  (location.protocol === "https:" || /^(127\.|\[::1\])/.test(location.hostname));

const STATES = {
  missing: ["wait", "Nobody has signed in yet"],
  waiting: ["wait", "A code is to be typed"],
  good: ["good", "Signed in"],
  ending: ["wait", "Signed in, but not for long"],
  late: ["bad", "The service gives no access at present"],
  ended: ["bad", "The sign-in works no more"],
};

/** `returned.address`: where the browser has been sent back to, if it has just been. */
export function signInView(view, returned) {
  const told = h("div", { role: "alert" });
  const body = h("div", { class: "fields" });
  view.show(
    "Sign in",
    h(
      "p",
      { class: "soft" },
      "Some providers want you to sign in with them, once, instead of giving this relay your password. ",
      "It then renews by itself.",
    ),
    told,
    body,
  );
  const begun = new Map();
  const draw = (rows) => {
    body.replaceChildren(
      ...(rows.length ? rows.map((row) => card(row)) : [nothing()]),
    );
  };
  const card = (row) => {
    const [tone, words] = STATES[row.state] || ["wait", row.state];
    return h(
      "section",
      { class: "card" },
      h("h2", null, row.user),
      h("p", { class: "soft" }, "At " + row.at + ", for " + row.via + "."),
      note(
        tone,
        h("b", null, words),
        row.since != null && row.state === "good" ? [" since ", moment(row.since)] : "",
        ". ",
        row.words,
      ),
      row.code && typed(row),
      begun.get(row.route) || "",
      h(
        "div",
        { class: "row" },
        h(
          "button",
          {
            type: "button",
            class: row.state === "good" || begun.has(row.route) ? "" : "main",
            "data-key": "link" + row.route,
            onclick: () => attempt(() => byLink(row, location.hostname === "localhost")),
          },
          row.state === "good" ? "Sign in again" : "Sign in",
        ),
        mayComeBack &&
          h(
            "button",
            {
              type: "button",
              "data-key": "back" + row.route,
              title: "Only where the address of this page is registered with the service",
              onclick: () => attempt(() => byLink(row, true)),
            },
            "Sign in, and come back here",
          ),
        row.codes &&
          h(
            "button",
            {
              type: "button",
              "data-key": "code" + row.route,
              onclick: () =>
                attempt(async () => {
                  begun.delete(row.route);
                  await ask("POST", "/api/sign-ins", { route: row.route, by: "code" });
                  await view.reload();
                }),
            },
            "By a code, on another device",
          ),
      ),
    );
  };
  const byLink = async (row, back) => {
    const { link, redirect } = await post("/api/sign-ins", {
      route: row.route,
      by: "link",
      page: back ? location.origin : null,
    });
    begun.set(row.route, steps(link, redirect));
    await view.reload();
  };
  const steps = (link, redirect) => {
    const comesBack = redirect !== NOBODY;
    const answer = field(
      comesBack ? "If it does not come back here by itself: the address it ends at" : "The address",
      h("input", { autocomplete: "off", spellcheck: "false", class: "mono" }),
      comesBack ? "" : "All of it: it begins with http://localhost and has a code in it.",
    );
    return h(
      "div",
      { class: "inset fields" },
      h(
        "ol",
        { class: "steps" },
        h(
          "li",
          null,
          h("a", { href: link, target: comesBack ? "_self" : "_blank", rel: "noopener" }, "Open the service’s page"),
          " and say yes there.",
        ),
        h(
          "li",
          null,
          comesBack
            ? "The service sends you back here."
            : "Your browser then shows an address that it cannot open. That is as it should be: copy that address and paste it here.",
        ),
      ),
      form([answer], "Done", async () => {
        await finish(answer.input.value);
      }),
    );
  };
  const typed = (row) =>
    h(
      "p",
      { class: "code" },
      h("b", { class: "value" }, row.code),
      copyButton(row.code, "the code"),
      " ",
      h("a", { href: row.code_at, target: "_blank", rel: "noopener" }, "Open the page for it"),
    );
  const finish = async (answer) => {
    const { words } = await post("/api/sign-ins/answer", { answer });
    begun.clear();
    toast(words);
    await view.reload();
  };
  const nothing = () =>
    h(
      "p",
      null,
      "Nothing here wants that. Where your provider does, say so in the ",
      h("a", { href: "#/settings" }, "settings"),
      ".",
    );
  const shown = view.live(3, () => get("/api/sign-ins"), ({ rows }) => draw(rows));
  if (returned.address) {
    const answer = returned.address;
    returned.address = "";
    shown
      .then(() => finish(answer))
      .catch((wrong) => told.replaceChildren(note("bad", wrong.message)));
  }
}
