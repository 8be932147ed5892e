//! The files of the page, which are part of the program: packed by `build.rs`, sent as they are to
//! whoever takes that, and unpacked for the others.

use super::http::{Head, Response};
use crate::limits;
use std::io::Read;

struct Asset {
    path: &'static str,
    kind: &'static str,
    /// In the gzip format, RFC 1952.
    packed: &'static [u8],
}

/// A file of `page/`.
macro_rules! asset {
    ($path:literal, $file:literal, $kind:literal) => {
        Asset {
            path: $path,
            kind: $kind,
            packed: include_bytes!(concat!(env!("OUT_DIR"), "/", $file, ".gz")),
        }
    };
}

const ASSETS: [Asset; 16] = [
    asset!("/", "index.html", "text/html; charset=utf-8"),
    asset!("/style.css", "style.css", "text/css; charset=utf-8"),
    asset!("/kit.js", "kit.js", "text/javascript; charset=utf-8"),
    asset!("/mail.js", "mail.js", "text/javascript; charset=utf-8"),
    asset!("/people.js", "people.js", "text/javascript; charset=utf-8"),
    asset!("/settings.js", "settings.js", "text/javascript; charset=utf-8"),
    asset!("/signin.js", "signin.js", "text/javascript; charset=utf-8"),
    asset!("/domain.js", "domain.js", "text/javascript; charset=utf-8"),
    asset!("/devices.js", "devices.js", "text/javascript; charset=utf-8"),
    asset!("/trial.js", "trial.js", "text/javascript; charset=utf-8"),
    asset!("/wizard.js", "wizard.js", "text/javascript; charset=utf-8"),
    asset!("/qr.js", "qr.js", "text/javascript; charset=utf-8"),
    asset!("/care.js", "care.js", "text/javascript; charset=utf-8"),
    asset!("/board.js", "board.js", "text/javascript; charset=utf-8"),
    asset!("/app.js", "app.js", "text/javascript; charset=utf-8"),
    asset!("/icon.svg", "icon.svg", "image/svg+xml"),
];

/// One of the page's files. Browsers keep it and ask whether it is still the same: after an update
/// of the program it is not. Packed and unpacked have tags of their own, RFC 9110 §8.8.3.3.
pub(super) fn asset(head: &Head) -> Response {
    let Some(asset) = ASSETS.iter().find(|a| a.path == head.path) else {
        return Response::text(404, "There is nothing here.");
    };
    let is_packed = takes_gzip(head);
    let tag = match (tag(asset.packed), is_packed) {
        (tag, true) => tag,
        (tag, false) => tag.replacen('"', "\"plain-", 1),
    };
    let known = head.fields("if-none-match").flat_map(|f| f.split(',')).any(|t| t.trim() == tag);
    let response = match (known, is_packed) {
        (true, _) => Response::new(304, asset.kind, &b""[..]),
        (false, true) => {
            Response::new(200, asset.kind, asset.packed).with("Content-Encoding", "gzip")
        }
        (false, false) => Response::new(200, asset.kind, unpacked(asset.packed)),
    };
    let response = response.with("Vary", "Accept-Encoding");
    response.with("Cache-Control", "no-cache").with("ETag", tag)
}

/// Whether gzip is among what the client takes, RFC 9110 §12.5.3. Who says nothing may mean
/// anything, and gets it plain.
fn takes_gzip(head: &Head) -> bool {
    let codings = head.fields("accept-encoding").flat_map(|field| field.split(','));
    let weights = codings.filter_map(|coding| {
        let (name, parameter) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = match parameter.trim().split_once('=') {
            Some((q, value)) if q.trim().eq_ignore_ascii_case("q") => value.trim().parse().ok()?,
            _ => 1.0_f32,
        };
        let name = name.trim().to_ascii_lowercase();
        matches!(name.as_str(), "gzip" | "x-gzip" | "*").then_some((name == "*", weight))
    });
    // What is said of gzip itself counts, not what is said of all others.
    let first = weights.min_by_key(|(others, _)| *others);
    first.is_some_and(|(_, weight)| weight > 0.0)
}

fn unpacked(packed: &'static [u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let unpacked =
        flate2::read::GzDecoder::new(packed).take(limits::WEB_ASSET_BYTES).read_to_end(&mut plain);
    unpacked.expect("build.rs has packed it");
    plain
}

/// Entity tag of some content: other content has another one, but for chance. RFC 9110 §8.8.3.
pub(super) fn tag(content: &[u8]) -> String {
    format!("\"{:08x}-{:x}\"", crc32c::crc32c(content), content.len())
}
