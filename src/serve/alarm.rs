//! Tells a person that one is needed, by mail or by a push: the page alone is not looked at for
//! weeks. What passes by itself within some minutes is not told.

use super::{control::Control, relay::Relay, vitals, web::office::Problem};
use crate::{
    limits,
    pairs::Pairs,
    proto::mail::{address::Address, date, mime},
    relay::{
        envelope::{Envelope, Notify, Recipient},
        trace::Event,
    },
    time::Instant,
};
use std::{io, rc::Rc};

/// What mail cannot tell of, since it would not leave: the line, and what it waits for.
const UNTOLD: [&str; 3] = ["line", "clock", "limits.sessions"];

/// Something that is wrong.
struct Trouble {
    since: Instant,
    told: bool,
    /// As it was last.
    words: String,
}

/// Look every minute, where somebody is to be told; else it sleeps.
pub(super) async fn watch(relay: Rc<Relay>, control: Rc<Control>) {
    let mut known: Pairs<String, Trouble> = Pairs::new();
    loop {
        let seen = relay.changed.count();
        if relay.config().alerts.is_none() {
            known.clear();
            relay.changed.past(seen).await;
            continue;
        }
        relay.sys.sleep(limits::ALARM_LOOK).await;
        look(&relay, &control, &mut known).await;
    }
}

async fn look(relay: &Relay, control: &Control, known: &mut Pairs<String, Trouble>) {
    relay.spool.ask_room().await;
    let mut problems = control.problems();
    problems.append(&mut vitals::problems(relay));
    problems.extend(stuck(relay).await);
    problems.retain(|problem| !UNTOLD.contains(&problem.key.as_str()));
    let now = relay.sys.clock.now();
    let over: Vec<String> = known
        .keys()
        .filter(|sign| !problems.iter().any(|problem| sign_of(problem) == **sign))
        .cloned()
        .collect();
    for sign in over {
        if let Some(trouble) = known.remove(&sign).filter(|trouble| trouble.told) {
            let words = format!("It is over: {}", trouble.words);
            send(relay, "over", &words).await;
        }
    }
    for problem in problems.into_iter().take(limits::ALARMS) {
        let trouble = known.entry(sign_of(&problem), || Trouble {
            since: now,
            told: false,
            words: String::new(),
        });
        trouble.words.clone_from(&problem.words);
        if !trouble.told && now.since(trouble.since) >= limits::ALARM_AFTER {
            trouble.told = send(relay, "something needs you", &problem.words).await;
        }
    }
}

/// Mail waits for longer than its sender would have been told of.
async fn stuck(relay: &Relay) -> Option<Problem> {
    let (queued, first) = vitals::census(relay, relay.sys.clock.now());
    let late = relay.config().retry.warn_after.as_secs();
    let oldest = queued.oldest.filter(|oldest| *oldest >= late)?;
    let waits = queued.total - queued.held;
    let (_, progress) = relay.load(first?).await.ok()?;
    let last = progress.owed().find_map(|n| progress.outcomes.get(n)?.clone());
    let why = last.map_or(String::new(), |last| format!(" Why: {}", last.text));
    let messages = if waits == 1 { "message waits" } else { "messages wait" };
    let words = format!("{waits} {messages}, the oldest for {} hours.{why}", oldest / 3600);
    (waits > 0).then(|| Problem { key: "queue".into(), words })
}

/// The same problem is the same while only numbers in it change.
fn sign_of(problem: &Problem) -> String {
    let plain = problem.words.chars().filter(|c| !c.is_ascii_digit());
    format!("{} {}", problem.key, plain.take(limits::ALARM_SIGN_CHARS).collect::<String>())
}

/// False where it could not be kept: the next look tries again.
async fn send(relay: &Relay, what: &str, words: &str) -> bool {
    match keep(relay, what, words).await {
        Ok(()) => true,
        Err(error) => {
            relay.tell(Event::new("alert-failed").with("reason", error));
            false
        }
    }
}

async fn keep(relay: &Relay, what: &str, words: &str) -> io::Result<()> {
    let settings = relay.settings();
    let config = &settings.config;
    let Some(alerts) = &config.alerts else { return Ok(()) };
    let to = Address::parse(alerts).map_err(io::Error::other)?;
    let targets = settings.policy.targets(&to);
    let targets = targets.map_err(|refusal| io::Error::other(refusal.reason))?;
    let recipient = |to| Recipient { to, orcpt: String::new(), notify: Notify::default() };
    let wall = relay.sys.clock.wall();
    let date = wall.map(date::format);
    let date = date.map_or_else(String::new, |date| format!("Date: {date}\r\n"));
    let mut draft = relay.spool.draft();
    let message_id = format!("{}.alert@{}", draft.id(), config.hostname);
    let subject = mime::encoded(&format!("{}: {what}", config.hostname));
    let text = format!(
        "{date}From: Waypost <postmaster@{}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n\
         Message-ID: <{message_id}>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         {words}\r\n",
        config.hostname
    );
    draft.append(text.as_bytes()).await?;
    let envelope = Envelope {
        from: None,
        recipients: targets.into_iter().map(|target| recipient(target.to)).collect(),
        eight_bit: !text.is_ascii(),
        ours: true,
        arrived: wall,
        source: "this relay".into(),
        message_id,
        ..Envelope::default()
    };
    let entry = relay.spool.commit(draft, &envelope).await;
    let entry = entry.map_err(|error| io::Error::other(error.to_string()))?;
    relay.queue.add(&entry, relay.sys.clock.now());
    relay.tell(
        Event::of("accepted", entry.id, &envelope.message_id)
            .with("from", "<>")
            .with("to", to)
            .with("size", entry.size)
            .with("source", &envelope.source),
    );
    Ok(())
}
