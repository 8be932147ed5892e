//! Tests of what is repaired, refused and left alone.

use super::*;

const WALL: Wall = Wall(1_795_338_720);

fn prepared(header: &str, origin: Origin, wall: Option<Wall>) -> Result<Prepared, Problem> {
    let from = Address::parse("camera@home.arpa").expect("valid");
    let how = Preparation {
        origin,
        hostname: "relay.home.arpa",
        domain: "home.arpa",
        from: Some(&from),
        wall,
        random: 0xfeed,
    };
    prepare(header.as_bytes(), &how)
}

fn submitted(header: &str) -> (String, Vec<&'static str>) {
    let prepared = prepared(header, Origin::Submitted, Some(WALL)).expect("acceptable");
    let text = String::from_utf8(prepared.header).expect("the tests are UTF-8");
    assert!(text.ends_with("\r\n\r\n") || text == "\r\n", "{text}");
    (text, prepared.repairs)
}

/// All that a submission needs.
const GOOD: &str = "Date: Sun, 22 Nov 2026 09:00:00 +0100\r\nFrom: Ann <ann@x.example>\r\n\
    To: bob@y.example\r\nMessage-ID: <1@x>\r\nSubject: a\r\n b\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";

#[test]
fn a_good_submission_stays_as_it_is() {
    assert_eq!(submitted(GOOD), (GOOD.to_string(), Vec::new()));
    let facts = prepared(GOOD, Origin::Submitted, Some(WALL)).expect("good");
    assert_eq!(facts.message_id, "1@x");
    assert_eq!(facts.subject, "a b");
    assert_eq!(facts.from, [Address::parse("ann@x.example").expect("valid")]);
    assert_eq!((facts.sender, facts.dated, facts.eight_bit), (None, true, false));
}

#[test]
fn a_submission_without_any_header_gets_one() {
    let (header, repairs) = submitted("");
    assert_eq!(
        header,
        "Date: Sun, 22 Nov 2026 09:12:00 +0000\r\nFrom: <camera@home.arpa>\r\n\
         To: undisclosed-recipients:;\r\nMessage-ID: <000000000000feed@relay.home.arpa>\r\n\r\n"
    );
    let all = ["header added", "Date added", "From added", "To added", "Message-ID added"];
    assert_eq!(repairs, all);
    let (header, _) = submitted("Subject: cut off");
    assert!(header.starts_with("Subject: cut off\r\nDate: "), "{header}");
}

#[test]
fn a_message_from_a_stranger_is_not_touched() {
    for header in [
        GOOD,
        "Bcc: x\r\nFrom: a\r\nFrom: b\r\nno field\r\nX: \0\r\n\r\n",
        "\r\n",
        "Subject: no empty line\r\n",
    ] {
        let prepared = prepared(header, Origin::Relayed, Some(WALL)).expect("not ours to judge");
        assert_eq!(prepared.header, header.as_bytes());
        assert!(prepared.repairs.is_empty());
    }
    let nothing = prepared("", Origin::Relayed, Some(WALL)).expect("fine");
    assert_eq!(nothing.header, b"\r\n", "our Received field must not run into the body");
}

#[test]
fn of_two_message_ids_the_first_that_is_not_empty_stays() {
    for empty in ["Message-ID:\r\n", "Message-ID: <>\r\n"] {
        let (header, repairs) = submitted(&format!("{empty}{GOOD}"));
        assert_eq!((header.as_str(), repairs), (GOOD, vec![]), "{empty}");
    }
}

#[test]
fn bcc_never_leaves_the_house() {
    let (header, repairs) =
        submitted(&format!("Bcc: s@x,\r\n t@y\r\nbcc:\r\nResent-BCC : u@z\r\n{GOOD}"));
    assert_eq!((header.as_str(), repairs), (GOOD, vec!["Bcc removed"]));
}

#[test]
fn addresses_without_a_domain_are_completed() {
    let fields = "Date: 22 Nov 2026 09:00 GMT\r\nMessage-ID: <1@x>\r\n";
    let (header, repairs) = submitted(&format!(
        "{fields}From: Cam <cam>\r\nSender: cam (x)\r\nReply-To: root\r\n\
         To: a@x, root,\r\n g: b;\r\nCc: two words\r\nX-To: root\r\n\r\n"
    ));
    assert_eq!(
        header,
        format!(
            "{fields}From: Cam <cam@home.arpa>\r\nSender: cam@home.arpa (x)\r\n\
             Reply-To: root@home.arpa\r\nTo: a@x, root@home.arpa,\r\n g: b@home.arpa;\r\n\
             Cc: two words\r\nX-To: root\r\n\r\n"
        )
    );
    assert_eq!(repairs, ["address completed"]);
}

#[test]
fn a_from_that_is_only_a_name_gets_the_reverse_path() {
    for (value, made) in [
        (" Front Door", "\"Front Door\" <camera@home.arpa>"),
        ("", "<camera@home.arpa>"),
        (" =?UTF-8?Q?T=C3=BCr?=", "=?UTF-8?Q?T=C3=BCr?= <camera@home.arpa>"),
        (" Ring v2. x", "\"Ring v2. x\" <camera@home.arpa>"),
    ] {
        let (header, repairs) = submitted(&format!("Subject: x\r\nFrom:{value}\r\n\r\n"));
        assert!(header.contains(&format!("\r\nFrom: {made}\r\n")), "{header}");
        assert!(repairs.contains(&"From completed"));
    }
    for bad in ["<>", "a@x <b@y> c", "nobody:;", "a@x b@y", "\"x"] {
        let refused = prepared(&format!("From: {bad}\r\n\r\n"), Origin::Submitted, Some(WALL));
        assert!(matches!(refused, Err(Problem::Sender(_))), "{bad} {refused:?}");
    }
}

#[test]
fn dates_that_no_set_clock_wrote_are_replaced() {
    let rest = "From: a@x\r\nTo: b@y\r\nMessage-ID: <1@x>\r\n";
    let date = "Date: Sun, 22 Nov 2026 09:12:00 +0000\r\n";
    for (field, made, repairs) in [
        ("", "", vec!["Date added"]),
        ("Date:\r\n", "", vec!["Date added"]),
        (
            "Date: Thu, 01 Jan 1970 00:01:00 +0000\r\n",
            "X-Original-Date: Thu, 01 Jan 1970 00:01:00 +0000\r\n",
            vec!["Date replaced"],
        ),
        ("Date: now\r\n", "X-Original-Date: now\r\n", vec!["Date replaced"]),
    ] {
        let (header, told) = submitted(&format!("{field}{rest}\r\n"));
        assert_eq!((header, told), (format!("{made}{rest}{date}\r\n"), repairs));
    }
    let unset = prepared(&format!("{rest}\r\n"), Origin::Submitted, None).expect("good");
    assert_eq!(unset.header, format!("{rest}\r\n").as_bytes(), "no date rather than a wrong one");
    assert!(!unset.dated);
    let odd = format!("Date: now\r\n{rest}\r\n");
    let unset = prepared(&odd, Origin::Submitted, None).expect("good");
    assert_eq!(unset.header, odd.as_bytes());
}

#[test]
fn fields_that_may_stand_once_are_made_one() {
    let (header, repairs) = submitted(
        "Date: 22 Nov 2026 09:00 GMT\r\nDate: 1 Jan 2020 09:00 GMT\r\nFrom: a@x\r\nFrom:  a@x\r\n\
         To: b@y\r\nSubject: x\r\nTO:\r\n c,\r\n d@z\r\nTo:\r\nSubject: y\r\nMessage-ID: <1@x>\r\n\
         Message-ID: <2@x>\r\nCc: e@x\r\nCc: two words\r\nX: 1\r\nX: 2\r\n\r\n",
    );
    assert_eq!(
        header,
        "Date: 22 Nov 2026 09:00 GMT\r\nFrom: a@x\r\nTo: b@y,\r\n\tc@home.arpa,\r\n d@z\r\n\
         Subject: x\r\nMessage-ID: <1@x>\r\nCc: e@x\r\nCc: two words\r\nX: 1\r\nX: 2\r\n\r\n"
    );
    assert_eq!(
        repairs,
        [
            "second Date removed",
            "second From removed",
            "address completed",
            "repeated fields joined",
            "repeated field removed",
        ]
    );
    let two = prepared("From: a@x\r\nFrom: b@x\r\n\r\n", Origin::Submitted, Some(WALL));
    assert_eq!(two, Err(Problem::Senders));
}

#[test]
fn what_is_no_header_is_refused_in_words() {
    for (header, words) in [
        ("A: b\r\n c\r\nno field\r\n\r\n", "Line 3 of the header is not a field: 'no field'"),
        ("A: b\r\nX: a\nBcc: b\r\n\r\n", "Line 2 of the header is not a field: 'X: a Bcc: b'"),
        ("X: \0\r\n\r\n", "Line 1 of the header is not a field: 'X:'"),
    ] {
        let problem = prepared(header, Origin::Submitted, Some(WALL)).expect_err("bad");
        assert_eq!(problem.reply().to_string(), format!("550 5.6.0 {words}"));
    }
    assert_eq!(
        Problem::from(header::TooLong).reply().to_string(),
        "550 5.6.0 The header is longer than 256 KiB"
    );
}

#[test]
fn a_hundred_received_fields_pass_and_one_more_is_a_loop() {
    for origin in [Origin::Submitted, Origin::Relayed] {
        let header = |n: usize| "Received: x\r\n".repeat(n) + GOOD;
        let fits = prepared(&header(limits::RECEIVED_FIELDS), origin, Some(WALL));
        assert_eq!(fits.expect("at the bound").received, limits::RECEIVED_FIELDS);
        let loops = prepared(&header(limits::RECEIVED_FIELDS + 1), origin, Some(WALL));
        assert_eq!(loops, Err(Problem::Loop));
    }
    assert_eq!(Problem::Loop.reply().code(), 554);
}

#[test]
fn the_null_reverse_path_and_a_bare_one_make_a_whole_from() {
    let mut how = Preparation {
        origin: Origin::Submitted,
        hostname: "relay.home.arpa",
        domain: "home.arpa",
        from: None,
        wall: Some(WALL),
        random: 1,
    };
    let header = prepare(b"\r\n", &how).expect("good").header;
    assert!(header.windows(37).any(|w| w == b"From: <MAILER-DAEMON@relay.home.arpa>"));
    let bare = Address::parse("root").expect("valid");
    how.from = Some(&bare);
    let prepared = prepare(b"\r\n", &how).expect("good");
    assert_eq!(prepared.from, [Address::parse("root@home.arpa").expect("valid")]);
}

#[test]
fn ten_thousand_fields_are_repaired_in_one_pass() {
    for field in
        ["To: a\r\n", "From: a@x\r\n", "Bcc: a\r\n", "Received:\r\nX: y\r\n", "Date: x\r\n"]
    {
        let count = if field.starts_with("Received") { 100 } else { 10_000 };
        let header = field.repeat(count) + "\r\n";
        let once = prepared(&header, Origin::Submitted, Some(WALL)).expect("good");
        let text = String::from_utf8(once.header.clone()).expect("the tests are UTF-8");
        let twice = prepared(&text, Origin::Submitted, Some(WALL)).expect("good");
        if !field.starts_with("To") {
            assert_eq!(twice.header, once.header, "what was repaired needs no repair");
        }
    }
}

#[test]
fn eight_bit_headers_are_told_and_left_alone() {
    let latin = b"Date: 22 Nov 2026 09:00 GMT\r\nFrom: J\xf6rg <j@x>\r\nCc: b@y\r\n\
        Message-ID: <1@x>\r\n\r\n";
    let how = Preparation {
        origin: Origin::Submitted,
        hostname: "h",
        domain: "",
        from: None,
        wall: None,
        random: 1,
    };
    let prepared = prepare(latin, &how).expect("good");
    assert_eq!(prepared.header, latin);
    assert!(prepared.eight_bit);
}

#[test]
fn what_some_servers_ask_for_is_added() {
    let rest = "Date: Sun, 22 Nov 2026 09:00:00 +0100\r\nFrom: a@x\r\nMessage-ID: <1@x>\r\n";
    for (fields, repairs) in [
        ("To: b@y\r\n", vec![]),
        ("Cc: b@y\r\n", vec![]),
        ("", vec!["To added"]),
        ("Bcc: b@y\r\n", vec!["Bcc removed", "To added"]),
        ("To: b@y\r\nContent-Type: text/plain\r\n", vec!["MIME-Version added"]),
        ("To: b@y\r\nContent-Transfer-Encoding: 8bit\r\n", vec!["MIME-Version added"]),
        ("To: b@y\r\nMime-version: 1.0\r\nContent-Type: text/plain\r\n", vec![]),
    ] {
        let (header, told) = submitted(&format!("{rest}{fields}\r\n"));
        assert_eq!(told, repairs, "{fields}");
        let has = |field: &str| header.contains(field);
        assert_eq!(has("To: undisclosed-recipients:;\r\n"), repairs.contains(&"To added"));
        assert_eq!(has("MIME-Version: 1.0\r\n"), repairs.contains(&"MIME-Version added"));
    }
}
