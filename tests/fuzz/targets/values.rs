//! Values of header fields: addresses and lists of them, dates, words, Message-IDs.

use crate::{input::Input, seeds as sown};
use waypost::{
    limits,
    proto::mail::{address::Address, date, header, list, mime, received},
    time::Wall,
};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    address(input.text(), input.choice(0));
    mailboxes(input.octets);
    dates(input.octets);
    words(input.octets, input.choice(0));
    quoted_printable(input.octets);
    trace_field(input.text(), input.choice(0));
}

/// Values of all fields of the vectors, and paths of the transcripts.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for message in sown::files("vectors", ".eml") {
        let message = message.replace('\n', "\r\n");
        for field in header::fields(message.as_bytes()) {
            seeds.push(Input::compose(field.value.trim_ascii(), &[40]));
        }
    }
    for session in sown::files("transcript/smtp", ".session") {
        let paths = session.split('<').skip(1).filter_map(|text| Some(text.split_once('>')?.0));
        seeds.extend(paths.map(|path| Input::compose(path.as_bytes(), &[1])));
    }
    for word in ["=?utf-8?B?w6Q=?= =?iso-8859-1?Q?=E4_x?=", "\"a\\\"b\"@[IPv6:::1]", "\u{130}@x"] {
        seeds.push(Input::compose(word.as_bytes(), &[9]));
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

fn address(text: &str, choice: usize) {
    let Ok(address) = Address::parse(text) else { return };
    assert!(address.as_str().len() <= limits::PATH_BYTES - 2, "it fits a path");
    assert!(address.local().len() <= limits::LOCAL_PART_BYTES);
    assert!(!address.as_str().contains(char::is_control));
    let again = Address::parse(address.as_str());
    assert_eq!(again.as_ref(), Ok(&address), "an address reads back as it prints");
    let parts = match address.domain() {
        "" => address.local().to_string(),
        domain => format!("{}@{domain}", address.local()),
    };
    assert_eq!(parts, address.as_str());
    let elsewhere = ["example.org", "[192.0.2.1]", "EXAMPLE.Org"][choice % 3];
    let moved = address.at_domain(elsewhere).expect("a short domain");
    assert_eq!((moved.local(), moved.domain()), (address.local(), &*elsewhere.to_lowercase()));
}

fn mailboxes(value: &[u8]) {
    let Ok(found) = list::mailboxes(value) else { return };
    assert!(found.len() <= limits::FIELD_MAILBOXES);
    let mut before = 0;
    for mailbox in &found {
        assert!(before <= mailbox.place.start && mailbox.place.end <= value.len());
        assert!(!mailbox.place.is_empty(), "an address stands somewhere");
        before = mailbox.place.end;
    }
    let printed: Vec<String> = found.iter().map(|m| format!("<{}>", m.address)).collect();
    let again = list::mailboxes(printed.join(", ").as_bytes()).expect("what we print is read");
    let addresses = |found: &[list::Mailbox]| -> Vec<Address> {
        found.iter().map(|mailbox| mailbox.address.clone()).collect()
    };
    assert_eq!(addresses(&again), addresses(&found), "a list reads back as it prints");
}

fn dates(value: &[u8]) {
    if let Some(seconds) = date::parse(value) {
        // 1900 to 9999, a day more for zones.
        assert!((-2_208_988_800 - 400_000..=253_402_300_799 + 400_000).contains(&seconds));
        if let Ok(wall) = u64::try_from(seconds)
            && seconds <= 253_402_300_799
        {
            assert_eq!(date::parse(date::format(Wall(wall)).as_bytes()), Some(seconds));
        }
    }
}

fn words(value: &[u8], most: usize) {
    let shown = mime::decode_words(value, most);
    assert!(shown.chars().count() <= most && !shown.contains(char::is_control));
    let line = header::unfold(value);
    assert!(line.len() <= value.len());
    assert!(header::uncommented(value).is_none_or(|plain| plain.len() <= value.len()));
    let field = [b"Message-ID: ", value, b"\r\n"].concat();
    let id = header::message_id(&field);
    assert!(id.len() <= limits::MESSAGE_ID_BYTES && !id.contains(char::is_whitespace));
}

fn quoted_printable(octets: &[u8]) {
    let encoded = mime::quoted_printable(octets);
    assert!(encoded.is_ascii());
    let mut decoded = Vec::new();
    let mut lines = encoded.split("\r\n").peekable();
    while let Some(line) = lines.next() {
        assert!(line.len() <= 76 && !line.ends_with([' ', '\t']) && !line.starts_with('.'));
        let soft = line.strip_suffix('=').filter(|_| lines.peek().is_some());
        let mut rest = soft.unwrap_or(line).as_bytes();
        while let Some((octet, after)) = rest.split_first() {
            rest = after;
            decoded.push(if *octet == b'=' {
                let digits = str::from_utf8(&after[..2]).expect("two digits");
                rest = &after[2..];
                u8::from_str_radix(digits, 16).expect("two digits")
            } else {
                *octet
            });
        }
        if soft.is_none() && lines.peek().is_some() {
            decoded.extend(b"\r\n");
        }
    }
    assert_eq!(decoded, octets, "quoted-printable reads back");
}

/// Our own Received field stays one field, whatever the peer calls itself.
fn trace_field(text: &str, choice: usize) {
    let to = Address::parse(text).ok();
    let field = received::Received {
        hello: text,
        peer: (choice & 1 == 1).then(|| "2001:db8::1".parse().expect("an address")),
        hostname: "relay.example",
        with: received::With {
            extended: choice & 2 == 2,
            login: choice & 4 == 4,
            utf8: choice & 8 == 8,
        },
        tls: Some(("TLSv1.3", text)),
        id: "0123456789",
        only_recipient: to.as_ref(),
        wall: (choice & 16 == 16).then_some(Wall(1_795_338_720)),
    };
    let composed = field.compose();
    let fields: Vec<header::Field<'_>> = header::fields(composed.as_bytes()).collect();
    assert!(fields.len() == 1 && fields[0].is("Received") && fields[0].is_well_formed());
    assert_eq!(fields[0].raw, composed.as_bytes());
    assert!(composed.split("\r\n").all(|line| line.len() <= 998));
    assert!(choice & 8 == 8 || composed.is_ascii());
}
