// Who may log in: local users, and this page's own password. Each change takes effect at once.

import { ask, attempt, confirmed, field, form, h, post, session, toast } from "./kit.js";

/** The list of users with its buttons; `refresh` is called when one has changed. */
export function people(users, refresh) {
  const name = field(
    "Name",
    h("input", {
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
      placeholder: "alice",
    }),
    "Small letters and digits. It is the login, and the address before the @.",
  );
  const password = field(
    "Password",
    h("input", { type: "password", autocomplete: "new-password" }),
    "Without one they get mail, but cannot log in.",
  );
  const change = (work, done) =>
    attempt(async () => {
      await work();
      toast(done);
      await refresh();
    });
  return [
    users.length === 0
      ? h(
          "p",
          { class: "soft" },
          "Nobody yet. Devices at home can send without a login all the same.",
        )
      : h(
          "ul",
          { class: "people" },
          users.map((user) =>
            h(
              "li",
              null,
              h(
                "span",
                null,
                h("b", null, String(user.name)),
                " ",
                h("span", { class: "soft small" }, user.password ? "can log in" : "no login"),
              ),
              h(
                "span",
                { class: "row" },
                h(
                  "button",
                  {
                    type: "button",
                    class: "quiet",
                    "aria-label": "New password for " + user.name,
                    onclick: () => newPassword(String(user.name), refresh),
                  },
                  "New password",
                ),
                h(
                  "button",
                  {
                    type: "button",
                    class: "quiet danger",
                    "aria-label": "Remove " + user.name,
                    onclick: async () => {
                      if (
                        await confirmed(
                          "Remove " + user.name + "?",
                          "They can no longer log in or get mail here. Mail in the mailbox stays.",
                          "Remove",
                        )
                      ) {
                        change(
                          () => ask("DELETE", "/api/users/" + encodeURIComponent(user.name)),
                          user.name + " was removed.",
                        );
                      }
                    },
                  },
                  "Remove",
                ),
              ),
            ),
          ),
        ),
    h(
      "details",
      { open: users.length === 0 },
      h("summary", null, "Add somebody"),
      form([h("div", { class: "pair" }, name, password)], "Add", async () => {
        const body = { name: name.input.value.trim() };
        if (password.input.value) body.password = password.input.value;
        await ask("POST", "/api/users", body);
        toast(body.name + " was added.");
        await refresh();
      }),
    ),
  ];
}

function newPassword(name, refresh) {
  const password = field(
    "New password for " + name,
    h("input", { type: "password", autocomplete: "new-password" }),
  );
  const dialog = h(
    "dialog",
    { "aria-label": "New password for " + name },
    form([password], "Set password", async () => {
      await post("/api/users/" + encodeURIComponent(name) + "/password", {
        password: password.input.value,
      });
      dialog.close();
      toast("The password of " + name + " was changed.");
      await refresh();
    }),
  );
  dialog
    .querySelector("form .row:last-child")
    .append(h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** The password of this page, and the way out. */
export function ownPassword() {
  const old = field(
    "Password now",
    h("input", { type: "password", autocomplete: "current-password" }),
  );
  const next = field(
    "New password",
    h("input", { type: "password", autocomplete: "new-password" }),
    "At least " + session.shortest + " characters. All other browsers are logged out.",
  );
  return [
    form([h("div", { class: "pair" }, old, next)], "Change password", async () => {
      const answer = await post("/api/password", { old: old.input.value, new: next.input.value });
      session.token = answer.token;
      old.input.value = next.input.value = "";
      toast("The password was changed.");
    }),
    h(
      "div",
      { class: "row" },
      h(
        "button",
        {
          type: "button",
          onclick: () =>
            attempt(async () => {
              await post("/api/logout");
              location.hash = "#/";
              location.reload();
            }),
        },
        "Log out",
      ),
    ),
  ];
}
