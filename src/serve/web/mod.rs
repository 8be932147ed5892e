//! The page and its JSON API: HTTP/1.1 for a browser in the house, and for the command line over a
//! Unix socket.
//!
//! ```text
//! stream ▶ entry (TLS or not) ▶ talk (http: octets, bounds, patience)
//!   ▶ Web::admit   guard: Host, Origin · login: session, token · bound of the body
//!   ▶ Web::answer  api: the routes ▶ acts ▶ office::Office, the relay
//! ```
//!
//! Who comes over the Unix socket has shown by the file's permissions that everything is theirs
//! already; anybody else must log in, but for what a route of [`api::ROUTES`] marks as open.

mod acts;
mod api;
mod board;
mod entry;
mod guard;
mod http;
mod json;
mod keys;
mod login;
mod mail;
pub mod office;
mod page;
mod plain;
mod seats;
mod sign_ins;
mod talk;
#[cfg(test)]
mod tests;
mod tools;

use crate::{
    sys::{Listener, Pending, Stream, Sys},
    time::Instant,
};
use api::{Access, Route};
use entry::{Elsewhere, Entry};
use futures_lite::future;
use http::{Head, Response};
use office::Office;
use seats::Seats;
use std::{cell::Cell, rc::Rc, time::Duration};
use talk::{Caller, Site, Stage};

/// The page of one relay, for all its listeners: who is logged in on one is logged in on all.
pub struct Web {
    sys: Sys,
    office: Rc<dyn Office>,
    sessions: login::Sessions,
    throttle: login::Throttle,
    /// Passwords that are being checked.
    checks: Cell<usize>,
}

impl Web {
    /// A page for this relay; nobody is logged in.
    pub fn new(sys: Sys, office: Rc<dyn Office>) -> Rc<Web> {
        let (sessions, throttle, checks) = Default::default();
        Rc::new(Web { sys, office, sessions, throttle, checks })
    }

    /// Serve whoever connects, for ever. At most [`crate::limits::WEB_CONNECTIONS`] connections of
    /// this listener at once; each is a task of its own, so a slow one holds up nobody.
    pub async fn serve(self: Rc<Web>, listener: Box<dyn Listener>) {
        let seats = Rc::new(Seats::default());
        loop {
            let stream = match listener.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: others must give some back first.
                    self.sys.log.line(&format!("event=web-accept-failed error=\"{error}\""));
                    self.sys.sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let Some(seat) = seats.take(self.now()) else {
                talk::turn_away(stream).await;
                continue;
            };
            let web = self.clone();
            self.sys.spawn(async move {
                let stage = |stage: Stage| seat.stage(stage, web.now());
                let talk = web.talk(stream, &stage);
                future::or(seat.taken_away(), talk).await;
            });
        }
    }

    async fn talk(&self, stream: Box<dyn Stream>, stage: &dyn Fn(Stage)) {
        self.office.renew().await;
        match entry::enter(&self.sys, stream).await {
            Some(Entry::Open(stream)) => talk::converse(&self.sys, stream, stage, self).await,
            Some(Entry::Outside(stream)) => {
                let elsewhere = Elsewhere { hosts: self.office.hosts() };
                talk::converse(&self.sys, stream, stage, &elsewhere).await;
            }
            None => {}
        }
    }

    fn now(&self) -> Instant {
        self.sys.clock.now()
    }

    /// May `head` be asked of `route` by somebody who came over the network?
    fn guard(&self, route: &Route, head: &Head, caller: Caller) -> Result<(), Response> {
        let safe = head.method.is_safe();
        if !safe && !guard::comes_from_here(head) {
            return Err(api::error(
                403,
                "This request came from another site, not from this page.",
            ));
        }
        if !safe && !guard::is_json(head) && route.kind == api::Kind::Json {
            return Err(api::error(415, "The body must be application/json."));
        }
        let near = caller.peer.is_some_and(|p| p.ip().to_canonical().is_loopback());
        match route.access {
            Access::Open => return Ok(()),
            Access::Near if near => return Ok(()),
            Access::Near | Access::Login => {}
        }
        // A program says who it is in every request, by a field that no page from elsewhere can
        // make a browser send.
        if let Some(token) = guard::bearer(head) {
            return match self.office.scope(token) {
                Some(scope) if scope >= route.scope => Ok(()),
                Some(_) => Err(api::error(403, "This token is not for that.")),
                None => Err(api::error(401, "This token is not known here.")),
            };
        }
        let Some(token) = self.sessions.token(head, self.now()) else {
            return Err(api::error(401, "Please log in first."));
        };
        if !safe && head.field("x-csrf-token") != Some(token.as_str()) {
            return Err(api::error(
                403,
                "This request does not carry the page's token: load it again.",
            ));
        }
        Ok(())
    }
}

impl Site for Web {
    fn admit(&self, head: &Head, caller: Caller) -> Result<usize, Response> {
        if caller.peer.is_some() && !guard::is_ours(&head.host, &self.office.hosts()) {
            return Err(guard::misdirected(&head.host));
        }
        let (route, _) = api::find(head)?;
        if caller.peer.is_some() {
            self.guard(route, head, caller)?;
        }
        Ok(route.body)
    }

    fn answer(&self, head: Head, body: Vec<u8>, caller: Caller) -> Pending<'_, Response> {
        match api::find(&head) {
            Ok((route, name)) => {
                let visit = api::Visit { head, body, caller, name };
                Box::pin(async { (route.act)(self, visit).await.unwrap_or_else(|error| error) })
            }
            Err(response) => Box::pin(future::ready(response)),
        }
    }
}
