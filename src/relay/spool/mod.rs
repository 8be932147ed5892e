//! What the relay has promised: a journal of messages on flash that survives power cuts.
#![doc = include_str!("README.md")]

mod beside;
mod codec;
mod compact;
mod company;
mod draft;
mod fetch;
mod item;
mod large;
mod ledger;
mod record;
mod recovery;
mod reply;
mod room;
mod segment;
mod state;
mod writer;

pub use company::Coming;
pub use draft::Draft;
pub use fetch::Body;
pub use recovery::{Damage, Recovered};
pub use room::{Full, Room, Usage};

use crate::{
    relay::envelope::{Envelope, Id, Progress},
    sys::Sys,
    time::Wall,
};
use codec::Sheet;
use item::{Item, Message};
use state::State;
use std::{
    cell::{Cell, RefCell},
    fmt, io,
    rc::Rc,
    time::Duration,
};

/// The spool: cheap to clone, one a data directory.
#[derive(Clone)]
pub struct Spool(Rc<Shared>);

struct Shared {
    sys: Sys,
    room: Cell<Room>,
    state: RefCell<State>,
    /// The last message that the flash has lost, and how many it has.
    lost: Cell<Option<(Id, u64)>>,
    /// Segments that were there at the start.
    segments_before: u32,
}

/// What a queue keeps in memory of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Queue id.
    pub id: Id,
    /// Octets of the message.
    pub size: u64,
    /// How many recipients it has, with those that are done.
    pub recipients: u16,
    /// As [`Progress::attempts`].
    pub attempts: u16,
    /// As [`Progress::held`].
    pub held: bool,
    /// As [`Progress::warned`].
    pub warned: bool,
    /// As [`Progress::spent`].
    pub spent: Duration,
    /// When it was accepted, if the clock was set then.
    pub arrived: Option<Wall>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub enum SpoolError {
    /// There is no room for it now: `452 4.3.1`.
    Full,
    /// It has more recipients than a record can keep outcomes of: `452 4.5.3`.
    TooMany,
    /// The disk failed, or the envelope cannot be written so that it reads back: `451 4.3.0`.
    Io(io::Error),
}

impl SpoolError {
    /// The same as an error of the disk.
    fn to_io(&self) -> io::Error {
        match self {
            SpoolError::Full => io::Error::new(io::ErrorKind::StorageFull, self.to_string()),
            SpoolError::TooMany => io::Error::new(io::ErrorKind::InvalidInput, self.to_string()),
            SpoolError::Io(error) => io::Error::new(error.kind(), error.to_string()),
        }
    }
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> SpoolError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SpoolError::Full,
            _ => SpoolError::Io(error),
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpoolError::Full => f.write_str("the spool is full"),
            SpoolError::TooMany => f.write_str("too many recipients for one message"),
            SpoolError::Io(error) => write!(f, "the spool's disk failed: {error}"),
        }
    }
}

impl Spool {
    /// Start: read what is there (DESIGN §3, "recovery is start-up").
    ///
    /// Damage is reported and never an error. Segments for the first messages are made in the
    /// background.
    ///
    /// # Errors
    /// The directories cannot be made or listed, or what was written last cannot be made durable.
    /// The disk may be fine a second later: call again.
    pub async fn open(sys: &Sys, room: Room) -> io::Result<(Spool, Recovered)> {
        let (state, recovered) = recovery::recover(sys, room).await?;
        let segments_before = state.ledger.segments();
        let (room, state) = (Cell::new(room), RefCell::new(state));
        let (sys, lost) = (sys.clone(), Cell::default());
        let spool = Spool(Rc::new(Shared { sys, room, state, lost, segments_before }));
        spool.kick();
        Ok((spool, recovered))
    }

    /// A message that is about to be received. Costs nothing until octets are appended.
    pub fn draft(&self) -> Draft {
        let id = loop {
            let id = Id::new(self.0.sys.dice.roll());
            let mut state = self.0.state.borrow_mut();
            if state.ledger.kept(id).is_none() && state.drafts.insert(id) {
                break id;
            }
        };
        Draft::new(self.clone(), id)
    }

    /// Keep a message. On return it is durable: it would survive a power cut at that instant.
    ///
    /// All who wait at the same moment share one write and one sync. If the caller goes away before
    /// it has heard, nobody was promised anything, and the message is dropped.
    ///
    /// # Errors
    /// See [`SpoolError`]; the draft is gone and nothing of it will be delivered, unless power is
    /// cut before the spool has moved on: then it may be recovered as if it had been kept.
    pub async fn commit(&self, draft: Draft, envelope: &Envelope) -> Result<Entry, SpoolError> {
        self.keep(draft, envelope, None).await
    }

    /// Keep a bounce and end the message it answers, in one record: either both happen or neither
    /// does.
    ///
    /// # Errors
    /// As [`Spool::commit`]; `done` is then still owed.
    pub async fn replace(
        &self,
        done: Id,
        draft: Draft,
        envelope: &Envelope,
    ) -> Result<Entry, SpoolError> {
        self.keep(draft, envelope, Some(done)).await
    }

    async fn keep(
        &self,
        mut draft: Draft,
        envelope: &Envelope,
        replaces: Option<Id>,
    ) -> Result<Entry, SpoolError> {
        if let Some(failed) = draft.failed() {
            return Err(failed);
        }
        let recipients = u16::try_from(envelope.recipients.len())
            .ok()
            .filter(|n| codec::wordless_bytes((*n).into()) <= self.room().share())
            .ok_or(SpoolError::TooMany)?;
        let octets = codec::encode_envelope(envelope).ok_or_else(|| {
            let words = "the envelope would not read back as it is";
            SpoolError::Io(io::Error::new(io::ErrorKind::InvalidInput, words))
        })?;
        if octets.len() > self.room().share() && draft.large().is_none() {
            draft.enlarge().await?;
        }
        let mut sheet = Sheet {
            large: false,
            recipients,
            envelope: u32::try_from(octets.len()).expect("as many recipients as fit a share"),
            progress: 0,
            trailer_crc: 0,
            size: draft.size(),
            arrived: envelope.arrived,
            replaces,
        };
        let mut meta = octets;
        if let Some(large) = draft.large() {
            sheet.large = true;
            (meta, sheet.trailer_crc) = large.finish(self, &meta).await?;
        }
        let id = draft.id();
        let mut unheard = Unheard { spool: self, id, armed: replaces.is_none() };
        let waiting =
            self.ask(|reply| Item::Message(Box::new(Message { draft, sheet, meta, reply })));
        let result = waiting.result().await;
        unheard.armed = false;
        result.map(|()| Entry::new(id, &sheet, &Progress::default()))
    }

    /// Note how far a message got. Survives the end of this process at once and a power cut with
    /// the next sync, which is at most [`crate::limits::LAZY_SYNC_WAIT`] away: a cut before repeats
    /// the attempt. Fine for a message that is not there.
    ///
    /// # Errors
    /// The journal could not be written; the message is as it was before.
    pub async fn settle(&self, id: Id, progress: &Progress) -> io::Result<()> {
        let payload = codec::encode_progress(progress, self.room().share());
        let waiting = self.ask(|reply| Item::Settled { id, payload, reply: Some(reply) });
        waiting.result().await.map_err(|error| error.to_io())
    }

    /// A message is owed no more: every recipient has a final outcome and any bounce is kept. As
    /// durable as [`Spool::settle`]: a power cut in the next moments may repeat its last attempt.
    /// Fine for a message that is not there.
    ///
    /// # Errors
    /// The journal could not be written; the message is still there.
    pub async fn done(&self, id: Id) -> io::Result<()> {
        let waiting = self.ask(|reply| Item::Done { id, file: None, reply: Some(reply) });
        waiting.result().await.map_err(|error| error.to_io())
    }

    /// The journal could not be written when that was last tried: what comes of a delivery now may
    /// not be noted, and then it is made again after a restart.
    pub fn is_failing(&self) -> bool {
        self.0.state.borrow().failing
    }

    /// Make all that was settled or done durable now: before the end.
    ///
    /// # Errors
    /// The disk's.
    pub async fn sync_now(&self) -> io::Result<()> {
        let waiting = self.ask(|reply| Item::Sync { reply: Some(reply) });
        waiting.result().await.map_err(|error| error.to_io())
    }

    fn ask(&self, item: impl FnOnce(reply::Reply) -> Item) -> reply::Waiting {
        let (reply, waiting) = reply::pair();
        let item = item(reply);
        let mut state = self.0.state.borrow_mut();
        let beside = state.syncing && !matches!(item, Item::Message(_));
        if beside || state.company.since.is_some() {
            state.company.news.raise();
        }
        state.queue.push_back(item);
        drop(state);
        self.kick();
        waiting
    }

    fn sys(&self) -> &Sys {
        &self.0.sys
    }

    fn room(&self) -> Room {
        self.0.room.get()
    }
}

impl Entry {
    fn new(id: Id, sheet: &Sheet, progress: &Progress) -> Entry {
        Entry {
            id,
            size: sheet.size,
            recipients: sheet.recipients,
            attempts: progress.attempts,
            held: progress.held,
            warned: progress.warned,
            spent: progress.spent,
            arrived: sheet.arrived,
        }
    }
}

/// Drops a message that was kept for a caller who has gone away: its session ended before the
/// `250`, so the peer will send it again.
struct Unheard<'a> {
    spool: &'a Spool,
    id: Id,
    armed: bool,
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if self.armed && self.spool.0.state.borrow().ledger.kept(self.id).is_some() {
            let strike = Item::Done { id: self.id, file: None, reply: None };
            self.spool.0.state.borrow_mut().queue.push_back(strike);
            self.spool.kick();
        }
    }
}
