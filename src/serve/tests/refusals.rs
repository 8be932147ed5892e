//! Servers that refuse us rather than a message: the owner is told, and mail waits or goes another
//! way.

use super::*;
use crate::limits;

const SECOND: &str = "192.0.2.26:25";
const DAY: u64 = 86_400;
const SUSPENDED: &str = "550 5.7.1 Your account has been suspended for unusual activity";
const LISTED: &str = "550 5.7.1 Client host [203.0.113.9] blocked using zen.spamhaus.org";

/// Everything goes by the first smarthost, and by the second while that cannot be used.
fn two_ways() -> House {
    let first = r#"{"for": "*", "via": "192.0.2.25:25", "tls": "may"}"#;
    let both = format!(r#"{first}, {{"for": "*", "via": "{SECOND}", "tls": "may"}}"#);
    House::with(&CONFIG.replace(first, &both))
}

fn alarm(house: &House) {
    house.send("alice@home.test", &["me@example.org", "you@example.org"], "alarm");
    house.world.run();
}

fn taken(house: &House, at: &str) -> usize {
    house.world.mail.borrow().iter().filter(|mail| mail.at == at).count()
}

fn problems(house: &House) -> String {
    let status = house.world.wait(house.desk().status());
    let routes = status.problems.into_iter().filter(|p| p.key == "routes");
    routes.map(|p| p.words).collect::<Vec<_>>().join(" ")
}

#[test]
fn mail_waits_while_the_account_is_suspended_wherever_that_is_said_and_the_owner_is_told() {
    for at in ["EHLO", "MAIL", "RCPT", "DATA", "."] {
        let house = House::new();
        let smarthost = house.world.server(SMARTHOST);
        // Nobody takes recipients of a sender that was refused.
        let after =
            if at == "MAIL" { ("RCPT", "503 5.5.1 MAIL first") } else { ("HELO", SUSPENDED) };
        smarthost.says(&[(at, SUSPENDED), after]);
        for _ in 0..20 {
            alarm(&house);
        }
        assert_eq!(house.world.knocks.borrow().len(), 1, "{at}: one is enough to know");
        house.pass(60 * DAY);
        assert_eq!(house.world.told("failed").len(), 0, "{at}");
        assert_eq!(house.mailbox("alice").len(), 0, "{at}: nobody else can mend it");
        let knocks = house.world.knocks.borrow().len() as u64;
        let most = 60 * DAY / limits::LOGIN_REST.as_secs() + 1;
        assert!(knocks <= most, "{at}: {knocks}");
        let told = problems(&house);
        assert!(told.contains("closed or locked this account"), "{at}: {told}");
        let row = &house.rows()[0].reason;
        assert!(row.contains(SUSPENDED) && row.contains("Log in there"), "{at}: {row}");

        smarthost.says(&[]);
        house.pass(DAY);
        assert_eq!(taken(&house, SMARTHOST), 20, "{at}");
        assert_eq!(problems(&house), "", "{at}");
    }
}

#[test]
fn what_is_about_us_and_not_about_the_message_goes_by_the_next_way_at_once() {
    for refusal in [
        SUSPENDED,
        LISTED,
        "550 5.4.5 Daily user sending limit exceeded",
        "452 Daily quota is used up",
        "530 5.7.0 Authentication required",
        "554 5.7.1 Relay access denied",
    ] {
        for at in ["MAIL", "RCPT", "."] {
            let house = two_ways();
            house.world.server(SMARTHOST).says(&[(at, refusal)]);
            house.world.server(SECOND);
            for _ in 0..5 {
                alarm(&house);
            }
            assert_eq!(taken(&house, SECOND), 5, "{refusal} at {at}");
            assert_eq!(house.world.told("failed").len(), 0);
            let told = house.world.told("rerouted");
            assert_eq!(told.len(), 1, "{at}: {told:?}");
            assert!(problems(&house).contains(refusal), "{at}");
        }
    }
}

#[test]
fn a_message_that_is_refused_is_not_sent_another_way() {
    for refusal in ["550 5.7.1 we think it is spam", "552 5.3.4 Too large", "550 5.1.1 Unknown"] {
        let house = two_ways();
        house.world.server(SMARTHOST).says(&[("RCPT", refusal)]);
        house.world.server(SECOND);
        alarm(&house);
        assert_eq!(taken(&house, SECOND), 0, "{refusal}");
        assert_eq!(house.mailbox("alice").len(), 1, "{refusal}");
    }
}

#[test]
fn an_address_of_ours_on_a_block_list_bounces_with_words_that_help() {
    for at in ["", "EHLO", "MAIL", "RCPT", "."] {
        let house = House::new();
        house.world.server(SMARTHOST).says(&[(at, LISTED), ("HELO", LISTED)]);
        alarm(&house);
        house.pass(60);
        let reports = house.mailbox("alice");
        assert_eq!(reports.len(), 1, "{at}");
        let words = reports[0].replace("\r\n", " ");
        assert!(words.contains("zen.spamhaus.org"), "{at}: {words}");
        assert!(words.contains("Send by a smarthost"), "{at}: {words}");
        assert!(house.running.relay.queue.is_empty());
    }
}

#[test]
fn a_quota_is_used_again_when_it_is_there_and_costs_few_attempts() {
    let house = House::new();
    let smarthost = house.world.server(SMARTHOST);
    let first = ("RCPT", "503 5.5.1 MAIL first");
    smarthost.says(&[("MAIL", "550 5.4.5 Daily user sending limit exceeded"), first]);
    for _ in 0..30 {
        alarm(&house);
    }
    house.pass(DAY);
    let knocks = house.world.knocks.borrow().len();
    assert!(knocks <= 24 * 4 + 1, "{knocks}");
    assert_eq!(house.world.told("failed").len(), 0);
    let row = &house.rows()[0].reason;
    assert!(row.contains("limit for sending is used up"), "{row}");
    smarthost.says(&[]);
    house.pass(DAY);
    assert_eq!(taken(&house, SMARTHOST), 30);
}

#[test]
fn a_server_that_has_lost_its_place_is_asked_again() {
    let house = House::new();
    let smarthost = house.world.server(SMARTHOST);
    let first = ("RCPT", "503 5.5.1 MAIL first");
    smarthost.says(&[("MAIL", "503 5.5.1 Error: send HELO/EHLO first"), first]);
    alarm(&house);
    assert_eq!(house.world.told("deferred").len(), 1);
    smarthost.says(&[]);
    house.pass(DAY);
    assert_eq!(taken(&house, SMARTHOST), 1);
}
