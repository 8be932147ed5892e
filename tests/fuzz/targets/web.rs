//! The page's HTTP and JSON: one connection that sends anything, from this machine, from the house
//! or over the control socket.

use crate::{
    disk::SimDisk,
    input::Input,
    world::{Ended, World},
};
use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    cell::{Cell, RefCell},
    future::{pending, ready},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};
use waypost::{
    config::Document,
    relay::envelope::{Id, Octets},
    serve::web::{
        Web,
        office::{
            Action, AdminLogin, AdminState, Apply, Begun, Chart, DeviceRow, Event, FindingRow,
            Keys, LogPart, Message, Office, Page, Problem, QueuePage, Scope, SettingRow, SignInHow,
            SignInRow, Status, TranscriptRow, TrialAsked, TrialPart, UserChange, Which,
        },
    },
    sys::{Listener, Pending, Stream, TlsFacts},
};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let whole = statuses(&visit(&input, usize::MAX));
    for piece in [1, 2 + input.choice(2) % 100] {
        assert_eq!(statuses(&visit(&input, piece)), whole, "pieces of {piece}");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let post = |path: &str, body: &str| {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8025\r\n\r\n");
    for path in [
        "/",
        "/app.js",
        "/healthz",
        "/metrics",
        "/api/session",
        "/api/status",
        "/api/config",
        "/api/queue?offset=1&limit=5",
        "/api/queue/7ZK3M9Q2XD",
        "/api/trace?q=a%40b",
        "/api/recent?limit=3",
        "/api/settings",
        "http://localhost/?x",
        "/%zz",
    ] {
        seeds.push(get(path));
        seeds.push(get(path).replace("GET", "HEAD") + &get("/healthz"));
    }
    for (path, body) in [
        ("/api/setup", r#"{"code": "1234", "password": "long enough"}"#),
        ("/api/login", r#"{"password": "x"}"#),
        ("/api/password", r#"{"old": "x", "password": "long enough"}"#),
        ("/api/queue/retry", ""),
        ("/api/queue/7ZK3M9Q2XD/hold", "{}"),
        ("/api/config/check", r#"{"hostname": "a.example"}"#),
        ("/api/check/domain", r#"{"domain": "a.example"}"#),
        ("/api/test", r#"{"to": "a@b", "from": null}"#),
        ("/api/users", r#"{"name": "a", "password": "long enough"}"#),
        ("/api/users/a/password", r#"{"password": "long enough"}"#),
    ] {
        seeds.push(post(path, body));
        seeds.push(post(path, body).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
    }
    seeds.push(post("/api/config", "{}").replace("POST", "PUT"));
    seeds.push(get("/api/users/a").replace("GET", "DELETE"));
    seeds.push("GET / HTTP/1.0\r\n\r\n".into());
    let callers = seeds.iter().flat_map(|text| [(text, 0), (text, 1), (text, 2)]);
    callers.map(|(text, caller)| Input::compose(text.as_bytes(), &[caller, caller])).collect()
}

/// All that is answered to somebody who sends this in such pieces, and then no more.
fn visit(input: &Input<'_>, piece: usize) -> Vec<u8> {
    let peers = [None, Some("127.0.0.1:4000"), Some("192.168.1.9:4000")];
    let peer = input.one_of(0, &peers).map(|peer| peer.parse().expect("an address"));
    let said = Rc::new(RefCell::new(Vec::new()));
    let octets = input.octets.to_vec();
    let line = Line { octets, at: 0, piece, peer, said: said.clone(), closed: Cell::new(false) };
    let world = World::new(3);
    let sys = world.sys(&SimDisk::new(1, 0));
    let office = Rc::new(Desk(input.choice(1)));
    let door = Door(RefCell::new(Some(line)));
    sys.spawn(Web::new(sys.clone(), office).serve(Box::new(door)));
    // The door stays open for ever; the connection must be gone.
    let steps = 20_000 + 20 * input.octets.len() as u64;
    assert_eq!(world.run(steps), Ended::Stuck, "it comes to rest");
    assert_eq!(Rc::strong_count(&said), 1, "the connection is closed");
    world.kill();
    said.take()
}

/// The codes of all final responses, which must be whole.
fn statuses(said: &[u8]) -> Vec<String> {
    let mut statuses = Vec::new();
    let mut rest = said;
    let starts = |octets: &[u8]| octets.is_empty() || octets.starts_with(b"HTTP/1.1 ");
    while !rest.is_empty() {
        assert!(starts(rest), "a response starts here");
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").expect("a head ends") + 4;
        let (head, after) = rest.split_at(end);
        let head = str::from_utf8(head).expect("a head is text");
        let status = head.get(9..12).expect("a code").to_string();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |length| length.parse().expect("a number"));
        // The answer to HEAD has no body.
        let whole = after.len() >= length && starts(&after[length..]);
        let body = if whole { &after[..length] } else { &[] };
        if head.contains("Content-Type: application/json\r\n") && !body.is_empty() {
            let body = str::from_utf8(body).expect("JSON is UTF-8");
            assert!(Document::parse(body).is_ok(), "{body}");
        }
        rest = &after[body.len()..];
        // Leave to send the body is given only where it has not come already. RFC 9110 §10.1.1.
        statuses.extend(Some(status).filter(|status| status != "100"));
    }
    statuses
}

/// A listener with one visitor.
struct Door(RefCell<Option<Line>>);

impl Listener for Door {
    fn accept(&self) -> Pending<'_, io::Result<Box<dyn Stream>>> {
        match self.0.take() {
            Some(line) => Box::pin(ready(Ok(Box::new(line) as Box<dyn Stream>))),
            None => Box::pin(pending()),
        }
    }
    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

struct Line {
    octets: Vec<u8>,
    at: usize,
    piece: usize,
    peer: Option<SocketAddr>,
    said: Rc<RefCell<Vec<u8>>>,
    closed: Cell<bool>,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!into.is_empty(), "a reader has room");
        let next = (self.octets.len() - self.at).min(self.piece).min(into.len());
        into[..next].copy_from_slice(&self.octets[self.at..self.at + next]);
        self.at += next;
        Poll::Ready(Ok(next))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.closed.get(), "nothing is said after the end");
        self.said.borrow_mut().extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed.set(true);
        Poll::Ready(Ok(()))
    }
}

impl Stream for Line {
    fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    fn tls(&self) -> Option<TlsFacts> {
        None
    }
}

/// A relay that gives back what it is asked, so that hostile words come through the JSON.
struct Desk(usize);

fn at_once<'a, T: 'a>(value: T) -> Pending<'a, T> {
    Box::pin(ready(value))
}

impl Office for Desk {
    fn status(&self) -> Pending<'_, Status> {
        at_once(Status::default())
    }
    fn queue(&self, page: Page) -> Pending<'_, QueuePage> {
        assert!((1..=waypost::limits::WEB_ROWS).contains(&page.limit));
        at_once(QueuePage::default())
    }
    fn message(&self, _: Id) -> Pending<'_, Option<Message>> {
        at_once(None)
    }
    fn act(&self, _: Which, _: Action) -> Pending<'_, Result<u64, String>> {
        at_once(if self.0 & 1 == 1 { Ok(1) } else { Err("no such message".into()) })
    }
    fn trace<'a>(&'a self, query: &'a str) -> Pending<'a, Vec<Event>> {
        at_once(vec![Event { words: query.into(), ..Event::default() }])
    }
    fn recent(&self, limit: usize, _: Option<u64>) -> Pending<'_, Vec<Event>> {
        at_once(vec![Event::default(); limit])
    }
    fn octets(&self, id: Id) -> Pending<'_, Option<Rc<dyn Octets>>> {
        let octets = Rc::new(id.to_string().into_bytes()) as Rc<dyn Octets>;
        at_once((self.0 & 1 == 1).then_some(octets))
    }
    fn devices(&self) -> Pending<'_, Vec<DeviceRow>> {
        at_once(vec![DeviceRow::default()])
    }
    fn forget_device(&self, _: IpAddr) {}
    fn transcripts(&self, id: Id) -> Vec<TranscriptRow> {
        vec![TranscriptRow { at: None, text: id.to_string() }]
    }
    fn begin_trial(&self, asked: TrialAsked) -> Result<u64, Vec<Problem>> {
        let problem = Problem { key: asked.route, words: asked.to };
        if self.0 & 1 == 1 { Ok(1) } else { Err(vec![problem]) }
    }
    fn trial(&self, number: u64, _: usize) -> Pending<'_, Option<TrialPart>> {
        at_once((number == 1).then(TrialPart::default))
    }
    fn open_relay(&self) -> Vec<FindingRow> {
        vec![FindingRow::default()]
    }
    fn log(&self, after: u64) -> Pending<'_, LogPart> {
        at_once(LogPart { lines: Vec::new(), last: after })
    }
    fn whole_log(&self) -> Pending<'_, String> {
        at_once("event=started\n".into())
    }
    fn chart(&self) -> Chart {
        Chart::default()
    }
    fn previous(&self) -> Option<String> {
        None
    }
    fn undo(&self) -> Pending<'_, Result<(), Vec<Problem>>> {
        at_once(Ok(()))
    }
    fn backup<'a>(&'a self, password: &'a str) -> Pending<'a, Result<Vec<u8>, String>> {
        at_once(if self.0 & 1 == 1 { Ok(vec![7]) } else { Err(password.into()) })
    }
    fn restore<'a>(
        &'a self,
        file: &'a [u8],
        password: &'a str,
    ) -> Pending<'a, Result<(), Vec<Problem>>> {
        let problem = Problem { key: String::new(), words: password.into() };
        at_once(if file.is_empty() { Ok(()) } else { Err(vec![problem]) })
    }
    fn is_board(&self) -> bool {
        true
    }
    fn board<'a>(&'a self, question: &'a str) -> Pending<'a, Option<Result<String, String>>> {
        at_once(match self.0 & 3 {
            0 => None,
            1 => Some(Err("no answer".into())),
            2 => Some(Ok(question.into())),
            _ => Some(Ok("nonsense".into())),
        })
    }
    fn update_part(&self, at: u64, octets: Vec<u8>) -> Pending<'_, Result<(), String>> {
        assert!(octets.len() <= waypost::limits::BOARD_PART_BYTES);
        at_once(if at == 0 { Ok(()) } else { Err("a gap".into()) })
    }
    fn forget_update(&self) -> Pending<'_, ()> {
        at_once(())
    }
    fn scope(&self, token: &str) -> Option<Scope> {
        Scope::of(token)
    }
    fn make_token<'a>(&'a self, name: &'a str, _: Scope) -> Pending<'a, Result<String, String>> {
        at_once(Err(name.into()))
    }
    fn renew(&self) -> Pending<'_, ()> {
        at_once(())
    }
    fn document(&self) -> String {
        "{}".into()
    }
    fn apply<'a>(&'a self, document: &'a str, _: Apply) -> Pending<'a, Result<(), Vec<Problem>>> {
        at_once(Err(vec![Problem { key: "x".into(), words: document.into() }]))
    }
    fn check(&self) -> Pending<'_, Vec<Problem>> {
        at_once(Vec::new())
    }
    fn doctor<'a>(&'a self, domain: &'a str) -> Pending<'a, Result<Vec<FindingRow>, String>> {
        at_once(if self.0 & 1 == 1 { Ok(vec![FindingRow::default()]) } else { Err(domain.into()) })
    }
    fn settings(&self) -> Vec<SettingRow> {
        vec![SettingRow::default()]
    }
    fn test<'a>(&'a self, to: &'a str, from: Option<&'a str>) -> Pending<'a, Result<Id, String>> {
        at_once(if from.is_some() { Ok(Id::new(7)) } else { Err(to.into()) })
    }
    fn user<'a>(&'a self, name: &'a str, _: UserChange) -> Pending<'a, Result<(), String>> {
        at_once(if self.0 & 1 == 1 { Ok(()) } else { Err(name.into()) })
    }
    fn keys(&self) -> Keys {
        Keys { keys: Vec::new(), notes: vec!["a note".into()] }
    }
    fn make_keys<'a>(&'a self, domain: &'a str, _: &'a str) -> Pending<'a, Result<Keys, String>> {
        at_once(if self.0 & 1 == 1 { Ok(self.keys()) } else { Err(domain.into()) })
    }
    fn retire_keys<'a>(&'a self, domain: &'a str, _: &'a str) -> Pending<'a, Result<Keys, String>> {
        at_once(if self.0 & 1 == 1 { Ok(self.keys()) } else { Err(domain.into()) })
    }
    fn sign_ins(&self) -> Vec<SignInRow> {
        vec![SignInRow::default()]
    }
    fn begin_sign_in(&self, _: usize, how: SignInHow) -> Pending<'_, Result<Begun, String>> {
        at_once(match how {
            SignInHow::Link(page) => {
                Ok(Begun::Link { link: page.unwrap_or_default(), redirect: String::new() })
            }
            SignInHow::Code => Err("no codes".into()),
        })
    }
    fn finish_sign_in<'a>(&'a self, text: &'a str) -> Pending<'a, Result<String, String>> {
        at_once(Err(text.into()))
    }
    fn admin(&self) -> AdminState {
        if self.0 & 2 == 2 { AdminState::Set } else { AdminState::NotSet { code: "1234".into() } }
    }
    fn set_admin<'a>(&'a self, password: &'a str) -> Pending<'a, Result<(), String>> {
        assert!(!password.is_empty());
        at_once(Ok(()))
    }
    fn check_admin<'a>(&'a self, _: Option<IpAddr>, _: &'a str) -> Pending<'a, AdminLogin> {
        at_once([AdminLogin::Welcome, AdminLogin::Wrong, AdminLogin::Throttled(9)][self.0 % 3])
    }
    fn hosts(&self) -> Vec<String> {
        vec!["relay.example".into()]
    }
    fn health(&self) -> Result<(), String> {
        if self.0 & 1 == 1 { Ok(()) } else { Err("the spool is full".into()) }
    }
    fn metrics(&self) -> Pending<'_, String> {
        at_once("waypost_up 1\n".into())
    }
}
