//! The keeper of a board, in the world of memory, with a machine that does what the test says.

mod answers;
mod bench;
mod boot_files;
mod clock;
mod land;
mod links;
mod names;
mod relay;
mod screen;
mod watch;
mod wifi;

use super::world::{Fake, World};
use crate::{
    board::{
        self, Board, FACTS, Now, network,
        slots::{Sectors, Slot},
    },
    limits,
    sys::{Signal, Sys},
    time::Instant,
};
use bench::Bench;
use land::{Land, Shared};
use std::{
    cell::{Ref, RefCell},
    future::Future,
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

/// Where the relay serves.
const SMTP: &str = "127.0.0.1:25";
const WEB: &str = "127.0.0.1:80";
const CAMERA: &str = "192.168.1.20:4000";
/// When the image was made: before the world's date.
const BUILT: u64 = 1_790_000_000;
const DISK: &str = "/dev/vda";
const CONFIG: &str = "/data/waypost/waypost.json";
const PROBLEM: &str = "/boot/waypost-problem.txt";
const HOUR: u64 = 3600;

/// A board, its machine and its world.
struct Home {
    world: Rc<World>,
    bench: Rc<Bench>,
    land: Rc<Land>,
    sys: Sys,
    board: Rc<Board>,
}

impl Home {
    /// With one port, and nothing that runs yet.
    fn new() -> Home {
        let world = World::new();
        let bench = Bench::new(&world);
        let land = Land::new(&world, &bench);
        let shared = || Rc::new(Shared(land.clone()));
        let sys = Sys { net: shared(), disk: shared(), ..world.sys() };
        for dir in ["/boot", "/data/board", "/data/waypost", "/run", "/run/board"] {
            world.dirs.borrow_mut().insert(dir.into());
        }
        bench.wired.borrow_mut().push("eth0".into());
        let board = Rc::new(Board {
            sys: sys.clone(),
            machine: bench.clone(),
            facts: serde_json::from_str(&facts()).expect("facts"),
            slots: Sectors::new(&sys, DISK, 0),
            disk: DISK.into(),
            slot: Slot::A,
            now: RefCell::default(),
            changed: Signal::default(),
            over: Signal::default(),
            ended: Signal::default(),
        });
        let home = Home { world, bench, land, sys, board };
        home.put(DISK, &"\0".repeat(1024));
        home.put(CONFIG, r#"{"listen": {"smtp": ["0.0.0.0:25"], "web": ["0.0.0.0:80"]}}"#);
        home.put("/proc/mounts", "/dev/vda4 /data ext4 rw,noatime 0 0\n");
        home
    }

    /// This runs from now on, beside everything else.
    fn begin(&self, task: impl Future<Output = ()> + 'static) {
        self.sys.spawn(task);
        self.world.run();
    }

    fn pass(&self, seconds: u64) {
        self.world.pass(Duration::from_secs(seconds));
    }

    fn pass_millis(&self, millis: u64) {
        self.world.pass(Duration::from_millis(millis));
    }

    /// As long as that but for some milliseconds.
    fn pass_but(&self, time: Duration, millis: u64) {
        self.world.pass(time.saturating_sub(Duration::from_millis(millis)));
    }

    fn time(&self) -> Instant {
        self.sys.clock.now()
    }

    fn now(&self) -> Ref<'_, Now> {
        self.board.now.borrow()
    }

    /// What the file `network` says from now on.
    fn network(&self, text: &str) {
        self.board.now.borrow_mut().network = network::parse(text).expect("a good file");
    }

    fn put(&self, path: &str, text: &str) {
        self.world.files.borrow_mut().insert(path.into(), text.into());
    }

    /// A file's text; nothing where there is none.
    fn file(&self, path: &str) -> String {
        let files = self.world.files.borrow();
        let octets = files.get(path).map(Vec::as_slice).unwrap_or_default();
        String::from_utf8_lossy(octets).into_owned()
    }

    fn has(&self, path: &str) -> bool {
        self.world.files.borrow().contains_key(path)
    }

    fn troubles(&self) -> String {
        self.now().troubles.join("\n")
    }

    /// The relay answers at its ports from now on.
    fn serves(&self) {
        self.world.server(SMTP);
        self.world.service(WEB).says(&[("200 OK", "{}")]);
    }

    fn serves_no_more(&self) {
        self.world.servers.borrow_mut().clear();
        self.world.services.borrow_mut().clear();
    }

    /// These are our addresses.
    fn owns(&self, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address"));
        *self.land.own.borrow_mut() = addresses.collect();
    }
}

/// A panic is a bug.
impl Drop for Home {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.world.panics.get(), 0, "something panicked");
        }
        self.world.kill();
    }
}

fn facts() -> String {
    format!(
        r#"{{"board": "vm", "title": "A machine", "architecture": "x86_64", "version": "0.2.0",
            "built": {BUILT}, "state_octets": 0}}"#
    )
}

#[test]
fn as_many_troubles_are_told_as_the_bound_allows_and_each_once() {
    let home = Home::new();
    for n in 1..limits::BOARD_TROUBLES {
        home.board.trouble(&format!("trouble {n}"));
    }
    home.board.trouble("trouble 1");
    assert_eq!(home.now().troubles.len(), limits::BOARD_TROUBLES - 1, "it was told");
    home.board.trouble("the last that fits");
    assert_eq!(home.now().troubles.len(), limits::BOARD_TROUBLES);
    home.board.trouble("one too many");
    assert_eq!(home.now().troubles.len(), limits::BOARD_TROUBLES);
    assert_eq!(home.now().troubles.last().map(String::as_str), Some("the last that fits"));
    assert!(home.world.told("board-trouble").join("").contains("one too many"), "the log has it");
}

#[test]
fn a_board_starts_everything_that_it_is_for() {
    let home = Home::new();
    home.put(FACTS, &facts());
    home.put("/run/boot/disk", "/dev/vda\n");
    home.put("/run/boot/slot", "a\n");
    home.put("/run/board/trouble", "the data partition is damaged\n");
    home.put("/boot/network", "name = mail\n");
    home.put("/boot/authorized_keys", "ssh-ed25519 AAAA me\n");
    home.world.dirs.borrow_mut().insert("/run/board/home/.ssh".into());
    home.owns(&["192.168.1.5"]);
    let (sys, machine) = (home.sys.clone(), home.bench.clone());
    home.begin(async move {
        board::keep(sys, machine).await.expect("a board");
    });
    home.serves();
    home.pass(10);
    for program in ["udhcpc", "setpriv", "dropbear"] {
        assert!(home.bench.last(program).lives(), "{program}");
    }
    let told = home.ask(r#"{"do":"tell"}"#);
    for words in [
        "\"name\":\"mail.local\"",
        "192.168.1.5",
        "the data partition is damaged",
        "No time server",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let shown = home.bench.shown.borrow();
    let (device, words) = shown.last().expect("something is shown");
    assert_eq!(device, "/dev/console");
    assert!(words.contains("  http://mail.local/\r\n"), "{words}");
    assert!(!words.contains("it cannot"), "{words}");
    assert!(!home.bench.watchdog.fed.borrow().is_empty());
    assert!(!home.bench.link().sent.borrow().is_empty(), "its name is told");
}

#[test]
fn a_small_text_is_read_up_to_the_bound() {
    let home = Home::new();
    let read = |octets: usize| {
        home.put("/data/board/clock", &"x".repeat(octets));
        home.world.wait(home.board.text("/data/board/clock")).len()
    };
    assert_eq!(read(limits::BOARD_TEXT_BYTES), limits::BOARD_TEXT_BYTES);
    assert_eq!(read(limits::BOARD_TEXT_BYTES + 1), 0);
}

#[test]
fn what_is_no_image_is_not_kept() {
    let home = Home::new();
    let keep = || home.world.wait(board::keep(home.sys.clone(), home.bench.clone())).unwrap_err();
    assert!(keep().contains("`waypost board` keeps a board that runs an image of Waypost"));
    home.put(FACTS, &facts());
    home.put("/run/boot/disk", "/dev/vda\n");
    home.put("/run/boot/slot", "c\n");
    assert!(keep().contains("this is none (c"), "{}", keep());
    assert!(home.bench.started.borrow().is_empty(), "nothing was touched");
}
