//! One connection: requests in, responses out, every part of it bounded in size and time.
//!
//! No chunked requests (411), no upgrades, no ranges; what is refused after part of it was read
//! ends the connection.

use super::http::{Head, Method, Refusal, Response, Rest, parse};
use crate::{
    limits,
    relay::envelope::Octets,
    sys::{Pending, Stream, Sys},
    time::Wall,
};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use std::{fmt::Write, future::poll_fn, io, net::SocketAddr, pin::Pin, time::Duration};

/// Who answers requests.
pub(super) trait Site {
    /// May this be asked, judged by the header alone? Tells how many octets of body may follow.
    fn admit(&self, head: &Head, caller: Caller) -> Result<usize, Response>;
    /// The answer.
    fn answer(&self, head: Head, body: Vec<u8>, caller: Caller) -> Pending<'_, Response>;
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// `None` on the control socket, which only who may use this relay's files can open.
    pub(super) peer: Option<SocketAddr>,
    /// The connection is encrypted.
    pub(super) encrypted: bool,
}

/// What a connection is doing; says which may be closed to make room for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Between two requests.
    Idle,
    /// A request has begun to arrive, or the first one is still to come.
    Reading,
    /// A request is being answered.
    Busy,
}

/// Serve one connection until it ends. Dropping this closes it; safe at [`Stage::Idle`] and
/// [`Stage::Reading`].
pub(super) async fn converse(
    sys: &Sys,
    mut stream: Box<dyn Stream>,
    stage: &dyn Fn(Stage),
    site: &dyn Site,
) {
    let caller = Caller { peer: stream.peer(), encrypted: stream.tls().is_some() };
    let mut input = Vec::new();
    for left in (0..limits::WEB_REQUESTS).rev() {
        if left + 1 < limits::WEB_REQUESTS {
            stage(Stage::Idle);
        }
        let (response, mut after) = match request(sys, &mut stream, &mut input, stage, site).await {
            Ok(Some((head, body))) => {
                stage(Stage::Busy);
                let after = After { whole: head.method != Method::Head, keep: head.keep };
                (site.answer(head, body, caller).await, after)
            }
            Ok(None) => return,
            Err(refused) => *refused,
        };
        after.keep &= left > 0;
        stage(Stage::Busy);
        let sent = sys.within(limits::WEB_WRITE_WAIT, send(sys, &mut stream, &response, after));
        if !matches!(sent.await, Some(Ok(()))) {
            return;
        }
        if let Some(Rest(octets)) = response.rest.as_ref().filter(|_| after.whole)
            && send_rest(sys, &mut stream, &**octets).await.is_none()
        {
            return;
        }
        if !after.keep {
            linger(sys, &mut stream).await;
            return;
        }
    }
}

/// Say that there is no room, if that can be said at once, and hang up.
pub(super) async fn turn_away(mut stream: Box<dyn Stream>) {
    const FULL: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\
        Connection: close\r\n\r\n";
    let _said_or_not = futures_lite::future::poll_once(stream.write_all(FULL)).await;
}

/// How a response is sent, and what comes after it.
#[derive(Clone, Copy)]
struct After {
    /// With its body: anything but the answer to HEAD.
    whole: bool,
    /// The connection stays open.
    keep: bool,
}

/// The next request; `None` where the client has left or was silent.
async fn request(
    sys: &Sys,
    stream: &mut Box<dyn Stream>,
    input: &mut Vec<u8>,
    stage: &dyn Fn(Stage),
    site: &dyn Site,
) -> Result<Option<(Head, Vec<u8>)>, Box<(Response, After)>> {
    let caller = Caller { peer: stream.peer(), encrypted: stream.tls().is_some() };
    if input.is_empty() {
        let first =
            sys.within(limits::WEB_IDLE_WAIT, read_some(stream, input, limits::WEB_HEAD_BYTES));
        if !matches!(first.await, Some(Ok(1..))) {
            return Ok(None);
        }
    }
    stage(Stage::Reading);
    let last = After { whole: true, keep: false };
    let refuse = |Refusal(status, words)| Box::new((Response::text(status, words), last));
    let head = match sys.within(limits::WEB_HEAD_WAIT, read_head(stream, input)).await {
        Some(Ok(Some(head))) => head,
        Some(Ok(None)) => return Ok(None),
        Some(Err(refusal)) => return Err(refuse(refusal)),
        None => return Err(refuse(Refusal(408, "The request took too long."))),
    };
    let room = site.admit(&head, caller).map_err(|response| {
        let keep = head.keep && head.length == 0;
        Box::new((response, After { whole: head.method != Method::Head, keep }))
    })?;
    if head.length > room {
        return Err(refuse(Refusal(413, "The request's body is too large.")));
    }
    let mut body = Vec::new();
    if head.length > 0 {
        let read = sys.within(limits::WEB_BODY_WAIT, read_body(stream, input, &head, &mut body));
        match read.await {
            Some(Ok(())) => {}
            Some(Err(_)) => return Ok(None),
            None => return Err(refuse(Refusal(408, "The request's body took too long."))),
        }
    }
    Ok(Some((head, body)))
}

/// A head, taken off the start of `input`; `None` where the client has left.
async fn read_head(
    stream: &mut Box<dyn Stream>,
    input: &mut Vec<u8>,
) -> Result<Option<Head>, Refusal> {
    let mut seen = 0;
    loop {
        // RFC 9112 §2.2: empty lines before a request are skipped.
        if seen == 0 {
            let blank = input.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            input.drain(..blank);
        }
        // Parsing from the start at each octet would be quadratic: it waits for what may end a
        // head.
        let news = input.get(seen..).unwrap_or_default();
        if news.contains(&b'\n') || input.len() >= limits::WEB_HEAD_BYTES {
            let from = seen.saturating_sub(3);
            let tail = input.get(from..).unwrap_or_default();
            let ended = tail.windows(2).any(|w| w == b"\n\n")
                || tail.windows(3).any(|w| w == b"\n\r\n")
                || input.len() >= limits::WEB_HEAD_BYTES;
            if ended && let Some((head, used)) = parse(input)? {
                input.drain(..used);
                return Ok(Some(head));
            }
        }
        seen = input.len();
        let room = limits::WEB_HEAD_BYTES - input.len();
        if !matches!(read_some(stream, input, room).await, Ok(1..)) {
            return Ok(None);
        }
    }
}

async fn read_body(
    stream: &mut Box<dyn Stream>,
    input: &mut Vec<u8>,
    head: &Head,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    let here = head.length.min(input.len());
    body.extend(input.drain(..here));
    if head.continues && body.len() < head.length {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        stream.flush().await?;
    }
    while body.len() < head.length {
        let room = head.length - body.len();
        if read_some(stream, body, room).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Read at most `room` octets onto the end of `into`. The buffer lives only while it is polled: a
/// connection that waits holds none.
async fn read_some(
    stream: &mut Box<dyn Stream>,
    into: &mut Vec<u8>,
    room: usize,
) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut buffer = [0; 4096];
        let room = room.min(buffer.len());
        Pin::new(&mut *stream).poll_read(cx, &mut buffer[..room]).map_ok(|n| {
            into.extend_from_slice(&buffer[..n]);
            n
        })
    })
    .await
}

/// Fields of what is no page: it is what it says, and no page of its own.
const GUARD: &str = "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n";

/// Fields of pages: nothing from elsewhere is loaded, run or framed, and nobody elsewhere is told
/// where we were. A form says where it comes from, as far as we are concerned ourselves.
const PROTECTION: &str = "Content-Security-Policy: default-src 'none'; script-src 'self'; \
    style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'\r\n\
    X-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: DENY\r\n\
    Referrer-Policy: same-origin\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n";

async fn send(
    sys: &Sys,
    stream: &mut Box<dyn Stream>,
    response: &Response,
    after: After,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    if let Some(now) = sys.clock.wall() {
        // RFC 9110 §6.6.1: who has a clock says the date, who has none must not.
        push(&mut head, "Date", &date(now));
    }
    for (name, value) in &response.fields {
        push(&mut head, name, value);
    }
    if response.field("Cache-Control").is_none() {
        push(&mut head, "Cache-Control", "no-store");
    }
    if response.status != 304 {
        let rest = response.rest.as_ref().map_or(0, |Rest(octets)| octets.size());
        push(&mut head, "Content-Length", &(response.body.len() as u64 + rest).to_string());
    }
    if !after.keep {
        push(&mut head, "Connection", "close");
    }
    let is_page = response.field("Content-Type").is_some_and(|kind| kind.starts_with("text/html"));
    head.push_str(if is_page { PROTECTION } else { GUARD });
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    if after.whole && response.status != 304 {
        stream.write_all(&response.body).await?;
    }
    stream.flush().await
}

/// All of what follows a body; `None`: it came to no end, and so must the connection.
async fn send_rest(sys: &Sys, stream: &mut Box<dyn Stream>, octets: &dyn Octets) -> Option<()> {
    let mut offset = 0;
    while offset < octets.size() {
        let chunk = octets.chunk(offset).await.ok().filter(|chunk| !chunk.is_empty())?;
        sys.within(limits::WEB_WRITE_WAIT, stream.write_all(&chunk)).await?.ok()?;
        offset += chunk.len() as u64;
    }
    sys.within(limits::WEB_WRITE_WAIT, stream.flush()).await?.ok()
}

/// One field. Nothing in a value can start another one.
fn push(head: &mut String, name: &str, value: &str) {
    let clean: String = value.chars().filter(|c| !c.is_control()).collect();
    write!(head, "{name}: {clean}\r\n").expect("a String takes everything");
}

/// Read on for a moment after the last response: closing over unread octets resets the connection,
/// and the response is lost with it. RFC 9112 §9.6.
async fn linger(sys: &Sys, stream: &mut Box<dyn Stream>) {
    let drain = async {
        if stream.close().await.is_err() {
            return;
        }
        let mut left = 2 * limits::WEB_BODY_BYTES;
        let mut buffer = vec![0; 1024];
        while let Ok(n @ 1..) = stream.read(&mut buffer).await {
            left = left.saturating_sub(n);
            if left == 0 {
                return;
            }
        }
    };
    let _done_or_not: Option<()> = sys.within(LINGER, drain).await;
}

const LINGER: Duration = Duration::from_secs(2);

/// `Sun, 22 Nov 2026 09:12:00 GMT`. RFC 9110 §5.6.7.
fn date(at: Wall) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let c = at.civil();
    let day = DAYS[usize::from(c.weekday % 7)];
    let month = MONTHS[usize::from(c.month.clamp(1, 12)) - 1];
    let (hour, minute, second) = (c.hour, c.minute, c.second);
    format!("{day}, {:02} {month} {:04} {hour:02}:{minute:02}:{second:02} GMT", c.day, c.year)
}

/// RFC 9110 §15; clients ignore it, people read it.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        301 => "Moved Permanently",
        303 => "See Other",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}
