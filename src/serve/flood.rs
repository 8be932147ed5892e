//! Alerts in a storm: what a device sends beyond its measure is kept, and goes out as one message
//! that sums it up. Nothing is dropped: until the summary is in the spool every message is, and
//! where the relay ends meanwhile, each goes out by itself.

use super::relay::{Relay, Taken};
use crate::{
    config::{Device, Digest},
    limits,
    pairs::Pairs,
    proto::mail::{address::Address, date, mime},
    relay::{
        envelope::{Envelope, Id, Notify, Octets, Recipient},
        queue::State,
        spool::Draft,
        trace::Event,
    },
    sys::Signal,
    time::{Instant, Wall},
};
use futures_lite::future;
use std::{
    cell::RefCell, collections::VecDeque, fmt::Write, io, net::IpAddr, rc::Rc, time::Duration,
};

/// What devices have sent lately, by what the configuration calls their place. No more of them than
/// have a measure.
#[derive(Default)]
pub(super) struct Floods(RefCell<Pairs<String, Flood>>);

#[derive(Default)]
struct Flood {
    /// When the last ones came that went out one by one.
    seen: VecDeque<Instant>,
    /// Those that are kept.
    gathered: Vec<Id>,
    /// There is somebody who sums them up.
    full: Option<Signal>,
}

/// A message was taken. Where its device has sent too many, it is kept for a summary.
pub(super) fn came(relay: &Rc<Relay>, peer: IpAddr, id: Id) {
    let policy = relay.settings().policy;
    let Some(device) = policy.device(peer) else { return };
    let Some(digest) = device.digest else { return };
    let now = relay.sys.clock.now();
    let place = device.at.to_string();
    let mut floods = relay.floods.0.borrow_mut();
    let flood = floods.entry(place.clone(), Flood::default);
    while flood.seen.front().is_some_and(|at| now.since(*at) >= digest.within) {
        flood.seen.pop_front();
    }
    if flood.full.is_none() && flood.seen.len() < digest.after as usize {
        flood.seen.push_back(now);
        return;
    }
    let Some(was) = relay.queue.take(id) else { return };
    // Should nobody sum it up, it goes out by itself.
    let late = now + digest.within + limits::DIGEST_SLACK;
    relay.queue.give_back(id, was, now, State::Waiting(late));
    flood.gathered.push(id);
    let event = Event::of("gathered", id, "").with("device", called(device));
    match &flood.full {
        Some(full) if flood.gathered.len() >= limits::DIGEST_MESSAGES => full.raise(),
        Some(_) => {}
        None => {
            let full = Signal::default();
            flood.full = Some(full.clone());
            let (relay, device) = (relay.clone(), device.clone());
            relay.clone().sys.spawn(async move {
                let early = async {
                    full.past(0).await;
                };
                future::or(relay.sys.sleep(digest.within), early).await;
                sum_up(&relay, &device, digest).await;
            });
        }
    }
    drop(floods);
    relay.tell(event);
}

/// What people call a device.
fn called(device: &Device) -> String {
    if device.name.is_empty() { device.at.to_string() } else { device.name.clone() }
}

/// One of those that are kept, in our hand.
struct Kept {
    id: Id,
    taken: Taken,
    envelope: Envelope,
    subject: String,
}

async fn sum_up(relay: &Rc<Relay>, device: &Device, digest: Digest) {
    let gathered = {
        let mut floods = relay.floods.0.borrow_mut();
        floods.remove(&device.at.to_string()).map(|flood| flood.gathered).unwrap_or_default()
    };
    // By whom they go to: a summary goes to the same.
    let mut groups: Pairs<Vec<String>, Vec<Kept>> = Pairs::new();
    for id in gathered {
        // A person may have tried, held or dropped it meanwhile.
        let waits = matches!(relay.queue.item(id).map(|item| item.state), Some(State::Waiting(_)));
        let Some(taken) = Taken::take(relay, id).filter(|_| waits) else { continue };
        let Ok((envelope, _)) = relay.load(id).await else { continue };
        let Ok(body) = relay.spool.body(id).await else { continue };
        let Ok(start) = body.chunk(0).await else { continue };
        let to = envelope.recipients.iter().map(|recipient| recipient.to.to_string()).collect();
        let kept = Kept { id, taken, envelope, subject: mime::subject(&start) };
        groups.entry(to, Vec::new).push(kept);
    }
    for (_, kept) in groups {
        let summed = match kept.len() {
            1 => Ok(None),
            _ => replace(relay, device, digest, &kept).await.map(Some),
        };
        let reason = summed.as_ref().err().map(ToString::to_string);
        if let Some(reason) = reason {
            let event = Event::new("not-summed-up").with("device", called(device));
            relay.tell(event.with("reason", reason));
        }
        end(relay, kept, summed.ok().flatten()).await;
    }
}

/// The summary is kept, or there is none: then each goes out by itself, at once.
async fn end(relay: &Rc<Relay>, kept: Vec<Kept>, summary: Option<Id>) {
    let now = relay.sys.clock.now();
    for (n, Kept { id, taken, envelope, .. }) in kept.into_iter().enumerate() {
        let Some(report) = summary else {
            taken.put(State::Waiting(now));
            continue;
        };
        // The first has ended with the summary's beginning. Where another cannot be ended it goes
        // out beside the summary: twice is better than never.
        if n > 0 && relay.spool.done(id).await.is_err() {
            taken.put(State::Waiting(now));
            continue;
        }
        taken.forget();
        let event = Event::of("summed-up", id, &envelope.message_id);
        relay.tell(event.with("report", report));
    }
}

/// One message in place of all of these: its id.
async fn replace(
    relay: &Rc<Relay>,
    device: &Device,
    digest: Digest,
    kept: &[Kept],
) -> io::Result<Id> {
    let [first, .., last] = kept else { return Err(io::ErrorKind::InvalidInput.into()) };
    let config = relay.config();
    let mut draft = relay.spool.draft();
    let random = relay.sys.dice.roll();
    let summary = Summary {
        device: called(device),
        from: last.envelope.from.clone(),
        to: &first.envelope.recipients,
        within: digest.within,
        hostname: &config.hostname,
        wall: relay.sys.clock.wall(),
        message_id: format!("{}.{random:016x}@{}", draft.id(), config.hostname),
        boundary: format!("=_{}_{random:016x}", draft.id()),
    };
    draft.append(summary.head(kept).as_bytes()).await?;
    for message in [first, last] {
        attach(relay, &mut draft, &summary.boundary, message).await?;
    }
    draft.append(format!("--{}--\r\n", summary.boundary).as_bytes()).await?;
    let recipient = |to: &Recipient| Recipient {
        to: to.to.clone(),
        orcpt: String::new(),
        notify: Notify::default(),
    };
    let envelope = Envelope {
        from: summary.from.clone(),
        recipients: first.envelope.recipients.iter().map(recipient).collect(),
        // Names and subjects may be anything.
        eight_bit: true,
        utf8: kept.iter().any(|kept| kept.envelope.utf8),
        ours: true,
        arrived: summary.wall,
        user: last.envelope.user.clone(),
        peer: last.envelope.peer,
        source: format!("{}, {} messages", summary.device, kept.len()),
        message_id: summary.message_id.clone(),
        ..Envelope::default()
    };
    let committed = relay.spool.replace(first.id, draft, &envelope).await;
    let entry = committed.map_err(|error| io::Error::other(error.to_string()))?;
    relay.queue.add(&entry, relay.sys.clock.now());
    relay.tell(
        Event::of("accepted", entry.id, &envelope.message_id)
            .with("from", super::receive::path(envelope.from.as_ref()))
            .with(
                "to",
                envelope.recipients.iter().map(|r| r.to.as_str()).collect::<Vec<_>>().join(","),
            )
            .with("size", entry.size)
            .with("source", &envelope.source),
    );
    Ok(entry.id)
}

/// A message as a part; of one that is too large its header alone.
async fn attach(relay: &Relay, draft: &mut Draft, boundary: &str, kept: &Kept) -> io::Result<()> {
    let body = relay.spool.body(kept.id).await?;
    let mut size = body.size();
    let whole = size <= limits::DIGEST_PART_BYTES;
    if !whole {
        let start = body.chunk(0).await?;
        // RFC 6522 §4: the lines of the header, no empty one.
        let end = start.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else { return Ok(()) };
        size = end as u64 + 2;
    }
    let encoding = if kept.envelope.eight_bit { "8bit" } else { "7bit" };
    let kind = if whole { "message/rfc822" } else { "text/rfc822-headers" };
    let head = format!(
        "--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\
         Content-Disposition: attachment\r\n\r\n"
    );
    draft.append(head.as_bytes()).await?;
    let (mut offset, mut ends) = (0, false);
    while offset < size {
        let mut chunk = body.chunk(offset).await?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        chunk.truncate(usize::try_from(size - offset).unwrap_or(usize::MAX));
        offset += chunk.len() as u64;
        ends = chunk.ends_with(b"\r\n");
        draft.append(&chunk).await?;
    }
    draft.append(if ends { b"\r\n" } else { b"\r\n\r\n" }).await
}

/// What is said of them.
struct Summary<'a> {
    device: String,
    from: Option<Address>,
    to: &'a [Recipient],
    within: Duration,
    hostname: &'a str,
    wall: Option<Wall>,
    message_id: String,
    boundary: String,
}

impl Summary<'_> {
    /// Header, and the part for people.
    fn head(&self, kept: &[Kept]) -> String {
        let mut counts: Pairs<&str, usize> = Pairs::new();
        for message in kept {
            let subject =
                if message.subject.is_empty() { "(no subject)" } else { &message.subject };
            *counts.entry(subject, || 0) += 1;
        }
        let mut subjects: Vec<(&str, usize)> = counts.into_iter().collect();
        subjects.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let hidden = subjects.len().saturating_sub(limits::DIGEST_SUBJECTS);
        let from = match &self.from {
            Some(from) => from.to_string(),
            None => format!("postmaster@{}", self.hostname),
        };
        let to: Vec<String> = self.to.iter().map(|to| format!("<{}>", to.to)).collect();
        let date = self.wall.map(date::format);
        let date = date.map_or_else(String::new, |date| format!("Date: {date}\r\n"));
        let count = kept.len();
        let mut text = format!(
            "{date}From: {} <{from}>\r\nTo: {}\r\nSubject: {}\r\nMessage-ID: <{}>\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed;\r\n boundary=\"{}\"\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n\
             --{}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n\
             {} has sent {count} more messages within {} minutes.\r\n\r\n",
            mime::encoded(&self.device),
            to.join(",\r\n "),
            mime::encoded(&format!("{count} more messages from {}", self.device)),
            self.message_id,
            self.boundary,
            self.boundary,
            self.device,
            self.within.as_secs().div_ceil(60),
        );
        for (subject, count) in subjects.iter().take(limits::DIGEST_SUBJECTS) {
            write!(text, "{count:>6} \u{d7} {subject}\r\n").expect("a String takes everything");
        }
        if hidden > 0 {
            write!(text, "       and {hidden} other subjects\r\n")
                .expect("a String takes everything");
        }
        text.push_str(
            "\r\nThe first and the last are attached; of a large one, its header.\r\n\r\n",
        );
        text
    }
}
