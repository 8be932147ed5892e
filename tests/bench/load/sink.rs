//! The sink: takes every message, keeps none, and writes a line about each: its id, `ok` or
//! `damaged`, when, octets of the body.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use crate::{Options, message::Sum, now};

/// Threads that wait for a session; far more than any relay opens at once.
const HANDS: usize = 128;
const STACK: usize = 128 * 1024;
const BUFFER: usize = 64 * 1024;

/// Serves until the process is ended.
pub(crate) fn sink(options: &Options) -> io::Result<()> {
    let port = options.text("port")?;
    let host = options.text("host").unwrap_or("127.0.0.1");
    let listener = TcpListener::bind(format!("{host}:{port}"))?;
    let log = File::options().append(true).create(true).open(options.text("log")?)?;
    let work = || {
        // One that breaks off concerns its relay alone.
        loop {
            listener.accept().and_then(|(stream, _)| serve(&stream, &log)).ok();
        }
    };
    thread::scope(|scope| {
        for _ in 0..HANDS {
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work)?;
        }
        Ok(())
    })
}

fn serve(mut stream: &TcpStream, mut log: &File) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(BUFFER, stream);
    let mut answers = String::from("220 sink.test ESMTP\r\n");
    let mut line = Vec::new();
    loop {
        // What came in one piece is answered in one (RFC 2920 §3.2).
        if input.buffer().is_empty() {
            stream.write_all(answers.as_bytes())?;
            answers.clear();
        }
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        line.make_ascii_uppercase();
        let answer = match line.get(..4) {
            Some(b"EHLO") => {
                "250-sink.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 8BITMIME\r\n"
            }
            Some(b"DATA") => {
                stream.write_all(format!("{answers}354 go on\r\n").as_bytes())?;
                answers.clear();
                log.write_all(take(&mut input)?.as_bytes())?;
                "250 2.0.0 taken\r\n"
            }
            Some(b"QUIT") => return stream.write_all(b"221 2.0.0 bye\r\n"),
            _ => "250 2.0.0 ok\r\n",
        };
        answers.push_str(answer);
    }
}

/// Reads a message to its end; the line about it.
fn take(input: &mut impl BufRead) -> io::Result<String> {
    let (mut id, mut told) = (String::from("?"), None);
    let mut line = Vec::new();
    let mut next = |line: &mut Vec<u8>| {
        line.clear();
        match input.read_until(b'\n', line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok::<(), io::Error>(()),
        }
    };
    loop {
        next(&mut line)?;
        if line == b"\r\n" {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        match text.trim_end().split_once(": ") {
            Some(("Message-ID", value)) => {
                id = value.trim_start_matches('<').split('@').next().unwrap_or("?").to_string();
            }
            Some(("X-Bench-Sum", value)) => told = u32::from_str_radix(value, 16).ok(),
            _ => {}
        }
    }
    let (mut sum, mut octets) = (Sum::new(), 0);
    loop {
        next(&mut line)?;
        if line == b".\r\n" {
            break;
        }
        octets += line.len();
        sum.add(&line);
    }
    let state = if told == Some(sum.value()) { "ok" } else { "damaged" };
    Ok(format!("{id} {state} {} {octets}\n", now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Letters;

    fn letter(octets: usize) -> Vec<u8> {
        let mut letter = Vec::new();
        Letters::new("mark", octets, 40).write(17, &mut letter);
        letter
    }

    fn told(letter: &[u8]) -> String {
        let line = take(&mut &*letter).unwrap();
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_whole_letter_is_ok() {
        for octets in [0, 300, 2048, 65536] {
            assert_eq!(told(&letter(octets)), "mark.17 ok");
        }
    }

    #[test]
    fn a_letter_with_one_octet_changed_lost_or_added_is_damaged() {
        let whole = letter(2048);
        for at in [whole.len() - 200, whole.len() - 10, whole.len() - 6] {
            let (mut changed, mut lost, mut added) = (whole.clone(), whole.clone(), whole.clone());
            changed[at] ^= 1;
            lost.remove(at);
            added.insert(at, b'x');
            for damaged in [changed, lost, added] {
                assert_eq!(told(&damaged), "mark.17 damaged");
            }
        }
    }

    #[test]
    fn a_letter_without_its_end_is_none() {
        let whole = letter(2048);
        assert!(take(&mut &whole[..whole.len() - 3]).is_err());
    }

    #[test]
    fn a_letter_has_about_the_octets_that_were_asked_for() {
        for octets in [2048, 65536] {
            let off = letter(octets).len().abs_diff(octets);
            assert!(off < 200 + octets / 100, "{off} octets more or less than {octets}");
        }
    }
}
