//! The index: what is left of it between runs, and how it fails.

use crate::{boot::Socket, world::World};
use std::{cell::RefCell, collections::BTreeMap, io, rc::Rc};
use waypost::sys::{Index, IndexChange, Order, Pending, Range};

/// What is in the index: it outlives the runs of the relay.
pub type Entries = Rc<RefCell<BTreeMap<(String, Vec<u8>), Vec<u8>>>>;

/// What is wrong with an index.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ailment {
    /// So many operations in a thousand fail.
    pub fails: u64,
    /// Each operation takes so many milliseconds.
    pub slow: u64,
    /// Nothing can be written to it.
    pub full: bool,
}

impl Ailment {
    /// An operation begins.
    async fn strike(self, world: &World) -> io::Result<()> {
        if self.slow > 0 {
            world.sleep(self.slow).await;
        }
        if world.permille(self.fails) {
            return Err(io::Error::other("the simulated index fails"));
        }
        Ok(())
    }
}

impl Index for Socket {
    fn apply(&self, batch: Vec<IndexChange>) -> Pending<'_, io::Result<()>> {
        Box::pin(async move {
            self.may_fail().await?;
            if self.frailty().index.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let mut entries = self.entries().borrow_mut();
            for change in batch {
                let key = (change.tree.to_string(), change.key);
                match change.value {
                    Some(value) => drop(entries.insert(key, value)),
                    None => drop(entries.remove(&key)),
                }
            }
            Ok(())
        })
    }

    fn scan<'a>(
        &'a self,
        tree: &'static str,
        range: Range<'a>,
    ) -> Pending<'a, io::Result<Vec<(Vec<u8>, Vec<u8>)>>> {
        Box::pin(async move {
            self.may_fail().await?;
            let entries = self.entries().borrow();
            let first = (tree.to_string(), range.prefix.to_vec());
            let fits = |key: &[u8]| {
                range.from.is_none_or(|from| match range.order {
                    Order::Rising => key >= from,
                    Order::Falling => key <= from,
                })
            };
            // All that begin with the prefix stand together, up to the first that is greater.
            let mut end = range.prefix.to_vec();
            while end.last() == Some(&0xff) {
                end.pop();
            }
            let next = match end.last_mut() {
                Some(last) => {
                    *last += 1;
                    (tree.to_string(), end)
                }
                None => (format!("{tree}\0"), Vec::new()),
            };
            let found = entries.range(first..next).filter(|((_, key), _)| fits(key));
            let pair =
                |((_, key), value): (&(String, Vec<u8>), &Vec<u8>)| (key.clone(), value.clone());
            Ok(match range.order {
                Order::Rising => found.take(range.limit).map(pair).collect(),
                Order::Falling => found.rev().take(range.limit).map(pair).collect(),
            })
        })
    }

    fn flush(&self) -> Pending<'_, io::Result<()>> {
        Box::pin(self.may_fail())
    }

    fn trouble(&self) -> String {
        String::new()
    }
}

impl Socket {
    async fn may_fail(&self) -> io::Result<()> {
        let world = self.world().ok_or(io::ErrorKind::NotConnected)?;
        self.frailty().index.strike(&world).await
    }
}
