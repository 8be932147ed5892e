//! Listeners: who may connect, how many at once, and what serves them.

use super::{control::Control, receive::Receive, relay::Relay, web::Web};
use crate::{
    config::{Config, Listen},
    drive::{self, End},
    limits,
    proto::{
        machine::Machine,
        smtp::server::{Offer, Session},
        status::{Class, Reply, Status},
    },
    relay::{admit::Who, trace::Event},
    sys::{Listener, Pending, Signal, Stream},
};
use futures_lite::{AsyncWriteExt, future};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
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
    open: RefCell<BTreeMap<(Service, SocketAddr), Door>>,
    peers: Rc<Peers>,
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

/// Sessions by peer, as [`household`] tells them apart.
#[derive(Default)]
struct Peers {
    count: RefCell<BTreeMap<Option<IpAddr>, usize>>,
}

impl Doors {
    /// No listeners yet.
    pub fn new(relay: Rc<Relay>, control: Rc<Control>, web: Rc<Web>) -> Doors {
        Doors { relay, open: RefCell::default(), peers: Rc::default(), web, control }
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
        self.peers.count.borrow().values().sum()
    }

    /// Stop listening everywhere.
    pub fn close(&self) {
        self.open.take().into_values().for_each(|door| door.close.raise());
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
                peers: self.peers.clone(),
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

/// What a listener of mail needs.
#[derive(Clone)]
struct Hall {
    relay: Rc<Relay>,
    control: Rc<Control>,
    peers: Rc<Peers>,
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
        let place = match self.peers.enter(peer, &relay.config()) {
            Ok(place) => place,
            Err(why) => return self.refuse(stream, peer, why).await,
        };
        // When the relay ends it waits for every session to have been told.
        let busy = relay.busy();
        if service == Service::Submissions {
            self.control.renew_certificate().await;
            match relay.sys.within(limits::TLS_WAIT, relay.sys.tls.accept(stream)).await {
                Some(Ok(encrypted)) => self.serve(service, encrypted).await,
                Some(Err(error)) => self.tell_tls_failed(peer, &error.to_string()),
                None => self.tell_tls_failed(peer, "the handshake took too long"),
            }
        } else {
            self.serve(service, stream).await;
        }
        drop((busy, place));
    }

    fn tell_tls_failed(&self, peer: Option<IpAddr>, reason: &str) {
        let event = Event::new("tls-failed").with("peer", words(peer));
        self.relay.tell(event.with("reason", reason));
    }

    async fn refuse(&self, mut stream: Box<dyn Stream>, peer: Option<IpAddr>, why: &str) {
        const BUSY: Reply =
            Reply::new(421, Status::new(Class::Transient, 3, 2), "Too many sessions");
        let reply = BUSY.says(why);
        self.relay.tell(Event::new("refused").with("peer", words(peer)).with("reply", &reply));
        let line = format!("{reply}\r\n");
        let say = stream.write_all(line.as_bytes());
        let _said_or_not = self.relay.sys.within(limits::REFUSAL_WAIT, say).await;
    }

    async fn serve(&self, service: Service, stream: Box<dyn Stream>) {
        let relay = &self.relay;
        let settings = relay.settings();
        let config = &settings.config;
        let peer = stream.peer().map(|address| plain(address.ip()));
        let trusted = settings.policy.is_trusted(peer);
        let offer = Offer {
            hostname: config.hostname.clone(),
            submission: service != Service::Smtp,
            starttls: service != Service::Submissions,
            encrypted: service == Service::Submissions,
            auth_in_clear: trusted,
            auth: config.users.iter().any(|user| user.password.is_some()),
            size: config.limits.message,
            recipients: config.limits.recipients,
            bad_commands: config.limits.bad_commands,
        };
        drop(settings);
        let who = Who { peer, user: None, trusted };
        let mut handler =
            Receive::new(relay.clone(), self.control.clone(), service, who, stream.tls());
        let mut session = Session::new(offer);
        let mut stream = Some(stream);
        let talk = drive::drive(&relay.sys, &mut stream, &mut session, &mut handler);
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

/// A place among the sessions, given back when dropped.
struct Place {
    peers: Rc<Peers>,
    peer: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut count = self.peers.count.borrow_mut();
        if let Some(n) = count.get_mut(&self.peer) {
            *n -= 1;
            if *n == 0 {
                count.remove(&self.peer);
            }
        }
    }
}

impl Peers {
    fn enter(
        self: &Rc<Self>,
        peer: Option<IpAddr>,
        config: &Config,
    ) -> Result<Place, &'static str> {
        let peer = peer.map(household);
        let mut count = self.count.borrow_mut();
        if count.values().sum::<usize>() >= config.limits.sessions {
            return Err("Too many sessions, try again later");
        }
        let own = count.entry(peer).or_default();
        if *own >= config.limits.sessions_per_address {
            return Err("Too many sessions from your address, try again later");
        }
        *own += 1;
        Ok(Place { peers: self.clone(), peer })
    }
}

/// Who a peer is for limits: an IPv4 address, or an IPv6 /64, which is what one household has to
/// choose from.
fn household(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
        four @ IpAddr::V4(_) => four,
    }
}

/// An address as limits and policy see it: an IPv4 peer of an IPv6 listener is an IPv4 peer.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
