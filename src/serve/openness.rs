//! Would a stranger get mail through us? Asked as strangers ask it, in every way that has opened a
//! relay somewhere, without a connection: the session and the rules are those that answer at the
//! doors.

use super::{listen::Service, relay::Relay, web::office::FindingRow};
use crate::{
    limits,
    proto::{
        machine::{Machine, Step},
        smtp::server::{Answer, Ask, Offer, Session},
    },
    relay::{
        admit::{Policy, Who},
        resolve::is_inside,
    },
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// RFC 5737, RFC 3849: addresses that nobody has.
const STRANGERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// One finding a listener, and one for what is trusted.
pub(super) fn examine(relay: &Relay, listening: &[(Service, SocketAddr)]) -> Vec<FindingRow> {
    let settings = relay.settings();
    let policy = &settings.policy;
    let name = &settings.config.hostname;
    let mut rows: Vec<FindingRow> = Vec::new();
    for (service, at) in listening.iter().filter(|(service, _)| *service != Service::Web) {
        let mut open = Vec::new();
        for stranger in STRANGERS {
            for (from, to) in tricks(name, &at.ip().to_string()) {
                if let Some(reply) = ask(policy, name, (*service, stranger), &from, &to) {
                    open.push(format!("{from} {to}: {reply}"));
                }
            }
        }
        let about = format!("{} at {at}", service.words());
        rows.push(match open.first() {
            None => FindingRow {
                about,
                verdict: "good".into(),
                words: "A stranger gets nothing through here, in whatever way it asks.".into(),
                publish: None,
            },
            Some(first) => FindingRow {
                about,
                verdict: "wrong".into(),
                words: format!("A stranger gets mail through here: {first}"),
                publish: None,
            },
        });
    }
    rows.push(trusted(relay));
    rows
}

/// Whether anybody on the internet is trusted.
fn trusted(relay: &Relay) -> FindingRow {
    let settings = relay.settings();
    let attached = relay.sys.net.attached();
    let policy = &settings.policy;
    let public = policy.trusted().iter().filter(|network| !is_inside(network.address));
    let mut notes: Vec<String> = public.map(|n| format!("{n} is on the internet")).collect();
    for gateway in attached.gateways.iter().filter(|g| policy.is_trusted(Some(**g))) {
        notes.push(format!(
            "{gateway} is this machine's gateway: where it hides the addresses of those who come \
             through it, as some routers and containers do, all of them are trusted"
        ));
    }
    let good = notes.is_empty();
    FindingRow {
        about: "Trusted networks".into(),
        verdict: if good { "good" } else { "advice" }.into(),
        words: if good {
            "Only networks of your own may send without a login.".into()
        } else {
            format!("{}.", notes.join("; "))
        },
        publish: None,
    }
}

/// MAIL and RCPT, as they have been tried.
fn tricks(name: &str, address: &str) -> Vec<(String, String)> {
    let from = ["<a@example.com>".into(), "<>".into(), format!("<postmaster@{name}>")];
    let from = from.into_iter().chain([format!("<a@[{address}]>"), "<root>".into()]);
    let to = [
        "<b@example.net>".to_string(),
        "b@example.net".into(),
        "<\"b@example.net\">".into(),
        format!("<b%example.net@{name}>"),
        format!("<b%example.net@[{address}]>"),
        format!("<\"b@example.net\"@{name}>"),
        format!("<@{name}:b@example.net>"),
        format!("<b@example.net@{name}>"),
        "<example.net!b>".into(),
        format!("<example.net!b@{name}>"),
    ];
    let pairs = from.flat_map(|from| to.clone().map(|to| (from.clone(), to)));
    pairs.collect()
}

/// What a stranger hears to RCPT, where that is a yes to an address that is not ours.
fn ask(
    policy: &Policy,
    name: &str,
    (service, peer): (Service, IpAddr),
    from: &str,
    to: &str,
) -> Option<String> {
    let (trusted, rules) = (policy.is_trusted(Some(peer)), policy.rules(Some(peer)));
    let who = Who { peer: Some(peer), user: None, trusted };
    let mut session = Session::new(Offer {
        hostname: name.to_string(),
        submission: service != Service::Smtp,
        starttls: false,
        encrypted: service == Service::Submissions,
        auth_in_clear: rules.auth_in_clear,
        auth: rules.auth,
        lenient: rules.lenient,
        size: 1,
        recipients: 1,
        bad_commands: 10,
    });
    let said = format!("EHLO stranger.example\r\nMAIL FROM:{from}\r\nRCPT TO:{to}\r\nQUIT\r\n");
    session.pipe().input = said.into_bytes();
    let mut yes = None;
    // Each command is one question at most.
    for _ in 0..limits::OPEN_RELAY_STEPS {
        match session.step() {
            Step::Ask(Ask::Mail(mail)) => {
                let may = service == Service::Smtp || trusted;
                let fine = may && policy.mail(&who, mail.from.as_ref()).is_ok();
                session.answer(verdict(fine));
            }
            Step::Ask(Ask::Rcpt(rcpt)) => {
                let targets = policy.rcpt(&who, &rcpt.to);
                let leaves = |to: &str| !policy.is_local_domain(to);
                if targets.is_ok() && leaves(rcpt.to.domain()) {
                    yes = Some(format!("{} would be taken", rcpt.to));
                }
                session.answer(verdict(targets.is_ok()));
            }
            Step::Ask(_) => session.answer(Answer::Accept),
            Step::Write => session.pipe().output.clear(),
            Step::Read | Step::Upgrade | Step::Close => break,
        }
    }
    yes
}

fn verdict(fine: bool) -> Answer {
    use crate::proto::status::{Class, Reply, Status};
    const NO: Reply = Reply::new(550, Status::new(Class::Permanent, 7, 1), "No");
    if fine { Answer::Accept } else { Answer::Refuse(NO) }
}
