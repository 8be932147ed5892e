//! Cables and addresses: DHCP on every wired port and on the radio that is in the Wi-Fi, or the
//! fixed address of the file `network`: on that radio where a Wi-Fi is asked for, else on the first
//! port. IPv6 addresses the kernel takes by itself (RFC 4862).

use super::{Board, RUN};
use crate::{
    limits,
    pairs::Pairs,
    sys::machine::{Command, Output, Program},
};
use std::{net::IpAddr, rc::Rc};

const SCRIPT: &str = "/usr/share/udhcpc/default.script";

/// Keep every port up, also those that are plugged in later.
pub async fn keep(board: Rc<Board>) {
    let mut clients: Pairs<String, Up> = Pairs::new();
    let mut set = board.now.borrow().network.clone();
    loop {
        let network = board.now.borrow().network.clone();
        if network != set {
            // Every client ends with its addresses, and all begins anew.
            for (name, _) in std::mem::take(&mut clients) {
                board.command(&["ip", "-4", "addr", "flush", "dev", &name]).await;
            }
            set = network;
        }
        let (wired, radio) = (board.machine.wired(), board.now.borrow().joined.clone());
        let fixed = if set.wifi.is_some() { radio.clone() } else { wired.first().cloned() };
        let ports: Vec<String> = wired.into_iter().chain(radio).collect();
        let gone: Vec<String> =
            clients.keys().filter(|name| !ports.contains(name)).cloned().collect();
        for name in gone {
            clients.remove(&name);
            // A radio that has left its Wi-Fi is still there.
            if board.machine.radios().contains(&name) {
                board.command(&["ip", "-4", "addr", "flush", "dev", &name]).await;
            }
        }
        for name in &ports {
            let is_fixed = set.address.is_some() && fixed.as_ref() == Some(name);
            let stands = match clients.get_mut(name) {
                None => false,
                Some(Up::Fixed) => is_fixed,
                Some(Up::Asks(client)) => !is_fixed && client.code().is_none(),
            };
            if stands {
                continue;
            }
            if clients.remove(name).is_some_and(|up| matches!(up, Up::Fixed) != is_fixed) {
                board.command(&["ip", "-4", "addr", "flush", "dev", name]).await;
            }
            // What cannot be started is tried again at the next look.
            if let Some(up) = bring_up(&board, name, is_fixed).await {
                clients.insert(name.clone(), up);
            }
        }
        look(&board).await;
        board.sys.sleep(limits::BOARD_LINKS_EVERY).await;
    }
}

/// How a port comes to its address.
enum Up {
    /// The file `network` says it.
    Fixed,
    /// This client asks for it.
    Asks(Box<dyn Program>),
}

/// A port's address, or the client that asks for it; `None` where that cannot be started.
async fn bring_up(board: &Board, name: &str, is_fixed: bool) -> Option<Up> {
    board.command(&["ip", "link", "set", name, "up"]).await;
    let network = board.now.borrow().network.clone();
    if let (Some((address, bits)), true) = (network.address, is_fixed) {
        let subnet = format!("{address}/{bits}");
        board.command(&["ip", "addr", "replace", &subnet, "dev", name]).await;
        if let Some(gateway) = network.gateway {
            let gateway = gateway.to_string();
            board.command(&["ip", "route", "replace", "default", "via", &gateway]).await;
        }
        return Some(Up::Fixed);
    }
    // RFC 2132 §9.6 and more: routers, names, domain and time servers.
    let words =
        ["udhcpc", "-f", "-i", name, "-x", &format!("hostname:{}", board.now.borrow().name)]
            .map(String::from)
            .to_vec();
    let more = ["-t", "3", "-T", "3", "-A", "10", "-O", "ntpsrv", "-s", SCRIPT].map(String::from);
    let words = words.into_iter().chain(more).collect();
    match board.machine.start(&Command { words, output: Output::Lost, ..Command::default() }) {
        Ok(client) => Some(Up::Asks(client)),
        Err(error) => {
            board.trouble(&format!("DHCP cannot be asked on {name}: {error}."));
            None
        }
    }
}

/// Addresses by which a browser finds this board: none that is only good with the name of a link.
pub fn own(board: &Board) -> Vec<IpAddr> {
    let named = |address: &IpAddr| match address {
        IpAddr::V4(four) => !four.is_link_local(),
        IpAddr::V6(six) => !six.is_unicast_link_local(),
    };
    board.sys.net.attached().addresses.into_iter().filter(named).collect()
}

/// Name servers of the file `network` come first; new addresses are told.
async fn look(board: &Board) {
    let dns = board.now.borrow().network.dns.clone();
    let lines: Vec<String> = dns.iter().map(|server| format!("nameserver {server}\n")).collect();
    let text = lines.concat();
    let path = format!("{RUN}/resolv.0fixed");
    // Empty where the file names none any more: then those that DHCP names are asked.
    if board.text(&path).await != text {
        let written = board.sys.replace(&path, text.clone().into_bytes()).await;
        let read = board.sys.replace("/run/resolv.conf", text.into_bytes()).await;
        if written.and(read).is_ok() {
            board.command(&["chmod", "644", &path, "/run/resolv.conf"]).await;
        }
    }
    let addresses: Vec<String> = own(board).iter().map(IpAddr::to_string).collect();
    if board.now.borrow().addresses != addresses {
        board.now.borrow_mut().addresses = addresses;
        board.changed.raise();
    }
}
