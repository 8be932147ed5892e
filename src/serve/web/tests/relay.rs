//! A relay that is not there: what the page asks of it is answered at once, and kept for the test
//! to look at.

use crate::{
    relay::envelope::{Id, Octets},
    serve::web::office::{
        Action, AdminLogin, AdminState, Apply, Begun, Chart, DeviceRow, Event, FindingRow, KeyRow,
        Keys, LogLine, LogPart, Message, Office, Page, Problem, PublishRow, QueuePage,
        RecipientRow, RecipientState, RefusalRow, Row, Scope, SettingRow, SignInHow, SignInRow,
        State, Status, TranscriptRow, TrialAsked, TrialPart, TrialStep, UserChange, Which,
    },
    sys::Pending,
    time::Wall,
};
use futures_lite::future::yield_now;
use std::{cell::RefCell, future::ready, net::IpAddr, rc::Rc, time::Duration};

/// What a stranger may have put into every text of a message.
pub(super) const HOSTILE: &str =
    "\"'\\ \u{0}\u{7}\u{1b}[31m\r\n\t</script><img src=x onerror=alert(1)> \u{202e}é😀";

/// The relay.
pub(super) struct Relay {
    pub(super) password: RefCell<Option<String>>,
    pub(super) document: RefCell<String>,
    /// Everything that was to be changed, in words.
    pub(super) done: RefCell<Vec<String>>,
    pub(super) well: RefCell<Result<(), String>>,
}

impl Default for Relay {
    fn default() -> Relay {
        Relay {
            password: RefCell::new(Some("correct horse".into())),
            document: RefCell::new("{\"hostname\":\"relay.example.org\"}".into()),
            done: RefCell::default(),
            well: RefCell::new(Ok(())),
        }
    }
}

impl Relay {
    fn note<T: 'static>(&self, what: String, answer: T) -> Pending<'static, T> {
        self.done.borrow_mut().push(what);
        Box::pin(ready(answer))
    }
}

/// A message of some chunks.
pub(super) fn large() -> Vec<u8> {
    b"Subject: x\r\n\r\n0123456789\r\n".repeat(5000)
}

pub(super) fn row() -> Row {
    Row {
        id: Id::new(7),
        from: HOSTILE.into(),
        to: vec![HOSTILE.into(), "b@example.org".into()],
        size: 2048,
        state: State::Waiting,
        attempts: 3,
        arrived: Some(Wall(1_795_338_000)),
        next: Some(Duration::from_secs(90)),
        reason: HOSTILE.into(),
        subject: HOSTILE.into(),
    }
}

/// What a keeper tells.
fn board() -> serde_json::Value {
    serde_json::json!({
        "board": "x86-64-uefi", "title": HOSTILE, "architecture": "x86_64", "version": "0.1.0",
        "built": 1_764_200_000, "slot": "a", "trial": false, "outcome": HOSTILE, "updating": false,
        "name": "waypost.local", "addresses": ["192.0.2.1"], "network": HOSTILE, "wifi": HOSTILE,
        "clock": HOSTILE, "clock_is_set": true, "memory_octets": 250_000_000,
        "free_octets": 190_000_000, "last_words": HOSTILE, "troubles": [HOSTILE]
    })
}

impl Office for Relay {
    fn status(&self) -> Pending<'_, Status> {
        let status = Status { hostname: HOSTILE.into(), ..Status::default() };
        Box::pin(ready(status))
    }
    fn queue(&self, page: Page) -> Pending<'_, QueuePage> {
        let rows = vec![row(); page.limit];
        self.note(format!("queue {} {}", page.offset, page.limit), QueuePage { total: 1000, rows })
    }
    fn message(&self, id: Id) -> Pending<'_, Option<Message>> {
        let recipient = RecipientRow {
            to: HOSTILE.into(),
            state: RecipientState::Waiting,
            status: "4.2.2".into(),
            by: HOSTILE.into(),
            words: HOSTILE.into(),
            advice: None,
        };
        Box::pin(ready((id == Id::new(7)).then(|| Message {
            row: row(),
            recipients: vec![recipient],
            source: HOSTILE.into(),
            message_id: HOSTILE.into(),
            header: HOSTILE.into(),
        })))
    }
    fn act(&self, which: Which, action: Action) -> Pending<'_, Result<u64, String>> {
        let answer = match which {
            Which::One(id) if id != Id::new(7) => Err("no such message".into()),
            Which::One(_) => Ok(1),
            Which::All => Ok(12),
        };
        self.note(format!("{action:?} {which:?}"), answer)
    }
    fn trace<'a>(&'a self, query: &'a str) -> Pending<'a, Vec<Event>> {
        let event = Event {
            at: None,
            id: "0000000007".into(),
            event: "delivered".into(),
            words: HOSTILE.into(),
            advice: None,
        };
        self.note(format!("trace {query}"), vec![event])
    }
    fn recent(&self, limit: usize, until: Option<u64>) -> Pending<'_, Vec<Event>> {
        self.note(format!("recent {limit} {until:?}"), Vec::new())
    }
    fn octets(&self, id: Id) -> Pending<'_, Option<Rc<dyn Octets>>> {
        let octets = (id == Id::new(7)).then(|| Rc::new(large()) as Rc<dyn Octets>);
        Box::pin(ready(octets))
    }
    fn devices(&self) -> Pending<'_, Vec<DeviceRow>> {
        let refusal = RefusalRow { reply: HOSTILE.into(), ..RefusalRow::default() };
        let row = DeviceRow {
            helo: HOSTILE.into(),
            host: HOSTILE.into(),
            last_refusal: Some(refusal),
            ..DeviceRow::default()
        };
        Box::pin(ready(vec![row]))
    }
    fn forget_device(&self, address: IpAddr) {
        self.done.borrow_mut().push(format!("forget_device {address}"));
    }
    fn transcripts(&self, _: Id) -> Vec<TranscriptRow> {
        vec![TranscriptRow { at: None, text: HOSTILE.into() }]
    }
    fn begin_trial(&self, asked: TrialAsked) -> Result<u64, Vec<Problem>> {
        let problem = Problem { key: "to".into(), words: HOSTILE.into() };
        let answer = if asked.to.contains('@') { Ok(3) } else { Err(vec![problem]) };
        let what = format!("begin_trial {} {} {}", asked.route, asked.to, asked.from);
        self.done.borrow_mut().push(what);
        answer
    }
    fn trial(&self, number: u64, since: usize) -> Pending<'_, Option<TrialPart>> {
        let step = TrialStep { words: HOSTILE.into(), ..TrialStep::default() };
        let part = TrialPart { steps: vec![step], over: true, code: "7ZK3".into() };
        self.note(format!("trial {number} {since}"), (number == 3 || number == 7).then_some(part))
    }
    fn open_relay(&self) -> Vec<FindingRow> {
        vec![FindingRow { words: HOSTILE.into(), ..FindingRow::default() }]
    }
    fn log(&self, after: u64) -> Pending<'_, LogPart> {
        let line = LogLine { at: None, text: HOSTILE.into() };
        Box::pin(ready(LogPart { lines: vec![line], last: after + 1 }))
    }
    fn whole_log(&self) -> Pending<'_, String> {
        Box::pin(ready(HOSTILE.into()))
    }
    fn chart(&self) -> Chart {
        Chart { hours: vec![[0; 4]; 24], days: Vec::new() }
    }
    fn previous(&self) -> Option<String> {
        Some(HOSTILE.into())
    }
    fn undo(&self) -> Pending<'_, Result<(), Vec<Problem>>> {
        self.note("undo".into(), Ok(()))
    }
    fn backup<'a>(&'a self, password: &'a str) -> Pending<'a, Result<Vec<u8>, String>> {
        let answer = if password.is_empty() { Err(HOSTILE.into()) } else { Ok(vec![0, 255, 10]) };
        self.note("backup".into(), answer)
    }
    fn restore<'a>(
        &'a self,
        file: &'a [u8],
        password: &'a str,
    ) -> Pending<'a, Result<(), Vec<Problem>>> {
        let problem = Problem { key: String::new(), words: HOSTILE.into() };
        let answer = if file == [0, 255, 10] { Ok(()) } else { Err(vec![problem]) };
        self.note(format!("restore {} {password}", file.len()), answer)
    }
    fn is_board(&self) -> bool {
        true
    }
    fn board<'a>(&'a self, question: &'a str) -> Pending<'a, Option<Result<String, String>>> {
        let asked: serde_json::Value = serde_json::from_str(question).unwrap();
        let answer = match (asked["do"].as_str(), asked["text"].as_str()) {
            (Some("tell"), _) => Ok(board().to_string()),
            (Some("update"), _) => Ok(r#"{"version": "0.2.0"}"#.into()),
            (Some("network"), Some("bad")) => Ok(r#"{"error": "network, line 1"}"#.into()),
            (Some("network"), Some("nonsense")) => Ok("{".into()),
            (Some("network"), Some("silence")) => Err("The board does not answer.".into()),
            _ => Ok("{}".into()),
        };
        self.note(format!("board {question}"), Some(answer))
    }
    fn update_part(&self, at: u64, octets: Vec<u8>) -> Pending<'_, Result<(), String>> {
        let answer = if at > 1 << 40 { Err("too large".to_owned()) } else { Ok(()) };
        self.note(format!("part {at} {}", octets.len()), answer)
    }
    fn forget_update(&self) -> Pending<'_, ()> {
        self.note("forget update".into(), ())
    }
    fn scope(&self, token: &str) -> Option<Scope> {
        token.strip_prefix("wp_").and_then(Scope::of)
    }
    fn make_token<'a>(
        &'a self,
        name: &'a str,
        scope: Scope,
    ) -> Pending<'a, Result<String, String>> {
        let answer = if name.is_empty() { Err(HOSTILE.into()) } else { Ok("wp_x".into()) };
        self.note(format!("make_token {name} {}", scope.word()), answer)
    }
    fn renew(&self) -> Pending<'_, ()> {
        Box::pin(ready(()))
    }
    fn document(&self) -> String {
        self.document.borrow().clone()
    }
    fn apply<'a>(&'a self, document: &'a str, how: Apply) -> Pending<'a, Result<(), Vec<Problem>>> {
        let problem = |key: &str| Problem { key: key.into(), words: HOSTILE.into() };
        let answer = if document.contains("bad") {
            Err(vec![problem("hostname"), problem("routes[0].via")])
        } else {
            if how == Apply::Save {
                *self.document.borrow_mut() = document.into();
            }
            Ok(())
        };
        self.note(format!("{how:?} {}", document.len()), answer)
    }
    fn settings(&self) -> Vec<SettingRow> {
        vec![SettingRow { key: "hostname".into(), ..SettingRow::default() }]
    }
    fn test<'a>(&'a self, to: &'a str, from: Option<&'a str>) -> Pending<'a, Result<Id, String>> {
        let answer = if to.contains('@') { Ok(Id::new(7)) } else { Err(HOSTILE.into()) };
        self.note(format!("test {to} {from:?}"), answer)
    }
    fn user<'a>(&'a self, name: &'a str, change: UserChange) -> Pending<'a, Result<(), String>> {
        let what = match change {
            UserChange::Add(password) => format!("add {name} {password:?}"),
            UserChange::Password(password) => format!("password {name} {password}"),
            UserChange::Remove => format!("remove {name}"),
        };
        self.note(what, Ok(()))
    }
    fn keys(&self) -> Keys {
        let row = KeyRow { domain: HOSTILE.into(), text: HOSTILE.into(), ..KeyRow::default() };
        Keys { keys: vec![row], notes: vec![HOSTILE.into()] }
    }
    fn make_keys<'a>(
        &'a self,
        domain: &'a str,
        selector: &'a str,
    ) -> Pending<'a, Result<Keys, String>> {
        let answer = if domain.contains('.') { Ok(self.keys()) } else { Err(HOSTILE.into()) };
        self.note(format!("make_keys {domain} {selector:?}"), answer)
    }
    fn retire_keys<'a>(
        &'a self,
        domain: &'a str,
        selector: &'a str,
    ) -> Pending<'a, Result<Keys, String>> {
        let answer = if domain.contains('.') { Ok(self.keys()) } else { Err(HOSTILE.into()) };
        self.note(format!("retire_keys {domain} {selector:?}"), answer)
    }
    fn sign_ins(&self) -> Vec<SignInRow> {
        vec![SignInRow { user: HOSTILE.into(), words: HOSTILE.into(), ..SignInRow::default() }]
    }
    fn begin_sign_in(&self, route: usize, how: SignInHow) -> Pending<'_, Result<Begun, String>> {
        let [link, redirect] = [HOSTILE, HOSTILE].map(String::from);
        let answer = match (route, &how) {
            (0, SignInHow::Link(_)) => Ok(Begun::Link { link, redirect }),
            (0, SignInHow::Code) => Ok(Begun::Code { code: link, at: redirect, seconds: 900 }),
            _ => Err(HOSTILE.into()),
        };
        self.note(format!("begin_sign_in {route} {how:?}"), answer)
    }
    fn finish_sign_in<'a>(&'a self, text: &'a str) -> Pending<'a, Result<String, String>> {
        let answer = if text.contains("code") { Ok(HOSTILE.into()) } else { Err(HOSTILE.into()) };
        self.note(format!("finish_sign_in {text}"), answer)
    }
    fn admin(&self) -> AdminState {
        match &*self.password.borrow() {
            None => AdminState::NotSet { code: "ABCD-1234".into() },
            Some(_) => AdminState::Set,
        }
    }
    fn set_admin<'a>(&'a self, password: &'a str) -> Pending<'a, Result<(), String>> {
        *self.password.borrow_mut() = Some(password.into());
        self.note("set_admin".into(), Ok(()))
    }
    fn check_admin<'a>(
        &'a self,
        peer: Option<IpAddr>,
        password: &'a str,
    ) -> Pending<'a, AdminLogin> {
        Box::pin(async move {
            yield_now().await;
            if peer == Some([192, 168, 7, 66].into()) {
                return AdminLogin::Throttled(7);
            }
            let right = self.password.borrow().as_deref() == Some(password);
            if right { AdminLogin::Welcome } else { AdminLogin::Wrong }
        })
    }
    fn hosts(&self) -> Vec<String> {
        vec!["relay.example.org".into()]
    }
    fn check(&self) -> Pending<'_, Vec<Problem>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn doctor<'a>(&'a self, domain: &'a str) -> Pending<'a, Result<Vec<FindingRow>, String>> {
        let publish =
            PublishRow { name: domain.into(), kind: "TXT".into(), ..PublishRow::default() };
        let row =
            FindingRow { about: "SPF".into(), publish: Some(publish), ..FindingRow::default() };
        let known = domain.contains('.');
        Box::pin(ready(if known { Ok(vec![row]) } else { Err("no domain".into()) }))
    }
    fn health(&self) -> Result<(), String> {
        self.well.borrow().clone()
    }
    fn metrics(&self) -> Pending<'_, String> {
        Box::pin(ready("waypost_queue_messages 1\n".into()))
    }
}
