//! The page and its API.

use std::time::Duration;

/// Connections to the page at once; the one that is idle the longest makes room for a new one.
pub const WEB_CONNECTIONS: usize = 16;
/// Request line and header fields, octets.
pub const WEB_HEAD_BYTES: usize = 8 * 1024;
/// Header fields of a request.
pub const WEB_HEADER_FIELDS: usize = 64;
/// Body of a request, octets: the configuration is the largest.
pub const WEB_BODY_BYTES: usize = 256 * 1024;
/// Body of a request that puts back a backup: the file in base64, octets.
pub const WEB_RESTORE_BYTES: usize = 2 * 1024 * 1024;
/// Largest file of the page, octets.
pub const WEB_ASSET_BYTES: u64 = 128 * 1024;
/// From the first octet of a request to the end of its header.
pub const WEB_HEAD_WAIT: Duration = Duration::from_secs(10);
/// From the end of the header to the end of the body.
pub const WEB_BODY_WAIT: Duration = Duration::from_secs(30);
/// From one request of a connection to the first octet of the next.
pub const WEB_IDLE_WAIT: Duration = Duration::from_secs(15);
/// For a client to take a whole response.
pub const WEB_WRITE_WAIT: Duration = Duration::from_secs(30);
/// Requests of one connection, then it is closed.
pub const WEB_REQUESTS: usize = 1000;
/// Browsers logged in at once; the one that was idle the longest is logged out for a new one.
pub const WEB_SESSIONS: usize = 32;
/// A session ends when it is not used for this long.
pub const WEB_SESSION_IDLE: Duration = Duration::from_hours(12);
/// How long a request waits for news.
pub const WEB_NEWS_WAIT: Duration = Duration::from_secs(10);
/// Steps of a session that asks whether we are an open relay.
pub const OPEN_RELAY_STEPS: usize = 40;
/// Steps of a trial.
pub const TRIAL_STEPS: usize = 400;
/// How long a trial may take.
pub const TRIAL_WAIT: Duration = Duration::from_mins(10);
/// Tokens of the API.
pub const TOKENS: usize = 20;
/// Octets of a file of a backup.
pub const BACKUP_BYTES: usize = 1024 * 1024;
/// Rows of one page of the queue.
pub const WEB_ROWS: usize = 100;
/// Recipients shown in a row of the queue.
pub const WEB_RECIPIENTS: usize = 10;
/// Events of one trace, or of the recent ones.
pub const WEB_EVENTS: usize = 500;
/// Octets of a message's header that are shown.
pub const WEB_HEADER_BYTES: usize = 16 * 1024;
/// JSON of one row of a list, octets; a longer one is left out.
pub const WEB_ROW_BYTES: usize = 256 * 1024;
/// Octets of a search for a message or an address.
pub const WEB_QUERY_BYTES: usize = 1000;
/// Shortest password of the page, characters. NIST SP 800-63B §5.1.1.1.
pub const WEB_PASSWORD_CHARACTERS: usize = 8;
/// Longest password of the page, octets.
pub const WEB_PASSWORD_BYTES: usize = 1024;
/// Wrong setup codes before the next one must wait.
pub const WEB_SETUP_FAILURES: u32 = 5;
/// How long it must wait.
pub const WEB_SETUP_WAIT: Duration = Duration::from_mins(1);
/// Passwords of the page being checked at once; others are asked to try again.
pub const WEB_LOGINS: usize = 4;
