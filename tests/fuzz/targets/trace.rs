//! Events: what strangers say stays one field of one line, and lines read back.

use crate::input::Input;
use waypost::{limits, relay::trace::Event};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let text = String::from_utf8_lossy(input.octets);
    let (one, two) = text.split_once('\n').unwrap_or((&text, ""));
    let event = Event::new("refused").with("helo", one).with("reply", two).with("to", &text);
    let line = event.to_string();
    assert_eq!(line.lines().count(), 1);
    assert!(!line.contains(|c: char| c.is_control()));
    assert!(event.fields.iter().all(|(_, value)| value.len() <= limits::FIELD_BYTES));
    assert_eq!(Event::parse(&line), Some(event), "a line reads back as the event");
    // A line that only looks like ours may be anything, but what is read of it stays what it is.
    if let Some(read) = Event::parse(&text) {
        read.words();
        let _ = read.id();
        let again = read.to_string();
        if again == text {
            assert_eq!(Event::parse(&again), Some(read));
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        "event=deferred id=0000000007 msgid=a@b to=x@y reply=\"450 4.2.1 \\\"busy\\\" a=b\"",
        "event=accepted id=7ZK3M9Q2XD source=\"192.168.1.20 (camera)\" to=a@b,c@d size=12",
        "x\r\nevent=delivered id=1\" to=\"a\n\\\\\"",
    ]
    .map(|line| Input::compose(line.as_bytes(), &[]))
    .to_vec()
}
