//! What is said in HTTP/1.1, as far as a browser and the command line need it: pure. RFC 9110, RFC
//! 9112.

use crate::{limits, relay::envelope::Octets};
use std::{borrow::Cow, fmt, rc::Rc};

/// Methods that something here answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Other,
}

impl Method {
    /// RFC 9110 §9.2.1.
    pub(super) fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head)
    }

    /// As it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Other => "other",
        }
    }
}

/// A request without its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: Method,
    /// As it was sent: starts with `/`, not decoded.
    pub(super) path: String,
    /// What follows the `?`, not decoded; empty: nothing.
    pub(super) query: String,
    /// Whom the client thinks it talks to, with the port; empty only where HTTP/1.0 did not say.
    pub(super) host: String,
    /// Octets of the body.
    pub(super) length: usize,
    /// Another request may follow on this connection.
    pub(super) keep: bool,
    /// The client waits for leave to send the body. RFC 9110 §10.1.1.
    pub(super) continues: bool,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The first field of this name (lower case).
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).next()
    }

    /// All fields of this name (lower case).
    pub(super) fn fields<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Why a request was not even understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str);

/// The head of a request at the start of `input`, and its length; `None` where it has not ended
/// yet.
pub(super) fn parse(input: &[u8]) -> Result<Option<(Head, usize)>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; limits::WEB_HEADER_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let used = match request.parse(input) {
        Ok(httparse::Status::Complete(used)) if used <= limits::WEB_HEAD_BYTES => used,
        Ok(httparse::Status::Partial) if input.len() < limits::WEB_HEAD_BYTES => return Ok(None),
        Ok(_) => return Err(Refusal(431, "The request's header is too long.")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal(431, "The request has too many header fields."));
        }
        Err(httparse::Error::Version) => return Err(Refusal(505, "This is HTTP/1.1.")),
        Err(_) => return Err(Refusal(400, "This is not an HTTP request.")),
    };
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        Some("PUT") => Method::Put,
        Some("DELETE") => Method::Delete,
        _ => Method::Other,
    };
    let target = request.path.unwrap_or_default();
    let old = request.version == Some(0);
    let mut named = Vec::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let value = std::str::from_utf8(field.value)
            .map_err(|_| Refusal(400, "A header field is not UTF-8."))?;
        named.push((field.name.to_ascii_lowercase(), value.trim().to_string()));
    }
    let head = understand(method, target, old, named)?;
    Ok(Some((head, used)))
}

fn understand(
    method: Method,
    target: &str,
    old: bool,
    fields: Vec<(String, String)>,
) -> Result<Head, Refusal> {
    let mut head = Head {
        method,
        path: String::new(),
        query: String::new(),
        host: String::new(),
        length: 0,
        keep: !old,
        continues: false,
        fields,
    };
    let connection = head.field("connection").unwrap_or_default().to_ascii_lowercase();
    if connection.split(',').any(|word| word.trim() == "close") {
        head.keep = false;
    }
    // RFC 9112 §3.2: exactly one Host, or 400.
    let mut hosts = head.fields("host");
    let host = hosts.next().map(str::to_string);
    if hosts.next().is_some() || (host.is_none() && !old) {
        return Err(Refusal(400, "A request needs one Host field."));
    }
    drop(hosts);
    head.host = host.unwrap_or_default();
    head.length = length(&head)?;
    match head.field("expect").map(str::to_ascii_lowercase).as_deref() {
        None => {}
        Some("100-continue") => head.continues = !old,
        Some(_) => return Err(Refusal(417, "Only 100-continue can be expected.")),
    }
    // RFC 9112 §3.2.2: the absolute form must be understood; its authority is the host then.
    let local = match target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) {
        Some(rest) => {
            let at = rest.find(['/', '?']).unwrap_or(rest.len());
            head.host = rest[..at].to_string();
            &rest[at..]
        }
        None if target.starts_with('/') => target,
        None => return Err(Refusal(400, "The address must start with a slash.")),
    };
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    head.path = if path.is_empty() { "/".into() } else { path.into() };
    head.query = query.into();
    Ok(head)
}

/// Octets of body. RFC 9112 §6: whatever could be read in two ways is refused, not guessed at.
fn length(head: &Head) -> Result<usize, Refusal> {
    let mut lengths = head.fields("content-length");
    let first = lengths.next();
    if head.field("transfer-encoding").is_some() {
        return Err(match first {
            Some(_) => Refusal(400, "Content-Length and Transfer-Encoding exclude each other."),
            None => Refusal(411, "Send a Content-Length: chunks are not understood here."),
        });
    }
    let Some(text) = first else { return Ok(0) };
    if lengths.next().is_some() || text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal(400, "Content-Length must be one number."));
    }
    // More digits than fit are more octets than fit.
    Ok(text.parse().unwrap_or(usize::MAX))
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Cow<'static, [u8]>,
    /// What follows the body, and is read while it is sent.
    pub(super) rest: Option<Rest>,
}

/// Octets that are too many to be held at once.
#[derive(Clone)]
pub(super) struct Rest(pub(super) Rc<dyn Octets>);

impl PartialEq for Rest {
    fn eq(&self, other: &Rest) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Rest {}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rest({} octets)", self.0.size())
    }
}

impl Response {
    /// With a body of this media type.
    pub(super) fn new(status: u16, kind: &str, body: impl Into<Cow<'static, [u8]>>) -> Response {
        let fields = vec![("Content-Type", kind.to_string())];
        Response { status, fields, body: body.into(), rest: None }
    }

    /// Octets that are read while they are sent.
    pub(super) fn stream(kind: &str, octets: Rc<dyn Octets>) -> Response {
        Response { rest: Some(Rest(octets)), ..Response::new(200, kind, &b""[..]) }
    }

    /// One line for a person.
    pub(super) fn text(status: u16, words: &str) -> Response {
        Response::new(status, "text/plain; charset=utf-8", format!("{words}\n").into_bytes())
    }

    /// The same with one more field.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.fields.push((name, value.into()));
        self
    }

    /// A field that was set.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }
}
