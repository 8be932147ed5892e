//! Who has come to hand in mail, as the page shows it: what is remembered, what the configuration
//! says, and what the network tells.

use super::{
    relay::Relay,
    web::office::{DeviceRow, Last, RefusalRow},
};
use crate::{
    config::{Access, Device},
    limits,
    pairs::Pairs,
    relay::{
        admit::Policy,
        clients::{self, Client},
        resolve::is_inside,
    },
};
use std::{cell::RefCell, net::IpAddr, time::Duration};

/// All of them, the latest first.
pub(super) async fn rows(relay: &Relay) -> Vec<DeviceRow> {
    let mut known = relay.clients.all();
    known.sort_by_key(|(_, client)| client.seen.ago(&relay.sys).unwrap_or(u64::MAX));
    let names = names(relay, &known).await;
    let neighbours = relay.sys.net.neighbours();
    let settings = relay.settings();
    let mut rows: Vec<DeviceRow> = known
        .iter()
        .map(|(peer, client)| {
            let neighbour = neighbours.iter().rev().find(|(address, _)| address == peer);
            let mac = neighbour.map(|(_, mac)| *mac);
            DeviceRow {
                host: names.get(peer).cloned().unwrap_or_default(),
                mac: mac.map(hexadecimal).unwrap_or_default(),
                maker: mac.and_then(clients::maker).unwrap_or_default().into(),
                ..row(relay, &settings.policy, *peer, client)
            }
        })
        .collect();
    for (n, device) in settings.config.devices.iter().enumerate() {
        if !known.iter().any(|(peer, _)| settings.policy.device(*peer) == Some(device)) {
            rows.push(DeviceRow {
                address: shown(device),
                name: device.name.clone(),
                entry: Some(n),
                access: word(device.access).into(),
                silent: is_silent(relay, device, None),
                ..DeviceRow::default()
            });
        }
    }
    rows
}

fn row(relay: &Relay, policy: &Policy, peer: IpAddr, client: &Client) -> DeviceRow {
    let sys = &relay.sys;
    let device = policy.device(peer);
    let entry = device
        .and_then(|device| relay.config().devices.iter().position(|other| other.at == device.at));
    let access = match device {
        Some(device) => word(device.access),
        None if policy.is_trusted(Some(peer)) => "network",
        None if is_inside(peer) => "near",
        None => "stranger",
    };
    let last_in = client.last_in.as_ref().map(|(at, id)| Last {
        ago: at.ago(sys).unwrap_or_default(),
        id: id.clone(),
        words: String::new(),
    });
    let last_refusal = client.last_refusal.as_ref().map(|(at, refused)| RefusalRow {
        ago: at.ago(sys),
        reply: refused.reply.clone(),
        reason: refused.reason.clone(),
        from: refused.from.clone(),
        to: refused.to.clone(),
    });
    DeviceRow {
        address: peer.to_string(),
        name: device.map(|device| device.name.clone()).unwrap_or_default(),
        entry,
        access: access.into(),
        seen: client.seen.ago(sys),
        helo: client.helo.clone(),
        tls: client.tls.clone(),
        user: client.user.clone(),
        messages: client.messages,
        last_in,
        repairs: client.repairs.clone(),
        refused: client.refused,
        last_refusal,
        silent: device.is_some_and(|device| is_silent(relay, device, Some(client))),
        ..DeviceRow::default()
    }
}

/// A device's address; a network with its prefix.
fn shown(device: &Device) -> String {
    let text = device.at.to_string();
    let single = text.strip_suffix("/32").or_else(|| text.strip_suffix("/128"));
    single.map_or_else(|| text.clone(), str::to_string)
}

fn word(access: Access) -> &'static str {
    match access {
        Access::Allow => "allow",
        Access::AnyLogin => "any-login",
        Access::Login => "login",
        Access::Block => "block",
    }
}

/// What the name servers call those in the house, as far as they say it in time.
async fn names(relay: &Relay, known: &[(IpAddr, Client)]) -> Pairs<IpAddr, String> {
    let names = RefCell::new(Pairs::new());
    let near = known.iter().map(|(peer, _)| *peer).filter(|peer| is_inside(*peer));
    let ask = async {
        for peer in near.take(limits::DEVICE_NAMES) {
            if let Ok(found) = relay.resolver.names_of(peer).await
                && let Some(name) = found.into_iter().next()
            {
                names.borrow_mut().insert(peer, name);
            }
        }
    };
    relay.sys.within(limits::DEVICE_NAMES_WAIT, Box::pin(ask)).await;
    names.into_inner()
}

/// Devices that were to be heard of by now, in words.
pub(super) fn silences(relay: &Relay) -> Vec<String> {
    let config = relay.config();
    let clients = relay.clients.all();
    let policy = relay.settings().policy;
    let mut words = Vec::new();
    for device in &config.devices {
        let Some(silence) = device.silence else { continue };
        let of = |peer: &IpAddr| policy.device(*peer) == Some(device);
        let last = clients.iter().filter(|(peer, _)| of(peer)).map(|(_, client)| client);
        let last = last.min_by_key(|client| heard(relay, client).unwrap_or(u64::MAX));
        if is_silent(relay, device, last) {
            let name =
                if device.name.is_empty() { device.at.to_string() } else { device.name.clone() };
            let since = last.and_then(|client| heard(relay, client));
            let since = since.map_or_else(
                || "since this relay started".to_string(),
                |ago| format!("for {}", span(ago)),
            );
            let wanted = span(silence.as_secs());
            words
                .push(format!("{name} has sent nothing {since}; it is expected to every {wanted}"));
        }
    }
    words
}

/// Seconds since its last message.
fn heard(relay: &Relay, client: &Client) -> Option<u64> {
    client.last_in.as_ref().and_then(|(at, _)| at.ago(&relay.sys))
}

/// Before it was heard of the first time, the time since the start counts.
fn is_silent(relay: &Relay, device: &Device, client: Option<&Client>) -> bool {
    let Some(silence) = device.silence else { return false };
    let uptime = Duration::from_millis(relay.sys.clock.now().0);
    let since = client.and_then(|client| heard(relay, client)).map(Duration::from_secs);
    since.unwrap_or(uptime) >= silence
}

/// `3 hours`.
fn span(seconds: u64) -> String {
    let (n, unit) = match seconds {
        0..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

fn hexadecimal(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}
