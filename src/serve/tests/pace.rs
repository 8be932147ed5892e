//! Ways that take so much in some time and no more.

use super::*;
use crate::limits;

const OTHER: &str = "192.0.2.26:25";

fn house(route: &str) -> House {
    House::with(&CONFIG.replace(r#""tls": "may"}"#, route))
}

fn taken(house: &House, at: &str) -> usize {
    house.world.mail.borrow().iter().filter(|mail| mail.at == at).count()
}

#[test]
fn no_more_go_in_a_minute_than_allowed_and_all_go_in_the_end() {
    let house = house(r#""tls": "none", "per_minute": 10}"#);
    house.world.server(SMARTHOST);
    for _ in 0..45 {
        house.send("camera@home.test", &["me@example.org"], "alarm");
    }
    let mut seen = vec![0];
    for _ in 0..400 {
        house.pass(1);
        seen.push(taken(&house, SMARTHOST));
    }
    for (n, before) in seen.iter().enumerate() {
        let later = seen.get(n + 59).unwrap_or(seen.last().expect("it is there"));
        assert!(later - before <= 10, "{} within a minute from second {n}", later - before);
    }
    assert_eq!(seen[5], 10, "what may go goes at once");
    assert_eq!(seen[300], 45, "{seen:?}");
    assert_eq!(house.world.told("deferred").len(), 0, "nothing was tried in vain");
    let told = house.world.told("paced").len();
    assert!((4..=8).contains(&told), "{told}");
    let polls = house.world.polls.get();
    house.pass(86_400);
    assert!(house.world.polls.get() - polls < 200, "nothing is awake when nothing waits");
}

#[test]
fn a_way_that_is_slow_delays_no_other() {
    let routes = format!(
        r#""tls": "none", "per_hour": 1}}, {{"for": "quick.example", "via": "{OTHER}", "tls": "none"}}"#
    );
    let house = house(&routes);
    house.world.server(SMARTHOST);
    house.world.server(OTHER);
    for _ in 0..limits::LANES_JOBS {
        house.send("camera@home.test", &["me@example.org"], "alarm");
    }
    for _ in 0..50 {
        house.send("camera@home.test", &["you@quick.example"], "alarm");
    }
    house.pass(5);
    assert_eq!((taken(&house, SMARTHOST), taken(&house, OTHER)), (1, 50));
}

#[test]
fn what_is_over_the_days_quota_goes_by_the_second_way_and_a_minute_is_waited_for() {
    for (bound, second) in [("per_day", true), ("per_minute", false)] {
        let routes = format!(
            r#""tls": "none", "{bound}": 3}}, {{"for": "*", "via": "{OTHER}", "tls": "none"}}"#
        );
        let house = house(&routes);
        house.world.server(SMARTHOST);
        house.world.server(OTHER);
        for _ in 0..8 {
            house.send("camera@home.test", &["me@example.org"], "alarm");
            house.pass(1);
        }
        house.pass(300);
        let ways = (taken(&house, SMARTHOST), taken(&house, OTHER));
        assert_eq!(ways, if second { (3, 5) } else { (8, 0) }, "{bound}");
        house.pass(2 * 86_400);
        house.send("camera@home.test", &["me@example.org"], "alarm");
        house.pass(1);
        assert_eq!(taken(&house, SMARTHOST), ways.0 + 1, "the first way is taken again");
    }
}

#[test]
fn so_many_connections_and_messages_over_each_and_no_more() {
    for (hangs, knocks) in [(true, 2..=2), (false, 4..=6)] {
        let house = house(r#""tls": "none", "connections": 2, "per_connection": 5}"#);
        let smarthost = house.world.server(SMARTHOST);
        smarthost.says(if hangs { &[("MAIL", "~")] } else { &[] });
        for _ in 0..20 {
            house.send("camera@home.test", &["me@example.org"], "alarm");
        }
        house.pass(60);
        assert_eq!(taken(&house, SMARTHOST), if hangs { 0 } else { 20 });
        let made = house.world.knocks.borrow().len();
        assert!(knocks.contains(&made), "{made} connections for 20 messages");
    }
}

#[test]
fn a_new_configuration_ends_the_wait_and_what_has_gone_still_counts() {
    let house = house(r#""tls": "none", "per_hour": 2}"#);
    house.world.server(SMARTHOST);
    for _ in 0..6 {
        house.send("camera@home.test", &["me@example.org"], "alarm");
    }
    house.pass(5);
    assert_eq!(taken(&house, SMARTHOST), 2);
    house.configure(r#""per_hour": 2"#, r#""per_hour": 5"#);
    house.pass(5);
    assert_eq!(taken(&house, SMARTHOST), 5, "two have gone in this hour before");
    house.configure(r#""per_hour": 5"#, r#""sign": false"#);
    house.pass(5);
    assert_eq!(taken(&house, SMARTHOST), 6);
}
