//! How the relay is: in words for a person, and in numbers for `/metrics`.

use super::{
    control::Control,
    devices,
    lane::account,
    relay::Relay,
    sign_ins,
    web::office::{Flash, Problem, Queued, SignInState},
    work::days,
};
use crate::{
    relay::{
        envelope::Id,
        grants::Standing,
        queue, refusal, route,
        spool::{Full, Usage},
    },
    time::{Instant, Wall},
};
use std::fmt::Write;

/// The queue by state, without a reason, and the message that is to be tried next.
pub(super) fn census(relay: &Relay, now: Instant) -> (Queued, Option<Id>) {
    let mut queued = Queued::default();
    let mut first: Option<(Instant, Id)> = None;
    let mut oldest: Option<Wall> = None;
    for id in relay.queue.ids() {
        let Some(item) = relay.queue.item(id) else { continue };
        queued.total += 1;
        oldest = [oldest, item.arrived].into_iter().flatten().min();
        match item.state {
            queue::State::Held => queued.held += 1,
            queue::State::Sending => queued.sending += 1,
            queue::State::Parked => queued.due += 1,
            queue::State::Waiting(at) if at <= now => queued.due += 1,
            queue::State::Waiting(at) => {
                queued.waiting += 1;
                if first.is_none_or(|(soonest, _)| at < soonest) {
                    first = Some((at, id));
                }
            }
        }
    }
    if let (Some(arrived), Some(now)) = (oldest, relay.sys.clock.wall()) {
        queued.oldest = Some(now.0.saturating_sub(arrived.0));
    }
    (queued, first.map(|(_, id)| id))
}

/// What has been asked of the storage since the start: by us, and by the process that keeps the
/// history.
pub(super) fn flash(relay: &Relay) -> Flash {
    let wear = relay.sys.disk.wear();
    let history = relay.sys.index.written();
    let written = wear.octets + history.unwrap_or(0);
    Flash { written, history, laid_out: relay.spool.usage().laid_out, syncs: wear.syncs }
}

/// Mail is taken at present.
///
/// # Errors
/// Why not, in words.
pub(super) fn is_taking(relay: &Relay) -> Result<(), String> {
    if relay.is_stopping() {
        return Err("stopping".into());
    }
    if !relay.spool.has_room(0) {
        return Err("the spool is full".into());
    }
    let trouble = relay.spool.usage().trouble;
    if trouble.is_empty() { Ok(()) } else { Err(trouble) }
}

/// What is wrong now, with what a person can do: gone when it is over.
pub(super) fn problems(relay: &Relay) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |key: &str, words: String| {
        if !words.is_empty() {
            problems.push(Problem { key: key.into(), words });
        }
    };
    let usage = relay.spool.usage();
    add("spool", fullness(&usage));
    add("spool", disk_trouble(&usage));
    add("spool", losses(&usage));
    add("index", relay.sys.index.trouble());
    if relay.sys.clock.wall().is_none() {
        add("clock", "The clock is not set yet. Mail is taken and kept; dates come later.".into());
    }
    add("routes", relay.grants.trouble());
    let unsigned = unsigned(relay, &mut add);
    for (smarthost, why) in relay.barred.borrow().iter() {
        if relay.bypassed.borrow().contains_key(smarthost) || unsigned.contains(smarthost) {
            continue;
        }
        let words = format!(
            "{smarthost} does not let us in; mail for it waits, and that time does not count. \
             {} Why: {why}",
            refusal::owners_advice(why)
        );
        add("routes", words);
    }
    for (way, (other, why)) in relay.bypassed.borrow().iter() {
        let login = if relay.barred.borrow().contains_key(way) {
            format!(" It does not let us in. {}", refusal::owners_advice(why))
        } else {
            String::new()
        };
        let words = format!("Mail goes by {other}, since {way} cannot be used.{login} Why: {why}");
        add("routes", words);
    }
    add("line", outage(relay));
    for words in devices::silences(relay) {
        add("devices", words);
    }
    problems
}

/// What has to be done about sign-ins; tells the ways that cannot be used before.
fn unsigned(relay: &Relay, add: &mut impl FnMut(&str, String)) -> Vec<String> {
    let mut ways = Vec::new();
    for (n, destination) in route::smarthosts(&relay.config()) {
        let Some(grant) = &destination.grant else { continue };
        let (state, words) = sign_ins::problem(relay, grant);
        add(&format!("routes[{n}]"), words);
        if matches!(state, SignInState::Missing | SignInState::Late | SignInState::Ended) {
            ways.push(account(&destination));
        }
    }
    ways
}

/// Nobody can be reached, or nobody of those who should be.
fn outage(relay: &Relay) -> String {
    let messages = match relay.queue.offline() {
        0 => String::new(),
        1 => "1 message waits for the line. ".into(),
        n => format!("{n} messages wait for the line. "),
    };
    let fair = "That time does not count.";
    match relay.line.offline(relay.sys.clock.now()) {
        Some((why, lasts)) => format!(
            "Offline for {}: nobody outside can be reached ({why}). {messages}Mail goes out as \
             soon as the line is back. {fair}",
            days(lasts)
        ),
        None if messages.is_empty() => String::new(),
        None => format!("Nobody outside can be reached. {messages}{fair}"),
    }
}

/// The spool is full, or nearly.
fn fullness(usage: &Usage) -> String {
    let (used, room) = (size(usage.used), size(usage.room));
    let later = "Senders are told to come back later, and no mail is lost.";
    match usage.full {
        Some(Full::Room) => format!(
            "The spool is full: mail that waits takes {used} of the {room} that it may have, and \
             the rest is needed to keep it safe. {later} Mail is taken again by itself as soon as \
             some has gone out. To help, look into the queue why it waits, drop what nobody \
             needs, or give it more room: limits.spool in the settings."
        ),
        Some(Full::Disk) => format!(
            "The disk is full: {} are left on the file system that holds the spool. {later} Mail \
             is taken again by itself as soon as there is room: delete what nobody needs there, \
             or move the data directory to a larger disk.",
            size(usage.file_system.unwrap_or(0))
        ),
        // A tenth of what it bears is left.
        None if usage.free < (usage.free + usage.used) / 10 => format!(
            "The spool is nearly full: {} more fit. Then senders are told to come back later. \
             Look into the queue for what waits, and why.",
            size(usage.free)
        ),
        None => String::new(),
    }
}

fn disk_trouble(usage: &Usage) -> String {
    if usage.trouble.is_empty() {
        return String::new();
    }
    format!(
        "The disk gives trouble: {}. Mail that cannot be kept is not taken, and its senders are \
         told to come back later; what was taken before stays. This goes once something could be \
         written again, a test message for instance. If it comes back, the card or disk is \
         wearing out: copy the data directory to a new one.",
        usage.trouble
    )
}

fn losses(usage: &Usage) -> String {
    let Some((id, count)) = usage.lost else { return String::new() };
    let what = match count {
        1 => format!("Message {id} is lost"),
        n => format!("{n} messages are lost, the last of them {id}"),
    };
    format!(
        "{what}: the disk gave back something else than was written to it. Find tells whose it \
         was. The card or disk is wearing out: copy the data directory to a new one. This goes \
         with the next start."
    )
}

/// Octets, in steps of 1024 as in the settings and on the page.
fn size(octets: u64) -> String {
    let units = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    match units.iter().find(|(unit, _)| octets >= *unit) {
        Some((unit, name)) if octets < 10 * unit => {
            let tenths = (octets * 10 + unit / 2) / unit;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        Some((unit, name)) => format!("{} {name}", octets.saturating_add(unit / 2) / unit),
        None => format!("{octets} B"),
    }
}

/// When the process started. Once it is known it stays as it is, but where the clock is set anew.
fn started(relay: &Relay) -> Option<Wall> {
    let wall = relay.sys.clock.wall()?;
    let reckoned = wall.0.saturating_sub(relay.sys.clock.now().0 / 1000);
    let known = relay.figures.started.get().filter(|at| at.0.abs_diff(reckoned) <= 2);
    let at = known.unwrap_or(Wall(reckoned));
    relay.figures.started.set(Some(at));
    Some(at)
}

/// Everything countable in the Prometheus text format 0.0.4. Names and units as Prometheus wants
/// them: <https://prometheus.io/docs/practices/naming/>.
pub(super) fn metrics(relay: &Relay, control: &Control) -> String {
    let mut text = Exposition(String::new());
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    text.info("waypost_build_info", "The program that runs", &version);
    let started = started(relay).map(|at| at.0);
    text.gauge("waypost_start_time_seconds", "When it started, in seconds since 1970", started);
    let uptime = relay.sys.clock.now().0 / 1000;
    text.gauge("waypost_uptime_seconds", "Time since the start", Some(uptime));
    let memory = relay.sys.tasks.memory();
    text.gauge("waypost_resident_memory_bytes", "Memory of the relay's process", memory);
    mail(&mut text, relay);
    let sessions = control.sessions() as u64;
    text.gauge("waypost_sessions", "Connections of clients that hand in mail", Some(sessions));
    queue(&mut text, relay);
    spool(&mut text, &relay.spool.usage());
    storage(&mut text, relay);
    encryption(&mut text, relay);
    sign_ins(&mut text, relay);
    text.0
}

fn mail(text: &mut Exposition, relay: &Relay) {
    let figures = &relay.figures;
    for (name, help, value) in [
        ("waypost_accepted_messages_total", "Messages taken in", &figures.accepted),
        (
            "waypost_delivered_recipients_total",
            "Recipients delivered to or passed on",
            &figures.delivered,
        ),
        (
            "waypost_deferred_recipients_total",
            "Attempts that were put off, by recipient",
            &figures.deferred,
        ),
        ("waypost_failed_recipients_total", "Recipients given up", &figures.failed),
        ("waypost_refused_commands_total", "SMTP commands refused by policy", &figures.refused),
    ] {
        text.counter(name, help, &[("", value.get())]);
    }
}

fn queue(text: &mut Exposition, relay: &Relay) {
    let (queued, _) = census(relay, relay.sys.clock.now());
    let offline = relay.queue.offline() as u64;
    for (name, help, value) in [
        ("waypost_queue_messages", "Messages in the queue", queued.total),
        ("waypost_queue_held_messages", "Messages of the queue that a person holds", queued.held),
        (
            "waypost_queue_offline_messages",
            "Messages of the queue that wait because nobody could be reached",
            offline,
        ),
        (
            "waypost_barred_smarthosts",
            "Smarthosts that refuse our login",
            relay.barred.borrow().len() as u64,
        ),
    ] {
        text.gauge(name, help, Some(value));
    }
    let up = u64::from(!relay.line.is_offline());
    text.gauge("waypost_line_up", "0 while nobody outside can be reached", Some(up));
    // Unknown where the clock was not set when it came.
    let oldest = if queued.total == 0 { Some(0) } else { queued.oldest };
    text.gauge("waypost_queue_oldest_age_seconds", "Age of the oldest message queued", oldest);
}

fn spool(text: &mut Exposition, usage: &Usage) {
    text.gauge("waypost_spool_used_bytes", "Room that waiting mail takes", Some(usage.used));
    text.gauge("waypost_spool_limit_bytes", "Room that the spool may take", Some(usage.room));
    let help = "Room left on the file system that holds the spool";
    text.gauge("waypost_spool_file_system_free_bytes", help, usage.file_system);
    let full = u64::from(usage.full.is_some());
    text.gauge("waypost_spool_full", "1 while no mail is taken for want of room", Some(full));
    let trouble = u64::from(!usage.trouble.is_empty());
    text.gauge("waypost_spool_trouble", "1 while the spool cannot be written", Some(trouble));
    let lost = usage.lost.map_or(0, |(_, count)| count);
    let help = "Messages whose record the disk did not give back";
    text.counter("waypost_spool_lost_messages_total", help, &[("", lost)]);
    let help = "Octets written to the spool, in whole pages";
    text.counter("waypost_spool_written_bytes_total", help, &[("", usage.written)]);
    let help = "Syncs that the spool asked for";
    text.counter("waypost_spool_syncs_total", help, &[("", usage.syncs)]);
}

fn storage(text: &mut Exposition, relay: &Relay) {
    let Flash { written, history, syncs, .. } = flash(relay);
    let own = written - history.unwrap_or(0);
    let both = [("by=\"relay\"", own), ("by=\"history\"", history.unwrap_or(0))];
    let known = if history.is_some() { &both[..] } else { &both[..1] };
    let help = "Octets written to files in whole pages: by the relay (spool, mailboxes, \
                configuration), and by the process that keeps the history where the kernel counts \
                them; without what the file system adds";
    text.counter("waypost_flash_written_bytes_total", help, known);
    let help = "Syncs of files and directories that the relay asked for, without the history's";
    text.counter("waypost_flash_syncs_total", help, &[("", syncs)]);
    let trouble = u64::from(!relay.sys.index.trouble().is_empty());
    let help = "1 while there is something wrong with the history";
    text.gauge("waypost_index_trouble", help, Some(trouble));
}

fn sign_ins(text: &mut Exposition, relay: &Relay) {
    let (mut works, mut ends) = (Vec::new(), Vec::new());
    for grant in sign_ins::grants(&relay.config()) {
        let (user, at) = (label(&grant.user), label(&grant.provider.token.host));
        let labels = format!("user=\"{user}\",at=\"{at}\"");
        let (state, _) = sign_ins::problem(relay, &grant);
        if let Standing::Good(_, Some(until)) = relay.grants.standing(&grant) {
            ends.push((labels.clone(), until.0));
        }
        let person = matches!(state, SignInState::Missing | SignInState::Ended);
        works.push((labels, u64::from(!person)));
    }
    for (name, help, samples) in [
        ("waypost_sign_in_works", "0 where a person has to sign in", &works),
        ("waypost_sign_in_end_seconds", "When a sign-in ends, in seconds since 1970", &ends),
    ] {
        let samples: Vec<(&str, u64)> =
            samples.iter().map(|(labels, value)| (labels.as_str(), *value)).collect();
        if !samples.is_empty() {
            text.family(name, "gauge", help, &samples);
        }
    }
}

/// What reports by RFC 8460 are made of.
fn encryption(text: &mut Exposition, relay: &Relay) {
    let counts = relay.figures.tls.borrow();
    let labels =
        |(policy, result): &(&str, &str)| format!("policy=\"{policy}\",result=\"{result}\"");
    let samples: Vec<(String, u64)> = counts.iter().map(|(key, n)| (labels(key), *n)).collect();
    let samples: Vec<(&str, u64)> = samples.iter().map(|(key, n)| (key.as_str(), *n)).collect();
    if !samples.is_empty() {
        let help = "Connections to mail servers of domains, by the policy for their encryption and \
                    what came of it, in the words of RFC 8460";
        text.counter("waypost_tls_sessions_total", help, &samples);
    }
}

/// A label's value.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Metrics, one family after the other.
struct Exposition(String);

impl Exposition {
    /// Left out where it is not known.
    fn gauge(&mut self, name: &str, help: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.family(name, "gauge", help, &[("", value)]);
        }
    }

    fn counter(&mut self, name: &str, help: &str, samples: &[(&str, u64)]) {
        self.family(name, "counter", help, samples);
    }

    /// Facts as labels, with the value 1.
    fn info(&mut self, name: &str, help: &str, labels: &str) {
        self.family(name, "gauge", help, &[(labels, 1)]);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str, samples: &[(&str, u64)]) {
        let mut say = |line: std::fmt::Arguments<'_>| {
            self.0.write_fmt(line).expect("a String takes everything");
        };
        say(format_args!("# HELP {name} {help}.\n# TYPE {name} {kind}\n"));
        for (labels, value) in samples {
            match *labels {
                "" => say(format_args!("{name} {value}\n")),
                labels => say(format_args!("{name}{{{labels}}} {value}\n")),
            }
        }
    }
}
