//! Events in words, for a person whose mail is missing.

use super::Event;

impl Event {
    /// What happened, in one sentence. The remote's words stand in it as they were.
    pub fn words(&self) -> String {
        let f = |key: &str| self.field(key);
        match self.kind.as_str() {
            "accepted" => format!(
                "Accepted from {} for {}{} ({} octets{}).",
                f("source"),
                listed(f("to")),
                quoted(f("subject")),
                f("size"),
                list(", ", f("repairs"))
            ),
            "addressed" => format!("Also for {}.", listed(f("to"))),
            "refused" => format!(
                "Refused {}{}: {}{}",
                f("peer"),
                list(" sending to ", f("to")),
                f("reply"),
                list(" — ", f("reason"))
            ),
            "delivered" if f("mailbox").is_empty() => {
                format!(
                    "Delivered to {}: {} said \"{}\"{}.",
                    listed(f("to")),
                    f("host"),
                    f("reply"),
                    list(", over ", f("tls"))
                )
            }
            "delivered" => {
                format!("Put into the mailbox of {} for {}.", f("mailbox"), listed(f("to")))
            }
            "dated" => "It has the date of now: when it came, the clock was not set.".into(),
            "labelled" => {
                format!("Its text is declared as {}, since it said nothing of it.", f("as"))
            }
            "gathered" => format!("Kept for a summary: {} sends many messages.", f("device")),
            "summed-up" => format!("Summed up in message {}.", f("report")),
            "pushed" => format!("Shown by {}, at {}.", f("to"), f("host")),
            "deferred" => format!(
                "Not delivered to {} yet: {}{}. Next try {}.",
                listed(f("to")),
                said(f("host")),
                f("reply"),
                f("next")
            ),
            "renamed" => format!("Sent from {} instead of {}.", f("as"), sender(f("from"))),
            "discarded" => format!("Thrown away for {}, as a route says.", listed(f("to"))),
            "expanded" => format!("{} stands for several addresses.", listed(f("to"))),
            "failed" => {
                format!("Failed for {}: {}{}.", listed(f("to")), said(f("host")), f("reply"))
            }
            "bounced" => {
                format!("Report sent to {} as message {}.", f("to"), f("report"))
            }
            "unreported" => format!("No report is sent: {}.", f("reason")),
            _ => self.words_on_the_way(),
        }
    }

    /// From the connection to the server that is ready for mail.
    fn words_on_the_way(&self) -> String {
        let f = |key: &str| self.field(key);
        match self.kind.as_str() {
            "connected" => format!("Connected to {}.", f("host")),
            "policy" => format!("{} wants by {}: {}.", f("of"), f("by"), f("says")),
            "encrypted" => format!(
                "Encrypted with {}{}; the certificate was {}.",
                f("tls"),
                list(", as demanded by ", f("as")),
                if f("verified") == "true" { "verified" } else { "not verified" }
            ),
            "in-clear" => format!(
                "{} could not be used encrypted ({}); going on without.",
                f("host"),
                f("reason")
            ),
            "logged-in" => format!(
                "Logged in at {} as {} by {}{}.",
                f("host"),
                f("user"),
                f("by"),
                list(", after this had not worked: ", f("not"))
            ),
            "skipped" => format!("{} could not be used: {}.", f("host"), f("reply")),
            _ => self.other_words(),
        }
    }

    /// What a person did, and what concerns the relay more than a message.
    fn other_words(&self) -> String {
        let f = |key: &str| self.field(key);
        match self.kind.as_str() {
            "signed" => format!("Signed by {}.", f("by")),
            "unsigned" => format!("Sent without a signature: {}.", f("reason")),
            "held" => "Held: no attempts until it is released.".into(),
            "released" => "Released.".into(),
            "retried" => "Tried again at once, on request.".into(),
            "dropped" => "Dropped on request: it will not be delivered.".into(),
            "recovered" => format!("{} messages were found in the spool.", f("messages")),
            "started" => format!("Waypost {} started as {}.", f("version"), f("hostname")),
            "stopping" => "Asked to stop.".into(),
            "configured" => "The configuration was changed and is in force.".into(),
            "trouble" => f("words").into(),
            "broken-off" => format!(
                "A message from {} was never whole, so it was not taken: {}.",
                f("peer"),
                f("reason")
            ),
            "timed-out" => format!("{} said nothing for too long.", f("peer")),
            "untold" => format!(
                "{} more refusals and broken sessions were not told one by one.",
                f("events")
            ),
            "made-room" => {
                format!("A session from {} made room for another: {}.", f("peer"), f("reason"))
            }
            "signed-in" => format!("{} signed in at {}.", f("user"), f("at")),
            "sign-in-failed" => {
                format!("{} was not signed in at {}: {}.", f("user"), f("at"), f("reason"))
            }
            "paced" => {
                format!("{} takes no more for now; what is left goes in {}.", f("way"), f("wait"))
            }
            "key-made" => format!("The key {} was made.", f("key")),
            "key-retired" => format!("The key {} was retired: it signs no more.", f("key")),
            "tls-failed" => format!("No encrypted session with {}: {}.", f("peer"), f("reason")),
            "offline" => format!("Nobody outside can be reached: {}.", f("reason")),
            "online" => format!(
                "The line is back after {}; {} messages have waited for it.",
                f("after"),
                f("messages")
            ),
            "damaged" => format!("The spool is damaged: {}.", f("reason")),
            "retry-all" => format!("{} messages are tried again at once.", f("messages")),
            "login" if f("any") == "true" => {
                format!("{} logged in as {}; from there any login is good.", f("peer"), f("user"))
            }
            "login" => format!("{} logged in from {}.", f("user"), f("peer")),
            "login-failed" => format!("Login of {} from {} failed.", f("user"), f("peer")),
            _ => {
                self.fields.iter().map(|(k, v)| format!("{k}: {v}")).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

fn list(before: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{before}{value}") }
}

/// Addresses with room to breathe.
fn listed(addresses: &str) -> String {
    addresses.replace(',', ", ")
}

fn sender(path: &str) -> &str {
    if path.is_empty() || path == "<>" { "nobody" } else { path }
}

fn quoted(subject: &str) -> String {
    if subject.is_empty() { String::new() } else { format!(": “{subject}”") }
}

fn said(host: &str) -> String {
    if host.is_empty() { String::new() } else { format!("{host} said ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remotes_words_are_told_as_they_were() {
        let event = Event::new("deferred")
            .with("to", "a@x.example")
            .with("host", "mx.x.example [192.0.2.1]")
            .with("reply", "450 4.2.1 Mailbox busy")
            .with("next", "in 60 s");
        assert_eq!(
            event.words(),
            "Not delivered to a@x.example yet: mx.x.example [192.0.2.1] said 450 4.2.1 Mailbox \
             busy. Next try in 60 s."
        );
    }
}
