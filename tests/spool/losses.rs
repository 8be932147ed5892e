//! Files that are missing, cut short or somebody else's.

use crate::{for_seeds, story::Story};

/// Says where it was when a panic passes by.
struct At(String);

impl Drop for At {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Harm a fork of `story`. The rest of it must be as it was; it goes on, and comes to rest.
fn harmed(story: &mut Story, words: String, harm: impl FnOnce(&Story)) -> crate::model::Found {
    let at = At(words);
    let mut after = story.fork(story.chance.clone().roll());
    story.chance.roll();
    after.model.borrow_mut().damaged = true;
    after.widen(8);
    harm(&after);
    let found = after.recover();
    after.live(crate::disk::Faults::default(), 3000);
    after.end();
    drop(at);
    found
}

/// The newest segment: no other one tells that there was one.
fn newest(story: &Story) -> String {
    let sequence = |path: &str| story.disk.peek(path).map(|octets| octets[8..12].to_vec());
    let files = story.disk.files("spool/0").into_iter().map(|(path, _)| path);
    let by_life =
        |path: &String| sequence(path).map(|le| le.into_iter().rev().collect::<Vec<u8>>());
    files.max_by_key(by_life).expect("there are segments")
}

/// Each segment, each two and all of them.
pub(crate) fn segments(seed: u64) {
    let mut story = Story::at_rest(seed);
    let files: Vec<String> = story.disk.files("spool/0").into_iter().map(|(p, _)| p).collect();
    let newest = newest(&story);
    let all = story.model.borrow().sent.len();
    let mut costly = 0;
    for (n, first) in files.iter().enumerate() {
        for second in &files[n..] {
            let found = harmed(&mut story, format!("{first} and {second} are missing"), |after| {
                after.disk.lose_file(first);
                after.disk.lose_file(second);
            });
            let untold = first == &newest || second == &newest;
            assert!(untold || found.lost == 0 || found.told > 0, "{first}, {second}: {found:?}");
            if first == second {
                costly += found.lost;
            }
        }
    }
    assert!(costly <= all, "each message is in one segment: {costly} of {all}");
    harmed(&mut story, "all are missing".into(), |after| {
        for file in &files {
            after.disk.lose_file(file);
        }
    });
}

/// Each segment cut short, or longer than it was.
pub(crate) fn short_segments(seed: u64) {
    let mut story = Story::at_rest(seed);
    let newest = newest(&story);
    for (path, length) in story.disk.files("spool/0") {
        let length = usize::try_from(length).expect("small");
        for left in
            [0, 1, 20, 2048, 4095, 4096, 4097, length / 2, length - 4096, length - 1, length + 4096]
        {
            let found = harmed(&mut story, format!("{path} has {left} octets"), |after| {
                after.disk.truncate(&path, left);
            });
            let told = path == newest || found.lost == 0 || found.told > 0;
            assert!(told, "{path} has {left} octets: {found:?}");
            assert!(left < length || found.lost == 0, "{path} is longer: {found:?}");
        }
    }
}

/// Each large file missing, cut short or longer.
pub(crate) fn large(seed: u64) {
    let mut story = Story::at_rest(seed);
    for (path, length) in story.disk.files("spool/large/") {
        let length = usize::try_from(length).expect("small");
        for left in [0, 1, length / 2, length - 1, length + 1, length + 5000] {
            let found = harmed(&mut story, format!("{path} has {left} octets"), |after| {
                after.disk.truncate(&path, left);
            });
            assert!(found.missing <= 1 && found.back == 0, "{path}, {left}: {found:?}");
            assert!(found.lost <= found.told && (left < length || found.missing == 0), "{found:?}");
        }
        let found = harmed(&mut story, format!("{path} is missing"), |after| {
            after.disk.lose_file(&path);
        });
        assert!(found.missing <= 1 && found.lost <= found.told, "{path}: {found:?}");
    }
}

/// Names that are none of ours, and contents that are none under names that are.
pub(crate) fn strangers(seed: u64) {
    let mut story = Story::at_rest(seed);
    let foreign = [
        "spool/README",
        "spool/.seg",
        "spool/1.seg",
        "spool/00000001.seg~",
        "spool/00000001.SEG",
        "spool/-0000001.seg",
        "spool/+0000009.seg",
        "spool/99999999999.seg",
        "spool/large.seg",
        "spool/00000001.seg.1",
        "spool/large/README",
        "spool/large/.hidden",
        "spool/large/7ZK3M9Q2X",
        "spool/large/7zk3m9q2xd",
        "spool/large/7ZK3M9Q2XDD",
    ];
    let before = story.fork(0);
    for octets in [vec![], vec![0; 300], b"WpSegmt1 and more".to_vec()] {
        let mut after = before.fork(story.chance.roll());
        for path in foreign {
            after.disk.place(path, octets.clone());
        }
        let found = after.recover();
        assert_eq!((found.missing, found.back, found.told), (0, 0, 0));
        after.live(crate::disk::Faults::default(), 3000);
        for path in foreign {
            assert_eq!(after.disk.peek(path).as_deref(), Some(&octets), "{path} is not ours");
        }
        for path in foreign {
            after.disk.lose_file(path);
        }
        after.end();
    }
    // Such names are ours: what has them is used or told, and costs no message.
    let noise: Vec<u8> = (0..70_000_u32).map(|n| ((n * 7919) >> 5).to_le_bytes()[0]).collect();
    let copy = story.disk.files("spool/0").first().and_then(|(path, _)| story.disk.peek(path));
    let copy = copy.expect("there are segments").to_vec();
    for (n, octets) in [vec![], vec![0; 4096], vec![0; 65536], noise[..100].to_vec(), noise, copy]
        .into_iter()
        .enumerate()
    {
        harmed(&mut story, format!("a segment with contents {n}"), |after| {
            after.disk.place("spool/00000077.seg", octets.clone());
            let mut seen = after.fork(1);
            seen.model.borrow_mut().damaged = true;
            let found = seen.recover();
            assert_eq!((found.missing, found.back), (0, 0), "{n}");
        });
    }
}

#[test]
fn missing_segments_cost_what_is_in_them_and_no_more() {
    for_seeds(2, segments);
}

#[test]
fn a_segment_of_another_length_costs_what_it_lacks_at_most() {
    for_seeds(2, short_segments);
}

#[test]
fn a_large_file_that_is_missing_or_of_another_length_costs_its_message_only() {
    for_seeds(6, large);
}

#[test]
fn files_of_others_in_its_directories_are_left_alone() {
    for_seeds(2, strangers);
}
