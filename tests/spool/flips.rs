//! A bit is flipped, everywhere in turn: what it costs is the record that it is in.

use crate::{disk::Faults, for_seeds, story::Story};

/// The header page of a segment, and the two copies of the header in it: the format in
/// `src/relay/spool/README.md`.
const PAGE: usize = 4096;
const COPY: usize = 40;

/// Says where it was when a panic passes by.
struct At<'a>(&'a str, usize, u8);

impl Drop for At<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("bit {} of octet {} of {}", self.2, self.1, self.0);
        }
    }
}

/// What may become of a flipped bit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cost {
    Nothing,
    /// One message is lost, or comes back, or forgets some of its progress.
    Record,
}

fn flip(story: &mut Story, path: &str, place: usize, bit: u8, cost: Cost) {
    let at = At(path, place, bit);
    let seed = story.chance.roll();
    let mut after = story.fork(seed);
    after.disk.flip_at(path, place, bit);
    after.model.borrow_mut().damaged = cost == Cost::Record;
    let found = after.recover();
    assert!(found.missing <= 1 && found.back <= 1, "{found:?}");
    assert!(found.lost <= found.told, "what is lost is told: {found:?}");
    assert!(cost == Cost::Record || found.told == 0, "{found:?}");
    if seed.is_multiple_of(32) {
        after.end();
    }
    drop(at);
}

/// Each octet of each header page, of the header itself each bit.
pub(crate) fn headers(seed: u64, every: usize) {
    let mut story = Story::at_rest(seed);
    for (n, (path, _)) in story.disk.files("spool/0").into_iter().enumerate() {
        for place in 0..PAGE {
            let bits = if place % (PAGE / 2) < COPY { 0..8 } else { 0..1 };
            let turn = bits.end == 8 || (place + n).is_multiple_of(every);
            for bit in bits.filter(|_| turn) {
                let bit = if bit == 0 { u8::try_from(place % 8).expect("small") } else { bit };
                flip(&mut story, &path, place, bit, Cost::Nothing);
            }
        }
    }
}

/// An octet in so many of all records and of all large files.
pub(crate) fn records(seed: u64, every: usize) {
    let mut story = Story::at_rest(seed);
    let segments = story.disk.files("spool/0").into_iter().map(|(path, _)| (path, PAGE));
    let large = story.disk.files("spool/large/").into_iter().map(|(path, _)| (path, 0));
    let all: Vec<(String, usize)> = segments.chain(large).collect();
    for (path, start) in all {
        let octets = story.disk.peek(&path).expect("it was listed");
        let first = start + usize::try_from(story.chance.below(every as u64)).expect("small");
        for place in (first..octets.len()).step_by(every) {
            // Where nothing is, nothing can be hit; but it may look like something.
            if octets[place] == 0 && !(place / every).is_multiple_of(4) {
                continue;
            }
            let bit = u8::try_from(story.chance.below(8)).expect("small");
            flip(&mut story, &path, place, bit, Cost::Record);
        }
    }
}

/// Bits are flipped while it is at work: it learns of it at the next read or compaction.
pub(crate) fn at_work(seed: u64) {
    let mut story = Story::new(seed);
    story.cramp();
    story.live(Faults::default(), u64::MAX);
    let (world, _) = story.begin(Faults::default(), 3, 60);
    story.model.borrow_mut().damaged = true;
    for _ in 0..4 {
        world.run(story.chance.below(1500));
        story.disk.flip("spool/");
    }
    world.run(u64::MAX);
    world.kill();
    story.end();
}

#[test]
fn a_flipped_bit_in_a_header_page_costs_nothing() {
    for_seeds(1, |seed| headers(seed, 8));
}

#[test]
fn a_flipped_bit_in_a_record_costs_one_message_at_most_and_that_is_told() {
    for_seeds(2, |seed| records(seed, 149));
}

#[test]
fn a_bit_that_flips_while_it_is_at_work_is_never_fatal() {
    for_seeds(60, at_work);
}
