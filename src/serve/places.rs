//! Places for sessions: how many there are, who gets one, and who gives his up when they run short.
//!
//! Strangers must not be able to lock out the devices of the house, nor each other, by sitting on
//! all places: some are kept for trusted peers, and where none is left the session that has got
//! nothing done for longest makes room. While there are enough, everybody has the patience that
//! RFC 5321 §4.5.3.2 asks for.

use super::receive::Receive;
use crate::{
    config::Limits,
    drive::{End, Handler},
    limits,
    proto::{
        smtp::server::{Answer, Ask, Session},
        status::{Class, Reply, Status},
    },
    sys::{Signal, Stream, Sys, TlsError},
    time::Instant,
};
use futures_lite::future;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    rc::Rc,
    time::Duration,
};

/// All places, by number.
#[derive(Default)]
pub(super) struct Places {
    seats: RefCell<BTreeMap<u64, Seat>>,
    given: Cell<u64>,
    /// Most of them, where the system lets there be fewer than is configured.
    most: Cell<Option<usize>>,
}

/// Who has a place.
struct Seat {
    /// The address, or the network that counts as one.
    peer: Option<IpAddr>,
    trusted: bool,
    /// When it last got something done; `None`: it waits for us.
    since: Option<Instant>,
    leave: Signal,
}

/// A place, given back when dropped.
pub(super) struct Place {
    places: Rc<Places>,
    number: u64,
    leave: Signal,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.seats.borrow_mut().remove(&self.number);
    }
}

/// Who had to make room for somebody.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) peer: Option<IpAddr>,
    /// How long it had got nothing done.
    pub(super) idle: Duration,
}

impl Places {
    /// No more than so many from now on.
    pub(super) fn bound(&self, most: usize) {
        self.most.set(Some(most));
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.seats.borrow().len()
    }

    /// A place for this peer, and who left it to him, if anybody had to.
    ///
    /// # Errors
    /// There is none for him now, in words for the peer.
    pub(super) fn enter(
        self: &Rc<Self>,
        now: Instant,
        peer: Option<IpAddr>,
        trusted: bool,
        bounds: &Limits,
    ) -> Result<(Place, Option<Left>), &'static str> {
        let peer = peer.map(household);
        let mut seats = self.seats.borrow_mut();
        if seats.values().filter(|seat| seat.peer == peer).count() >= bounds.sessions_per_address {
            return Err("Too many sessions from your address, try again later");
        }
        let most = self.most.get().unwrap_or(usize::MAX).min(bounds.sessions);
        let kept = if trusted { 0 } else { most / limits::SESSIONS_KEPT_SHARE };
        let strangers = seats.values().filter(|seat| !seat.trusted).count();
        let full = seats.len() >= most || !trusted && strangers >= most - kept;
        let mut left = None;
        if full {
            let idlest = idlest(&seats, now, trusted);
            let (number, idle) = idlest.ok_or("Too many sessions, try again later")?;
            let seat = seats.remove(&number).expect("it was just found");
            seat.leave.raise();
            left = Some(Left { peer: seat.peer, idle });
        }
        let number = self.given.get();
        self.given.set(number + 1);
        let leave = Signal::default();
        seats.insert(number, Seat { peer, trusted, since: Some(now), leave: leave.clone() });
        Ok((Place { places: self.clone(), number, leave }, left))
    }
}

/// The session that leaves its place to somebody: the one that has got nothing done for longest, a
/// stranger's before a trusted one's, which only a trusted peer may take.
fn idlest(seats: &BTreeMap<u64, Seat>, now: Instant, trusted: bool) -> Option<(u64, Duration)> {
    let idle = |seat: &Seat| seat.since.map(|since| now.since(since));
    seats
        .iter()
        .filter(|(_, seat)| trusted || !seat.trusted)
        .filter_map(|(number, seat)| Some((seat.trusted, *number, idle(seat)?)))
        .filter(|(_, _, idle)| *idle >= limits::CROWDED_WAIT)
        .min_by_key(|(trusted, _, idle)| (*trusted, std::cmp::Reverse(*idle)))
        .map(|(_, number, idle)| (number, idle))
}

impl Place {
    /// Until it is given to somebody else, and then long enough to say so.
    pub(super) async fn lost(&self, sys: &Sys) {
        self.leave.past(0).await;
        sys.sleep(limits::LEAVE_WAIT).await;
    }

    fn change(&self, change: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.places.seats.borrow_mut().get_mut(&self.number) {
            change(seat);
        }
    }
}

/// Answers a session, and notes what it gets done.
pub(super) struct Guest<'a> {
    receive: Receive,
    place: &'a Place,
    sys: Sys,
    since: Instant,
    /// Octets of the message since then.
    octets: usize,
}

impl<'a> Guest<'a> {
    pub(super) fn new(receive: Receive, place: &'a Place, sys: Sys) -> Guest<'a> {
        let since = sys.clock.now();
        Guest { receive, place, sys, since, octets: 0 }
    }

    /// The session is over.
    pub(super) fn ended(&mut self, end: &End) {
        self.receive.ended(end);
    }

    /// Whether it gets something done with this, should the answer be yes. Greetings and NOOP can
    /// be said for ever, and an octet a second is not worth a place that others wait for.
    fn is_work(&mut self, ask: &Ask) -> bool {
        match ask {
            Ask::Hello(_) | Ask::Reset => false,
            Ask::Body(octets) => {
                self.octets += octets.len();
                self.octets >= limits::CROWDED_BYTES
            }
            Ask::Login { .. }
            | Ask::Mail(_)
            | Ask::Rcpt(_)
            | Ask::Data { .. }
            | Ask::Commit { .. } => true,
        }
    }
}

impl Handler<Session> for Guest<'_> {
    async fn answer(&mut self, ask: Ask) -> Answer {
        let (work, login) = (self.is_work(&ask), matches!(ask, Ask::Login { .. }));
        // It waits for us now, and is not to blame.
        self.place.change(|seat| seat.since = None);
        let answer = self.receive.answer(ask).await;
        let yes = matches!(answer, Answer::Accept | Answer::AcceptAs(_));
        if work && yes {
            self.since = self.sys.clock.now();
            self.octets = 0;
        }
        self.place.change(|seat| {
            seat.since = Some(self.since);
            seat.trusted |= login && yes;
        });
        answer
    }

    async fn news(&mut self) -> Answer {
        const CROWDED: Reply = Reply::new(
            421,
            Status::new(Class::Transient, 3, 2),
            "Too many sessions, and nothing came from this one for a while",
        );
        let (news, leave) = (self.receive.news(), self.place.leave.past(0));
        let heard = future::or(async { Some(news.await) }, async {
            leave.await;
            None
        });
        if let Some(news) = heard.await {
            return news;
        }
        // A message that was coming is told of, as long as it is known whose it was.
        self.receive.ended(&End::Closed);
        Answer::Close(CROWDED)
    }

    fn notice(&mut self, session: &mut Session) {
        self.receive.notice(session);
    }

    async fn upgrade(&mut self, plain: Box<dyn Stream>) -> Result<Box<dyn Stream>, TlsError> {
        self.receive.upgrade(plain).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn bounds(sessions: usize) -> Limits {
        Limits {
            message: 1,
            recipients: 1,
            sessions,
            sessions_per_address: 2,
            bad_commands: 1,
            login_failures: 1,
            spool: 1,
        }
    }

    fn peer(n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, n))
    }

    const LATE: Instant = Instant(60_000);
    const FULL: &str = "Too many sessions, try again later";

    /// Places with a crowd of busy strangers, as many as they are let in.
    fn crowd(sessions: usize) -> (Rc<Places>, Vec<Place>) {
        let places = Rc::new(Places::default());
        let bounds = bounds(sessions);
        let inside = (0..)
            .map_while(|n| places.enter(Instant(0), Some(peer(n)), false, &bounds).ok())
            .map(|(place, _)| place)
            .collect();
        (places, inside)
    }

    #[test]
    fn strangers_leave_a_quarter_to_trusted_peers() {
        let (places, inside) = crowd(8);
        assert_eq!(inside.len(), 6);
        let enter = |n, trusted| places.enter(Instant(0), Some(peer(n)), trusted, &bounds(8));
        let _two = [enter(100, true).unwrap(), enter(101, true).unwrap()];
        assert_eq!(enter(102, true).err(), Some(FULL));
        drop(inside);
        assert!(enter(103, false).is_ok(), "who leaves makes room");
        assert_eq!(crowd(1).1.len(), 1, "where there is one place it is for all");
    }

    #[test]
    fn the_idlest_makes_room_and_only_after_a_while() {
        let (places, inside) = crowd(8);
        let at = Instant(0) + limits::CROWDED_WAIT;
        let before = Instant(at.0 - 1);
        assert_eq!(places.enter(before, Some(peer(50)), false, &bounds(8)).err(), Some(FULL));
        inside[0].change(|seat| seat.since = Some(Instant(5)));
        inside[1].change(|seat| seat.since = None);
        let (_new, left) = places.enter(at, Some(peer(50)), false, &bounds(8)).unwrap();
        let left = left.expect("somebody had to leave");
        assert_eq!(left, Left { peer: Some(peer(2)), idle: limits::CROWDED_WAIT });
        assert_eq!((inside[2].leave.count(), inside[3].leave.count()), (1, 0));
        assert_eq!(places.seats.borrow().len(), 6, "one for one");
        // Whoever waits for us stays, however long that takes.
        let others: Vec<_> = (60..)
            .map_while(|n| places.enter(LATE, Some(peer(n)), false, &bounds(8)).ok())
            .collect();
        assert_eq!((others.len(), inside[1].leave.count()), (5, 0));
    }

    #[test]
    fn strangers_leave_before_trusted_peers_and_never_the_other_way_round() {
        let places = Rc::new(Places::default());
        let enter = |at, n, trusted| places.enter(at, Some(peer(n)), trusted, &bounds(4));
        let mine: Vec<_> = (0..3).map(|n| enter(Instant(0), n, true).unwrap()).collect();
        let stranger = enter(Instant(9), 10, false).unwrap();
        let (_place, left) = enter(LATE, 11, false).unwrap();
        assert_eq!(left.map(|left| left.peer), Some(Some(peer(10))));
        assert_eq!(enter(LATE, 12, false).err(), Some(FULL), "trusted peers stay");
        let (_place, left) = enter(LATE, 13, true).unwrap();
        assert_eq!(left.map(|left| left.peer), Some(Some(peer(0))), "the stranger is not idle");
        drop((mine, stranger));
    }

    #[test]
    fn an_address_has_its_own_bound_also_where_others_would_have_to_leave() {
        let places = Rc::new(Places::default());
        let enter = |at| places.enter(at, Some(peer(1)), true, &bounds(2));
        let _two = [enter(Instant(0)).unwrap(), enter(Instant(0)).unwrap()];
        assert!(enter(LATE).err().unwrap().contains("from your address"));
    }
}
