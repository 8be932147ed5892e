//! Servers that offer CHUNKING and do not take it.

use crate::{limits, time::Instant};
use std::{cell::RefCell, collections::VecDeque, net::SocketAddr};

/// Their addresses, remembered for [`limits::CHUNKLESS_WAIT`]; of more than
/// [`limits::CHUNKLESS_SERVERS`] the oldest is forgotten. They get DATA.
#[derive(Debug, Default)]
pub struct Chunkless(RefCell<VecDeque<(SocketAddr, Instant)>>);

impl Chunkless {
    pub(super) fn holds(&self, at: SocketAddr, now: Instant) -> bool {
        let fresh = |seen: Instant| now.since(seen) < limits::CHUNKLESS_WAIT;
        self.0.borrow().iter().any(|(server, seen)| *server == at && fresh(*seen))
    }

    pub(super) fn add(&self, at: SocketAddr, now: Instant) {
        let mut servers = self.0.borrow_mut();
        servers.retain(|(server, _)| *server != at);
        if servers.len() == limits::CHUNKLESS_SERVERS {
            servers.pop_front();
        }
        servers.push_back((at, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_remembered_for_a_day_and_so_many_of_them() {
        let at = |n: u16| SocketAddr::from(([192, 0, 2, 1], n));
        let millis = u64::try_from(limits::CHUNKLESS_WAIT.as_millis()).expect("a day");
        let chunkless = Chunkless::default();
        chunkless.add(at(1), Instant(5));
        assert!(chunkless.holds(at(1), Instant(4 + millis)) && !chunkless.holds(at(2), Instant(5)));
        assert!(!chunkless.holds(at(1), Instant(5 + millis)), "it may have been mended");
        let most = u16::try_from(limits::CHUNKLESS_SERVERS).expect("a few");
        (2..=most).for_each(|n| chunkless.add(at(n), Instant(6)));
        chunkless.add(at(2), Instant(7));
        assert!(chunkless.holds(at(1), Instant(7)), "nobody counts twice");
        chunkless.add(at(most + 1), Instant(8));
        assert!(!chunkless.holds(at(1), Instant(8)) && chunkless.holds(at(2), Instant(8)));
    }
}
