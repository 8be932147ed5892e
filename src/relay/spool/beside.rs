//! What became of a delivery, written beside the sync of others.
//!
//! A sync takes milliseconds, and a relay that is killed meanwhile would forget what it has just
//! handed over. So Settled and Done records do not wait for it: they go to the pages behind those
//! that it covers, where the kernel keeps them.

use super::{
    Spool,
    item::{Batch, Item},
};
use crate::relay::envelope::Id;
use futures_lite::FutureExt;
use std::{io, pin::pin};

impl Spool {
    /// Write and sync the octets of a batch, and beside it what became of messages that are not in
    /// it.
    pub(super) async fn append_synced(&self, buffer: Vec<u8>, batch: &Batch) -> io::Result<()> {
        let records = u32::try_from(buffer.len()).expect("part of a segment");
        let (file, offset, octets) = self.whole_pages(buffer);
        let busy: Vec<Id> = batch.items.iter().filter_map(Item::id).collect();
        let (mark, news) = {
            let mut state = self.0.state.borrow_mut();
            state.syncing = true;
            (state.begin(records, true), state.company.news.clone())
        };
        let syncing = Syncing(self);
        let mut sync = pin!(async { Some(self.put_octets(&*file, offset, octets, true).await) });
        let mut seen = news.count();
        let mut failed = None;
        let result = loop {
            let asked = async {
                news.past(seen).await;
                None
            };
            if let Some(result) = sync.as_mut().or(asked).await {
                break result;
            }
            seen = news.count();
            while failed.is_none() {
                let more = self.0.state.borrow_mut().take_progress(&busy);
                let Some(more) = more else { break };
                failed = self.write_beside(more).await;
            }
        };
        drop(syncing);
        self.end(mark, &result);
        if let Some((batch, error)) = failed {
            self.0.state.borrow_mut().give_up_head(&error);
            self.fail(batch, &error);
        }
        result
    }

    /// Write a batch without a sync; what could not be written comes back.
    async fn write_beside(&self, batch: Batch) -> Option<(Batch, io::Error)> {
        let mut buffer = Vec::new();
        let spots = self.encode(&batch, &mut buffer);
        let records = u32::try_from(buffer.len()).expect("part of a segment");
        let (file, offset, octets) = self.whole_pages(buffer);
        self.0.state.borrow_mut().begin(records, false);
        match self.put_octets(&*file, offset, octets, false).await {
            Ok(()) => {
                self.apply(batch, spots);
                None
            }
            Err(error) => Some((batch, error)),
        }
    }
}

/// While a batch is being synced, whichever way that ends.
struct Syncing<'a>(&'a Spool);

impl Drop for Syncing<'_> {
    fn drop(&mut self) {
        self.0.0.state.borrow_mut().syncing = false;
    }
}
