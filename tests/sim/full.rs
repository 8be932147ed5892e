//! Lives in which the room runs out: of the spool, and of the file system.

use crate::{
    door,
    letters::{HOME, Letter},
    life::{Came, Life, MESSAGE, SEGMENT, SPOOL},
    net::{self, Line, RELAY},
    senders::{Kind, Sender, ask, command, expect},
    specials::{letter, sender},
    talk::{Said, Talk, stuffed},
    world::{hours, minutes, seconds},
};
use std::{cell::RefCell, io, net::SocketAddr, rc::Rc};
use waypost::limits;

/// Every refusal that was heard: the command that it answers, and its words.
type Heard = Rc<RefCell<Vec<(&'static str, String)>>>;

/// The line is down and the mail comes in until there is no room; then the line is up.
pub fn spool(seed: u64) -> Came {
    let mut life = Life::new(seed);
    let world = life.world.clone();
    life.start();
    life.run(seconds(5));
    world.net().line(*world.pick(&[Line::Silent, Line::Unreachable]));
    let heard = Heard::default();
    fill(&life, &heard, 400);
    life.run(hours(2));
    let said: Vec<String> =
        heard.borrow().iter().map(|(at, said)| format!("{at}: {said}")).collect();
    for at in ["MAIL", "DATA"] {
        if !said.iter().any(|words| words.starts_with(&format!("{at}: 452 4.3.1"))) {
            world.wrong(format!("a full spool is not told at {at}: {said:?}"));
        }
    }
    if let Some(other) = said.iter().find(|words| !words.contains("452 4.3.1")) {
        world.wrong(format!("a full spool is told as {other}"));
    }
    look(&mut life, true);
    if world.one_in(2) {
        life.crash_now();
        life.start();
        life.run(world.now() + minutes(1));
        look(&mut life, true);
    }
    life.heal();
    life.run(world.now() + hours(4));
    look(&mut life, false);
    let heard = Heard::default();
    fill(&life, &heard, 8);
    life.run(world.now() + hours(1));
    if !heard.borrow().is_empty() {
        world.wrong(format!("there is room again, and yet: {:?}", heard.borrow()));
    }
    life.rest();
    life.end()
}

/// Others fill the file system while large messages come in, and leave again.
pub fn file_system(seed: u64) -> Came {
    let mut life = Life::new(seed);
    let world = life.world.clone();
    life.start();
    life.run(seconds(5));
    world.net().line(Line::Unreachable);
    let heard = Heard::default();
    fill(&life, &heard, 200);
    life.run(world.now() + seconds(world.between(1, 20)));
    // Less is left now than the relay last knew of.
    let spare = limits::FILE_SYSTEM_SPARE_BYTES + world.below(1 << 20);
    life.disk.set_room(life.disk.octets("") + spare);
    // The message that is on its way, and a segment that is being made.
    life.disk.leave_free("spool", limits::FILE_SYSTEM_SPARE_BYTES - MESSAGE - SEGMENT);
    life.case.disk_fails = true;
    life.run(world.now() + hours(1));
    if heard.borrow().is_empty() {
        world.wrong("a full file system is told to nobody".into());
    }
    if let Some(other) = heard.borrow().iter().find(|(_, said)| !said.starts_with("452 4.3.1")) {
        world.wrong(format!("a full file system is told as {other:?}"));
    }
    // What is delivered here needs room that was left for it.
    let near = sender(&life, Kind::Near, [192, 168, 7, 30]);
    let small = letter(&near, &[&format!("alice@{HOME}")]);
    let token = small.token;
    world.spawn(async move { drop(near.plainly(vec![small]).await) });
    life.run(world.now() + minutes(5));
    life.heal();
    life.run(world.now() + hours(4));
    world.note(&format!("letter {token} was for the room that was left"));
    life.rest();
    life.end()
}

/// Letters to far away, one session each: every second one of 100 to 200 KB, with its size given at
/// MAIL or not.
fn fill(life: &Life, heard: &Heard, many: u64) {
    let near = sender(life, Kind::Near, [192, 168, 7, 20]);
    let (world, heard) = (life.world.clone(), heard.clone());
    world.clone().spawn(async move {
        for n in 0..many {
            let mut letter = letter(&near, &["me@one.example"]);
            let more = if n % 2 == 0 { world.between(100_000, 200_000) } else { 3_000 };
            for _ in 0..more / 70 {
                letter.octets.extend_from_slice(&[b'x'; 68]);
                letter.octets.extend_from_slice(b"\r\n");
            }
            // Who is refused at MAIL says no more.
            drop(hand_over(&near, letter, n % 3 > 0, &heard).await);
            world.sleep(world.below(2_000)).await;
        }
    });
}

async fn hand_over(near: &Sender, letter: Letter, sized: bool, heard: &Heard) -> io::Result<()> {
    let world = &near.world;
    let at = SocketAddr::new(RELAY.into(), 25);
    let mut talk = Talk::new(world, net::connect(world, near.address, at).await?, minutes(5));
    expect(&talk.reply().await?, 220)?;
    ask(&mut talk, "EHLO camera.example", 250).await?;
    let size = if sized { format!(" SIZE={}", letter.octets.len()) } else { String::new() };
    let refused = |at, said: &Said| {
        if said.code >= 400 {
            heard.borrow_mut().push((at, said.lines.join(" ")));
        }
    };
    let said = command(&mut talk, &format!("MAIL FROM:<{}>{size}", letter.from)).await?;
    refused("MAIL", &said);
    expect(&said, 250)?;
    ask(&mut talk, "RCPT TO:<me@one.example>", 250).await?;
    ask(&mut talk, "DATA", 354).await?;
    talk.say(&stuffed(&letter.octets)).await?;
    let said = talk.reply().await?;
    refused("DATA", &said);
    near.note(letter, said.code);
    expect(&said, 250)?;
    ask(&mut talk, "QUIT", 221).await
}

/// What the page says of the spool.
fn look(life: &mut Life, full: bool) {
    let world = life.world.clone();
    let seen = Rc::new(RefCell::new(None));
    let (own, into) = (world.clone(), seen.clone());
    world.spawn(async move { *into.borrow_mut() = door::ask(&own, "/api/status").await.ok() });
    life.run(world.now() + minutes(5));
    let Some(status) = seen.take() else {
        return world.wrong("the page does not say how the spool stands".into());
    };
    let (used, most) = (status["spool"]["used"].as_u64(), status["spool"]["most"].as_u64());
    let problems = status["problems"].to_string();
    if used.is_none() || most != Some(SPOOL) || used > most {
        world.wrong(format!("the page says {used:?} of {most:?} octets are used"));
    }
    let told = ["spool is full", "spool is nearly full"].iter().any(|it| problems.contains(it));
    if told != full || (used > Some(SPOOL / 4)) != full {
        world.wrong(format!("with {used:?} octets the page says {problems}"));
    }
}
