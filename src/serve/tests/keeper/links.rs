//! Ports and their addresses.

use super::{bench::Run, *};
use crate::{board::links, sys::machine::Output};

const CLIENT: &str = "udhcpc";

impl Home {
    /// With these ports, and an eye on them.
    fn wired(ports: &[&str], network: &str) -> Home {
        let home = Home::new();
        home.plug(ports);
        home.network(network);
        home.begin(links::keep(home.board.clone()));
        home
    }

    fn plug(&self, ports: &[&str]) {
        *self.bench.wired.borrow_mut() = ports.iter().map(|port| (*port).into()).collect();
    }

    /// Until ports have been looked at again.
    fn look(&self) {
        self.world.pass(limits::BOARD_LINKS_EVERY);
    }

    /// Clients that ask for an address on this port.
    fn clients(&self, port: &str) -> Vec<Rc<Run>> {
        let mut clients = self.bench.started(CLIENT);
        clients.retain(|client| client.words().contains(&format!(" -i {port} ")));
        clients
    }
}

#[test]
fn an_address_is_asked_for_on_each_port_for_as_long_as_it_is_there() {
    let home = Home::wired(&["eth0", "eth1"], "name = mail\n");
    assert_eq!(home.bench.ran("ip"), ["ip link set eth0 up", "ip link set eth1 up"]);
    let client = &home.clients("eth0")[0];
    assert!(client.words().contains(" -s /usr/share/udhcpc/default.script"), "{}", client.words());
    assert_eq!(client.command.output, Output::Lost, "nobody hears it");
    home.plug(&["eth0", "eth1", "eth2"]);
    home.look();
    assert_eq!(home.clients("eth2").len(), 1, "it was plugged in later");
    home.plug(&["eth0"]);
    home.look();
    assert!(home.clients("eth1")[0].is_gone.get() && home.clients("eth2")[0].is_gone.get());
    home.plug(&["eth0", "eth1"]);
    home.look();
    assert_eq!(home.clients("eth1").len(), 2, "it has come back");
    home.pass(HOUR);
    assert_eq!(home.bench.started(CLIENT).len(), 4, "who runs is left alone");
    assert!(home.clients("eth0")[0].lives());
}

#[test]
fn a_client_that_has_ended_is_started_again() {
    let home = Home::wired(&["eth0"], "");
    home.clients("eth0")[0].ends(1);
    home.look();
    assert_eq!(home.clients("eth0").len(), 2);
    assert!(home.clients("eth0")[1].lives());
}

#[test]
fn the_name_is_told_to_who_gives_addresses() {
    let home = Home::new();
    home.board.now.borrow_mut().name = "mail".into();
    home.begin(links::keep(home.board.clone()));
    let client = &home.clients("eth0")[0];
    assert!(client.words().contains(" -x hostname:mail "), "{}", client.words());
}

#[test]
fn a_fixed_address_stands_on_the_first_port_and_the_others_ask() {
    let home = Home::wired(&["eth0", "eth1"], "address = 10.0.0.2/24\ngateway = 10.0.0.1\n");
    assert!(home.clients("eth0").is_empty());
    assert_eq!(home.clients("eth1").len(), 1);
    let fixed = ["ip addr replace 10.0.0.2/24 dev eth0"];
    assert_eq!(home.bench.ran("ip addr"), fixed);
    assert_eq!(home.bench.ran("ip route"), ["ip route replace default via 10.0.0.1"]);
    home.pass(60);
    assert_eq!(home.bench.ran("ip addr"), fixed, "once");
}

#[test]
fn where_a_wifi_is_asked_for_the_fixed_address_is_its_radios() {
    let home = Home::wired(&["eth0"], "address = 10.0.0.2/24\nwifi = home\n");
    assert_eq!(home.clients("eth0").len(), 1);
    assert!(home.bench.ran("ip addr").is_empty(), "the radio is not in it yet");
    home.board.now.borrow_mut().joined = Some("wlan0".into());
    home.look();
    assert_eq!(home.bench.ran("ip addr"), ["ip addr replace 10.0.0.2/24 dev wlan0"]);
    assert!(home.clients("wlan0").is_empty());
    home.board.now.borrow_mut().joined = None;
    home.look();
    home.board.now.borrow_mut().joined = Some("wlan0".into());
    home.look();
    assert_eq!(home.bench.ran("ip addr").len(), 2, "it is in again");
}

#[test]
fn a_radio_without_a_fixed_address_asks_for_one_while_it_is_in() {
    let home = Home::wired(&[], "wifi = home\n");
    home.board.now.borrow_mut().joined = Some("wlan0".into());
    home.look();
    assert!(home.clients("wlan0")[0].lives());
    home.board.now.borrow_mut().joined = None;
    home.look();
    assert!(home.clients("wlan0")[0].is_gone.get());
}

#[test]
fn where_the_file_says_something_else_all_begins_anew() {
    let home = Home::wired(&["eth0", "eth1"], "");
    home.network("address = 10.0.0.2/24\n");
    home.look();
    let flushed = ["ip -4 addr flush dev eth0", "ip -4 addr flush dev eth1"];
    assert_eq!(home.bench.ran("ip -4 addr flush"), flushed);
    assert!(home.clients("eth0")[0].is_gone.get() && home.clients("eth1")[0].is_gone.get());
    assert_eq!(home.bench.ran("ip addr"), ["ip addr replace 10.0.0.2/24 dev eth0"]);
    assert_eq!((home.clients("eth0").len(), home.clients("eth1").len()), (1, 2));
    home.network("");
    home.look();
    assert_eq!(home.bench.ran("ip -4 addr flush").len(), 4, "the fixed address goes, too");
    assert!(home.clients("eth0")[1].lives());
    let ran = home.bench.ran("ip");
    let (flush, up) = ("ip -4 addr flush dev eth1", "ip link set eth0 up");
    let place = |words: &str| ran.iter().rposition(|ran| ran == words);
    assert!(place(flush) < place(up), "{ran:?}");
}

#[test]
fn a_client_that_cannot_be_started_is_told() {
    let home = Home::new();
    *home.bench.missing.borrow_mut() = Some(CLIENT);
    home.begin(links::keep(home.board.clone()));
    assert!(home.troubles().starts_with("DHCP cannot be asked on eth0: "), "{}", home.troubles());
}

#[test]
fn name_servers_of_the_file_are_those_that_are_asked() {
    let home = Home::wired(&["eth0"], "dns = 192.168.1.1 fd00::1\n");
    let lines = "nameserver 192.168.1.1\nnameserver fd00::1\n";
    assert_eq!(home.file("/run/resolv.conf"), lines);
    assert_eq!(home.file("/run/board/resolv.0fixed"), lines);
    let readable = ["chmod 644 /run/board/resolv.0fixed /run/resolv.conf"];
    assert_eq!(home.bench.ran("chmod"), readable, "the relay may read it");
    home.pass(60);
    assert_eq!(home.bench.ran("chmod"), readable, "written once");
}

#[test]
fn addresses_by_which_it_is_found_are_told_as_they_change() {
    let home = Home::new();
    home.owns(&["192.168.1.5", "169.254.7.7", "fe80::1", "fd00::5"]);
    home.begin(links::keep(home.board.clone()));
    assert_eq!(home.now().addresses, ["192.168.1.5", "fd00::5"], "none of a link alone");
    let told = home.board.changed.count();
    home.look();
    assert_eq!(home.board.changed.count(), told, "nothing has changed");
    home.owns(&["192.168.1.6"]);
    home.look();
    assert_eq!(home.now().addresses, ["192.168.1.6"]);
    assert_eq!(home.board.changed.count(), told + 1);
}

#[test]
fn a_client_that_cannot_be_started_is_tried_again() {
    let home = Home::new();
    *home.bench.missing.borrow_mut() = Some(CLIENT);
    home.begin(links::keep(home.board.clone()));
    home.pass(60);
    *home.bench.missing.borrow_mut() = None;
    home.look();
    assert_eq!(home.clients("eth0").len(), 1);
    assert_eq!(home.now().troubles.len(), 1, "told once");
}

#[test]
fn a_fixed_address_stands_on_one_port_also_where_another_comes_before_it() {
    let home = Home::wired(&["eth1"], "address = 10.0.0.2/24\n");
    home.plug(&["eth0", "eth1"]);
    home.look();
    let fixed = |port: &str| format!("ip addr replace 10.0.0.2/24 dev {port}");
    assert_eq!(home.bench.ran("ip addr"), [fixed("eth1"), fixed("eth0")]);
    assert_eq!(home.bench.ran("ip -4 addr flush"), ["ip -4 addr flush dev eth1"]);
    assert_eq!(home.clients("eth1").len(), 1);
}

#[test]
fn a_radio_that_has_left_its_wifi_keeps_no_address() {
    let home = Home::wired(&[], "wifi = home\n");
    home.bench.radios.borrow_mut().push("wlan0".into());
    home.board.now.borrow_mut().joined = Some("wlan0".into());
    home.look();
    home.board.now.borrow_mut().joined = None;
    home.look();
    assert_eq!(home.bench.ran("ip -4 addr flush"), ["ip -4 addr flush dev wlan0"]);
}

#[test]
fn name_servers_that_the_file_names_no_more_are_asked_no_more() {
    let home = Home::wired(&["eth0"], "dns = 192.168.1.1\n");
    home.network("");
    home.look();
    assert_eq!(home.file("/run/board/resolv.0fixed"), "");
    assert_eq!(home.file("/run/resolv.conf"), "", "until DHCP names some");
    home.look();
    assert_eq!(home.bench.ran("chmod").len(), 2);
}
