//! A message on its way into the spool: its header is looked at and completed, its body passes
//! through.

use super::{
    receive::path,
    relay::{Relay, count},
};
use crate::{
    limits,
    proto::{
        mail::{
            address::Address,
            header::{Progress, Reader},
            received::{Received, With},
            repair::{self, Origin, Preparation, Prepared},
        },
        smtp::server::Dialect,
        status::{Class, Reply, Status},
    },
    relay::{
        admit::{Refusal, Who},
        envelope::{Envelope, Id},
        spool::{Draft, SpoolError},
        trace::{self, Event},
    },
    sys::TlsFacts,
};
use std::{io, rc::Rc};

/// Where a message comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Who hands it over.
    pub who: Who,
    /// The name in EHLO or HELO.
    pub helo: String,
    /// How the session is encrypted.
    pub tls: Option<TlsFacts>,
    /// `ESMTPSA` and the like. RFC 3848.
    pub protocol: &'static str,
}

impl Source {
    /// For people: `alice at 192.168.1.7`, `192.168.1.20 (camera)`.
    pub fn words(&self) -> String {
        let peer = self.who.peer.map_or_else(|| "this machine".into(), |peer| peer.to_string());
        match &self.who.user {
            Some(user) => format!("{user} at {peer}"),
            None if self.helo.is_empty() => peer,
            None => format!("{peer} ({})", self.helo),
        }
    }

    /// From one of ours: repaired where it needs it, instead of passed on as it is (RFC 6409 §8).
    fn origin(&self) -> Origin {
        if self.who.trusted || self.who.user.is_some() {
            Origin::Submitted
        } else {
            Origin::Relayed
        }
    }
}

/// A message on its way in.
pub struct Intake {
    relay: Rc<Relay>,
    source: Source,
    from: Option<Address>,
    /// The only recipient, for the Received field; `None` where there are several, which must not
    /// learn of each other.
    only: Option<Address>,
    draft: Draft,
    reader: Option<Reader>,
    eight_bit: bool,
    prepared: Prepared,
    /// How its client speaks, as far as that was overlooked.
    overlooked: Vec<Dialect>,
    /// Why it cannot be taken. The rest of it is ignored, and this is told at its end.
    refusal: Option<Refusal>,
}

impl Intake {
    /// Begin a message.
    pub fn new(relay: &Rc<Relay>, source: Source, from: Option<Address>, to: &[Address]) -> Intake {
        Intake {
            relay: relay.clone(),
            source,
            from,
            only: if let [only] = to { Some(only.clone()) } else { None },
            draft: relay.spool.draft(),
            reader: Some(Reader::default()),
            eight_bit: false,
            prepared: Prepared::default(),
            overlooked: Vec::new(),
            refusal: None,
        }
    }

    /// Its queue id.
    pub fn id(&self) -> Id {
        self.draft.id()
    }

    /// Octets taken so far.
    pub fn size(&self) -> u64 {
        self.draft.size()
    }

    /// What was overlooked of how the client speaks; it is told with the repairs.
    pub fn note_overlooked(&mut self, overlooked: Vec<Dialect>) {
        self.overlooked = overlooked;
    }

    /// More octets. What goes wrong is told by [`Intake::commit`].
    pub async fn append(&mut self, octets: &[u8]) {
        const LONG: Reply =
            Reply::new(554, Status::new(Class::Permanent, 6, 0), "The header is too long");
        if self.refusal.is_some() {
            return;
        }
        self.eight_bit |= !octets.is_ascii();
        let Some(reader) = &mut self.reader else {
            self.write(octets).await;
            return;
        };
        match reader.push(octets) {
            Ok(Progress::More) => {}
            Ok(Progress::Whole) => self.open().await,
            Err(_) => {
                let reason = format!("a header of more than {} octets", limits::HEADER_BYTES);
                self.refusal = Some(Refusal { reply: LONG, reason });
            }
        }
    }

    async fn write(&mut self, octets: &[u8]) {
        if let Err(error) = self.draft.append(octets).await {
            self.refusal = Some(refusal(error.into()));
        }
    }

    /// The header is whole.
    async fn open(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        let parts = reader.finish();
        match self.header(&parts.header) {
            Ok(header) => {
                self.write(&header).await;
                if self.refusal.is_none() {
                    self.write(&parts.body).await;
                }
            }
            Err(refusal) => self.refusal = Some(refusal),
        }
    }

    /// The header as it is kept: with our Received field, and repaired where it is one of ours.
    fn header(&mut self, header: &[u8]) -> Result<Vec<u8>, Refusal> {
        let settings = self.relay.settings();
        let sys = &self.relay.sys;
        let how = Preparation {
            origin: self.source.origin(),
            hostname: &settings.config.hostname,
            domain: settings.policy.own_domain(),
            from: self.from.as_ref(),
            wall: sys.clock.wall(),
            random: sys.dice.roll(),
        };
        self.prepared = repair::prepare(header, &how)
            .map_err(|problem| Refusal { reply: problem.reply(), reason: problem.to_string() })?;
        if self.source.who.user.is_some() {
            settings.policy.header_from(&self.source.who, &self.prepared.from)?;
        }
        let received = Received {
            hello: &self.source.helo,
            peer: self.source.who.peer,
            hostname: &settings.config.hostname,
            with: With {
                extended: self.source.protocol != "SMTP",
                login: self.source.who.user.is_some(),
                utf8: self.source.protocol.starts_with("UTF8"),
            },
            tls: self.source.tls.as_ref().map(|t| (t.version.as_str(), t.cipher.as_str())),
            id: &self.draft.id().to_string(),
            only_recipient: self.only.as_ref(),
            wall: sys.clock.wall(),
        };
        let mut whole = received.compose().into_bytes();
        whole.append(&mut self.prepared.header);
        Ok(whole)
    }

    /// Take responsibility for the message: when this returns an id, it survives a power cut
    /// (promise 1). With what was overlooked and repaired, in words.
    pub async fn commit(mut self, mut envelope: Envelope) -> Result<(Id, Vec<String>), Refusal> {
        self.open().await;
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let sys = &self.relay.sys;
        envelope.eight_bit |= self.eight_bit;
        envelope.ours = self.source.origin() == Origin::Submitted;
        envelope.arrived = sys.clock.wall();
        envelope.source = self.source.words();
        envelope.user.clone_from(&self.source.who.user);
        envelope.peer = self.source.who.peer.map(|peer| peer.to_canonical());
        envelope.message_id = std::mem::take(&mut self.prepared.message_id);
        let entry = self.relay.spool.commit(self.draft, &envelope).await.map_err(refusal)?;
        let now = sys.clock.now();
        self.relay.queue.add(&entry, now);
        count(&self.relay.figures.accepted, 1);
        self.relay.figures.last_in.set(Some((now, sys.clock.wall())));
        let overlooked = self.overlooked.iter().map(ToString::to_string);
        let repairs = self.prepared.repairs.iter().map(ToString::to_string);
        let repairs: Vec<String> = overlooked.chain(repairs).collect();
        let to: Vec<&Address> = envelope.recipients.iter().map(|r| &r.to).collect();
        let mut lists = trace::lists(&to).into_iter();
        self.relay.tell(
            Event::of("accepted", entry.id, &envelope.message_id)
                .with("from", path(envelope.from.as_ref()))
                .with("to", lists.next().unwrap_or_default())
                .with("size", entry.size)
                .with("source", &envelope.source)
                .with("subject", cut(&self.prepared.subject))
                .with("proto", self.source.protocol)
                .with("tls", self.source.tls.as_ref().map_or("", |tls| tls.version.as_str()))
                .with("repairs", repairs.join(", ")),
        );
        for more in lists {
            let event = Event::of("addressed", entry.id, &envelope.message_id);
            self.relay.tell(event.with("to", more));
        }
        Ok((entry.id, repairs))
    }
}

/// As much of a subject as the history keeps.
fn cut(subject: &str) -> &str {
    let end = subject.char_indices().nth(limits::EVENT_SUBJECT_CHARS);
    &subject[..end.map_or(subject.len(), |(at, _)| at)]
}

fn refusal(error: SpoolError) -> Refusal {
    const FULL: Reply =
        Reply::new(452, Status::new(Class::Transient, 3, 1), "The spool is full, try again later");
    const MANY: Reply = Reply::new(452, Status::new(Class::Transient, 5, 3), "Too many recipients");
    match error {
        SpoolError::Full => Refusal { reply: FULL, reason: "no room in the spool".into() },
        SpoolError::TooMany => Refusal { reply: MANY, reason: "too many recipients".into() },
        SpoolError::Io(error) => broken(&error),
    }
}

/// The disk failed: class 4 outside, the system's words for us.
fn broken(error: &io::Error) -> Refusal {
    const BROKEN: Reply = Reply::new(
        451,
        Status::new(Class::Transient, 3, 0),
        "Could not be stored, try again later",
    );
    Refusal { reply: BROKEN, reason: format!("the spool could not be written: {error}") }
}
