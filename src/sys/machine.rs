//! What only the keeper of a board does with a machine: programs, the clock, names on the link.

use super::Pending;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// The machine under an image, for its keeper alone (`src/board`).
pub trait Machine {
    /// Start a program that goes on; it ends when what is returned is dropped.
    ///
    /// # Errors
    /// The system's.
    fn start(&self, command: &Command) -> io::Result<Box<dyn Program>>;
    /// Run a program to its end, and tell its exit code and the last of what it wrote.
    fn run(&self, words: &[&str]) -> Pending<'static, io::Result<(i32, String)>>;
    /// Open a device that takes octets and has no places in it, such as a watchdog.
    ///
    /// # Errors
    /// The system's; there is none.
    fn device(&self, path: &str) -> io::Result<Box<dyn Device>>;
    /// Write all of `text` to a device such as a terminal; what it does not take at once is lost.
    fn show(&self, device: &str, text: &str);
    /// Microseconds since 1970, whether or not anybody has set the clock.
    fn date(&self) -> i64;
    /// Set the clock to so many microseconds since 1970.
    ///
    /// # Errors
    /// The system's.
    fn set_date(&self, to: i64) -> io::Result<()>;
    /// Names of the network interfaces with a cable, or what looks like one.
    fn wired(&self) -> Vec<String>;
    /// Names of the network interfaces for Wi-Fi.
    fn radios(&self) -> Vec<String>;
    /// The addresses of a host, as the system finds them; none where it does not.
    fn addresses(&self, host: &str) -> Pending<'static, Vec<IpAddr>>;
    /// A socket that hears and tells what is said to a group on the link of `own`, from `port`.
    ///
    /// # Errors
    /// The system's.
    fn group(&self, group: Ipv4Addr, port: u16, own: Ipv4Addr) -> io::Result<Box<dyn Group>>;
}

/// A program to start.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// Its file and its arguments.
    pub words: Vec<String>,
    /// Additions to the environment.
    pub environment: Vec<(String, String)>,
    /// User and group; those of this process where that is nothing.
    pub user: Option<u32>,
    /// What becomes of what it writes.
    pub output: Output,
}

/// What becomes of what a program writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// [`Program::line`] tells it, and must be asked: a program that nobody hears stands still once
    /// the pipe is full.
    #[default]
    Heard,
    /// It is lost.
    Lost,
}

/// A program that runs.
pub trait Program {
    /// The next line that it writes, to either output; `None` when it has ended.
    fn line(&mut self) -> Pending<'_, Option<String>>;
    /// Its exit code, where it has ended; with a signal, 128 and that.
    fn code(&mut self) -> Option<i32>;
    /// Ask it to end (SIGTERM).
    fn end(&self);
}

/// A device that is open until it is dropped.
pub trait Device {
    /// Write these.
    ///
    /// # Errors
    /// The device's.
    fn write(&self, octets: &[u8]) -> io::Result<()>;
}

/// A socket of a multicast group.
pub trait Group {
    /// The next datagram, and who sent it.
    fn receive<'a>(&'a self, into: &'a mut [u8]) -> Pending<'a, io::Result<(usize, SocketAddr)>>;
    /// Send one.
    fn send<'a>(&'a self, octets: &'a [u8], to: SocketAddr) -> Pending<'a, io::Result<()>>;
}
