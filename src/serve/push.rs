//! Mail that ends as a notice on a phone, or as a request to a program: posted to an address over
//! HTTP, and tried again as any other mail is.

use super::{relay::Relay, work::Job};
use crate::{
    config::{Push, PushKind},
    limits,
    proto::{
        http::{Content, Url},
        mail::{header, mime, text},
        status::{Class, Outcome, Status},
    },
    relay::{
        envelope::Octets,
        fetch::{Unanswered, fetch},
        trace::Event,
    },
    sys::Signal,
};
use serde::Serialize;
use std::cell::Cell;

/// How many go at a time.
#[derive(Default)]
pub(super) struct Pushes {
    going: Cell<usize>,
    over: Signal,
}

/// The right to be one of them.
struct Turn<'a>(&'a Pushes);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.going.set(self.0.going.get() - 1);
        self.0.over.raise();
    }
}

impl Pushes {
    async fn turn(&self) -> Turn<'_> {
        loop {
            let seen = self.over.count();
            if self.going.get() < limits::PUSHES {
                self.going.set(self.going.get() + 1);
                return Turn(self);
            }
            self.over.past(seen).await;
        }
    }
}

/// What a program is told.
#[derive(Serialize)]
struct Notice<'a> {
    id: &'a str,
    from: &'a str,
    to: &'a str,
    subject: &'a str,
    text: &'a str,
}

/// As <https://docs.ntfy.sh/publish/#publish-as-json> has it.
#[derive(Serialize)]
struct Ntfy<'a> {
    topic: &'a str,
    title: &'a str,
    message: &'a str,
}

/// Carry a job whose recipients all end there.
pub(super) async fn carry(relay: &Relay, push: Push, job: Job) {
    let turn = relay.pushes.turn().await;
    let (outcome, contact) = post(relay, &push, &job).await;
    drop(turn);
    if outcome.status.class == Class::Success {
        let event = Event::of("pushed", job.attempt.id, &job.attempt.envelope.message_id);
        relay.tell(event.with("to", &push.name).with("host", &push.url.host));
    }
    job.end_all(outcome, contact).await;
}

async fn post(relay: &Relay, push: &Push, job: &Job) -> (Outcome, bool) {
    const UNREADABLE: Status = Status::new(Class::Transient, 3, 0);
    const UNREACHED: Status = Status::new(Class::Transient, 4, 1);
    let attempt = &job.attempt;
    let start = match start(relay, job).await {
        Ok(start) => start,
        Err(error) => {
            let words = format!("it cannot be read: {error}");
            return (Outcome::ours(UNREADABLE, words), false);
        }
    };
    let subject = mime::subject(&start);
    let words = text::excerpt(&start, limits::PUSH_CHARS);
    let id = attempt.id.to_string();
    let author = header::find(&start, "From");
    let author = author.map(|from| mime::decode_words(from.value, limits::SUBJECT_CHARS));
    let notice = Notice {
        id: &id,
        from: author.as_deref().unwrap_or_default(),
        to: &push.name,
        subject: &subject,
        text: &words,
    };
    let (url, json) = match push.kind {
        PushKind::Json => (push.url.clone(), written(&notice)),
        PushKind::Ntfy => {
            let (url, topic) = topic(&push.url);
            let title = if subject.is_empty() { "Mail" } else { &subject };
            let message = if words.is_empty() { title } else { &words };
            (url, written(&Ntfy { topic: &topic, title, message }))
        }
    };
    let content = Content::Json { text: &json, bearer: push.token.as_deref() };
    let ipv6 = relay.config().delivery_ipv6;
    match fetch(&relay.sys, &relay.resolver, ipv6, &url, content).await {
        Ok(answer) => (judged(&push.url.host, answer.status, &answer.body), true),
        Err(Unanswered { words, contact }) => (Outcome::ours(UNREACHED, words), contact),
    }
}

/// The header and the beginning of the text.
async fn start(relay: &Relay, job: &Job) -> std::io::Result<Vec<u8>> {
    let body = relay.spool.body(job.attempt.id).await?;
    let mut start = Vec::new();
    while (start.len() as u64) < body.size() && start.len() < limits::PUSH_BYTES {
        start.extend(body.chunk(start.len() as u64).await?);
    }
    Ok(start)
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The place of a topic, and its name: `https://ntfy.sh/topic`.
fn topic(url: &Url) -> (Url, String) {
    let path = url.target.split('?').next().unwrap_or_default();
    let (place, topic) = path.rsplit_once('/').unwrap_or(("", path));
    (Url { target: format!("{place}/"), ..url.clone() }, topic.to_string())
}

/// RFC 9110 §15: what the service thinks of it. A topic or token that is wrong is for a person to
/// mend: that waits, as all else that may be over one day.
fn judged(host: &str, status: u16, body: &[u8]) -> Outcome {
    let (class, detail) = match status {
        200..=299 => (Class::Success, 0),
        400 | 405 | 410 | 413..=415 | 422 => (Class::Permanent, 0),
        _ => (Class::Transient, 0),
    };
    let said = String::from_utf8_lossy(body);
    let said = mime::decode_words(said.as_bytes(), limits::PUSH_SAID_CHARS);
    let text = format!("{status} {said}").trim_end().to_string();
    Outcome { status: Status::new(class, 0, detail), by: host.into(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_the_end_of_its_address() {
        let url = Url::parse("https://ntfy.example/a/alarms?x=1").expect("an address");
        let (place, topic) = topic(&url);
        assert_eq!((place.to_string(), topic), ("https://ntfy.example/a/".into(), "alarms".into()));
    }

    #[test]
    fn what_a_person_can_mend_waits_and_what_cannot_be_taken_fails() {
        let class = |status| judged("h", status, b"said\r\nso").status.class;
        for (status, wanted) in [
            (200, Class::Success),
            (204, Class::Success),
            (401, Class::Transient),
            (403, Class::Transient),
            (404, Class::Transient),
            (413, Class::Permanent),
            (429, Class::Transient),
            (500, Class::Transient),
            (302, Class::Transient),
        ] {
            assert_eq!(class(status), wanted, "{status}");
        }
        assert_eq!(judged("h", 500, b"said\r\nso").text, "500 saidso");
    }
}
