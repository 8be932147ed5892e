//! The generator: a thread a session, a message a session, as devices send. What was acknowledged
//! is written down.

use std::{
    fs,
    io::{self, BufRead, BufReader, Error, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use crate::{Options, message::Letters, now};

/// Nobody waits longer for an answer: a relay that takes this long has failed the bench.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between a refusal for now and the next try.
const PAUSE: Duration = Duration::from_millis(20);
const TRIES: usize = 500;

/// What all threads share.
struct Load {
    port: u16,
    letters: Letters,
    messages: usize,
    /// Recipients are at so many hosts in turn; 0: at `sink.test`.
    domains: usize,
    /// Each message has a recipient at each of so many hosts instead.
    spread: usize,
    stops_on_loss: bool,
    ends: Instant,
    next: AtomicUsize,
}

/// What came of it.
#[derive(Default)]
struct Tally {
    acked: Vec<Ack>,
    /// Sent to the end, and the connection was lost before the answer.
    unknown: usize,
    /// Refused for now, each time.
    again: usize,
    /// Given up.
    failed: usize,
}

/// A message's 250: when, in microseconds since 1970, and how long after the message was begun.
struct Ack {
    number: usize,
    at: u64,
    took: u64,
}

enum End {
    Acked { at: u64, took: u64 },
    Unknown,
    Again,
    Refused,
    Lost,
}

/// Sends all messages and prints the sums as one JSON object.
pub(crate) fn send(options: &Options) -> io::Result<()> {
    let messages = options.number("messages")?;
    let seconds = options.number("seconds").unwrap_or(60);
    let load = Load {
        port: u16::try_from(options.number("port")?).map_err(Error::other)?,
        letters: Letters::new(options.text("mark")?, options.number("octets")?, messages),
        messages,
        domains: options.number("domains").unwrap_or(0),
        spread: options.number("spread").unwrap_or(0),
        stops_on_loss: options.text("on-loss").is_ok_and(|word| word == "stop"),
        ends: Instant::now() + Duration::from_secs(seconds as u64),
        next: AtomicUsize::new(0),
    };
    let began = now();
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let start = |_| scope.spawn(|| load.work());
        let threads: Vec<_> = (0..options.number("sessions")?).map(start).collect();
        let join = |thread: ScopedJoinHandle<_>| {
            thread.join().map_err(|_| Error::other("a session panicked"))
        };
        threads.into_iter().map(join).collect::<io::Result<_>>()
    })?;
    report(&load, began, &tallies, options.text("acks")?)
}

fn report(load: &Load, began: u64, tallies: &[Tally], acks: &str) -> io::Result<()> {
    let acked: Vec<&Ack> = tallies.iter().flat_map(|t| &t.acked).collect();
    let line = |ack: &&Ack| format!("{} {}\n", load.letters.id(ack.number), ack.at);
    fs::write(acks, acked.iter().map(line).collect::<String>())?;
    let ended = acked.iter().map(|ack| ack.at).max().unwrap_or(began);
    let mut waits: Vec<u64> = acked.iter().map(|ack| ack.took).collect();
    waits.sort_unstable();
    let wait = |percent: usize| waits.get(waits.len() * percent / 100).copied().unwrap_or(0);
    let sum = |count: fn(&Tally) -> usize| tallies.iter().map(count).sum::<usize>();
    print!(
        r#"{{"messages":{},"acked":{},"unknown":{},"again":{},"failed":{},"began_us":{began},"#,
        load.messages,
        acked.len(),
        sum(|t| t.unknown),
        sum(|t| t.again),
        sum(|t| t.failed),
    );
    println!(r#""ended_us":{ended},"wait_p50_us":{},"wait_p99_us":{}}}"#, wait(50), wait(99));
    Ok(())
}

impl Load {
    /// One thread: message after message, until there are no more.
    fn work(&self) -> Tally {
        let (mut tally, mut octets) = (Tally::default(), Vec::new());
        while Instant::now() < self.ends {
            let number = self.next.fetch_add(1, Relaxed);
            if number >= self.messages {
                break;
            }
            self.letters.write(number, &mut octets);
            match self.persist(&self.recipients(number), &octets, &mut tally) {
                End::Acked { at, took } => tally.acked.push(Ack { number, at, took }),
                End::Unknown => tally.unknown += 1,
                End::Lost if self.stops_on_loss => break,
                End::Again | End::Refused | End::Lost => tally.failed += 1,
            }
            if self.stops_on_loss && tally.unknown > 0 {
                break;
            }
        }
        tally
    }

    /// The commands that name them.
    fn recipients(&self, number: usize) -> Vec<String> {
        let at = |host: usize| {
            format!("RCPT TO:<box@[127.0.{}.{}]>\r\n", 1 + host / 250, 1 + host % 250)
        };
        match number.checked_rem(self.domains) {
            _ if self.spread > 0 => (0..self.spread).map(at).collect(),
            Some(host) => vec![at(host)],
            None => vec!["RCPT TO:<box@sink.test>\r\n".into()],
        }
    }

    /// A message, again and again while it is refused for now.
    fn persist(&self, to: &[String], octets: &[u8], tally: &mut Tally) -> End {
        let mut end = End::Lost;
        for _ in 0..TRIES {
            end = self.session(to, octets).unwrap_or(End::Lost);
            match end {
                End::Again => tally.again += 1,
                End::Lost if !self.stops_on_loss => {}
                _ => return end,
            }
            if Instant::now() > self.ends {
                return end;
            }
            thread::sleep(PAUSE);
        }
        end
    }

    /// One session with one message.
    fn session(&self, to: &[String], octets: &[u8]) -> io::Result<End> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut peer = Peer { input: BufReader::with_capacity(1024, stream), line: Vec::new() };
        let mut code = peer.answer()?;
        let start = ["EHLO load.test\r\n", "MAIL FROM:<bench@load.test>\r\n"];
        let to = to.iter().map(String::as_str);
        for command in start.into_iter().chain(to).chain(["DATA\r\n"]) {
            match code {
                200..300 => code = peer.ask(command.as_bytes())?,
                500.. => return Ok(End::Refused),
                _ => return Ok(End::Again),
            }
        }
        match code {
            354 => {}
            500.. => return Ok(End::Refused),
            _ => return Ok(End::Again),
        }
        let sent = Instant::now();
        // From here on nobody knows what a broken connection means.
        let Ok(code) = peer.ask(octets) else { return Ok(End::Unknown) };
        let took = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        let end = match code {
            250 => End::Acked { at: now(), took },
            500.. => End::Refused,
            _ => End::Again,
        };
        peer.leave().ok();
        Ok(end)
    }
}

struct Peer {
    input: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Peer {
    fn ask(&mut self, octets: &[u8]) -> io::Result<u16> {
        self.input.get_mut().write_all(octets)?;
        self.answer()
    }

    /// The code of a reply, which may have many lines (RFC 5321 §4.2.1).
    fn answer(&mut self) -> io::Result<u16> {
        loop {
            self.line.clear();
            self.input.read_until(b'\n', &mut self.line)?;
            let code = self.line.get(..3).and_then(|code| str::from_utf8(code).ok()?.parse().ok());
            match (code, self.line.get(3)) {
                (Some(_), Some(b'-')) => {}
                (Some(code), _) => return Ok(code),
                (None, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// QUIT and the end of our side at once: some servers otherwise wait before they answer.
    fn leave(&mut self) -> io::Result<u16> {
        self.input.get_mut().write_all(b"QUIT\r\n")?;
        self.input.get_ref().shutdown(Shutdown::Write)?;
        self.answer()
    }
}
