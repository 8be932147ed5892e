//! Every bound of HTTP at the bound and one past it, and clients that are slow on purpose.

use super::{House, NEIGHBOUR, Reply, json};
use crate::{
    limits,
    serve::web::http::{Refusal, parse},
};
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(1);

/// A request whose head is exactly this long.
fn padded(length: usize) -> Vec<u8> {
    let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4)).into_bytes()
}

#[test]
fn a_head_may_fill_its_bound_and_no_octet_more() {
    let house = House::new();
    let fits = padded(limits::WEB_HEAD_BYTES);
    assert_eq!(fits.len(), limits::WEB_HEAD_BYTES);
    assert_eq!(Reply::read(&house.send(&fits).take()).status, 200);
    let over = padded(limits::WEB_HEAD_BYTES + 1);
    let reply = Reply::read(&house.send(&over).take());
    assert_eq!((reply.status, reply.field("Connection")), (431, Some("close")));
}

#[test]
fn so_many_fields_and_no_more() {
    let house = House::new();
    let fields =
        |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(n - 1));
    let send = |n| Reply::read(&house.send(fields(n).as_bytes()).take()).status;
    assert_eq!(send(limits::WEB_HEADER_FIELDS), 200);
    assert_eq!(send(limits::WEB_HEADER_FIELDS + 1), 431);
}

#[test]
fn a_body_may_fill_its_bound_and_no_octet_more() {
    let house = House::new();
    let put = |length: usize| {
        let browser = house.logged_in();
        let body = json!("x".repeat(length - 2));
        (browser.ask("PUT", "/api/config", Some(body)).status, house.done().len())
    };
    assert_eq!(put(limits::WEB_BODY_BYTES), (200, 1));
    assert_eq!(put(limits::WEB_BODY_BYTES + 1), (413, 0));
}

#[test]
fn a_stranger_may_not_send_a_large_body() {
    let house = House::new();
    let request = format!(
        "PUT /api/config HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        1000
    );
    let reply = Reply::read(&house.send(request.as_bytes()).take());
    assert_eq!((reply.status, reply.field("Connection")), (401, Some("close")));
    let huge = "POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
        Content-Length: 99999999999999999999999999\r\n\r\n";
    assert_eq!(Reply::read(&house.send(huge.as_bytes()).take()).status, 413);
}

#[test]
fn requests_that_can_be_read_in_two_ways_are_refused() {
    let house = House::new();
    for (fields, status) in [
        ("Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n", 400),
        ("Host: a\r\nContent-Length: +1\r\n", 400),
        ("Host: a\r\nContent-Length: 1, 1\r\n", 400),
        ("Host: a\r\nContent-Length:\r\n", 400),
        ("Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Host: a\r\nTransfer-Encoding: chunked\r\n", 411),
        ("Host: a\r\nHost: b\r\n", 400),
        ("", 400),
        ("Host: a\r\nX : y\r\n", 400),
        ("Host: a\r\nX: y\r\n z\r\n", 400),
        ("Host: a\r\nX: \u{0}\r\n", 400),
        ("Host: a\r\nExpect: tea\r\n", 417),
    ] {
        let request = format!("POST /api/login HTTP/1.1\r\n{fields}\r\nx");
        let client = house.send(request.as_bytes());
        let reply = Reply::read(&client.take());
        assert_eq!((reply.status, reply.field("Connection")), (status, Some("close")), "{fields}");
        house.world.pass(Duration::from_secs(3));
        assert!(client.is_over());
    }
    for (line, status) in [
        ("GET / HTTP/2.0", 505),
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET x HTTP/1.1", 400),
        ("\u{1}\u{2}\u{3}\u{4}", 400),
        ("GET /\u{0} HTTP/1.1", 400),
    ] {
        let client = house.send(format!("{line}\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(Reply::read(&client.take()).status, status, "{line:?}");
    }
}

#[test]
fn a_head_reads_the_same_however_it_arrives() {
    let request = b"\r\n\r\nPOST /api/x?y=%20 HTTP/1.1\r\nHOST: a:1\r\n\
        Content-Length: 3\r\nX:  z \r\n\r\nabc";
    let skipped = request.strip_prefix(b"\r\n\r\n").expect("blank lines");
    let (head, used) = parse(skipped).expect("good").expect("whole");
    assert_eq!((head.path.as_str(), head.query.as_str()), ("/api/x", "y=%20"));
    assert_eq!((head.host.as_str(), head.length, head.field("x")), ("a:1", 3, Some("z")));
    assert_eq!(skipped.get(used..), Some(&b"abc"[..]));
    for cut in 0..used {
        assert_eq!(parse(&skipped[..cut]), Ok(None), "{cut}");
    }
    assert_eq!(parse(b"\0"), Err(Refusal(400, "This is not an HTTP request.")));

    let house = House::new();
    let client = house.door.connect(Some(NEIGHBOUR));
    for octet in b"\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" {
        assert!(client.take().is_empty());
        client.send(&[*octet]);
        house.world.run();
    }
    assert_eq!(Reply::read(&client.take()).status, 200);
}

#[test]
fn a_connection_is_kept_and_requests_may_wait_in_it() {
    let house = House::new();
    let one = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let client = house.send(one.repeat(3).as_bytes());
    let text = String::from_utf8(client.take()).expect("UTF-8");
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3);
    assert!(!client.is_over());
    client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    house.world.pass(MOMENT);
    assert_eq!(Reply::read(&client.take()).field("Connection"), Some("close"));
    let old = house.send(b"GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(Reply::read(&old.take()).status, 421, "HTTP/1.0 without a Host");
    let old = house.send(b"GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(Reply::read(&old.take()).field("Connection"), Some("close"));
}

#[test]
fn a_connection_ends_after_so_many_requests() {
    let house = House::new();
    let client = house.door.connect(Some(NEIGHBOUR));
    for left in (0..limits::WEB_REQUESTS).rev() {
        client.send(b"HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        house.world.run();
        let closes = Reply::read(&client.take()).field("Connection").is_some();
        assert_eq!(closes, left == 0);
    }
}

#[test]
fn a_body_that_waits_to_be_asked_for_is_asked_for() {
    let house = House::new();
    let login = |length: usize| {
        format!(
            "POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
             Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let client = house.send(login(28).as_bytes());
    assert_eq!(client.take(), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(br#"{"password":"correct horse"}"#);
    house.world.run();
    assert_eq!(Reply::read(&client.take()).status, 200);
    let refused = house.send(login(1_000_000).as_bytes());
    assert_eq!(Reply::read(&refused.take()).status, 413, "and not asked for where it is refused");
}

#[test]
fn who_sends_a_head_slowly_is_told_to_go() {
    let house = House::new();
    let client = house.send(b"GET / HTTP/1.1\r\n");
    let mut waited = Duration::ZERO;
    let step = Duration::from_secs(1);
    while waited + step < limits::WEB_HEAD_WAIT {
        client.send(b"X: y\r\n");
        house.world.pass(step);
        waited += step;
        assert!(client.take().is_empty() && !client.is_over(), "{waited:?}");
    }
    house.world.pass(step);
    assert_eq!(Reply::read(&client.take()).status, 408);
    house.world.pass(Duration::from_secs(3));
    assert!(client.is_over());
}

#[test]
fn who_sends_nothing_is_let_go_without_a_word() {
    let house = House::new();
    let client = house.door.connect(Some(NEIGHBOUR));
    house.world.run();
    house.world.pass(limits::WEB_IDLE_WAIT.saturating_sub(MOMENT));
    assert!(!client.is_over());
    house.world.pass(MOMENT);
    assert!(client.is_over() && client.take().is_empty());
    let kept = house.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    kept.take();
    house.world.pass(limits::WEB_IDLE_WAIT);
    assert!(kept.is_over());
}

#[test]
fn who_sends_a_body_slowly_is_told_to_go() {
    let house = House::new();
    let client = house.send(
        b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: 9\r\n\r\n{",
    );
    house.world.pass(limits::WEB_BODY_WAIT.saturating_sub(MOMENT));
    assert!(client.take().is_empty());
    client.send(b"\"");
    house.world.pass(MOMENT);
    assert_eq!(Reply::read(&client.take()).status, 408);
    let gone = house.send(
        b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: 9\r\n\r\n{",
    );
    gone.close();
    house.world.run();
    assert!(gone.take().is_empty() && gone.is_over());
}

#[test]
fn who_reads_slowly_is_let_go() {
    let house = House::new();
    let client = house.door.connect(Some(NEIGHBOUR));
    client.window.set(Some(100));
    client.send(b"GET /app.js HTTP/1.1\r\nHost: a\r\n\r\n");
    house.world.run();
    house.world.pass(limits::WEB_WRITE_WAIT.saturating_sub(MOMENT));
    assert_eq!(client.take().len(), 100);
    house.world.pass(MOMENT);
    client.take();
    assert!(client.is_over());
}

#[test]
fn slow_clients_on_every_seat_keep_nobody_out() {
    let house = House::new();
    let slow: Vec<_> = (0..limits::WEB_CONNECTIONS)
        .map(|_| {
            let client = house.send(b"GET / HTTP/1.1\r\n");
            house.world.pass(MOMENT);
            client
        })
        .collect();
    assert!(slow.iter().all(|client| !client.is_over()));
    assert_eq!(house.plain("GET", "/healthz").status, 200);
    let left: Vec<_> = slow.iter().map(super::Client::is_over).collect();
    assert!(left[0] && left[1..].iter().all(|over| !over), "the slowest alone has left");
}

#[test]
fn when_everybody_is_being_answered_a_new_client_hears_so() {
    let house = House::new();
    let busy: Vec<_> = (0..limits::WEB_CONNECTIONS)
        .map(|_| {
            let client = house.door.connect(Some(NEIGHBOUR));
            client.window.set(Some(0));
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    house.world.run();
    assert_eq!(house.plain("GET", "/healthz").status, 503);
    house.world.pass(limits::WEB_WRITE_WAIT);
    assert!(busy.iter().all(super::Client::is_over));
    assert_eq!(house.plain("GET", "/healthz").status, 200);
}
