//! What waits to be written.

use super::{
    SpoolError,
    codec::{SHEET_BYTES, Sheet},
    draft::Draft,
    large,
    ledger::{Kept, Ledger, Spot},
    record::extent,
    reply::Reply,
};
use crate::relay::envelope::Id;

/// What is to be written.
pub(super) enum Item {
    Message(Box<Message>),
    /// Without a reply: written before to a segment that was given up then.
    Settled {
        id: Id,
        payload: Vec<u8>,
        reply: Option<Reply>,
    },
    /// With the file of its message, once that is known.
    Done {
        id: Id,
        file: Option<Litter>,
        reply: Option<Reply>,
    },
    /// Make what was written durable.
    Sync {
        reply: Option<Reply>,
    },
}

/// A file to be removed, with its octets.
pub(super) type Litter = (String, u64);

/// A message to be kept.
pub(super) struct Message {
    pub(super) draft: Draft,
    pub(super) sheet: Sheet,
    /// The envelope, or a large message's trailer.
    pub(super) meta: Vec<u8>,
    pub(super) reply: Reply,
}

impl Message {
    /// Its payload without the sheet, in parts.
    pub(super) fn parts(&self) -> (&[u8], &[u8]) {
        if self.sheet.large { (&[], &[]) } else { (&self.meta, self.draft.octets()) }
    }

    /// What the ledger will know of it.
    pub(super) fn kept(&self, message: Spot) -> Kept {
        let large = if self.sheet.large { large::file_bytes(&self.sheet) } else { 0 };
        let recipients = self.sheet.recipients;
        Kept { message, settled: None, embedded: 0, recipients, large }
    }
}

impl Item {
    /// Octets of payload.
    pub(super) fn payload_bytes(&self) -> usize {
        match self {
            Item::Message(message) => {
                let (envelope, octets) = message.parts();
                SHEET_BYTES + envelope.len() + octets.len()
            }
            Item::Settled { payload, .. } => payload.len(),
            Item::Done { .. } | Item::Sync { .. } => 0,
        }
    }

    /// The message it is about.
    pub(super) fn id(&self) -> Option<Id> {
        match self {
            Item::Message(message) => Some(message.draft.id()),
            Item::Settled { id, .. } | Item::Done { id, .. } => Some(*id),
            Item::Sync { .. } => None,
        }
    }

    pub(super) fn extent(&self) -> u32 {
        if matches!(self, Item::Sync { .. }) { 0 } else { extent(self.payload_bytes()) }
    }

    /// By how much it raises the ledger's charge.
    pub(super) fn demand(&self, ledger: &Ledger) -> u64 {
        let spot = || Spot {
            length: u32::try_from(self.payload_bytes()).expect("a part of a segment"),
            ..Spot::default()
        };
        match self {
            Item::Message(message) => {
                let replaced = message.sheet.replaces.and_then(|id| ledger.kept(id));
                let freed = replaced.map_or(0, |kept| kept.charge());
                message.kept(spot()).charge().saturating_sub(freed)
            }
            Item::Settled { id, .. } => ledger.kept(*id).map_or(0, |kept| {
                let after = Kept { settled: Some(spot()), ..kept };
                after.charge().saturating_sub(kept.charge())
            }),
            Item::Done { .. } | Item::Sync { .. } => 0,
        }
    }

    /// Octets that its message takes once it is moved; 0: it brings none.
    pub(super) fn moved(&self) -> u64 {
        match self {
            Item::Message(message) => {
                let length = u32::try_from(self.payload_bytes()).expect("a part of a segment");
                message.kept(Spot { length, ..Spot::default() }).moved()
            }
            _ => 0,
        }
    }

    /// Tell whoever waits, if anybody does.
    pub(super) fn answer(self, result: Result<(), SpoolError>) {
        let reply = match self {
            Item::Message(message) => Some(message.reply),
            Item::Settled { reply, .. } | Item::Done { reply, .. } | Item::Sync { reply } => reply,
        };
        if let Some(reply) = reply {
            reply.send(result);
        }
    }

    pub(super) fn is_internal(&self) -> bool {
        matches!(self, Item::Settled { reply: None, .. } | Item::Done { reply: None, .. })
    }
}

/// Items that share one write.
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    /// It is to be durable before anybody is told.
    pub(super) sync: bool,
}
