//! Bounds of a board that runs an image.

use std::time::Duration;

/// Most octets of a small text that the keeper reads or writes.
pub const BOARD_TEXT_BYTES: usize = 64 * 1024;
/// Most octets of a command's output that are kept, its last.
pub const BOARD_OUTPUT_BYTES: usize = 4096;
/// Octets of an update that are copied at once.
pub const BOARD_COPY_BYTES: usize = 256 * 1024;
/// Most octets of what the keeper answers: texts of which each octet may be escaped with six.
pub const BOARD_ANSWER_BYTES: usize = 1024 * 1024;
/// How long it may take: an update is written to a slow card, and read again.
pub const BOARD_ANSWER_WAIT: Duration = Duration::from_mins(5);
/// Most octets of an update: a header and as much as any slot holds.
pub const BOARD_UPDATE_BYTES: u64 = 64 * 1024 * 1024;
/// Most octets of an update that the page sends at once.
pub const BOARD_PART_BYTES: usize = 512 * 1024;
/// That in base64, with what is around it.
pub const BOARD_PART_JSON_BYTES: usize = BOARD_PART_BYTES / 3 * 4 + 1024;
/// Most servers of a kind in the file `network`, and most that are asked for the time at once.
pub const BOARD_SERVERS: usize = 8;
/// Most troubles that are told at once.
pub const BOARD_TROUBLES: usize = 20;
/// Most names that are tried where others have them.
pub const BOARD_NAMES: u32 = 99;
/// Names that may be taken one after the other until there is a rest before each. RFC 6762 §8.1.
pub const BOARD_NAMES_QUICK: u32 = 15;
/// What was held for longer does not count among them. RFC 6762 §8.1.
pub const BOARD_NAMES_WITHIN: Duration = Duration::from_secs(10);
/// That rest.
pub const BOARD_NAMES_REST: Duration = Duration::from_secs(5);
/// Rest before the Wi-Fi's program is started again.
pub const BOARD_WIFI_REST: Duration = Duration::from_secs(5);
/// How often the kernel is asked what a missing radio lacks.
pub const BOARD_FIRMWARE_EVERY: Duration = Duration::from_mins(1);
/// Last lines of the relay that are kept when it ends.
pub const BOARD_LAST_LINES: usize = 60;
/// How often cables and addresses are looked at. USB adapters appear seconds after the start.
pub const BOARD_LINKS_EVERY: Duration = Duration::from_secs(3);
/// How often the relay is looked at through its own ports: three times within the shortest watchdog
/// that is known (15 s, that of the Raspberry Pi).
pub const BOARD_LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long such a look may take.
pub const BOARD_LOOK_WAIT: Duration = Duration::from_secs(4);
/// How long the watchdog is fed without the relay.
pub const BOARD_WATCHDOG_PATIENCE: Duration = Duration::from_mins(5);
/// A relay that has run for so long did not fail at its start.
pub const BOARD_RELAY_STEADY: Duration = Duration::from_mins(1);
/// How long after the card has failed the board starts anew.
pub const BOARD_CARD_PATIENCE: Duration = Duration::from_mins(10);
/// How long the relay may take to end before the board starts anew.
pub const BOARD_END_WAIT: Duration = Duration::from_secs(15);
/// Longest rest before the relay is started again.
pub const BOARD_RELAY_PATIENCE: Duration = Duration::from_mins(1);
/// How long a new root must serve until it is kept.
pub const BOARD_TRIAL_SERVES: Duration = Duration::from_mins(1);
/// How long a new root may take to get there; after five minutes the initramfs ends it, where this
/// program is part of what is broken.
pub const BOARD_TRIAL_PATIENCE: Duration = Duration::from_mins(3);
/// How long a name may take to be found.
pub const BOARD_NAMES_WAIT: Duration = Duration::from_secs(10);
/// How long a time server may take to answer. RFC 4330 §10.
pub const BOARD_TIME_WAIT: Duration = Duration::from_secs(2);
/// How often the time is asked for once it is known: a bad quartz is a third of a second off by
/// then.
pub const BOARD_CLOCK_EVERY: Duration = Duration::from_mins(30);
/// Rounds until a server that answers alone is believed, where no clock is set.
pub const BOARD_CLOCK_ROUNDS: u32 = 4;
/// Longest wait while no server answers.
pub const BOARD_CLOCK_PATIENCE: Duration = Duration::from_mins(2);
/// How often the date is written down.
pub const BOARD_CLOCK_KEPT_EVERY: Duration = Duration::from_hours(6);
/// A clock that is further off is set; else it runs faster or slower for a while.
pub const BOARD_CLOCK_STEP: Duration = Duration::from_millis(400);
/// By how much honest servers differ beyond the way there and back.
pub const BOARD_CLOCK_SLACK: Duration = Duration::from_millis(500);
/// No image runs for longer than this after it was made, some twenty years: a date beyond is a lie.
pub const BOARD_CLOCK_AHEAD: Duration = Duration::from_hours(24 * 365 * 20);
