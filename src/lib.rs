#![doc = include_str!("README.md")]

pub mod board;
#[cfg(test)]
mod chance;
pub mod cli;
pub mod config;
pub mod drive;
pub mod limits;
pub mod pairs;
pub mod proto;
pub mod relay;
pub mod serve;
pub mod sys;
pub mod time;
