//! The reports that an attempt owes its message's sender.

use super::attempt::{Attempt, is_final};
use crate::{
    config::Config,
    limits,
    proto::status::Class,
    relay::{
        bounce::{self, Kind},
        envelope::{Envelope, Id, Octets, Progress, Recipient, Ret},
        trace::Event,
    },
};
use std::io;

impl Attempt {
    /// Reports that are owed now, each in the spool when this returns; and the end of the message,
    /// where nothing is owed any more: then this is true. The last report and the end are one
    /// record: a crash neither loses nor repeats the report. Promise 2.
    ///
    /// # Errors
    /// A report cannot be kept, or the end not be written. `progress` tells which reports were
    /// kept.
    pub(super) async fn report(
        &self,
        config: &Config,
        progress: &mut Progress,
    ) -> io::Result<bool> {
        let late = progress.spent >= config.retry.warn_after && !progress.warned;
        let mut reports = Vec::new();
        for kind in [Kind::Failure, Kind::Success, Kind::Delay] {
            if kind != Kind::Delay || late {
                reports.extend(self.compose(kind, config, progress).await);
            }
        }
        let over = progress.owed().next().is_none();
        let last = reports.len();
        for (n, (kind, envelope, octets)) in reports.into_iter().enumerate() {
            let replaced = (over && n + 1 == last).then_some(self.id);
            self.keep(envelope, &octets, replaced).await?;
            self.note_kept(kind, progress);
        }
        if over && last == 0 {
            self.relay.spool.done(self.id).await?;
        }
        progress.warned |= late;
        for n in 0..progress.outcomes.len() {
            if is_final(progress, n) && !progress.reported.contains(&n) {
                progress.reported.push(n);
            }
        }
        Ok(over)
    }

    /// This report will not be sent again, whatever becomes of those after it.
    fn note_kept(&self, kind: Kind, progress: &mut Progress) {
        match kind {
            Kind::Delay => progress.warned = true,
            Kind::Failure | Kind::Success => {
                let concerned = self.concerned(kind, progress);
                progress.reported.extend(concerned);
            }
        }
    }

    /// Recipients that a report of this kind would be about.
    fn concerned(&self, kind: Kind, progress: &Progress) -> Vec<usize> {
        let fits = |n: &usize| {
            let class = progress.outcomes.get(*n).and_then(Option::as_ref).map(|o| o.status.class);
            match kind {
                Kind::Failure => class == Some(Class::Permanent),
                Kind::Delay => class.is_none_or(|class| class == Class::Transient),
                Kind::Success => {
                    let notify = self.envelope.recipients.get(*n).map(|r| r.notify);
                    class == Some(Class::Success) && notify.is_some_and(|notify| notify.success)
                }
            }
        };
        let all = 0..progress.outcomes.len();
        all.filter(|n| fits(n) && !progress.reported.contains(n)).collect()
    }

    async fn compose(
        &self,
        kind: Kind,
        config: &Config,
        progress: &Progress,
    ) -> Option<(Kind, Envelope, Vec<u8>)> {
        let recipients = self.concerned(kind, progress);
        // Most messages owe no report, and none of them needs its header read again.
        if recipients.is_empty() {
            return None;
        }
        let why = |reason| {
            if kind == Kind::Failure {
                self.relay.tell(self.event("unreported").with("reason", reason));
            }
        };
        if self.envelope.from.is_none() {
            why("it is a report itself, or its sender wants to hear nothing");
            return None;
        }
        let start = self.start().await;
        let about = bounce::About {
            id: self.id,
            envelope: &self.envelope,
            progress,
            recipients: &recipients,
            original: match &start {
                Start::Whole(octets) => bounce::Original::Whole(octets),
                Start::Part(octets) => bounce::Original::Header(octets),
            },
            hostname: &config.hostname,
            wall: self.relay.sys.clock.wall(),
            last_attempt: self.relay.sys.clock.wall(),
            lifetime: config.retry.lifetime,
        };
        let report = bounce::report(kind, &about, self.relay.sys.dice.roll());
        if report.is_none() {
            why("its sender asked for none (NOTIFY)");
        }
        report.map(|(envelope, octets)| (kind, envelope, octets))
    }

    /// As much of the message as a report can bring back. What cannot be read is left out: the
    /// report is owed all the same.
    async fn start(&self) -> Start {
        let Ok(body) = self.relay.spool.body(self.id).await else {
            return Start::Part(Vec::new());
        };
        let whole = body.size() <= limits::REPORT_MESSAGE_BYTES as u64
            && self.envelope.ret == Some(Ret::Full);
        let wanted = if whole { body.size() } else { 1 };
        let mut octets = Vec::new();
        while (octets.len() as u64) < wanted {
            match body.chunk(octets.len() as u64).await {
                Ok(chunk) if !chunk.is_empty() => octets.extend(chunk),
                Ok(_) | Err(_) => break,
            }
        }
        if octets.len() as u64 == body.size() { Start::Whole(octets) } else { Start::Part(octets) }
    }

    async fn keep(
        &self,
        mut envelope: Envelope,
        octets: &[u8],
        replaced: Option<Id>,
    ) -> io::Result<()> {
        let relay = &self.relay;
        let to = envelope.recipients.first().map_or_else(String::new, |r| r.to.to_string());
        // The sender may be an alias of ours.
        let policy = relay.settings().policy;
        envelope.recipients = envelope
            .recipients
            .into_iter()
            .flat_map(|recipient| match policy.report_targets(&recipient.to, self.envelope.peer) {
                Ok(targets) if !targets.is_empty() => targets
                    .into_iter()
                    .map(|t| Recipient { to: t.to, ..recipient.clone() })
                    .collect(),
                _ => vec![recipient],
            })
            .collect();
        let mut draft = relay.spool.draft();
        draft.append(octets).await?;
        let kept = match replaced {
            Some(id) => relay.spool.replace(id, draft, &envelope).await,
            None => relay.spool.commit(draft, &envelope).await,
        };
        let entry = kept.map_err(|error| io::Error::other(error.to_string()))?;
        relay.queue.add(&entry, relay.sys.clock.now());
        relay.tell(self.event("bounced").with("to", &to).with("report", entry.id));
        relay.tell(
            Event::of("accepted", entry.id, &envelope.message_id)
                .with("from", "<>")
                .with("to", to)
                .with("size", entry.size)
                .with("source", &envelope.source),
        );
        Ok(())
    }
}

/// The octets at a message's start.
enum Start {
    Whole(Vec<u8>),
    Part(Vec<u8>),
}
