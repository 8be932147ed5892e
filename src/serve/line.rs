//! The line: can anybody outside be reached at all?
//!
//! An outage of the line, of the route, of DNS, or a captive portal in the way is no fault of any
//! message. Whether there is one shows where an attempt reaches nobody: then somebody *looks*, and
//! where that finds nobody either, the relay is *offline*. It says so, opens no connections, and
//! looks again from time to time and as soon as the kernel tells that links, addresses or routes
//! have changed. The first that is reached ends it, and all that waits is delivered at once.
//!
//! A look asks the name servers for a name that nobody has asked for before, since a router answers
//! from its cache for hours after its line is down; and where there are smarthosts, it lets them
//! greet.

use super::{relay::Relay, work::days};
use crate::{
    config::Config,
    limits,
    relay::{
        resolve,
        route::{self, Destination, NextHop},
        trace::Event,
    },
    sys::{Changes, Signal},
    time::Instant,
};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::or};
use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

/// What is known of the line.
#[derive(Default)]
pub struct Line {
    offline: RefCell<Option<Offline>>,
    /// When a look has found somebody last.
    proven: Cell<Option<Instant>>,
    /// Somebody was reached while looks found nobody: until one finds somebody, they are not
    /// believed. In a network without the internet none ever does.
    misjudged: Cell<bool>,
    /// How often it has come back.
    returns: Cell<u64>,
    /// Somebody wants to know.
    doubt: Signal,
    /// A look has ended.
    looked: Signal,
}

struct Offline {
    since: Instant,
    why: String,
    /// How often a person had wanted everything tried now.
    urgent: u64,
}

impl Line {
    /// Why nobody can be reached, and for how long that has been known; `None`: the line is up, as
    /// far as anybody knows.
    pub fn offline(&self, now: Instant) -> Option<(String, Duration)> {
        let offline = self.offline.borrow();
        offline.as_ref().map(|offline| (offline.why.clone(), now.since(offline.since)))
    }

    /// Nobody can be reached.
    pub fn is_offline(&self) -> bool {
        self.offline.borrow().is_some()
    }

    fn is_known_offline(&self, urgent: u64) -> bool {
        self.offline.borrow().as_ref().is_some_and(|offline| offline.urgent == urgent)
    }

    /// How often the line has come back: whoever rests since nobody was reached before need not any
    /// more.
    pub fn returns(&self) -> u64 {
        self.returns.get()
    }

    /// Somebody was found by a look at `since` or later.
    pub fn was_up(&self, since: Instant) -> bool {
        self.proven.get().is_some_and(|at| at >= since)
    }
}

/// Somebody on this machine or in its private network, by address.
pub fn is_near(destination: &Destination) -> bool {
    match &destination.next {
        NextHop::Smarthost(host, _) => host.parse().is_ok_and(|ip: IpAddr| resolve::is_inside(ip)),
        NextHop::Mx(_) => false,
    }
}

/// The smarthosts that are looked for.
fn looked_for(config: &Config) -> impl Iterator<Item = Destination> {
    let smarthosts = route::smarthosts(config).into_iter().map(|(_, smarthost)| smarthost);
    smarthosts.filter(|smarthost| !is_near(smarthost)).take(limits::PROBE_SMARTHOSTS)
}

impl Relay {
    /// Why a connection to `destination` is not even tried.
    ///
    /// Who is near may be reached without the line, and a person who wants everything tried now
    /// shall see it tried. After [`limits::OFFLINE_TRY`] those are tried, too, whom no look asks
    /// for: in a network without the internet nothing else tells that they are there.
    pub(super) fn barred(&self, destination: &Destination) -> Option<String> {
        let offline = self.line.offline.borrow();
        let offline = offline.as_ref().filter(|offline| offline.urgent == self.urgent.count())?;
        let lasts = self.sys.clock.now().since(offline.since);
        let is_looked_for = || looked_for(&self.config()).any(|one| one.next == destination.next);
        let is_tried = lasts >= limits::OFFLINE_TRY && !is_looked_for();
        (!is_near(destination) && !is_tried).then(|| offline.why.clone())
    }

    /// An attempt of a message that waits since `since` has reached nobody: was it not the line's
    /// fault? True where somebody was reached just now, or is found now; false also where nobody
    /// could find out in time.
    pub async fn has_line(&self, since: Instant) -> bool {
        let now = self.sys.clock.now();
        if self.line.is_known_offline(self.urgent.count()) {
            return false;
        }
        if self.was_reached(now - limits::PROBE_KEPT) {
            return true;
        }
        if self.line.misjudged.get() && self.was_reached(since) {
            return true;
        }
        let seen = self.line.looked.count();
        self.line.doubt.raise();
        let known = or(
            async {
                self.line.looked.past(seen).await;
            },
            async {
                self.stop.past(0).await;
            },
        );
        self.sys.within(limits::PROBE_WAIT * 2, known).await;
        !self.line.is_offline() && self.was_reached(now)
    }

    /// Mail has reached somebody: whatever waits for the line is due.
    pub(super) fn mail_got_through(&self, now: Instant) {
        if self.line.is_offline() {
            self.line.misjudged.set(true);
            // Or the line has just come back.
            self.line.doubt.raise();
        }
        self.line_is_up(now);
    }

    fn line_is_up(&self, now: Instant) {
        let offline = self.line.offline.borrow_mut().take();
        if let Some(offline) = offline {
            self.line.returns.set(self.line.returns.get() + 1);
            self.resolver.forget_failures();
            let event = Event::new("online").with("after", days(now.since(offline.since)));
            self.tell(event.with("messages", self.queue.offline()));
        }
        self.queue.line_is_up(now);
    }

    fn line_is_down(&self, why: String) {
        let now = self.sys.clock.now();
        let known = self.line.offline.borrow().as_ref().map(|offline| offline.since);
        let (since, urgent) = (known.unwrap_or(now), self.urgent.count());
        *self.line.offline.borrow_mut() = Some(Offline { since, why: why.clone(), urgent });
        if known.is_none() {
            self.tell(Event::new("offline").with("reason", why));
        }
    }

    /// Find somebody.
    async fn look(&self) {
        match self.find_somebody().await {
            Ok(()) => {
                let now = self.sys.clock.now();
                self.line.proven.set(Some(now));
                self.line.misjudged.set(false);
                self.line_is_up(now);
            }
            Err(_) if self.line.misjudged.get() => {}
            Err(why) => self.line_is_down(why),
        }
        self.line.looked.raise();
    }

    /// # Errors
    /// There is nobody, and why.
    async fn find_somebody(&self) -> Result<(), String> {
        let name = self.unheard_of();
        let Err(why) = self.resolver.looks_out(&name).await else { return Ok(()) };
        let config = self.config();
        for smarthost in looked_for(&config) {
            if self.greets(&smarthost, config.delivery_ipv6).await {
                return Ok(());
            }
        }
        Err(why)
    }

    /// A name that nobody has asked for before, where only the servers of a large domain can say
    /// that it does not exist.
    fn unheard_of(&self) -> String {
        format!("line-{:016x}.com", self.sys.dice.roll())
    }

    /// A smarthost answers, and like one: a captive portal has other words.
    async fn greets(&self, smarthost: &Destination, ipv6: bool) -> bool {
        let NextHop::Smarthost(host, port) = &smarthost.next else { return false };
        let looking = async {
            let addresses = self.resolver.addresses(host, ipv6).await.ok()?;
            let at = SocketAddr::new(*addresses.first()?, *port);
            let mut stream = self.sys.net.connect(at).await.ok()?;
            let mut greeting = [0; limits::PROBE_GREETING_BYTES];
            let heard = stream.read(&mut greeting);
            let heard = match self.sys.within(limits::PROBE_GREETING_WAIT, heard).await {
                Some(heard) => heard.ok()?,
                // It waits for us to begin, as at port 465.
                None => return (*port == 465).then_some(()),
            };
            let greets = matches!(greeting.get(..heard), Some([b'2' | b'4' | b'5', ..]));
            if greets {
                // Whatever becomes of it: it was there.
                let _gone = stream.write_all(b"QUIT\r\n").await;
            }
            greets.then_some(())
        };
        self.sys.within(limits::PROBE_WAIT, looking).await.flatten().is_some()
    }
}

/// Why it is time to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Doubt,
    Change,
    Time,
    Stop,
}

/// Look whenever there is reason to, until the relay stops.
pub async fn watch(relay: Rc<Relay>) {
    let mut changes = relay.sys.net.changes();
    let mut doubts = relay.line.doubt.count();
    let mut pause = limits::PROBE_PAUSES[0];
    loop {
        let offline = relay.line.is_offline();
        let wait = offline.then_some(pause);
        match next_cause(&relay, changes.as_deref_mut(), doubts, wait).await {
            Cause::Stop => return,
            // With nothing that waits, nobody needs to know.
            Cause::Change if !offline && relay.queue.offline() == 0 => continue,
            Cause::Change => pause = limits::PROBE_PAUSES[0],
            Cause::Time => pause = (pause * 2).min(limits::PROBE_PAUSES[1]),
            Cause::Doubt => {}
        }
        doubts = relay.line.doubt.count();
        relay.look().await;
        if !relay.line.is_offline() {
            pause = limits::PROBE_PAUSES[0];
        }
        let rest = relay.stop.past(0);
        relay.sys.within(limits::PROBE_PAUSE_MIN, rest).await;
    }
}

async fn next_cause(
    relay: &Relay,
    changes: Option<&mut (dyn Changes + '_)>,
    doubts: u64,
    wait: Option<Duration>,
) -> Cause {
    let doubt = async {
        relay.line.doubt.past(doubts).await;
        Cause::Doubt
    };
    let change = async {
        match changes {
            Some(changes) => changes.next().await,
            None => std::future::pending().await,
        }
        Cause::Change
    };
    let time = async {
        match wait {
            Some(wait) => relay.sys.sleep(wait).await,
            None => std::future::pending().await,
        }
        Cause::Time
    };
    let stop = async {
        relay.stop.past(0).await;
        Cause::Stop
    };
    or(stop, or(doubt, or(change, time))).await
}
