// The world of the browser tests: relays, servers that answer by script, a client that submits.
//
// Everything is on loopback, at ports that were free a moment ago. What a case started here ends
// with it, by id.

import dgram from "node:dgram";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";

export const TOP = path.resolve(
  import.meta.dirname ?? new URL(".", import.meta.url).pathname,
  "../..",
);
const BINARY = process.env.WAYPOST_BIN || path.join(TOP, "target/release/waypost");
export const PASSWORD = "correct horse battery";

/** Wait until `test` gives something true; that, or a failure that says what was waited for. */
export async function until(test, what, seconds = 15) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await test();
    if (value) return value;
    if (Date.now() > end) throw new Error("waited " + seconds + " s for " + what);
    await new Promise((wake) => setTimeout(wake, 25));
  }
}

async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await new Promise((ready) => server.once("listening", ready));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

// ---- The relay ----

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** A relay in a data directory of its own. */
export class Relay {
  static async start(config = {}) {
    const relay = new Relay();
    relay.data = await mkdtemp(path.join(os.tmpdir(), "waypost-browser-"));
    relay.smtp = await freePort();
    relay.submission = await freePort();
    relay.web = await freePort();
    relay.url = "http://127.0.0.1:" + relay.web;
    const here = (port) => ["127.0.0.1:" + port];
    const document = {
      hostname: "relay.example.org",
      listen: {
        smtp: here(relay.smtp),
        submission: here(relay.submission),
        web: here(relay.web),
      },
      dns: ["127.0.0.1:9"],
      retry: { first: "1h" },
      ...config,
    };
    await writeFile(path.join(relay.data, "waypost.json"), JSON.stringify(document, null, 2));
    await relay.run();
    return relay;
  }

  /** Start the program and wait until it says that it runs. */
  async run() {
    this.output = "";
    this.child = spawn(BINARY, ["--data", this.data], { stdio: ["ignore", "pipe", "pipe"] });
    const take = (octets) => {
      this.output += octets;
    };
    this.child.stdout.on("data", take);
    this.child.stderr.on("data", take);
    const { child } = this;
    running.add(child);
    this.ended = new Promise((end) => child.once("close", end)).then(() => running.delete(child));
    child.once("error", (error) => take(String(error)));
    await until(() => {
      if (child.exitCode !== null) throw new Error("the relay ended: " + this.output);
      return /event=started/.test(this.output) && /is running/.test(this.output);
    }, "the relay to run");
    // The link that it prints, and the code in words, where it has no password yet.
    this.link = /http:\S+#setup=\S+/.exec(this.output)?.[0];
    this.code = /setup code is ([\w-]+)/.exec(this.output)?.[1];
  }

  async stop() {
    this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 10000);
    await this.ended;
    clearTimeout(timer);
  }

  async end() {
    await this.stop();
    await rm(this.data, { recursive: true, force: true });
  }

  /** A request as a program makes it, with a session if `as` is one. */
  async ask(method, where, { as, body, headers } = {}) {
    const response = await fetch(this.url + where, {
      method,
      headers: {
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(as ? { Cookie: as.cookie, "X-CSRF-Token": as.token } : {}),
        ...headers,
      },
      body: typeof body === "object" ? JSON.stringify(body) : body,
      signal: AbortSignal.timeout(15000),
    });
    const text = await response.text();
    let data = null;
    try {
      data = JSON.parse(text);
    } catch {
      // Not every answer is JSON.
    }
    return { status: response.status, headers: response.headers, text, data };
  }

  /** Set the page's password, or log in where it is set; the session. */
  async enter(password = PASSWORD) {
    const answer = this.code
      ? await this.ask("POST", "/api/setup", { body: { code: this.code, password } })
      : await this.ask("POST", "/api/login", { body: { password } });
    if (answer.status !== 200) throw new Error("not let in: " + answer.text);
    this.code = undefined;
    const cookie = answer.headers.get("set-cookie").split(";")[0];
    return { cookie, token: answer.data.token };
  }
}

// ---- Servers that answer by script ----

/**
 * A mail server. `answer(verb, line, transaction)` gives its reply where it is not the usual one;
 * verbs are those of SMTP, `.` is the end of the data.
 */
export class Sink {
  static async start(answer = () => undefined) {
    const sink = new Sink();
    Object.assign(sink, { answer, messages: [], attempts: 0, logins: [], sockets: new Set() });
    // Several replies to pipelined commands must not wait for acknowledgements of each other.
    sink.server = net.createServer({ noDelay: true }, (socket) => sink.converse(socket));
    sink.server.listen(0, "127.0.0.1");
    await new Promise((ready) => sink.server.once("listening", ready));
    sink.port = sink.server.address().port;
    sink.address = "127.0.0.1:" + sink.port;
    return sink;
  }

  converse(socket) {
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    const usual = {
      EHLO: "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN",
      DATA: "354 Go ahead",
      ".": "250 2.0.0 OK",
      AUTH: "235 2.7.0 Welcome",
      QUIT: "221 2.0.0 Bye",
    };
    let input = Buffer.alloc(0),
      transaction = {},
      inData = false;
    const reply = (verb, line) => {
      const nobody = verb === "DATA" && !transaction.to?.length;
      const said = nobody ? "554 5.5.1 No recipients" : this.answer(verb, line, transaction);
      const words = said ?? usual[verb] ?? "250 2.0.0 OK";
      socket.write(words + "\r\n");
      if (verb === "QUIT") socket.end();
      return words.startsWith("2") || words.startsWith("3");
    };
    const command = (line) => {
      const verb = line.split(" ")[0].toUpperCase();
      if (verb === "MAIL") {
        this.attempts++;
        transaction = { from: /<(.*?)>/.exec(line)?.[1], to: [] };
      }
      if (verb === "AUTH") this.logins.push(Buffer.from(line.split(" ")[2] || "", "base64") + "");
      const good = reply(verb, line);
      if (verb === "RCPT" && good) transaction.to.push(/<(.*?)>/.exec(line)?.[1]);
      inData = verb === "DATA" && good;
    };
    socket.write("220 sink.example ESMTP\r\n");
    socket.on("data", (octets) => {
      input = Buffer.concat([input, octets]);
      for (;;) {
        const end = input.indexOf(inData ? "\r\n.\r\n" : "\r\n");
        if (end < 0) return;
        const part = input.subarray(0, end).toString();
        input = input.subarray(end + (inData ? 5 : 2));
        if (!inData) command(part);
        else {
          inData = false;
          if (reply(".", part)) this.messages.push({ ...transaction, data: part });
        }
      }
    });
  }

  async end() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((done) => this.server.close(done));
  }
}

/** One web page of somebody else, at another port. */
export class Elsewhere {
  static async start(html) {
    const { createServer } = await import("node:http");
    const site = new Elsewhere();
    site.server = createServer((request, response) => {
      response.writeHead(200, { "Content-Type": "text/html" });
      response.end(html);
    });
    site.server.listen(0, "127.0.0.1");
    await new Promise((ready) => site.server.once("listening", ready));
    site.url = "http://127.0.0.1:" + site.server.address().port;
    return site;
  }

  async end() {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }
}

/**
 * A sign-in service whose person says yes at once. `answers`: what it says next where that is not
 * the usual; `asked`: the forms that came.
 */
export class Service {
  static async start() {
    const { createServer } = await import("node:http");
    const service = new Service();
    Object.assign(service, { answers: [], asked: [], typed: false });
    service.server = createServer(async (request, response) => {
      const url = new URL(request.url, service.url);
      if (url.pathname === "/authorize") {
        const back = new URL(url.searchParams.get("redirect_uri"));
        back.search = new URLSearchParams({ code: "c0de", state: url.searchParams.get("state") });
        response.writeHead(302, { Location: back.href }).end();
        return;
      }
      let body = "";
      for await (const octets of request) body += octets;
      const form = Object.fromEntries(new URLSearchParams(body));
      service.asked.push(form);
      const [status, answer] = service.answers.shift() || service.usual(url, form);
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(answer));
    });
    service.server.listen(0, "127.0.0.1");
    await new Promise((ready) => service.server.once("listening", ready));
    service.url = "http://127.0.0.1:" + service.server.address().port;
    return service;
  }

  usual(url, form) {
    if (url.pathname === "/device")
      return [
        200,
        {
          device_code: "long",
          user_code: "WDJB-MJHT",
          verification_uri: this.url + "/type",
          interval: 1,
        },
      ];
    if (form.device_code && !this.typed) return [400, { error: "authorization_pending" }];
    return [200, { access_token: "access", expires_in: 3600, refresh_token: "refresh" }];
  }

  /** The members of a configuration for it. */
  get oauth() {
    const [authorize, token, device] = ["/authorize", "/token", "/device"].map((p) => this.url + p);
    return [{ name: "mine", authorize, token, device, scope: "mail" }];
  }

  async end() {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }
}

// ---- A client ----

/** Say these lines to an SMTP server, each after the reply to the one before; all replies. */
export async function say(port, lines) {
  const socket = net.connect(port, "127.0.0.1");
  const replies = [];
  const waiting = [...lines];
  const talk = new Promise((done, no) => {
    let text = "";
    const next = () => (waiting.length ? socket.write(waiting.shift() + "\r\n") : done(replies));
    socket.on("error", no);
    socket.on("close", () => no(new Error("hung up after " + replies.join(" | "))));
    socket.setTimeout(15000, () => no(new Error("silent after " + replies.join(" | "))));
    socket.on("data", (octets) => {
      text += octets;
      const whole = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(text);
      if (!whole) return;
      text = text.slice(whole[0].length);
      replies.push(whole[0].trim());
      next();
    });
  });
  return talk.finally(() => socket.destroy());
}

let count = 0;

/** Hand a message to a relay as a device does; its queue id and Message-ID. */
export async function submit(relay, { from = "camera@home.example", to, subject, ...more } = {}) {
  const { helo = "camera", fromField = "<" + from + ">", extra = [] } = more;
  const messageId = "n" + ++count + ".x@camera.example";
  const rcpt = [to || "friend@far.example"].flat();
  const wide = /[^\x20-\x7e]/.test([from, ...rcpt].join("")) ? " SMTPUTF8" : "";
  const lines = [
    "EHLO " + helo,
    "MAIL FROM:<" + from + ">" + wide,
    ...rcpt.map((address) => "RCPT TO:<" + address + ">"),
    "DATA",
    [
      "From: " + fromField,
      "To: " + rcpt.join(", "),
      "Subject: " + (subject ?? "Motion at the door"),
      "Message-ID: <" + messageId + ">",
      ...extra,
      "",
      "Something moved.",
      ".",
    ].join("\r\n"),
    "QUIT",
  ];
  const replies = await say(relay.smtp, lines);
  const last = replies[replies.length - 2];
  if (!last.startsWith("250")) throw new Error("not taken: " + replies.join(" | "));
  return { id: last.split(" ").pop(), messageId, reply: last };
}

// ---- Names ----

const KINDS = { A: 1, PTR: 12, MX: 15, TXT: 16 };
const wire = (name) =>
  Buffer.concat([...name.split(".").flatMap((l) => [Buffer.from([l.length]), Buffer.from(l)]), Buffer.alloc(1)]);
const data = {
  A: (text) => Buffer.from(text.split(".").map(Number)),
  PTR: wire,
  MX: (host) => Buffer.concat([Buffer.from([0, 10]), wire(host)]),
  TXT: (text) =>
    Buffer.concat((text.match(/.{1,255}/gs) || [""]).flatMap((s) => [Buffer.from([s.length]), Buffer.from(s)])),
};

/** A name server that knows these records (`"example.org MX": "mx.example.org"`), and no other name. */
export class Names {
  static async start(records) {
    const names = new Names();
    names.records = records;
    names.socket = dgram.createSocket("udp4");
    names.socket.on("message", (query, { port, address }) =>
      names.socket.send(names.answer(query), port, address),
    );
    await new Promise((ready) => names.socket.bind(0, "127.0.0.1", ready));
    names.address = "127.0.0.1:" + names.socket.address().port;
    return names;
  }

  answer(query) {
    const labels = [];
    let at = 12;
    for (; query[at]; at += query[at] + 1)
      labels.push(query.toString("latin1", at + 1, at + 1 + query[at]));
    const name = labels.join(".");
    const kind = Object.keys(KINDS).find((kind) => KINDS[kind] === query.readUInt16BE(at + 1));
    const found = this.records[name + " " + kind];
    const known = Object.keys(this.records).some((key) => key.startsWith(name + " "));
    const head = Buffer.from(query.subarray(0, at + 5));
    head.set([0x81, known ? 0x80 : 0x83, 0, 1, 0, found ? 1 : 0, 0, found ? 0 : 1, 0, 0], 2);
    const record = (owner, type, octets) => {
      const fixed = Buffer.from([0, type, 0, 1, 0, 0, 0, 5, octets.length >> 8, octets.length & 255]);
      return Buffer.concat([owner, fixed, octets]);
    };
    const soa = Buffer.concat([Buffer.alloc(2), Buffer.from([0, 0, 0, 5]), Buffer.alloc(12), Buffer.from([0, 0, 0, 5])]);
    const more = found
      ? record(Buffer.from([0xc0, 12]), KINDS[kind], data[kind](found))
      : record(Buffer.alloc(1), 6, soa);
    return Buffer.concat([head, more]);
  }

  async end() {
    await new Promise((done) => this.socket.close(done));
  }
}
