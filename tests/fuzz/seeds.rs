//! First inputs from what the repository has: the fuzzer goes on from there.

use std::{fs, path::PathBuf};

/// Files below `tests/` whose names end like this, as text.
pub(crate) fn files(folder: &str, end: &str) -> Vec<String> {
    // CARGO_MANIFEST_DIR is that of the relay for `cargo test`, and this folder for the fuzzer.
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = if root.ends_with("tests/fuzz") { root.join("..") } else { root.join("tests") };
    let mut folders = vec![root.join(folder)];
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for path in entries.map(|entry| entry.expect("a folder that can be listed").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    assert!(!paths.is_empty(), "no {end} below {folder}");
    paths.iter().map(|path| fs::read_to_string(path).expect("a text")).collect()
}

/// The octets that one side of a transcript sends (`tests/README.md`).
pub(crate) fn side(transcript: &str, mark: char) -> Vec<u8> {
    let said = transcript.lines().filter_map(|line| {
        let rest = line.strip_prefix(mark)?.strip_prefix(':')?;
        Some(octets(rest.strip_prefix(' ').unwrap_or(rest)))
    });
    said.flatten().collect()
}

/// The words after the `@`.
pub(crate) fn directives(transcript: &str) -> Vec<&str> {
    let lines = transcript.lines().filter_map(|line| line.strip_prefix("@ "));
    lines.flat_map(str::split_whitespace).collect()
}

/// The octets that a line of a transcript stands for.
fn octets(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(c) = rest.chars().next() {
        let two = rest.get(1..2).unwrap_or_default();
        if rest == "\\" {
            return out;
        }
        if let Some((inside, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
            let (what, times) = inside.rsplit_once('*').unwrap_or((inside, "1"));
            out.extend(octets(&format!("{what}\\")).repeat(times.parse().unwrap_or(1)));
            rest = after;
        } else if c == '\\' && two == "x" {
            out.extend(rest.get(2..4).and_then(|digits| u8::from_str_radix(digits, 16).ok()));
            rest = rest.get(4..).unwrap_or_default();
        } else if c == '\\' {
            out.push(match two {
                "r" => b'\r',
                "n" => b'\n',
                "t" => b'\t',
                "0" => 0,
                "s" => b' ',
                other => other.bytes().next().unwrap_or(b'\\'),
            });
            rest = rest.get(2..).unwrap_or_default();
        } else {
            out.extend(c.to_string().bytes());
            rest = &rest[c.len_utf8()..];
        }
    }
    out.extend(b"\r\n");
    out
}
