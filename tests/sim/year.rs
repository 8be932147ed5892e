//! A year of uptime: some mail every hour, outages every week, and no more memory than at its
//! beginning.

use crate::{
    letters::{HOME, Wish},
    life::{Came, Life, SEGMENT},
    net::Line,
    number,
    senders::Kind,
    specials::sender,
    world::{World, hours, minutes, seconds},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{alloc::System, process::Command};
use waypost::limits;

/// Of the whole process: a year is lived in one of its own.
#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const DAY: u64 = hours(24);
/// Days after which every cache, table and list has reached its bound: the resolver remembers some
/// 1,000 domains, of which 22 a day are new.
const SETTLED: usize = 64;
/// Lanes are forgotten when there are 256 of them: days from one such time to the next, and some.
const CYCLE: usize = 24;
/// Octets a day by which the live heap may grow: one table doubles late in the year, by 160 KiB. A
/// leak of 64 octets a message would be four times as much.
const SLACK: usize = 700;

fn live_heap() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Each hour a letter to one of ours and to somebody in a domain that is new, from a new sender and
/// a new address.
fn mail(life: &Life, hour: u64) {
    let last = u8::try_from(20 + hour % 200).expect("an octet");
    let near = sender(life, Kind::Near, [192, 168, 7, last]);
    let far = format!("x{hour}@d{hour}.many.example");
    let to = [format!("alice@{HOME}"), far].map(|to| (to, Wish::Default)).into();
    let mut letter = near.letter_to(format!("camera{hour}@two.example"), to);
    let stranger = sender(life, Kind::Stranger, [203, 0, 113, last]);
    let back = stranger.letter_to(String::new(), vec![(format!("bob@{HOME}"), Wish::Default)]);
    letter.complete = false;
    life.world.spawn(async move {
        drop(near.plainly(vec![letter]).await);
        drop(stranger.plainly(vec![back]).await);
    });
}

/// Days of it, and what the heap held at the end of each.
fn days(life: &mut Life, many: u64) -> Vec<usize> {
    let world = life.world.clone();
    let mut heap = Vec::new();
    for day in 0..many {
        // Each week the line is down for some hours, and servers are in trouble for a day.
        life.servers.trouble(if day % 7 == 3 { 300 } else { 0 }, 0);
        for hour in 0..24 {
            let down = day % 7 == 5 && (8..16).contains(&hour);
            world.net().line(if down { Line::Unreachable } else { Line::Up });
            if hour < 22 {
                mail(life, day * 24 + hour);
            }
            life.run(world.now() + hours(1));
        }
        let journal = life.disk.octets("spool/");
        if journal > SEGMENT * u64::from(limits::SEGMENTS_MIN + 1) {
            world.wrong(format!("the spool takes {journal} octets on day {day}"));
        }
        let arrived = life.servers.taken.borrow().len();
        if arrived < 10 {
            world.wrong(format!("{arrived} letters arrived on day {day}"));
        }
        life.forget();
        heap.push(live_heap());
    }
    heap
}

pub fn year(seed: u64) -> Came {
    let many = number("DAYS").unwrap_or(365);
    let mut life = Life::new(seed);
    let world = life.world.clone();
    life.start();
    life.run(seconds(5));
    let heap = days(&mut life, many);
    life.run(world.now() + minutes(5));
    grown(&world, &heap);
    life.servers.trouble(0, 0);
    life.run(world.now() + DAY);
    life.rest();
    life.end()
}

/// The least that is alive within a cycle: what comes and goes is not among it.
fn grown(world: &World, heap: &[usize]) {
    let least = |days: &[usize]| days.iter().min().copied().unwrap_or_default();
    let (early, late) =
        (least(&heap[SETTLED - CYCLE..SETTLED]), least(&heap[heap.len() - CYCLE..]));
    println!("{} days: {early} octets of heap after the first days, {late} at the end", heap.len());
    if late > early + SLACK * heap.len() {
        world.wrong(format!("the heap has grown from {early} to {late} octets: {heap:?}"));
    }
}

#[test]
#[ignore = "by another test, in a process of its own"]
fn a_year() {
    let seed = number("SEED").unwrap_or(0);
    super::live_all(seed..seed + 1, year);
}

#[test]
fn weeks_of_uptime_take_no_more_memory_than_days() {
    let days = number("DAYS").unwrap_or(90).to_string();
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "year::a_year", "--ignored", "--nocapture"])
        .env("DAYS", days)
        .output()
        .expect("this program runs");
    let words = String::from_utf8_lossy(&output.stdout);
    println!("{words}");
    assert!(output.status.success() && words.contains("1 passed"), "{words}");
}
