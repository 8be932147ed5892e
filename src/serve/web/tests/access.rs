//! Who may ask what.

use super::{House, NEIGHBOUR, Reply, json};
use crate::{
    limits,
    serve::web::{
        api::{Access, ROUTES, Route},
        http::Method,
    },
};
use std::time::Duration;

/// A path that this route answers to.
fn path(route: &Route) -> String {
    route.path.replace('*', "0000000007")
}

fn is_change(route: &Route) -> bool {
    route.method != Method::Get
}

#[test]
fn without_login_every_route_refuses_but_those_marked_open() {
    let house = House::new();
    let open: Vec<_> = ROUTES.iter().filter(|r| r.access == Access::Open).map(|r| r.path).collect();
    assert_eq!(
        open,
        [
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
            "/icon.svg",
            "/plain",
            "/plain",
            "/healthz",
            "/api/session",
            "/api/setup",
            "/api/login"
        ],
        "what is open is open on purpose"
    );
    for route in ROUTES.iter().filter(|r| r.access != Access::Open) {
        let reply = house.plain(route.method.name(), &path(route));
        assert_eq!(reply.status, 401, "{} {}", route.method.name(), route.path);
        let mut liar = house.browser();
        liar.set("Cookie", "waypost=00000000000000000000000000000000");
        liar.set("X-CSRF-Token", "00000000000000000000000000000000");
        assert_eq!(liar.ask(route.method.name(), &path(route), None).status, 401);
    }
    assert!(house.done().is_empty(), "nothing reached the relay");
}

#[test]
fn every_route_is_found_under_its_own_path() {
    let house = House::new();
    let browser = house.browser_from(None);
    for route in &ROUTES {
        let reply = browser.ask(route.method.name(), &path(route), None);
        assert!(!matches!(reply.status, 404 | 405 | 401), "{} {}", route.method.name(), route.path);
    }
}

#[test]
fn a_change_without_the_token_is_refused_on_every_route() {
    let house = House::new();
    let browser = house.logged_in().without("X-CSRF-Token");
    for route in ROUTES.iter().filter(|r| r.access != Access::Open) {
        let reply = browser.ask(route.method.name(), &(path(route) + "?q=x"), None);
        if is_change(route) {
            assert_eq!(reply.status, 403, "{}", route.path);
        } else {
            assert_eq!(reply.status, 200, "{}", route.path);
        }
    }
    let mut browser = house.logged_in();
    browser.set("X-CSRF-Token", "0123456789abcdef0123456789abcdef");
    assert_eq!(browser.ask("POST", "/api/queue/retry", None).status, 403);
    assert!(!house.done().iter().any(|done| done.starts_with("Retry")));
}

#[test]
fn a_change_from_another_site_is_refused_on_every_route() {
    let house = House::new();
    for (name, value) in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://192.168.1.5"),
        ("Origin", "http://192.168.1.5:8025.evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let mut browser = house.logged_in();
        browser.set(name, value);
        for route in ROUTES.iter().filter(|r| is_change(r)) {
            let reply = browser.ask(route.method.name(), &path(route), None);
            assert_eq!(reply.status, 403, "{name}: {value} at {}", route.path);
        }
    }
    assert!(house.done().is_empty());
    let mut browser = house.logged_in();
    browser.set("Origin", "http://192.168.1.5:8025");
    browser.set("Sec-Fetch-Site", "same-origin");
    assert_eq!(browser.ask("POST", "/api/queue/retry", None).status, 200);
    browser.set("Content-Type", "text/plain");
    let form = browser.ask("POST", "/api/test", Some(json!({ "to": "a@b" })));
    assert_eq!(form.status, 415, "a form of another site can send text");
}

#[test]
fn under_a_strange_name_nothing_is_shown() {
    let house = House::new();
    let mut browser = house.logged_in();
    browser.set("Host", "evil.example");
    for route in &ROUTES {
        let reply = browser.ask(route.method.name(), &path(route), None);
        assert_eq!(reply.status, 421, "{}", route.path);
    }
    browser.set("Host", "relay.example.org:8025");
    assert_eq!(browser.ask("GET", "/api/status", None).status, 200);
    let absolute = "GET http://evil.example/ HTTP/1.1\r\nHost: 192.168.1.5\r\n\r\n";
    assert_eq!(Reply::read(&house.send(absolute.as_bytes()).take()).status, 421);
}

#[test]
fn the_control_socket_needs_no_login() {
    let house = House::new();
    let cli = house.browser_from(None).without("Host");
    let reply = cli.ask("GET", "/api/status", None);
    assert_eq!(reply.status, 400, "HTTP/1.1 wants a Host even so");
    let mut cli = house.browser_from(None);
    cli.set("Host", "waypost");
    assert_eq!(cli.ask("POST", "/api/queue/retry", None).json(), json!({ "messages": 12 }));
    assert_eq!(cli.ask("GET", "/api/session", None).json()["state"], "ok");
    let new = cli.ask("POST", "/api/password", Some(json!({ "new": "a new password" })));
    assert_eq!((new.status, new.field("Set-Cookie")), (200, None));
}

#[test]
fn metrics_are_for_this_machine_and_for_those_logged_in() {
    let house = House::new();
    assert_eq!(house.plain("GET", "/metrics").status, 401);
    for near in ["127.0.0.1:4000", "[::1]:4000", "[::ffff:127.0.0.1]:4000"] {
        let reply = house.browser_from(Some(near)).ask("GET", "/metrics", None);
        assert_eq!((reply.status, reply.body.as_str()), (200, "waypost_queue_messages 1\n"));
    }
    assert_eq!(house.logged_in().ask("GET", "/metrics", None).status, 200);
}

#[test]
fn the_first_password_is_set_by_who_knows_the_code() {
    let house = House::new();
    house.relay.password.take();
    let mut browser = house.browser();
    assert_eq!(browser.ask("GET", "/api/session", None).json()["state"], "setup");
    let login = browser.ask("POST", "/api/login", Some(json!({ "password": "" })));
    assert_eq!(login.status, 409);
    let setup = |code: &str, password: &str| {
        browser.ask("POST", "/api/setup", Some(json!({ "code": code, "password": password })))
    };
    assert_eq!(setup("", "long enough").status, 403);
    assert_eq!(setup("ABCD-1235", "long enough").status, 403);
    assert_eq!(setup("ABCD-1234", "1234567").status, 422, "one character too few");
    let longest = "x".repeat(limits::WEB_PASSWORD_BYTES);
    assert_eq!(setup("ABCD-1234", &format!("{longest}x")).status, 422);
    let reply = setup(" abcd1234", "pässwörd");
    assert_eq!(reply.status, 200);
    assert_eq!(setup("ABCD-1234", "another password").status, 409, "only once");
    browser.keep(&reply);
    assert_eq!(browser.ask("GET", "/api/session", None).json()["state"], "ok");
    assert_eq!(house.relay.password.borrow().as_deref(), Some("pässwörd"));
    let log = house.world.log.borrow().join("\n");
    assert!(log.contains("event=web-setup peer=192.168.1.20"), "{log}");
}

#[test]
fn guessing_the_setup_code_must_wait_by_address() {
    let house = House::new();
    house.relay.password.take();
    let setup = |peer: &str, code: &str| {
        let body = json!({ "code": code, "password": "long enough" });
        house.browser_from(Some(peer)).ask("POST", "/api/setup", Some(body)).status
    };
    for n in 0..limits::WEB_SETUP_FAILURES {
        assert_eq!(setup(&format!("[fd00::{n}]:1"), "wrong"), 403, "{n}");
    }
    assert_eq!(setup("[fd00::99]:1", "ABCD-1234"), 429, "the same network");
    assert_eq!(setup(NEIGHBOUR, "wrong"), 403, "another one");
    house.world.pass(limits::WEB_SETUP_WAIT.saturating_sub(Duration::from_millis(1)));
    assert_eq!(setup("[fd00::1]:1", "ABCD-1234"), 429);
    house.world.pass(Duration::from_millis(1));
    assert_eq!(setup("[fd00::1]:1", "ABCD-1234"), 200);
}

#[test]
fn a_wrong_password_opens_nothing_and_guessing_must_wait() {
    let house = House::new();
    let wrong = house.browser().ask("POST", "/api/login", Some(json!({ "password": "wrong" })));
    assert_eq!((wrong.status, wrong.field("Set-Cookie")), (403, None));
    let guesser = house.browser_from(Some("192.168.7.66:1"));
    let reply = guesser.ask("POST", "/api/login", Some(json!({ "password": "correct horse" })));
    assert_eq!((reply.status, reply.field("Retry-After")), (429, Some("7")));
}

#[test]
fn only_so_many_passwords_are_checked_at_once() {
    let house = House::new();
    let body = r#"{"password":"correct horse"}"#;
    let login = format!(
        "POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let clients: Vec<_> = (0..=limits::WEB_LOGINS)
        .map(|_| {
            let client = house.door.connect(Some(NEIGHBOUR));
            client.send(login.as_bytes());
            client
        })
        .collect();
    house.world.run();
    let statuses: Vec<_> = clients.iter().map(|c| Reply::read(&c.take()).status).collect();
    assert_eq!(statuses.iter().filter(|s| **s == 200).count(), limits::WEB_LOGINS);
    assert_eq!(statuses.iter().filter(|s| **s == 429).count(), 1);
    assert_eq!(Reply::read(&house.send(login.as_bytes()).take()).status, 200, "turns come back");
}

#[test]
fn the_cookie_is_kept_from_scripts_and_from_other_sites() {
    let house = House::new();
    let reply =
        house.browser().ask("POST", "/api/login", Some(json!({ "password": "correct horse" })));
    let cookie = reply.field("Set-Cookie").expect("one").to_string();
    let (value, rules) = cookie.split_once("; ").expect("rules");
    assert_eq!(rules, "Path=/; HttpOnly; SameSite=Strict");
    assert_eq!(value.len(), "waypost=".len() + 32, "128 bits");
    assert_ne!(value.get(8..), reply.json()["token"].as_str());
}

#[test]
fn a_session_ends_when_unused_and_at_logout_and_with_a_new_password() {
    let house = House::new();
    let unused = house.logged_in();
    house.world.pass(limits::WEB_SESSION_IDLE.saturating_sub(Duration::from_millis(1)));
    let used = |browser: &super::Browser<'_>| {
        let again = house.browser_from(Some(NEIGHBOUR));
        let again = super::Browser { fields: browser.fields.clone(), ..again };
        again.ask("GET", "/api/status", None).status
    };
    assert_eq!(used(&unused), 200);
    house.world.pass(limits::WEB_SESSION_IDLE);
    assert_eq!(used(&unused), 401);

    let (first, second) = (house.logged_in(), house.logged_in());
    assert_eq!(first.ask("POST", "/api/logout", None).status, 200);
    assert_eq!((used(&first), used(&second)), (401, 200));

    let third = house.logged_in();
    let change = |old: &str| {
        second.ask("POST", "/api/password", Some(json!({ "old": old, "new": "another one" })))
    };
    assert_eq!(change("wrong").status, 403);
    let changed = change("correct horse");
    assert_eq!((changed.status, used(&second), used(&third)), (200, 401, 401));
    let mut anew = house.browser();
    anew.keep(&changed);
    assert_eq!(used(&anew), 200);
}

#[test]
fn so_many_browsers_may_be_logged_in_and_one_more_logs_the_idlest_out() {
    let house = House::new();
    let mut all = Vec::new();
    for _ in 0..limits::WEB_SESSIONS {
        all.push(house.logged_in().fields);
        house.world.pass(Duration::from_millis(1));
    }
    let used = |fields: &Vec<(String, String)>| {
        let browser = super::Browser { fields: fields.clone(), ..house.browser() };
        browser.ask("GET", "/api/status", None).status
    };
    assert_eq!(used(&all[0]), 200);
    house.logged_in();
    assert_eq!((used(&all[0]), used(&all[1]), used(&all[2])), (200, 401, 200));
}

#[test]
fn what_is_not_there_and_what_cannot_be_done_there() {
    let house = House::new();
    assert_eq!(house.plain("GET", "/api/nothing").status, 404);
    assert_eq!(house.plain("GET", "/../etc/passwd").status, 404);
    assert_eq!(house.plain("GET", "/api/queue/").status, 404);
    let reply = house.plain("DELETE", "/api/config");
    assert_eq!((reply.status, reply.field("Allow")), (405, Some("GET, PUT")));
    assert_eq!(house.plain("BREW", "/").status, 405);
}
