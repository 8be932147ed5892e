//! The promises of DESIGN §1, held against what a life came to.

use crate::{
    dates,
    disk::SimDisk,
    letters::{Fate, HOME, Sent, Wish, mailbox, token},
    life::Life,
    net::is_near,
    reports::{Report, is_report},
    world::{Line, World, hours, seconds},
};
use futures_lite::future::block_on;
use std::collections::{BTreeMap, BTreeSet};
use waypost::sys::{Disk, Open};

/// After a delivery was acknowledged, how long a crash may still make the relay forget it: the lazy
/// sync, and a slow disk.
const FORGETS: u64 = seconds(20);
/// Attempts of one message in an hour: one in five minutes, the first quick ones, and some for
/// lines that come and go.
const ATTEMPTS: usize = 40;
/// Domains where nobody is.
const DEAD: [&str; 3] = [".dark.example", ".shut.example", ".lost.example"];
/// The token of a smuggler's message.
const SMUGGLED: u64 = 666_666;

/// What arrives here goes round and round, and is counted by whoever sends it.
pub const CIRCLE: &str = "you@circle.example";

/// What was seen of the disk, and what may excuse what.
#[derive(Default)]
pub struct Case {
    /// When the relay was killed or cut off.
    pub crashes: Vec<u64>,
    /// How often it was cut off.
    pub cuts: usize,
    /// The disk failed or was full at some time.
    pub disk_fails: bool,
    /// All files ever seen in `new`.
    mail: BTreeMap<String, Vec<u8>>,
    /// Those seen last.
    last: BTreeSet<String>,
    wrongs: Vec<String>,
}

impl Case {
    /// Look at the Maildirs as they are now.
    pub fn look(&mut self, disk: &SimDisk) {
        self.last.clear();
        for user in ["alice", "bob"] {
            let dir = format!("mail/{user}/new");
            let Ok(names) = block_on(disk.list(&dir)) else { continue };
            for (name, _) in names {
                let path = format!("{dir}/{name}");
                let octets = read(disk, &path);
                if self.mail.get(&path).is_some_and(|before| *before != octets) {
                    self.wrongs.push(format!("{path} is not what it was"));
                }
                self.mail.insert(path.clone(), octets);
                self.last.insert(path);
            }
        }
    }
}

/// A disk that fails now and then is asked again.
fn read(disk: &SimDisk, path: &str) -> Vec<u8> {
    let once = || {
        block_on(async {
            let file = disk.open(path, Open::Read).await?;
            let length = usize::try_from(file.length().await?).expect("a small file");
            file.read_at(0, length).await
        })
    };
    let tries = (0..1000).find_map(|_| once().ok());
    tries.expect("a disk that fails now and then does not fail a thousand times")
}

/// Something that arrived for one recipient.
struct Arrival {
    /// When its transaction began, and when its end came.
    begun: u64,
    at: u64,
    from: String,
    to: String,
    octets: Vec<u8>,
    /// When the relay learned that it was taken.
    heard: Option<u64>,
    /// It is in one of our Maildirs at the end.
    ours: bool,
}

pub fn judge(life: &Life, left: &[String]) {
    let world = &life.world;
    let log = world.lines();
    life.case.wrongs.iter().for_each(|words| world.wrong(words.clone()));
    let refused = life.book.all().iter().filter(|sent| sent.fate == Fate::Refused).count();
    // What was refused because the disk failed may be readable all the same, and is as if it had
    // been kept.
    let excused = if life.case.disk_fails { refused } else { 0 };
    for words in left.iter().skip(excused) {
        world.wrong(format!("the spool holds at the end: {words}"));
    }
    judge_log(world, &life.case, &log);
    let sent: BTreeMap<u64, Sent> =
        life.book.all().into_iter().map(|sent| (sent.letter.token, sent)).collect();
    let mut letters: BTreeMap<(u64, String), Vec<Arrival>> = BTreeMap::new();
    let mut reports = Vec::new();
    for arrival in arrivals(life) {
        dates::judge(world, &arrival.to, &arrival.octets);
        if is_report(&arrival.octets) {
            reports.push((Report::read(&arrival.octets), arrival));
            continue;
        }
        if arrival.to == CIRCLE {
            continue;
        }
        match token(&arrival.octets) {
            Some(SMUGGLED) if arrival.from != "evil@two.example" => {}
            Some(token) if sent.contains_key(&token) => {
                judge_letter(world, &life.case, &sent[&token], &arrival);
                letters.entry((token, arrival.to.clone())).or_default().push(arrival);
            }
            _ => world.wrong(format!("nobody sent what {} got", arrival.to)),
        }
    }
    let mut failed: BTreeSet<(u64, String)> = BTreeSet::new();
    // Where the disk fails, a report may have to go without the header of what it is about: then
    // nobody here can tell which letter that was.
    let (vague, reports): (Vec<_>, Vec<_>) =
        reports.into_iter().partition(|(report, _)| life.case.disk_fails && report.token.is_none());
    let vague: BTreeSet<String> = vague.into_iter().flat_map(|(report, _)| report.failed).collect();
    for (report, arrival) in &reports {
        judge_report(world, &sent, report, arrival);
        let tokens = report.failed.iter().map(|to| (report.token.unwrap_or(0), to.clone()));
        failed.extend(tokens);
    }
    for ((token, to), arrivals) in &mut letters {
        judge_repeats(world, &life.case, (*token, to), arrivals);
    }
    for sent in sent.values().filter(|sent| sent.is_promised()) {
        for (to, wish) in sent.owed().into_iter().filter(|(to, _)| to != CIRCLE) {
            let key = (sent.letter.token, to);
            let came = (letters.contains_key(&key), failed.contains(&key));
            if came == (false, false) && vague.contains(&key.1) {
                continue;
            }
            judge_promise(world, sent, &key.1, wish, came);
        }
    }
}

/// All that arrived anywhere, at servers as often as they took it, in Maildirs as often as it was
/// ever seen.
fn arrivals(life: &Life) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for taken in life.servers.taken.borrow().iter() {
        for to in &taken.to {
            arrivals.push(Arrival {
                begun: taken.begun,
                at: taken.at,
                from: taken.from.clone(),
                to: to.clone(),
                octets: taken.octets.clone(),
                heard: taken.heard.get(),
                ours: false,
            });
        }
    }
    for (path, octets) in &life.case.mail {
        let Some((from, to, octets)) = unwrapped(octets) else {
            life.world.wrong(format!("{path} is no whole message"));
            continue;
        };
        if mailbox(&to).is_none_or(|user| !path.starts_with(&format!("mail/{user}/"))) {
            life.world.wrong(format!("{path} is for {to}"));
        }
        let ours = life.case.last.contains(path);
        arrivals.push(Arrival { begun: 0, at: 0, from, to, octets, heard: None, ours });
    }
    arrivals
}

/// Return-Path, Delivered-To, and the message as it was.
fn unwrapped(file: &[u8]) -> Option<(String, String, Vec<u8>)> {
    let text = file.strip_prefix(b"Return-Path: <")?;
    let end = text.windows(2).position(|pair| pair == b">\n")?;
    let from = String::from_utf8(text[..end].to_vec()).ok()?;
    let text = text[end + 2..].strip_prefix(b"Delivered-To: ")?;
    let end = text.iter().position(|octet| *octet == b'\n')?;
    let to = String::from_utf8(text[..end].to_vec()).ok()?;
    let mut octets = Vec::with_capacity(text.len());
    for octet in &text[end + 1..] {
        if *octet == b'\n' {
            octets.push(b'\r');
        }
        octets.push(*octet);
    }
    Some((from, to, octets))
}

/// Promise 3: what arrives is whole, octet by octet, and was meant for whom it reaches.
fn judge_letter(world: &World, case: &Case, sent: &Sent, arrival: &Arrival) {
    let letter = &sent.letter;
    let about = format!("letter {} at {}", letter.token, arrival.to);
    let stranger = !is_near(sent.by) || sent.by == crate::net::ROUTER;
    let labelled = !stranger && !letter.octets.is_ascii();
    let octets = if labelled { unlabelled(&arrival.octets) } else { arrival.octets.clone() };
    if !is_whole(&letter.octets, &octets, letter.complete || stranger) {
        world.wrong(format!("{about} is not what was sent"));
    }
    // What a stranger sends to an alias comes from us in the end (SRS).
    let written = letter.from.split_once('@').is_some_and(|(local, domain)| {
        let end = format!("={domain}={local}@{HOME}");
        stranger && arrival.from.starts_with("SRS0=") && arrival.from.ends_with(&end)
    });
    if arrival.from != letter.from && !written {
        world.wrong(format!("{about} comes from <{}>, not <{}>", arrival.from, letter.from));
    }
    if sent.owed().iter().all(|(to, _)| *to != arrival.to) {
        world.wrong(format!("{about} was not accepted for there"));
    }
    match sent.fate {
        Fate::Never => world.wrong(format!("{about} was never sent to its end")),
        Fate::Refused if case.cuts == 0 && !case.disk_fails => {
            world.wrong(format!("{about} was refused"));
        }
        _ => {}
    }
}

/// As it was before it was said of which characters it is.
fn unlabelled(octets: &[u8]) -> Vec<u8> {
    const LABELS: [&str; 2] = ["utf-8", "windows-1252"];
    let split = header_end(octets).unwrap_or_default();
    let (header, body) = octets.split_at(split);
    let label = |charset: &str| {
        format!(
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\n\
             Content-Transfer-Encoding: 8bit\r\n"
        )
    };
    let plain = LABELS.iter().find_map(|name| header.strip_suffix(label(name).as_bytes()));
    [plain.unwrap_or(header), body].concat()
}

/// `arrived` is `sent` below our Received field. Where it is not `exact`, fields may have been
/// added.
fn is_whole(sent: &[u8], arrived: &[u8], exact: bool) -> bool {
    let Some(split) = header_end(arrived) else { return false };
    let (header, body) = arrived.split_at(split);
    if !header.starts_with(b"Received: from ") || has(header, b" 1970 ") {
        return false;
    }
    if exact {
        let ours = arrived.len().saturating_sub(sent.len());
        let (ours, theirs) = arrived.split_at(ours);
        let lines = ours.split_inclusive(|octet| *octet == b'\n').skip(1);
        return theirs == sent
            && lines.into_iter().all(|line| line.starts_with(b" ") || line.starts_with(b"\t"));
    }
    let Some(split) = header_end(sent) else { return false };
    let (sent_header, sent_body) = sent.split_at(split);
    let lines = |header: &[u8]| -> BTreeSet<Vec<u8>> {
        header.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect()
    };
    body == sent_body && lines(header).is_superset(&lines(sent_header))
}

fn has(octets: &[u8], words: &[u8]) -> bool {
    octets.windows(words.len()).any(|window| window == words)
}

fn header_end(octets: &[u8]) -> Option<usize> {
    octets.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 2)
}

/// Promise 4, and that nobody is told what he did not ask for.
fn judge_report(world: &World, sent: &BTreeMap<u64, Sent>, report: &Report, arrival: &Arrival) {
    let Some(sent) = report.token.and_then(|token| sent.get(&token)) else {
        world.wrong(format!("{} got a report about nothing: {report:?}", arrival.to));
        return;
    };
    let letter = &sent.letter;
    let about = format!("the report about letter {} to <{}>", letter.token, arrival.to);
    if letter.from != arrival.to {
        world.wrong(format!("{about} should go to <{}>", letter.from));
    }
    if !arrival.from.is_empty() {
        world.wrong(format!("{about} has a reverse path"));
    }
    if sent.fate == Fate::Never {
        world.wrong(format!("{about}: it was never sent to its end"));
    }
    let owed = sent.owed();
    for to in report.failed.iter().chain(&report.delayed) {
        match owed.iter().find(|(owed, _)| owed == to) {
            Some((_, Wish::Never)) => world.wrong(format!("{about} was not wanted")),
            Some(_) => {}
            None => world.wrong(format!("{about} is about {to}")),
        }
    }
}

/// Promise 3: repeated only where a crash or a lost reply leaves no choice, and never into a
/// Maildir.
fn judge_repeats(world: &World, case: &Case, what: (u64, &str), arrivals: &mut [Arrival]) {
    let (token, to) = what;
    if to.ends_with(HOME) {
        if arrivals.iter().filter(|arrival| arrival.ours).count() > 1 {
            world.wrong(format!("letter {token} is twice in the mailbox of {to}"));
        }
        return;
    }
    arrivals.sort_by_key(|arrival| arrival.begun);
    for pair in arrivals.windows(2) {
        let [first, next] = pair else { continue };
        let Some(heard) = first.heard else { continue };
        // A disk that fails may not keep it for long, but the relay itself knows.
        let until = if case.disk_fails { next.begun } else { heard + FORGETS };
        if !case.crashes.iter().any(|crash| (first.at..until).contains(crash)) {
            let (a, b) = (first.at, next.at);
            world.wrong(format!("letter {token} reaches {to} twice, at {a} and {b}"));
        }
    }
}

/// Promises 1 and 2: it arrives, or its sender hears that it does not.
fn judge_promise(world: &World, sent: &Sent, to: &str, wish: Wish, came: (bool, bool)) {
    let letter = &sent.letter;
    let about = format!("letter {} from <{}> to {to}", letter.token, letter.from);
    let (arrived, failed) = came;
    let nobody = |address: &str| {
        let far = !address.ends_with(HOME);
        far && (address.starts_with("no-")
            || address.starts_with("never-")
            || address.ends_with("@null.example")
            || DEAD.iter().any(|dead| address.ends_with(dead))
            || address.ends_with("@nowhere.example"))
    };
    if !nobody(to) {
        if !arrived {
            world.wrong(format!("{about} did not arrive"));
        }
        if failed {
            world.wrong(format!("{about} is said to have failed"));
        }
        return;
    }
    if arrived {
        world.wrong(format!("{about} arrived"));
    }
    let heard_of = !letter.from.is_empty() && !nobody(&letter.from) && wish != Wish::Never;
    if heard_of && !failed {
        world.wrong(format!("{about} failed, and its sender was not told"));
    }
}

/// Promises 6 and 7, by what the relay said of itself.
fn judge_log(world: &World, case: &Case, log: &[Line]) {
    let mut attempts: BTreeMap<(String, u64), BTreeSet<u64>> = BTreeMap::new();
    for line in log.iter().filter(|line| line.run > 0) {
        let text = &line.text;
        let must_not = [" panic=", "event=lost", "event=damaged", "given up after"];
        // What nobody ever takes may come to the end of its lifetime.
        let never = text.contains("to=never-") || DEAD.iter().any(|dead| text.contains(dead));
        let ends = never && text.starts_with("event=failed");
        if !ends && must_not.iter().any(|words| text.contains(words)) {
            world.wrong(format!("it says {text}"));
        }
        if text.starts_with("event=unreadable") && !case.disk_fails {
            world.wrong(format!("it says {text}"));
        }
        if let Some(id) = text.strip_prefix("event=deferred id=") {
            let id = id.chars().take_while(|c| *c != ' ').collect();
            attempts.entry((id, line.at / hours(1))).or_default().insert(line.at);
        }
    }
    for ((id, hour), times) in attempts {
        let often = times.len();
        if often > ATTEMPTS + 10 * case.crashes.len() {
            world.wrong(format!("message {id} was tried {often} times in hour {hour}"));
        }
    }
}
