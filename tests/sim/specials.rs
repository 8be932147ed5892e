//! Lives made for one promise each.

use crate::{
    judge::CIRCLE,
    letters::{HOME, Letter, Wish},
    life::{Came, Life},
    net::{self, Line, RELAY},
    senders::{Kind, Sender, ask, command, expect},
    talk::{Talk, stuffed},
    world::{World, hours, minutes, seconds},
};
use std::{
    cell::Cell,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};

const DAY: u64 = hours(24);

pub fn sender(life: &Life, kind: Kind, address: [u8; 4]) -> Sender {
    let address = IpAddr::from(address);
    Sender { world: life.world.clone(), book: life.book.clone(), kind, address }
}

pub fn letter(sender: &Sender, to: &[&str]) -> Letter {
    let to = to.iter().map(|to| ((*to).to_string(), Wish::Default)).collect();
    sender.letter_to("sender@two.example".into(), to)
}

/// Letters are accepted, then the line is down for thirty days, with a crash in the middle of it.
pub fn outage(seed: u64) -> Came {
    let mut life = Life::new(seed);
    let world = life.world.clone();
    life.start();
    life.run(seconds(5));
    let near = sender(&life, Kind::Near, [192, 168, 7, 20]);
    let letters = vec![
        letter(&near, &["me@one.example", "no-one@one.example", &format!("alice@{HOME}")]),
        letter(&near, &["printer@via.example"]),
    ];
    let line = *world.pick(&[Line::Silent, Line::Unreachable]);
    // Some are tried before it goes down, some are not.
    if world.one_in(2) {
        world.net().line(line);
    }
    life.servers.trouble(1000, DAY);
    world.spawn(async move { drop(near.plainly(letters).await) });
    life.run(minutes(2));
    world.net().line(line);
    life.run(world.below(30 * DAY));
    life.crash_now();
    life.start();
    life.run(30 * DAY);
    life.heal();
    life.rest();
    life.end()
}

/// A server sends back to us whatever we send it.
pub fn circle(seed: u64) -> Came {
    let mut life = Life::new(seed);
    let world = life.world.clone();
    life.start();
    life.run(seconds(5));
    let near = sender(&life, Kind::Near, [192, 168, 7, 20]);
    let letters = vec![letter(&near, &[CIRCLE])];
    let rounds = Rc::new(Cell::new(0));
    let (own, count, taken) = (world.clone(), rounds.clone(), life.servers.taken.clone());
    world.spawn(async move {
        drop(near.plainly(letters).await);
        loop {
            own.sleep(seconds(20)).await;
            let back = taken.borrow().get(count.get()).cloned();
            let Some(back) = back.filter(|back| back.server == "circle.example") else { return };
            count.set(count.get() + 1);
            let octets = [b"Received: from relay by circle\r\n", back.octets.as_slice()].concat();
            if send_back(&own, &octets).await.is_err() {
                return;
            }
        }
    });
    life.run(hours(3));
    life.rest();
    // Each round adds our Received field and the other's.
    if !(40..=51).contains(&rounds.get()) {
        world.wrong(format!("the circle ends after {} rounds", rounds.get()));
    }
    let last = world.lines().iter().any(|line| line.text.contains("554 5.4.6"));
    if !last {
        world.wrong("the circle was not seen to be one".into());
    }
    life.end()
}

/// `Err` where it is not taken.
async fn send_back(world: &World, octets: &[u8]) -> io::Result<()> {
    let at = SocketAddr::new(RELAY.into(), 25);
    let wire = net::connect(world, Ipv4Addr::new(192, 168, 7, 50).into(), at).await?;
    let mut talk = Talk::new(world, wire, minutes(5));
    expect(&talk.reply().await?, 220)?;
    ask(&mut talk, "HELO circle.example", 250).await?;
    ask(&mut talk, "MAIL FROM:<sender@two.example>", 250).await?;
    ask(&mut talk, &format!("RCPT TO:<{CIRCLE}>"), 250).await?;
    ask(&mut talk, "DATA", 354).await?;
    talk.say(&stuffed(octets)).await?;
    expect(&talk.reply().await?, 250)
}

/// A user far away logs in and may send; with a wrong password he may not.
pub fn login(seed: u64) -> Came {
    let mut life = Life::with_password(seed, "right");
    let world = life.world.clone();
    life.start();
    life.run(seconds(5));
    let own = world.clone();
    world.spawn(async move {
        // "\0alice\0right" and "\0alice\0wrong" in base 64.
        let tries = [("AGFsaWNlAHdyb25n", 535, 530), ("AGFsaWNlAHJpZ2h0", 235, 250)];
        for (secret, login, mail) in tries {
            let heard = log_in(&own, secret).await;
            if heard.as_ref().ok() != Some(&(login, mail)) {
                own.wrong(format!("a login ends with {heard:?}, not {login} and {mail}"));
            }
        }
    });
    life.run(minutes(10));
    life.rest();
    life.end()
}

/// The replies to AUTH and to MAIL.
async fn log_in(world: &World, secret: &str) -> io::Result<(u16, u16)> {
    let at = SocketAddr::new(RELAY.into(), 587);
    let wire = net::connect(world, Ipv4Addr::new(203, 0, 113, 9).into(), at).await?;
    let mut talk = Talk::new(world, wire, minutes(5));
    expect(&talk.reply().await?, 220)?;
    ask(&mut talk, "EHLO far.example", 250).await?;
    // A stranger's password must not cross the net in clear.
    if command(&mut talk, &format!("AUTH PLAIN {secret}")).await?.code < 500 {
        return Err(ErrorKind::PermissionDenied.into());
    }
    ask(&mut talk, "STARTTLS", 220).await?;
    ask(&mut talk, "EHLO far.example", 250).await?;
    let login = command(&mut talk, &format!("AUTH PLAIN {secret}")).await?.code;
    let mail = command(&mut talk, &format!("MAIL FROM:<alice@{HOME}>")).await?.code;
    Ok((login, mail))
}
