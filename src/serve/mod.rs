//! Top floor: who is served.
//!
//! `listen` opens doors and lets sessions in, as many as `places` has room for; `receive` answers
//! an SMTP session, `intake` takes a message into the spool; `work` and `lane` get it out again;
//! `control` keeps the configuration, `desk` is what page and command line talk to, with `vitals`,
//! `devices`, `trial` and `openness`; `memory` keeps what is remembered beside the history;
//! `line` knows whether anybody can be reached; `sign_ins` gets people signed in; `noise` bounds
//! what peers can have told; `start` puts it all together.

mod alarm;
pub mod board;
pub mod control;
pub mod desk;
mod devices;
mod flood;
pub mod intake;
pub mod lane;
pub mod line;
pub mod listen;
mod memory;
pub mod noise;
mod openness;
mod places;
mod push;
pub mod receive;
pub mod relay;
mod sign_ins;
pub mod start;
#[cfg(test)]
mod tests;
mod trial;
mod vitals;
pub mod web;
pub mod work;
