//! Talking to the running relay: HTTP/1.1 (RFC 9112) with JSON, over its control socket.

use super::{Call, SOCKET};
use crate::{limits, sys::Sys};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use serde_json::Value;
use std::{fmt, io};

/// What the relay answered.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// Status of HTTP.
    pub(super) status: u16,
    /// `ETag`, as it came.
    pub(super) tag: Option<String>,
    /// The JSON; null where there was none.
    pub(super) body: Value,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody listens there.
    NoRelay(String),
    /// It did not work.
    Broken(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NoRelay(data) => write!(
                f,
                "no relay is running with the data directory {data}; start it with `waypost run \
                 --data {data}`, or name another with --data"
            ),
            Trouble::Broken(why) => write!(f, "the relay gave no answer: {why}"),
        }
    }
}

/// One question.
pub(super) struct Question<'a> {
    pub(super) method: &'a str,
    /// Path and query; what stands in it is encoded already.
    pub(super) path: &'a str,
    pub(super) body: Option<&'a str>,
    /// Only if the thing still has this tag.
    pub(super) tag: Option<&'a str>,
}

impl<'a> Question<'a> {
    pub(super) fn get(path: &'a str) -> Question<'a> {
        Question { method: "GET", path, body: None, tag: None }
    }

    pub(super) fn post(path: &'a str, body: Option<&'a str>) -> Question<'a> {
        Question { method: "POST", path, body, tag: None }
    }
}

/// Ask the relay, over a connection for this question alone.
pub(super) async fn ask(
    sys: &Sys,
    call: &Call,
    question: &Question<'_>,
) -> Result<Answer, Trouble> {
    let broken = |error: io::Error| Trouble::Broken(error.to_string());
    let work = async {
        let mut stream = open(sys, call).await?;
        stream.write_all(request(question).as_bytes()).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let mut octets = Vec::new();
        let most = limits::CONTROL_ANSWER_BYTES as u64;
        (&mut stream).take(most + 1).read_to_end(&mut octets).await.map_err(broken)?;
        if octets.len() as u64 > most {
            return Err(Trouble::Broken("it is too long".to_string()));
        }
        answer(&octets).map_err(Trouble::Broken)
    };
    let late = || Trouble::Broken("it took too long".to_string());
    sys.within(limits::CONTROL_WAIT, work).await.unwrap_or_else(|| Err(late()))
}

async fn open(sys: &Sys, call: &Call) -> Result<Box<dyn crate::sys::Stream>, Trouble> {
    for data in call.data_directories() {
        match sys.net.connect_local(&format!("{data}/{SOCKET}")).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let why = format!("{data}/{SOCKET} is not for this user: {error}");
                return Err(Trouble::Broken(why));
            }
            Err(_) => {}
        }
    }
    Err(Trouble::NoRelay(call.data_directory().to_string()))
}

fn request(question: &Question<'_>) -> String {
    let Question { method, path, body, tag } = question;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    if let Some(tag) = tag {
        text.extend(["If-Match: ", tag, "\r\n"]);
    }
    if *method == "GET" {
        return text + "\r\n";
    }
    let body = body.unwrap_or("{}");
    let length = body.len();
    text + &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Read an answer that came whole.
fn answer(octets: &[u8]) -> Result<Answer, String> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let start = match response.parse(octets) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Err("it ended early".to_string()),
        Err(error) => return Err(error.to_string()),
    };
    let status = response.code.unwrap_or(0);
    let field = |name: &str| {
        let found = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    if field("transfer-encoding").is_some() {
        return Err("it came in a transfer encoding".to_string());
    }
    let body = octets.get(start..).unwrap_or_default();
    let length = field("content-length").and_then(|length| length.parse::<usize>().ok());
    let body = match length {
        Some(length) => body.get(..length).ok_or("it ended early")?,
        None => body,
    };
    let tag = field("etag").map(String::from);
    let is_text = field("content-type").is_some_and(|kind| kind.starts_with("text/plain"));
    let json = if body.is_empty() {
        Value::Null
    } else if is_text {
        Value::String(String::from_utf8_lossy(body).into_owned())
    } else {
        serde_json::from_slice(body).map_err(|_| format!("HTTP status {status} without JSON"))?
    };
    Ok(Answer { status, tag, body: json })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let good = b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 9\r\n\r\n{\"a\": 1}\nrest";
        let read = Answer { status: 200, tag: Some("\"x\"".to_string()), body: json!({"a": 1}) };
        assert_eq!(answer(good), Ok(read));
        for end in 0..good.len() - 4 {
            assert!(answer(&good[..end]).is_err(), "cut at {end}");
        }
        assert_eq!(answer(b"HTTP/1.1 204 No Content\r\n\r\n").map(|a| a.body), Ok(Value::Null));
        let text = b"HTTP/1.1 503 No\r\nContent-Type: text/plain\r\n\r\nnot well";
        assert_eq!(answer(text).map(|a| a.body), Ok(json!("not well")));
        for bad in [
            b"SSH-2.0-x\r\n\r\n".as_slice(),
            b"HTTP/1.1 200 OK\r\n\r\n<html>",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"",
        ] {
            assert!(answer(bad).is_err());
        }
    }
}
