//! The configuration as its JSON document: read strictly, changed by path, printed the same way
//! every time.

use super::{Config, Problem, Surroundings, problem::quoted, read};
use crate::limits;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// A configuration as it is written: one JSON object whose keys keep their order.
///
/// Equal when the same keys hold the same values, whatever their order.
#[derive(Clone, PartialEq)]
pub struct Document(pub(super) Map<String, Value>);

impl Default for Document {
    /// `{}`: every default.
    fn default() -> Document {
        Document(Map::new())
    }
}

/// Documents may hold secrets.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({:?})", self.redacted().0)
    }
}

impl Document {
    /// Read a document of at most [`limits::CONFIG_BYTES`]. A byte order mark, as Windows editors
    /// write it on a boot partition, is skipped; an empty text is the empty document.
    ///
    /// # Errors
    /// No JSON (with line and column), no object, too large, too deep, or a key twice in one
    /// object: which of the two would hold is nothing a person should have to know (RFC 8259 §4).
    pub fn parse(text: &str) -> Result<Document, Problem> {
        let whole = |found: &str, allowed: &str| Problem::new("", found, allowed);
        if text.len() > limits::CONFIG_BYTES {
            let found = format!("{} octets", text.len());
            return Err(whole(&found, &format!("at most {}", limits::CONFIG_BYTES)));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Ok(Document::default());
        }
        match value(text) {
            Ok(Value::Object(object)) => Ok(Document(object)),
            Ok(_) => Err(whole("JSON that is no object", "one object: { … }")),
            Err(error) => Err(whole(&error.to_string(), "one JSON object")),
        }
    }

    /// The value at a path (`retry.first`, `routes[1].via`), as JSON; `None` where nothing is.
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut steps = steps(path)?.into_iter();
        let Some(Step::Key(first)) = steps.next() else { return None };
        let mut value = self.0.get(first)?;
        for step in steps {
            value = match step {
                Step::Key(key) => value.as_object()?.get(key)?,
                Step::Index(n) => value.as_array()?.get(n)?,
            };
        }
        Some(value)
    }

    /// Put a value at a path. Objects and lists on the way are made; an index one past the end
    /// appends.
    ///
    /// # Errors
    /// The path is none, or leads through something that is neither object nor list.
    pub fn set(&mut self, path: &str, value: Value) -> Result<(), Problem> {
        let bad = |found: &str| {
            Problem::new(path, found, "a key such as retry.first or routes[0].via".to_string())
        };
        let steps = steps(path).ok_or_else(|| bad("no key"))?;
        let Some((Step::Key(first), rest)) = steps.split_first() else {
            return Err(bad("no key"));
        };
        let mut place = self.0.entry(*first).or_insert(Value::Null);
        for step in rest {
            place = match (step, place) {
                (Step::Key(key), place @ (Value::Null | Value::Object(_))) => {
                    if place.is_null() {
                        *place = Value::Object(Map::new());
                    }
                    let object = place.as_object_mut().expect("just made one where it was none");
                    object.entry(*key).or_insert(Value::Null)
                }
                (Step::Index(n), place @ (Value::Null | Value::Array(_))) => {
                    if place.is_null() {
                        *place = Value::Array(Vec::new());
                    }
                    let list = place.as_array_mut().expect("just made one where it was none");
                    if *n == list.len() {
                        list.push(Value::Null);
                    }
                    let length = list.len();
                    list.get_mut(*n).ok_or_else(|| bad(&format!("index {n} of {length}")))?
                }
                (Step::Key(key), _) => return Err(bad(&format!("no object to hold {key}"))),
                (Step::Index(n), _) => return Err(bad(&format!("no list to hold index {n}"))),
            };
        }
        *place = value;
        Ok(())
    }

    /// Put a value given as text, as a person types it: JSON where it is JSON, else the text
    /// itself.
    ///
    /// # Errors
    /// As [`Document::set`].
    pub fn set_text(&mut self, path: &str, text: &str) -> Result<(), Problem> {
        self.set(path, value(text).unwrap_or_else(|_| Value::String(text.to_string())))
    }

    /// Take away what is at a path, and tell whether there was something.
    pub fn remove(&mut self, path: &str) -> bool {
        let Some(steps) = steps(path) else { return false };
        let Some((last, before)) = steps.split_last() else { return false };
        let Some((Step::Key(first), rest)) = before.split_first() else {
            return matches!(last, Step::Key(key) if self.0.shift_remove(*key).is_some());
        };
        let mut place = self.0.get_mut(*first);
        for step in rest {
            place = match (step, place) {
                (Step::Key(key), Some(Value::Object(object))) => object.get_mut(*key),
                (Step::Index(n), Some(Value::Array(items))) => items.get_mut(*n),
                _ => None,
            };
        }
        match (last, place) {
            (Step::Key(key), Some(Value::Object(object))) => object.shift_remove(*key).is_some(),
            (Step::Index(n), Some(Value::Array(items))) if *n < items.len() => {
                items.remove(*n);
                true
            }
            _ => false,
        }
    }

    /// Typed values, every default filled in.
    ///
    /// Secrets must be in the document (see [`Document::join`]), and passwords of users and of the
    /// page must be hashes (see [`Document::clear_passwords`]).
    ///
    /// # Errors
    /// All that is wrong, in the document's order.
    pub fn config(&self, surroundings: &Surroundings) -> Result<Config, Vec<Problem>> {
        read::config(self, surroundings, read::Clear::Refused)
    }

    /// All that is wrong; as [`Document::config`], but passwords may still be in clear.
    pub fn problems(&self, surroundings: &Surroundings) -> Vec<Problem> {
        read::config(self, surroundings, read::Clear::Taken).err().unwrap_or_default()
    }
}

/// Indented by two blanks, with a line end at the end. The same document always prints the same.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string_pretty(&self.0).map_err(|_| fmt::Error)?;
        writeln!(f, "{text}")
    }
}

/// Any JSON value, read as strictly as a document.
pub(super) fn value(text: &str) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 0 }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// `a.b[3].c` in steps; `None` where that is not how it is written.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (key, mut indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        if key.is_empty() || steps.len() > limits::CONFIG_DEPTH {
            return None;
        }
        steps.push(Step::Key(key));
        while !indexes.is_empty() {
            let (number, rest) = indexes.strip_prefix('[')?.split_once(']')?;
            let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            steps.push(Step::Index(plain.then(|| number.parse().ok())??));
            indexes = rest;
        }
    }
    Some(steps)
}

/// Reads any JSON value as `serde_json` does, but refuses what is nested too deep and keys given
/// twice.
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(&self) -> Result<Strict, E> {
        if self.depth >= limits::CONFIG_DEPTH {
            return Err(E::custom("too many levels of nesting"));
        }
        Ok(Strict { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.deeper()?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(de::Error::custom(format!("the key {} twice", quoted(&key))));
            }
            object.insert(key, entries.next_value_seed(self.deeper()?)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(text: &str) -> Document {
        Document::parse(text).expect("a document")
    }

    fn refusal(text: &str) -> String {
        Document::parse(text).expect_err("no document").to_string()
    }

    #[test]
    fn a_password_of_any_characters_reads_back_as_it_was_set() {
        let password = "\"\\\"'\\u00e9 é \u{1f511} \u{0} \u{7f} \\n";
        let mut set = Document::default();
        set.set("admin.password", json!(password)).expect("a path");
        let again = document(&set.to_string());
        assert_eq!(again.get("admin.password"), Some(&json!(password)));
        assert_eq!(again.to_string(), set.to_string());
        // As a browser escapes it: a surrogate pair for the emoji (RFC 8259 §7).
        let browser = document(r#"{"admin": {"password": "\"\\ \u00e9 \ud83d\udd11"}}"#);
        assert_eq!(browser.get("admin.password"), Some(&json!("\"\\ é \u{1f511}")));
    }

    #[test]
    fn a_document_prints_the_same_whenever_it_is_read_again() {
        let text = "{\n  \"users\": [\n    {\n      \"name\": \"b\"\n    }\n  ],\n  \
                    \"hostname\": \"a\",\n  \"dns\": []\n}\n";
        assert_eq!(document(text).to_string(), text);
        assert_eq!(Document::default().to_string(), "{}\n");
    }

    #[test]
    fn nothing_a_byte_order_mark_and_blanks_are_documents() {
        for text in ["", " \n", "\u{feff}", "\u{feff}{}", "{}", " { } \n"] {
            assert_eq!(document(text), Document::default(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_place() {
        assert!(refusal("{\n \"dns\": [}").contains("line 2 column 10"));
        assert!(refusal("{} {}").contains("trailing characters"));
        assert!(refusal("[]").contains("no object"));
        assert!(refusal(r#"{"a":1,"a":2}"#).contains(r#"the key "a" twice"#));
        assert!(refusal(r#"{"a":{"b":1,"c":0,"b":2}}"#).contains(r#"the key "b" twice"#));
        assert!(refusal("{\"a\":\"\\ud83d\"}").contains("line 1"), "half a surrogate pair");
    }

    #[test]
    fn a_document_is_bounded_in_size() {
        let text = |n: usize| format!("{{{}}}", " ".repeat(n - 2));
        assert!(Document::parse(&text(limits::CONFIG_BYTES)).is_ok());
        assert!(refusal(&text(limits::CONFIG_BYTES + 1)).contains("262145 octets"));
    }

    #[test]
    fn a_document_is_bounded_in_depth() {
        let text = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n - 1), "]".repeat(n - 1));
        assert!(Document::parse(&text(limits::CONFIG_DEPTH)).is_ok());
        assert!(refusal(&text(limits::CONFIG_DEPTH + 2)).contains("too many levels"));
        assert!(refusal(&"[".repeat(100_000)).contains("too many levels"));
        assert!(refusal(&"{\"a\":".repeat(40_000)).contains("too many levels"));
    }

    #[test]
    fn values_are_found_set_and_removed_by_path() {
        let mut d = document(r#"{"users":[{"name":"a"},{"name":"b"}],"retry":{"first":"1m"}}"#);
        assert_eq!(d.get("users[1].name"), Some(&json!("b")));
        assert_eq!(d.get("retry"), Some(&json!({"first": "1m"})));
        for nothing in [
            "users[2].name",
            "users.name",
            "retry[0]",
            "x",
            "",
            "users[",
            "users[x]",
            "[0]",
            "a..b",
        ] {
            assert_eq!(d.get(nothing), None, "{nothing}");
        }
        d.set_text("users[2].name", "c").expect("one past the end appends");
        d.set_text("limits.message", "25M").expect("objects are made");
        d.set_text("limits.sessions", "64").expect("numbers are numbers");
        d.set_text("trusted", r#"["::1"]"#).expect("JSON is JSON");
        assert_eq!(d.get("users[2]"), Some(&json!({"name": "c"})));
        assert_eq!(d.get("limits"), Some(&json!({"message": "25M", "sessions": 64})));
        assert_eq!(d.get("trusted[0]"), Some(&json!("::1")));
        for bad in ["users[5].name", "users.name", "retry.first.x", "retry[0]", "", "a.", "a[1"] {
            let before = d.clone();
            assert!(d.set_text(bad, "x").is_err(), "{bad}");
            assert_eq!(d.get("users"), before.get("users"), "{bad}");
        }
        assert!(d.remove("users[0]") && d.remove("retry.first") && d.remove("limits"));
        assert!(
            !d.remove("users[7]") && !d.remove("nothing") && !d.remove("") && !d.remove("a[0]")
        );
        assert_eq!(d.get("users[0].name"), Some(&json!("b")));
        assert_eq!(d.get("retry"), Some(&json!({})));
    }
}
