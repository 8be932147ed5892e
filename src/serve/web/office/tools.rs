//! Plain data of what the page does beside mail and settings: devices, trials, the log, charts,
//! tokens.

use super::{Last, seconds_since_1970};
use crate::time::Wall;
use serde::Serialize;

/// A device: one that has come, or that the configuration names, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceRow {
    /// Its address; a network where the configuration names one and nobody has come.
    pub address: String,
    /// Hardware address, where it is on the same link; else empty.
    pub mac: String,
    /// Who made it, as far as that address tells; else empty.
    pub maker: String,
    /// Its name in DNS; else empty.
    pub host: String,
    /// What the configuration calls it; else empty.
    pub name: String,
    /// Place of its entry in `devices` of the configuration.
    pub entry: Option<usize>,
    /// What it may: `allow`, `any-login`, `login` or `block` by that entry, else `network` (its
    /// network is trusted), `near` (in a private network that is not) or `stranger`.
    pub access: String,
    /// When it came last, seconds ago; `null` where it has not, or that is not known.
    pub seen: Option<u64>,
    /// What it called itself.
    pub helo: String,
    /// Version of TLS, empty: in clear.
    pub tls: String,
    /// Who logged in.
    pub user: String,
    /// Messages taken from it.
    pub messages: u64,
    /// The last of them.
    pub last_in: Option<Last>,
    /// What was overlooked and repaired in that.
    pub repairs: Vec<String>,
    /// Times that it was refused something.
    pub refused: u64,
    /// The last time.
    pub last_refusal: Option<RefusalRow>,
    /// It was to be heard of by now, and was not.
    pub silent: bool,
}

/// What a device was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RefusalRow {
    /// Seconds ago, where that is known.
    pub ago: Option<u64>,
    /// What it heard.
    pub reply: String,
    /// Why, in words; may be empty.
    pub reason: String,
    /// What it wanted to send.
    pub from: String,
    /// To whom.
    pub to: String,
}

/// A way out that is to be tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialAsked {
    /// A route as it would stand in the configuration, as JSON; secrets may be [`super::SECRET`].
    /// Empty: the route that is there.
    pub route: String,
    /// To whom a message is sent.
    pub to: String,
    /// From whom; empty: as fits.
    pub from: String,
}

/// Part of a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TrialPart {
    /// What happened, in order.
    pub steps: Vec<TrialStep>,
    /// Nothing more will.
    pub over: bool,
    /// What stands in the message's subject, to know it by.
    pub code: String,
}

/// One thing that happened in a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TrialStep {
    /// `dns`, `connect`, `tls`, `hello`, `login`, `sender`, `recipient`, `message` or `end`.
    pub stage: String,
    /// `us` and `server` for what was said, `good`, `note` and `bad` for what was found.
    pub kind: String,
    /// What was said, or found.
    pub words: String,
    /// Milliseconds since the beginning.
    pub at: u64,
}

/// Lines of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogPart {
    /// Each with its time.
    pub lines: Vec<LogLine>,
    /// The number of the last.
    pub last: u64,
}

/// A line of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// When, where the clock was set.
    #[serde(serialize_with = "seconds_since_1970")]
    pub at: Option<Wall>,
    /// As it is.
    pub text: String,
}

/// What came and went: messages taken in, recipients delivered to or passed on, recipients given
/// up, and refusals at the door.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Chart {
    /// The last 24 hours, the present one last; empty where the clock is not set.
    pub hours: Vec<[u64; 4]>,
    /// The last 30 days (of UTC), today last.
    pub days: Vec<[u64; 4]>,
}

/// What a token of the API is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look at everything but secrets.
    Read,
    /// That, and try, hold, release and drop messages of the queue, and send tests.
    Queue,
    /// All that the page can.
    All,
}

impl Scope {
    /// As the configuration has it.
    pub fn word(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Queue => "queue",
            Scope::All => "all",
        }
    }

    /// Of such a word.
    pub fn of(word: &str) -> Option<Scope> {
        [Scope::Read, Scope::Queue, Scope::All].into_iter().find(|scope| scope.word() == word)
    }
}

/// What was said to a server about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TranscriptRow {
    /// When it ended, where the clock was set.
    #[serde(serialize_with = "seconds_since_1970")]
    pub at: Option<Wall>,
    /// Lines, `C: ` before ours, `S: ` before the server's.
    pub text: String,
}
