//! What is wrong with a configuration, in words that say how to mend it.

use crate::limits;
use serde_json::Value;
use std::fmt;

/// Something wrong with the document. It never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `routes[1].via`; empty where it is the document as a whole.
    pub key: String,
    /// What was found there.
    pub found: String,
    /// What would be right.
    pub allowed: String,
}

impl Problem {
    /// A problem at a key.
    pub fn new(
        key: impl Into<String>,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Problem {
        Problem { key: key.into(), found: found.into(), allowed: allowed.into() }
    }
}

/// `routes[1].via: found "a b", allowed is mx, or …`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { "the configuration" } else { &self.key };
        write!(f, "{key}: found {}; allowed is {}", self.found, self.allowed)
    }
}

impl std::error::Error for Problem {}

/// A value as a problem shows it: what it is, and only for short plain values the value itself.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(list) => format!("a list of {}", list.len()),
        other => kind(other, other),
    }
}

/// The same without the value itself: for secrets.
pub(super) fn kind_shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("a text of {} octets", text.len()),
        Value::Number(_) => "a number".to_string(),
        Value::Bool(_) => "true or false".to_string(),
        other => kind(other, &Value::Null),
    }
}

fn kind(value: &Value, plain: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_string(),
        Value::Array(_) => "a list".to_string(),
        _ => plain.to_string(),
    }
}

/// A text in quotes, cut, with everything that is not plain text escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(limits::CONFIG_FOUND_CHARS).collect();
    let dots = if chars.next().is_some() { " …" } else { "" };
    format!("{start:?}{dots}")
}

/// The word among `words` that `word` is probably meant to be: at most two letters away, or a third
/// of it.
pub fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > limits::CONFIG_FOUND_CHARS {
        return None;
    }
    let near = |other: &&str| distance(word, other) <= 2.max(word.len() / 3).min(other.len() - 1);
    words.filter(|w| !w.is_empty()).filter(near).min_by_key(|other| distance(word, other))
}

/// Letters to insert, remove, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differ = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + differ);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_problem_names_the_key_what_was_found_and_what_is_allowed() {
        let problem = Problem::new("routes[1].via", shown(&json!("a b")), "mx");
        assert_eq!(problem.to_string(), r#"routes[1].via: found "a b"; allowed is mx"#);
    }

    #[test]
    fn values_are_shown_short_and_secrets_not_at_all() {
        assert_eq!(shown(&json!(12)), "12");
        assert_eq!(shown(&json!(true)), "true");
        assert_eq!(shown(&json!({"password": "hunter2"})), "an object");
        assert_eq!(shown(&json!(["hunter2"])), "a list of 1");
        assert_eq!(shown(&json!("a\n\u{1b}[2J")), r#""a\n\u{1b}[2J""#);
        assert_eq!(shown(&json!("é".repeat(61))), format!("\"{}\" …", "é".repeat(60)));
        assert_eq!(shown(&json!("é".repeat(60))), format!("\"{}\"", "é".repeat(60)));
        for secret in [json!("hunter2"), json!(4711), json!(["hunter2"]), json!({"hunter2": 4711})]
        {
            let shown = kind_shown(&secret);
            assert!(!shown.contains("hunter2") && !shown.contains("4711"), "{shown}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_the_word_that_was_meant() {
        let words = ["hostname", "listen", "trusted", "users", "dns", "retry"];
        let nearest = |word| nearest(word, words.into_iter());
        assert_eq!(nearest("hostnme"), Some("hostname"));
        assert_eq!(nearest("host_name"), Some("hostname"));
        assert_eq!(nearest("lsiten"), Some("listen"));
        assert_eq!(nearest("User"), Some("users"));
        assert_eq!(nearest("nds"), Some("dns"));
        assert_eq!(nearest("quota"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"x".repeat(10_000)), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
