//! A sign-in service: HTTP with an answer that is set, and a memory of what was asked.

use super::{wire::Wire, world::World};
use crate::proto::http::field;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::pending,
    rc::Rc,
};

/// What it answers next, the last one again and again, and the forms that came.
pub(super) struct Service {
    pub(super) answers: RefCell<VecDeque<String>>,
    pub(super) asked: RefCell<Vec<String>>,
    /// It takes what comes and says nothing.
    pub(super) mute: Cell<bool>,
}

impl World {
    /// A sign-in service that gives out a token for an hour.
    pub(super) fn service(&self, at: &str) -> Rc<Service> {
        let service = Rc::new(Service {
            answers: RefCell::default(),
            asked: RefCell::default(),
            mute: Cell::new(false),
        });
        service.gives("access-1", 3600, "");
        let at = at.parse().expect("address and port");
        self.services.borrow_mut().insert(at, service.clone());
        service
    }
}

impl Service {
    /// From now on this, one after the other.
    pub(super) fn says(&self, answers: &[(&str, &str)]) {
        let answer = |(head, body): &(&str, &str)| {
            format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        *self.answers.borrow_mut() = answers.iter().map(answer).collect();
    }

    /// From now on this token, for so many seconds, and `more` members.
    pub(super) fn gives(&self, token: &str, seconds: u64, more: &str) {
        let body = format!(
            r#"{{"access_token": "{token}", "token_type": "Bearer", "expires_in": {seconds}{more}}}"#
        );
        self.says(&[("200 OK", &body)]);
    }

    /// How often it was asked so far.
    pub(super) fn count(&self) -> usize {
        self.asked.borrow().len()
    }

    /// A field of the last form.
    pub(super) fn last(&self, name: &str) -> String {
        let asked = self.asked.borrow();
        field(asked.last().expect("it was asked"), name).unwrap_or_default()
    }
}

/// Be one for one connection.
pub(super) async fn serve(service: &Service, mut wire: Wire) {
    while let Some(line) = wire.line().await {
        if line.is_empty() {
            break;
        }
    }
    // The form comes with the head, in one piece.
    service.asked.borrow_mut().push(wire.take());
    if service.mute.get() {
        return pending().await;
    }
    let mut answers = service.answers.borrow_mut();
    let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
    wire.send(answer.expect("it says something").as_bytes());
}
