//! Who answers while the relay cannot: devices are told to come again later, and who opens the page
//! reads why, in plain words.

use super::{Board, Standing};
use crate::{
    limits,
    sys::{Listener, Signal, Stream},
};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use std::{net::SocketAddr, rc::Rc, time::Duration};

/// What is spoken at a port.
#[derive(Clone, Copy)]
enum Speech {
    Smtp,
    Http,
}

const DOORS: [(u16, Speech); 3] = [(25, Speech::Smtp), (587, Speech::Smtp), (80, Speech::Http)];

/// Answer for so long in place of the relay, which said `why` it cannot.
pub async fn answer(board: &Rc<Board>, why: &str, wait: Duration) {
    board.now.borrow_mut().relay = Standing::StoodInFor;
    let mut words = vec![format!("The relay is not running: {why}")];
    words.extend(board.now.borrow().troubles.iter().cloned());
    let words: Rc<str> = words.join("\n").into();
    let over = Signal::default();
    for (port, speech) in DOORS {
        for address in [([0, 0, 0, 0], port).into(), SocketAddr::from(([0_u16; 8], port))] {
            // The port may be the relay's own by another address, or not be there at all.
            if let Ok(door) = board.sys.net.listen(address) {
                let (words, over) = (words.clone(), over.clone());
                board.sys.spawn(open(board.clone(), door, speech, words, over));
            }
        }
    }
    board.sys.sleep(wait).await;
    over.raise();
    board.now.borrow_mut().relay = Standing::Down;
    // The doors close before the relay opens its own.
    board.sys.sleep(Duration::from_millis(50)).await;
}

/// One after the other: who talks for long makes others wait, for a few seconds.
async fn open(
    board: Rc<Board>,
    door: Box<dyn Listener>,
    speech: Speech,
    words: Rc<str>,
    over: Signal,
) {
    let serve = async {
        loop {
            match door.accept().await {
                Ok(peer) => {
                    let talk = talk(peer, speech, &words);
                    let _whoever_it_was = board.sys.within(limits::BOARD_LOOK_WAIT, talk).await;
                }
                Err(_) => board.sys.sleep(Duration::from_secs(1)).await,
            }
        }
    };
    let until = async {
        over.past(0).await;
    };
    until.or(serve).await;
}

async fn talk(mut peer: Box<dyn Stream>, speech: Speech, words: &str) -> std::io::Result<()> {
    match speech {
        // RFC 5321 §3.8: not now, and the client keeps its mail.
        Speech::Smtp => peer.write_all(refusal(words).as_bytes()).await?,
        Speech::Http => {
            // To its end: what is not read when we hang up resets the connection, and the page is
            // lost.
            let (mut asked, mut part) = (Vec::<u8>::new(), [0; 1024]);
            while asked.len() < limits::BOARD_TEXT_BYTES
                && !asked.windows(4).any(|end| end == b"\r\n\r\n")
            {
                match peer.read(&mut part).await? {
                    0 => break,
                    n => asked.extend(part.get(..n).unwrap_or_default()),
                }
            }
            peer.write_all(page(words).as_bytes()).await?;
        }
    }
    peer.close().await
}

fn refusal(words: &str) -> String {
    let line = words.lines().next().unwrap_or_default();
    let plain: String = line.chars().filter(|c| (' '..='~').contains(c)).take(400).collect();
    format!("421 4.3.0 {plain}\r\n")
}

fn page(words: &str) -> String {
    let text = format!(
        "Waypost cannot take mail now.\n\n{words}\n\nIt is tried again within a minute. Mail that \
         was taken before is kept.\nDevices are told to come again later.\n"
    );
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nRetry-After: 30\r\nCache-Control: no-store\r\nConnection: close\r\n\
         \r\n{text}",
        text.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_to_come_again_and_people_why() {
        assert_eq!(refusal("no \u{e9} card\nmore"), "421 4.3.0 no  card\r\n");
        assert_eq!(refusal(&"x".repeat(1000)).len(), "421 4.3.0 \r\n".len() + 400);
        let page = page("The card is broken.");
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(body.contains("\nThe card is broken.\n"));
    }
}
