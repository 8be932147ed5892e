//! Every parser and machine that reads what comes from outside, and what must hold for any input.

mod config;
mod data;
mod dns;
mod downgrade;
mod header;
mod lines;
mod policies;
mod report;
mod smtp_client;
mod smtp_server;
mod spool;
mod trace;
mod values;
mod web;

/// One thing that is fuzzed.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Panics where something does not hold.
    pub(crate) check: fn(&[u8]),
    /// First inputs, from what the repository has.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident)*) => {
        &[$(Target { name: stringify!($name), check: $name::check, seeds: $name::seeds }),*]
    };
}

pub(crate) const TARGETS: &[Target] = targets!(
    smtp_server smtp_client lines data values header downgrade report dns config spool trace web
    policies
);
