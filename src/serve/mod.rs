//! Top floor: who is served.
//!
//! `listen` opens doors and lets sessions in; `receive` answers an SMTP session, `intake` takes a
//! message into the spool; `work` and `lane` get it out again; `control` keeps the configuration,
//! `desk` is what page and command line talk to; `start` puts it all together.

#[cfg(test)]
pub mod web;
