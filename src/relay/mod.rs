//! Middle floor: what is done with a message.

pub mod accounts;
pub mod admit;
pub mod bounce;
pub mod deliver;
pub mod doctor;
pub mod envelope;
pub mod fetch;
pub mod grants;
pub mod greylist;
pub mod maildir;
pub mod pace;
pub mod queue;
pub mod recast;
pub mod refusal;
pub mod rename;
pub mod resolve;
pub mod route;
pub mod schedule;
pub mod sign;
pub mod spf;
pub mod spool;
pub mod srs;
pub mod sts;
pub mod trace;
