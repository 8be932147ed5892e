// The board that runs an image: which version, an update, its address, its clock, its last words.

import { Failure, ask, attempt, confirmed, field, form, get, h, icon, note, post, size, toast } from "./kit.js";

const PART = 384 * 1024;

export async function boardView(view) {
  const back = () => h("a", { class: "back", href: "#/settings" }, icon("back"), "Settings");
  view.show("Board", back(), h("p", { class: "soft" }, "One moment …"));
  const place = h("div", null);
  const shown = [update(), network(), restart()];
  view.show("Board", back(), place, ...shown.map((part) => part.card));
  view.live(
    10,
    () => get("/api/board"),
    (board) => {
      place.replaceChildren(facts(board));
      for (const part of shown) part.draw && part.draw(board);
    },
  );
}

const card = (title, words, ...content) =>
  h("section", { class: "card" }, h("h2", null, title), words && h("p", { class: "soft small" }, words), content);

function facts(board) {
  const row = (name, value, wide) => h("div", { class: wide && "wide" }, h("dt", null, name), h("dd", null, value));
  return card(
    board.title,
    "",
    board.troubles.map((words) => note("bad", words)),
    h(
      "dl",
      { class: "facts" },
      row("Version", board.version + ", made on " + new Date(board.built * 1000).toLocaleDateString()),
      row("Runs", outcome(board), true),
      row("Found at", [board.name, ...board.addresses].join(" · "), true),
      board.wifi && row("Wi-Fi", board.wifi, true),
      row("Clock", board.clock, true),
      row("Memory", size(board.free_octets) + " of " + size(board.memory_octets) + " are free."),
    ),
    board.last_words &&
      h("details", null, h("summary", { "data-key": "words" }, "Last words of a relay that ended"), h("pre", null, board.last_words)),
  );
}

/** Which of the two roots runs, and why. */
function outcome(board) {
  const [word, ...rest] = board.outcome.split(" ");
  const words = rest.join(" ");
  const slot = "Root " + board.slot.toUpperCase();
  if (board.trial) return slot + ", on trial: kept once it has served for a minute.";
  if (word === "updated") return slot + ", updated to " + words + ".";
  if (word === "fell-back") return slot + ", the old one: " + words + ".";
  if (word === "trying") return slot + "; " + words + " is tried at the next start.";
  return slot + ", as it was flashed.";
}

// ---- Update ----

function update() {
  const file = field("File", h("input", { type: "file", accept: ".update" }), "Its name ends in .update.");
  const progress = h("progress", { max: "1", value: "0", hidden: true, "aria-label": "Sent so far" });
  const send = async () => {
    const [chosen] = file.input.files;
    if (!chosen) throw new Failure(0, "Choose the file first.");
    progress.hidden = false;
    try {
      for (let at = 0; at < chosen.size; at += PART) {
        const octets = new Uint8Array(await chosen.slice(at, at + PART).arrayBuffer());
        let text = "";
        for (const octet of octets) text += String.fromCharCode(octet);
        await post("/api/board/update/part", { at, octets: btoa(text) });
        progress.value = Math.min(1, (at + PART) / chosen.size);
      }
      const { version } = await post("/api/board/update", {});
      toast("Version " + version + " is written. The board starts anew and tries it.");
    } finally {
      progress.hidden = true;
    }
  };
  const words =
    "It is written beside what runs, and tried. If it does not serve within some minutes, the old one comes back by itself. Mail stays.";
  return { card: card("Update", words, form([file, progress], "Update", send)) };
}

// ---- Network ----

function network() {
  const text = h("textarea", { rows: "6", spellcheck: "false", autocapitalize: "off" });
  const lines = field("Fixed values, a line each", text, "name, address, gateway, dns, time; wifi, wifi_password, country. What is left out, DHCP tells.");
  text.placeholder = "wifi = My home\nwifi_password = …\ncountry = DE\n\naddress = 192.168.1.5/24\ngateway = 192.168.1.1";
  let last = null;
  const save = async () => {
    const sure = await confirmed(
      "Use this network now?",
      "With a wrong address this page is not found any more. Then put a file called network, with the right lines or none, on the card's boot partition.",
      "Use it",
    );
    if (!sure) return;
    await ask("PUT", "/api/board/network", { text: text.value });
    // The password of a Wi-Fi goes from the screen.
    last = null;
    toast("In effect.");
  };
  return {
    card: card("Network", "", form([lines], "Save", save)),
    draw(board) {
      if (last === null) text.value = board.network;
      last = board.network;
    },
  };
}

// ---- A new start ----

function restart() {
  const again = () =>
    attempt(async () => {
      const sure = await confirmed("Start the board anew?", "It is away for about half a minute. No mail is lost.", "Start it anew");
      if (sure) await post("/api/board/restart", {});
    });
  return { card: card("A new start", "", h("button", { type: "button", class: "quiet", onclick: again }, "Start the board anew")) };
}
