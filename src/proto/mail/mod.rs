//! Internet messages: addresses, headers, dates and reports. Pure.

pub mod address;
pub mod charset;
pub mod date;
pub mod dkim;
pub mod downgrade;
pub mod dsn;
pub mod header;
pub mod list;
pub mod mime;
pub mod quoted;
pub mod received;
pub mod repair;
pub mod sender;
pub mod spf;
pub mod srs;
pub mod text;

#[cfg(test)]
mod vectors;
