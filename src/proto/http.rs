//! HTTP/1.1 as a client says it: one request, one answer, and the connection is over. RFC 9112.
//!
//! Pure. Redirections are an answer like any other, and are not followed; nothing is compressed.

use crate::limits;
use core::net::IpAddr;
use std::{
    fmt::{self, Write as _},
    time::Duration,
};

/// Where something is: `https://login.example.com/token`. `http` is for this machine alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// Encrypted, and the server proves who it is.
    pub secure: bool,
    /// Host name, or IP address without brackets; lower case.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query, with the `/` they begin with.
    pub target: String,
}

impl Url {
    /// From text of at most [`limits::URL_BYTES`]. RFC 3986 without user and fragment.
    ///
    /// `None` where it is something else, or unencrypted and not to an address of this machine: a
    /// name may lead anywhere.
    pub fn parse(text: &str) -> Option<Url> {
        Url::read(text, |address| address.is_loopback())
    }

    /// The same, and unencrypted to an address of a private network, too.
    pub fn parse_near(text: &str) -> Option<Url> {
        Url::read(text, |address| match address {
            IpAddr::V4(four) => four.is_loopback() || four.is_private() || four.is_link_local(),
            IpAddr::V6(six) => six.is_loopback() || six.is_unique_local(),
        })
    }

    fn read(text: &str, may_be_in_clear: impl Fn(IpAddr) -> bool) -> Option<Url> {
        let fits = text.len() <= limits::URL_BYTES && text.bytes().all(|b| b.is_ascii_graphic());
        let (scheme, rest) = Some(text).filter(|_| fits)?.split_once("://")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, target) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let root = if target.starts_with('?') { "/" } else { "" };
        let (host, port) = match authority.strip_prefix('[') {
            Some(literal) => literal.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok().filter(|port| *port != 0)?,
            None if !port.is_empty() => return None,
            None if secure => 443,
            None => 80,
        };
        let address = host.parse::<IpAddr>().ok();
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        let known = match address {
            Some(address) => secure || may_be_in_clear(address),
            None => secure && !host.is_empty() && host.bytes().all(named),
        };
        let whole = known && !target.contains('#');
        let (host, target) = (host.to_ascii_lowercase(), format!("{root}{target}"));
        whole.then_some(Url { secure, host, port, target })
    }

    /// What is said in Host. RFC 9110 §7.2.
    fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.target)
    }
}

/// What is sent to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Nothing: GET.
    Nothing,
    /// A form, by POST. RFC 6749 appendix B.
    Form(&'a str),
    /// JSON, by POST.
    Json {
        /// The text.
        text: &'a str,
        /// A token that lets us in. RFC 6750 §2.1.
        bearer: Option<&'a str>,
    },
}

/// The octets of a request.
pub fn request(url: &Url, content: Content<'_>) -> Vec<u8> {
    let method = if content == Content::Nothing { "GET" } else { "POST" };
    let mut text = format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Waypost/{}\r\nAccept: */*\r\n\
         Connection: close\r\n",
        url.target,
        url.authority(),
        env!("CARGO_PKG_VERSION")
    );
    let (kind, body) = match content {
        Content::Nothing => return (text + "\r\n").into_bytes(),
        Content::Form(form) => ("application/x-www-form-urlencoded", form),
        Content::Json { text, .. } => ("application/json", text),
    };
    if let Content::Json { bearer: Some(token), .. } = content {
        write!(text, "Authorization: Bearer {token}\r\n").expect("a String takes everything");
    }
    write!(text, "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .expect("a String takes what is written to it");
    text.into_bytes()
}

/// What a server has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// As RFC 9110 §15 has it, 200 to 599.
    pub status: u16,
    /// It wants to be left alone for so long, [`limits::RETRY_AFTER`] at most. RFC 9110 §10.2.3.
    pub retry_after: Option<Duration>,
    /// Lower case, without parameters; empty: it does not say.
    pub kind: String,
    /// At most [`limits::HTTP_BODY_BYTES`].
    pub body: Vec<u8>,
}

/// Why an answer is none, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbled(pub &'static str);

/// An answer as it comes.
#[derive(Debug, Default)]
pub struct Reader {
    input: Vec<u8>,
    head: Option<(Answer, Framing)>,
}

/// Where a body ends. RFC 9112 §6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    ToEnd,
}

impl Reader {
    /// More octets: the answer, once it is whole.
    ///
    /// # Errors
    /// It is none, or is larger than the bounds.
    pub fn read(&mut self, octets: &[u8]) -> Result<Option<Answer>, Garbled> {
        self.input.extend_from_slice(octets);
        while self.head.is_none() {
            let Some((head, used)) = head(&self.input)? else { return Ok(None) };
            self.input.drain(..used);
            self.head = head;
        }
        match self.head {
            Some((_, Framing::Length(length))) if self.input.len() >= length => {
                self.input.truncate(length);
                Ok(self.finish())
            }
            Some((_, Framing::Chunked)) => {
                let Some(body) = unchunk(&self.input)? else { return Ok(None) };
                self.input = body;
                Ok(self.finish())
            }
            _ if self.input.len() > limits::HTTP_BODY_BYTES => Err(TOO_LONG),
            _ => Ok(None),
        }
    }

    /// The server has closed the connection.
    ///
    /// # Errors
    /// Before its answer was whole.
    pub fn end(mut self) -> Result<Answer, Garbled> {
        match self.head {
            Some((_, Framing::ToEnd)) => self.finish().ok_or(CUT),
            _ => Err(CUT),
        }
    }

    fn finish(&mut self) -> Option<Answer> {
        let (answer, _) = self.head.take()?;
        Some(Answer { body: std::mem::take(&mut self.input), ..answer })
    }
}

const TOO_LONG: Garbled = Garbled("its answer is too long");
const CUT: Garbled = Garbled("the connection was closed before the answer was whole");
const NO_HTTP: Garbled = Garbled("it does not speak HTTP");

type Head = (Option<(Answer, Framing)>, usize);

/// The head of an answer, and its length; no head where it is one of 1yz, after which another
/// follows.
fn head(input: &[u8]) -> Result<Option<Head>, Garbled> {
    let mut fields = [httparse::EMPTY_HEADER; limits::HTTP_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let used = match response.parse(input) {
        Ok(httparse::Status::Complete(used)) if used <= limits::HTTP_HEAD_BYTES => used,
        Ok(httparse::Status::Partial) if input.len() <= limits::HTTP_HEAD_BYTES => {
            return Ok(None);
        }
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(TOO_LONG),
        Err(_) => return Err(NO_HTTP),
    };
    let status = response.code.filter(|code| (100..600).contains(code)).ok_or(NO_HTTP)?;
    if status < 200 {
        return Ok(Some((None, used)));
    }
    let field = |name: &str| {
        let fields = response.headers.iter().filter(move |f| f.name.eq_ignore_ascii_case(name));
        fields.filter_map(|f| std::str::from_utf8(f.value).ok()).next_back().map(str::trim)
    };
    let kind = field("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    let seconds = field("retry-after").and_then(|text| text.parse().ok());
    let answer = Answer {
        status,
        retry_after: seconds.map(|s| Duration::from_secs(s).min(limits::RETRY_AFTER)),
        kind: kind.trim().to_ascii_lowercase(),
        body: Vec::new(),
    };
    let framing = match (field("transfer-encoding"), field("content-length")) {
        _ if matches!(status, 204 | 304) => Framing::Length(0),
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Framing::Chunked,
        (Some(_), _) => return Err(Garbled("its answer comes in a coding that was not asked for")),
        (None, Some(length)) => match length.parse() {
            Ok(length) if length <= limits::HTTP_BODY_BYTES => Framing::Length(length),
            Ok(_) => return Err(TOO_LONG),
            Err(_) => return Err(NO_HTTP),
        },
        (None, None) => Framing::ToEnd,
    };
    Ok(Some((Some((answer, framing)), used)))
}

/// What is in a chunked body, once its end is there. RFC 9112 §7.1.
fn unchunk(input: &[u8]) -> Result<Option<Vec<u8>>, Garbled> {
    // Chunks of one octet each are no use to anybody.
    if input.len() > 4 * limits::HTTP_BODY_BYTES {
        return Err(TOO_LONG);
    }
    let mut body = Vec::new();
    let mut rest = input;
    loop {
        let size = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((used, size))) => {
                rest = &rest[used..];
                usize::try_from(size).ok().filter(|s| *s <= limits::HTTP_BODY_BYTES)
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(NO_HTTP),
        };
        let size = size.filter(|s| body.len() + s <= limits::HTTP_BODY_BYTES).ok_or(TOO_LONG)?;
        if size == 0 {
            // What a trailer says is of no use here.
            return Ok(Some(body));
        }
        let Some((chunk, after)) = rest.split_at_checked(size + 2) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err(NO_HTTP);
        }
        body.extend_from_slice(&chunk[..size]);
        rest = after;
    }
}

/// `A b` is `A%20b`: everything but what RFC 3986 §2.3 leaves alone.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(b.into());
        } else {
            write!(out, "%{b:02X}").expect("a String takes what is written to it");
        }
    }
    out
}

/// `%41` is `A`; a `+` stays one, since it is at home in addresses. `None` where it is not UTF-8
/// then, or a `%` is not followed by two digits. RFC 3986 §2.1.
pub fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        octets.push(match b {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(octets).ok()
}

/// `a=1&b=2`, encoded.
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The value of a field in `a=1&b=2`, decoded; a `+` is a space there.
pub fn field(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(n, _)| *n == name)?;
    decode(&value.replace('+', " "))
}

#[cfg(test)]
mod tests;
