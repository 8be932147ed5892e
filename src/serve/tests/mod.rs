//! The whole relay in a world of memory: conversations at its doors, messages on their way, a
//! person at its desk.

mod care;
mod company;
mod crowd;
mod devices;
mod disk;
mod doctor;
mod doors;
mod exposition;
mod failing;
mod fairness;
mod floods;
mod forwards;
mod greylists;
mod history;
mod keeper;
mod line;
mod logins;
mod names;
mod pace;
mod policies;
mod pushes;
mod queue;
mod refusals;
mod reports;
mod senders;
mod server;
mod service;
mod sign_ins;
mod signing;
mod spf;
mod vitals;
mod ways;
pub(super) mod wire;
mod world;

use super::{
    control::Files,
    desk::Desk,
    start::{self, Running},
    web::office::{Action, Apply, Office, Page, Row, Which},
};
use crate::relay::envelope::Id;
use std::{rc::Rc, time::Duration};
use wire::Wire;
use world::World;

/// A relay and its world.
struct House {
    world: Rc<World>,
    running: Running,
}

/// Mail for `home.test` is for alice and bob, all else goes to a smarthost.
const CONFIG: &str = r#"{
    "hostname": "relay.test",
    "listen": {"smtp": ["0.0.0.0:25"], "submission": ["0.0.0.0:587"],
               "submissions": ["0.0.0.0:465"], "web": []},
    "trusted": ["192.168.1.0/24"],
    "domains": ["home.test"],
    "users": [{"name": "alice"}, {"name": "bob"}],
    "routes": [{"for": "*", "via": "192.0.2.25:25", "tls": "may"}]
}"#;

const SMARTHOST: &str = "192.0.2.25:25";
const CAMERA: &str = "192.168.1.20:4000";
const STRANGER: &str = "203.0.113.9:4000";

impl House {
    fn new() -> House {
        House::with(CONFIG)
    }

    /// With a configuration of its own.
    fn with(config: &str) -> House {
        let world = World::new();
        world.files.borrow_mut().insert("waypost.json".into(), config.into());
        House::open(world)
    }

    /// Start it in a world that may have seen one before.
    fn open(world: Rc<World>) -> House {
        let sys = world.sys();
        let (document, machine) = ("waypost.json".into(), "machine".into());
        let files = Files { document, machine, board: None };
        let opened = world.wait(start::open(&sys, files));
        let running = opened.unwrap_or_else(|failed| panic!("no relay: {:?}", failed.words));
        world.run();
        House { world, running }
    }

    /// Kill it and start it again.
    fn restart(self) -> House {
        let world = self.world.clone();
        drop(self);
        world.kill();
        House::open(world)
    }

    fn call(&self, port: u16, from: &str) -> Session<'_> {
        let wire = self.world.connect(&format!("0.0.0.0:{port}"), from);
        let wire = wire.expect("somebody listens");
        Session { house: self, banner: wire.take(), wire }
    }

    /// Hand in a message from a trusted device.
    fn send(&self, from: &str, to: &[&str], text: &str) -> Id {
        let mut session = self.call(25, CAMERA);
        session.says("EHLO camera", "250");
        session.says(&format!("MAIL FROM:<{from}>"), "250 2.1.0");
        for to in to {
            session.says(&format!("RCPT TO:<{to}>"), "250 2.1.5");
        }
        session.says("DATA", "354");
        let said = session.says(&format!("Subject: {text}\r\n\r\n{text}\r\n."), "250 2.0.0");
        session.says("QUIT", "221");
        said.split_whitespace().last().expect("an id").parse().expect("an id")
    }

    /// What the page says of the spool, if anything.
    fn spool_problem(&self) -> String {
        let problems = self.world.wait(self.desk().status()).problems.into_iter();
        problems.filter(|problem| problem.key == "spool").map(|problem| problem.words).collect()
    }

    fn desk(&self) -> Desk {
        let keeper = crate::serve::board::Keeper { socket: None };
        Desk::new(self.running.relay.clone(), self.running.control.clone(), keeper)
    }

    fn act(&self, id: Id, action: Action) -> Result<u64, String> {
        self.world.wait(self.desk().act(Which::One(id), action))
    }

    fn rows(&self) -> Vec<Row> {
        self.world.wait(self.desk().queue(Page { offset: 0, limit: 100 })).rows
    }

    fn configure(&self, from: &str, to: &str) {
        let document = self.running.control.document();
        let compact = |text: &str| text.split_whitespace().collect::<String>();
        let changed = compact(&document).replace(&compact(from), &compact(to));
        assert_ne!(changed, compact(&document), "{document}");
        self.world.wait(self.desk().apply(&changed, Apply::Save)).expect("a good configuration");
    }

    fn pass(&self, seconds: u64) {
        self.world.pass(Duration::from_secs(seconds));
    }

    /// Messages in a user's mailbox.
    fn mailbox(&self, user: &str) -> Vec<String> {
        let start = format!("mail/{user}/new/");
        let files = self.world.files.borrow();
        let mails = files.iter().filter(|(path, _)| path.starts_with(&start));
        mails.map(|(_, octets)| String::from_utf8_lossy(octets).into_owned()).collect()
    }
}

/// A panic that no test has planted is a bug.
impl Drop for House {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let world = &self.world;
            assert!(
                world.cursed.borrow().is_some() || world.panics.get() == 0,
                "something panicked"
            );
        }
    }
}

/// A client's session with the relay.
struct Session<'a> {
    house: &'a House,
    banner: String,
    wire: Wire,
}

impl Session<'_> {
    /// Say a line; all that is answered.
    fn say(&mut self, line: &str) -> String {
        self.wire.send(format!("{line}\r\n").as_bytes());
        self.house.world.run();
        self.wire.take()
    }

    /// Say a line that must be answered like this; the answer.
    #[track_caller]
    fn says(&mut self, line: &str, answer: &str) -> String {
        let said = self.say(line);
        assert!(said.starts_with(answer), "{line}: {said}");
        said
    }
}
