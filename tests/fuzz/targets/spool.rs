//! The journal: segments that a bad flash or a stranger has rewritten. What they hold is either
//! damaged at random, and then no message may read otherwise than it was kept; or damaged with all
//! checksums put right again, and then anything may be read, but nothing may panic or hang.

use crate::{
    disk::{Chance, SimDisk},
    input::Input,
    world::{Ended, World},
};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};
use waypost::{
    proto::{
        mail::address::Address,
        status::{Class, Outcome, Status},
    },
    relay::{
        envelope::{Envelope, Id, Octets, Progress, Recipient, Ret},
        spool::{Room, Spool},
    },
    sys::{Disk, Open, Sys},
    time::Wall,
};

const SEGMENT: u32 = 64 * 1024;
const ROOM: Room = Room { octets: 8 * SEGMENT as u64, message: 200_000, segment_bytes: SEGMENT };
const PAGE: usize = 4096;
const HEAD: usize = 32;

type Files = Vec<(String, Vec<u8>)>;
type Kept = BTreeMap<Id, (Envelope, Vec<u8>)>;

thread_local! {
    /// A spool as it was left, and what is in it.
    static LEFT: (Files, Kept) = left();
}

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    LEFT.with(|(files, kept)| {
        let mut files = files.clone();
        let mended = input.choice(0) & 1 == 1;
        edit(&mut files, input.octets, mended);
        if mended {
            for (_, octets) in &mut files {
                mend(octets);
            }
        }
        let cut = input.choice(1) & 1 == 1;
        recover(&files, if mended { None } else { Some(kept) }, cut);
    });
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let edits: [&[u8]; 7] = [
        &[],
        &[0, 0, 0, 16, 1, 0xff],
        &[0, 0x10, 0, 44, 4, 1, 2, 3, 4, 0, 0x10, 0, 80, 2, 9, 9],
        &[1, 0, 0, 0, 40, 0, 0, 0, 0],
        &[0, 0x10, 0, 0x80, 8, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0, 0x20, 0, 0x10, 2, 0, 0, 0, 0x12, 0x33, 1, 7],
        &[2, 0, 0, 0, 1, 1, 2, 2, 0, 9, 1, 1],
    ];
    let all = edits.into_iter().flat_map(|edit| [(edit, 0), (edit, 1)]);
    all.map(|(edit, mended)| Input::compose(edit, &[mended, mended])).collect()
}

/// Each edit: which file, where (three octets), how many, and the octets; more than 200: cut there.
/// Unless the checksums are mended, chance alters the octets, lest the fuzzer learns to mend them.
fn edit(files: &mut Files, edits: &[u8], mended: bool) {
    let mut chance = Chance::new(u64::from(crc32c::crc32c(edits)));
    let mut rest = edits;
    while let Some(([file, page, low, high, count], after)) = rest.split_first_chunk::<5>() {
        let at = files.len();
        let (_, octets) = &mut files[usize::from(*file) % at];
        let place = usize::from(*page) * 256 + usize::from(*low) * 16 + usize::from(*high);
        let place = place % octets.len().max(1);
        let count = usize::from(*count);
        if count > 200 {
            octets.truncate(place);
            rest = after;
            continue;
        }
        let (new, after) = after.split_at(count.min(after.len()));
        for (to, octet) in octets.iter_mut().skip(place).zip(new) {
            let noise = u8::try_from(chance.below(256)).expect("an octet");
            *to ^= if mended { *octet } else { *octet & noise };
        }
        rest = after;
    }
}

/// Put the checksums right, as `src/relay/spool/README.md` describes them.
fn mend(segment: &mut [u8]) {
    let u32_at = |octets: &[u8], at: usize| {
        octets.get(at..at + 4).map_or(0, |o| u32::from_le_bytes(o.try_into().expect("four octets")))
    };
    for copy in [0, PAGE / 2] {
        if let Some(copy) = segment.get_mut(copy..copy + 40) {
            let crc = crc32c::crc32c(&copy[..36]);
            copy[36..40].copy_from_slice(&crc.to_le_bytes());
        }
    }
    let Some(header) = segment.first_chunk::<40>().copied() else { return };
    let seed = crc32c::crc32c(&header[16..24]);
    let seed = crc32c::crc32c_append(seed, &header[8..12]);
    let mut at = PAGE;
    while at + HEAD <= segment.len() {
        let length = u32_at(segment, at + 4) as usize;
        if segment[at..at + 3] != *b"WpR" || length > segment.len() - at - HEAD {
            at += 8;
            continue;
        }
        let payload = &segment[at + HEAD..at + HEAD + length];
        let crc = crc32c::crc32c_append(seed, payload);
        segment[at + 16..at + 20].copy_from_slice(&crc.to_le_bytes());
        let offset = u32::try_from(at).expect("a small segment");
        let crc = crc32c::crc32c_append(seed, &offset.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &segment[at..at + 28]);
        segment[at + 28..at + 32].copy_from_slice(&crc.to_le_bytes());
        at += (HEAD + length).next_multiple_of(8);
    }
}

/// Open it, read everything, and go on in it; twice.
fn recover(files: &Files, kept: Option<&Kept>, cut: bool) {
    let disk = SimDisk::new(1, 64 * 1024 * 1024);
    let files = files.clone();
    run(&disk, move |sys| async move { put(&*sys.disk, files).await });
    for _ in 0..2 {
        let kept = kept.cloned();
        run(&disk, move |sys| async move {
            let (spool, recovered) = Spool::open(&sys, ROOM).await.expect("damage is no error");
            assert!(recovered.damaged.len() <= recovered.damage_count);
            for entry in &recovered.entries {
                let read = recall(&spool, entry.id).await;
                if let (Some(kept), Ok((envelope, progress, octets))) = (&kept, read) {
                    let (was, body) = &kept.get(&entry.id).expect("a message that was kept");
                    assert_eq!((&envelope, &octets), (was, body), "{} is as it was", entry.id);
                    assert_eq!(progress.outcomes.len(), envelope.recipients.len());
                    assert_eq!(entry.size, octets.len() as u64);
                }
            }
            if let Some(entry) = recovered.entries.first() {
                spool.done(entry.id).await.expect("the disk is fine");
            }
            spool.sync_now().await.expect("the disk is fine");
        });
        if cut {
            disk.cut();
        }
    }
}

fn run<F: Future<Output = ()> + 'static>(disk: &SimDisk, work: impl FnOnce(Sys) -> F) {
    let world = World::new(7);
    let sys = world.sys(disk);
    sys.spawn(work(sys.clone()));
    assert_eq!(world.run(200_000), Ended::Done, "it comes to rest");
    world.kill();
}

async fn put(disk: &dyn Disk, files: Files) {
    disk.make_dir("spool/large").await.expect("a directory");
    for dir in [".", "spool"] {
        disk.sync_dir(dir).await.expect("a directory");
    }
    for (path, octets) in files {
        let file = disk.open(&path, Open::New).await.expect("a new file");
        file.write_sync(0, octets).await.expect("room for it");
    }
    for dir in ["spool", "spool/large"] {
        disk.sync_dir(dir).await.expect("a directory");
    }
}

async fn recall(spool: &Spool, id: Id) -> std::io::Result<(Envelope, Progress, Vec<u8>)> {
    let (envelope, progress) = spool.load(id).await?;
    let body = spool.body(id).await?;
    let mut octets = Vec::new();
    while (octets.len() as u64) < body.size() {
        let chunk = body.chunk(octets.len() as u64).await?;
        assert!(!chunk.is_empty(), "the end came too early");
        octets.extend(chunk);
    }
    Ok((envelope, progress, octets))
}

/// A spool with messages of every kind: fresh, tried, done, replaced by a bounce, in a file.
fn left() -> (Files, Kept) {
    let disk = SimDisk::new(1, 64 * 1024 * 1024);
    let kept = Rc::new(RefCell::new(Kept::new()));
    let files = Rc::new(RefCell::new(Files::new()));
    let (into, found) = (kept.clone(), files.clone());
    run(&disk, move |sys| async move {
        let (spool, _) = Spool::open(&sys, ROOM).await.expect("an empty disk");
        let mut ids = Vec::new();
        for (n, size) in [300usize, 3000, 40, 150_000, 9000, 500, 700].into_iter().enumerate() {
            let octets: Vec<u8> = (0..size).map(|at| b"ab\r\n"[(at + n) % 4]).collect();
            let mut draft = spool.draft();
            draft.append(&octets).await.expect("there is room");
            let envelope = envelope(n);
            let kept = match n {
                6 => spool.replace(ids[5], draft, &envelope).await,
                _ => spool.commit(draft, &envelope).await,
            };
            let id = kept.expect("there is room").id;
            ids.push(id);
            into.borrow_mut().insert(id, (envelope, octets));
        }
        for id in [ids[1], ids[3]] {
            spool.settle(id, &progress()).await.expect("the disk is fine");
        }
        spool.done(ids[2]).await.expect("the disk is fine");
        spool.sync_now().await.expect("the disk is fine");
        for dir in ["spool", "spool/large"] {
            for (name, size) in sys.disk.list(dir).await.expect("a directory") {
                let path = format!("{dir}/{name}");
                let Ok(file) = sys.disk.open(&path, Open::Read).await else { continue };
                let size = usize::try_from(size).expect("a small file");
                let octets = file.read_at(0, size).await.expect("a file that reads");
                found.borrow_mut().push((path, octets));
            }
        }
    });
    (files.take(), kept.take())
}

fn envelope(n: usize) -> Envelope {
    let address = |text: String| Address::parse(&text).expect("an address");
    let recipient = |m| Recipient {
        to: address(format!("r{m}@x.example")),
        orcpt: "rfc822;x@y.example".repeat(m % 2),
        notify: waypost::relay::envelope::Notify::default(),
    };
    Envelope {
        from: (!n.is_multiple_of(3)).then(|| address(format!("s{n}@client.example"))),
        recipients: (0..=n).map(recipient).collect(),
        eight_bit: n % 2 == 1,
        utf8: n == 4,
        ours: n == 5,
        ret: [None, Some(Ret::Full), Some(Ret::Headers)][n % 3],
        envid: "e".repeat(n),
        arrived: (n > 1).then_some(Wall(1_795_338_720)),
        source: "192.0.2.1 (camera)".into(),
        message_id: format!("{n}@client.example"),
        user: (n % 3 == 1).then(|| "u".repeat(n)),
        peer: [None, "192.0.2.1".parse().ok(), "2001:db8::1".parse().ok()][n % 3],
    }
}

fn progress() -> Progress {
    let text = "450 4.2.1 later".to_string();
    let outcome =
        Outcome { status: Status::new(Class::Transient, 2, 1), by: "mx.example".into(), text };
    Progress {
        attempts: 3,
        outcomes: vec![Some(outcome.clone()), Some(outcome), None, None],
        spent: Duration::from_secs(77),
        reported: vec![1],
        warned: true,
        held: false,
    }
}
