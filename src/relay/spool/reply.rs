//! An answer from the writer to whoever waits for it.

use super::SpoolError;
use std::{cell::RefCell, future::poll_fn, io, rc::Rc, task::Poll, task::Waker};

#[derive(Default)]
struct Inner {
    result: Option<Result<(), SpoolError>>,
    waker: Option<Waker>,
}

/// The writer's end. Dropped without an answer it says that there was none: nobody waits for ever.
pub(super) struct Reply(Rc<RefCell<Inner>>);

/// The other end.
pub(super) struct Waiting(Rc<RefCell<Inner>>);

/// Both ends.
pub(super) fn pair() -> (Reply, Waiting) {
    let inner = Rc::new(RefCell::new(Inner::default()));
    (Reply(inner.clone()), Waiting(inner))
}

impl Reply {
    pub(super) fn send(self, result: Result<(), SpoolError>) {
        self.0.borrow_mut().result = Some(result);
    }

    /// Nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let waker = {
            let mut inner = self.0.borrow_mut();
            if inner.result.is_none() {
                let words = "the spool's writer ended before it had an answer";
                inner.result = Some(Err(SpoolError::Io(io::Error::other(words))));
            }
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Waiting {
    pub(super) async fn result(self) -> Result<(), SpoolError> {
        poll_fn(|cx| {
            let mut inner = self.0.borrow_mut();
            if let Some(result) = inner.result.take() {
                return Poll::Ready(result);
            }
            inner.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}
