//! What the page does beside mail and settings, programs with tokens, and the ways in.

use super::{HOSTILE, House, Reply, json, relay::large};
use crate::{
    limits,
    serve::web::{
        api::{Access, ROUTES, Route},
        http::Method,
        office::Scope,
    },
};
use std::time::Duration;

fn path(route: &Route) -> String {
    route.path.replace('*', "0000000007")
}

#[test]
fn a_token_is_for_what_its_scope_says_and_nothing_else() {
    let house = House::new();
    for scope in [Scope::Read, Scope::Queue, Scope::All] {
        let mut program = house.browser();
        program.set("Authorization", &format!("bearer wp_{}", scope.word()));
        for route in ROUTES.iter().filter(|r| r.access != Access::Open) {
            let reply = program.ask(route.method.name(), &path(route), None);
            let refused = reply.status == 403;
            assert_eq!(refused, scope < route.scope, "{} {}", scope.word(), route.path);
            assert_ne!(reply.status, 401, "{}", route.path);
        }
    }
    for token in ["bearer wp_nothing", "bearer", "Basic YTpi", "bearer "] {
        let mut program = house.browser();
        program.set("Authorization", token);
        assert_eq!(program.ask("GET", "/api/status", None).status, 401, "{token}");
    }
    let all = |scope| ROUTES.iter().filter(|r| r.scope <= scope && r.method != Method::Get).count();
    assert_eq!((all(Scope::Read), all(Scope::Queue)), (0, 7), "who looks changes nothing");
}

#[test]
fn a_token_is_told_once_and_its_name_and_scope_are_checked() {
    let house = House::new();
    let browser = house.logged_in();
    let make = |name: &str, scope: &str| {
        browser.ask("POST", "/api/tokens", Some(json!({ "name": name, "scope": scope })))
    };
    assert_eq!(make("ha", "read").json(), json!({ "token": "wp_x" }));
    assert_eq!(make("ha", "everything").status, 422);
    assert_eq!((make("", "read").status, make("", "read").words()), (422, HOSTILE.into()));
}

#[test]
fn a_message_is_sent_whole_while_it_is_read() {
    let house = House::new();
    let browser = house.logged_in();
    let reply = browser.ask("GET", "/api/queue/0000000007/message", None);
    assert_eq!(reply.body.as_bytes(), large());
    assert_eq!(reply.field("Content-Length"), Some(large().len().to_string().as_str()));
    assert_eq!(reply.field("Content-Type"), Some("message/rfc822"));
    let name = "attachment; filename=\"0000000007.eml\"";
    assert_eq!(reply.field("Content-Disposition"), Some(name));
    let head = browser.ask("HEAD", "/api/queue/0000000007/message", None);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(browser.ask("GET", "/api/queue/0000000008/message", None).status, 404);
    assert_eq!(browser.ask("GET", "/api/status", None).status, 200, "the connection goes on");
}

#[test]
fn several_messages_at_once_are_within_a_bound_and_failures_stop_nothing() {
    let house = House::new();
    let browser = house.logged_in();
    let act = |ids: Vec<&str>, action: &str| {
        browser.ask("POST", "/api/queue/act", Some(json!({ "ids": ids, "action": action })))
    };
    let reply = act(vec!["0000000008", "0000000007"], "drop");
    assert_eq!(reply.json(), json!({ "messages": 1, "failed": ["no such message"] }));
    assert_eq!(act(vec!["0000000007"; limits::WEB_ROWS], "hold").status, 200);
    assert_eq!(act(vec!["0000000007"; limits::WEB_ROWS + 1], "hold").status, 422);
    assert_eq!(act(vec![], "hold").status, 422);
    assert_eq!(act(vec!["0000000007"], "burn").status, 422);
    assert_eq!(act(vec!["nonsense"], "hold").status, 422);
    let all = |body| browser.ask("POST", "/api/queue/act", Some(body));
    let reply = all(json!({ "all": true, "action": "drop" }));
    assert_eq!((reply.status, reply.json()["messages"].as_u64()), (200, Some(12)));
    assert!(house.done().contains(&"Drop All".into()));
    let both = json!({ "all": true, "ids": ["0000000007"], "action": "drop" });
    assert_eq!(all(both).status, 422);
    assert_eq!(all(json!({ "all": false, "action": "drop" })).status, 422);
}

#[test]
fn what_was_said_and_tried_arrives_as_data() {
    let house = House::new();
    let browser = house.logged_in();
    let get = |path: &str| browser.ask("GET", path, None).json();
    assert_eq!(get("/api/transcripts/0000000007")["rows"][0]["text"], HOSTILE);
    let device = &get("/api/devices")["rows"][0];
    assert_eq!(
        (&device["helo"], &device["last_refusal"]["reply"]),
        (&HOSTILE.into(), &HOSTILE.into())
    );
    assert_eq!(get("/api/log?after=6")["lines"][0]["text"], HOSTILE);
    assert_eq!(get("/api/log?after=6")["last"], 7);
    assert_eq!(get("/api/trial/3?since=2")["steps"][0]["words"], HOSTILE);
    assert_eq!(browser.ask("GET", "/api/trial/4", None).status, 404);
    assert_eq!(browser.ask("GET", "/api/trial/x", None).status, 404);
    assert_eq!(get("/api/open-relay")["findings"][0]["words"], HOSTILE);
    assert_eq!(get("/api/config/previous")["document"], HOSTILE);
    assert_eq!(get("/api/chart")["hours"].as_array().map(Vec::len), Some(24));
    assert_eq!(browser.ask("GET", "/api/log/all", None).body, HOSTILE);
    let begun =
        browser.ask("POST", "/api/trial", Some(json!({ "to": "a@b", "route": {"via": "x"} })));
    assert_eq!(begun.json(), json!({ "number": 3 }));
    let refused = browser.ask("POST", "/api/trial", Some(json!({ "to": "nobody" })));
    assert_eq!((refused.status, refused.json()["problems"][0]["key"].as_str()), (422, Some("to")));
    let done = house.done();
    assert!(done.contains(&"begin_trial {\"via\":\"x\"} a@b ".into()), "{done:?}");
    let forget = browser.ask("POST", "/api/devices/forget", Some(json!({ "address": "10.0.0.1" })));
    assert_eq!((forget.status, house.done()), (200, vec!["forget_device 10.0.0.1".into()]));
    let forget = browser.ask("POST", "/api/devices/forget", Some(json!({ "address": "cam" })));
    assert_eq!(forget.status, 422);
}

#[test]
fn a_backup_goes_out_and_comes_back_as_it_was() {
    let house = House::new();
    let browser = house.logged_in();
    let none = browser.ask("POST", "/api/backup", Some(json!({ "password": "" })));
    assert_eq!((none.status, none.words()), (422, HOSTILE.into()));
    let restore = |file: &str| {
        browser.ask("POST", "/api/restore", Some(json!({ "file": file, "password": "p" })))
    };
    assert_eq!(restore("AP8K").status, 200);
    assert_eq!((restore("AP8L").status, restore("?").status), (422, 400));
    assert_eq!(browser.ask("POST", "/api/config/undo", None).status, 200);
    assert_eq!(house.done(), ["backup", "restore 3 p", "restore 3 p", "undo"].map(String::from));
}

fn log_in(house: &House, peer: &str, body: &str) -> Reply {
    let request = format!(
        "POST /plain HTTP/1.1\r\nHost: 192.168.1.5\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let client = house.door.connect(Some(peer));
    client.send(request.as_bytes());
    house.world.run();
    Reply::read(&client.take())
}

#[test]
fn without_script_one_logs_in_and_reads_how_it_is() {
    let house = House::new();
    let form = house.plain("GET", "/plain");
    assert!(form.status == 200 && form.body.contains("name=\"password\""));
    let wrong = log_in(&house, "192.168.1.20:1", "password=wrong");
    assert!(wrong.status == 403 && wrong.body.contains("not right"), "{}", wrong.body);
    assert_eq!(wrong.field("Set-Cookie"), None);
    assert_eq!(log_in(&house, "192.168.7.66:1", "password=x").status, 429);
    let reply = log_in(&house, "192.168.1.20:1", "other=1&password=correct+horse");
    assert_eq!((reply.status, reply.field("Location")), (303, Some("/plain")));
    let cookie = reply.field("Set-Cookie").expect("a cookie").split(';').next().expect("one");
    let mut browser = house.browser();
    browser.set("Cookie", cookie);
    let page = browser.ask("GET", "/plain", None);
    assert!(page.body.contains("In the queue: 1000"), "{}", page.body);
    assert!(!page.body.contains("<script") && !page.body.contains("<img"), "{}", page.body);
    assert_eq!(browser.ask("POST", "/api/queue/retry", None).status, 403, "it has no token");
    house.relay.password.take();
    assert_eq!(log_in(&house, "192.168.1.20:1", "password=x").status, 409);
}

#[test]
fn a_form_of_another_site_logs_nobody_in() {
    let house = House::new();
    let mut liar = house.browser();
    liar.set("Origin", "http://evil.example");
    liar.set("Content-Type", "application/x-www-form-urlencoded");
    let reply = liar.ask("POST", "/plain", Some(json!("x")));
    assert_eq!((reply.status, reply.field("Set-Cookie")), (403, None));
}

#[test]
fn from_outside_the_page_is_to_be_had_over_https_alone() {
    let house = House::new();
    let mut outside = house.browser_from(Some("203.0.113.9:1"));
    outside.set("Host", "relay.example.org:8025");
    let reply = outside.ask("GET", "/api/status?a=b", None);
    let place = "https://relay.example.org:8025/api/status?a=b";
    assert_eq!((reply.status, reply.field("Location")), (301, Some(place)));
    outside.set("Host", "evil.example");
    assert_eq!(outside.ask("GET", "/", None).status, 421, "nobody is sent anywhere else");
    let login = json!({ "password": "correct horse" });
    outside.set("Host", "relay.example.org:8025");
    assert_eq!(outside.ask("POST", "/api/login", Some(login.clone())).status, 301);
    for peer in ["203.0.113.9:1", "192.168.1.20:1"] {
        let mut encrypted = house.browser_from(Some(peer));
        encrypted.client.send(&[22]);
        encrypted.set("Host", "relay.example.org:8025");
        let reply = encrypted.ask("POST", "/api/login", Some(login.clone()));
        assert_eq!(reply.status, 200, "{peer}");
        let cookie = reply.field("Set-Cookie").expect("a cookie");
        assert!(cookie.ends_with("; Secure"), "{cookie}");
    }
}

#[test]
fn who_says_nothing_at_first_is_not_waited_for_longer_than_others() {
    let house = House::new();
    let silent = house.send(b"");
    house.world.pass(limits::WEB_IDLE_WAIT.saturating_sub(Duration::from_millis(1)));
    assert!(!silent.is_over());
    house.world.pass(Duration::from_millis(1));
    assert!(silent.is_over());
}
