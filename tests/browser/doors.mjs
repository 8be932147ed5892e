// Who may ask what: every route of the API without a login, without a token, from elsewhere.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import http from "node:http";
import path from "node:path";
import { glimpse, heading, through } from "./trial.mjs";
import { TOP, submit, until } from "./world.mjs";

/** The routes as the source has them: [method, path, access]. */
async function routes() {
  const source = await readFile(path.join(TOP, "src/serve/web/api.rs"), "utf8");
  const [, count, table] = /const ROUTES: \[Route; (\d+)\] = \[([\s\S]*?)\n\];/.exec(source);
  const found = [];
  const line =
    /(?:get\("([^"]+)", Access::(\w+)|change\(Method::(\w+), "([^"]+)"|open_post\("([^"]+)"|post_to_queue\("([^"]+)")/g;
  for (const [, got, access, method, changed, posted, queue] of table.matchAll(line)) {
    if (got) found.push(["GET", got, access]);
    else if (changed) found.push([method.toUpperCase(), changed, "Login"]);
    else found.push(["POST", posted || queue, posted ? "Open" : "Login"]);
  }
  assert.equal(found.length, Number(count), "every route is read from the source");
  return found;
}

/** What needs no login: the page itself, and the way in. */
const OPEN = /^\/(\w+\.(css|js|svg))?$|^\/healthz$|^\/plain$|^\/api\/(session|setup|login)$/;

/** A request with a Host field of one's own, which fetch does not allow. */
function askAs(relay, host, where) {
  return new Promise((done, no) => {
    const options = { port: relay.web, host: "127.0.0.1", path: where, headers: { Host: host } };
    http
      .get(options, (response) => {
        let text = "";
        response.on("data", (octets) => (text += octets));
        response.on("end", () => done({ status: response.statusCode, text }));
      })
      .on("error", no);
  });
}

export default function chapter(test) {
  test("every route without a login is refused, but the page itself and the way in", async (t) => {
    const relay = await t.relay();
    const as = await relay.enter();
    const forged = { cookie: "waypost=" + "0".repeat(32), token: as.token };
    for (const [method, place, access] of await routes()) {
      assert.equal(access === "Open", OPEN.test(place), place);
      if (access !== "Login") continue;
      const where = place.replace("*", "0000000001");
      for (const nobody of [undefined, forged]) {
        const body = method === "GET" ? undefined : {};
        const answer = await relay.ask(method, where, { as: nobody, body });
        assert.equal(answer.status, 401, method + " " + where);
        assert.deepEqual(Object.keys(answer.data), ["error"]);
      }
    }
    for (const odd of [
      "/api",
      "/api/",
      "/api/nothing",
      "/API/status",
      "//api/status",
      "/api/status/",
      "/api/./status",
      "/api/%73tatus",
    ]) {
      const { status } = await relay.ask("GET", odd);
      assert.ok([401, 404].includes(status), odd + " " + status);
    }
  });

  test("a change without the page's token, or from another origin, is refused", async (t) => {
    const relay = await t.relay();
    const as = await relay.enter();
    for (const [method, place, access] of await routes()) {
      if (method === "GET") continue;
      const where = place.replace("*", "0000000001");
      const refused = async (headers, status) => {
        const answer = await relay.ask(method, where, { as, body: {}, headers });
        assert.equal(answer.status, status, method + " " + where + " " + JSON.stringify(headers));
      };
      if (access === "Login") {
        await refused({ "X-CSRF-Token": "" }, 403);
        await refused({ "X-CSRF-Token": "0".repeat(32) }, 403);
      }
      await refused({ Origin: "http://evil.example" }, 403);
      await refused({ Origin: "null" }, 403);
      await refused({ Origin: "http://127.0.0.1:1" }, 403);
      // A form is what /plain takes.
      if (place !== "/plain") await refused({ "Content-Type": "text/plain" }, 415);
    }
    assert.equal((await relay.ask("GET", "/api/status", { as })).status, 200);
  });

  test("a name that is not the relay's own is refused: DNS rebinding", async (t) => {
    const relay = await t.relay();
    await relay.enter();
    for (const host of ["evil.example", "evil.example:" + relay.web, "127.0.0.1.evil.example"]) {
      for (const where of ["/", "/app.js", "/api/session", "/api/status", "/healthz"])
        assert.equal((await askAs(relay, host, where)).status, 421, host + where);
    }
    for (const host of [
      "127.0.0.1:" + relay.web,
      "localhost",
      "relay.example.org",
      "waypost.local",
    ])
      assert.equal((await askAs(relay, host, "/")).status, 200, host);
  });

  test("wrong methods and bodies that are too large are refused, and the relay goes on", async (t) => {
    const relay = await t.relay();
    const as = await relay.enter();
    assert.equal((await relay.ask("DELETE", "/api/status", { as })).status, 405);
    assert.equal((await relay.ask("PUT", "/", { as, body: {} })).status, 405);
    const large = await relay.ask("POST", "/api/test", { as, body: { to: "x".repeat(9000) } });
    assert.equal(large.status, 413);
    for (const body of ["", "{", "[]", "null", '{"to":1}', '{"to":"a@b.example","more":1}'])
      assert.equal((await relay.ask("POST", "/api/test", { as, body })).status, 400, body);
    assert.equal((await relay.ask("GET", "/api/trace?q=%FF", { as })).status, 400);
    assert.equal((await relay.ask("GET", "/api/queue?offset=-1", { as })).status, 400);
    const far = await relay.ask("GET", "/api/queue?offset=18446744073709551615&limit=1000", { as });
    assert.equal(far.status, 200);
  });

  test("a page from elsewhere in the same browser can neither read, change nor frame ours", async (t) => {
    const sink = await t.sink((verb) => (verb === "RCPT" ? "451 4.0.0 Later" : undefined));
    const relay = await t.relay({ routes: through(sink) });
    const page = await t.page(relay, "queue");
    await submit(relay);
    await glimpse(page, page.locator("a.item"));
    const elsewhere = await t.elsewhere(`<!doctype html><h1>Elsewhere</h1>
      <iframe id="frame" src="${relay.url}/"></iframe>
      <iframe name="hidden"></iframe>
      <form id="form" method="post" enctype="text/plain" target="hidden"
        action="${relay.url}/api/queue/retry"><input name='{"a":"' value='"}'></form>`);
    const evil = await page.context().newPage();
    await evil.goto(elsewhere.url);
    const attempts = sink.attempts;
    const posted = evil.waitForResponse((r) => r.request().isNavigationRequest());
    const tried = await evil.evaluate(async (url) => {
      const outcome = [];
      const to = async (where, options) =>
        outcome.push(
          await fetch(url + where, { credentials: "include", ...options }).then(
            (r) => r.type + " " + r.status,
            () => "failed",
          ),
        );
      await to("/api/status");
      await to("/api/session");
      await to("/api/queue/retry", { method: "POST", mode: "no-cors", body: "{}" });
      await to("/api/queue/retry", {
        method: "POST",
        body: "{}",
        headers: { "Content-Type": "application/json" },
      });
      document.getElementById("form").submit();
      return outcome;
    }, relay.url);
    assert.deepEqual(tried, ["failed", "failed", "failed", "failed"]);
    assert.equal((await posted).status(), 403);
    const framed = await evil.evaluate(
      () => document.getElementById("frame").contentDocument?.body?.textContent ?? "refused",
    );
    assert.ok(!framed.includes("Waypost"));
    assert.equal(sink.attempts, attempts);
    const { data } = await relay.ask("GET", "/api/status", { as: page.session });
    assert.equal(data.queued.waiting, 1);
  });

  test("a browser that is slow or says nothing holds up neither the page nor mail", async (t) => {
    const sink = await t.sink();
    const relay = await t.relay({ routes: through(sink) });
    const net = await import("node:net");
    const idle = Array.from({ length: 40 }, () => net.connect(relay.web, "127.0.0.1"));
    t.things.push({ end: async () => idle.forEach((socket) => socket.destroy()) });
    for (const socket of idle) socket.on("error", () => {});
    for (const socket of idle) socket.write("GET / HT");
    await submit(relay);
    await until(() => sink.messages.length === 1, "the message");
    await until(async () => {
      const answer = await relay.ask("GET", "/healthz").catch(() => null);
      return answer?.status === 200;
    }, "an answer");
    const page = await t.page(relay);
    await heading(page, "Everything is working.").waitFor();
  });
}
