use super::*;
use crate::sys::linux::tests::Scratch;
use std::collections::BTreeMap;

fn change(key: &[u8], value: Option<&[u8]>) -> Change {
    Change { tree: "t".into(), key: key.to_vec(), value: value.map(<[u8]>::to_vec) }
}

fn scan(
    cabinet: &Cabinet,
    (prefix, from): (&[u8], Option<&[u8]>),
    order: Order,
    limit: usize,
) -> Result<Vec<Entry>, Failure> {
    let from = from.map(<[u8]>::to_vec);
    let scan = Scan { tree: "t".into(), prefix: prefix.to_vec(), from, order, limit };
    cabinet.scan(&scan).map(|answer| match answer {
        Answer::Entries(entries) => entries,
        other => panic!("{other:?}"),
    })
}

fn open_fresh(dir: &Path) -> Cabinet {
    let (cabinet, told) = Cabinet::open(dir, false).unwrap();
    assert_eq!(told, None);
    cabinet
}

#[test]
fn a_scan_is_what_an_ordered_map_would_tell() {
    let scratch = Scratch::new();
    let cabinet = open_fresh(&scratch.path().join("index"));
    // All keys of up to four octets out of four, of which two are neighbours and one is the
    // largest.
    let alphabet = [0, b'a', b'b', 255];
    let mut keys: Vec<Vec<u8>> = vec![vec![]];
    for _ in 0..4 {
        let longer = |key: &Vec<u8>| alphabet.map(|octet| [&key[..], &[octet]].concat());
        let more: Vec<_> = keys.iter().flat_map(longer).collect();
        keys.extend(more);
        keys.sort();
        keys.dedup();
    }
    let model: BTreeMap<&[u8], &[u8]> =
        keys.iter().skip(1).step_by(2).map(|key| (&key[..], &key[..])).collect();
    let puts = model.iter().map(|(key, value)| change(key, Some(value))).collect();
    cabinet.apply(puts).unwrap();
    let mut some = keys.iter().step_by(5);
    let mut cases = Vec::new();
    for prefix in keys.iter().filter(|key| key.len() < 3) {
        for from in [None, some.next().cloned(), after(prefix), Some(prefix.clone())] {
            cases.push((prefix, from));
        }
    }
    for (prefix, from) in &cases {
        let from = from.as_deref();
        for (order, limit) in [
            (Order::Rising, 1000),
            (Order::Falling, 1000),
            (Order::Rising, 3),
            (Order::Falling, 3),
            (Order::Rising, 0),
        ] {
            let is_wanted = |key: &[u8]| {
                key.starts_with(prefix.as_slice())
                    && from.is_none_or(|from| match order {
                        Order::Rising => key >= from,
                        Order::Falling => key <= from,
                    })
            };
            let mut expected: Vec<Entry> = model
                .iter()
                .filter(|(key, _)| is_wanted(key))
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
                .collect();
            if order == Order::Falling {
                expected.reverse();
            }
            expected.truncate(limit);
            let found = scan(&cabinet, (prefix, from), order, limit).unwrap();
            assert_eq!(found, expected, "{prefix:?} {from:?} {order:?} {limit}");
        }
    }
}

#[test]
fn a_scan_returns_no_more_than_its_bound() {
    let scratch = Scratch::new();
    let cabinet = open_fresh(&scratch.path().join("index"));
    let many = limits::INDEX_SCAN + 1;
    let puts = (0..many).map(|i| change(&i.to_be_bytes(), Some(b"x"))).collect();
    cabinet.apply(puts).unwrap();
    let all = scan(&cabinet, (b"", None), Order::Rising, usize::MAX).unwrap();
    assert_eq!(all.len(), limits::INDEX_SCAN);
}

#[test]
fn puts_replace_removals_remove_trees_are_apart_and_all_is_there_again_later() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("index");
    let cabinet = open_fresh(&dir);
    let mut other = change(b"c", Some(b"9"));
    other.tree = "other".into();
    cabinet.apply(vec![change(b"a", Some(b"1")), change(b"b", Some(b"2")), other]).unwrap();
    cabinet.apply(vec![change(b"a", Some(b"3")), change(b"b", None), change(b"z", None)]).unwrap();
    cabinet.flush().unwrap();
    let all = vec![(b"a".to_vec(), b"3".to_vec())];
    assert_eq!(scan(&cabinet, (b"", None), Order::Rising, 9).unwrap(), all);
    drop(cabinet);
    let cabinet = open_fresh(&dir);
    assert_eq!(scan(&cabinet, (b"", None), Order::Falling, 9).unwrap(), all);
}

#[test]
fn what_cannot_be_opened_is_moved_aside_once_and_the_one_before_it_goes() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("index");
    for round in 0..2 {
        fs::write(&dir, format!("round {round}")).unwrap();
        let (cabinet, told) = Cabinet::open(&dir, false).unwrap();
        let told = told.unwrap();
        assert!(told.contains("starts anew") && told.contains("index.bad-1"), "{told}");
        cabinet.apply(vec![change(b"a", Some(b"1"))]).unwrap();
        assert_eq!(
            fs::read(scratch.path().join("index.bad-1")).unwrap(),
            format!("round {round}").as_bytes()
        );
        drop(cabinet);
        fs::remove_dir_all(&dir).unwrap();
    }
    // Garbage where sled keeps its data.
    drop(open_fresh(&dir));
    for file in ["db", "conf"] {
        fs::write(dir.join(file), vec![0xa5; 100_000]).unwrap();
    }
    let (_, told) = Cabinet::open(&dir, false).unwrap();
    let told = told.unwrap();
    assert!(told.contains("starts anew"), "{told}");
    assert!(scratch.path().join("index.bad-1").is_dir());
}

#[test]
fn a_flipped_bit_is_found_out_or_does_no_harm() {
    let scratch = Scratch::new();
    let original = scratch.path().join("original");
    let cabinet = open_fresh(&original);
    // Several segments: in the last one sled takes damage for the end of what was written.
    let pairs: Vec<Entry> = (0..900_u32)
        .map(|i| (i.to_be_bytes().to_vec(), format!("value {i} ").repeat(90).into_bytes()))
        .collect();
    for pairs in pairs.chunks(100) {
        cabinet.apply(pairs.iter().map(|(k, v)| change(k, Some(v))).collect()).unwrap();
        cabinet.flush().unwrap();
    }
    drop(cabinet);
    let octets = fs::read(original.join("db")).unwrap();
    let used = octets.iter().rposition(|octet| *octet != 0).unwrap();
    let (mut found_out, mut harmless) = (0, 0);
    for flip in 0..24 {
        let dir = scratch.path().join(format!("flip-{flip}"));
        fs::create_dir(&dir).unwrap();
        let mut flipped = octets.clone();
        flipped[used * flip / 24] ^= 1 << (flip % 8);
        fs::write(dir.join("db"), flipped).unwrap();
        fs::copy(original.join("conf"), dir.join("conf")).unwrap();
        let (cabinet, told) = Cabinet::open(&dir, false).unwrap();
        match scan(&cabinet, (b"", None), Order::Rising, 1000) {
            Err(Failure::Damaged(_)) => found_out += 1,
            Err(Failure::World(why)) => panic!("{why}"),
            Ok(_) if told.is_some() => found_out += 1,
            Ok(entries) => {
                // Some may be gone; none may be other than it was.
                assert!(entries.iter().all(|entry| pairs.contains(entry)), "{flip}");
                harmless += 1;
            }
        }
        std::mem::forget(cabinet); // As the keeper does after a failure.
    }
    assert!(found_out > 0, "{harmless} were harmless");
}

#[test]
fn an_entry_that_sled_tells_wrong_is_damage() {
    let scratch = Scratch::new();
    let cabinet = open_fresh(&scratch.path().join("index"));
    cabinet.apply(vec![change(b"key", Some(b"value"))]).unwrap();
    let tree = cabinet.db.open_tree("t").unwrap();
    let stored = tree.get("key").unwrap().unwrap();
    for (key, value) in [(&b"ey"[..], &stored[..]), (b"key", &stored[..8]), (b"key", &[])] {
        tree.clear().unwrap();
        tree.insert(key, value).unwrap();
        let found = scan(&cabinet, (b"", None), Order::Rising, 9);
        assert!(matches!(found, Err(Failure::Damaged(_))), "{found:?}");
    }
}

#[test]
fn a_panic_of_sled_is_damage_and_a_full_disk_is_not() {
    assert!(matches!(fence::<()>(|| panic!("planted")), Err(Failure::Damaged(_))));
    let full = || Err(Error::Io(io::ErrorKind::StorageFull.into()));
    assert!(matches!(fence::<()>(full), Err(Failure::World(_))));
    let corrupt = || Err(Error::Corruption { at: None, bt: () });
    assert!(matches!(fence::<()>(corrupt), Err(Failure::Damaged(_))));
}
