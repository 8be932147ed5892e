//! What is printed for people: plain text of 80 columns. What strangers sent is in it, so no
//! control character reaches the terminal.

use crate::{limits, time::Wall};
use serde_json::Value;

/// A text on one line: controls become blanks, and what is too long is cut.
pub(super) fn plain(text: &str) -> String {
    one_line(text, limits::SHOWN_CHARS)
}

fn one_line(text: &str, most: usize) -> String {
    let mut chars = text.chars().map(|c| if is_hidden(c) { ' ' } else { c });
    let mut line: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        line.push('…');
    }
    line
}

/// Controls, and the marks that reorder a line on a screen (Unicode UAX #9).
fn is_hidden(c: char) -> bool {
    let reorders = '\u{202a}'..='\u{202e}';
    let isolates = '\u{2066}'..='\u{2069}';
    c.is_control()
        || reorders.contains(&c)
        || isolates.contains(&c)
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
}

/// A text of an object; empty where it is not there.
pub(super) fn text(of: &Value, key: &str) -> String {
    of.get(key).and_then(Value::as_str).map(plain).unwrap_or_default()
}

fn number(of: &Value, key: &str) -> Option<u64> {
    of.get(key)?.as_u64()
}

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The records of keys, each as forms on web pages want it and as a zone file does: to be copied,
/// so nothing is cut.
pub(super) fn records(of: &Value) -> String {
    let whole = |key: &Value, name: &str| {
        let text = key.get(name).and_then(Value::as_str).unwrap_or_default();
        text.chars().filter(|c| !is_hidden(*c)).collect::<String>()
    };
    let record = |key: &Value| {
        let [name, text, zone] = ["name", "text", "zone"].map(|part| whole(key, part));
        format!("\n  name   {name}\n  type   TXT\n  value  {text}\n  zone   {zone}\n")
    };
    list(of, "keys").map(record).collect()
}

/// How a domain looks from outside: a verdict each, why, and what to publish.
pub(super) fn findings(of: &Value) -> String {
    let whole = |of: &Value, name: &str| {
        let text = of.get(name).and_then(Value::as_str).unwrap_or_default();
        text.chars().filter(|c| !is_hidden(*c)).collect::<String>()
    };
    let finding = |finding: &Value| {
        let [about, verdict] = ["about", "verdict"].map(|part| text(finding, part));
        let words = wrapped(&text(finding, "words"), 9);
        let publish = finding.get("publish").filter(|publish| publish.is_object());
        let publish = publish.map_or_else(String::new, |publish| {
            let [name, kind, value] = ["name", "type", "value"].map(|part| whole(publish, part));
            format!(
                "         publish  {name}\n         type     {kind}\n         value    {value}\n"
            )
        });
        format!("{verdict:<7}  {about}\n{words}{publish}")
    };
    list(of, "findings").map(finding).collect()
}

/// Only what they come to.
pub(super) fn verdicts(of: &Value) -> impl Iterator<Item = &str> {
    list(of, "findings").filter_map(|finding| finding.get("verdict").and_then(Value::as_str))
}

/// The sign-ins that there are, a line or two each.
pub(super) fn sign_ins(of: &Value) -> String {
    let row = |row: &Value| {
        let [user, at, via, state] = ["user", "at", "via", "state"].map(|part| text(row, part));
        let words = wrapped(&text(row, "words"), 2);
        format!("{user} at {at}, for {via}: {state}\n{words}")
    };
    list(of, "rows").map(row).collect()
}

/// What should be known beside.
pub(super) fn notes(of: &Value) -> Vec<String> {
    list(of, "notes").filter_map(Value::as_str).map(plain).collect()
}

/// Words in lines of [`limits::SHOWN_COLUMNS`], each indented. A word longer than that has a line
/// for itself.
pub(super) fn wrapped(words: &str, indent: usize) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > limits::SHOWN_COLUMNS {
            lines.push('\n');
            column = 0;
        }
        if column == 0 {
            lines.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines
}

/// Seconds, in the two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let at = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    let (unit, name) = units[at];
    let first = format!("{}{name}", seconds / unit);
    match units.get(at + 1) {
        Some((next, name)) if seconds % unit >= *next => {
            format!("{first} {}{name}", seconds % unit / next)
        }
        _ => first,
    }
}

/// Octets, rounded, in the largest unit.
pub(super) fn size(octets: u64) -> String {
    let units = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match units.iter().find(|(unit, _)| octets >= *unit) {
        Some((unit, name)) => {
            let tenths = octets / (unit / 10).max(1);
            format!("{}.{}{name}", tenths / 10, tenths % 10)
        }
        None => octets.to_string(),
    }
}

/// A message of the queue in three lines or so.
pub(super) fn row(row: &Value) -> String {
    let from = match text(row, "from") {
        from if from.is_empty() => "<> (a report)".to_string(),
        from => from,
    };
    let tries = match number(row, "attempts").unwrap_or(0) {
        0 => "not tried yet".to_string(),
        1 => "1 try".to_string(),
        n => format!("{n} tries"),
    };
    let next = match (text(row, "state").as_str(), number(row, "next")) {
        ("waiting" | "due", Some(seconds)) => format!(", next in {}", duration(seconds)),
        _ => String::new(),
    };
    let size = size(number(row, "size").unwrap_or(0));
    let (id, state) = (text(row, "id"), text(row, "state"));
    let mut lines = format!("{id:<10}  {state:<7}  {size:>6}  {}\n", one_line(&from, 51));
    let to: Vec<String> = list(row, "to").filter_map(Value::as_str).map(plain).collect();
    let subject = match text(row, "subject") {
        subject if subject.is_empty() => String::new(),
        subject => format!(" \u{201c}{}\u{201d}", one_line(&subject, 200)),
    };
    lines += &wrapped(&format!("to {}{subject}", to.join(", ")), 12);
    lines += &wrapped(&format!("{tries}{next}"), 12);
    lines + &wrapped(&text(row, "reason"), 12)
}

/// The last line of a list: how many, by state.
pub(super) fn total(states: &[String]) -> String {
    if states.is_empty() {
        return "The queue is empty.".to_string();
    }
    let count = |state: &str| states.iter().filter(|s| *s == state).count();
    let counts: Vec<String> = ["due", "sending", "waiting", "held"]
        .into_iter()
        .filter(|state| count(state) > 0)
        .map(|state| format!("{} {state}", count(state)))
        .collect();
    let plural = if states.len() == 1 { "" } else { "s" };
    format!("{} message{plural}: {}", states.len(), counts.join(", "))
}

/// How much room the queue takes, and what is wrong.
pub(super) fn standing(status: &Value) -> String {
    let spool = status.get("spool").unwrap_or(&Value::Null);
    let mut lines = match (number(spool, "used"), number(spool, "most")) {
        (Some(used), Some(most)) => {
            format!("The spool takes {} of {}.\n", size(used), size(most))
        }
        _ => String::new(),
    };
    for problem in list(status, "problems") {
        lines += &wrapped(&text(problem, "words"), 0);
    }
    lines
}

/// A message of the queue with everything that is known.
pub(super) fn message(message: &Value) -> String {
    let mut lines = row(message);
    for (name, key) in [("Taken from", "source"), ("Message-ID", "message_id")] {
        let value = text(message, key);
        if !value.is_empty() {
            lines += &wrapped(&format!("{name} {value}"), 2);
        }
    }
    for recipient in list(message, "recipients") {
        let by = match text(recipient, "by") {
            by if by.is_empty() => String::new(),
            by => format!(" by {by}"),
        };
        let (to, state) = (text(recipient, "to"), text(recipient, "state"));
        let words = [text(recipient, "status"), text(recipient, "words")].join(" ");
        lines += &wrapped(&format!("{to}: {state}{by} {words}"), 2);
    }
    let header = message.get("header").and_then(Value::as_str).unwrap_or_default();
    if !header.is_empty() {
        lines.push('\n');
    }
    for line in header.lines() {
        lines.extend(["  ", &plain(line), "\n"]);
    }
    lines
}

/// What happened, a line or more each.
pub(super) fn events(answer: &Value) -> String {
    let mut lines = String::new();
    for event in list(answer, "events") {
        let at = match event.get("at") {
            Some(Value::Number(seconds)) => seconds.as_u64().map(|s| Wall(s).to_string()),
            Some(Value::String(at)) => Some(plain(at)),
            _ => None,
        };
        let at = at.unwrap_or_else(|| "(no clock)".to_string());
        let (id, name) = (text(event, "id"), text(event, "event"));
        lines += format!("{at:<20}  {id:<10}  {name}").trim_end();
        lines.push('\n');
        lines += &wrapped(&text(event, "words"), 22);
    }
    lines
}

/// What is wrong, a paragraph each: `key: words`.
pub(super) fn problems(answer: &Value) -> Vec<String> {
    let line = |problem: &Value| {
        let (key, words) = (text(problem, "key"), text(problem, "words"));
        if key.is_empty() { words } else { format!("{key}: {words}") }
    };
    list(answer, "problems").map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_is_short_and_aligned() {
        let shown = row(&json!({
            "id": "0123456789", "from": "alice@example.org", "state": "waiting", "attempts": 3, "size": 2355,
            "to": ["bob@example.com", "carol@example.com"], "next": 250, "subject": "Rain",
            "reason": "451 4.7.1 Greylisted; please try again in five minutes, \
                       we are sure that you will come back",
        }));
        let expected = "\
0123456789  waiting    2.3K  alice@example.org
            to bob@example.com, carol@example.com \u{201c}Rain\u{201d}
            3 tries, next in 4m 10s
            451 4.7.1 Greylisted; please try again in five minutes, we are sure
            that you will come back
";
        assert_eq!(shown, expected);
        assert!(shown.lines().all(|line| line.chars().count() <= limits::SHOWN_COLUMNS));
    }

    #[test]
    fn a_row_with_nothing_in_it_is_still_one() {
        for odd in
            [json!({}), json!(null), json!({"id": 5, "to": "x", "next": null, "attempts": -1})]
        {
            assert!(row(&odd).contains("<> (a report)"));
            assert!(!message(&odd).is_empty());
        }
        assert_eq!(events(&json!({"events": [{}]})), "(no clock)\n");
    }

    #[test]
    fn nothing_a_stranger_sent_can_steer_the_terminal() {
        let hostile = "\u{1b}[2J\u{9b}31m\r\n\u{202e}a\u{7f}\u{0}\u{2028}";
        let row = json!({"id": hostile, "from": hostile, "state": hostile, "to": [hostile], "reason": hostile,
                         "subject": hostile, "header": hostile, "source": hostile,
                         "recipients": [{"to": hostile, "words": hostile, "by": hostile, "state": hostile}]});
        let events = events(
            &json!({"events": [{"at": hostile, "id": hostile, "event": hostile, "words": hostile}]}),
        );
        for shown in [
            message(&row),
            events,
            problems(&json!({"problems": [{"key": hostile, "words": hostile}]})).concat(),
        ] {
            assert!(shown.chars().all(|c| c == '\n' || !is_hidden(c)), "{shown:?}");
        }
    }

    #[test]
    fn texts_are_cut_at_their_bound() {
        assert_eq!(plain(&"é".repeat(limits::SHOWN_CHARS)), "é".repeat(limits::SHOWN_CHARS));
        let cut = plain(&"é".repeat(limits::SHOWN_CHARS + 1));
        assert_eq!(cut, "é".repeat(limits::SHOWN_CHARS) + "…");
    }

    #[test]
    fn amounts_read_easily() {
        let durations = [0, 59, 60, 250, 3600, 90_061, 172_800].map(duration);
        assert_eq!(durations, ["0s", "59s", "1m", "4m 10s", "1h", "1d 1h", "2d"]);
        assert_eq!(
            [0, 1023, 1024, 25 << 20, 3 << 30].map(size),
            ["0", "1023", "1.0K", "25.0M", "3.0G"]
        );
    }

    #[test]
    fn how_the_relay_stands_is_told_with_its_room_and_what_is_wrong() {
        let words = "The spool is full: mail that waits takes 3.2 MB, and senders are told to \
                     come back later";
        let status = json!({"spool": {"used": 3 << 20, "most": 4 << 20}, "problems": [
            {"key": "spool", "words": words}, {"key": "line", "words": "\u{1b}[2J"}]});
        let shown = standing(&status);
        assert!(shown.starts_with("The spool takes 3.0M of 4.0M.\nThe spool is full: "), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= limits::SHOWN_COLUMNS));
        assert!(shown.ends_with("later\n[2J\n"), "{shown:?}");
        assert_eq!((standing(&json!({})), standing(&json!(null))), (String::new(), String::new()));
    }

    #[test]
    fn a_list_ends_with_how_many_there_are() {
        let states =
            |list: &[&str]| total(&list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(states(&[]), "The queue is empty.");
        assert_eq!(states(&["held"]), "1 message: 1 held");
        assert_eq!(states(&["waiting", "held", "waiting"]), "3 messages: 2 waiting, 1 held");
    }
}
