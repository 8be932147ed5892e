//! SMTP (RFC 5321), both ways, without input or output.

pub mod client;
pub mod command;
pub mod data;
pub mod reply;
pub mod server;
