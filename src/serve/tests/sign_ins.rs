//! Sign-ins by OAuth 2: got, used, renewed and lost.

use super::{service::Service, *};
use crate::{
    limits,
    proto::http::field,
    serve::web::office::{Begun, SignInHow, SignInRow, SignInState},
};
use base64::{Engine, engine::general_purpose::STANDARD};

const SERVICE: &str = "127.0.0.1:8443";
const DAY: u64 = 86_400;
const HOUR: u64 = 3600;
const LASTING: &str = r#", "refresh_token": "refresh-1""#;
const REVOKED: (&str, &str) = (
    "400 Bad Request",
    r#"{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}"#,
);

/// A relay whose mail leaves by a smarthost that wants a sign-in, and the service for that.
struct Home {
    house: House,
    desk: Desk,
    service: Rc<Service>,
}

fn config() -> String {
    let route = r#""tls": "none", "user": "me@example.org", "oauth": "mine", "client_id": "us",
        "client_secret": "hush"}"#;
    let service = r#""hostname": "relay.test", "oauth": [{"name": "mine",
        "authorize": "https://login.example.org/auth?x=1", "token": "http://127.0.0.1:8443/token",
        "device": "http://127.0.0.1:8443/device", "scope": "mail send"}],"#;
    CONFIG.replace(r#""tls": "may"}"#, route).replace(r#""hostname": "relay.test","#, service)
}

fn auth(token: &str) -> String {
    let text = format!("user=me@example.org\x01auth=Bearer {token}\x01\x01");
    format!("AUTH XOAUTH2 {}", STANDARD.encode(text))
}

impl Home {
    fn new() -> Home {
        let world = World::new();
        let service = world.service(SERVICE);
        world.files.borrow_mut().insert("waypost.json".into(), config().into());
        let house = House::open(world);
        let (desk, home) = (house.desk(), house);
        let home = Home { house: home, desk, service };
        home.lets_in(&["access-1", "access-2"]);
        home
    }

    /// One where a person has signed in.
    fn signed_in() -> Home {
        let home = Home::new();
        home.service.gives("access-1", 3600, LASTING);
        home.sign_in().expect("the service gives tokens");
        home
    }

    /// The smarthost takes these tokens and no others.
    fn lets_in(&self, tokens: &[&str]) {
        let yes: Vec<String> = tokens.iter().map(|token| auth(token)).collect();
        let mut rules = vec![("EHLO", "250-mx\r\n250 AUTH PLAIN XOAUTH2")];
        rules.extend(yes.iter().map(|auth| (auth.as_str(), "235 Ok")));
        rules.push(("AUTH", "535 5.7.8 Username and Password not accepted"));
        self.house.world.server(SMARTHOST).says(&rules);
    }

    fn link(&self) -> String {
        let begun = self.house.world.wait(self.desk.begin_sign_in(0, SignInHow::Link(None)));
        match begun.expect("there is a sign-in") {
            Begun::Link { link, .. } => link,
            Begun::Code { .. } => panic!("a code"),
        }
    }

    fn paste(&self, text: &str) -> Result<String, String> {
        self.house.world.wait(self.desk.finish_sign_in(text))
    }

    fn sign_in(&self) -> Result<String, String> {
        let state = field(&self.link(), "state").expect("links have one");
        self.paste(&format!("http://localhost/?state={state}&code=c0de"))
    }

    fn send(&self) {
        self.house.send("alice@home.test", &["me@example.com"], "alarm");
        self.house.world.run();
    }

    fn delivered(&self) -> usize {
        self.house.world.mail.borrow().len()
    }

    fn row(&self) -> SignInRow {
        self.desk.sign_ins().remove(0)
    }

    fn problems(&self) -> Vec<String> {
        let problems = self.house.world.wait(self.desk.status()).problems.into_iter();
        let about = problems.filter(|problem| problem.key.starts_with("routes"));
        about.map(|problem| problem.words).collect()
    }

    fn metrics(&self) -> String {
        self.house.world.wait(self.desk.metrics())
    }

    fn file(&self) -> String {
        let files = self.house.world.files.borrow();
        files.get("sign-ins.json").map_or(String::new(), |f| String::from_utf8_lossy(f).into())
    }

    fn restart(self) -> Home {
        let house = self.house.restart();
        Home { desk: house.desk(), house, service: self.service }
    }
}

#[test]
fn mail_waits_until_somebody_signs_in_and_then_goes_at_once() {
    let home = Home::new();
    home.send();
    home.house.pass(60 * DAY);
    assert_eq!((home.house.world.told("failed").len(), home.delivered()), (0, 0));
    assert_eq!(home.service.count(), 0, "there is nothing to ask it for");
    assert_eq!(home.row().state, SignInState::Missing);
    let problems = home.problems();
    assert!(problems.len() == 1 && problems[0].contains("waypost login"), "{problems:?}");
    assert!(
        home.metrics()
            .contains("waypost_sign_in_works{user=\"me@example.org\",at=\"127.0.0.1\"} 0\n")
    );
    assert_eq!(home.house.world.told("trouble").len(), 1, "it is told once");

    home.service.gives("access-1", 3600, LASTING);
    assert_eq!(home.sign_in().as_deref(), Ok("Signed in as me@example.org at 127.0.0.1."));
    assert_eq!(home.delivered(), 1);
    assert_eq!((home.row().state, home.problems()), (SignInState::Good, vec![]));
    assert!(home.metrics().contains("at=\"127.0.0.1\"} 1\n"));
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "c0de"),
        ("redirect_uri", "http://localhost"),
        ("client_id", "us"),
        ("client_secret", "hush"),
    ] {
        assert_eq!(home.service.last(name), value, "{name}");
    }
    assert!(home.file().contains("refresh-1") && !home.file().contains("access-1"));
    let shown = home.house.running.control.document();
    assert!(shown.contains(r#""client_secret": "(set)""#), "{shown}");
    for secret in ["access-1", "refresh-1", "hush"] {
        let told = home.house.world.log.borrow().iter().any(|line| line.contains(secret));
        assert!(!told && !shown.contains(secret), "{secret}");
    }
}

#[test]
fn a_link_says_all_that_a_service_has_to_know_and_proves_nothing_yet() {
    let home = Home::new();
    let link = home.link();
    assert!(link.starts_with("https://login.example.org/auth?x=1&client_id=us&"), "{link}");
    for (name, value) in [
        ("response_type", "code"),
        ("redirect_uri", "http://localhost"),
        ("scope", "mail send"),
        ("code_challenge_method", "S256"),
        ("login_hint", "me@example.org"),
    ] {
        assert_eq!(field(&link, name).as_deref(), Some(value), "{name}");
    }
    let (state, challenge) = (field(&link, "state"), field(&link, "code_challenge"));
    home.service.gives("access-1", 3600, LASTING);
    home.paste(&format!("{NOBODY}/?state={}&code=c", state.expect("it is there"))).expect("yes");
    let verifier = home.service.last("code_verifier");
    assert!((43..=128).contains(&verifier.len()), "RFC 7636 §4.1");
    assert!(!link.contains(&verifier) && challenge.is_some_and(|c| c.len() == 43));
    let begin = |route, how| home.house.world.wait(home.desk.begin_sign_in(route, how));
    assert!(begin(1, SignInHow::Link(None)).is_err(), "there is no such route");
    let page = Some("https://relay.example.org".to_string());
    let back = begin(0, SignInHow::Link(page)).expect("there is");
    assert!(
        matches!(back, Begun::Link { redirect, .. } if redirect == "https://relay.example.org/")
    );
}

const NOBODY: &str = "http://localhost";

#[test]
fn what_comes_back_counts_once_and_only_for_who_has_begun_it() {
    let home = Home::new();
    home.service.gives("access-1", 3600, LASTING);
    for (text, why) in [
        ("http://localhost/?state=other&code=c", "not begun here"),
        ("c0de", "not begun here"),
        ("", "neither"),
        ("hello there", "neither"),
    ] {
        assert!(home.paste(text).expect_err(text).contains(why), "{text}");
    }
    let state = |link: &str| field(link, "state").expect("it is there");
    let first = state(&home.link());
    let back = format!("{NOBODY}/?code=c&state={first}");
    home.link();
    assert!(home.paste(&back).is_err(), "another one has taken its place");
    home.paste("c0de").expect("there is only one");
    assert!(home.paste("c0de").is_err(), "a code works once");
    assert_eq!(home.service.count(), 1);

    let denied = format!(
        "{NOBODY}/?error=access_denied&error_description=The+user+said+no&state={}",
        state(&home.link())
    );
    assert!(home.paste(&denied).expect_err("denied").contains("The user said no"));
    assert_eq!(home.row().state, SignInState::Good, "the one before still works");
    assert!(home.row().words.contains("The user said no"));

    let late = format!("{NOBODY}/?code=c&state={}", state(&home.link()));
    home.house.pass(limits::SIGN_IN_WAIT.as_secs() + 1);
    assert!(home.paste(&late).is_err(), "it has taken too long");
}

#[test]
fn a_service_that_stumbles_over_a_code_may_be_asked_again_and_one_without_refresh_is_told() {
    let home = Home::new();
    let state = field(&home.link(), "state").expect("it is there");
    let back = format!("{NOBODY}/?code=c&state={state}");
    home.service.says(&[("503 Later", "down")]);
    assert!(home.paste(&back).expect_err("down").contains("Try again"));
    home.service.gives("access-1", 3600, "");
    let why = home.paste(&back).expect_err("it would not last");
    assert!(why.contains("offline_access"), "{why}");
    assert_eq!((home.row().state, home.file().as_str()), (SignInState::Missing, ""));
}

#[test]
fn a_token_is_renewed_before_it_ends_and_only_where_there_is_mail() {
    let home = Home::signed_in();
    home.send();
    assert_eq!((home.delivered(), home.service.count()), (1, 1), "the code brought one");
    home.house.pass(54 * 60);
    home.send();
    assert_eq!((home.delivered(), home.service.count()), (2, 1));
    home.service.gives("access-2", 3600, "");
    home.house.pass(2 * 60);
    home.send();
    assert_eq!((home.delivered(), home.service.count()), (3, 2), "5 min before its end");
    assert_eq!(home.service.last("grant_type"), "refresh_token");
    assert_eq!(home.service.last("refresh_token"), "refresh-1");
    // Many at once ask once.
    home.house.pass(2 * HOUR);
    for _ in 0..10 {
        home.house.send("alice@home.test", &["me@example.com"], "alarm");
    }
    home.house.pass(60);
    assert_eq!((home.delivered(), home.service.count()), (13, 3));
}

#[test]
fn a_token_that_lasts_less_than_the_margin_is_used_for_half_its_time() {
    let home = Home::signed_in();
    for lifetime in [0, 1, 60] {
        home.house.pass(HOUR);
        home.service.gives("access-2", lifetime, "");
        home.send();
    }
    assert_eq!(home.delivered(), 3);
    let asked = home.service.count();
    home.house.pass(29);
    home.send();
    assert_eq!(home.service.count(), asked);
    home.house.pass(2);
    home.send();
    assert_eq!((home.delivered(), home.service.count()), (5, asked + 1));
}

#[test]
fn a_revoked_sign_in_holds_mail_back_until_somebody_signs_in_again() {
    let home = Home::signed_in();
    home.service.says(&[REVOKED]);
    home.lets_in(&["access-2"]);
    home.house.pass(2 * HOUR);
    let asked = home.service.count();
    home.send();
    home.house.pass(30 * DAY);
    assert_eq!(home.service.count(), asked + 1, "no is no");
    assert_eq!((home.house.world.told("failed").len(), home.delivered()), (0, 0));
    let problems = home.problems();
    assert!(problems.len() == 1 && problems[0].contains("expired or revoked"), "{problems:?}");
    assert_eq!(home.row().state, SignInState::Ended);
    home.house.running.relay.hasten_all();
    home.house.pass(60);
    assert_eq!(home.service.count(), asked + 2, "but a person may want to know");
    let reason = home.house.rows().remove(0).reason;
    assert!(reason.contains("me@example.org has to sign in at 127.0.0.1"), "{reason}");
    assert!(home.metrics().contains("at=\"127.0.0.1\"} 0\n"));

    home.service.gives("access-2", 3600, r#", "refresh_token": "refresh-2""#);
    home.sign_in().expect("the service gives tokens");
    assert_eq!((home.delivered(), home.problems().len()), (1, 0));
    assert!(home.file().contains("refresh-2") && !home.file().contains("refresh-1"));
}

#[test]
fn an_old_token_that_is_refused_is_replaced_and_a_fresh_one_is_not_at_fault() {
    let home = Home::signed_in();
    home.send();
    home.house.pass(30 * 60);
    home.lets_in(&["access-2"]);
    home.service.gives("access-2", 3600, "");
    home.send();
    assert_eq!((home.delivered(), home.service.count()), (2, 2));
    assert_eq!(home.problems(), Vec::<String>::new());
    // Now nobody is let in: the smarthost is not asked in a storm, nor is the service.
    home.lets_in(&[]);
    home.house.world.knocks.borrow_mut().clear();
    let asked = home.service.count();
    home.house.pass(60);
    for _ in 0..20 {
        home.send();
    }
    home.house.pass(DAY);
    let rests = usize::try_from(DAY / limits::LOGIN_REST.as_secs()).expect("small");
    let smarthost = SMARTHOST.parse().expect("an address");
    let knocks = home.house.world.knocks.borrow().iter().filter(|at| **at == smarthost).count();
    assert!(knocks <= 2 * rests + 4, "{knocks} logins in {rests} rests");
    let asked = home.service.count() - asked;
    assert!(asked <= rests + 2, "{asked} tokens in {rests} rests");
    assert_eq!(home.problems().len(), 1);
    home.lets_in(&["access-2"]);
    home.house.pass(6 * HOUR);
    assert_eq!((home.delivered(), home.problems().len()), (22, 0));
}

#[test]
fn a_service_in_trouble_is_left_alone_for_a_while_and_mail_is_not_given_up() {
    let garbage = "<html>Pay for the hotel's network</html>";
    for answer in [
        ("503 Service Unavailable", "down"),
        ("200 OK", garbage),
        ("200 OK", r#"{"access_token": 7}"#),
        ("500 Oops", r#"{"error": "server_error"}"#),
        ("429 Slow\r\nRetry-After: 1800", r#"{"error": "rate_limited"}"#),
    ] {
        let home = Home::signed_in();
        home.service.says(&[answer]);
        home.house.pass(2 * HOUR);
        let asked = home.service.count();
        home.send();
        home.house.pass(2 * DAY);
        let asked = home.service.count() - asked;
        let rests = usize::try_from(2 * DAY / limits::TOKEN_RETRY_MAX.as_secs()).expect("small");
        assert!((2..=rests + 10).contains(&asked), "{answer:?}: {asked}");
        assert_eq!((home.row().state, home.delivered()), (SignInState::Late, 0), "{answer:?}");
        assert_eq!(home.house.world.told("failed").len(), 0);
        assert_eq!(home.problems().len(), 1, "{answer:?}");
        home.service.gives("access-2", 3600, "");
        home.house.pass(HOUR);
        assert_eq!((home.delivered(), home.problems().len()), (1, 0), "{answer:?}");
    }
}

#[test]
fn a_service_that_is_not_there_or_says_nothing_is_like_a_line_that_is_down() {
    for mute in [false, true] {
        let home = Home::signed_in();
        home.service.mute.set(mute);
        if !mute {
            home.house.world.services.borrow_mut().clear();
        }
        home.house.pass(2 * HOUR);
        home.send();
        home.house.pass(30 * DAY);
        assert_eq!((home.house.world.told("failed").len(), home.delivered()), (0, 0), "{mute}");
        let service = home.house.world.service(SERVICE);
        service.gives("access-2", 3600, "");
        home.house.pass(HOUR);
        assert_eq!(home.delivered(), 1, "{mute}");
    }
}

#[test]
fn a_new_refresh_token_is_on_disk_before_it_is_relied_on() {
    let home = Home::signed_in();
    home.service.gives("access-2", 3600, r#", "refresh_token": "refresh-2""#);
    home.house.pass(2 * HOUR);
    home.send();
    assert_eq!(home.delivered(), 1);
    assert!(home.file().contains("refresh-2"));
    let home = home.restart();
    home.send();
    assert_eq!((home.delivered(), home.service.last("refresh_token").as_str()), (2, "refresh-2"));
    // A disk that does not take it is no reason to keep mail back.
    *home.house.world.broken.borrow_mut() = Some("sign-ins");
    home.service.gives("access-1", 3600, r#", "refresh_token": "refresh-3""#);
    home.house.pass(2 * HOUR);
    home.send();
    assert_eq!(home.delivered(), 3);
    let why = home.sign_in().expect_err("it cannot be kept");
    assert!(why.contains("could not be written"), "{why}");
}

#[test]
fn a_code_is_typed_elsewhere_and_asked_for_no_faster_than_the_service_likes() {
    let home = Home::new();
    home.send();
    let code = r#"{"device_code": "long", "user_code": "WDJB-MJHT", "interval": 5,
        "verification_uri": "https://login.example.org/device", "expires_in": 600}"#;
    home.service.says(&[
        ("200 OK", code),
        ("400 Bad", r#"{"error": "authorization_pending"}"#),
        ("400 Bad", r#"{"error": "slow_down"}"#),
        ("400 Bad", r#"{"error": "authorization_pending"}"#),
    ]);
    let begin = || home.house.world.wait(home.desk.begin_sign_in(0, SignInHow::Code));
    let begun = begin().expect("it gives codes");
    let at = "https://login.example.org/device".to_string();
    assert_eq!(begun, Begun::Code { code: "WDJB-MJHT".into(), at, seconds: 600 });
    home.house.pass(1);
    assert_eq!((home.row().state, home.row().code.as_str()), (SignInState::Waiting, "WDJB-MJHT"));
    home.house.pass(60);
    let asked = home.service.count();
    assert!((6..=8).contains(&asked), "{asked} times in a minute: every 5 s, then every 10 s");
    home.service.gives("access-1", 3600, LASTING);
    home.house.pass(10);
    assert_eq!(home.service.last("device_code"), "long");
    assert_eq!((home.row().state, home.delivered()), (SignInState::Good, 1));

    // Nobody types the next one.
    home.service.says(&[("200 OK", code), ("400 Bad", r#"{"error": "authorization_pending"}"#)]);
    begin().expect("it gives codes");
    home.house.pass(601);
    assert!(home.row().words.contains("not typed in time"), "{}", home.row().words);
    let asked = home.service.count();
    home.house.pass(HOUR);
    assert_eq!(home.service.count(), asked, "nobody asks any more");
    home.service.says(&[("400 Bad", r#"{"error": "unauthorized_client"}"#)]);
    assert!(begin().expect_err("no").contains("unauthorized_client"));
}

#[test]
fn a_sign_in_that_ends_is_told_before_and_one_that_is_not_used_is_tried_daily() {
    let home = Home::new();
    let week = format!("{LASTING}, \"refresh_token_expires_in\": {}", 7 * DAY);
    home.service.gives("access-1", 3600, &week);
    home.sign_in().expect("the service gives tokens");
    home.service.gives("access-2", 3600, "");
    assert_eq!(home.row().until.map(|at| at.0 - home.row().since.expect("dated").0), Some(7 * DAY));
    assert!(home.metrics().contains("waypost_sign_in_end_seconds{user="));
    home.house.pass(4 * DAY - HOUR);
    assert_eq!((home.row().state, home.problems().len()), (SignInState::Good, 0));
    assert!((4..=5).contains(&home.service.count()), "{}", home.service.count());
    home.house.pass(DAY);
    let problems = home.problems();
    assert!(problems.len() == 1 && problems[0].contains("ends in 2 d"), "{problems:?}");
    assert_eq!(home.row().state, SignInState::Ending);
    home.house.pass(DAY);
    let told = home.house.world.told("trouble");
    assert_eq!(told.iter().filter(|line| line.contains("ends in")).count(), 1, "{told:?}");
    // The clock is not what decides: the service is.
    home.house.pass(3 * DAY);
    assert!(home.problems()[0].contains("should have ended"));
    home.send();
    assert_eq!(home.delivered(), 1);
    home.service.says(&[REVOKED]);
    home.house.pass(DAY + HOUR);
    assert_eq!(home.row().state, SignInState::Ended, "it is known before mail waits for it");
}

#[test]
fn a_board_without_a_clock_signs_in_all_the_same() {
    let home = Home::new();
    home.house.world.dated.set(false);
    let week = format!("{LASTING}, \"refresh_token_expires_in\": {}", 7 * DAY);
    home.service.gives("access-1", 3600, &week);
    home.sign_in().expect("the service gives tokens");
    assert_eq!((home.row().since, home.row().until), (None, None));
    home.house.pass(10 * DAY);
    home.send();
    assert_eq!((home.delivered(), home.row().state), (1, SignInState::Good));
}

#[test]
fn a_damaged_file_is_told_and_written_anew_by_signing_in() {
    let home = Home::signed_in();
    let damaged = b"{\"sign_\xff".to_vec();
    home.house.world.files.borrow_mut().insert("sign-ins.json".into(), damaged);
    let home = home.restart();
    home.service.gives("access-1", 3600, LASTING);
    let problems = home.problems();
    assert!(problems.iter().any(|words| words.contains("sign-ins.json")), "{problems:?}");
    home.sign_in().expect("the service gives tokens");
    assert_eq!(home.problems(), Vec::<String>::new());
    assert!(home.file().contains("refresh-1"));
}

#[test]
fn a_sign_in_is_for_its_user_and_client_and_is_forgotten_with_the_route() {
    let home = Home::signed_in();
    home.house.configure(r#""client_id": "us""#, r#""client_id": "others""#);
    assert_eq!(home.row().state, SignInState::Missing);
    home.house.configure(r#""client_id": "others""#, r#""client_id": "us""#);
    assert_eq!(home.row().state, SignInState::Missing, "that was forgotten");
    let route = home.house.running.control.document();
    assert!(route.contains("(set)"), "the client's secret is of the same route");
}
