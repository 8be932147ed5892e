//! What is remembered in the index beside the history: who has come, and how much came and went.
//! Written some time after something has changed, and at the end; without that it does not wake.

use super::relay::Relay;
use crate::limits;
use futures_lite::future;

/// Keep the index up to date for ever.
pub(super) async fn keep(relay: &Relay) {
    let sys = &relay.sys;
    relay.clients.load(sys).await;
    relay.tally.load(sys).await;
    loop {
        let (clients, events) = (relay.clients.work(), relay.history.work());
        let (came, told) = (clients.count(), events.count());
        // Without a clock nothing can be charted, and nothing need be looked at.
        let uncounted = sys.clock.wall().is_some() && relay.tally.is_behind(relay.counted());
        if !relay.clients.has_changed() && !uncounted {
            // What is delivered hours after it came is counted for its own hour, too.
            future::or(clients.past(came), events.past(told)).await;
            continue;
        }
        // Twice within an hour at least, so that what came is counted for the right one.
        sys.sleep(limits::CLIENTS_WAIT).await;
        write(relay).await;
    }
}

/// What has changed goes to the index. Where that fails it is only forgotten with the process: the
/// index tells of its own troubles.
pub(super) async fn write(relay: &Relay) {
    relay.count_up();
    let mut changes = relay.clients.changes();
    changes.append(&mut relay.tally.changes());
    if !changes.is_empty() {
        let apply = relay.sys.index.apply(changes);
        drop(relay.sys.within(limits::CLIENTS_INDEX_WAIT, apply).await);
    }
}
