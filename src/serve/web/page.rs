//! The files of the page, which are part of the program.

use super::http::{Head, Response};

struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 8] = [
    Asset { path: "/", kind: "text/html; charset=utf-8", text: include_str!("page/index.html") },
    Asset {
        path: "/style.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("page/style.css"),
    },
    Asset {
        path: "/kit.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("page/kit.js"),
    },
    Asset {
        path: "/mail.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("page/mail.js"),
    },
    Asset {
        path: "/people.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("page/people.js"),
    },
    Asset {
        path: "/settings.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("page/settings.js"),
    },
    Asset {
        path: "/app.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("page/app.js"),
    },
    Asset { path: "/icon.svg", kind: "image/svg+xml", text: include_str!("page/icon.svg") },
];

/// One of the page's files. Browsers keep it and ask whether it is still the same: after an update
/// of the program it is not.
pub(super) fn asset(head: &Head) -> Response {
    let Some(asset) = ASSETS.iter().find(|a| a.path == head.path) else {
        return Response::text(404, "There is nothing here.");
    };
    let tag = tag(asset.text.as_bytes());
    let known = head.fields("if-none-match").flat_map(|f| f.split(',')).any(|t| t.trim() == tag);
    let (status, body) = if known { (304, "") } else { (200, asset.text) };
    let response = Response::new(status, asset.kind, body.as_bytes());
    response.with("Cache-Control", "no-cache").with("ETag", tag)
}

/// Entity tag of some content: other content has another one, but for chance. RFC 9110 §8.8.3.
pub(super) fn tag(content: &[u8]) -> String {
    format!("\"{:08x}-{:x}\"", crc32c::crc32c(content), content.len())
}
