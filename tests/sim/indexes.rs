//! Lives with an index that fails, is full, is slow or vanishes: the mail flows on.

use crate::{
    boot::Frailty,
    door,
    letters::HOME,
    life::{Came, Life},
    senders::Kind,
    shelf::Ailment,
    specials::{letter, sender},
    world::{hours, minutes, seconds},
};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};
use waypost::limits;

/// How the index of a life is.
const AILMENTS: [Ailment; 4] = [
    Ailment { fails: 1000, slow: 0, full: false },
    Ailment { fails: 0, slow: 0, full: true },
    Ailment { fails: 300, slow: 25_000, full: false },
    Ailment { fails: 0, slow: 90_000, full: false },
];

/// More events come than may wait, then it is well, then it vanishes.
pub fn ill(seed: u64) -> Came {
    let mut life = Life::new(seed);
    let world = life.world.clone();
    let ailment = AILMENTS[usize::try_from(seed).expect("small") % AILMENTS.len()];
    life.ail(Frailty { index: ailment, ..Frailty::default() });
    life.start();
    life.run(seconds(5));
    // Two events each, and some of the sessions.
    let many = limits::HISTORY_WAITING as u64 / 2 + 200;
    send(&mut life, 0, many, hours(3));
    delivered_soon(&life, many);
    life.heal();
    send(&mut life, many, 3, minutes(30));
    let events = life.index_lines();
    let most = limits::HISTORY_WAITING + 100;
    let hidden = ailment.slow == 0 && events > most;
    if hidden || events < 6 {
        world.wrong(format!("{events} events were kept while the index was ill"));
    }
    if found(&mut life, many - 50) == 0 || found(&mut life, many + 2) == 0 {
        world.wrong("what came after it was well is not found".into());
    }
    if ailment.slow == 0 && found(&mut life, 0) > 0 {
        world.wrong("the oldest event was kept, and the newest are to be".into());
    }
    life.lose_index();
    send(&mut life, many + 3, 3, minutes(30));
    let events = life.index_lines();
    if !(6..50).contains(&events) {
        world.wrong(format!("{events} events are in a history that began anew"));
    }
    // What was told just before may be written once more, with what shares its block.
    if found(&mut life, many + 5) == 0 || found(&mut life, many - 50) > 0 {
        world.wrong("a new history has what is new, and nothing old".into());
    }
    life.rest();
    life.end()
}

/// Letters to alice, each from somebody else.
fn send(life: &mut Life, first: u64, many: u64, within: u64) {
    let near = sender(life, Kind::Near, [192, 168, 7, 20]);
    let world = life.world.clone();
    let own = world.clone();
    world.spawn(async move {
        for n in first..first + many {
            let mut letter = letter(&near, &[&format!("alice@{HOME}")]);
            letter.from = format!("camera{n}@two.example");
            letter.complete = false;
            // A reset would be a trouble of the line.
            drop(near.plainly(vec![letter]).await);
            own.sleep(within / 2 / many).await;
        }
    });
    life.run(world.now() + within);
}

/// How many events are found of the so-manieth sender.
fn found(life: &mut Life, n: u64) -> usize {
    let world = life.world.clone();
    let answer = Rc::new(RefCell::new(None));
    let (own, into) = (world.clone(), answer.clone());
    world.spawn(async move {
        let path = format!("/api/trace?q=camera{n}@two.example");
        *into.borrow_mut() = door::ask(&own, &path).await.ok();
    });
    life.run(world.now() + minutes(10));
    let answer = answer.take().unwrap_or_default();
    answer["events"].as_array().map_or(0, Vec::len)
}

/// Nothing waits for the index.
fn delivered_soon(life: &Life, many: u64) {
    let mut accepted: BTreeMap<String, u64> = BTreeMap::new();
    let mut delivered = 0;
    for line in life.world.lines() {
        let id = line.text.split_once(" id=").map(|(_, rest)| rest.split(' ').next().unwrap_or(""));
        let Some(id) = id else { continue };
        if line.text.starts_with("event=accepted") {
            accepted.insert(id.to_string(), line.at);
        } else if line.text.starts_with("event=delivered") {
            delivered += 1;
            let took = line.at - accepted.get(id).copied().unwrap_or(0);
            if took > seconds(30) {
                life.world.wrong(format!("{id} took {took} ms while the index was ill"));
            }
        }
    }
    if delivered < many {
        life.world.wrong(format!("{delivered} of {many} were delivered while the index was ill"));
    }
}
