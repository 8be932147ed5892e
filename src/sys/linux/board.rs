//! The machine under an image.

use super::{
    lane::{Lane, Shape},
    reactor::{Reactor, Watched},
};
use crate::{
    limits,
    sys::{
        Pending,
        machine::{Command, Device, Group, Machine, Output, Program},
    },
};
use futures_lite::FutureExt;
use rustix::{
    net::sockopt,
    process::{Pid, Signal, kill_process},
    time::{ClockId, clock_gettime, clock_settime},
};
use std::{
    collections::VecDeque,
    fs,
    future::poll_fn,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket},
    os::fd::OwnedFd,
    os::unix::{fs::OpenOptionsExt, net::UnixStream, process::CommandExt, process::ExitStatusExt},
    process::{Child, ExitStatus, Stdio},
    time::Duration,
};

/// The real one.
pub(super) struct RealMachine {
    reactor: Reactor,
    lane: Lane,
}

impl RealMachine {
    pub(super) fn new(reactor: Reactor) -> RealMachine {
        let lane = Lane::new(Shape {
            name: "programs",
            threads: 2,
            jobs: limits::LANE_JOBS,
            stack: limits::LANE_STACK_BYTES,
            idle: limits::LANE_IDLE,
        });
        RealMachine { reactor, lane }
    }
}

impl Machine for RealMachine {
    fn start(&self, command: &Command) -> io::Result<Box<dyn Program>> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut started = std::process::Command::new(command.words.first().map_or("", |word| word));
        started
            .args(command.words.iter().skip(1))
            .envs(command.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if command.output == Output::Heard {
            started.stdout(OwnedFd::from(theirs.try_clone()?)).stderr(OwnedFd::from(theirs));
        }
        if let Some(user) = command.user {
            started.uid(user).gid(user);
        }
        let child = started.spawn()?;
        // It held copies of their end, which would keep it open for ever.
        drop(started);
        ours.set_nonblocking(true)?;
        let output = self.reactor.watch(ours)?;
        Ok(Box::new(Running { child, output, lines: VecDeque::new(), part: Vec::new() }))
    }

    fn run(&self, words: &[&str]) -> Pending<'static, io::Result<(i32, String)>> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let ran = self.lane.ask(move || {
            let (first, rest) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
            let done =
                std::process::Command::new(first).args(rest).stdin(Stdio::null()).output()?;
            let mut said = done.stdout;
            said.extend(done.stderr);
            said.drain(..said.len().saturating_sub(limits::BOARD_OUTPUT_BYTES));
            Ok((code(done.status), String::from_utf8_lossy(&said).into_owned()))
        });
        async move { ran.await? }.boxed_local()
    }

    fn device(&self, path: &str) -> io::Result<Box<dyn Device>> {
        Ok(Box::new(Opened(fs::OpenOptions::new().write(true).open(path)?)))
    }

    fn show(&self, device: &str, text: &str) {
        const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let opened = fs::OpenOptions::new().write(true).custom_flags(NONBLOCK).open(device);
        let _nobody_may_look = opened.and_then(|mut device| device.write_all(text.as_bytes()));
    }

    fn date(&self) -> i64 {
        let now = Duration::try_from(clock_gettime(ClockId::Realtime)).unwrap_or_default();
        now.as_micros().try_into().unwrap_or(i64::MAX)
    }

    fn set_date(&self, to: i64) -> io::Result<()> {
        let date = u64::try_from(to).map(Duration::from_micros).map_err(io::Error::other)?;
        let date = date.try_into().map_err(io::Error::other)?;
        Ok(clock_settime(ClockId::Realtime, date)?)
    }

    fn wired(&self) -> Vec<String> {
        ports(false)
    }

    fn radios(&self) -> Vec<String> {
        ports(true)
    }

    fn addresses(&self, host: &str) -> Pending<'static, Vec<IpAddr>> {
        let host = host.to_owned();
        let found = self.lane.ask(move || {
            let found = (host.as_str(), 0).to_socket_addrs();
            found.map(|found| found.map(|address| address.ip()).collect())
        });
        async move { found.await.unwrap_or(Ok(Vec::new())).unwrap_or_default() }.boxed_local()
    }

    fn group(&self, group: Ipv4Addr, port: u16, own: Ipv4Addr) -> io::Result<Box<dyn Group>> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        // Others on this machine may listen there, too. RFC 6762 §15.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
        sockopt::set_ip_add_membership(&socket, &group, &own)?;
        sockopt::set_ip_multicast_ttl(&socket, 255)?;
        sockopt::set_ip_multicast_if(&socket, &own)?;
        Ok(Box::new(Joined(self.reactor.watch(UdpSocket::from(socket))?)))
    }
}

/// Interfaces of a device that speak Ethernet (`ARPHRD_ETHER` is 1), those with a radio or those
/// without.
fn ports(radio: bool) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let path = entry.path();
            fs::read_to_string(path.join("type")).is_ok_and(|kind| kind.trim() == "1")
                && path.join("device").exists()
                && path.join("phy80211").exists() == radio
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

struct Running {
    child: Child,
    output: Watched<UnixStream>,
    lines: VecDeque<String>,
    part: Vec<u8>,
}

impl Program for Running {
    fn line(&mut self) -> Pending<'_, Option<String>> {
        Box::pin(async move {
            loop {
                if let Some(line) = self.lines.pop_front() {
                    return Some(line);
                }
                let mut octets = [0; 2048];
                let read = poll_fn(|cx| {
                    self.output.poll_read(cx, octets.len(), |mut io| io.read(&mut octets))
                });
                match read.await {
                    Ok(0) | Err(_) if self.part.is_empty() => return None,
                    Ok(0) | Err(_) => self.part.push(b'\n'),
                    Ok(n) => self.part.extend(octets.get(..n).unwrap_or_default()),
                }
                if self.part.len() > limits::LOG_LINE_BYTES && !self.part.contains(&b'\n') {
                    self.part.push(b'\n');
                }
                while let Some(end) = self.part.iter().position(|octet| *octet == b'\n') {
                    let line: Vec<u8> = self.part.drain(..=end).collect();
                    self.lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
                }
            }
        })
    }

    fn code(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().map(code)
    }

    fn end(&self) {
        let number = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _it_may_have_ended = number.map(|number| kill_process(number, Signal::TERM));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.code().is_none() {
            let _it_may_have_ended = self.child.kill();
            let _it_is_gone = self.child.wait();
        }
    }
}

/// Written to as it comes: the kernel has no `pwrite` for a watchdog.
struct Opened(fs::File);

impl Device for Opened {
    fn write(&self, octets: &[u8]) -> io::Result<()> {
        (&self.0).write_all(octets)
    }
}

struct Joined(Watched<UdpSocket>);

impl Group for Joined {
    fn receive<'a>(&'a self, into: &'a mut [u8]) -> Pending<'a, io::Result<(usize, SocketAddr)>> {
        Box::pin(poll_fn(move |cx| self.0.poll_take(cx, |io| io.recv_from(into))))
    }

    fn send<'a>(&'a self, octets: &'a [u8], to: SocketAddr) -> Pending<'a, io::Result<()>> {
        Box::pin(poll_fn(move |cx| self.0.poll_send(cx, |io| io.send_to(octets, to)).map_ok(drop)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::linux::tests::reactor;

    fn shell(script: &str) -> Command {
        let words = ["/bin/sh", "-c", script].map(String::from).to_vec();
        let environment = vec![("WORD".into(), "handed on".into())];
        Command { words, environment, ..Command::default() }
    }

    #[test]
    fn a_program_is_heard_line_by_line_on_both_outputs_until_its_end() {
        let reactor = reactor();
        let machine = RealMachine::new(reactor.clone());
        let mut program = machine.start(&shell("echo $WORD; echo oops >&2; printf end; exit 7"));
        let program = program.as_mut().unwrap();
        let mut lines = Vec::new();
        reactor.block_on(async {
            while let Some(line) = program.line().await {
                lines.push(line);
            }
        });
        assert_eq!(lines, ["handed on", "oops", "end"]);
        while program.code().is_none() {}
        assert_eq!(program.code(), Some(7));
    }

    #[test]
    fn a_program_that_is_asked_to_end_ends_and_one_that_is_dropped_too() {
        let reactor = reactor();
        let machine = RealMachine::new(reactor.clone());
        let mut program = machine.start(&shell("echo up; exec sleep 1000")).unwrap();
        reactor.block_on(async {
            assert_eq!(program.line().await.as_deref(), Some("up"));
            program.end();
            assert_eq!(program.line().await, None);
        });
        while program.code().is_none() {}
        assert_eq!(program.code(), Some(128 + 15));
        let mut other = machine.start(&shell("echo up; exec sleep 1000")).unwrap();
        reactor.block_on(other.line());
        drop(other);
    }

    #[test]
    fn a_program_that_nobody_hears_is_not_held_up_by_what_it_says() {
        let reactor = reactor();
        let machine = RealMachine::new(reactor);
        let talks = shell("head -c 2000000 /dev/zero; exit 7");
        let mut program = machine.start(&Command { output: Output::Lost, ..talks }).unwrap();
        while program.code().is_none() {}
        assert_eq!(program.code(), Some(7));
    }

    #[test]
    fn a_command_tells_its_code_and_its_last_words() {
        let reactor = reactor();
        let machine = RealMachine::new(reactor.clone());
        let run = |words: &[&str]| reactor.block_on(machine.run(words)).unwrap();
        assert_eq!(run(&["/bin/sh", "-c", "echo out; exit 3"]), (3, "out\n".to_owned()));
        let (_, said) = run(&["/bin/sh", "-c", "yes | head -c 100000"]);
        assert_eq!(said.len(), limits::BOARD_OUTPUT_BYTES);
        assert!(reactor.block_on(machine.run(&["/there/is/none"])).is_err());
    }

    #[test]
    fn a_device_without_places_is_written_to_as_it_comes() {
        let reactor = reactor();
        let machine = RealMachine::new(reactor);
        let scratch = crate::sys::linux::tests::Scratch::new();
        let path = scratch.path().join("watchdog");
        let path = path.to_str().unwrap();
        assert!(machine.device(path).is_err(), "there is none");
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            path,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        )
        .unwrap();
        let mut other = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let device = machine.device(path).unwrap();
        device.write(b".").unwrap();
        device.write(b".").unwrap();
        let mut heard = [0; 2];
        other.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"..");
    }

    #[test]
    fn those_who_join_a_group_hear_what_is_said_to_it() {
        let reactor = reactor();
        let machine = RealMachine::new(reactor.clone());
        let (group, own) = (Ipv4Addr::new(239, 255, 77, 3), Ipv4Addr::LOCALHOST);
        let one = machine.group(group, 45353, own).unwrap();
        let other = machine.group(group, 45353, own).unwrap();
        let mut heard = [0; 16];
        let (n, _) = reactor.block_on(async {
            one.send(b"hello", (group, 45353).into()).await.unwrap();
            other.receive(&mut heard).await.unwrap()
        });
        assert_eq!(&heard[..n], b"hello");
    }
}
