//! What the session says of its own. RFC 5321 §4.2.2, with RFC 3463 status.

use crate::proto::status::{Class, Reply, Status};

pub(super) const DONE: Status = Status::new(Class::Success, 0, 0);
pub(super) const BAD_COMMAND: Status = Status::new(Class::Permanent, 5, 1);
pub(super) const BAD_SYNTAX: Status = Status::new(Class::Permanent, 5, 2);
pub(super) const BAD_ARGUMENT: Status = Status::new(Class::Permanent, 5, 4);

pub(super) const OK: Reply = Reply::new(250, DONE, "OK");
pub(super) const SENDER_OK: Reply = Reply::new(250, Status::new(Class::Success, 1, 0), "Sender OK");
pub(super) const RECIPIENT_OK: Reply =
    Reply::new(250, Status::new(Class::Success, 1, 5), "Recipient OK");
pub(super) const TAKEN: Reply = Reply::new(250, DONE, "Message accepted");
pub(super) const BYE: Reply = Reply::new(221, DONE, "Bye");
pub(super) const HELP: Reply = Reply::new(214, DONE, "See RFC 5321");
// RFC 5321 §3.5.3: what VRFY must say where it tells nothing.
pub(super) const NOT_TELLING: Reply = Reply::new(252, DONE, "Send mail and see");
pub(super) const NO_EXPN: Reply = Reply::new(502, BAD_COMMAND, "Lists are not shown");
pub(super) const READY_FOR_TLS: Reply = Reply::new(220, DONE, "Ready to start TLS");
pub(super) const LOGIN_OK: Reply = Reply::new(235, Status::new(Class::Success, 7, 0), "Logged in");

pub(super) const LINE_TOO_LONG: Reply = Reply::new(500, BAD_SYNTAX, "Line too long");
pub(super) const BARE: Reply = Reply::new(500, BAD_SYNTAX, "A line ends in CR LF, and only there");
pub(super) const NO_HELLO: Reply = Reply::new(503, BAD_COMMAND, "Say EHLO first");
pub(super) const NO_NAME: Reply = Reply::new(501, BAD_ARGUMENT, "An argument is missing");
pub(super) const NO_MAIL: Reply = Reply::new(503, BAD_COMMAND, "Say MAIL first");
pub(super) const NO_RCPT: Reply = Reply::new(503, BAD_COMMAND, "Say RCPT first");
pub(super) const NESTED: Reply = Reply::new(503, BAD_COMMAND, "A transaction is open");
pub(super) const IN_CHUNKS: Reply = Reply::new(503, BAD_COMMAND, "The message has begun with BDAT");
pub(super) const NO_VALID_RCPT: Reply = Reply::new(554, BAD_COMMAND, "No valid recipients");
pub(super) const TOO_MANY_RCPT: Reply =
    Reply::new(452, Status::new(Class::Transient, 5, 3), "Too many recipients");
pub(super) const TOO_LARGE: Reply =
    Reply::new(552, Status::new(Class::Permanent, 3, 4), "Message too large");
pub(super) const NO_TLS: Reply = Reply::new(502, BAD_COMMAND, "TLS is not available");
pub(super) const TLS_ALREADY: Reply = Reply::new(503, BAD_COMMAND, "TLS is on already");
pub(super) const NO_AUTH: Reply = Reply::new(502, BAD_COMMAND, "AUTH is not available");
pub(super) const AUTH_NOT_NOW: Reply = Reply::new(503, BAD_COMMAND, "Not now");
pub(super) const AUTH_IN_CLEAR: Reply =
    Reply::new(538, Status::new(Class::Permanent, 7, 11), "Start TLS first");
pub(super) const NO_MECHANISM: Reply =
    Reply::new(504, BAD_ARGUMENT, "Use AUTH PLAIN or AUTH LOGIN");
pub(super) const AUTH_CANCELLED: Reply =
    Reply::new(501, Status::new(Class::Permanent, 7, 0), "Authentication cancelled");
pub(super) const AUTH_UNREADABLE: Reply = Reply::new(501, BAD_SYNTAX, "Cannot decode the response");
pub(super) const AUTH_TOO_LONG: Reply =
    Reply::new(500, Status::new(Class::Permanent, 5, 6), "Authentication line too long");
pub(super) const TOO_MANY_ERRORS: Reply =
    Reply::new(421, Status::new(Class::Transient, 7, 0), "Too many errors");
pub(super) const SILENCE: Reply =
    Reply::new(421, Status::new(Class::Transient, 4, 2), "Waited too long");

/// RFC 3463 §3.7 has no code for a line end that is none, and the registry of RFC 5248 neither (the
/// 5.6.11 that some send is their own): so it is X.6.0, "something about the content". 554 is what
/// RFC 5321 §4.2.3 has for a transaction that failed at its content.
pub(super) const BAD_LINE_END: Reply = Reply::new(
    554,
    Status::new(Class::Permanent, 6, 0),
    "Message with a CR or LF that is no line end, or a NUL beside a dot",
);
pub(super) const CHUNK_OK: Reply = Reply::new(250, DONE, "");
