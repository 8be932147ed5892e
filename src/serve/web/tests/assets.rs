//! The files of the page as they are sent: packed, and plain to whoever cannot unpack.

use super::*;
use std::io::Read;

const FILES: [(&str, &str, &str); 16] = [
    ("/", "text/html; charset=utf-8", include_str!("../page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("/kit.js", "text/javascript; charset=utf-8", include_str!("../page/kit.js")),
    ("/mail.js", "text/javascript; charset=utf-8", include_str!("../page/mail.js")),
    ("/people.js", "text/javascript; charset=utf-8", include_str!("../page/people.js")),
    ("/settings.js", "text/javascript; charset=utf-8", include_str!("../page/settings.js")),
    ("/signin.js", "text/javascript; charset=utf-8", include_str!("../page/signin.js")),
    ("/devices.js", "text/javascript; charset=utf-8", include_str!("../page/devices.js")),
    ("/trial.js", "text/javascript; charset=utf-8", include_str!("../page/trial.js")),
    ("/wizard.js", "text/javascript; charset=utf-8", include_str!("../page/wizard.js")),
    ("/qr.js", "text/javascript; charset=utf-8", include_str!("../page/qr.js")),
    ("/board.js", "text/javascript; charset=utf-8", include_str!("../page/board.js")),
    ("/care.js", "text/javascript; charset=utf-8", include_str!("../page/care.js")),
    ("/domain.js", "text/javascript; charset=utf-8", include_str!("../page/domain.js")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("../page/app.js")),
    ("/icon.svg", "image/svg+xml", include_str!("../page/icon.svg")),
];

/// Header and body of the answer to a request for a file.
fn fetch(house: &House, path: &str, fields: &str) -> (Reply, Vec<u8>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 192.168.1.5\r\n{fields}\r\n");
    let octets = house.send(request.as_bytes()).take();
    let end = octets.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole header") + 4;
    let reply = Reply::read(&octets[..end]);
    assert_eq!(reply.field("Content-Length").unwrap_or("0"), (octets.len() - end).to_string());
    (reply, octets[end..].to_vec())
}

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).expect("gzip");
    text
}

#[test]
fn the_page_is_served_with_its_files_and_browsers_keep_them() {
    let house = House::new();
    for (path, kind, text) in FILES {
        let mut browser = house.browser();
        let reply = browser.ask("GET", path, None);
        assert_eq!((reply.status, reply.field("Content-Type")), (200, Some(kind)));
        assert_eq!(reply.body, text, "{path} is not what is in the source");
        assert_eq!(reply.field("Content-Length"), Some(reply.body.len().to_string().as_str()));
        let policy = reply.field("Content-Security-Policy").expect("one");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(policy.contains("script-src 'self'"), path == "/");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.field("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(reply.field("Date"), Some("Sun, 22 Nov 2026 09:12:00 GMT"));
        let tag = reply.field("ETag").expect("a tag").to_string();
        browser.set("If-None-Match", &format!("\"x\", {tag}"));
        let again = browser.ask("GET", path, None);
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        browser.set("If-None-Match", "\"x\"");
        let head = browser.ask("HEAD", path, None);
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.field("Content-Length"), reply.field("Content-Length"));
    }
}

#[test]
fn what_a_browser_gets_is_packed_and_unpacks_to_the_source() {
    let house = House::new();
    let (mut packed, mut plain) = (0, 0);
    for (path, kind, text) in FILES {
        let (reply, body) = fetch(&house, path, "Accept-Encoding: gzip, deflate, br, zstd\r\n");
        assert_eq!((reply.status, reply.field("Content-Type")), (200, Some(kind)));
        assert_eq!(reply.field("Content-Encoding"), Some("gzip"));
        assert_eq!(reply.field("Vary"), Some("Accept-Encoding"));
        assert_eq!(unpacked(&body), text, "{path}");
        assert!(text.len() as u64 <= crate::limits::WEB_ASSET_BYTES, "{path}");
        (packed, plain) = (packed + body.len(), plain + text.len());
        let tag = reply.field("ETag").expect("a tag");
        let known = format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n");
        assert_eq!(fetch(&house, path, &known).0.status, 304);
        let other = format!("If-None-Match: {tag}\r\n");
        let (reply, body) = fetch(&house, path, &other);
        assert_eq!((reply.status, body), (200, text.as_bytes().to_vec()), "another form of it");
    }
    assert!(packed * 5 < plain * 2, "{packed} of {plain}");
}

#[test]
fn only_who_takes_gzip_gets_it() {
    let house = House::new();
    for (accepts, encoding) in [
        ("", None),
        ("Accept-Encoding: \r\n", None),
        ("Accept-Encoding: identity\r\n", None),
        ("Accept-Encoding: br\r\n", None),
        ("Accept-Encoding: gzip;q=0\r\n", None),
        ("Accept-Encoding: *, gzip; q=0.000\r\n", None),
        ("Accept-Encoding: gzip;q=nonsense\r\n", None),
        ("Accept-Encoding: *;q=0\r\n", None),
        ("Accept-Encoding: *;q=0, gzip\r\n", Some("gzip")),
        ("Accept-Encoding: br\r\nAccept-Encoding: GZIP\r\n", Some("gzip")),
        ("Accept-Encoding: x-gzip ; Q=0.5\r\n", Some("gzip")),
        ("Accept-Encoding: *\r\n", Some("gzip")),
    ] {
        let (reply, _) = fetch(&house, "/icon.svg", accepts);
        assert_eq!(reply.field("Content-Encoding"), encoding, "{accepts:?}");
    }
}
