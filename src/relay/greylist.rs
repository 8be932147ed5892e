//! Servers that put off whomever they have not seen before. RFC 6647.
//!
//! Some say for how long, and some take it amiss when one comes sooner; of the others it is
//! remembered when they let somebody in. So the second attempt is the last.

use crate::{
    limits,
    pairs::Pairs,
    proto::status::{Class, Outcome},
};
use std::{cell::RefCell, time::Duration};

/// For how long servers put off, as far as they have shown it.
#[derive(Default)]
pub struct Greylists(RefCell<Pairs<String, Duration>>);

impl Greylists {
    /// When to try again after all of these, if it is that which they say; `None`: as usual.
    pub fn wait<'a>(&self, outcomes: impl Iterator<Item = &'a Outcome>) -> Option<Duration> {
        let mut longest = None;
        for outcome in outcomes {
            if !is_greylisting(outcome) {
                return None;
            }
            let known = || self.0.borrow().get(host(outcome)).copied();
            longest = longest.max(Some(said(&outcome.text).or_else(known)?));
        }
        longest.map(|wait| wait + limits::GREYLIST_SLACK)
    }

    /// `before` was put off; after so long the server has taken it.
    pub fn learn(&self, before: &Outcome, after: Duration) {
        let useful = is_greylisting(before) && after <= limits::GREYLIST_WAIT;
        if !useful || said(&before.text).is_some() {
            return;
        }
        let mut known = self.0.borrow_mut();
        if known.len() >= limits::GREYLISTS && !known.contains_key(host(before)) {
            known.pop_first();
        }
        let entry = known.entry(host(before).to_string(), || after);
        *entry = after.min(*entry);
    }
}

/// `mx.example.org` of `mx.example.org [192.0.2.1]`: a cluster often shares what it has seen.
fn host(outcome: &Outcome) -> &str {
    outcome.by.split(' ').next().unwrap_or_default()
}

fn is_greylisting(outcome: &Outcome) -> bool {
    let text = outcome.text.to_ascii_lowercase();
    let words = ["greylist", "graylist", "grey-list", "gray-list", "grey list", "postgrey"];
    outcome.status.class == Class::Transient
        && text.starts_with('4')
        && words.iter().any(|word| text.contains(word))
}

/// `300 seconds`, `5 minutes`, `5min`, `00:05:00`: the first such time, from
/// [`limits::GREYLIST_LEAST`] to [`limits::GREYLIST_WAIT`].
fn said(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':').peekable();
    while let Some(word) = words.next() {
        let seconds = clock(word).or_else(|| {
            let end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
            let number: u64 = word[..end].parse().ok()?;
            let unit = if end < word.len() { &word[end..] } else { words.peek()? };
            let seconds = match unit {
                "s" | "sec" | "secs" | "second" | "seconds" => 1,
                "m" | "min" | "mins" | "minute" | "minutes" => 60,
                "h" | "hour" | "hours" => 3600,
                _ => return None,
            };
            number.checked_mul(seconds)
        });
        let fits = (limits::GREYLIST_LEAST..=limits::GREYLIST_WAIT)
            .contains(&Duration::from_secs(seconds.unwrap_or_default()));
        if fits {
            return seconds.map(Duration::from_secs);
        }
    }
    None
}

/// Hours, minutes and seconds.
fn clock(word: &str) -> Option<u64> {
    let parts: Vec<u64> = word.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    match parts.as_slice() {
        [hours @ 0..24, minutes @ 0..60, seconds @ 0..60] => {
            Some(hours * 3600 + minutes * 60 + seconds)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::status::Status;

    fn deferred(text: &str) -> Outcome {
        let status = Status::new(Class::Transient, 7, 1);
        Outcome { status, by: "mx.example.org [192.0.2.1]".into(), text: text.into() }
    }

    #[test]
    fn what_a_server_says_is_when_it_is_tried_again() {
        for (text, seconds) in [
            ("450 4.2.0 <a@b>: Greylisted, see http://postgrey.schweikert.ch/help/b.html", None),
            ("451 4.7.1 Greylisting in action, please come back in 00:04:59", Some(299)),
            ("451 4.7.1 Greylisted for 300 seconds, try again later", Some(300)),
            ("450 4.7.1 Graylisted for 5 minutes", Some(300)),
            ("451 greylisted, retry in 5min.", Some(300)),
            ("451 greylisted (1 hour)", Some(3600)),
            ("451 greylisted for 5 apples and 90s", Some(90)),
            ("451 greylisted for 2 hours", None),
            ("451 greylisted for 9 seconds", None),
            ("451 greylisted for 10 seconds", Some(10)),
            ("451 greylisted at 10:20", None),
            ("451 greylisted for 99999999999999999999 seconds", None),
        ] {
            assert_eq!(said(text), seconds.map(Duration::from_secs), "{text}");
            assert!(is_greylisting(&deferred(text)), "{text}");
        }
        for other in ["451 4.3.0 Try again in 300 seconds", "greylisted", "550 greylisted"] {
            assert_eq!(Greylists::default().wait([deferred(other)].iter()), None, "{other}");
        }
    }

    #[test]
    fn who_says_nothing_is_remembered_by_when_it_let_somebody_in() {
        let known = Greylists::default();
        let put_off = deferred("450 4.2.0 Greylisted");
        let wait = || known.wait([put_off.clone()].iter()).map(|wait| wait.as_secs());
        let slack = limits::GREYLIST_SLACK.as_secs();
        assert_eq!(wait(), None);
        known.learn(&deferred("451 4.3.0 Disk full"), Duration::from_mins(1));
        known.learn(&put_off, limits::GREYLIST_WAIT + Duration::from_secs(1));
        assert_eq!(wait(), None);
        known.learn(&put_off, Duration::from_mins(7));
        assert_eq!(wait(), Some(420 + slack));
        known.learn(&put_off, Duration::from_mins(10));
        assert_eq!(wait(), Some(420 + slack), "the shortest counts");
        // One of another kind among them: as usual.
        let mixed = [put_off.clone(), deferred("451 4.3.0 Disk full")];
        assert_eq!(known.wait(mixed.iter()), None);
        assert_eq!(known.wait([].iter()), None);
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let known = Greylists::default();
        for n in 0..limits::GREYLISTS + 10 {
            let by = format!("mx{n}.example.org");
            let outcome = Outcome { by, ..deferred("450 4.2.0 Greylisted") };
            known.learn(&outcome, Duration::from_mins(5));
        }
        assert_eq!(known.0.borrow().len(), limits::GREYLISTS);
    }
}
