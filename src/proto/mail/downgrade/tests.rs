use super::*;
use crate::{limits, proto::mail::header};
use base64::engine::general_purpose::STANDARD;

const ALL: Task = Task { header: Header::Must, body: true };
const TRIED: Task = Task { header: Header::Try, body: true };

fn plan(message: &[u8], task: Task, piece: usize) -> Result<Plan, Obstacle> {
    let mut survey = Survey::new(task);
    message.chunks(piece).for_each(|part| survey.push(part));
    survey.finish()
}

/// The message anew, the same however it was cut, and of the size that was foretold.
fn convert(message: &[u8], task: Task) -> Result<Vec<u8>, Obstacle> {
    let planned = plan(message, task, usize::MAX)?;
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(plan(message, task, piece).as_ref(), Ok(&planned), "in pieces of {piece}");
    }
    if !planned.is_needed() {
        assert_eq!(planned.size(), message.len() as u64);
        return Ok(message.to_vec());
    }
    let write = |piece: usize| {
        let (mut rewriter, mut out) = (Rewriter::new(planned.clone()), Vec::new());
        message.chunks(piece).for_each(|part| rewriter.push(part, &mut out));
        rewriter.finish(&mut out);
        out
    };
    let out = write(usize::MAX);
    for piece in [1, 2, 3, 7, 64] {
        let again = write(piece);
        assert_eq!(again.escape_ascii().to_string(), out.escape_ascii().to_string(), "{piece}");
    }
    assert_eq!(out.len() as u64, planned.size(), "{}", out.escape_ascii());
    assert_ne!(out, message);
    Ok(out)
}

fn text(message: &str) -> String {
    let out = convert(message.as_bytes(), ALL).expect("no obstacle");
    assert!(out.is_ascii());
    let text = String::from_utf8(out).expect("ASCII");
    assert_eq!(convert(text.as_bytes(), ALL), Ok(text.clone().into_bytes()), "the second time");
    text
}

#[test]
fn a_bare_text_gets_what_declares_it() {
    assert_eq!(
        text("Subject: x\r\n\r\nGrüße\r\n.\r\n"),
        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n=2E\r\n"
    );
    let latin = convert(b"Subject: x\r\n\r\nGr\xfc\xdfe\r\n", ALL).expect("no obstacle");
    let latin = String::from_utf8(latin).expect("ASCII");
    assert!(latin.contains("charset=unknown-8bit\r\n"), "RFC 1428: {latin}");
    assert!(latin.ends_with("\r\n\r\nGr=FC=DFe\r\n"));
}

#[test]
fn a_declared_text_keeps_its_type_and_its_encoding_is_replaced() {
    assert_eq!(
        text(
            "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\
             Content-Type: text/plain; charset=ISO-8859-15\r\n\r\nß\r\n"
        ),
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=ISO-8859-15\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=9F\r\n"
    );
}

#[test]
fn what_is_seven_bits_already_is_not_touched() {
    for message in [
        "",
        "\r\n",
        "Subject: x\r\n",
        "Subject: x\r\n\r\nplain\r\n",
        "Subject: x\r\n\r\nno end",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\nend",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ncut o",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: x\r\n--b",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--bb\r\n--b \t\r\n\r\n-",
        "Content-Transfer-Encoding: base64\r\nContent-Type: image/x\r\n\r\nAAAA\r\n",
        "Content-Transfer-Encoding: 8bit\r\n\r\nplain\0\r\n",
    ] {
        assert_eq!(text(message), message);
    }
    let long = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(5000));
    assert_eq!(text(&long), long, "nobody breaks its lines");
    let other = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nSubject: ü\r\n\r\n{}\r\n--b\r\n\
         Content-Transfer-Encoding: 8BIT\r\n\r\nplain\r\n--b--\r\n",
        "x".repeat(998)
    );
    let expected = other.replace("ü", "=?utf-8?Q?=C3=BC?=").replace("8BIT", "7bit");
    assert_eq!(text(&other), expected, "998 octets are a line");
}

const PARTS: &str = "MIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed;\r\n\tboundary=\"a b\"\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\n\
    préambule\r\n\
    --a b\r\n\
    Content-Type: multipart/alternative; boundary=\"a b--\"\r\n\r\n\
    --a b--\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\n\
    ein Ü\r\n\
    --a b----\r\n\
    --a b\r\n\
    Content-Type: message/rfc822\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\n\
    Subject: drinnen ü\r\n\r\n\
    noch eins ü\r\n\r\n\
    --a b\r\n\
    Content-Type: application/x\r\n\
    Content-Disposition: attachment; filename=ü.bin\r\n\
    Content-Transfer-Encoding: binary\r\n\r\n\
    ü\r\nü\r\n\
    --a b\r\n\r\n\
    plain\r\n\
    --a b--\r\n\
    épilogue\r\n";

#[test]
fn parts_are_walked_and_only_those_that_need_it_are_converted() {
    assert_eq!(
        text(PARTS),
        "MIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed;\r\n\tboundary=\"a b\"\r\n\
         Content-Transfer-Encoding: 7bit\r\n\r\n\
         pr??ambule\r\n\
         --a b\r\n\
         Content-Type: multipart/alternative; boundary=\"a b--\"\r\n\r\n\
         --a b--\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n\
         ein =C3=9C\r\n\
         --a b----\r\n\
         --a b\r\n\
         Content-Type: message/rfc822\r\n\
         Content-Transfer-Encoding: 7bit\r\n\r\n\
         Subject: drinnen =?utf-8?Q?=C3=BC?=\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n\
         noch eins =C3=BC\r\n\r\n\
         --a b\r\n\
         Content-Type: application/x\r\n\
         Content-Disposition: attachment;\r\n\tfilename*=utf-8''%C3%BC.bin\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n\
         w7wNCsO8\r\n\
         --a b\r\n\r\n\
         plain\r\n\
         --a b--\r\n\
         ??pilogue\r\n"
    );
}

#[test]
fn only_the_header_is_converted_where_the_body_may_stay() {
    let task = Task { header: Header::Must, body: false };
    let out = convert("Subject: ü\r\n\r\nü\r\n".as_bytes(), task);
    assert_eq!(out, Ok("Subject: =?utf-8?Q?=C3=BC?=\r\n\r\nü\r\n".into()));
    let task = Task { header: Header::Keep, body: true };
    let out = convert("MIME-Version: 1.0\r\nSubject: ü\r\n\r\na\r\n".as_bytes(), task);
    assert_eq!(out, Ok("MIME-Version: 1.0\r\nSubject: ü\r\n\r\na\r\n".into()));
}

#[test]
fn lines_that_are_too_long_are_folded_beside_octets_above_127() {
    let long = "x".repeat(999);
    let message = format!("Subject: x\r\n\r\n{long}\r\nü\r\n");
    let out = text(&message);
    assert!(out.split("\r\n").all(|line| line.len() <= 76));
    let parts = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{long}\r\n--b\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{long}\r\n--b\r\n\r\nü\0\r\n--b--\r\n"
    );
    let out = text(&parts);
    assert_eq!(out.split("\r\n").filter(|line| line.len() > 76).count(), 1, "the base64 stays");
    assert!(!out.contains('\0'));
}

#[test]
fn encodings_with_octets_that_do_not_belong_there_are_mended() {
    let out = text("Content-Transfer-Encoding: quoted-printable\r\n\r\na=C3=BC=\r\nü b=20\r\n");
    assert!(out.ends_with("\r\n\r\na=C3=BC=\r\n=C3=BC b=20\r\n"), "{out}");
    assert!(!out.contains("7bit"));
    let out = text("Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAüAA\r\n");
    assert!(out.ends_with("Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"), "{out}");
    let out = text("Content-Transfer-Encoding: utf-8\r\n\r\nü\r\n");
    assert!(out.ends_with("Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC\r\n"));
}

#[test]
fn a_digest_holds_messages() {
    let out = text(
        "MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n\
         --b\r\n\r\nSubject: ü\r\n\r\nü\r\n--b--\r\n",
    );
    assert!(
        out.contains("--b\r\n\r\nSubject: =?utf-8?Q?=C3=BC?=\r\nMIME-Version: 1.0\r\n"),
        "{out}"
    );
}

#[test]
fn what_needs_utf_8_is_an_obstacle_or_stays() {
    let message = "From: jörg@x\r\nReceived: ü\r\n\r\nü\r\n".as_bytes();
    assert_eq!(convert(message, ALL), Err(Obstacle::Field("From".into())));
    let out = convert(message, TRIED).expect("no obstacle");
    assert!(out.starts_with("From: jörg@x\r\nReceived: ??\r\nMIME".as_bytes()));
    assert!(out.ends_with(b"\r\n\r\n=C3=BC\r\n"));
    let inner = "Content-Type: message/rfc822\r\n\r\nTo: ü@x\r\n\r\nx\r\n".as_bytes();
    assert_eq!(convert(inner, ALL), Err(Obstacle::Field("To".into())));
}

fn nested(depth: usize) -> String {
    let mut message = String::from("Subject: x\r\n");
    for n in 0..depth {
        let part = format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
        message.push_str(&part);
    }
    message + "\r\nü\r\n"
}

#[test]
fn structures_beyond_the_bounds_are_obstacles() {
    assert!(convert(nested(limits::MIME_DEPTH).as_bytes(), ALL).is_ok());
    let deeper = nested(limits::MIME_DEPTH + 1);
    assert!(matches!(convert(deeper.as_bytes(), ALL), Err(Obstacle::Structure(_))));
    let parts = |n: usize| {
        let part = "--b\r\n\r\nü\r\n".repeat(n);
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{part}--b--\r\n")
    };
    assert!(convert(parts(limits::MIME_CHANGES).as_bytes(), ALL).is_ok());
    let more = parts(limits::MIME_CHANGES + 1);
    assert!(matches!(plan(more.as_bytes(), ALL, usize::MAX), Err(Obstacle::Structure(_))));
    let boundary = |n: usize| {
        let boundary = "b".repeat(n);
        format!(
            "Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n\r\nü\r\n"
        )
    };
    assert!(convert(boundary(limits::MIME_BOUNDARY_BYTES).as_bytes(), ALL).is_ok());
    let longer = boundary(limits::MIME_BOUNDARY_BYTES + 1);
    assert!(matches!(convert(longer.as_bytes(), ALL), Err(Obstacle::Structure(_))));
    // Parts that cannot be told apart do no harm where all is ASCII.
    assert!(convert(deeper.replace('ü', "u").as_bytes(), ALL).is_ok());
}

#[test]
fn a_field_that_is_too_long_to_hold_passes() {
    let field = |n: usize, end: &str| format!("X-Long: {}{end}\r\n", "x ".repeat(n / 2));
    let half = field(limits::MIME_FIELD_BYTES / 2, "");
    for (fields, fits) in [
        (field(limits::MIME_FIELD_BYTES - 10, "ü"), false),
        (field(limits::MIME_FIELD_BYTES - 100, "ü"), true),
        (half.repeat(3) + "X: ü\r\n", true),
        (format!("{half}\t{half}Subject: ü\r\n"), true),
    ] {
        let message = format!("{fields}MIME-Version: 1.0\r\n\r\nü\r\n");
        let out = plan(message.as_bytes(), ALL, 1000);
        assert_eq!(out.is_ok(), fits, "{}", message.len());
        let out = convert(message.as_bytes(), TRIED).expect("no obstacle");
        assert_eq!(out.is_ascii(), fits);
        assert!(out.ends_with(
            b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC\r\n"
        ));
    }
    let odd = format!("Content-Type: text/plain; x={}\r\n\r\nü\r\n", "x".repeat(70_000));
    assert!(matches!(convert(odd.as_bytes(), ALL), Err(Obstacle::Structure(_))));
}

#[test]
fn a_large_message_is_held_a_little_at_a_time() {
    let header = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n";
    let chunk = [&b"-"[..], &[0xe9; 15_000], b"\r\n--bb\r\n--"].concat();
    let mut survey = Survey::new(ALL);
    survey.push(header.as_bytes());
    (0..100).for_each(|_| survey.push(&chunk));
    let plan = survey.finish().expect("no obstacle");
    let (size, mut rewriter) = (plan.size(), Rewriter::new(plan));
    let mut out = Vec::new();
    rewriter.push(header.as_bytes(), &mut out);
    let mut written = out.len();
    for _ in 0..100 {
        out.clear();
        rewriter.push(&chunk, &mut out);
        assert!(out.len() < 4 * chunk.len() + 100, "{}", out.len());
        written += out.len();
    }
    out.clear();
    rewriter.finish(&mut out);
    assert_eq!((written + out.len()) as u64, size);
}

/// Contents by type, in order, as a reader of all of it at once finds them.
fn contents(message: &[u8], found: &mut Vec<(String, Vec<u8>)>) {
    let end = message.windows(4).position(|w| w == b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    let head = message.get(..end).unwrap_or_default();
    let body = message.get(end + 2..).unwrap_or_default();
    let value = |name| {
        let field = header::find(head, name).map(|field| header::unfold(field.value));
        String::from_utf8(field.unwrap_or_default()).expect("ASCII").to_ascii_lowercase()
    };
    let kind = value("Content-Type");
    if let Some((_, boundary)) = kind.split_once("boundary=") {
        let line = format!("\r\n--{boundary}");
        let whole = [b"\r\n", body].concat();
        let mut rest = whole.as_slice();
        let mut parts = Vec::new();
        while let Some(at) = rest.windows(line.len()).position(|w| w == line.as_bytes()) {
            parts.push(&rest[..at]);
            rest = &rest[at + line.len()..];
        }
        for part in parts.iter().skip(1) {
            let part = part.strip_prefix(b"\r\n").expect("the end of the boundary");
            // A part without any field begins with the empty line.
            let part =
                [if part.starts_with(b"\r\n") { &b"X: y\r\n"[..] } else { b"" }, part].concat();
            contents(&part, found);
        }
    } else if kind.starts_with("message/rfc822") {
        contents(body, found);
    } else {
        let content = match value("Content-Transfer-Encoding").as_str() {
            "base64" => {
                let text: Vec<u8> = body
                    .iter()
                    .copied()
                    .filter(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b))
                    .collect();
                STANDARD.decode(text).expect("base64")
            }
            "quoted-printable" => unquoted(body),
            _ => body.to_vec(),
        };
        let kind = kind.split(';').next().unwrap_or_default().to_string();
        found.push((if kind.is_empty() { "text/plain".into() } else { kind }, content));
    }
}

fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"=\r\n") {
            rest = after;
        } else if *first == b'=' {
            let digits = core::str::from_utf8(&after[..2]).expect("ASCII");
            out.push(u8::from_str_radix(digits, 16).expect("digits"));
            rest = &after[2..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn words(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..self.roll(12) {
            let word: &[u8] = match self.roll(14) {
                0 => b"\r\n",
                1 => b"\r\n.",
                2 => " \r\n".as_bytes(),
                3 => "grüße ".as_bytes(),
                4 => b"\xff\xfe",
                5 => b"\r\n--b",
                6 => b"--",
                7 => b"=C3",
                8 => b"\r\nFrom ",
                9 => b"\0",
                10 => &[b'y'; 600],
                _ => b"word ",
            };
            out.extend_from_slice(word);
        }
        out
    }

    fn entity(&mut self, depth: usize, out: &mut Vec<u8>) {
        match self.roll(if depth > 3 { 5 } else { 8 }) {
            0 => out.extend_from_slice(b"X: y\r\n\r\n"),
            1 => out.extend_from_slice(
                b"Content-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n",
            ),
            2 => out.extend_from_slice(
                b"Content-Transfer-Encoding: 8bit\r\nContent-Type: text/html\r\n\r\n",
            ),
            3 => out.extend_from_slice("Subject: ü\r\nContent-Type: message/x\r\n\r\n".as_bytes()),
            4 => {
                let content = STANDARD.encode(self.words());
                out.extend_from_slice(
                    b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                );
                return out.extend_from_slice(content.as_bytes());
            }
            5 => {
                out.extend_from_slice(b"Content-Type: message/rfc822\r\n\r\n");
                return self.entity(depth + 1, out);
            }
            _ => {
                let boundary = format!("bound{depth}");
                out.extend_from_slice(b"Content-Type: multipart/mixed; boundary=");
                out.extend_from_slice(boundary.as_bytes());
                out.extend_from_slice(b"\r\n\r\n");
                for _ in 0..self.roll(4) {
                    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
                    self.entity(depth + 1, out);
                }
                return out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
            }
        }
        let content = self.words();
        out.extend_from_slice(&content);
    }
}

#[test]
fn whatever_the_message_its_contents_stay_the_same() {
    for seed in 0..400 {
        let mut message = b"MIME-Version: 1.0\r\n".to_vec();
        Dice(seed * 7919 + 1).entity(0, &mut message);
        let out = convert(&message, ALL).unwrap_or_else(|obstacle| panic!("{seed}: {obstacle:?}"));
        let (mut before, mut after) = (Vec::new(), Vec::new());
        contents(&message, &mut before);
        contents(&out, &mut after);
        let shown = |m: &[u8]| m.escape_ascii().to_string().replace("\\r\\n", "\n");
        assert_eq!(after, before, "seed {seed}\n{}\n====\n{}", shown(&message), shown(&out));
        assert!(out.is_ascii(), "seed {seed}");
        assert_eq!(convert(&out, ALL), Ok(out.clone()), "seed {seed}: the second time");
    }
}

#[test]
fn whatever_the_octets_it_ends_and_its_size_was_foretold() {
    const PIECES: [&str; 27] = [
        "\r\n",
        "\r\n\r\n",
        "\r",
        "\n",
        " ",
        "\t",
        ":",
        ";",
        "=",
        "\"",
        "(",
        ")",
        "<",
        ">",
        "@",
        "ü",
        "\0",
        "x",
        "--b",
        "--",
        "Content-Type",
        ": multipart/mixed; boundary=b\r\n",
        ": message/rfc822\r\n",
        "Content-Transfer-Encoding: 8bit\r\n",
        "From: ",
        "Subject: ",
        "Content-Disposition: a; b=",
    ];
    for seed in 0..1500 {
        let mut dice = Dice(seed * 104_729 + 3);
        let mut message = Vec::new();
        for _ in 0..dice.roll(60) {
            let piece = PIECES.get(dice.roll(PIECES.len() + 1)).copied();
            message.extend_from_slice(piece.map_or(&b"\xff"[..], str::as_bytes));
        }
        for task in [ALL, TRIED, Task { header: Header::Must, body: false }] {
            // The same in any pieces, and the second time.
            if let Ok(out) = convert(&message, task) {
                let again = convert(&out, task).expect("no obstacle");
                let shown = |octets: &[u8]| octets.escape_ascii().to_string();
                assert_eq!(shown(&again), shown(&out), "seed {seed}: {}", shown(&message));
            }
        }
    }
}
