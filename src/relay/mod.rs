//! Middle floor: what is done with a message.

pub mod accounts;
pub mod admit;
pub mod envelope;
pub mod resolve;
pub mod route;
pub mod schedule;
pub mod spool;
