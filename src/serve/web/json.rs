//! JSON as it is sent: one value at a time into a growing buffer.
//!
//! serde-json-core writes into a slice of fixed size, so each value gets room as it turns out to
//! need it, up to [`limits::WEB_ROW_BYTES`]; long lists never stand in memory twice.

use crate::limits;
use serde::Serialize;

/// A JSON object under construction.
pub(super) struct Json(Vec<u8>);

impl Json {
    /// `{`
    pub(super) fn object() -> Json {
        Json(vec![b'{'])
    }

    /// A member; left out where it is longer than [`limits::WEB_ROW_BYTES`]. `name` needs no
    /// escapes.
    #[must_use]
    pub(super) fn member(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Json {
        let before = self.0.len();
        self.name(name);
        if !write(&mut self.0, value) {
            self.0.truncate(before);
        }
        self
    }

    /// A member that is a list; rows longer than [`limits::WEB_ROW_BYTES`] are left out.
    #[must_use]
    pub(super) fn list<T: Serialize>(mut self, name: &str, rows: &[T]) -> Json {
        self.name(name);
        self.0.push(b'[');
        let mut first = true;
        for row in rows {
            let before = self.0.len();
            if !first {
                self.0.push(b',');
            }
            if write(&mut self.0, row) {
                first = false;
            } else {
                self.0.truncate(before);
            }
        }
        self.0.push(b']');
        self
    }

    /// The members of another object, which `value` must be.
    #[must_use]
    pub(super) fn members(mut self, value: &impl Serialize) -> Json {
        let mut inner = Vec::new();
        if write(&mut inner, value)
            && let [b'{', members @ .., b'}'] = inner.as_slice()
            && !members.is_empty()
        {
            self.comma();
            self.0.extend_from_slice(members);
        }
        self
    }

    /// `}`, and all of it.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn comma(&mut self) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
    }

    fn name(&mut self, name: &str) {
        self.comma();
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

/// One value on the end of `into`; `false`, and nothing written, where it is too long.
fn write(into: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> bool {
    let start = into.len();
    let mut room = 512;
    while room <= limits::WEB_ROW_BYTES {
        into.resize(start + room, 0);
        if let Some(slice) = into.get_mut(start..)
            && let Ok(used) = serde_json_core::to_slice(value, slice)
        {
            into.truncate(start + used);
            return true;
        }
        room *= 2;
    }
    into.truncate(start);
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_strings_read_back_as_they_were() {
        let hostile = "\"\\\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}</script><!--\u{2028}é😀";
        let text = Json::object().member("a", hostile).list("b", &[hostile, ""]).end();
        let back: serde_json::Value = serde_json::from_slice(&text).expect("valid JSON");
        assert_eq!(back, serde_json::json!({ "a": hostile, "b": [hostile, ""] }));
    }

    #[test]
    fn a_value_may_fill_its_bound_and_one_octet_more_is_left_out() {
        let fits = "x".repeat(limits::WEB_ROW_BYTES - 2);
        let too_long = "x".repeat(limits::WEB_ROW_BYTES - 1);
        let json = Json::object().list("a", &[too_long.as_str(), &fits, &too_long, "y"]);
        let text = json.member("b", &too_long).member("c", &1).end();
        let back: serde_json::Value = serde_json::from_slice(&text).expect("valid JSON");
        assert_eq!(back, serde_json::json!({ "a": [fits, "y"], "c": 1 }));
    }

    #[test]
    fn members_of_another_object_join_in() {
        #[derive(Serialize)]
        struct Two {
            a: u8,
            b: Option<u8>,
        }
        let text = Json::object().member("c", &true).members(&Two { a: 1, b: None }).end();
        assert_eq!(text, br#"{"c":true,"a":1,"b":null}"#);
        assert_eq!(Json::object().end(), b"{}");
    }
}
