//! Ground floor: formats and conversations. Pure: no clock, no dice, no input or output.

pub mod dns;
pub mod http;
pub mod machine;
pub mod mail;
pub mod oauth;
pub mod sasl;
pub mod smtp;
pub mod sntp;
pub mod status;
pub mod sts;
