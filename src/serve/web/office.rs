//! What the page and the command line may ask of the relay: one trait and plain data.
//!
//! Words that a person reads ([`Row::reason`], [`Event::words`] …) are made by the relay, so that
//! the page, the command line and the log say the same; the page never interprets them. Everything
//! may contain what a stranger sent: it is data, never markup.

mod tools;

pub use tools::{
    Chart, DeviceRow, LogLine, LogPart, RefusalRow, Scope, TranscriptRow, TrialAsked, TrialPart,
    TrialStep,
};

use crate::{
    relay::envelope::{Id, Octets},
    sys::Pending,
    time::Wall,
};
use serde::{Serialize, Serializer};
use std::{net::IpAddr, rc::Rc, time::Duration};

/// The relay, seen from its page. One thread: nothing is `Send`.
pub trait Office {
    /// Is it working?
    fn status(&self) -> Pending<'_, Status>;
    /// Part of the queue, the oldest message first.
    fn queue(&self, page: Page) -> Pending<'_, QueuePage>;
    /// One message of the queue; `None` where it is not (or no longer) there.
    fn message(&self, id: Id) -> Pending<'_, Option<Message>>;
    /// The octets of one message of the queue, as it was kept; `None` where it is not there.
    fn octets(&self, id: Id) -> Pending<'_, Option<Rc<dyn Octets>>>;
    /// Do something to messages of the queue; tells to how many it was done.
    ///
    /// # Errors
    /// In words: no such message, or the spool could not be written.
    fn act(&self, which: Which, action: Action) -> Pending<'_, Result<u64, String>>;
    /// What happened to a message, by queue id, Message-ID (with or without its brackets), or to
    /// the mail of an address; the earliest first, at most [`crate::limits::WEB_EVENTS`].
    fn trace<'a>(&'a self, query: &'a str) -> Pending<'a, Vec<Event>>;
    /// The last `limit` events, or those up to a time in seconds since 1970, the latest first.
    fn recent(&self, limit: usize, until: Option<u64>) -> Pending<'_, Vec<Event>>;
    /// Who has come to hand in mail, and the devices of the configuration, the latest first. Names
    /// are asked for, for [`crate::limits::DEVICE_NAMES_WAIT`] at most.
    fn devices(&self) -> Pending<'_, Vec<DeviceRow>>;
    /// Forget what is remembered of an address.
    fn forget_device(&self, address: IpAddr);
    /// What was said to servers about a message, lately; the earliest first.
    fn transcripts(&self, id: Id) -> Vec<TranscriptRow>;
    /// Begin to try a way out, step by step; one that goes on ends. Tells its number.
    ///
    /// # Errors
    /// What is wrong with it, by key.
    fn begin_trial(&self, asked: TrialAsked) -> Result<u64, Vec<Problem>>;
    /// What has happened in a trial since this many steps; where that is nothing, waits for more,
    /// [`crate::limits::WEB_NEWS_WAIT`] at most. `None`: there is no such trial.
    fn trial(&self, number: u64, since: usize) -> Pending<'_, Option<TrialPart>>;
    /// Would a stranger get mail through us? Each way to ask is tried at each listener, without a
    /// connection.
    fn open_relay(&self) -> Vec<FindingRow>;
    /// The lines of the log after this number; where there are none, waits for more,
    /// [`crate::limits::WEB_NEWS_WAIT`] at most.
    fn log(&self, after: u64) -> Pending<'_, LogPart>;
    /// The lines that are kept, the oldest first, [`crate::limits::LOG_BYTES`] at most.
    fn whole_log(&self) -> Pending<'_, String>;
    /// What came and went, by hour and by day.
    fn chart(&self) -> Chart;
    /// The configuration as JSON text (one object), every secret in it replaced by [`SECRET`].
    fn document(&self) -> String;
    /// Check a configuration, or check it, keep it and let it take effect at once, also for mail
    /// already queued. [`SECRET`] in place of a secret means: as it is now.
    ///
    /// # Errors
    /// What is wrong, by key; then nothing has changed.
    fn apply<'a>(&'a self, document: &'a str, how: Apply) -> Pending<'a, Result<(), Vec<Problem>>>;
    /// The configuration before the last change that was made since the start, as
    /// [`Office::document`].
    fn previous(&self) -> Option<String>;
    /// Go back to it.
    ///
    /// # Errors
    /// There is none, or it is right no more; in words, by key.
    fn undo(&self) -> Pending<'_, Result<(), Vec<Problem>>>;
    /// Configuration, secrets, sign-ins and keys in one file that only this password opens.
    ///
    /// # Errors
    /// In words: no password, or the disk failed.
    fn backup<'a>(&'a self, password: &'a str) -> Pending<'a, Result<Vec<u8>, String>>;
    /// Put back what is in such a file, at once.
    ///
    /// # Errors
    /// In words, by key where that helps; then nothing has changed.
    fn restore<'a>(
        &'a self,
        file: &'a [u8],
        password: &'a str,
    ) -> Pending<'a, Result<(), Vec<Problem>>>;
    /// Whether this runs on a board with an image of Waypost.
    fn is_board(&self) -> bool;
    /// Ask the keeper of the board, in its JSON; `None` where this runs on none.
    ///
    /// # Errors
    /// In words: it does not answer.
    fn board<'a>(&'a self, question: &'a str) -> Pending<'a, Option<Result<String, String>>>;
    /// More octets of an update of the board; from 0 on it begins anew.
    ///
    /// # Errors
    /// In words: no board, too much, a gap, or the disk failed.
    fn update_part(&self, at: u64, octets: Vec<u8>) -> Pending<'_, Result<(), String>>;
    /// What was put together is of no use any more.
    fn forget_update(&self) -> Pending<'_, ()>;
    /// What may be done with this token of the API; `None`: nothing.
    fn scope(&self, token: &str) -> Option<Scope>;
    /// Make a token for a program. It is told once and never again.
    ///
    /// # Errors
    /// In words: a name that is none or is taken, too many, or the disk failed.
    fn make_token<'a>(&'a self, name: &'a str, scope: Scope)
    -> Pending<'a, Result<String, String>>;
    /// Look at everything that can be looked at now: what is known to be wrong, whether names are
    /// answered, and whether every smarthost lets us in (connect, TLS, login; no message). Takes as
    /// long as the slowest of them.
    fn check(&self) -> Pending<'_, Vec<Problem>>;
    /// What the world sees of mail from a domain, and what is to be done about it. Asks name
    /// servers and one mail server; takes [`crate::limits::DOCTOR_WAIT`] at most.
    ///
    /// # Errors
    /// In words: no domain, or the name servers take too long.
    fn doctor<'a>(&'a self, domain: &'a str) -> Pending<'a, Result<Vec<FindingRow>, String>>;
    /// The settings table, for the form and the reference.
    fn settings(&self) -> Vec<SettingRow>;
    /// Send a test message; its queue id can be traced.
    ///
    /// # Errors
    /// In words: an address that is none, or the reply that a client would have had.
    fn test<'a>(&'a self, to: &'a str, from: Option<&'a str>) -> Pending<'a, Result<Id, String>>;
    /// Change a local user.
    ///
    /// # Errors
    /// In words: a name that is none, is taken or is unknown, or the disk failed.
    fn user<'a>(&'a self, name: &'a str, change: UserChange) -> Pending<'a, Result<(), String>>;
    /// The keys that sign, and what has to be known of them.
    fn keys(&self) -> Keys;
    /// Make a key of each kind for a domain and sign with them from now on, durably. `selector` is
    /// what their names begin with; empty: one is made up.
    ///
    /// # Errors
    /// In words: no domain, too many keys, or the disk failed.
    fn make_keys<'a>(
        &'a self,
        domain: &'a str,
        selector: &'a str,
    ) -> Pending<'a, Result<Keys, String>>;
    /// Sign with this key of a domain no more, or with those whose names begin so; they are gone.
    ///
    /// # Errors
    /// In words: there is no such key, or the disk failed.
    fn retire_keys<'a>(
        &'a self,
        domain: &'a str,
        selector: &'a str,
    ) -> Pending<'a, Result<Keys, String>>;
    /// The sign-ins that the configuration names.
    fn sign_ins(&self) -> Vec<SignInRow>;
    /// Begin to sign in for a route, by its place in the configuration.
    ///
    /// # Errors
    /// In words: nobody signs in there, or the service cannot be asked.
    fn begin_sign_in(&self, route: usize, how: SignInHow) -> Pending<'_, Result<Begun, String>>;
    /// What came back from a link: the address that the browser was sent to, or the code in it.
    /// Tells who has signed in where; mail that has waited for it goes out.
    ///
    /// # Errors
    /// In words: it is nothing of the kind, or the service says no.
    fn finish_sign_in<'a>(&'a self, text: &'a str) -> Pending<'a, Result<String, String>>;
    /// Has the page a password?
    fn admin(&self) -> AdminState;
    /// Set the page's password, durably.
    ///
    /// # Errors
    /// In words.
    fn set_admin<'a>(&'a self, password: &'a str) -> Pending<'a, Result<(), String>>;
    /// Is this the page's password? Slow (argon2id), one at a time, and throttled by address.
    fn check_admin<'a>(
        &'a self,
        peer: Option<IpAddr>,
        password: &'a str,
    ) -> Pending<'a, AdminLogin>;
    /// Names, beside IP addresses and names without a dot, by which browsers may call this page:
    /// the host name, and what a person configured. Others are refused, lest a stranger's name is
    /// pointed at us (DNS rebinding).
    fn hosts(&self) -> Vec<String>;
    /// Our certificate is about to be shown: have the newest.
    fn renew(&self) -> Pending<'_, ()>;
    /// Fit to take mail in and to pass it on?
    ///
    /// # Errors
    /// What is wrong, in words.
    fn health(&self) -> Result<(), String>;
    /// Everything countable in the Prometheus text format 0.0.4.
    fn metrics(&self) -> Pending<'_, String>;
}

/// What stands for a secret in [`Office::document`] and, given back to [`Office::apply`], leaves it
/// as it is.
pub const SECRET: &str = "(set)";

/// Is it working? Counters start with the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Our name.
    pub hostname: String,
    /// The date, `null` while the board's clock is not set.
    #[serde(serialize_with = "seconds_since_1970")]
    pub now: Option<Wall>,
    /// Time since the start.
    #[serde(serialize_with = "seconds")]
    pub uptime: Duration,
    /// Messages of the queue.
    pub queued: Queued,
    /// The last message taken in.
    pub last_in: Option<Last>,
    /// The last message delivered or passed on.
    pub last_out: Option<Last>,
    /// The last refusal or failed attempt.
    pub last_trouble: Option<Last>,
    /// What was done since the start.
    pub counts: Counts,
    /// Room for mail.
    pub spool: Spool,
    /// Resident memory, octets, where it is known.
    pub memory: Option<u64>,
    /// What was asked of the storage since the start.
    pub flash: Flash,
    /// Mail is taken; else its senders are told to come back later.
    pub taking: bool,
    /// Where clients may connect.
    pub listening: Vec<Door>,
    /// Addresses of this machine that a device of the same network may use, the best first.
    pub addresses: Vec<String>,
    /// Networks that may send without login.
    pub trusted: Vec<String>,
    /// How mail leaves, in words: `through smtp.example.com:587 as me`.
    pub outward: String,
    /// What needs a person, the most urgent first.
    pub problems: Vec<Problem>,
}

/// Messages of the queue, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queued {
    /// All.
    pub total: u64,
    /// To be tried now.
    pub due: u64,
    /// To be tried later.
    pub waiting: u64,
    /// Held by a person.
    pub held: u64,
    /// On their way.
    pub sending: u64,
    /// Age of the oldest in seconds, `null` where there is none.
    pub oldest: Option<u64>,
    /// Why most of them wait, in words; empty where nothing does.
    pub reason: String,
}

/// Something that happened last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Last {
    /// Seconds ago, by the monotonic clock.
    pub ago: u64,
    /// Queue id; empty where there was no message.
    pub id: String,
    /// What, in words.
    pub words: String,
}

/// What was done since the start, in messages (recipients for `delivered`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Taken in.
    pub received: u64,
    /// Recipients delivered to, or passed on.
    pub delivered: u64,
    /// Recipients given up.
    pub bounced: u64,
    /// Refused at the door.
    pub refused: u64,
}

/// Room for mail, octets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spool {
    /// Used.
    pub used: u64,
    /// Most that may be used.
    pub most: u64,
    /// Left on the file system that holds it, where that is known.
    pub file_system: Option<u64>,
}

/// What was asked of the storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Flash {
    /// Octets written: to the spool, to mailboxes, to the configuration and, where it is known, to
    /// the history. In whole pages; what the file system adds of its own is not in it.
    pub written: u64,
    /// Those of the history; `null` where they are not known.
    pub history: Option<u64>,
    /// Octets of them that laid out the spool as it grew, which no message has caused alone.
    pub laid_out: u64,
    /// Syncs, without those of the history.
    pub syncs: u64,
}

/// Where clients may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Door {
    /// `smtp`, `submission`, `submissions` or `web`: the key under `listen`.
    pub service: String,
    /// Address and port: `0.0.0.0:25`.
    pub address: String,
}

/// Part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows to skip.
    pub offset: u64,
    /// Most rows, 1 to [`crate::limits::WEB_ROWS`].
    pub limit: usize,
}

/// Part of the queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueuePage {
    /// Messages in the whole queue.
    pub total: u64,
    /// Those asked for.
    pub rows: Vec<Row>,
}

/// A message of the queue, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Queue id.
    #[serde(serialize_with = "text")]
    pub id: Id,
    /// Reverse path; empty: the null one.
    pub from: String,
    /// Forward paths still owed, at most [`crate::limits::WEB_RECIPIENTS`] of them.
    pub to: Vec<String>,
    /// Octets.
    pub size: u64,
    /// How it stands.
    pub state: State,
    /// Attempts that reached somebody.
    pub attempts: u16,
    /// When it was taken in, where the clock was set.
    #[serde(serialize_with = "seconds_since_1970")]
    pub arrived: Option<Wall>,
    /// Time until the next attempt, where one is planned.
    #[serde(serialize_with = "maybe_seconds")]
    pub next: Option<Duration>,
    /// Why it is still here, in words, with the remote's own; empty where it was not tried yet.
    pub reason: String,
    /// Subject, decoded and cut.
    pub subject: String,
}

/// How a message of the queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// To be tried now.
    Due,
    /// To be tried later.
    Waiting,
    /// A person holds it.
    Held,
    /// On its way.
    Sending,
}

/// A message of the queue, whole but for its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// In short.
    pub row: Row,
    /// Every recipient, the final ones too.
    pub recipients: Vec<RecipientRow>,
    /// Who handed it over.
    pub source: String,
    /// Message-ID without its brackets.
    pub message_id: String,
    /// Header as text, at most [`crate::limits::WEB_HEADER_BYTES`].
    pub header: String,
}

/// How far a message got for one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecipientRow {
    /// Forward path.
    pub to: String,
    /// What became of it.
    pub state: RecipientState,
    /// Enhanced status of the last attempt (`4.2.2`); empty where it was not tried yet.
    pub status: String,
    /// Who said so; empty where it was this relay.
    pub by: String,
    /// What was said.
    pub words: String,
    /// What a person can do about it, where it is a refusal that is understood.
    pub advice: Option<Advice>,
}

/// What a refusal means, beyond its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What to do about it, in whole sentences.
    pub words: &'static str,
    /// Where that is documented: an RFC, an address on the web, or several after `; `.
    pub source: &'static str,
}

/// What became of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientState {
    /// Still owed.
    Waiting,
    /// Delivered or passed on.
    Delivered,
    /// Given up.
    Failed,
}

/// Which messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// One.
    One(Id),
    /// Every message of the queue.
    All,
}

/// What to do with messages of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Try now; what is held is released.
    Retry,
    /// No attempts until released.
    Hold,
    /// As before it was held.
    Release,
    /// Forget it, without a bounce.
    Drop,
}

/// One thing that happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Event {
    /// When, where the clock was set.
    #[serde(serialize_with = "seconds_since_1970")]
    pub at: Option<Wall>,
    /// Queue id; empty where there was no message.
    pub id: String,
    /// What kind, the word of the log: `received`, `delivered`, `deferred`, `bounced`, `refused`,
    /// `held`, `released`, `dropped` …; the page shows any other as well, without a colour. A
    /// message's story ends with `delivered`, `bounced` or `dropped`.
    pub event: String,
    /// What, in words, with the remote's own.
    pub words: String,
    /// What a person can do about it, where it is a refusal that is understood.
    pub advice: Option<Advice>,
}

/// What to do with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// Only look whether it is right.
    Check,
    /// Keep it and let it take effect.
    Save,
}

/// Something that is wrong, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Key of the configuration (`routes[0].via`), or what it is about (`spool`, `index`, `clock`
    /// …); may be empty.
    pub key: String,
    /// What was found and what would be right.
    pub words: String,
}

/// One line of the settings table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SettingRow {
    /// Key, with dots: `limits.message`.
    pub key: String,
    /// What it holds: `text`, `secret`, `yes or no`, `number`, `size`, `time`, `choice`, `list` or
    /// `objects`.
    pub kind: String,
    /// What is allowed, in words; the words themselves, with `, ` between them, where it is a
    /// `choice`.
    pub allowed: String,
    /// Default as it would stand in the document; empty where there is none.
    pub default: String,
    /// What it is for, in a sentence or two.
    pub help: String,
    /// A value as it could stand in the document.
    pub example: String,
}

/// Keys that sign, or did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Each with the record to publish.
    pub keys: Vec<KeyRow>,
    /// What a person should know beside, in words: mail that is not signed.
    pub notes: Vec<String>,
}

/// A key that signs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeyRow {
    /// Whose mail.
    pub domain: String,
    /// Its name.
    pub selector: String,
    /// `rsa` or `ed25519`.
    pub algorithm: String,
    /// Where its record is to be published, without a dot at the end.
    pub name: String,
    /// What the TXT record says, in one piece.
    pub text: String,
    /// The record as a line of a zone file, in strings that DNS can carry.
    pub zone: String,
}

/// One thing that was looked at in what the world sees of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FindingRow {
    /// What.
    pub about: String,
    /// `good`, `advice`, `wrong` or `unknown`.
    pub verdict: String,
    /// Why, and what to do.
    pub words: String,
    /// The record to publish.
    pub publish: Option<PublishRow>,
}

/// A record to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PublishRow {
    /// Where, without a dot at the end.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What, in one piece.
    pub value: String,
    /// The record as a line of a zone file.
    pub zone: String,
}

/// A sign-in that the configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SignInRow {
    /// Place of its route in the configuration.
    pub route: usize,
    /// Who signs in.
    pub user: String,
    /// Where: a host name.
    pub at: String,
    /// For which server.
    pub via: String,
    /// How it stands.
    pub state: SignInState,
    /// What a person has to do, or to know; may be empty.
    pub words: String,
    /// When they signed in, where that is known.
    #[serde(serialize_with = "seconds_since_1970")]
    pub since: Option<Wall>,
    /// When it ends, where that is known.
    #[serde(serialize_with = "seconds_since_1970")]
    pub until: Option<Wall>,
    /// The service gives out codes, too.
    pub codes: bool,
    /// The code that is to be typed now; empty where there is none.
    pub code: String,
    /// Where it is to be typed.
    pub code_at: String,
}

/// How a sign-in stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignInState {
    /// Nobody has signed in yet.
    #[default]
    Missing,
    /// A code is to be typed.
    Waiting,
    /// It works.
    Good,
    /// It works, and ends soon.
    Ending,
    /// No token could be had lately.
    Late,
    /// It works no more.
    Ended,
}

/// How to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInHow {
    /// By a link; with where the page is, as the browser sees it (`https://relay.example.org`),
    /// where the browser may come back to it.
    Link(Option<String>),
    /// By a code.
    Code,
}

/// What a person needs to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// A link to open.
    Link {
        /// The link.
        link: String,
        /// Where the browser is sent afterwards.
        redirect: String,
    },
    /// A code to type.
    Code {
        /// The code.
        code: String,
        /// Where it is typed.
        at: String,
        /// How long it works.
        seconds: u64,
    },
}

/// A change of a local user.
#[derive(Clone, PartialEq, Eq)]
pub enum UserChange {
    /// A new user; without a password nobody can log in, but mail is taken.
    Add(Option<String>),
    /// Another password.
    Password(String),
    /// Gone; the mail in the Maildir stays.
    Remove,
}

/// Has the page a password?
#[derive(Clone, PartialEq, Eq)]
pub enum AdminState {
    /// Not yet: who knows this code, printed at the start, may set one.
    NotSet {
        /// The code.
        code: String,
    },
    /// Yes.
    Set,
}

/// What came of an attempt to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminLogin {
    /// The password is right.
    Welcome,
    /// It is not.
    Wrong,
    /// Not looked at: too many wrong ones came from there; try again in so many seconds.
    Throttled(u64),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde's serialize_with hands it over")]
fn text<S: Serializer>(id: &Id, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&id.to_string())
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(time.as_secs())
}

#[expect(clippy::ref_option, reason = "as serde's serialize_with hands it over")]
fn maybe_seconds<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|t| t.as_secs()).serialize(to)
}

#[expect(clippy::ref_option, reason = "as serde's serialize_with hands it over")]
fn seconds_since_1970<S: Serializer>(at: &Option<Wall>, to: S) -> Result<S::Ok, S::Error> {
    at.map(|w| w.0).serialize(to)
}
