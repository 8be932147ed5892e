//! Listeners: who may connect, how many at once, and what serves them.

use super::{
    control::Control,
    places::{Guest, Place, Places},
    receive::{BLOCKED, Receive},
    relay::Relay,
    web::Web,
};
use crate::{
    config::Listen,
    drive::{self, End},
    limits,
    pairs::Pairs,
    proto::{
        machine::Machine,
        smtp::server::{Offer, Session},
        status::{Class, Reply, Status},
    },
    relay::{
        admit::Who,
        clients::{Refused, Visit},
        trace::Event,
    },
    sys::{Listener, Pending, Signal, Stream},
};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

/// What is served at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Port 25.
    Smtp,
    /// Port 587.
    Submission,
    /// Port 465.
    Submissions,
    /// The page.
    Web,
}

impl Service {
    /// Its key under `listen` in the configuration.
    pub fn key(self) -> &'static str {
        match self {
            Service::Smtp => "smtp",
            Service::Submission => "submission",
            Service::Submissions => "submissions",
            Service::Web => "web",
        }
    }

    /// Its name in words.
    pub fn words(self) -> &'static str {
        match self {
            Service::Smtp => "SMTP",
            Service::Submission => "submission (STARTTLS)",
            Service::Submissions => "submission (TLS)",
            Service::Web => "page",
        }
    }
}

/// The open listeners, and the sessions they let in.
pub struct Doors {
    relay: Rc<Relay>,
    open: RefCell<Pairs<(Service, SocketAddr), Door>>,
    places: Rc<Places>,
    web: Rc<Web>,
    control: Rc<Control>,
}

struct Door {
    close: Signal,
    closed: Signal,
    address: SocketAddr,
}

/// The listener is gone, however that came about.
struct Closed(Signal);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.raise();
    }
}

impl Doors {
    /// No listeners yet.
    pub fn new(relay: Rc<Relay>, control: Rc<Control>, web: Rc<Web>) -> Doors {
        Doors { relay, open: RefCell::default(), places: Rc::default(), web, control }
    }

    /// Open what the configuration names and close what it names no longer; that first, since one
    /// port on all addresses and on one of them cannot be had together. What cannot be opened is
    /// told; the others are served all the same. Returns the words for each that failed.
    pub async fn set(&self, listen: &Listen) -> Vec<String> {
        let wanted = wanted(listen);
        let mut leaving = Vec::new();
        self.open.borrow_mut().retain(|place, door| {
            let keep = wanted.contains(place);
            if !keep {
                door.close.raise();
                leaving.push(door.closed.clone());
            }
            keep
        });
        for closed in leaving {
            closed.past(0).await;
        }
        let mut failed = Vec::new();
        for place in wanted {
            if self.open.borrow().contains_key(&place) {
                continue;
            }
            if let Err(error) = self.open(place) {
                let (service, address) = place;
                failed.push(format!("{} cannot listen on {address}: {error}", service.words()));
            }
        }
        failed
    }

    /// Have places for so many sessions, or for as many as the system lets be open. Returns the
    /// words for where that is less.
    pub fn seat(&self, sessions: usize) -> Vec<String> {
        let wanted = sessions as u64 * limits::SESSION_FILES + limits::OTHER_FILES;
        let had = self.relay.sys.net.open_at_most(wanted);
        let seats = had.saturating_sub(limits::OTHER_FILES) / limits::SESSION_FILES;
        let seats = usize::try_from(seats).unwrap_or(usize::MAX).clamp(1, sessions);
        self.places.bound(seats);
        if seats == sessions {
            return Vec::new();
        }
        vec![format!(
            "{seats} sessions at once instead of {sessions}: the system lets this process open \
             {had} files, and {wanted} are needed (LimitNOFILE of its service, or ulimit -n)"
        )]
    }

    /// Where it listens, with real ports.
    pub fn addresses(&self) -> Vec<(Service, SocketAddr)> {
        let open = self.open.borrow();
        let mut all: Vec<_> =
            open.iter().map(|((service, _), door)| (*service, door.address)).collect();
        all.sort_unstable();
        all
    }

    /// Connections of clients that hand in mail, now.
    pub fn sessions(&self) -> usize {
        self.places.taken()
    }

    /// Stop listening everywhere.
    pub fn close(&self) {
        self.open.take().into_iter().for_each(|(_, door)| door.close.raise());
    }

    fn open(&self, place: (Service, SocketAddr)) -> std::io::Result<()> {
        let (service, address) = place;
        let listener = self.relay.sys.net.listen(address)?;
        let (close, closed) = (Signal::default(), Signal::default());
        let address = listener.address().unwrap_or(address);
        let door = Door { close: close.clone(), closed: closed.clone(), address };
        self.open.borrow_mut().insert(place, door);
        let serve: Pending<'static, ()> = if service == Service::Web {
            Box::pin(self.web.clone().serve(listener))
        } else {
            let hall = Hall {
                relay: self.relay.clone(),
                control: self.control.clone(),
                places: self.places.clone(),
            };
            Box::pin(hall.accept(service, listener))
        };
        self.relay.sys.spawn(async move {
            let _closed = Closed(closed);
            let close = async {
                close.past(0).await;
            };
            future::or(serve, close).await;
        });
        Ok(())
    }
}

fn wanted(listen: &Listen) -> Vec<(Service, SocketAddr)> {
    let of = |service, addresses: &[SocketAddr]| {
        addresses.iter().map(move |a| (service, *a)).collect::<Vec<_>>()
    };
    [
        of(Service::Smtp, &listen.smtp),
        of(Service::Submission, &listen.submission),
        of(Service::Submissions, &listen.submissions),
        of(Service::Web, &listen.web),
    ]
    .concat()
}

const BUSY: Reply = Reply::new(421, Status::new(Class::Transient, 3, 2), "Too many sessions");

/// What a listener of mail needs.
#[derive(Clone)]
struct Hall {
    relay: Rc<Relay>,
    control: Rc<Control>,
    places: Rc<Places>,
}

impl Hall {
    async fn accept(self, service: Service, listener: Box<dyn Listener>) {
        loop {
            match listener.accept().await {
                Ok(stream) => {
                    let hall = self.clone();
                    self.relay.sys.spawn(async move { hall.admit(service, stream).await });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: leave time for some to be closed.
                    self.relay.tell(Event::new("accept-failed").with("reason", error));
                    self.relay.sys.sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Let a session in, or say why not.
    async fn admit(&self, service: Service, stream: Box<dyn Stream>) {
        let relay = &self.relay;
        let peer = stream.peer().map(|address| plain(address.ip()));
        let settings = relay.settings();
        let (trusted, bounds) = (settings.policy.is_trusted(peer), &settings.config.limits);
        if settings.policy.rules(peer).blocked {
            return self.refuse(stream, peer, BLOCKED).await;
        }
        let now = relay.sys.clock.now();
        let place = match self.places.enter(now, peer, trusted, bounds) {
            Ok((place, None)) => place,
            Ok((place, Some(left))) => {
                let reason = format!("idle for {} s, and others wait", left.idle.as_secs());
                let event = Event::new("made-room").with("peer", words(left.peer));
                relay.tell(event.with("reason", reason));
                place
            }
            Err(why) => return self.refuse(stream, peer, BUSY.says(why)).await,
        };
        drop(settings);
        // When the relay ends it waits for every session to have been told.
        let busy = relay.busy();
        future::or(self.receive(service, stream, &place), place.lost(&relay.sys)).await;
        drop((busy, place));
    }

    async fn receive(&self, service: Service, stream: Box<dyn Stream>, place: &Place) {
        let relay = &self.relay;
        let peer = stream.peer().map(|address| plain(address.ip()));
        if service == Service::Submissions {
            self.control.renew_certificate().await;
            match relay.sys.within(limits::TLS_WAIT, relay.sys.tls.accept(stream)).await {
                Some(Ok(encrypted)) => self.serve(service, encrypted, place).await,
                Some(Err(error)) => self.tell_tls_failed(peer, &error.to_string()),
                None => self.tell_tls_failed(peer, "the handshake took too long"),
            }
        } else {
            self.serve(service, stream, place).await;
        }
    }

    fn tell_tls_failed(&self, peer: Option<IpAddr>, reason: &str) {
        let event = Event::new("tls-failed").with("peer", words(peer));
        self.relay.tell(event.with("reason", reason));
    }

    async fn refuse(&self, mut stream: Box<dyn Stream>, peer: Option<IpAddr>, reply: Reply) {
        let relay = &self.relay;
        if let Some(peer) = peer {
            let trusted = relay.settings().policy.is_trusted(Some(peer));
            let visit = Visit { peer, trusted, helo: "", tls: "", user: "" };
            let refused = Refused { reply: reply.to_string(), ..Refused::default() };
            relay.clients.refused(&relay.sys, visit, &refused);
        }
        relay.tell(Event::new("refused").with("peer", words(peer)).with("reply", &reply));
        let line = format!("{reply}\r\n");
        let last = reply == BLOCKED;
        let say = async {
            stream.write_all(line.as_bytes()).await?;
            if last {
                // A device of the house should hear it: closing over what it has said already
                // would reset the connection, and the reply be lost.
                stream.close().await?;
                let mut heard = [0; 512];
                while stream.read(&mut heard).await? > 0 {}
            }
            std::io::Result::Ok(())
        };
        let _said_or_not = relay.sys.within(limits::REFUSAL_WAIT, say).await;
    }

    async fn serve(&self, service: Service, stream: Box<dyn Stream>, place: &Place) {
        let relay = &self.relay;
        let settings = relay.settings();
        let config = &settings.config;
        let peer = stream.peer().map(|address| plain(address.ip()));
        let trusted = settings.policy.is_trusted(peer);
        let rules = settings.policy.rules(peer);
        let offer = Offer {
            hostname: config.hostname.clone(),
            submission: service != Service::Smtp,
            starttls: service != Service::Submissions,
            encrypted: service == Service::Submissions,
            auth_in_clear: rules.auth_in_clear,
            auth: rules.auth,
            lenient: rules.lenient,
            size: config.limits.message,
            recipients: config.limits.recipients,
            bad_commands: config.limits.bad_commands,
        };
        drop(settings);
        let who = Who { peer, user: None, trusted };
        let receive = Receive::new(relay.clone(), self.control.clone(), service, who, stream.tls());
        let mut handler = Guest::new(receive, place, relay.sys.clone());
        let mut session = Session::new(offer);
        let mut stream = Some(stream);
        // In a box: what is handed on by value has its room twice.
        let talk = Box::pin(drive::drive(&relay.sys, &mut stream, &mut session, &mut handler));
        let end = relay.sys.within(limits::SESSION_WAIT, talk).await;
        if end.is_none()
            && let Some(stream) = &mut stream
        {
            session.timed_out();
            let say = stream.write_all(&session.pipe().output);
            let _said_or_not = relay.sys.within(limits::REFUSAL_WAIT, say).await;
        }
        handler.ended(&end.unwrap_or(End::TimedOut));
    }
}

fn words(peer: Option<IpAddr>) -> String {
    peer.map_or_else(String::new, |peer| peer.to_string())
}

/// An address as limits and policy see it: an IPv4 peer of an IPv6 listener is an IPv4 peer.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
