//! Messages for servers that take seven bits: the plan foretells what is written, and what is in
//! seven bits needs nothing done to it any more.

use crate::{input::Input, seeds as sown};
use waypost::proto::{
    mail::downgrade::{Header, Obstacle, Plan, Rewriter, Survey, Task},
    smtp::data::{Found, Unstuff},
};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let piece = 1 + input.choice(0) % 40;
    // As it comes in: no bare CR or LF is in it.
    let mut message = Vec::new();
    if Unstuff::chunks().decode(input.octets, &mut message).1 != Found::More {
        return;
    }
    for header in [Header::Keep, Header::Try, Header::Must] {
        for body in [false, true] {
            let task = Task { header, body };
            if let Ok(out) = anew(&message, task, piece) {
                is_done(&message, &out, task, piece);
            }
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let sessions = sown::files("transcript/smtp", ".session");
    let mut seeds: Vec<_> =
        sessions.iter().map(|session| Input::compose(&sown::side(session, 'C'), &[3])).collect();
    for message in [
        "From: Zo\u{eb} <a@b.example>\r\nSubject: Gr\u{fc}\u{df}e\r\n\r\nGr\u{fc}\u{df}e\r\n.\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\
         \r\n\u{fc}\r\n--x\r\nContent-Type: image/png; name=\"\u{fc}.png\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\naGk=\r\n--x\r\n\
         Content-Type: message/rfc822\r\n\r\n\
         Subject: \u{fc}\r\n\r\n\u{fc}\r\n--x--\r\n",
        "To: g: \u{fc}@\u{fc}.example, \"\u{fc}\" <c@d.example>;\r\n\r\n=\u{fc}\r\n",
    ] {
        seeds.push(Input::compose(message.as_bytes(), &[3]));
    }
    seeds
}

/// The message as this task has it, however it is cut.
fn anew(message: &[u8], task: Task, piece: usize) -> Result<Vec<u8>, Obstacle> {
    let planned = plan(message, task, usize::MAX);
    assert_eq!(plan(message, task, piece), planned);
    let planned = planned?;
    if !planned.is_needed() {
        assert_eq!(planned.size(), message.len() as u64);
        return Ok(message.to_vec());
    }
    let out = written(message, &planned, usize::MAX);
    assert!(written(message, &planned, piece) == out, "in pieces of {piece}");
    assert_eq!(out.len() as u64, planned.size(), "{}", out.escape_ascii());
    Ok(out)
}

fn plan(message: &[u8], task: Task, piece: usize) -> Result<Plan, Obstacle> {
    let mut survey = Survey::new(task);
    message.chunks(piece.min(message.len().max(1))).for_each(|part| survey.push(part));
    survey.finish()
}

fn written(message: &[u8], plan: &Plan, piece: usize) -> Vec<u8> {
    let (mut rewriter, mut out) = (Rewriter::new(plan.clone()), Vec::new());
    let pieces = message.chunks(piece.min(message.len().max(1)));
    pieces.for_each(|part| rewriter.push(part, &mut out));
    rewriter.finish(&mut out);
    out
}

fn is_done(message: &[u8], out: &[u8], task: Task, piece: usize) {
    if task.header == Header::Must && task.body {
        assert!(out.is_ascii(), "{}", out.escape_ascii());
    }
    if message.is_ascii() {
        assert!(out == message, "nothing needed it: {}", out.escape_ascii());
    }
    // Done once is done. (With octets above 127 left in it, a parameter that names its parts may
    // read otherwise the second time.)
    if !out.is_ascii() {
        return;
    }
    let again = anew(out, task, piece);
    assert!(again.as_deref() == Ok(out), "{}\n{again:?}", out.escape_ascii());
}
