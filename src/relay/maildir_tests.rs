//! Tests of local delivery on a disk in memory that can fail at each step and lose its power.

use super::*;
use crate::sys::{
    Attached, Clock, Datagrams, Dice, Disk, Index, IndexChange, Listener, Log, Net, Pending, Range,
    Stream, Tasks, Tls, TlsError, Trust,
};
use crate::time::Instant;
use futures_lite::future::block_on;
use std::{cell::RefCell, collections::BTreeMap, future::ready, net::SocketAddr};

const HOST: &str = "relay.home.arpa";
const NAME: &str = "1795338720.W0J6HB7H6NW_009ec41349946f48.relay.home.arpa";

/// A disk that keeps, beside what is there, what would be there after a power cut.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    names: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    /// Steps so far, in words.
    steps: Vec<String>,
    /// The step that fails, and all after it.
    fails_at: Option<usize>,
    largest_write: usize,
}

#[derive(Clone)]
enum Node {
    Dir,
    File(Rc<RefCell<Contents>>),
}

#[derive(Default)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
}

impl Memory {
    fn step(&self, what: String) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.steps.push(what);
        match state.fails_at {
            Some(n) if state.steps.len() > n => Err(io::Error::other("the disk is gone")),
            _ => Ok(()),
        }
    }

    fn parent(path: &str) -> &str {
        path.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    fn needs_dir(&self, dir: &str) -> io::Result<()> {
        let known = dir.is_empty() || matches!(self.0.borrow().names.get(dir), Some(Node::Dir));
        if known { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }

    /// Names that were not synced vanish, and so do those in directories that vanish.
    fn power_cut(&self) {
        let mut state = self.0.borrow_mut();
        let all = state.durable.clone();
        let reachable = |path: &str| {
            let mut dir = Self::parent(path);
            while all.contains_key(dir) {
                dir = Self::parent(dir);
            }
            dir.is_empty()
        };
        state.names =
            all.iter().filter(|(p, _)| reachable(p)).map(|(p, n)| (p.clone(), n.clone())).collect();
        for node in state.names.values() {
            if let Node::File(contents) = node {
                let mut contents = contents.borrow_mut();
                contents.now = contents.durable.clone();
            }
        }
        state.fails_at = None;
    }

    fn recover(&self) {
        self.0.borrow_mut().fails_at = None;
    }

    /// Names and contents in a folder.
    fn folder(&self, dir: &str) -> Vec<(String, Vec<u8>)> {
        let state = self.0.borrow();
        let inside = state.names.iter().filter(|(path, _)| Self::parent(path) == dir);
        inside
            .filter_map(|(path, node)| match node {
                Node::File(c) => Some((path[dir.len() + 1..].to_string(), c.borrow().now.clone())),
                Node::Dir => None,
            })
            .collect()
    }
}

fn done<T: 'static>(result: io::Result<T>) -> Pending<'static, io::Result<T>> {
    Box::pin(ready(result))
}

impl Disk for Memory {
    fn open<'a>(&'a self, path: &'a str, how: Open) -> Pending<'a, io::Result<Rc<dyn File>>> {
        assert_eq!(how, Open::Replace);
        done((|| {
            self.step(format!("open {path}"))?;
            self.needs_dir(Self::parent(path))?;
            let contents = Rc::new(RefCell::new(Contents::default()));
            self.0.borrow_mut().names.insert(path.into(), Node::File(contents.clone()));
            Ok(Rc::new(Opened { contents, disk: self.clone() }) as Rc<dyn File>)
        })())
    }
    fn list<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<Vec<(String, u64)>>> {
        done((|| {
            self.step(format!("list {dir}"))?;
            self.needs_dir(dir)?;
            Ok(self.folder(dir).into_iter().map(|(name, c)| (name, c.len() as u64)).collect())
        })())
    }
    fn make_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        done(self.step(format!("make {dir}")).map(|()| {
            let mut path = dir;
            while !path.is_empty() {
                self.0.borrow_mut().names.insert(path.into(), Node::Dir);
                path = Self::parent(path);
            }
        }))
    }
    fn rename<'a>(&'a self, from: &'a str, to: &'a str) -> Pending<'a, io::Result<()>> {
        done((|| {
            self.step(format!("rename {from} {to}"))?;
            self.needs_dir(Self::parent(to))?;
            let mut state = self.0.borrow_mut();
            let node = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
            state.names.insert(to.into(), node);
            Ok(())
        })())
    }
    fn remove<'a>(&'a self, path: &'a str) -> Pending<'a, io::Result<()>> {
        done(self.step(format!("remove {path}")).map(|()| {
            self.0.borrow_mut().names.remove(path);
        }))
    }
    fn sync_dir<'a>(&'a self, dir: &'a str) -> Pending<'a, io::Result<()>> {
        done((|| {
            self.step(format!("sync {dir}"))?;
            self.needs_dir(dir)?;
            let mut state = self.0.borrow_mut();
            let State { names, durable, .. } = &mut *state;
            durable.retain(|path, _| Self::parent(path) != dir);
            let inside = names.iter().filter(|(path, _)| Self::parent(path) == dir);
            durable.extend(inside.map(|(path, node)| (path.clone(), node.clone())));
            Ok(())
        })())
    }
    fn room<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<u64>> {
        unreachable!("a delivery asks for no room")
    }
}

struct Opened {
    contents: Rc<RefCell<Contents>>,
    disk: Memory,
}

impl File for Opened {
    fn read_at(&self, _: u64, _: usize) -> Pending<'_, io::Result<Vec<u8>>> {
        unreachable!("a delivery reads nothing back")
    }
    fn write_at(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        done(self.disk.step("write".into()).map(|()| {
            let mut contents = self.contents.borrow_mut();
            assert_eq!(contents.now.len() as u64, offset, "written in order");
            contents.now.extend_from_slice(&octets);
            let mut state = self.disk.0.borrow_mut();
            state.largest_write = state.largest_write.max(octets.len());
            octets
        }))
    }
    fn write_sync(&self, offset: u64, octets: Vec<u8>) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let octets = self.write_at(offset, octets).await?;
            self.sync().await?;
            Ok(octets)
        })
    }
    fn sync(&self) -> Pending<'_, io::Result<()>> {
        done(self.disk.step("sync file".into()).map(|()| {
            let mut contents = self.contents.borrow_mut();
            contents.durable = contents.now.clone();
        }))
    }
    fn length(&self) -> Pending<'_, io::Result<u64>> {
        unreachable!("a delivery knows what it wrote")
    }
}

/// The rest of the world, which a delivery has no business with.
struct Nothing;

impl Clock for Nothing {
    fn now(&self) -> Instant {
        unreachable!("no time")
    }
    fn wall(&self) -> Option<Wall> {
        unreachable!("no date: the name must be the same tomorrow")
    }
    fn sleep_until(&self, _: Instant) -> Pending<'static, ()> {
        unreachable!("no waiting")
    }
}
impl Dice for Nothing {
    fn roll(&self) -> u64 {
        unreachable!("no chance: the name must be the same tomorrow")
    }
}
impl Net for Nothing {
    fn listen(&self, _: SocketAddr) -> io::Result<Box<dyn Listener>> {
        unreachable!("no net")
    }
    fn listen_local(&self, _: &str) -> io::Result<Box<dyn Listener>> {
        unreachable!("no net")
    }
    fn connect(&self, _: SocketAddr) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        unreachable!("no net")
    }
    fn connect_local(&self, _: &str) -> Pending<'static, io::Result<Box<dyn Stream>>> {
        unreachable!("no net")
    }
    fn datagrams(&self, _: SocketAddr) -> Pending<'static, io::Result<Box<dyn Datagrams>>> {
        unreachable!("no net")
    }
    fn attached(&self) -> Attached {
        unreachable!("no net")
    }
}
impl Index for Nothing {
    fn apply(&self, _: Vec<IndexChange>) -> Pending<'_, io::Result<()>> {
        unreachable!("no index")
    }
    fn scan<'a>(
        &'a self,
        _: &'static str,
        _: Range<'a>,
    ) -> Pending<'a, io::Result<Vec<(Vec<u8>, Vec<u8>)>>> {
        unreachable!("no index")
    }
    fn flush(&self) -> Pending<'_, io::Result<()>> {
        unreachable!("no index")
    }
    fn trouble(&self) -> String {
        unreachable!("no index")
    }
}
impl Tls for Nothing {
    fn accept(&self, _: Box<dyn Stream>) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        unreachable!("no TLS")
    }
    fn connect(
        &self,
        _: Box<dyn Stream>,
        _: &str,
        _: Trust,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        unreachable!("no TLS")
    }
    fn certificate(&self, _: &[u8], _: &[u8]) -> Result<(), TlsError> {
        unreachable!("no TLS")
    }
    fn self_signed(&self, _: &[String]) -> Result<(String, String), TlsError> {
        unreachable!("no TLS")
    }
    fn authorities(&self, _: &[u8]) -> Result<(), TlsError> {
        unreachable!("no TLS")
    }
}
impl Tasks for Nothing {
    fn spawn(&self, _: Pending<'static, ()>) {
        unreachable!("no tasks")
    }
    fn slow(&self, _: Box<dyn FnOnce() + Send + 'static>) {
        unreachable!("no tasks")
    }
}
impl Log for Nothing {
    fn line(&self, _: &str) {
        unreachable!("no log")
    }
}

fn world() -> (Sys, Memory) {
    let disk = Memory::default();
    let nothing = Rc::new(Nothing);
    let sys = Sys {
        clock: nothing.clone(),
        dice: nothing.clone(),
        net: nothing.clone(),
        disk: Rc::new(disk.clone()),
        index: nothing.clone(),
        tls: nothing.clone(),
        tasks: nothing.clone(),
        log: nothing,
    };
    (sys, disk)
}

fn deliver_as(sys: &Sys, octets: &dyn Octets, attempt: Attempt) -> io::Result<Delivered> {
    let from = Address::parse("camera@home.arpa").expect("valid");
    let to = Address::parse("alice@home.arpa").expect("valid");
    let letter = Letter {
        id: Id::new(0x1234_5678_9abc),
        attempt,
        arrived: Some(Wall(1_795_338_720)),
        from: Some(&from),
        to: &to,
        octets,
        hostname: HOST,
        quota: None,
    };
    block_on(deliver(sys, "mail/alice", &letter))
}

const TOP: &str = "Return-Path: <camera@home.arpa>\nDelivered-To: alice@home.arpa\n";

fn message() -> Vec<u8> {
    b"Subject: x\r\n\r\nbody\r\n".to_vec()
}

#[test]
fn a_message_is_in_new_under_its_own_name_and_stays_there() {
    let (sys, disk) = world();
    assert_eq!(deliver_as(&sys, &message(), Attempt::First).unwrap(), Delivered::Now);
    disk.power_cut();
    let contents = format!("{TOP}Subject: x\n\nbody\n").into_bytes();
    let name = format!("{NAME},S={}", contents.len());
    assert_eq!(disk.folder("mail/alice/new"), [(name, contents)]);
    assert!(disk.folder("mail/alice/tmp").is_empty());
}

#[test]
fn lines_are_converted_exactly_whatever_the_pieces() {
    /// Hands out pieces of a few octets.
    struct Pieces(Vec<u8>, usize);
    impl Octets for Pieces {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }
        fn chunk(&self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
            let rest = self.0.iter().skip(usize::try_from(offset).expect("small"));
            done(Ok(rest.take(self.1).copied().collect()))
        }
    }
    let octets = b"A: \xff\xc3\xa9\r\n\r\n.\r\n..x\r\r\n\ry\nz\r\n\0\r".to_vec();
    let expected = [TOP.as_bytes(), b"A: \xff\xc3\xa9\n\n.\n..x\r\n\ry\nz\n\0\r"].concat();
    for piece in 1..octets.len() {
        let (sys, disk) = world();
        deliver_as(&sys, &Pieces(octets.clone(), piece), Attempt::First).unwrap();
        assert_eq!(disk.folder("mail/alice/new")[0].1, expected, "pieces of {piece}");
    }
}

#[test]
fn a_large_message_is_written_in_bounded_pieces() {
    let (sys, disk) = world();
    let octets = b"0123456789abcdef\r\n".repeat(20_000);
    deliver_as(&sys, &octets, Attempt::First).unwrap();
    let written = disk.folder("mail/alice/new").remove(0).1;
    assert_eq!(written.len(), TOP.len() + 17 * 20_000);
    let largest = disk.0.borrow().largest_write;
    let least = limits::MAILDIR_WRITE_BYTES - limits::CHUNK_BYTES;
    assert!((least - 1..=limits::MAILDIR_WRITE_BYTES).contains(&largest), "{largest}");
}

#[test]
fn a_repeat_is_no_duplicate_wherever_a_reader_moved_it() {
    let (sys, disk) = world();
    deliver_as(&sys, &message(), Attempt::First).unwrap();
    assert_eq!(deliver_as(&sys, &message(), Attempt::Again).unwrap(), Delivered::Already);
    let name = disk.folder("mail/alice/new").remove(0).0;
    let (new, cur) = (format!("mail/alice/new/{name}"), format!("mail/alice/cur/{name}:2,RS"));
    block_on(disk.rename(&new, &cur)).unwrap();
    assert_eq!(deliver_as(&sys, &message(), Attempt::Again).unwrap(), Delivered::Already);
    assert!(disk.folder("mail/alice/new").is_empty());
    disk.power_cut();
    assert_eq!(disk.folder("mail/alice/cur").len(), 1, "what was found was made durable");
}

#[test]
fn other_messages_and_recipients_are_other_files() {
    let (sys, disk) = world();
    let (alice, bob) = (Address::parse("alice@x").unwrap(), Address::parse("bob@x").unwrap());
    let octets = message();
    let mut letter = Letter {
        id: Id::new(1),
        attempt: Attempt::Again,
        arrived: None,
        from: None,
        to: &alice,
        octets: &octets,
        hostname: "a/b:c,d",
        quota: None,
    };
    for (id, to) in [(1, &alice), (1, &bob), (2, &alice)] {
        (letter.id, letter.to) = (Id::new(id), to);
        assert_eq!(block_on(deliver(&sys, "mail/alice", &letter)).unwrap(), Delivered::Now);
    }
    let files = disk.folder("mail/alice/new");
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|(name, _)| name.starts_with("0.W") && name.contains(".a_b_c_d,S=")));
    assert!(files[0].1.starts_with(b"Return-Path: <>\nDelivered-To: "), "the null reverse path");
}

#[test]
fn whatever_step_fails_the_next_attempt_leaves_exactly_one() {
    for power_lost in [false, true] {
        let mut failed = 0;
        for step in 0.. {
            let (sys, disk) = world();
            disk.0.borrow_mut().fails_at = Some(step);
            let first = deliver_as(&sys, &message(), Attempt::First);
            if power_lost {
                disk.power_cut();
            } else {
                disk.recover();
            }
            let seen = disk.folder("mail/alice/new");
            assert!(seen.iter().all(|(_, c)| c.ends_with(b"\nbody\n")), "never part of one");
            if first.is_ok() {
                assert_eq!(seen.len(), 1, "what was delivered stays");
                break;
            }
            failed += 1;
            deliver_as(&sys, &message(), Attempt::Again).unwrap();
            disk.power_cut();
            let kept = disk.folder("mail/alice/new");
            assert_eq!(kept.len(), 1, "step {step}, power lost: {power_lost}");
            assert!(kept[0].1.ends_with(b"\nbody\n"));
        }
        assert!(failed >= 10, "{failed} steps");
    }
}

#[test]
fn a_failed_sync_shows_nothing_and_cleans_up() {
    let (sys, disk) = world();
    deliver_as(&sys, &message(), Attempt::First).unwrap();
    block_on(disk.remove(&format!("mail/alice/new/{}", disk.folder("mail/alice/new")[0].0)))
        .unwrap();
    let before = disk.0.borrow().steps.len();
    // open, write, then the sync.
    disk.0.borrow_mut().fails_at = Some(before + 2);
    assert!(deliver_as(&sys, &message(), Attempt::First).is_err());
    let steps = disk.0.borrow_mut().steps.split_off(before);
    assert_eq!(steps[2], "sync file");
    assert_eq!(steps[3], format!("remove mail/alice/tmp/{NAME}"));
    assert_eq!(steps.len(), 4, "no rename: {steps:?}");
    assert!(disk.folder("mail/alice/new").is_empty());
}

#[test]
fn a_spool_that_ends_early_delivers_nothing() {
    struct Short;
    impl Octets for Short {
        fn size(&self) -> u64 {
            9
        }
        fn chunk(&self, offset: u64) -> Pending<'_, io::Result<Vec<u8>>> {
            done(Ok(if offset == 0 { b"half".to_vec() } else { Vec::new() }))
        }
    }
    let (sys, disk) = world();
    let error = deliver_as(&sys, &Short, Attempt::First).expect_err("cut off");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(disk.folder("mail/alice/new").is_empty());
    assert!(disk.folder("mail/alice/tmp").is_empty());
}

#[test]
fn a_usual_delivery_is_five_steps() {
    let (sys, disk) = world();
    deliver_as(&sys, &message(), Attempt::First).unwrap();
    let before = disk.0.borrow().steps.len();
    deliver_as(&sys, &message(), Attempt::First).unwrap();
    let steps = disk.0.borrow_mut().steps.split_off(before);
    let words: Vec<&str> = steps.iter().map(|s| s.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(words, ["open", "write", "sync", "rename", "sync"]);
    assert_eq!(disk.folder("mail/alice/new").len(), 1, "even so the name is the same");
}

#[test]
fn a_users_name_leads_nowhere_else() {
    assert_eq!(place("mail/{user}", "alice").as_deref(), Some("mail/alice"));
    assert_eq!(place("/srv/{user}/Maildir", "a.b").as_deref(), Some("/srv/a.b/Maildir"));
    for bad in ["", ".", "..", ".alice", "a/b", "../x", "a\0b", "a\nb"] {
        assert_eq!(place("mail/{user}", bad), None, "{bad:?}");
    }
}

#[test]
fn a_file_name_stays_below_255_octets() {
    let long = "h".repeat(300);
    assert_eq!(host(&long).len(), limits::MAILDIR_HOST_BYTES);
    let flags = ",S=18446744073709551615:2,DFPRSTabcdefghijklmnopqrstuvwxyz".len();
    let stem = "18446744073709551615.W0123456789_0123456789abcdef.".len();
    assert!(stem + limits::MAILDIR_HOST_BYTES + flags <= 255);
}

#[test]
fn an_absolute_maildir_is_made_durable_up_to_the_root() {
    let (sys, disk) = world();
    disk.0.borrow_mut().names.insert("/".into(), Node::Dir);
    block_on(make(&sys, "/srv/mail/alice")).unwrap();
    let steps = disk.0.borrow().steps.join(", ");
    assert!(
        steps.ends_with(
            "sync /srv/mail/alice, sync /srv/mail, sync /srv, sync /, make /srv/mail/alice/tmp"
        ),
        "{steps}"
    );
}

#[test]
fn a_full_mailbox_takes_nothing_more_and_forgets_nothing() {
    let (sys, disk) = world();
    let octets = message();
    let (from, to) = (Address::parse("a@x").unwrap(), Address::parse("alice@x").unwrap());
    let mut letter = Letter {
        id: Id::new(1),
        attempt: Attempt::First,
        arrived: None,
        from: Some(&from),
        to: &to,
        octets: &octets,
        hostname: HOST,
        quota: Some(octets.len() as u64),
    };
    let deliver = |letter: &Letter<'_>| block_on(deliver(&sys, "mail/alice", letter)).unwrap();
    assert_eq!(deliver(&letter), Delivered::Now, "exactly as large as the quota");
    let used = disk.folder("mail/alice/new").remove(0).1.len() as u64;
    let second = Letter { id: Id::new(2), ..letter };
    let quota = used + octets.len() as u64;
    let full = Delivered::Full { used, quota: quota - 1 };
    assert_eq!(deliver(&Letter { quota: Some(quota - 1), ..second }), full);
    letter.attempt = Attempt::Again;
    assert_eq!(deliver(&letter), Delivered::Already, "what is there needs no room");
    assert_eq!(deliver(&Letter { quota: Some(quota), ..second }), Delivered::Now);
}
