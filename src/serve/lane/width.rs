//! How many connections a destination is worth at once: one until it has shown itself, more while
//! it takes what comes, fewer where it pushes back.
//!
//! So a server that is dead, or refuses our login, or is on trial because there is another way,
//! costs one connection at a time; and one that answers is soon used by as many as it bears.

use crate::limits;
use std::cell::Cell;

/// Connections that a lane may have.
pub(super) struct Width {
    now: Cell<usize>,
    /// Messages that were taken since it last grew.
    taken: Cell<usize>,
    /// What was tried last failed.
    failing: Cell<bool>,
}

impl Width {
    /// Nothing is known of it.
    pub(super) fn new() -> Width {
        Width { now: Cell::new(1), taken: Cell::default(), failing: Cell::default() }
    }

    /// At least 1.
    pub(super) fn get(&self) -> usize {
        self.now.get()
    }

    /// The last that was heard of it is that it could not be used.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.get()
    }

    /// It has never been ready for mail, or not since it failed.
    pub(super) fn is_unknown(&self) -> bool {
        self.now.get() == 1
    }

    /// A server was ready for mail: twice as many, up to [`limits::CONNECTIONS_EASILY`].
    pub(super) fn is_ready(&self) {
        self.failing.set(false);
        let now = self.now.get();
        self.now.set(now.max((2 * now).min(limits::CONNECTIONS_EASILY)));
    }

    /// It took a message: one connection more for as many of these as there are connections.
    pub(super) fn has_taken(&self) {
        let taken = self.taken.get() + 1;
        let grows = taken >= self.now.get() && self.now.get() < limits::CONNECTIONS_PER_LANE;
        self.taken.set(if grows { 0 } else { taken });
        self.now.set(self.now.get() + usize::from(grows));
    }

    /// A further connection was turned away while so many work.
    pub(super) fn is_pushed_back(&self, working: usize) {
        self.now.set(self.now.get().min(working).max(1));
        self.taken.set(0);
    }

    /// It cannot be used.
    pub(super) fn has_failed(&self) {
        self.now.set(1);
        self.taken.set(0);
        self.failing.set(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_what_is_easy_and_grows_by_answers_from_there() {
        let width = Width::new();
        assert!(width.is_unknown() && !width.is_failing());
        let grown: Vec<usize> = (0..4)
            .map(|_| {
                width.is_ready();
                width.get()
            })
            .collect();
        assert_eq!(grown, [2, 4, 4, 4]);
        let mut messages = 0;
        while width.get() < limits::CONNECTIONS_PER_LANE {
            width.has_taken();
            messages += 1;
        }
        assert_eq!(messages, (4..limits::CONNECTIONS_PER_LANE).sum::<usize>());
        for _ in 0..1000 {
            width.has_taken();
        }
        assert_eq!(width.get(), limits::CONNECTIONS_PER_LANE);
        width.is_ready();
        assert_eq!(width.get(), limits::CONNECTIONS_PER_LANE, "it does not shrink by good news");
    }

    #[test]
    fn it_shrinks_to_what_works_and_begins_anew_after_a_failure() {
        let width = Width::new();
        width.is_ready();
        width.is_ready();
        width.is_pushed_back(3);
        assert_eq!(width.get(), 3);
        width.is_pushed_back(9);
        assert_eq!(width.get(), 3);
        width.is_pushed_back(0);
        assert_eq!(width.get(), 1);
        width.is_ready();
        width.has_failed();
        assert!(width.is_unknown() && width.is_failing());
        width.is_ready();
        assert!(!width.is_unknown() && !width.is_failing());
    }
}
