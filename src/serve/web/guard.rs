//! Is a request meant for this page, and does it come from this page?

use super::http::{Head, Response};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Top-level names that nobody can register: a stranger's DNS cannot point one at us. RFC 6762 §3
/// (local), RFC 8375 (home.arpa), ICANN resolution 2024.07.29.06 (internal); lan and home are not
/// delegated.
const PRIVATE: [&str; 5] = [".local", ".home.arpa", ".internal", ".lan", ".home"];

/// Against DNS rebinding: a page from elsewhere whose name suddenly has our address must not read
/// ours.
/// `hosts` are the names we go by, lower case.
pub(super) fn is_ours(host: &str, hosts: &[String]) -> bool {
    let name = without_port(host).to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    if let Some(six) = name.strip_prefix('[') {
        return six.strip_suffix(']').is_some_and(|a| a.parse::<Ipv6Addr>().is_ok());
    }
    let plain = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    plain
        && (name.parse::<Ipv4Addr>().is_ok()
            || !name.contains('.')
            || PRIVATE.iter().any(|end| name.ends_with(end))
            || hosts.iter().any(|ours| ours == name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Against cross-site requests (CSRF), beside the token: what a browser says of where a request
/// comes from must be this very page. Programs say nothing, and are none that could be tricked.
pub(super) fn comes_from_here(head: &Head) -> bool {
    let site = head.fields("sec-fetch-site").all(|site| matches!(site, "same-origin" | "none"));
    let origin = head.fields("origin").all(|origin| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|a| !a.is_empty() && a.eq_ignore_ascii_case(&head.host))
    });
    site && origin
}

/// A form of another site can send a body of text or of a form without asking; JSON it cannot.
pub(super) fn is_json(head: &Head) -> bool {
    let kind = head.field("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    head.length == 0 || kind.eq_ignore_ascii_case("application/json")
}

/// The token that a program sends. RFC 6750 §2.1.
pub(super) fn bearer(head: &Head) -> Option<&str> {
    let (scheme, token) = head.field("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Why a page under this name is not shown.
pub(super) fn misdirected(host: &str) -> Response {
    Response::text(
        421,
        &format!(
            "This relay does not go by the name '{host}'. Call the page by the relay's IP \
             address or by its own name; if this name is right, make it the host name in the \
             settings."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_stranger_cannot_own_are_ours() {
        let hosts = ["relay.example.org".to_string()];
        for good in [
            "192.168.1.5",
            "192.168.1.5:8025",
            "[::1]",
            "[fd00::1]:80",
            "localhost:8025",
            "waypost",
            "Waypost.LOCAL",
            "relay.home.arpa.",
            "relay.lan",
            "RELAY.example.org:80",
        ] {
            assert!(is_ours(good, &hosts), "{good}");
        }
        for bad in [
            "",
            ":80",
            "evil.example",
            "192.168.1.5.evil.example",
            "relay.example.org.evil.example",
            "local.evil.example",
            "evillocal.example:80",
            "[evil.example]",
            "[::1",
            "user@192.168.1.5",
            "evil.example#.local",
            "evil.example:80:80",
        ] {
            assert!(!is_ours(bad, &hosts), "{bad}");
        }
    }
}
