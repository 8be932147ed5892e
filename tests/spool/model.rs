//! What a spool must know after everything that was done to it, and the comparison with what it
//! does know.

use std::collections::{BTreeMap, BTreeSet};
use waypost::{
    proto::status::Outcome,
    relay::{
        envelope::{Envelope, Id, Progress},
        spool::Recovered,
    },
};

/// How what was recovered differs from what should be there: not at all, where nothing is damaged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// Promised messages that are not there, or cannot be read.
    pub(crate) missing: usize,
    /// Of them, those that are not there.
    pub(crate) lost: usize,
    /// Messages that are there and should not be.
    pub(crate) back: usize,
    /// Places that are said to be damaged.
    pub(crate) told: usize,
}

/// A message as its sender knows it.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) envelope: Envelope,
    pub(crate) octets: Vec<u8>,
    /// All that was ever said about its progress, oldest first; the first is "nothing yet".
    pub(crate) versions: Vec<Progress>,
    /// The newest version that the spool took.
    pub(crate) taken: usize,
    /// No version before this may come back.
    pub(crate) floor: usize,
    /// `commit` has returned, or it was recovered.
    pub(crate) promised: bool,
    /// It has been asked to be done with: it may go any time.
    pub(crate) ending: bool,
    /// The bounce that is to end it.
    pub(crate) replaced_by: Option<Id>,
    /// Somebody is busy with it.
    pub(crate) busy: bool,
}

/// All messages.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) sent: BTreeMap<Id, Sent>,
    /// Messages that must never be seen again.
    gone: BTreeSet<Id>,
    /// What has been taken and will be durable with the next sync: when, which, and the version or
    /// the end.
    lazy: Vec<(u64, Id, Option<usize>)>,
    ticks: u64,
    /// A bit was flipped or a file lost in this story: messages may be missing or come back.
    pub(crate) damaged: bool,
}

impl Model {
    /// What is taken from now on is later than what was before.
    pub(crate) fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    /// A message is about to be handed over.
    pub(crate) fn send(&mut self, id: Id, envelope: Envelope, octets: Vec<u8>) {
        let versions = vec![Progress::new(envelope.recipients.len())];
        let (taken, floor, promised, ending, busy) = (0, 0, false, false, false);
        let replaced_by = None;
        let sent =
            Sent { envelope, octets, versions, taken, floor, promised, ending, replaced_by, busy };
        self.sent.insert(id, sent);
    }

    /// A version or an end was taken.
    pub(crate) fn taken(&mut self, id: Id, version: Option<usize>) {
        let now = self.tick();
        self.lazy.push((now, id, version));
    }

    /// A sync that was asked for at `start` has succeeded.
    pub(crate) fn synced(&mut self, start: u64) {
        let (durable, lazy) =
            std::mem::take(&mut self.lazy).into_iter().partition(|(tick, ..)| *tick < start);
        self.lazy = lazy;
        let durable: Vec<(u64, Id, Option<usize>)> = durable;
        for (_, id, version) in durable {
            match (version, self.sent.get_mut(&id)) {
                (Some(version), Some(sent)) => sent.floor = sent.floor.max(version),
                (None, _) => self.end(id),
                _ => {}
            }
        }
    }

    /// It must never be seen again.
    pub(crate) fn end(&mut self, id: Id) {
        self.sent.remove(&id);
        self.gone.insert(id);
    }

    /// Messages that may be worked with.
    pub(crate) fn idle(&self) -> Vec<Id> {
        let idle = |sent: &Sent| sent.promised && !sent.ending && !sent.busy;
        self.sent.iter().filter(|(_, sent)| idle(sent)).map(|(id, _)| *id).collect()
    }

    /// Compare with what was recovered, and go on from there. Any difference is a failure where
    /// nothing was damaged, and told otherwise.
    pub(crate) fn recovered(&mut self, recovered: &Recovered) -> Found {
        self.lazy.clear();
        let found: BTreeSet<Id> = recovered.entries.iter().map(|entry| entry.id).collect();
        assert_eq!(found.len(), recovered.entries.len(), "an id twice");
        if !self.damaged {
            assert_eq!(recovered.damaged, [], "damage is told where there is none");
            for id in &found {
                assert!(!self.gone.contains(id), "{id} is back from the dead");
                assert!(self.sent.contains_key(id), "{id} was never sent");
            }
        }
        let mut missing = 0;
        for (id, sent) in &self.sent {
            let bounced = sent.replaced_by.map(|bounce| found.contains(&bounce));
            if found.contains(id) {
                assert!(bounced != Some(true) || self.damaged, "{id} and its bounce are there");
            } else if sent.promised && bounced == Some(false) {
                // Only the bounce may take its place; but for the bounce being done already.
                assert!(self.damaged, "{id} is gone and its bounce is not there");
                missing += 1;
            } else if sent.promised && !sent.ending {
                assert!(self.damaged, "{id} is lost");
                missing += 1;
            }
        }
        let back = found.iter().filter(|id| !self.sent.contains_key(id)).count();
        let lost: Vec<Id> = self.sent.keys().filter(|id| !found.contains(id)).copied().collect();
        for id in lost {
            self.end(id);
        }
        for entry in &recovered.entries {
            let Some(sent) = self.sent.get_mut(&entry.id) else { continue };
            assert_eq!(entry.size, sent.octets.len() as u64);
            assert_eq!(entry.arrived, sent.envelope.arrived);
            assert_eq!(usize::from(entry.recipients), sent.envelope.recipients.len());
            (sent.promised, sent.ending, sent.busy, sent.replaced_by) = (true, false, false, None);
        }
        Found { missing, lost: missing, back, told: recovered.damage_count }
    }

    /// What was loaded of a message after a recovery: whole, and no older than what was durable.
    pub(crate) fn reloaded(
        &mut self,
        id: Id,
        envelope: &Envelope,
        progress: &Progress,
        octets: &[u8],
    ) {
        let Some(sent) = self.sent.get_mut(&id) else { return };
        assert_eq!(*envelope, sent.envelope, "{id}");
        assert!(octets == sent.octets, "the octets of {id} are not those that were sent");
        let least = if self.damaged { 0 } else { sent.floor };
        let version = sent.versions.iter().rposition(|version| same(progress, version));
        let version = version.filter(|version| *version >= least);
        let version =
            version.unwrap_or_else(|| panic!("{id} has a progress that was not, or is too old"));
        (sent.taken, sent.floor) = (version, version);
    }

    /// What was loaded while the spool was at work: whole, and as it was last taken.
    pub(crate) fn loaded(&self, id: Id, envelope: &Envelope, progress: &Progress, octets: &[u8]) {
        let sent = &self.sent[&id];
        assert_eq!(*envelope, sent.envelope, "{id}");
        let version = &sent.versions[sent.taken];
        assert!(same(progress, version), "{id}: {progress:?} is not {version:?}");
        assert!(octets == sent.octets, "the octets of {id} are not those that were sent");
    }
}

/// The same progress; but for words, which may be cut where room is short.
fn same(found: &Progress, sent: &Progress) -> bool {
    let outcome = |found: &Option<Outcome>, sent: &Option<Outcome>| match (found, sent) {
        (Some(found), Some(sent)) => {
            found.status == sent.status && sent.text.starts_with(&found.text)
        }
        (None, None) => true,
        _ => false,
    };
    let outcomes = found.outcomes.len() == sent.outcomes.len()
        && found.outcomes.iter().zip(&sent.outcomes).all(|(found, sent)| outcome(found, sent));
    outcomes && Progress { outcomes: sent.outcomes.clone(), ..found.clone() } == *sent
}
