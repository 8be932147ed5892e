//! Header sections: found in any pieces, repaired without losing an octet of the message, once.

use crate::{input::Input, seeds as sown};
use waypost::{
    limits,
    proto::mail::{
        address::Address,
        header::{self, Parts, Progress, Reader},
        received,
        repair::{self, Origin, Preparation},
    },
    time::Wall,
};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let whole = read(input.octets, usize::MAX);
    assert_eq!(read(input.octets, 1), whole);
    assert_eq!(read(input.octets, 2 + input.choice(0)), whole);
    let Some(parts) = whole else { return };
    assert_eq!([&parts.header[..], &parts.body].concat(), input.octets, "no octet is lost");
    let fields: Vec<u8> = header::fields(&parts.header).flat_map(|f| f.raw.to_vec()).collect();
    assert!(parts.header.starts_with(&fields));
    let rest = &parts.header[fields.len()..];
    assert!(rest.is_empty() || rest == b"\r\n", "a header is fields and an empty line");
    assert!(received::count(&parts.header) <= header::fields(&parts.header).count());
    prepared(&parts, &input);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for message in sown::files("vectors", ".eml") {
        for choices in [[1, 0, 0], [1, 1, 1], [1, 3, 2], [1, 6, 4]] {
            seeds.push(Input::compose(message.replace('\n', "\r\n").as_bytes(), &choices));
        }
    }
    for message in
        ["\r\nx", "no field", "From: camera\r\nTo: a, b <c>\r\nTo: d\r\nBcc: e\r\nDate:\r\n"]
    {
        seeds.push(Input::compose(message.as_bytes(), &[1, 1, 0]));
    }
    seeds
}

fn read(octets: &[u8], piece: usize) -> Option<Parts> {
    let mut reader = Reader::default();
    let mut rest = octets;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(piece));
        rest = later;
        if reader.push(now).ok()? == Progress::Whole {
            let mut parts = reader.finish();
            parts.body.extend_from_slice(rest);
            return Some(parts);
        }
    }
    Some(reader.finish())
}

fn prepared(parts: &Parts, input: &Input<'_>) {
    let senders = ["a@client.example", "camera", "\"a b\"@x.example", "j\u{f6}rg@x.example"];
    let from = Address::parse(input.one_of(2, &senders)).expect("an address");
    let flag = |bit: usize| input.choice(1) >> bit & 1 == 1;
    let how = Preparation {
        origin: if flag(0) { Origin::Submitted } else { Origin::Relayed },
        hostname: "relay.home.arpa",
        domain: if flag(1) { "home.arpa" } else { "" },
        from: flag(2).then_some(&from),
        wall: (!flag(3)).then_some(Wall(1_795_338_720)),
        random: 7,
    };
    let Ok(once) = repair::prepare(&parts.header, &how) else { return };
    if how.origin == Origin::Relayed {
        let kept = if parts.header.is_empty() { b"\r\n" } else { &parts.header[..] };
        assert_eq!(once.header, kept, "a stranger's header stays as it is");
    } else {
        assert!(once.header.ends_with(b"\r\n\r\n") || once.header == b"\r\n");
        let fields: Vec<header::Field<'_>> = header::fields(&once.header).collect();
        assert!(fields.iter().all(header::Field::is_well_formed));
        for name in ["From", "Date", "Message-ID", "Subject", "Sender"] {
            assert!(fields.iter().filter(|field| field.is(name)).count() <= 1, "one {name}");
        }
        assert!(!fields.iter().any(|field| field.is("Bcc")), "Bcc is nobody's business");
        assert!(fields.iter().any(|field| field.is("From")));
    }
    assert!(once.subject.chars().count() <= limits::SUBJECT_CHARS);
    assert_eq!(once.eight_bit, !once.header.is_ascii());
    // With our Received field before it and the body behind it, it still ends where it ended.
    let message = [b"Received: x\r\n", &once.header[..], &parts.body].concat();
    let whole = once.header.ends_with(b"\r\n\r\n") || once.header == b"\r\n";
    if let Some(again) = read(&message, usize::MAX).filter(|_| whole) {
        assert_eq!(again.body, parts.body, "no octet of the body is lost");
    }
    let twice = repair::prepare(&once.header, &how).expect("what we have prepared is acceptable");
    let (before, after) = (once.header.escape_ascii(), twice.header.escape_ascii());
    assert!(twice.header == once.header, "a second repair changes\n{before}\ninto\n{after}");
    assert!(twice.repairs.is_empty(), "{:?}", twice.repairs);
    assert_eq!((twice.from, twice.subject), (once.from, once.subject));
}
