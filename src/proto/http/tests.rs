use super::*;

fn url(text: &str) -> String {
    Url::parse(text).map_or_else(|| "none".into(), |url| url.to_string())
}

#[test]
fn an_address_is_read_and_printed_as_it_is_used() {
    assert_eq!(url("https://login.example.com/token"), "https://login.example.com/token");
    assert_eq!(url("HTTPS://Login.Example.com"), "https://login.example.com/");
    assert_eq!(url("https://example.com:8443?a=b"), "https://example.com:8443/?a=b");
    assert_eq!(url("https://example.com:443/"), "https://example.com/");
    assert_eq!(url("https://[2001:db8::1]:8443/x"), "https://[2001:db8::1]:8443/x");
    let parsed = Url::parse("https://[2001:db8::1]/").expect("an address");
    assert_eq!((parsed.host.as_str(), parsed.port), ("2001:db8::1", 443));
}

#[test]
fn unencrypted_goes_to_this_machine_alone() {
    assert_eq!(url("http://127.0.0.1:8080/token"), "http://127.0.0.1:8080/token");
    assert_eq!(url("http://[::1]/token"), "http://[::1]/token");
    for text in ["http://localhost/", "http://example.com/", "http://192.0.2.1/"] {
        assert_eq!(url(text), "none", "{text}");
    }
}

#[test]
fn what_is_no_address_is_none() {
    for text in [
        "",
        "example.com",
        "ftp://example.com/",
        "https://",
        "https:///x",
        "https://me@example.com/",
        "https://example.com:/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com/#x",
        "https://example.com/ x",
        "https://exämple.com/",
        "https://[::1/",
        "https://[::1]x/",
    ] {
        assert_eq!(url(text), "none", "{text}");
    }
    let long = |n: usize| format!("https://example.com/{}", "a".repeat(n - 20));
    assert!(Url::parse(&long(limits::URL_BYTES)).is_some());
    assert!(Url::parse(&long(limits::URL_BYTES + 1)).is_none());
}

#[test]
fn a_request_says_what_has_to_be_said() {
    let url = Url::parse("https://example.com:8443/token").expect("an address");
    let get = String::from_utf8(request(&url, Content::Nothing)).expect("text");
    assert!(get.starts_with("GET /token HTTP/1.1\r\nHost: example.com:8443\r\n"), "{get}");
    assert!(get.ends_with("Connection: close\r\n\r\n"), "{get}");
    let post = String::from_utf8(request(&url, Content::Form("a=1"))).expect("text");
    assert!(post.starts_with("POST /token "), "{post}");
    assert!(post.ends_with("Content-Length: 3\r\n\r\na=1"), "{post}");
}

/// Whatever the seams, the answer is the same.
fn answer(octets: &[u8], closed: bool) -> Result<Option<Answer>, Garbled> {
    let by = |size: usize| {
        let mut reader = Reader::default();
        for piece in octets.chunks(size) {
            if let Some(answer) = reader.read(piece)? {
                return Ok(Some(answer));
            }
        }
        if closed { reader.end().map(Some) } else { Ok(None) }
    };
    let whole = by(octets.len().max(1));
    for size in [1, 2, 7, 64] {
        assert_eq!(by(size), whole, "in pieces of {size}");
    }
    whole
}

fn body(octets: &[u8], closed: bool) -> String {
    let answer = answer(octets, closed).expect("an answer").expect("whole");
    String::from_utf8(answer.body).expect("text")
}

#[test]
fn a_body_ends_where_its_head_says() {
    assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhixx", false), "hi");
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\n yo\r\n0\r\n";
    assert_eq!(body(&[&chunked[..], b"\r\n"].concat(), false), "hi yo");
    assert_eq!(body(b"HTTP/1.1 200 OK\r\n\r\nhi", true), "hi");
    assert_eq!(body(b"HTTP/1.1 204 No Content\r\n\r\n", false), "");
    assert_eq!(
        body(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        ""
    );
}

#[test]
fn an_answer_that_is_cut_off_is_none() {
    for octets in [
        &b""[..],
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    ] {
        assert_eq!(answer(octets, true), Err(CUT), "{}", octets.escape_ascii());
        assert_eq!(answer(octets, false), Ok(None), "{}", octets.escape_ascii());
    }
}

#[test]
fn what_is_no_answer_is_told_as_that() {
    let head = "HTTP/1.1 200 OK\r\n";
    let cases = [
        ("220 mail.example.com ESMTP\r\n".to_string(), NO_HTTP),
        ("HTTP/1.1 999 Odd\r\n\r\n".into(), NO_HTTP),
        (format!("{head}Content-Length: x\r\n\r\n"), NO_HTTP),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\nxyz\r\n"), NO_HTTP),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\nabc"), NO_HTTP),
        (
            format!("{head}Transfer-Encoding: gzip\r\n\r\n"),
            Garbled("its answer comes in a coding that was not asked for"),
        ),
    ];
    for (text, why) in cases {
        assert_eq!(answer(text.as_bytes(), false), Err(why), "{text}");
    }
}

#[test]
fn an_answer_has_its_bounds() {
    let most = limits::HTTP_BODY_BYTES;
    let sized =
        |n: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n{}", "a".repeat(n));
    let open = |n: usize| format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(n));
    let chunked = |n: usize| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}1\r\nb\r\n{:x}\r\n{}\r\n0\r\n\r\n", n - 1, "a".repeat(n - 1))
    };
    let once = |text: String, closed: bool| {
        let mut reader = Reader::default();
        let read = reader.read(text.as_bytes())?;
        let answer = if closed { Some(reader.end()?) } else { read };
        Ok(answer.map(|answer| answer.body.len()))
    };
    assert_eq!(once(sized(most), false), Ok(Some(most)));
    assert_eq!(once(sized(most + 1), false), Err(TOO_LONG));
    assert_eq!(once(open(most), true), Ok(Some(most)));
    assert_eq!(once(open(most + 1), true), Err(TOO_LONG));
    assert_eq!(once(chunked(most), false), Ok(Some(most)));
    assert_eq!(once(chunked(most + 1), false), Err(TOO_LONG));
    let fields = |n: usize| format!("HTTP/1.1 204 OK\r\n{}\r\n", "A: b\r\n".repeat(n));
    assert_eq!(once(fields(limits::HTTP_FIELDS), false), Ok(Some(0)));
    assert_eq!(once(fields(limits::HTTP_FIELDS + 1), false), Err(TOO_LONG));
    let head = |n: usize| format!("HTTP/1.1 204 OK\r\nA: {}\r\n\r\n", "b".repeat(n - 24));
    assert_eq!(once(head(limits::HTTP_HEAD_BYTES), false), Ok(Some(0)));
    assert_eq!(once(head(limits::HTTP_HEAD_BYTES + 1), false), Err(TOO_LONG));
}

#[test]
fn how_long_to_wait_and_what_it_is_are_read() {
    let text = "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Type: Application/JSON; a=x\r\n\
                Content-Length: 0\r\n\r\n";
    let read = answer(text.as_bytes(), false).expect("an answer").expect("whole");
    assert_eq!((read.status, read.retry_after), (429, Some(Duration::from_secs(7))));
    assert_eq!(read.kind, "application/json");
    let text = "HTTP/1.1 503 Down\r\nRetry-After: 99999999\r\nContent-Length: 0\r\n\r\n";
    let read = answer(text.as_bytes(), false).expect("an answer").expect("whole");
    assert_eq!(read.retry_after, Some(limits::RETRY_AFTER));
    let text = "HTTP/1.1 503 Down\r\nRetry-After: Fri, 31 Dec 2027 23:59:59 GMT\r\n\
                Content-Length: 0\r\n\r\n";
    let read = answer(text.as_bytes(), false).expect("an answer").expect("whole");
    assert_eq!(read.retry_after, None);
}

#[test]
fn forms_are_written_and_read() {
    let text = form(&[("scope", "a b/c"), ("x", "ä&=+")]);
    assert_eq!(text, "scope=a%20b%2Fc&x=%C3%A4%26%3D%2B");
    assert_eq!(field(&text, "scope").as_deref(), Some("a b/c"));
    assert_eq!(field(&text, "x").as_deref(), Some("ä&=+"));
    assert_eq!(encode("<a b@x>\r\n?&#%é"), "%3Ca%20b%40x%3E%0D%0A%3F%26%23%25%C3%A9");
    assert_eq!(encode("Az09-._~"), "Az09-._~");
    assert_eq!(field("a=b+c", "a").as_deref(), Some("b c"));
    assert_eq!(field("a=%zz", "a"), None);
    assert_eq!(field("a", "a"), None);
}

#[test]
fn json_goes_with_its_token_and_in_clear_to_the_house_alone() {
    let url = Url::parse_near("http://192.168.1.5:8080/topic").expect("a private address");
    let content = Content::Json { text: "{}", bearer: Some("t0ken") };
    let post = String::from_utf8(request(&url, content)).expect("text");
    assert!(post.starts_with("POST /topic HTTP/1.1\r\nHost: 192.168.1.5:8080\r\n"), "{post}");
    assert!(post.contains("\r\nAuthorization: Bearer t0ken\r\n"), "{post}");
    assert!(post.ends_with("application/json\r\nContent-Length: 2\r\n\r\n{}"), "{post}");
    for bad in ["http://203.0.113.5/t", "http://ntfy.example/t", "http://[2001:db8::1]/t"] {
        assert_eq!(Url::parse_near(bad), None, "{bad}");
    }
    assert!(Url::parse_near("https://ntfy.example/t").is_some());
    assert_eq!(Url::parse("http://192.168.1.5/t"), None);
}
