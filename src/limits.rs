//! Every bound of the relay, with its unit and where it comes from. A test reaches each.

mod board;
mod history;
mod web;

pub use board::*;
pub use history::*;
pub use web::*;

use std::time::Duration;

// ---- SMTP, as the RFC bounds it ----

/// Longest local part, octets. RFC 5321 §4.5.3.1.1.
pub const LOCAL_PART_BYTES: usize = 64;
/// Longest domain, octets. RFC 5321 §4.5.3.1.2.
pub const DOMAIN_BYTES: usize = 255;
/// Longest path with its angle brackets, octets. RFC 5321 §4.5.3.1.3.
pub const PATH_BYTES: usize = 256;
/// Longest command line with CRLF, octets: 512 (RFC 5321 §4.5.3.1.4), plus what SIZE, BODY,
/// SMTPUTF8, RET, ENVID, NOTIFY and ORCPT add (RFC 1870 26, RFC 6531 10, RFC 3461 §4 500), plus
/// room for AUTH initial responses (RFC 4954 §4 lets a line reach 12,288; passwords here are far
/// shorter).
pub const COMMAND_LINE_BYTES: usize = 2048;
/// Longest line of an AUTH exchange with CRLF, octets. RFC 4954 §4.
pub const AUTH_LINE_BYTES: usize = 12_288;
/// Longest challenge of a login that is understood, octets in base64: what surely was not cut at
/// [`REPLY_LINE_BYTES`]. Those of all mechanisms that we speak have less than 300.
pub const CHALLENGE_BYTES: usize = 1000;
/// Least hashes of a SCRAM-SHA-256 password: RFC 7677 §4. With fewer, who overhears a login can
/// guess the password the sooner.
pub const SCRAM_ITERATIONS_MIN: u32 = 4096;
/// Most of them: the server chooses, and a slow board computes as many in some seconds, during
/// which nobody's password is verified here.
pub const SCRAM_ITERATIONS_MAX: u32 = 100_000;
/// Longest reply line that is read from a remote, octets. RFC 5321 §4.5.3.1.5 says 512; real ones
/// are longer, and what lies beyond is cut, not refused.
pub const REPLY_LINE_BYTES: usize = 1024;
/// Most lines of one reply that are read from a remote.
pub const REPLY_LINES: usize = 64;
/// Longest remote reply text that is kept with an outcome, octets.
pub const REPLY_TEXT_BYTES: usize = 480;
/// Longest text line with CRLF, octets. RFC 5321 §4.5.3.1.6; longer ones are taken in and passed
/// on.
pub const TEXT_LINE_BYTES: usize = 1000;

// ---- Buffers of a session ----

/// Octets of input that a machine holds; the longest line must fit.
pub const INPUT_BYTES: usize = 16 * 1024;
/// Octets of output that a machine holds before it asks to write.
pub const OUTPUT_BYTES: usize = 16 * 1024;
/// Octets read from a stream at a time.
pub const READ_BYTES: usize = 16 * 1024;
/// Message octets that a machine hands over at a time, at most.
pub const CHUNK_BYTES: usize = 16 * 1024;

const _: () = assert!(AUTH_LINE_BYTES < INPUT_BYTES && COMMAND_LINE_BYTES < INPUT_BYTES);

// ---- Patience with a peer ----

/// Server waiting for a command. RFC 5321 §4.5.3.2.7.
pub const COMMAND_WAIT: Duration = Duration::from_mins(5);
/// Server waiting for the next octets of a message. RFC 5321 §4.5.3.2.5.
pub const DATA_WAIT: Duration = Duration::from_mins(3);
/// Most time a whole session may last: a sender of an octet a minute must end.
pub const SESSION_WAIT: Duration = Duration::from_hours(1);
/// Client waiting for the banner. RFC 5321 §4.5.3.2.1.
pub const BANNER_WAIT: Duration = Duration::from_mins(5);
/// Client waiting for the reply to MAIL or RCPT. RFC 5321 §4.5.3.2.2, §4.5.3.2.3.
pub const REPLY_WAIT: Duration = Duration::from_mins(5);
/// Client waiting for 354. RFC 5321 §4.5.3.2.4.
pub const DATA_REPLY_WAIT: Duration = Duration::from_mins(2);
/// Client waiting for the reply to the final dot. RFC 5321 §4.5.3.2.6.
pub const FINAL_WAIT: Duration = Duration::from_mins(10);
/// Any write that makes no progress.
pub const WRITE_WAIT: Duration = Duration::from_mins(3);
/// Opening a connection to one address. Shorter than the RFC's session time-outs, since many
/// addresses may have to be tried.
pub const CONNECT_WAIT: Duration = Duration::from_secs(30);
/// A TLS handshake.
pub const TLS_WAIT: Duration = Duration::from_secs(30);

// ---- Addresses and messages ----

/// Recipients that one address may expand to through aliases.
pub const ALIAS_TARGETS: usize = 100;
/// Links of an alias chain.
pub const ALIAS_DEPTH: usize = 10;
/// Received fields before a message counts as looping. RFC 5321 §6.3 asks for at least 100.
pub const RECEIVED_FIELDS: usize = 100;
/// Octets of header that are looked at and repaired; a longer header is refused with 5.6.0.
pub const HEADER_BYTES: usize = 256 * 1024;

// ---- Messages in seven bits ----

/// Multiparts inside each other whose parts are told apart.
pub const MIME_DEPTH: usize = 32;
/// Longest boundary, octets. RFC 2046 §5.1.1 says 70, and some write longer ones.
pub const MIME_BOUNDARY_BYTES: usize = 200;
/// Longest field that is held, octets; a longer one passes as it is.
pub const MIME_FIELD_BYTES: usize = 64 * 1024;
/// Parts of a message that are written anew.
pub const MIME_CHANGES: usize = 1000;

// ---- Chunks (RFC 3030) ----

/// Octets of a message from which on it is sent by BDAT where that is offered. Smaller ones gain
/// nothing: with PIPELINING both ways cost two round trips.
pub const BDAT_MESSAGE_BYTES: u64 = CHUNK_BYTES as u64;
/// Octets of one chunk: a server that wants no more of a message can say so after as many.
pub const BDAT_BYTES: u64 = 1024 * 1024;
/// Chunks on their way without a reply: the next is sent while the server looks at the one before.
pub const BDAT_UNANSWERED: usize = 2;

// ---- The worker ----

/// Messages that are read, or delivered here, at once.
pub const ACTIVE_MESSAGES: usize = 64;
/// While the journal cannot be written: time between messages that are tried all the same, to see
/// whether what comes of them can be noted again.
pub const FAILING_WAIT: Duration = Duration::from_secs(10);
/// Messages that wait for the connections to one destination; more stay in the spool.
pub const LANE_WAITING: usize = 20;
/// Messages that wait for the first connection to one destination.
pub const LANE_WAITING_FIRST: usize = 4;
/// Messages that wait for, or are on, connections to all destinations.
pub const LANES_JOBS: usize = 400;
/// Connections to all destinations at once.
pub const CONNECTIONS: usize = 100;
/// Of these, those to destinations that could not be used when they were tried last: however many
/// are dead, the others are reached.
pub const CONNECTIONS_ON_TRIAL: usize = CONNECTIONS / 2;
/// Connections to one destination at once, where it takes what comes.
pub const CONNECTIONS_PER_LANE: usize = 10;
/// Connections to one destination at once, as soon as it is ready for mail. More is impolite to
/// small servers.
pub const CONNECTIONS_EASILY: usize = 4;
/// Messages over one connection before it is closed: some servers count.
pub const MESSAGES_PER_CONNECTION: usize = 500;
/// How long an idle connection waits for a further message before QUIT.
pub const LANE_LINGER: Duration = Duration::from_secs(2);
/// How long a destination without a usable host is left alone.
pub const LANE_REST: Duration = Duration::from_secs(20);
/// How long a destination that refuses our login is left alone, unless a person changes something
/// or asks for it: 4 tries an hour are below what makes servers lock accounts or ban addresses.
pub const LOGIN_REST: Duration = Duration::from_mins(15);
/// How long a smarthost whose quota is used up is left alone: such quotas are counted by the hour
/// or the day, and often as a window that slides.
pub const QUOTA_REST: Duration = Duration::from_mins(15);
/// A way whose pace lets nothing go for longer is passed over where there is another one.
pub const PACE_PATIENCE: Duration = Duration::from_mins(5);
/// Octets of a file of authorities: those of Debian have 230,000.
pub const AUTHORITIES_BYTES: usize = 2 * 1024 * 1024;
/// Certificates that a route may name.
pub const PINS: usize = 8;
/// Most messages that a route may allow in some time: more is no bound.
pub const PACE_MAX: u64 = 1_000_000;
/// Ways of one recipient: routes that match equally well.
pub const WAYS: usize = 4;
/// Longest rest of a way that fails again and again while there is another. Then one connection
/// tries it, and mail goes by the other meanwhile.
pub const WAY_REST: Duration = Duration::from_mins(10);
/// Lanes remembered; those not in use are forgotten beyond that.
pub const LANES: usize = 256;
/// Longest wait between attempts while nobody can be reached: the line may be back any moment.
pub const OFFLINE_WAIT: Duration = Duration::from_mins(5);
/// For so many messages each that wait for the line, all of them wait for [`OFFLINE_WAIT`] more.
pub const OFFLINE_CROWD: usize = 100;
/// Longest such wait.
pub const OFFLINE_WAIT_MAX: Duration = Duration::from_hours(1);
/// While offline: how soon those are tried whom no look asks for; and again after so long, or after
/// half the time that the outage has lasted.
pub const OFFLINE_TRY: Duration = Duration::from_mins(10);
/// While offline: time before the next look for the line, at first and at most, where the kernel
/// does not tell of a change sooner. Each costs a datagram to a name server, and a connection to a
/// smarthost where there is one.
pub const PROBE_PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_mins(1)];
/// Shortest time between two looks: a link that flaps makes no storm.
pub const PROBE_PAUSE_MIN: Duration = Duration::from_millis(300);
/// Longest look.
pub const PROBE_WAIT: Duration = Duration::from_secs(10);
/// How long a smarthost may take to greet who only looks.
pub const PROBE_GREETING_WAIT: Duration = Duration::from_secs(5);
/// Smarthosts that are looked for.
pub const PROBE_SMARTHOSTS: usize = 2;
/// Octets of a greeting that are looked at.
pub const PROBE_GREETING_BYTES: usize = 64;
/// How long a proof of the line is one: an attempt that reaches nobody later asks for another.
pub const PROBE_KEPT: Duration = Duration::from_secs(1);
/// When a message is tried again after a fault of ours.
pub const STUMBLE_WAIT: Duration = Duration::from_mins(1);

// ---- Listeners ----

/// Refusals of one session that are told at a time.
pub const REFUSALS: usize = 16;
/// No transaction begins in a session that is older: what it begins it can also end within
/// [`SESSION_WAIT`].
pub const SESSION_MAIL_WAIT: Duration = Duration::from_mins(45);

/// File descriptors of a session: its socket, and the file of a large message.
pub const SESSION_FILES: u64 = 2;
/// File descriptors of all else: connections to others, the page, messages on their way, the
/// spool's files, listeners, and some to spare.
pub const OTHER_FILES: u64 = 256;
const _: () = assert!(
    ((CONNECTIONS + WEB_CONNECTIONS + ACTIVE_MESSAGES + SPOOL_FILES_OPEN + 4 * LISTEN) as u64)
        < OTHER_FILES
);
/// One place in so many is kept for trusted peers: strangers cannot lock out the house's devices.
pub const SESSIONS_KEPT_SHARE: usize = 4;
/// Where places have run short, a session that has got nothing done for so long makes room. Postfix
/// has the same 10 s for its patience under stress.
pub const CROWDED_WAIT: Duration = Duration::from_secs(10);
/// Octets of a message that count as something done.
pub const CROWDED_BYTES: usize = 1024;
/// How long it may take to hear why.
pub const LEAVE_WAIT: Duration = Duration::from_secs(2);
/// Refusals and the like that are told at once, of our own devices and of strangers each.
pub const NOISE_TOLD: u32 = 200;
/// In this time one more is told: strangers cost the flash 12 MB a day at most (1.4 KB each,
/// measured).
pub const NOISE_WAIT: Duration = Duration::from_secs(10);
/// Pause after a failed accept.
pub const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// How long a refused peer may take to hear why.
pub const REFUSAL_WAIT: Duration = Duration::from_secs(10);
/// How long sessions and attempts under way may take once the relay is asked to end.
pub const STOP_WAIT: Duration = Duration::from_secs(5);
/// How often a configured certificate is looked at for changes, at most, and only when it is used.
pub const CERTIFICATE_LOOK: Duration = Duration::from_mins(1);
/// Recipients of one message after aliases.
pub const EXPANDED_RECIPIENTS: usize = 1_000;
/// How often to look whether everything under way is over, once the relay is asked to end.
pub const STOP_LOOK: Duration = Duration::from_millis(20);
/// Longest configuration document, octets: a thousand users with their hashes take about 170 KiB.
pub const CONFIG_BYTES: usize = 256 * 1024;
/// Largest file of secrets, octets: a token for each of the routes, with what it is for.
pub const SECRETS_BYTES: usize = 1024 * 1024;
/// Deepest nesting of the document; the deepest key that means something (`users[0].send_as[0]`)
/// needs 4.
pub const CONFIG_DEPTH: usize = 16;
/// Problems of one document that are told; the rest are counted.
pub const CONFIG_PROBLEMS: usize = 100;
/// Characters of a wrong value that are shown with its problem.
pub const CONFIG_FOUND_CHARS: usize = 60;
/// Longest text of a setting that has no shorter bound of its own, octets.
pub const CONFIG_TEXT_BYTES: usize = 1024;
/// Addresses to listen on, a service.
pub const LISTEN: usize = 8;
/// Name servers.
pub const NAME_SERVERS: usize = 8;
/// Trusted networks.
pub const TRUSTED: usize = 100;
/// Octets of a message that is attached to a summary.
pub const DIGEST_PART_BYTES: u64 = 1024 * 1024;
/// Subjects that are listed in a summary.
pub const DIGEST_SUBJECTS: usize = 50;
/// For so long after its time a summary may be late before the messages go out by themselves.
pub const DIGEST_SLACK: Duration = Duration::from_mins(5);
/// How often it is looked whether somebody is to be told of something.
pub const ALARM_LOOK: Duration = Duration::from_mins(1);
/// What is over sooner is not told.
pub const ALARM_AFTER: Duration = Duration::from_mins(5);
/// Problems that are told of at a time.
pub const ALARMS: usize = 20;
/// Characters by which a problem is known again.
pub const ALARM_SIGN_CHARS: usize = 60;
/// Names whose mail ends as a notice.
pub const PUSH: usize = 20;
/// Notices that are posted at a time.
pub const PUSHES: usize = 4;
/// Octets of a message that are looked at for its notice.
pub const PUSH_BYTES: usize = 64 * 1024;
/// Characters of text in a notice: as many as ntfy shows.
pub const PUSH_CHARS: usize = 3000;
/// Characters of what the service says to it.
pub const PUSH_SAID_CHARS: usize = 200;
/// Devices with rules of their own.
pub const DEVICES: usize = 200;
/// Characters of what a device is called.
pub const DEVICE_NAME_CHARS: usize = 64;
/// Messages of a device that are kept for one summary; it is sent before there are more.
pub const DIGEST_MESSAGES: usize = 1000;
/// Local domains.
pub const DOMAINS: usize = 100;
/// Local users.
pub const USERS: usize = 1000;
/// Longest name of a user, octets; it is a local part and a directory name.
pub const USER_NAME_BYTES: usize = 64;
/// Addresses that one user may send as.
pub const SEND_AS: usize = 100;
/// Aliases.
pub const ALIASES: usize = 1000;
/// Routes.
pub const ROUTES: usize = 100;
/// Longest password, octets. SASL PLAIN (RFC 4616 §2) has no bound; NIST SP 800-63B asks for at
/// least 64.
pub const PASSWORD_BYTES: usize = 256;
/// Longest OAuth 2 access token, octets: those of the large providers have 200 to 2,500, and in
/// base64 it fits [`AUTH_LINE_BYTES`] twice.
pub const TOKEN_BYTES: usize = 4096;
/// Octets of a client id of OAuth 2, of its secret, and of a scope.
pub const CLIENT_BYTES: usize = 256;
/// Sign-in services beside those that are built in.
pub const SIGN_IN_SERVICES: usize = 8;

// ---- Logins ----

/// Memory of one argon2id pass for new passwords, KiB; with [`PASSWORD_PASSES`] one of the settings
/// that the OWASP
/// Password Storage Cheat Sheet calls equal (m=7168, t=5, p=1), and the least memory among them:
/// boards have 64 MB.
pub const PASSWORD_KIB: u32 = 7 * 1024;
/// Passes of argon2id for new passwords.
pub const PASSWORD_PASSES: u32 = 5;
/// Most memory of a stored hash that is verified, KiB: the default of RFC 9106 §4 for machines with
/// little of it.
pub const PASSWORD_KIB_MAX: u32 = 64 * 1024;
/// Most passes of a stored hash that is verified.
pub const PASSWORD_PASSES_MAX: u32 = 16;
/// Most lanes of a stored hash that is verified.
pub const PASSWORD_LANES_MAX: u32 = 4;
/// How long a password that was right is right without argon2id.
pub const LOGIN_REMEMBERED: Duration = Duration::from_mins(5);
/// Logins that are remembered.
pub const LOGINS_REMEMBERED: usize = 256;
/// Logins that wait for argon2id, beside the one that is being verified.
pub const LOGINS_WAITING: usize = 32;
/// The most of them from one peer.
pub const LOGINS_WAITING_PER_PEER: usize = 4;
/// What a login is told to wait where these bounds are reached.
pub const LOGIN_BUSY_WAIT: Duration = Duration::from_secs(5);
/// Peers whose failed logins are counted; IPv6 counts by /64, which is what one household has.
pub const LOGIN_PEERS: usize = 1024;
/// How long a peer must be quiet before its failures are forgotten.
pub const LOGIN_FAILURES_KEPT: Duration = Duration::from_mins(10);
/// First wait of a peer with too many failures; doubles with each further one.
pub const LOGIN_PENALTY: Duration = Duration::from_secs(10);
/// Longest such wait.
pub const LOGIN_PENALTY_MAX: Duration = Duration::from_mins(15);
/// How long the answer to a wrong password is held back.
pub const LOGIN_WRONG_WAIT: Duration = Duration::from_secs(1);
// ---- Message formats ----

/// Octets within which a field's colon must come; beyond it a line is no field. RFC 5322 §2.1.1
/// allows a line 998, the longest registered field name has 46.
pub const FIELD_NAME_BYTES: usize = 256;
/// Longest Message-ID that is kept and shown, octets; a longer one counts as none for that purpose.
pub const MESSAGE_ID_BYTES: usize = 250;
/// Most mailboxes that are read from one field.
pub const FIELD_MAILBOXES: usize = 2000;
/// Most words and signs of one mailbox in a field, comments not counted.
pub const MAILBOX_TOKENS: usize = 256;
/// Most characters of a subject that are shown.
pub const SUBJECT_CHARS: usize = 128;
/// Most octets of a header that a report brings back; the rest is cut off at a line's end.
pub const REPORT_HEADER_BYTES: usize = 16 * 1024;
/// Largest message that a report brings back whole where RET=FULL asks for it, octets.
pub const REPORT_MESSAGE_BYTES: usize = 64 * 1024;
/// Most recipients that a report names in words; its machine-readable part names all.
pub const REPORT_NAMES: usize = 20;
/// Octets of a Maildir file that are written at a time.
pub const MAILDIR_WRITE_BYTES: usize = 64 * 1024;
/// Longest host name in the name of a Maildir file, octets: the whole must stay below 255.
pub const MAILDIR_HOST_BYTES: usize = 100;
// ---- Signatures ----

/// Fields that one signature names; of more (a hundred List fields, say) the rest is not signed.
pub const DKIM_FIELDS: usize = 100;
/// Keys in all.
pub const SIGNING: usize = 100;
/// Keys of one domain: an RSA and an Ed25519 one, twice while one pair follows the other.
pub const SIGNING_PER_DOMAIN: usize = 4;
/// Longest selector, octets: a label.
pub const SELECTOR_BYTES: usize = DNS_LABEL_BYTES;
/// Largest file with a key, octets: an RSA key of 8192 bits takes 6.3 KB.
pub const KEY_FILE_BYTES: usize = 16 * 1024;
/// Octets of a label in DNS. RFC 1035 §2.3.4.
pub const DNS_LABEL_BYTES: usize = 63;
/// Octets of a string in a DNS record. RFC 1035 §3.3.
pub const DNS_STRING_BYTES: usize = 255;

// ---- Names and routes (proto/dns, relay/resolve) ----

/// Largest UDP answer that is asked for, octets: no fragments on any path. DNS Flag Day 2020.
pub const DNS_PAYLOAD_BYTES: u16 = 1232;
/// Octets of a UDP answer that are read; some servers send more than was asked for.
pub const DNS_DATAGRAM_BYTES: usize = 4096;
/// Octets of a TCP answer: what its two octets of length can say. RFC 1035 §4.2.2.
pub const DNS_STREAM_BYTES: usize = 65_535;
/// Records of one answer that are looked at; a domain with 60 mail exchangers has been seen.
pub const DNS_RECORDS: usize = 128;
/// Links of a CNAME chain.
pub const DNS_ALIASES: usize = 8;
/// Name servers that are used. resolv.conf(5) has three.
pub const DNS_SERVERS: usize = 3;
/// Datagrams that are no answer to our question, before the server is asked by TCP instead, where
/// nobody off the path can guess his way in.
pub const DNS_STRAYS: usize = 16;
/// Waits for a UDP answer: each server in turn with the first, then with the second.
pub const DNS_WAITS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(5)];
/// Wait for an answer by TCP, connection included.
pub const DNS_STREAM_WAIT: Duration = Duration::from_secs(5);
/// Wait for a lookup in all.
pub const DNS_LOOKUP_WAIT: Duration = Duration::from_secs(25);
/// Shortest time an answer is remembered, so that a burst of mail asks once.
pub const DNS_TTL_MIN: Duration = Duration::from_secs(5);
/// Longest time an answer is remembered.
pub const DNS_TTL_MAX: Duration = Duration::from_hours(24);
/// Longest time it is remembered that there is no such name: it decides over bounces, and people
/// mend names.
pub const DNS_NEGATIVE_TTL_MAX: Duration = Duration::from_mins(5);
/// How long it is remembered that nobody answered. RFC 9520 §3.2 asks for 1 s to 5 min.
pub const DNS_FAILURE_TTL: Duration = Duration::from_secs(5);
/// How long a remembered answer proves that the line is up.
pub const DNS_CONTACT: Duration = Duration::from_mins(1);
/// Octets of remembered answers, roughly; some 1,000 domains.
pub const DNS_CACHE_BYTES: usize = 192 * 1024;
/// How often answers that have ended are forgotten.
pub const DNS_SWEEP: Duration = Duration::from_mins(10);
/// Names that are taken from /etc/hosts; the rest (lists that block advertisers) is left.
pub const DNS_HOSTS: usize = 256;
/// Mail exchangers of a domain that are tried in one attempt.
pub const EXCHANGERS: usize = 20;
/// Addresses of one host that are tried in one attempt.
pub const HOST_ADDRESSES: usize = 16;

// ---- Configuration ----

// ---- Delivery ----

/// Client waiting for the reply to QUIT. Nothing depends on it any more, so not the 5 minutes of
/// others.
pub const QUIT_WAIT: Duration = Duration::from_secs(10);
/// Most time one session with a server may last: 25 MB at 14 kbit/s. A server that dribbles an
/// octet every few minutes must end, too.
pub const DELIVERY_WAIT: Duration = Duration::from_hours(4);
/// Servers that are remembered not to take BDAT though they offer it.
pub const CHUNKLESS_SERVERS: usize = 64;
/// How long they are.
pub const CHUNKLESS_WAIT: Duration = Duration::from_hours(24);
/// Addresses that one delivery run tries before it leaves the rest for the next. RFC 5321 §5.1 asks
/// for at least 2.
pub const DELIVERY_ADDRESSES: usize = 10;
// ---- SMTP commands ----

/// Longest ENVID as it is sent, octets. RFC 3461 §4.4.
pub const ENVID_BYTES: usize = 100;
/// Longest ORCPT as it is sent, octets. RFC 3461 §4.2.
pub const ORCPT_BYTES: usize = 500;
/// Longest AUTH parameter of MAIL as it is sent, octets. RFC 4954 §5.
pub const AUTH_PARAMETER_BYTES: usize = 500;
/// Longest reply line of ours with CRLF, octets; what lies beyond is cut. RFC 5321 §4.5.3.1.5.
pub const OWN_REPLY_LINE_BYTES: usize = 512;
/// Most a reply of ours may take, octets: one to EHLO, with the longest host name and all
/// extensions.
pub const OWN_REPLY_BYTES: usize = 1024;

// ---- Spool: a journal on flash, with sizes that scale with its segments ----

/// Octets of a segment, in a spool of usual size: small enough to zero-fill in passing, large
/// enough that opening one is rare (one sync in some 400 messages).
pub const SEGMENT_BYTES: u32 = 1024 * 1024;
/// Octets of a segment in the smallest spool.
pub const SEGMENT_BYTES_MIN: u32 = 256 * 1024;
/// Segments that a spool has at least: one to write, one full, one spare for it, one for
/// compaction.
pub const SEGMENTS_MIN: u32 = 4;
/// What was synced is never written again within a page: flash and file systems rewrite whole ones.
pub const SPOOL_PAGE_BYTES: u32 = 4096;
/// Shares of a segment: an envelope and a progress may each take 1, a message's octets
/// [`SPOOL_OCTETS_SHARES`], so that no record is larger than an eighth of a segment.
pub const SEGMENT_SHARES: u32 = 64;
/// Shares for the octets of a message in the journal: 80 KiB of 1 MiB, which is 64 KiB and
/// the fields a relay adds. Larger messages get a file of their own.
pub const SPOOL_OCTETS_SHARES: u32 = 5;
/// One part in so many of the journal is left to the reports that end messages in it.
pub const REPORT_SHARE: u64 = 16;
/// Octets of drafts in memory, all together; beyond, they go to files.
pub const DRAFTS_BYTES: usize = 1024 * 1024;
/// Octets of a large draft that are gathered before they are written.
pub const DRAFT_BUFFER_BYTES: usize = 32 * 1024;
/// Octets of a large draft after which the file system is asked again what room it has, a multiple
/// of [`DRAFT_BUFFER_BYTES`].
pub const ROOM_LOOK_BYTES: u64 = 1024 * 1024;
/// Octets of a large message under one checksum, read at a time; at most [`CHUNK_BYTES`].
pub const LARGE_BLOCK_BYTES: usize = 16 * 1024;
/// Octets of fresh messages that stay in memory for their first attempt.
pub const SPOOL_CACHE_BYTES: usize = 1024 * 1024;
/// Octets of the journal that are written at a time.
pub const BATCH_BYTES: usize = 256 * 1024;
/// How long a commit waits for messages of open transactions to share its sync: less than a flash
/// chip needs for one.
pub const COMPANY_WAIT: Duration = Duration::from_millis(2);
/// Most messages for which two syncs in a row are made one by such a wait.
pub const COMPANY_MESSAGES: usize = 16;
/// Octets to be written from which on it does not wait.
pub const COMPANY_BYTES: usize = 64 * 1024;
/// How long a record that may be repeated (Done, Settled) waits for somebody else's sync.
pub const LAZY_SYNC_WAIT: Duration = Duration::from_secs(2);
/// Octets of such records that wait at most.
pub const LAZY_SYNC_BYTES: usize = 64 * 1024;
/// Failed writes in a row before the spool says no to all who wait.
pub const SPOOL_FAILURES: u32 = 3;
/// Segment files that are open at once.
pub const SPOOL_FILES_OPEN: usize = 16;
/// Octets of a segment that are read at a time by recovery.
pub const SCAN_BYTES: u32 = 64 * 1024;
/// Damaged records that recovery lists; more are only counted.
pub const DAMAGE_LISTED: usize = 100;
/// Octets of the file system that the spool leaves to the index, the Maildir and the log.
pub const FILE_SYSTEM_SPARE_BYTES: u64 = 8 * 1024 * 1024;

const _: () = assert!(LARGE_BLOCK_BYTES <= CHUNK_BYTES);
const _: () = assert!(DRAFT_BUFFER_BYTES.is_multiple_of(LARGE_BLOCK_BYTES));

// ---- The machine (sys) ----

/// A wall clock that shows an earlier date has not been set (boards without a battery start in
/// 1970): 2026-01-01T00:00:00Z, in seconds since 1970. No release of Waypost is older.
pub const CLOCK_EPOCH_SECONDS: u64 = 1_767_225_600;
/// Octets of what is written at least, whatever is asked for: a page of memory is written whole.
pub const FLASH_PAGE_BYTES: u64 = 4096;
/// Threads for file operations. More would only queue up in the file system's own journal.
pub const FILE_THREADS: usize = 4;
/// File operations, or pieces of slow arithmetic, that wait for a thread; more are refused.
pub const LANE_JOBS: usize = 1024;
/// Stack of such a thread. Only what is touched costs memory.
pub const LANE_STACK_BYTES: usize = 256 * 1024;
/// Such a thread ends when it has had nothing to do for so long.
pub const LANE_IDLE: Duration = Duration::from_secs(10);
/// Connections the kernel holds until they are accepted (`net.core.somaxconn` may lower it).
pub const LISTEN_BACKLOG: i32 = 1024;
/// Silence on an accepted connection before the kernel asks whether the peer is still there.
pub const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
/// Time between such questions.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Such questions without an answer that end the connection.
pub const KEEPALIVE_COUNT: u32 = 4;
/// Events that one wait for sockets takes from the kernel at most; the rest come with the next.
pub const REACTOR_EVENTS: usize = 128;
/// How long it looks for news without sleeping, where the last came as soon: about what waking a
/// sleeping processor takes on a virtual machine. Nothing lingers for whom a network is between.
pub const REACTOR_LINGER: Duration = Duration::from_micros(50);
/// Reads, writes or accepts in a row that were ready at once before others get their turn.
pub const READY_STREAK: u32 = 16;
/// Longest log line with its time and line end, octets; longer ones are cut. A pipe takes this much
/// in one piece (`PIPE_BUF`).
pub const LOG_LINE_BYTES: usize = 4096;
/// Octets of one answer of the kernel about addresses or routes.
pub const NETLINK_BYTES: usize = 32 * 1024;
/// Answers of the kernel to one such question that are read.
pub const NETLINK_ANSWERS: usize = 256;

/// Read buffer of an outbound TLS 1.3 connection: the longest record, 2^14 + 256 octets. RFC 8446
/// §5.2.
pub const TLS_READ_BYTES: usize = 16_640;
/// Write buffer of one: 3,968 octets of plain text a record.
pub const TLS_WRITE_BYTES: usize = 4_096;
/// Server names whose TLS engine is remembered.
pub const TLS_NAMES: usize = 256;
/// How long it is remembered.
pub const TLS_NAMES_WAIT: Duration = Duration::from_hours(24);
/// Certificates in the chain of a server.
pub const TLS_CHAIN: usize = 16;

// ---- Command line ----

/// Largest message that `sendmail` reads, octets; the relay's own bound is usually far lower.
pub const SENDMAIL_BYTES: usize = 64 * 1024 * 1024;
/// Most recipients that `sendmail` takes.
pub const SENDMAIL_RECIPIENTS: usize = 1000;
/// Recipients of one transaction of `sendmail`. RFC 5321 §4.5.3.1.8: every server takes as many.
pub const SENDMAIL_TRANSACTION: usize = 100;
/// Longest answer of the running relay that is read, octets.
pub const CONTROL_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// How long the running relay may take to answer: checks reach out into the network.
pub const CONTROL_WAIT: Duration = Duration::from_mins(2);
/// How often the pages of the queue are read for what moved past them while they were.
pub const CONTROL_ROUNDS: usize = 8;
/// Rows of the queue that are asked for at a time.
pub const CONTROL_ROWS: usize = 50;
/// Width of what is printed for people, characters.
pub const SHOWN_COLUMNS: usize = 80;
/// Characters of one text that are printed for people.
pub const SHOWN_CHARS: usize = 600;
/// Longest line that is read from standard input (a password, a value), octets.
pub const TYPED_BYTES: usize = 64 * 1024;

/// How long `waypost check` waits for one smarthost.
pub const KNOCK_WAIT: Duration = Duration::from_secs(20);

/// Longest key of the index, octets.
pub const INDEX_KEY_BYTES: usize = 512;
/// Longest key and value of the index together, octets. Larger ones swell sled's memory and end up
/// in files of their own, which a power cut leaves unreadable.
pub const INDEX_ENTRY_BYTES: usize = 1024;
/// Changes of the index in one batch.
pub const INDEX_BATCH: usize = 1000;
/// Entries that one scan returns at most, whatever it asks for.
pub const INDEX_SCAN: usize = 1000;
/// Longest message between us and the process that keeps the index, octets: a full batch or scan.
pub const INDEX_FRAME_BYTES: usize = 1_100_000;
/// How long that process may take for one answer.
pub const INDEX_WAIT: Duration = Duration::from_secs(30);
/// That process ends when it was not needed for so long.
pub const INDEX_IDLE: Duration = Duration::from_secs(3);
/// Resident memory, octets, at which it is replaced by a new one; or at twice what it had when it
/// was new.
pub const INDEX_MEMORY_BYTES: u64 = 7 * 1024 * 1024;
/// Requests between two looks at that.
pub const INDEX_MEMORY_EVERY: u32 = 32;
/// First wait after a failure of the index; it doubles with each further one.
pub const INDEX_RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest such wait.
pub const INDEX_RETRY_MAX: Duration = Duration::from_mins(5);

const _: () = assert!(INDEX_BATCH * (INDEX_ENTRY_BYTES + 64) < INDEX_FRAME_BYTES);
const _: () = assert!(INDEX_SCAN * (INDEX_ENTRY_BYTES + 64) < INDEX_FRAME_BYTES);
/// Addresses that one event names, so that with queue id, Message-ID and sender all are among
/// [`HISTORY_NAMES`].
pub const EVENT_ADDRESSES: usize = 8;
const _: () = assert!(EVENT_ADDRESSES + 3 <= HISTORY_NAMES);

/// Longest address of a web service, octets. RFC 9110 §4.1 would have 8,000; nobody has such.
pub const URL_BYTES: usize = 2048;
/// Longest head of an answer over HTTP, octets: as browsers and proxies have it.
pub const HTTP_HEAD_BYTES: usize = 16 * 1024;
/// Most fields in it.
pub const HTTP_FIELDS: usize = 64;
/// Longest body of an answer over HTTP, octets: tokens take some thousand, a policy of MTA-STS may
/// have 64,000 (RFC 8461 §3.2).
pub const HTTP_BODY_BYTES: usize = 64 * 1024;
/// Longest time that a server may want to be left alone.
pub const RETRY_AFTER: Duration = Duration::from_hours(1);
/// How long a sign-in may take from its link, or its code, to its end.
pub const SIGN_IN_WAIT: Duration = Duration::from_mins(15);
/// Addresses of a host that are asked over HTTP, in turn.
pub const HTTP_ADDRESSES: usize = 4;
/// Time for a connection to one of them.
pub const HTTP_CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Time for one of them to answer, all in all.
pub const HTTP_WAIT: Duration = Duration::from_mins(1);
/// A token is replaced so long before it ends; where it lasts less than twice that, at its half.
pub const TOKEN_MARGIN: Duration = Duration::from_mins(5);
/// How long a token is used whose end is not said.
pub const TOKEN_LIFETIME: Duration = Duration::from_mins(30);
/// A token this young that is refused is not at fault.
pub const TOKEN_FRESH: Duration = Duration::from_mins(1);
/// First wait after a token could not be had; it doubles.
pub const TOKEN_RETRY_FIRST: Duration = Duration::from_secs(15);
/// Longest such wait.
pub const TOKEN_RETRY_MAX: Duration = Duration::from_mins(15);
/// A sign-in that was not used for so long is tried, so that one that has ended is told before mail
/// waits for it; unused ones end, too (Microsoft: after 90 days, Google: after six months).
pub const SIGN_IN_EVERY: Duration = Duration::from_hours(24);
/// First such try after the start, and the next one after one that came to nothing.
pub const SIGN_IN_AGAIN: Duration = Duration::from_mins(10);
/// A person is told so long before a sign-in ends.
pub const SIGN_IN_WARNING: Duration = Duration::from_hours(72);
/// How often the command line looks whether a code has been typed.
pub const SIGN_IN_LOOK: Duration = Duration::from_secs(2);
/// Sign-ins that may be under way at once.
pub const SIGN_INS: usize = 8;
/// Longest time for which a domain's policy counts. RFC 8461 §3.2.
pub const STS_AGE_MAX: Duration = Duration::from_hours(8766);
/// Names of mail servers in a policy.
pub const STS_PATTERNS: usize = 64;
/// Policies remembered; the one that ends soonest makes way.
pub const STS_POLICIES: usize = 128;
/// A policy is looked at again after so long, though it may count for longer. RFC 8461 §3.3, §10.2.
pub const STS_REFRESH: Duration = Duration::from_hours(24);
/// A policy that could not be had is not asked for again before that. RFC 8461 §3.3.
pub const STS_RETRY: Duration = Duration::from_mins(5);
/// Time for a policy to be had; meanwhile mail for that domain waits.
pub const STS_WAIT: Duration = Duration::from_secs(30);
/// Time for the index to say which policies it has, or to take one.
pub const STS_INDEX_WAIT: Duration = Duration::from_secs(5);
/// Terms of SPF records that ask DNS, for one question. RFC 7208 §4.6.4.
pub const SPF_LOOKUPS: usize = 10;
/// Of these, those that lead nowhere. RFC 7208 §4.6.4.
pub const SPF_VOIDS: usize = 2;
/// Time to look at a domain from outside; a browser waits for 30 seconds.
pub const DOCTOR_WAIT: Duration = Duration::from_secs(28);
/// Time for a mail server to greet, when the doctor asks.
pub const GREETING_WAIT: Duration = Duration::from_secs(8);
/// Longest such greeting, octets.
pub const GREETING_BYTES: usize = 8192;
/// Days for which a bounce to a sender that was written anew is taken: longer than any server
/// tries.
pub const SRS_DAYS: u64 = 21;
/// Octets of the file of the key for that, at most.
pub const SRS_KEY_BYTES: usize = 128;
/// Longest time that a server which puts strangers off is left alone for that.
pub const GREYLIST_WAIT: Duration = Duration::from_hours(1);
/// What is shorter is no such time.
pub const GREYLIST_LEAST: Duration = Duration::from_secs(10);
/// So much later than they say, since clocks differ.
pub const GREYLIST_SLACK: Duration = Duration::from_secs(5);
/// Servers of which it is remembered for how long they put off.
pub const GREYLISTS: usize = 256;
/// Attempts after which it is not that any more.
pub const GREYLIST_ATTEMPTS: u16 = 4;
