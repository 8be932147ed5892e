//! What is remembered: events, sessions, clients, counts.

use super::{INDEX_BATCH, INDEX_SCAN};
use std::time::Duration;

/// Longest value of one field of an event, octets; what is longer is cut.
pub const FIELD_BYTES: usize = 480;
/// Longest line of an event in the index, octets (CRATES: values of sled stay under 1 KiB).
pub const HISTORY_LINE_BYTES: usize = 840;
/// Longest name under which an event is found, octets.
pub const HISTORY_KEY_BYTES: usize = 120;
/// Names under which one event is found.
pub const HISTORY_NAMES: usize = 12;
/// Octets of a block of such lines, and of a digest of what blocks name.
pub const HISTORY_BLOCK_BYTES: usize = 900;
/// Blocks kept: some hundred thousand events, in 22 MB at most.
pub const HISTORY_BLOCKS: u64 = 25_000;
/// Events written at a time.
pub const HISTORY_BATCH: usize = 256;
/// How long the first event of a batch waits for company.
pub const HISTORY_WAIT: Duration = Duration::from_secs(30);
/// How long to leave a broken index alone.
pub const HISTORY_PAUSE: Duration = Duration::from_mins(1);
/// Events that wait for the index, at most; then the oldest are dropped.
pub const HISTORY_WAITING: usize = 2_000;
/// Newest events kept in memory for the page.
pub const HISTORY_RECENT: usize = 100;
/// Neighbours whose hardware addresses are looked at.
pub const NEIGHBOURS: usize = 4096;
/// Lines of a session that are kept at a time, for people to read.
pub const SPOKEN_LINES: usize = 60;
/// Octets of each of them.
pub const SPOKEN_BYTES: usize = 400;
/// Octets of what was said about one message in one session.
pub const TRANSCRIPT_BYTES: usize = 4096;
/// Octets of all that is kept of it.
pub const TRANSCRIPTS_BYTES: usize = 128 * 1024;
/// For name servers to tell what devices are called.
pub const DEVICE_NAMES_WAIT: Duration = Duration::from_secs(2);
/// Devices whose names are asked for at a time.
pub const DEVICE_NAMES: usize = 64;
/// Devices that are remembered.
pub const CLIENTS: usize = 256;
/// Strangers that are remembered beside them.
pub const CLIENTS_STRANGE: usize = 64;
/// Characters of each thing that a client has said, and of each that was said to it.
pub const CLIENT_TEXT_CHARS: usize = 120;
/// For so long a refusal with its reason is not replaced by one without.
pub const CLIENT_REFUSAL_WAIT: Duration = Duration::from_mins(1);
/// Repairs of a client's last message that are remembered.
pub const CLIENT_REPAIRS: usize = 12;
/// From the first change of what is remembered of clients until it goes to the index.
pub const CLIENTS_WAIT: Duration = Duration::from_mins(10);
/// Octets of an address as a key of the index.
pub const INDEX_CLIENT_KEY_BYTES: usize = 45;
/// For the index to take or give it.
pub const CLIENTS_INDEX_WAIT: Duration = Duration::from_secs(5);
const _: () = assert!(2 * (CLIENTS + CLIENTS_STRANGE) + TALLY_PARTS <= INDEX_BATCH);
const _: () = assert!(CLIENTS + CLIENTS_STRANGE <= INDEX_SCAN);
/// Characters of a subject that the history keeps.
pub const EVENT_SUBJECT_CHARS: usize = 60;
/// Blocks that are read at a time to be searched, or to be copied.
pub const HISTORY_BLOCKS_AT_A_TIME: usize = 200;
/// Octets of the log that can be had at once, the newest.
pub const LOG_BYTES: usize = 2 * 1024 * 1024;
/// Messages whose whole way one trace tells.
pub const TRACE_MESSAGES: usize = 20;
/// Messages of the queue, the oldest, that are looked at for what the history does not know.
pub const TRACE_QUEUE: usize = 500;
/// Hours that are charted.
pub const TALLY_HOURS: usize = 24;
/// Days that are charted.
pub const TALLY_DAYS: usize = 30;
/// Hours or days in one entry of the index.
pub const TALLY_PART: usize = 12;
/// Such entries.
pub const TALLY_PARTS: usize = TALLY_HOURS.div_ceil(TALLY_PART) + TALLY_DAYS.div_ceil(TALLY_PART);
