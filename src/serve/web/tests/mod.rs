//! The page as a browser and a stranger meet it, from the octets of a request to those of its
//! response.

mod access;
mod assets;
mod board;
mod bounds;
mod openapi;
mod relay;
mod tools;
mod world;

use super::Web;
use relay::{HOSTILE, Relay};
use serde_json::{Value, json};
use std::rc::Rc;
use world::{Client, Door, World};

/// Somebody of the same network.
const NEIGHBOUR: &str = "192.168.1.20:50000";

/// A relay with its page.
struct House {
    world: Rc<World>,
    relay: Rc<Relay>,
    door: Door,
}

impl House {
    fn new() -> House {
        let (world, relay, door) =
            (Rc::new(World::default()), Rc::new(Relay::default()), Door::default());
        let sys = world.sys();
        sys.spawn(Web::new(sys.clone(), relay.clone()).serve(Box::new(door.clone())));
        world.run();
        House { world, relay, door }
    }

    /// Send octets over a new connection from a neighbour.
    fn send(&self, octets: &[u8]) -> Client {
        let client = self.door.connect(Some(NEIGHBOUR));
        client.send(octets);
        self.world.run();
        client
    }

    /// The response to a request of a neighbour without a body.
    fn plain(&self, method: &str, path: &str) -> Reply {
        self.browser().ask(method, path, None)
    }

    fn browser(&self) -> Browser<'_> {
        self.browser_from(Some(NEIGHBOUR))
    }

    fn browser_from(&self, peer: Option<&str>) -> Browser<'_> {
        let client = self.door.connect(peer);
        Browser { house: self, client, fields: vec![("Host".into(), "192.168.1.5:8025".into())] }
    }

    fn logged_in(&self) -> Browser<'_> {
        let mut browser = self.browser();
        let reply = browser.ask("POST", "/api/login", Some(json!({ "password": "correct horse" })));
        assert_eq!(reply.status, 200, "{}", reply.body);
        browser.keep(&reply);
        browser
    }

    fn done(&self) -> Vec<String> {
        self.relay.done.take()
    }
}

/// A client that keeps its cookie and token.
struct Browser<'a> {
    house: &'a House,
    client: Client,
    fields: Vec<(String, String)>,
}

impl Browser<'_> {
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in &self.fields {
            request = format!("{request}{name}: {value}\r\n");
        }
        if !body.is_empty() {
            request = format!("{request}Content-Length: {}\r\n", body.len());
            if !self.fields.iter().any(|(name, _)| name == "Content-Type") {
                request += "Content-Type: application/json\r\n";
            }
        }
        self.client.send(format!("{request}\r\n{body}").as_bytes());
        self.house.world.run();
        Reply::read(&self.client.take())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.fields.retain(|(n, _)| n != name);
        self.fields.push((name.into(), value.into()));
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(n, _)| n != name);
        self
    }

    /// As a browser does with the answer to a login.
    fn keep(&mut self, reply: &Reply) {
        let cookie = reply.field("Set-Cookie").expect("a cookie").split(';').next().expect("one");
        self.set("Cookie", &format!("other=1; {cookie}; waypost=tooshort"));
        let token = reply.json()["token"].as_str().expect("a token").to_string();
        self.set("X-CSRF-Token", &token);
    }
}

/// A response.
#[derive(Debug)]
struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn read(octets: &[u8]) -> Reply {
        let text = std::str::from_utf8(octets).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole response");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let pair = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_string(), value.to_string())
        };
        let (status, fields) = (status.parse().expect("a number"), lines.map(pair).collect());
        Reply { status, fields, body: body.into() }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn words(&self) -> String {
        self.json()["error"].as_str().expect("words").to_string()
    }
}

#[test]
fn nothing_from_elsewhere_is_named_in_the_page() {
    let house = House::new();
    for path in [
        "/",
        "/style.css",
        "/app.js",
        "/kit.js",
        "/mail.js",
        "/people.js",
        "/settings.js",
        "/signin.js",
        "/domain.js",
        "/devices.js",
        "/trial.js",
        "/wizard.js",
        "/qr.js",
        "/care.js",
        "/board.js",
    ] {
        let body = house.plain("GET", path).body;
        for forbidden in
            ["innerHTML", "outerHTML", "insertAdjacent", "eval(", "style=\"", "onclick="]
        {
            assert!(!body.contains(forbidden), "{path} has {forbidden}");
        }
        for link in ["src=\"http", "href=\"http", "url(http", "@import", "src=\"//"] {
            assert!(!body.contains(link), "{path} has {link}");
        }
    }
}

#[test]
fn what_a_stranger_wrote_arrives_as_data_in_every_list() {
    let house = House::new();
    let browser = house.logged_in();
    let text = |value: &Value| value.as_str().map(str::to_string);
    let hostile = Some(HOSTILE.to_string());
    let queue = browser.ask("GET", "/api/queue?offset=20&limit=2", None).json();
    assert_eq!(queue["total"], 1000);
    assert_eq!(queue["rows"].as_array().map(Vec::len), Some(2));
    let row = &queue["rows"][1];
    assert_eq!(
        (row["id"].as_str(), row["state"].as_str(), row["next"].as_u64()),
        (Some("0000000007"), Some("waiting"), Some(90))
    );
    assert_eq!((row["arrived"].as_u64(), row["attempts"].as_u64()), (Some(1_795_338_000), Some(3)));
    for place in [&row["from"], &row["to"][0], &row["reason"], &row["subject"]] {
        assert_eq!(text(place), hostile);
    }
    let message = browser.ask("GET", "/api/queue/0000000007", None).json();
    assert_eq!(message["id"], "0000000007");
    for place in [&message["header"], &message["source"], &message["recipients"][0]["words"]] {
        assert_eq!(text(place), hostile);
    }
    let events = browser.ask("GET", "/api/trace?q=a%2Bb+c%40d%20e", None).json();
    assert_eq!(text(&events["events"][0]["words"]), hostile);
    assert_eq!(events["events"][0]["at"], Value::Null);
    assert_eq!(text(&browser.ask("GET", "/api/status", None).json()["hostname"]), hostile);
    let sent = browser.ask("POST", "/api/test", Some(json!({ "to": "nobody" })));
    assert_eq!((sent.status, sent.words()), (422, HOSTILE.to_string()));
    assert_eq!(
        house.done(),
        ["queue 20 2", "trace a+b+c@d e", "test nobody None"].map(String::from)
    );
}

#[test]
fn messages_are_retried_held_released_and_dropped_by_id() {
    let house = House::new();
    let browser = house.logged_in();
    for what in ["retry", "hold", "release", "drop"] {
        let reply = browser.ask("POST", &format!("/api/queue/0000000007/{what}"), None);
        assert_eq!((reply.status, reply.json()), (200, json!({ "messages": 1 })));
    }
    let all = browser.ask("POST", "/api/queue/retry", Some(json!({})));
    assert_eq!(all.json(), json!({ "messages": 12 }));
    let done = ["Retry One", "Hold One", "Release One", "Drop One", "Retry All"];
    assert!(house.done().iter().zip(done).all(|(a, b)| a.starts_with(b)));
    let gone = browser.ask("POST", "/api/queue/0000000008/drop", None);
    assert_eq!((gone.status, gone.words().as_str()), (422, "no such message"));
    assert_eq!(browser.ask("GET", "/api/queue/0000000008", None).status, 404);
    assert_eq!(browser.ask("GET", "/api/queue/nonsense", None).status, 404);
    assert_eq!(browser.ask("GET", "/api/queue/%zz", None).status, 400);
    assert_eq!(browser.ask("POST", "/api/queue/0000000007/burn", None).status, 404);
}

#[test]
fn the_queue_is_asked_for_in_bounded_pages() {
    let house = House::new();
    let browser = house.logged_in();
    let most = crate::limits::WEB_ROWS;
    for (query, asked) in [
        ("", "queue 0 50".to_string()),
        ("?limit=0", "queue 0 1".into()),
        (&format!("?limit={most}&offset=7"), format!("queue 7 {most}")),
        (&format!("?limit={}", most + 1), format!("queue 0 {most}")),
        ("?limit=99999999999999999999", "none".into()),
        ("?offset=-1", "none".into()),
    ] {
        let reply = browser.ask("GET", &format!("/api/queue{query}"), None);
        let expected = if asked == "none" { 400 } else { 200 };
        assert_eq!(reply.status, expected, "{query}");
        assert_eq!(house.done().pop().unwrap_or("none".into()), asked);
    }
    let long = "x".repeat(crate::limits::WEB_QUERY_BYTES);
    assert_eq!(browser.ask("GET", &format!("/api/trace?q={long}"), None).status, 200);
    assert_eq!(browser.ask("GET", &format!("/api/trace?q={long}x"), None).status, 422);
    assert_eq!(browser.ask("GET", "/api/trace?q=%20", None).status, 422);
    assert_eq!(browser.ask("GET", "/api/recent?limit=9999", None).status, 200);
    assert_eq!(house.done().pop(), Some(format!("recent {} None", crate::limits::WEB_EVENTS)));
    browser.ask("GET", "/api/recent?limit=7&until=1795785073", None);
    assert_eq!(house.done().pop(), Some("recent 7 Some(1795785073)".into()));
    assert_eq!(browser.ask("GET", "/api/recent?until=noon", None).status, 400);
}

#[test]
fn a_configuration_is_checked_and_saved_with_its_problems_by_key() {
    let house = House::new();
    let mut browser = house.logged_in();
    let first = browser.ask("GET", "/api/config", None);
    assert_eq!(first.json(), json!({ "hostname": "relay.example.org" }));
    let bad = Some(json!({ "hostname": "bad" }));
    for (method, path) in [("POST", "/api/config/check"), ("PUT", "/api/config")] {
        let reply = browser.ask(method, path, bad.clone());
        assert_eq!(reply.status, 422);
        let problems = reply.json()["problems"].clone();
        assert_eq!(problems[0], json!({ "key": "hostname", "words": HOSTILE }));
        assert_eq!(problems[1]["key"], "routes[0].via");
    }
    browser.set("If-Match", first.field("ETag").expect("a tag"));
    let good = Some(json!({ "hostname": "new.example.org" }));
    assert_eq!(browser.ask("POST", "/api/config/check", good.clone()).status, 200);
    assert_eq!(browser.ask("GET", "/api/config", None).body, first.body, "only checked");
    let saved = browser.ask("PUT", "/api/config", good.clone());
    assert_eq!(saved.status, 200);
    let late = browser.ask("PUT", "/api/config", good.clone());
    assert_eq!(late.status, 412, "somebody else has changed it");
    browser.set("If-Match", saved.field("ETag").expect("a tag"));
    assert_eq!(browser.ask("PUT", "/api/config", good).status, 200);
}

#[test]
fn a_password_of_quotes_backslashes_and_emoji_arrives_as_it_was_typed() {
    let house = House::new();
    let browser = house.logged_in();
    let typed = r#"{"password": "\"\\\u00e9\ud83d\ude00 </script>\u0000"}"#;
    let request = format!(
        "POST /api/users/al%C3%A9+x/password HTTP/1.1\r\nHost: a\r\n{}: {}\r\n{}: {}\r\n\
         Content-Type: application/json;charset=utf-8\r\nContent-Length: {}\r\n\r\n{typed}",
        browser.fields[1].0,
        browser.fields[1].1,
        browser.fields[2].0,
        browser.fields[2].1,
        typed.len()
    );
    let reply = Reply::read(&house.send(request.as_bytes()).take());
    assert_eq!((reply.status, reply.json()), (200, json!({})));
    assert_eq!(house.done(), ["password alé+x \"\\é😀 </script>\u{0}"].map(String::from));
    browser.ask("POST", "/api/users", Some(json!({ "name": "bob", "password": "pw" })));
    browser.ask("POST", "/api/users", Some(json!({ "name": "eve" })));
    browser.ask("DELETE", "/api/users/bob", None);
    let done = ["add bob Some(\"pw\")", "add eve None", "remove bob"];
    assert_eq!(house.done(), done.map(String::from));
}

#[test]
fn keys_are_shown_made_and_retired_by_who_is_logged_in() {
    let house = House::new();
    assert_eq!(house.plain("GET", "/api/dkim").status, 401);
    let browser = house.logged_in();
    let shown = browser.ask("GET", "/api/dkim", None);
    let shown = shown.json();
    assert_eq!(shown["keys"][0]["text"], json!(relay::HOSTILE));
    assert_eq!(shown["notes"], json!([relay::HOSTILE]));
    let one = json!({ "domain": "b.example", "selector": "s" });
    assert_eq!(browser.ask("POST", "/api/dkim", Some(one.clone())).json(), shown);
    assert_eq!(browser.ask("POST", "/api/dkim/retire", Some(one)).status, 200);
    let bare = json!({ "domain": "b.example" });
    assert_eq!(browser.ask("POST", "/api/dkim", Some(bare.clone())).status, 200);
    assert_eq!(browser.ask("POST", "/api/dkim/retire", Some(bare)).status, 400);
    assert_eq!(browser.ask("POST", "/api/dkim", Some(json!({ "domain": "b" }))).status, 422);
    let done = [
        "make_keys b.example \"s\"",
        "retire_keys b.example \"s\"",
        "make_keys b.example \"\"",
        "make_keys b \"\"",
    ];
    assert_eq!(house.done(), done.map(String::from));
}

#[test]
fn a_domain_is_looked_at_for_who_is_logged_in() {
    let house = House::new();
    assert_eq!(house.plain("POST", "/api/check/domain").status, 401);
    let browser = house.logged_in();
    let ask = |body| browser.ask("POST", "/api/check/domain", Some(body));
    let found = ask(json!({ "domain": "example.org" })).json();
    assert_eq!(found["findings"][0]["publish"]["name"], "example.org");
    assert_eq!(found["findings"][0]["publish"]["type"], "TXT");
    assert_eq!(ask(json!({ "domain": "nonsense" })).status, 422);
    assert_eq!(ask(json!({})).status, 400);
}

#[test]
fn providers_are_told_whole_to_who_is_logged_in() {
    let house = House::new();
    assert_eq!(house.plain("GET", "/api/providers").status, 401);
    let rows = house.logged_in().ask("GET", "/api/providers", None).json();
    let rows = rows["rows"].as_array().expect("a list").clone();
    assert_eq!(rows.len(), crate::config::profiles().count(), "none is too long to be told");
    assert_eq!((&rows[0]["name"], &rows[0]["senders"]), (&json!("gmail"), &json!("own")));
    assert_eq!(rows[0]["pace"]["per_day"], json!(500));
}

#[test]
fn sign_ins_are_shown_begun_and_finished_by_who_is_logged_in() {
    let house = House::new();
    let (all, answer) = ("/api/sign-ins", "/api/sign-ins/answer");
    assert_eq!(house.plain("GET", all).status, 401);
    let browser = house.logged_in();
    let shown = browser.ask("GET", all, None).json();
    assert_eq!(shown["rows"][0]["words"], json!(relay::HOSTILE));
    assert_eq!(shown["rows"][0]["state"], json!("missing"));
    let ask = |body| browser.ask("POST", all, Some(body));
    let begun = ask(json!({"route": 0, "by": "link", "page": "http://relay.local"})).json();
    assert_eq!(begun["link"], json!(relay::HOSTILE));
    let begun = ask(json!({"route": 0, "by": "code"})).json();
    assert_eq!((&begun["code"], &begun["seconds"]), (&json!(relay::HOSTILE), &json!(900)));
    assert_eq!(ask(json!({"route": 1, "by": "code"})).status, 422);
    for wrong in [json!({"route": 0}), json!({"route": 0, "by": "x"}), json!({"by": "link"})] {
        assert_eq!(ask(wrong).status, 400);
    }
    let paste = |text: &str| browser.ask("POST", answer, Some(json!({ "answer": text })));
    assert_eq!(paste("code=1").json(), json!({ "words": relay::HOSTILE }));
    assert_eq!(paste("x").status, 422);
    let done = [
        "begin_sign_in 0 Link(Some(\"http://relay.local\"))",
        "begin_sign_in 0 Code",
        "begin_sign_in 1 Code",
        "finish_sign_in code=1",
        "finish_sign_in x",
    ];
    assert_eq!(house.done(), done.map(String::from));
}

#[test]
fn requests_that_are_not_as_expected_are_refused_in_words() {
    let house = House::new();
    let browser = house.logged_in();
    for body in ["{", "[]", "{\"to\":1}", "{\"to\":\"a@b\",\"too\":\"c\"}", "\u{feff}{}", "null"] {
        let request =
            format!("POST /api/test HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n", body.len());
        let lines = browser.fields[1..].iter().map(|(n, v)| format!("{n}: {v}\r\n"));
        let fields = lines.collect::<Vec<_>>().concat();
        let whole = format!("{request}{fields}Content-Type: application/json\r\n\r\n{body}");
        let reply = Reply::read(&house.send(whole.as_bytes()).take());
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.words().starts_with("The request is not as expected"), "{body}");
    }
    let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
    let request = format!(
        "POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{deep}",
        deep.len()
    );
    assert_eq!(Reply::read(&house.send(request.as_bytes()).take()).status, 400);
}

#[test]
fn health_is_told_to_everybody_but_not_what_is_wrong() {
    let house = House::new();
    assert_eq!(house.plain("GET", "/healthz").status, 200);
    *house.relay.well.borrow_mut() = Err("the disk is full of secrets".into());
    let reply = house.plain("GET", "/healthz");
    assert_eq!((reply.status, reply.body.as_str()), (503, "not well\n"));
}
