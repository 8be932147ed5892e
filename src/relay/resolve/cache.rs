//! What name servers said lately, in bounded room.

use crate::{
    limits,
    proto::dns::{Data, Question},
    time::Instant,
};
use std::{collections::HashMap, rc::Rc, time::Duration};

/// What is known about a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// These records, at least 1.
    Records(Rc<[Data]>),
    /// The name is there, such records are not.
    NoData,
    /// There is no such name.
    NoName,
    /// One of these two, it was said, but no zone's own servers vouch for it: they would have sent
    /// the SOA with it. RFC 2308 §3.
    Unvouched(Denied),
    /// Nobody would say, and why.
    Failed(Rc<str>),
}

/// That, and how far it can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) known: Known,
    /// Its signatures were checked.
    pub(super) authentic: bool,
}

/// What is said not to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The name.
    Name,
    /// Such records.
    Data,
}

/// Answers by question. Its room is [`limits::DNS_CACHE_BYTES`]; what ends soonest makes way. What
/// has ended is forgotten every [`limits::DNS_SWEEP`], while anything is asked.
#[derive(Default)]
pub(super) struct Cache {
    entries: HashMap<Question, Entry>,
    octets: usize,
    swept: Instant,
}

struct Entry {
    found: Found,
    since: Instant,
    until: Instant,
    octets: usize,
}

impl Cache {
    /// What is known at `now`, and since when.
    pub(super) fn find(&self, question: &Question, now: Instant) -> Option<(Found, Instant)> {
        let entry = self.entries.get(question).filter(|entry| entry.until > now)?;
        Some((entry.found.clone(), entry.since))
    }

    /// Remember what was said at `now`; `ttl` is the server's, in seconds, and is brought within
    /// bounds.
    pub(super) fn keep(
        &mut self,
        question: &Question,
        found: Found,
        ttl: Option<u32>,
        now: Instant,
    ) {
        self.remove(question);
        self.sweep(now);
        let octets = octets(question, &found.known);
        if octets > limits::DNS_CACHE_BYTES {
            return;
        }
        while self.octets + octets > limits::DNS_CACHE_BYTES {
            self.remove_soonest();
        }
        let until = now + lifetime(&found.known, ttl);
        self.octets += octets;
        self.entries.insert(question.clone(), Entry { found, since: now, until, octets });
    }

    /// Know nothing.
    pub(super) fn clear(&mut self) {
        *self = Cache::default();
    }

    /// Know only what somebody has said.
    pub(super) fn forget_failures(&mut self) {
        let failed = |entry: &Entry| matches!(entry.found.known, Known::Failed(_));
        let failures = self.entries.iter().filter(|(_, entry)| failed(entry));
        let questions: Vec<Question> = failures.map(|(question, _)| question.clone()).collect();
        for question in questions {
            self.remove(&question);
        }
    }

    fn sweep(&mut self, now: Instant) {
        if now.since(self.swept) < limits::DNS_SWEEP {
            return;
        }
        self.swept = now;
        self.entries.retain(|_, entry| entry.until > now);
        self.entries.shrink_to_fit();
        self.octets = self.entries.values().map(|entry| entry.octets).sum();
    }

    fn remove(&mut self, question: &Question) {
        if let Some(entry) = self.entries.remove(question) {
            self.octets -= entry.octets;
        }
    }

    fn remove_soonest(&mut self) {
        let soonest = self.entries.iter().min_by_key(|(_, entry)| entry.until);
        let question = soonest.map(|(question, _)| question.clone());
        self.remove(&question.expect("octets are counted only for entries"));
    }
}

fn lifetime(known: &Known, ttl: Option<u32>) -> Duration {
    // A TTL with its first bit set counts as zero. RFC 2181 §8.
    let said = ttl.filter(|ttl| i32::try_from(*ttl).is_ok()).unwrap_or(0);
    let most = match known {
        Known::Records(_) => limits::DNS_TTL_MAX,
        Known::NoData | Known::NoName | Known::Unvouched(_) => limits::DNS_NEGATIVE_TTL_MAX,
        Known::Failed(_) => return limits::DNS_FAILURE_TTL,
    };
    Duration::from_secs(u64::from(said)).clamp(limits::DNS_TTL_MIN, most)
}

/// About what an entry takes in memory.
fn octets(question: &Question, known: &Known) -> usize {
    let text = |data: &Data| match data {
        Data::A(_) | Data::Aaaa(_) => 0,
        Data::Mx(_, host) | Data::Ptr(host) => host.len(),
        Data::Txt(text) => text.len(),
        Data::Tlsa(tlsa) => tlsa.data.len(),
    };
    let contents = match known {
        Known::Records(records) => {
            size_of_val::<[Data]>(records) + records.iter().map(text).sum::<usize>()
        }
        Known::Failed(why) => why.len(),
        Known::NoData | Known::NoName | Known::Unvouched(_) => 0,
    };
    size_of::<(Question, Entry)>() + question.name.len() + contents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dns::Kind;

    fn question(name: &str) -> Question {
        Question { name: name.into(), kind: Kind::Mx }
    }

    fn found(known: Known) -> Found {
        Found { known, authentic: false }
    }

    fn records(host: &str) -> Known {
        Known::Records([Data::Mx(1, host.into())].into())
    }

    fn secs(seconds: u64) -> Instant {
        Instant(seconds * 1000)
    }

    /// Seconds for which `known` is remembered.
    fn kept_for(known: Known, ttl: Option<u32>) -> u64 {
        let mut cache = Cache::default();
        let ask = question("x.example");
        cache.keep(&ask, found(known), ttl, secs(100));
        (0..200_000).find(|s| cache.find(&ask, secs(100 + s)).is_none()).expect("it ends")
    }

    #[test]
    fn an_answer_is_remembered_for_its_ttl_within_bounds() {
        for (ttl, kept) in
            [(0, 5), (4, 5), (300, 300), (86_400, 86_400), (86_401, 86_400), (u32::MAX, 5)]
        {
            assert_eq!(kept_for(records("mx.example"), Some(ttl)), kept, "{ttl}");
        }
        assert_eq!(kept_for(records("mx.example"), None), 5);
    }

    #[test]
    fn no_is_remembered_for_minutes_and_a_failure_for_seconds() {
        for (ttl, kept) in [(None, 5), (Some(30), 30), (Some(300), 300), (Some(301), 300)] {
            assert_eq!(kept_for(Known::NoName, ttl), kept);
            assert_eq!(kept_for(Known::NoData, ttl), kept);
        }
        assert_eq!(kept_for(Known::Failed("x".into()), Some(9999)), 5);
    }

    #[test]
    fn room_is_bounded_and_what_ends_soonest_makes_way() {
        let mut cache = Cache::default();
        let long = "m".repeat(200);
        for n in 0..2_000u32 {
            let ask = question(&format!("{n}.example"));
            cache.keep(&ask, found(records(&long)), Some(1000 + n), secs(0));
            assert!(cache.octets <= limits::DNS_CACHE_BYTES);
        }
        let kept = cache.entries.len();
        assert!((400..2_000).contains(&kept), "{kept}");
        assert!(cache.find(&question("0.example"), secs(1)).is_none());
        assert!(cache.find(&question("1999.example"), secs(1)).is_some());
        let counted: usize = cache.entries.values().map(|entry| entry.octets).sum();
        assert_eq!(cache.octets, counted);
    }

    #[test]
    fn what_has_ended_is_forgotten_every_few_minutes() {
        let mut cache = Cache::default();
        let sweep = limits::DNS_SWEEP.as_secs();
        let keep = |cache: &mut Cache, n: u64, ttl: u32, at: u64| {
            let ask = question(&format!("{n}.example"));
            cache.keep(&ask, found(records("mx")), Some(ttl), secs(at));
            cache.entries.len()
        };
        for n in 0..100u32 {
            let kept = keep(&mut cache, n.into(), 60, sweep + u64::from(n));
            assert_eq!(kept, n as usize + 1, "not yet");
        }
        assert_eq!(keep(&mut cache, 100, 3600, 2 * sweep - 1), 101);
        assert_eq!(keep(&mut cache, 101, 3600, 2 * sweep), 2);
        assert_eq!(keep(&mut cache, 102, 3600, 3 * sweep), 3, "these last");
        let counted: usize = cache.entries.values().map(|entry| entry.octets).sum();
        assert_eq!(cache.octets, counted);
    }

    #[test]
    fn failures_are_forgotten_and_answers_are_not() {
        let mut cache = Cache::default();
        cache.keep(&question("a.example"), found(Known::Failed("x".into())), None, secs(0));
        cache.keep(&question("b.example"), found(Known::NoName), None, secs(0));
        cache.forget_failures();
        assert!(cache.find(&question("a.example"), secs(1)).is_none());
        assert!(cache.find(&question("b.example"), secs(1)).is_some());
        let counted: usize = cache.entries.values().map(|entry| entry.octets).sum();
        assert_eq!(cache.octets, counted);
    }

    #[test]
    fn what_has_no_room_at_all_is_not_remembered() {
        let mut cache = Cache::default();
        let ask = question("x.example");
        let fits = |spare: usize| {
            let empty = octets(&ask, &Known::Failed("".into()));
            Known::Failed("y".repeat(limits::DNS_CACHE_BYTES - empty + spare).into())
        };
        cache.keep(&ask, found(fits(1)), None, secs(0));
        assert_eq!((cache.entries.len(), cache.octets), (0, 0));
        cache.keep(&ask, found(fits(0)), None, secs(0));
        assert_eq!((cache.entries.len(), cache.octets), (1, limits::DNS_CACHE_BYTES));
        cache.keep(&ask, found(Known::NoData), None, secs(0));
        assert_eq!(cache.entries.len(), 1);
        assert!(cache.octets < 1000, "the old answer's room is free again");
    }
}
