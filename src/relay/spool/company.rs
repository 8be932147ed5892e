//! Company for a commit: transactions that are open will want a sync, too, in a moment.

use super::Spool;
use crate::{limits, sys::Signal, time::Instant};

/// Who is on the way.
#[derive(Default)]
pub(super) struct Company {
    coming: u32,
    /// Rises whenever those who are on the way are given up.
    epoch: u64,
    /// When the commit that waits for them has begun to.
    pub(super) since: Option<Instant>,
    /// Raised when nobody is on the way any more, or there is something else to write meanwhile.
    pub(super) news: Signal,
}

impl Company {
    /// Until when to wait for those who are on the way; `None`: not at all, or no longer.
    pub(super) fn patience(&mut self, now: Instant) -> Option<Instant> {
        if self.coming == 0 {
            return None;
        }
        let until = *self.since.get_or_insert(now) + limits::COMPANY_WAIT;
        if now < until {
            return Some(until);
        }
        self.coming = 0;
        self.epoch += 1;
        None
    }

    fn leave(&mut self, epoch: u64) {
        if self.epoch == epoch {
            self.coming -= 1;
            if self.coming == 0 {
                self.news.raise();
            }
        }
    }
}

/// A message is coming that will be committed, until this is dropped.
pub struct Coming {
    spool: Spool,
    epoch: u64,
}

impl Spool {
    /// A transaction has begun: commits of others wait for its own, for
    /// [`limits::COMPANY_WAIT`] at most and once, and share their write and sync with it. Drop
    /// what this returns before the commit.
    pub fn expect(&self) -> Coming {
        let company = &mut self.0.state.borrow_mut().company;
        company.coming += 1;
        Coming { spool: self.clone(), epoch: company.epoch }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.spool.0.state.borrow_mut().company.leave(self.epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Instant = Instant(1_000);

    fn company(coming: u32) -> Company {
        Company { coming, ..Company::default() }
    }

    #[test]
    fn a_lone_commit_waits_for_nobody() {
        assert_eq!(company(0).patience(AT), None);
    }

    #[test]
    fn nobody_is_waited_for_longer_than_the_bound_nor_twice() {
        let mut company = company(2);
        let until = AT + limits::COMPANY_WAIT;
        assert_eq!(company.patience(AT), Some(until));
        assert_eq!(company.patience(Instant(until.0 - 1)), Some(until));
        assert_eq!(company.patience(until), None);
        company.since = None;
        assert_eq!(company.patience(until), None, "they were given up");
        company.leave(0);
        assert_eq!((company.coming, company.news.count()), (0, 0));
    }

    #[test]
    fn when_the_last_has_come_it_is_told() {
        let mut company = company(2);
        company.leave(0);
        assert_eq!(company.news.count(), 0);
        assert!(company.patience(AT).is_some());
        company.leave(0);
        assert_eq!(company.news.count(), 1);
        assert_eq!(company.patience(AT), None);
    }
}
