//! What the reactor promises its one thread.

use super::*;
use crate::sys::linux::tests::reactor;
use futures_lite::future::{or, poll_once, zip};
use std::{
    future::poll_fn,
    io::{Read, Write},
    os::unix::net::UnixStream,
    thread,
};

/// Octets that no socket's buffer takes at once.
const ALL: usize = 4 << 20;

#[expect(clippy::disallowed_methods, reason = "another thread, for which there is no sys.clock")]
fn a_moment() {
    thread::sleep(Duration::from_millis(3));
}

/// A watched end, and the other, which blocks.
fn pair(reactor: &Reactor) -> (Watched<UnixStream>, UnixStream) {
    let (ours, other) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (reactor.watch(ours).unwrap(), other)
}

async fn read(from: &Watched<UnixStream>, most: usize) -> Vec<u8> {
    let mut octets = vec![0; most];
    let n = poll_fn(|cx| from.poll_read(cx, most, |mut io| io.read(&mut octets))).await;
    octets.truncate(n.unwrap());
    octets
}

async fn send(to: &Watched<UnixStream>, octets: &[u8]) -> usize {
    poll_fn(|cx| to.poll_send(cx, |mut io| io.write(octets))).await.unwrap()
}

#[test]
fn what_comes_later_than_the_first_look_is_read() {
    let reactor = reactor();
    let (ours, mut other) = pair(&reactor);
    let sender = thread::spawn(move || {
        for word in ["one", "two", "three"] {
            a_moment();
            other.write_all(word.as_bytes()).unwrap();
        }
        other
    });
    for word in ["one", "two", "three"] {
        assert_eq!(reactor.block_on(read(&ours, 16)), word.as_bytes());
    }
    drop(sender.join().unwrap());
    assert_eq!(reactor.block_on(read(&ours, 16)), b"");
}

#[test]
fn an_end_that_came_with_the_last_octets_is_seen_after_them() {
    let reactor = reactor();
    let (ours, mut other) = pair(&reactor);
    // Both are told by one event, and a short read is no reason to wait for another.
    other.write_all(b"last").unwrap();
    drop(other);
    assert_eq!(reactor.block_on(read(&ours, 16)), b"last");
    assert_eq!(reactor.block_on(read(&ours, 16)), b"");
    assert_eq!(reactor.block_on(read(&ours, 16)), b"");
}

#[test]
fn a_read_that_fills_its_buffer_is_followed_by_another() {
    let reactor = reactor();
    let (ours, mut other) = pair(&reactor);
    other.write_all(b"abcdef").unwrap();
    for two in [b"ab", b"cd", b"ef"] {
        assert_eq!(reactor.block_on(read(&ours, 2)), two);
    }
    assert_eq!(reactor.block_on(async { poll_once(read(&ours, 2)).await }), None);
    other.write_all(b"g").unwrap();
    assert_eq!(reactor.block_on(read(&ours, 2)), b"g");
}

#[test]
fn who_cannot_send_more_goes_on_when_there_is_room_again_and_again() {
    let reactor = reactor();
    let (ours, mut other) = pair(&reactor);
    let reader = thread::spawn(move || {
        let mut octets = vec![0; ALL];
        other.read_exact(&mut octets).unwrap();
        octets
    });
    let octets: Vec<u8> = (0..ALL).map(|n| n.to_le_bytes()[1]).collect();
    reactor.block_on(async {
        let mut sent = 0;
        while sent < ALL {
            sent += send(&ours, &octets[sent..]).await;
        }
    });
    assert!(reader.join().unwrap() == octets);
}

#[test]
fn timers_end_in_the_order_of_their_moments_and_those_dropped_never() {
    let reactor = reactor();
    let order = RefCell::new(Vec::new());
    // Far enough away that all of them are waited for before the first has come.
    let start = Instant(0) + reactor.now() + Duration::from_millis(300);
    let wait = async |ms: u64| {
        reactor.sleep_until(start + Duration::from_millis(ms)).await;
        order.borrow_mut().push(ms);
    };
    reactor.block_on(async {
        zip(zip(wait(30), wait(10)), zip(wait(20), or(wait(500), wait(25)))).await
    });
    assert_eq!(*order.borrow(), [10, 20, 25, 30]);
    assert!(reactor.0.timers.borrow().is_empty(), "the one of 500 ms is gone");
    assert!(reactor.now() >= Duration::from_millis(330));
}

/// Wait until whoever gets the waker has used it.
fn be_woken(reactor: &Reactor, by: &std::sync::mpsc::Sender<Waker>) {
    let mut asked = false;
    reactor.block_on(poll_fn(|cx| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        by.send(cx.waker().clone()).unwrap();
        Poll::Pending
    }));
}

#[test]
fn another_thread_wakes_a_sleeper() {
    let reactor = reactor();
    let (to_other, waker) = std::sync::mpsc::channel::<Waker>();
    let other = thread::spawn(move || {
        for waker in waker {
            a_moment();
            waker.wake();
        }
    });
    for _ in 0..20 {
        be_woken(&reactor, &to_other);
    }
    drop(to_other);
    other.join().unwrap();
}

#[test]
fn who_has_the_place_of_one_that_is_gone_hears_nothing_of_it() {
    let reactor = reactor();
    let (first, mut other) = pair(&reactor);
    let place = first.place;
    other.write_all(b"x").unwrap();
    drop(first);
    let (second, _other) = pair(&reactor);
    assert_eq!(second.place & u64::from(u32::MAX), place & u64::from(u32::MAX));
    assert!(reactor.0.sources.borrow().find(place).is_none());
    assert!(reactor.0.sources.borrow().find(second.place).is_some());
    let nothing = or(async { Some(read(&second, 1).await) }, async {
        reactor.sleep_until(Instant(20)).await;
        None
    });
    assert_eq!(reactor.block_on(nothing), None);
}

#[test]
fn more_sockets_than_one_wait_takes_events_of_are_all_heard() {
    let reactor = reactor();
    let many = 2 * limits::REACTOR_EVENTS + 1;
    let pairs: Vec<_> = (0..many).map(|_| pair(&reactor)).collect();
    for (_, other) in &pairs {
        (&mut &*other).write_all(b"!").unwrap();
    }
    reactor.block_on(async {
        for (ours, _) in pairs.iter().rev() {
            assert_eq!(read(ours, 8).await, b"!");
        }
    });
}

#[test]
fn it_lingers_only_for_those_who_have_just_answered_at_once() {
    let reactor = reactor();
    let (ours, other) = pair(&reactor);
    let is_near = || reactor.0.is_near.get();
    assert!(!is_near(), "nobody has said anything");
    // Often, as other work of the machine may come between.
    let answered = (0..1000).any(|_| {
        let answer = async {
            assert_eq!(read(&ours, 8).await, b"2");
        };
        let say = async {
            futures_lite::future::yield_now().await;
            (&mut &other).write_all(b"2").unwrap();
        };
        reactor.block_on(zip(answer, say));
        is_near()
    });
    assert!(answered);
    // Nothing comes: a timer ends at its time, and who was waited for is far from then on.
    let at = Instant(u64::try_from(reactor.now().as_millis()).unwrap() + 5);
    reactor.block_on(reactor.sleep_until(at));
    assert!(reactor.now() >= Duration::from_millis(at.0));
    assert!(!is_near());
}

#[test]
fn with_one_processor_it_never_lingers() {
    for (processors, lingers) in [(1, false), (2, true)] {
        let reactor = Reactor::on(reactor().0.start, processors).unwrap();
        reactor.0.is_near.set(true);
        assert_eq!(reactor.would_linger(), lingers, "{processors}");
    }
}

#[test]
fn whoever_rings_while_it_lingers_is_heard() {
    let reactor = reactor();
    let (to_other, waker) = std::sync::mpsc::channel::<Waker>();
    let other = thread::spawn(move || waker.iter().for_each(Waker::wake));
    for _ in 0..2000 {
        reactor.0.is_near.set(true);
        be_woken(&reactor, &to_other);
    }
    drop(to_other);
    other.join().unwrap();
}
