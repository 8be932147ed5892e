use super::*;
use crate::sys::linux::{self, tests::Scratch};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::fs;

/// Somebody who signs.
fn signer(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(signer: &Ed25519KeyPair) -> String {
    hex(signer.public_key().as_ref())
}

/// An update with this root, with some of its header's text replaced before it is signed.
fn update(root: &[u8], signer: &Ed25519KeyPair, (old, new): (&str, &str)) -> Vec<u8> {
    let text = format!(
        "waypost-update 1\narchitecture x86_64\nversion 2.0\nbuilt 1800000000\noctets {}\n\
         sha256 {}\nkey {}\n",
        root.len(),
        hex(&keys::sha256(root)),
        public(signer)
    );
    let text = text.replace(old, new);
    let signature = hex(signer.sign(text.as_bytes()).as_ref());
    let mut file = format!("{text}signature {signature}\n").into_bytes();
    file.resize(HEADER_BYTES, b'\n');
    file.extend(root);
    file
}

fn read_it(file: &[u8]) -> Result<Header, String> {
    read(file, "x86_64", &[public(&signer(1))])
}

#[test]
fn a_header_that_was_signed_by_who_is_trusted_is_read() {
    let header = read_it(&update(b"root", &signer(1), ("", ""))).unwrap();
    assert_eq!((header.version.as_str(), header.octets), ("2.0", 4));
    assert_eq!(header.built, 1_800_000_000);
    // The update that scripts/image makes is laid out by image/build.py in the same words.
    let build = include_str!("../../../image/build.py");
    for word in [
        "waypost-update 1\\narchitecture ",
        "\\nversion ",
        "\\nbuilt ",
        "octets ",
        "\\nsha256 ",
        "\\nkey ",
    ] {
        assert!(build.contains(word), "{word}");
    }
}

#[test]
fn what_is_wrong_with_it_is_said() {
    let good = update(b"root", &signer(1), ("", ""));
    let mut flipped = good.clone();
    flipped[30] ^= 1;
    let mut longer = good.clone();
    longer[..16].copy_from_slice(b"waypost-update 2");
    for (file, words) in [
        (good[..HEADER_BYTES - 1].to_vec(), "it is cut"),
        (vec![0xff; HEADER_BYTES], "no update of Waypost"),
        (vec![b'x'; HEADER_BYTES], "ends in .update"),
        (longer, "for a newer Waypost"),
        (flipped, "signature is not right"),
        (update(b"root", &signer(2), ("", "")), "a key that this board does not know"),
        (
            update(b"root", &signer(1), ("x86_64", "armv7")),
            "is for armv7, and this board is x86_64",
        ),
        (update(b"root", &signer(1), ("built", "born")), "header is damaged"),
        (update(b"root", &signer(1), ("octets 4", "octets -4")), "header is damaged"),
    ] {
        let told = read_it(&file).unwrap_err();
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn every_flipped_bit_of_the_header_is_found_out() {
    let good = update(b"root", &signer(1), ("", ""));
    let end = good.iter().position(|octet| *octet == 0).unwrap_or(HEADER_BYTES);
    let text = good[..end].windows(2).position(|two| two == b"\n\n").unwrap();
    for at in 0..text {
        let mut flipped = good.clone();
        flipped[at] ^= 4;
        assert!(read_it(&flipped).is_err(), "{at}");
    }
}

/// Install `file` on a medium of its own whose second slot has `room`; tells what is there then.
fn install_it(file: &[u8], room: u64) -> (Result<Header, String>, Vec<u8>) {
    let scratch = Scratch::new();
    let (sys, executor) = linux::world(scratch.path()).unwrap();
    fs::write(scratch.path().join("update"), file).unwrap();
    fs::write(scratch.path().join("disk3"), vec![7; 2 << 20]).unwrap();
    let check = |header: &[u8]| read_it(header);
    // A medium whose name ends in no digit has its partitions right behind it.
    let disk = scratch.path().join("disk");
    let to = (disk.to_str().unwrap(), Slot::B, room);
    let done = executor.run(install(&sys, "update", to, check));
    (done, fs::read(scratch.path().join("disk3")).unwrap())
}

#[test]
fn a_root_is_written_to_its_slot_whole() {
    let root: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
    let (done, slot) = install_it(&update(&root, &signer(1), ("", "")), 1_000_003);
    assert_eq!(done.unwrap().version, "2.0");
    assert_eq!(slot[..root.len()], root);
    assert_eq!(slot.len(), 2 << 20);
}

#[test]
fn a_root_that_is_cut_too_large_or_changed_is_refused() {
    let root = vec![1; 600_000];
    let good = update(&root, &signer(1), ("", ""));
    for (file, room, words) in [
        (good[..good.len() - 1].to_vec(), 1 << 20, "is cut: it has 604095 octets of 604096"),
        ([&good[..], b"x"].concat(), 1 << 20, "is cut"),
        (good.clone(), 599_999, "flash the card anew"),
        (
            {
                let mut changed = good.clone();
                *changed.last_mut().unwrap() ^= 1;
                changed
            },
            1 << 20,
            "its content is not what was signed",
        ),
        (update(b"", &signer(2), ("", "")), 1 << 20, "does not know"),
    ] {
        let (done, slot) = install_it(&file, room);
        let told = done.unwrap_err();
        assert!(told.contains(words), "{told}");
        if !words.contains("signed") {
            assert!(slot.iter().all(|octet| *octet == 7), "{words}: the slot was written");
        }
    }
}

#[test]
fn partitions_are_named_as_the_kernel_does() {
    for (disk, named) in [
        ("/dev/sda", "/dev/sda3"),
        ("/dev/mmcblk0", "/dev/mmcblk0p3"),
        ("/dev/nvme0n1", "/dev/nvme0n1p3"),
    ] {
        assert_eq!(partition(disk, 3), named);
    }
}

#[test]
fn a_key_is_64_digits_and_nothing_else() {
    let good = "ab".repeat(32);
    assert_eq!(key(&format!("{} somebody\n", good.to_uppercase())), Some(good.clone()));
    for bad in ["", "x", &good[1..], &format!("{good}0"), &format!("{good}00"), "ä"] {
        assert_eq!(key(bad), None, "{bad}");
    }
}
