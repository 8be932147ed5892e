//! One life of the relay: it is switched on, gets traffic and trouble, is killed and cut off now
//! and then, and at last left in peace until everything has ended. Then it is judged.

use crate::{
    boot::{Boot, Frailty},
    disk::{Faults, SimDisk},
    judge::{self, Case},
    letters::Book,
    net::Line,
    senders::{Kind, Sender, rogues},
    servers::Servers,
    shelf::{Ailment, Entries},
    world::{Stop, World, hours, minutes, seconds},
};
use futures_lite::future::block_on;
use std::{
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
};
use waypost::{
    limits,
    sys::{Disk, Open, Wish},
};

/// Octets of the simulated flash, and of the spool on it.
const FLASH: u64 = 64 << 20;
pub const SPOOL: u64 = 4 << 20;
/// Octets of the largest message.
pub const MESSAGE: u64 = 300 << 10;
/// Octets of a segment of that spool.
pub const SEGMENT: u64 = limits::SEGMENT_BYTES_MIN as u64;
/// Tasks of a relay that waits for whatever may come: what listens, works, keeps, and watches line
/// and sign-ins.
const IDLE_TASKS: usize = 10;
/// Sessions at once, in all and of one address.
const SESSIONS: (usize, usize) = (8, 4);
/// A date, in seconds since 1970: 2026-02-22.
pub const TODAY: u64 = 1_771_700_000;
/// How long after the last trouble everything must have ended: the longest session with a server
/// and the longest wait between attempts, and some.
const PATIENCE: u64 = hours(9);

/// What a life came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Came {
    pub fingerprint: u64,
    pub promised: usize,
    pub delivered: usize,
    pub bounced: usize,
    pub crashes: usize,
    /// It was stopped where it should be.
    pub stepped: bool,
    /// What was wrong.
    pub wrongs: Vec<String>,
    /// All that happened, for whoever replays it.
    pub log: Vec<String>,
}

/// What makes one life unlike the next.
pub struct Life {
    pub world: World,
    pub disk: SimDisk,
    pub servers: Servers,
    pub book: Rc<Book>,
    entries: Entries,
    boot: Option<Boot>,
    runs: u32,
    frailty: Frailty,
    pub case: Case,
}

/// How the relay is stopped in its tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// SIGKILL: the system goes on, with all that was written.
    Kill,
    /// The power is gone, with what was not synced.
    Cut,
    /// SIGTERM, and started again.
    Stop,
}

impl Life {
    pub fn new(seed: u64) -> Life {
        Life::with_password(seed, "")
    }

    /// Alice has a password, unless it is empty: hashing takes its time.
    pub fn with_password(seed: u64, password: &str) -> Life {
        let world = World::new(seed);
        let disk = SimDisk::new(world.roll(), FLASH);
        let servers = Servers::open(&world);
        world.net().bounds(SESSIONS.0, SESSIONS.1);
        world.set_wall(Some(TODAY));
        disk.hold_below("spool", SPOOL);
        let in_flight = SESSIONS.0 as u64 * MESSAGE + SEGMENT;
        disk.leave_free("spool", limits::FILE_SYSTEM_SPARE_BYTES - in_flight);
        let (book, entries) = (Rc::default(), Entries::default());
        let (frailty, case) = (Frailty::default(), Case::default());
        let life = Life { world, disk, servers, book, entries, boot: None, runs: 0, frailty, case };
        life.configure(password);
        life
    }

    fn configure(&self, password: &str) {
        let world = &self.world;
        let password = match password {
            "" => String::new(),
            password => format!(r#","password":"{password}""#),
        };
        let tls = world.pick(&["none", "may"]);
        let login = if world.one_in(2) { r#","user":"me","password":"secret""# } else { "" };
        let ipv6 = world.one_in(2);
        let (all, of_one) = SESSIONS;
        let text = format!(
            r#"{{"hostname":"relay.home.example",
"listen":{{"smtp":["192.168.7.2:25"],"submission":["192.168.7.2:587"],"submissions":[],"web":[]}},
"domains":["home.example"],
"users":[{{"name":"alice"{password}}},{{"name":"bob"}}],
"aliases":[{{"from":"root","to":["alice","me@one.example"]}},{{"from":"staff","to":["alice","bob"]}}],
"routes":[{{"for":"via.example","via":"smart.example:587","tls":"{tls}"{login}}}],
"dns":["192.168.7.1:53","198.51.100.53:53"],
"delivery":{{"port":25,"ipv6":{ipv6}}},
"retry":{{"first":"1m","max":"1h","lifetime":"5d","warn_after":"4h"}},
"limits":{{"message":"300K","spool":"4M","sessions":{all},"sessions_per_address":{of_one}}}}}"#
        );
        let written = async {
            let file = self.disk.open("waypost.json", Open::New).await?;
            file.write_sync(0, text.into_bytes()).await?;
            self.disk.sync_dir(".").await
        };
        block_on(written).expect("the disk is fine yet");
    }

    pub fn start(&mut self) {
        self.runs += 1;
        let boot = Boot::start(&self.world, self.runs, &self.disk, &self.entries);
        boot.frailty(self.frailty);
        self.boot = Some(boot);
    }

    /// Let time pass until something stops it.
    pub fn run_once(&mut self, until: u64) -> Stop {
        self.world.run_until(until)
    }

    /// Let time pass. A relay that ends by itself is started again, as an init system does.
    pub fn run(&mut self, until: u64) -> Stop {
        loop {
            let stop = self.world.run_until(until);
            if stop != Stop::Ended {
                return stop;
            }
            let boot = self.boot.take().expect("only a relay that runs can end");
            self.world.note(&format!("the relay ends: {:?}", boot.ended()));
            boot.kill();
            let wait = self.world.now() + seconds(10);
            self.world.run_until(wait);
            self.start();
        }
    }

    /// What is wrong with the machine beside its disk from now on.
    pub fn ail(&mut self, frailty: Frailty) {
        self.frailty = frailty;
        if let Some(boot) = &self.boot {
            boot.frailty(frailty);
        }
    }

    /// The past is over: what was said, sent and delivered is forgotten, and so is the history.
    pub fn forget(&mut self) {
        self.world.forget_lines();
        self.book.forget();
        *self.servers.taken.borrow_mut() = Vec::new();
        self.lose_index();
        for (path, _) in self.disk.files("mail/") {
            if path.contains("/new/") {
                self.disk.lose_file(&path);
            }
        }
        self.disk.write_back();
    }

    /// Somebody removes the index.
    pub fn lose_index(&self) {
        self.entries.borrow_mut().clear();
    }

    /// Events that are in the index.
    pub fn index_lines(&self) -> usize {
        let entries = self.entries.borrow();
        let lines = |octets: &Vec<u8>| String::from_utf8_lossy(octets).matches("event=").count();
        let plain: usize = entries.values().map(lines).sum();
        plain
    }

    /// The power is cut, and comes back.
    pub fn crash_now(&mut self) {
        self.crash(Crash::Cut);
    }

    pub fn crash(&mut self, crash: Crash) {
        let Some(boot) = self.boot.take() else { return };
        self.world.note(&format!("{crash:?}"));
        self.case.crashes.push(self.world.now());
        self.case.cuts += usize::from(crash == Crash::Cut);
        match crash {
            Crash::Stop => self.stop(boot),
            Crash::Kill => boot.kill(),
            Crash::Cut => boot.cut(&self.disk),
        }
        self.case.look(&self.disk);
    }

    /// Traffic, trouble, crashes, then peace.
    pub fn live(&mut self) {
        let world = self.world.clone();
        let traffic = *world.pick(&[minutes(2), minutes(30), hours(6)]);
        let trouble = traffic + *world.pick(&[0, minutes(30), hours(12)]);
        self.traffic(traffic);
        self.trouble(trouble);
        self.start();
        let crashes = *world.pick(&[0, 1, 1, 2, 4]);
        let mut times: Vec<u64> =
            (0..crashes).map(|_| world.below(*world.pick(&[traffic, trouble]))).collect();
        times.sort_unstable();
        for at in times {
            self.run(at);
            self.crash_about_now();
        }
        self.run(trouble);
        self.heal();
        self.rest();
    }

    fn crash_about_now(&mut self) {
        let world = self.world.clone();
        loop {
            let crash =
                *world.pick(&[Crash::Kill, Crash::Kill, Crash::Cut, Crash::Cut, Crash::Stop]);
            if world.one_in(2) {
                world.run_ticks(world.below(300));
            } else {
                world.stop_at_operation(world.between(2, 60));
                self.run(world.now() + minutes(30));
                world.stop_at_operation(0);
            }
            self.crash(crash);
            let dark = *world.pick(&[0, seconds(1), minutes(5), hours(2)]);
            world.run_until(world.now() + dark);
            self.start();
            // Now and then it does not get far.
            if !world.one_in(4) {
                return;
            }
        }
    }

    fn traffic(&self, within: u64) {
        let world = &self.world;
        for n in 0..world.between(1, 4) {
            let last = u8::try_from(20 + n).expect("a few");
            let (kind, address) = if world.one_in(4) {
                (Kind::Stranger, Ipv4Addr::new(203, 0, 113, last))
            } else {
                (Kind::Near, Ipv4Addr::new(192, 168, 7, last))
            };
            // Behind the gateway may be anybody.
            let address = if world.one_in(16) && kind == Kind::Stranger {
                crate::net::ROUTER
            } else {
                address
            };
            let (world, book) = (world.clone(), self.book.clone());
            let sender = Sender { world, book, kind, address: address.into() };
            let sessions = self.world.between(1, 3);
            self.world.spawn(sender.live(sessions, within));
        }
        let rogue = |chance, last| {
            let from = IpAddr::from([203, 0, 113, last]);
            world.one_in(chance).then(|| (world.clone(), from, world.below(within)))
        };
        if let Some((own, from, at)) = rogue(8, 90) {
            world.spawn(async move {
                own.sleep(at).await;
                drop(rogues::babble(own, from).await);
            });
        }
        if let Some((own, from, at)) = rogue(8, 91) {
            world.spawn(async move {
                own.sleep(at).await;
                drop(rogues::crowd(own, from).await);
            });
        }
        if let Some((own, from, at)) = rogue(10, 92) {
            world.spawn(async move {
                own.sleep(at).await;
                drop(rogues::smuggle(own, from).await);
            });
        }
    }

    /// What goes wrong until `until`.
    fn trouble(&mut self, until: u64) {
        let world = self.world.clone();
        world.net().rough(*world.pick(&[0, 0, 40, 250]));
        self.servers.trouble(*world.pick(&[0, 150, 400, 800]), world.below(until));
        self.servers.names.trouble(*world.pick(&[0, 0, 150, 600]));
        let index = Ailment {
            fails: *world.pick(&[0, 0, 0, 200, 1000]),
            slow: *world.pick(&[0, 0, 0, 0, 20_000]),
            full: world.one_in(8),
        };
        self.frailty = Frailty { tls: *world.pick(&[0, 0, 300]), index };
        if world.one_in(6) {
            let faults = Faults { sync: 20, write: 20, names: 10, stalled: false };
            self.disk.fail(faults);
            self.case.disk_fails = true;
        }
        for _ in 0..*world.pick(&[0, 0, 1, 2]) {
            let line = *world.pick(&[Line::Silent, Line::Unreachable]);
            let own = world.clone();
            self.window(until, move |on| own.net().line(if on { line } else { Line::Up }));
        }
        for address in self.servers.addresses() {
            if world.one_in(5) {
                let own = world.clone();
                let dark = world.one_in(2);
                self.window(until, move |on| {
                    if dark {
                        own.net().power(address, !on);
                    } else {
                        own.net().closed(address, on);
                    }
                });
            }
        }
        if world.one_in(8) {
            let disk = self.disk.clone();
            let room = (8 << 20) + world.below(3 << 20);
            self.case.disk_fails = true;
            self.window(until, move |on| disk.set_room(if on { room } else { FLASH }));
        }
        self.clock(until);
    }

    /// `act` with `true` at some time, and with `false` before `until`.
    fn window(&self, until: u64, act: impl Fn(bool) + 'static) {
        let own = self.world.clone();
        let begin = own.below(until);
        let end = begin + own.below(until - begin);
        own.clone().spawn(async move {
            own.sleep_until(begin).await;
            act(true);
            own.sleep_until(end).await;
            act(false);
        });
    }

    /// Unset, set late, jumping forward by decades, back by a day.
    fn clock(&self, until: u64) {
        let world = &self.world;
        let year = 365 * 86_400;
        let (first, then) = match world.below(8) {
            0 => (None, None),
            1 => (None, Some(TODAY)),
            2 => (Some(TODAY), Some(TODAY + 50 * year)),
            3 => (Some(TODAY), Some(TODAY - 86_400)),
            _ => return,
        };
        world.set_wall(first);
        let own = world.clone();
        let at = world.below(until);
        world.spawn(async move {
            own.sleep_until(at).await;
            own.note("the clock jumps");
            own.set_wall(then);
        });
    }

    /// Everything works from now on.
    pub fn heal(&mut self) {
        let net = self.world.net();
        self.world.note("peace");
        net.line(Line::Up);
        net.rough(0);
        self.servers.heal(net);
        self.servers.names.trouble(0);
        self.disk.fail(Faults::default());
        self.disk.set_room(FLASH);
        self.ail(Frailty::default());
    }

    /// Until nobody has anything to do; then an orderly end.
    pub fn rest(&mut self) {
        let until = self.world.now() + PATIENCE;
        if self.run(until) != Stop::Quiet {
            self.world.wrong("it is still busy hours after the last trouble".into());
        }
        let Some(boot) = self.boot.take() else { return };
        if boot.tasks() > IDLE_TASKS {
            self.world.wrong(format!("{} tasks wait for something that never comes", boot.tasks()));
        }
        self.look_at_spool();
        self.stop(boot);
        self.case.look(&self.disk);
    }

    /// What no message needs has been given back.
    fn look_at_spool(&self) {
        let journal = self.disk.octets("spool/0");
        if journal > SEGMENT * u64::from(limits::SEGMENTS_MIN + 1) {
            self.world.wrong(format!("the empty journal takes {journal} octets"));
        }
        for (path, octets) in self.disk.files("spool/large/") {
            self.world.wrong(format!("{path} of {octets} octets is left behind"));
        }
    }

    /// It finishes what is in flight, and ends within seconds.
    fn stop(&self, boot: Boot) {
        boot.wish(Wish::Terminate);
        let stop = self.world.run_until(self.world.now() + minutes(1));
        if boot.ended().is_none() {
            self.world.wrong(format!("SIGTERM does not end it: {stop:?}"));
        }
        boot.kill();
    }

    /// The end, and the judgement.
    pub fn end(mut self) -> Came {
        self.runs += 1;
        let left = Boot::look_into_spool(&self.world, self.runs, &self.disk, SPOOL);
        self.look_at_spool();
        judge::judge(&self, &left);
        let sent = self.book.all();
        let log = self.world.lines();
        let many = |kind: &str| log.iter().filter(|line| line.text.starts_with(kind)).count();
        let came = Came {
            fingerprint: self.world.fingerprint(),
            promised: sent.iter().filter(|sent| sent.is_promised()).count(),
            delivered: many("event=delivered"),
            bounced: many("event=bounced"),
            crashes: self.case.crashes.len(),
            stepped: false,
            wrongs: self.world.wrongs(),
            log: log.iter().map(|l| format!("{:>12} {} {}", l.at, l.run, l.text)).collect(),
        };
        self.world.end();
        came
    }
}

/// The usual life.
pub fn usual(seed: u64) -> Came {
    let mut life = Life::new(seed);
    life.live();
    life.end()
}
