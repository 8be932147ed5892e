//! Replays `*.session` files against the pure machines: whole, octet by octet and in odd pieces.
//! The format is described in `tests/README.md`.

mod client;
mod replay;
mod server;
