//! Domain names in letters that ASCII has not: mapped as UTS #46 says, then in punycode (RFC 3492).
//!
//! What UTS #46 maps a character to is, but for a few that stand here, what compatibility
//! decomposition and lower case make of it, and these are in the program anyway; the tests compare
//! every character with the table of UTS #46. What it forbids is not known here: such a name is
//! asked for, and DNS says that there is none.

use crate::limits;
use unicode_normalization::{UnicodeNormalization, char::decompose_compatible};

/// What stands before punycode. RFC 5890 §2.3.2.5.
const PREFIX: &str = "xn--";
/// What ends a label: the full stops of Chinese and Japanese, too. UTS #46 §2.3.
const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// `domain` with each label in ASCII; labels that are so already stay as they are. Those that are
/// empty or too long are left for the caller to find.
///
/// `None` where a label holds what none may.
pub(super) fn to_ascii(domain: &str) -> Option<String> {
    let labels: Option<Vec<String>> = domain.split(DOTS).map(label).collect();
    Some(labels?.join("."))
}

fn label(text: &str) -> Option<String> {
    if text.is_ascii() {
        return Some(text.to_owned());
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return None;
    }
    let mut mapped = String::new();
    for c in text.chars() {
        map(c, &mut mapped);
    }
    let mapped: String = mapped.nfkc().collect();
    // RFC 5890 §2.3.1: of ASCII, only these.
    let may_be = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '-';
    if mapped.is_empty() || !mapped.chars().all(may_be) {
        return None;
    }
    if mapped.is_ascii() {
        return Some(mapped);
    }
    // UTS #46 §4.1: what looks like punycode is none. Each character takes an octet at least, and
    // to encode takes the square of their number.
    if mapped.starts_with(PREFIX) || mapped.chars().count() > limits::DNS_LABEL_BYTES {
        return None;
    }
    idna::punycode::encode_str(&mapped).map(|code| format!("{PREFIX}{code}"))
}

/// What stands for `c`, at the end of `mapped`. UTS #46 §5.
fn map(c: char, mapped: &mut String) {
    decompose_compatible(c, |part| match part {
        _ if is_ignored(part) => {}
        // A final sigma is a letter of its own (RFC 5892 §2.6), but not that of a formula.
        'ς' if part != c => mapped.push('σ'),
        _ => match exception(part) {
            Some(other) => mapped.push(other),
            None => mapped.extend(part.to_lowercase()),
        },
    });
}

/// What does not show (Unicode's `Default_Ignorable_Code_Point`), but for the joiners, which are
/// letters of some names (RFC 5892 §A.1), and what UTS #46 forbids.
fn is_ignored(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{2060}'..='\u{2064}'
        | '\u{206a}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0100}'..='\u{e01ef}')
}

/// Letters that are folded to others than those of lower case. Unicode's `CaseFolding`.
fn exception(c: char) -> Option<char> {
    let moved = |from: u32, to: u32| char::from_u32(u32::from(c) - from + to);
    match c {
        // The iota below a Greek letter stands after it.
        '\u{345}' => Some('ι'),
        // Cherokee had capitals first, and stays with them.
        '\u{13a0}'..='\u{13f5}' => Some(c),
        '\u{13f8}'..='\u{13fd}' => moved(0x13f8, 0x13f0),
        '\u{ab70}'..='\u{abbf}' => moved(0xab70, 0x13a0),
        // Old shapes of Cyrillic letters.
        '\u{1c80}' => Some('в'),
        '\u{1c81}' => Some('д'),
        '\u{1c82}' => Some('о'),
        '\u{1c83}' => Some('с'),
        '\u{1c84}' | '\u{1c85}' => Some('т'),
        '\u{1c86}' => Some('ъ'),
        '\u{1c87}' => Some('ѣ'),
        '\u{1c88}' => Some('ꙋ'),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
