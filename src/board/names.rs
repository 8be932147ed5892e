//! `waypost.local`: the board's name on its own links, by multicast DNS (RFC 6762), and the page as
//! a service that is found there (RFC 6763).

use super::{Board, links::own};
use crate::{
    limits,
    proto::dns::mdns::{self, Said, Told},
    sys::machine::Group,
};
use futures_lite::FutureExt;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;
const ALL: SocketAddr = SocketAddr::new(IpAddr::V4(GROUP), PORT);

/// Answer for as long as the board runs; anew where its addresses have changed.
pub async fn keep(board: Rc<Board>) {
    let mut wanted = own_name(&board);
    let mut number = 1_u32;
    let mut taken = 0;
    loop {
        if own_name(&board) != wanted {
            (wanted, number) = (own_name(&board), 1);
        }
        let addresses = own(&board);
        let Some(first) = addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        }) else {
            board.sys.sleep(limits::BOARD_LINKS_EVERY).await;
            continue;
        };
        let name = if number == 1 { wanted.clone() } else { format!("{wanted}-{number}") };
        let begun = board.sys.clock.now();
        match board.machine.group(GROUP, PORT, first) {
            Ok(group) => match answer(&board, &*group, (&wanted, &name), &addresses).await {
                End::Taken => {
                    number = number % limits::BOARD_NAMES + 1;
                    let held = board.sys.clock.now().since(begun) > limits::BOARD_NAMES_WITHIN;
                    taken = if held { 1 } else { taken + 1 };
                    if taken >= limits::BOARD_NAMES_QUICK {
                        // RFC 6762 §8.1: after fifteen, five seconds before each further one.
                        board.sys.sleep(limits::BOARD_NAMES_REST).await;
                    }
                }
                End::Moved => {}
            },
            Err(error) => {
                board.trouble(&format!("The name {name}.local cannot be answered to: {error}."));
                board.sys.sleep(Duration::from_mins(1)).await;
            }
        }
    }
}

/// Why answering under a name ends.
enum End {
    /// Somebody else has it. RFC 6762 §9.
    Taken,
    /// Our addresses are others, or a person has given us another name.
    Moved,
}

/// As the file `network` says.
fn own_name(board: &Board) -> String {
    board.now.borrow().network.own_name()
}

async fn answer(
    board: &Board,
    group: &dyn Group,
    (wanted, name): (&str, &str),
    addresses: &[IpAddr],
) -> End {
    let told = Told { name: name.to_owned(), addresses: addresses.to_vec(), port: 80 };
    // RFC 6762 §8.1: asked three times whether anybody has it.
    for _ in 0..3 {
        let _a_link_may_be_down = group.send(&mdns::probe(&told), ALL).await;
        let wait = Duration::from_millis(250);
        if let Some(End::Taken) = hear(board, group, &told, wait).await {
            return End::Taken;
        }
    }
    name.clone_into(&mut board.now.borrow_mut().name);
    board.changed.raise();
    // RFC 6762 §8.3: told twice, a second apart.
    for _ in 0..2 {
        let _a_link_may_be_down = group.send(&mdns::announce(&told), ALL).await;
        board.sys.sleep(Duration::from_secs(1)).await;
    }
    loop {
        if let Some(end) = hear(board, group, &told, limits::BOARD_LINKS_EVERY).await {
            return end;
        }
        if own(board) != addresses || own_name(board) != wanted {
            return End::Moved;
        }
    }
}

/// Answer what is asked for so long; tells what ends it earlier.
async fn hear(board: &Board, group: &dyn Group, told: &Told, wait: Duration) -> Option<End> {
    let until = board.sys.clock.now() + wait;
    let late = async {
        board.sys.clock.sleep_until(until).await;
        None
    };
    let talk = async {
        let mut packet = [0; 1500];
        loop {
            let Ok((length, from)) = group.receive(&mut packet).await else {
                return Some(End::Moved);
            };
            let heard = packet.get(..length).unwrap_or_default();
            match mdns::hear(heard, told, from.port() != PORT) {
                Said::Nothing => {}
                Said::Taken => return Some(End::Taken),
                // RFC 6762 §6.7: who does not ask from our port is answered alone.
                Said::Answer(octets) if from.port() != PORT => {
                    let _it_may_be_gone = group.send(&octets, from).await;
                }
                Said::Answer(octets) => {
                    let _a_link_may_be_down = group.send(&octets, ALL).await;
                }
            }
        }
    };
    late.or(talk).await
}
