//! What every conversation looks like to the code that drives it.

use crate::limits;
use std::time::Duration;

/// Octets on their way in and out of one conversation, both bounded.
///
/// Empty buffers hold no memory: an idle session costs none.
#[derive(Debug, Default)]
pub struct Pipe {
    /// What the peer has sent and the machine has not used yet; at most [`limits::INPUT_BYTES`].
    pub input: Vec<u8>,
    /// What the peer should be sent; machines stop and ask to write at [`limits::OUTPUT_BYTES`].
    pub output: Vec<u8>,
}

impl Pipe {
    /// Octets of input that still fit.
    pub fn room(&self) -> usize {
        limits::INPUT_BYTES.saturating_sub(self.input.len())
    }

    /// Drop the first `n` octets of input, all of them where `n` reaches past the end.
    pub fn consume(&mut self, n: usize) {
        if n >= self.input.len() {
            self.input = Vec::new();
        } else {
            self.input.drain(..n);
        }
    }
}

/// The next thing only the driver can do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<A> {
    /// Flush output, then call [`Machine::step`] again.
    Write,
    /// Flush output, then read more input.
    Read,
    /// Decide something outside the conversation, then call [`Machine::answer`].
    Ask(A),
    /// Flush output, drop buffered input (CVE-2011-0411), start TLS, then call
    /// [`Machine::upgraded`].
    Upgrade,
    /// Flush output and hang up.
    Close,
}

/// A conversation as a value: octets in, octets out, and questions for the driver.
///
/// Questions and answers are plain owned values, so they can be printed, compared and replayed.
pub trait Machine {
    /// What it asks.
    type Ask;
    /// What it is told.
    type Answer;
    /// Its buffers.
    fn pipe(&mut self) -> &mut Pipe;
    /// Go on as far as possible.
    fn step(&mut self) -> Step<Self::Ask>;
    /// The answer to the last [`Step::Ask`], or news that nobody asked for.
    fn answer(&mut self, answer: Self::Answer);
    /// TLS is up; `input` is empty.
    fn upgraded(&mut self);
    /// How long the peer may stay silent in the present state.
    fn patience(&self) -> Duration;
    /// The peer stayed silent for longer: say good-bye in `output`, if the protocol has words for
    /// it.
    fn timed_out(&mut self) {}
}
