//! Checks of the code itself: who may name whom, one door a crate, how long things may be.
//! The map of the floors is in `src/README.md`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folder or file, and what of this crate it may name. The first row that fits counts.
const FLOORS: &[(&str, &[&str])] = &[
    ("src/limits.rs", &[]),
    ("src/chance.rs", &[]),
    ("src/pairs.rs", &[]),
    ("src/time.rs", &[]),
    ("src/proto", &["limits", "time", "pairs", "proto"]),
    ("src/config", &["proto", "limits", "time", "pairs", "config"]),
    ("src/sys", &["limits", "time", "pairs", "sys"]),
    ("src/board", &["proto", "sys", "config", "limits", "time", "pairs", "board"]),
    ("src/drive.rs", &["proto", "sys", "limits"]),
    ("src/relay/schedule", &["proto", "config", "limits", "time", "pairs", "relay"]),
    ("src/relay/route", &["proto", "config", "limits", "time", "pairs", "relay"]),
    ("src/relay/refusal", &["proto", "config", "limits", "time", "pairs", "relay"]),
    ("src/relay/admit", &["proto", "config", "limits", "time", "pairs", "relay"]),
    ("src/relay", &["proto", "sys", "drive", "config", "limits", "time", "pairs", "relay"]),
    (
        "src/serve",
        &["proto", "sys", "drive", "config", "limits", "time", "pairs", "relay", "serve"],
    ),
];

/// An outside crate, and the only places that may name it.
const DOORS: &[(&str, &[&str])] = &[
    ("smol::", &["src/sys/linux"]),
    ("signal_hook::", &["src/sys/linux"]),
    ("rustix::", &["src/sys/linux"]),
    ("sled::", &["src/sys/index"]),
    ("rustls::", &["src/sys/tls"]),
    ("futures_rustls::", &["src/sys/tls"]),
    ("embedded_tls::", &["src/sys/tls"]),
    ("rcgen::", &["src/sys/tls"]),
    ("webpki_roots::", &["src/sys/tls"]),
    // In src/sys/tls it is the module of rustls by that name.
    ("ring::", &["src/sys/keys", "src/sys/tls"]),
    ("rustls_pki_types::", &["src/sys/keys"]),
    ("crypto_bigint::", &["src/sys/keys"]),
    ("crypto_primes::", &["src/sys/keys"]),
    ("hickory_proto::", &["src/proto/dns"]),
    (
        "serde_json::",
        &[
            "src/board",
            "src/config",
            "src/proto/oauth",
            "src/relay/clients",
            "src/serve/board",
            "src/serve/control",
            "src/serve/push",
            "src/serve/web",
            "src/cli",
        ],
    ),
    ("serde_json_core::", &["src/config", "src/serve/web", "src/cli"]),
    ("httparse::", &["src/proto/http", "src/serve/web", "src/cli"]),
    ("flate2::", &["src/serve/web/page"]),
    ("argon2::", &["src/relay/accounts"]),
    (
        "base64::",
        &[
            "src/proto",
            "src/cli",
            "src/config",
            "src/relay/accounts",
            "src/serve/web/board",
            "src/serve/web/tools",
            "src/sys/keys",
            "src/sys/tls",
        ],
    ),
    ("lexopt::", &["src/cli"]),
    ("hmac::", &["src/proto/mail/srs", "src/proto/sasl"]),
    ("md5::", &["src/proto/sasl"]),
    ("sha2::", &["src/proto/mail/srs", "src/proto/oauth", "src/proto/sasl"]),
    ("unicode_normalization::", &["src/proto/dns/idn", "src/proto/sasl"]),
    ("idna::", &["src/proto/dns/idn"]),
];

/// All but `src/sys` and what composes.
const ABOVE: &[&str] =
    &["src/proto", "src/config", "src/drive.rs", "src/relay", "src/serve", "src/board"];

/// What the world alone may touch, and what the ground floor may not even know.
const BANNED: &[(&str, &[&str])] = &[
    ("std::net::Tcp", ABOVE),
    ("std::net::Udp", ABOVE),
    ("std::fs", ABOVE),
    ("std::thread", ABOVE),
    ("std::process", ABOVE),
    ("std::env", ABOVE),
    ("SystemTime", ABOVE),
    ("std::time::Instant", ABOVE),
    ("eprintln!", ABOVE),
    ("println!", ABOVE),
    ("TODO", &["src"]),
    ("FIXME", &["src"]),
    ("unimplemented!(", &["src"]),
    ("todo!(", &["src"]),
];

/// Pure files of the middle floor: no world at all.
const PURE: &[&str] =
    &["src/relay/schedule", "src/relay/route", "src/relay/refusal", "src/relay/admit"];

const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 800;
const COLUMNS: usize = 100;

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{dir} holds no source");
    found.sort();
    found
}

fn lies_in(path: &Path, place: &str) -> bool {
    path.to_str().is_some_and(|p| {
        p == place || p.strip_prefix(place).is_some_and(|rest| rest.starts_with(['/', '.']))
    })
}

/// The source files of the product; tests in files of their own may use what they like.
fn product() -> Vec<(PathBuf, String)> {
    let is_test = |path: &Path| {
        path.components().any(|part| {
            let name = part.as_os_str().to_str().unwrap_or("").trim_end_matches(".rs");
            name == "tests" || name.ends_with("_tests") || name == "vectors"
        })
    };
    sources("src").into_iter().filter(|(path, _)| !is_test(path)).collect()
}

/// The code without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or("");
    let plain = |line: &str| line.split("//").next().unwrap_or("").to_string();
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// The names that follow `crate::`, in groups too.
fn named(code: &str) -> Vec<String> {
    let flat = code.replace('\n', " ");
    let mut names = Vec::new();
    for (at, _) in flat.match_indices("crate::") {
        let before = flat[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &flat[at + "crate::".len()..];
        let first = |part: &str| -> String {
            part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        let Some(group) = rest.strip_prefix('{') else {
            names.push(first(rest));
            continue;
        };
        let mut depth = 0;
        let mut part = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    names.push(first(&part));
                    part.clear();
                    continue;
                }
                _ => {}
            }
            part.push(c);
        }
        names.push(first(&part));
    }
    names.retain(|name| !name.is_empty());
    names
}

fn report(errors: &[String]) {
    assert!(errors.is_empty(), "\n{}\n", errors.join("\n"));
}

#[test]
fn floors_name_only_what_lies_below_them() {
    let mut errors = Vec::new();
    for (path, text) in product() {
        let Some((_, allowed)) = FLOORS.iter().find(|(floor, _)| lies_in(&path, floor)) else {
            continue;
        };
        for name in named(&code(&text)) {
            if !allowed.contains(&name.as_str()) {
                errors.push(format!("{}: may not name crate::{name}", path.display()));
            }
        }
    }
    report(&errors);
}

#[test]
fn pure_files_hold_no_world() {
    let mut errors = Vec::new();
    for (path, text) in product() {
        if PURE.iter().any(|place| lies_in(&path, place)) {
            for word in ["crate::sys", "Sys", "async fn", ".await"] {
                if code(&text).contains(word) {
                    errors.push(format!("{}: {word} in a pure file", path.display()));
                }
            }
        }
    }
    report(&errors);
}

#[test]
fn each_crate_has_one_door() {
    let mut errors = Vec::new();
    for (path, text) in product() {
        let code = code(&text);
        for (krate, doors) in DOORS {
            let used = code.match_indices(krate).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if used && !doors.iter().any(|door| lies_in(&path, door)) {
                errors.push(format!("{}: {krate} is for {doors:?} alone", path.display()));
            }
        }
    }
    report(&errors);
}

#[test]
fn the_world_is_touched_only_beside_the_floors() {
    let mut errors = Vec::new();
    for (path, text) in product() {
        for (word, places) in BANNED {
            let place = places.iter().any(|p| *p == "src" || lies_in(&path, p));
            if place && code(&text).contains(word) {
                errors.push(format!("{}: {word}", path.display()));
            }
        }
    }
    report(&errors);
}

#[test]
fn functions_fit_a_screen_and_files_a_sitting() {
    let mut errors = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES {
            errors.push(format!("{}: {} lines", path.display(), lines.len()));
        }
        let mut open: Option<(usize, String)> = None;
        for (n, line) in lines.iter().enumerate() {
            // Data in tests and pictures in comments may be as wide as they have to.
            let is_data = line.contains("{\"") || line.contains('─') || line.contains('▶');
            if line.chars().count() > COLUMNS && !is_data && !line.contains("\": ") {
                errors.push(format!(
                    "{}:{}: {} columns",
                    path.display(),
                    n + 1,
                    line.chars().count()
                ));
            }
            let indent: String = line.chars().take_while(|c| *c == ' ').collect();
            let starts = line.contains("fn ") && line.trim_end().ends_with('{');
            match &open {
                None if starts && !line.trim_start().starts_with("//") => open = Some((n, indent)),
                Some((start, depth)) if *line == format!("{depth}}}") => {
                    if n - start + 1 > FUNCTION_LINES {
                        errors.push(format!(
                            "{}:{}: {} lines",
                            path.display(),
                            start + 1,
                            n - start + 1
                        ));
                    }
                    open = None;
                }
                _ => {}
            }
        }
    }
    report(&errors);
}

#[test]
fn the_rules_above_catch_what_they_are_for() {
    let bad = "use crate::{serve::web, sys::{Sys, Clock}, time};\nfn f() { crate::relay::x() }";
    assert_eq!(named(bad), ["serve", "sys", "time", "relay"]);
    assert!(lies_in(Path::new("src/relay/route.rs"), "src/relay/route"));
    assert!(lies_in(Path::new("src/sys/linux/net.rs"), "src/sys/linux"));
    assert!(!lies_in(Path::new("src/relay/router.rs"), "src/relay/route"));
    assert!(!code("a // smol::x\n#[cfg(test)] mod tests { sled::x }").contains("::"));
}
