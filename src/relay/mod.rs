//! Middle floor: what is done with a message.

pub mod envelope;
pub mod spool;
