//! The page without script: log in, see how it is and what waits. For old browsers, text browsers,
//! and whoever has switched scripts off.

use super::{
    Web,
    acts::Unproven,
    api::{Answer, Visit},
    http::Response,
    office::{AdminState, Page, Row},
};
use crate::{limits, proto::http::decode};
use std::fmt::Write;

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
    <title>Waypost</title><meta name=\"viewport\" content=\"width=device-width\">\
    <link rel=\"stylesheet\" href=\"/style.css\"></head><body><main class=\"plain\">";
const FOOT: &str = "</main></body></html>";

impl Web {
    /// How it is, for who is logged in; else the form to log in.
    pub(super) async fn plain(&self, visit: Visit) -> Answer {
        if self.sessions.token(&visit.head, self.now()).is_none() {
            return Ok(form(200, ""));
        }
        let status = self.office.status().await;
        let queue = self.office.queue(Page { offset: 0, limit: limits::WEB_ROWS }).await;
        let mut html = format!("{HEAD}<h1>{}</h1>", escaped(&status.hostname));
        for problem in &status.problems {
            push(&mut html, &format!("<p class=\"note bad\">{}</p>", escaped(&problem.words)));
        }
        let sentence = if status.taking { "Mail is taken." } else { "No mail is taken now." };
        push(&mut html, &format!("<p>{sentence} Waypost sends {}.</p>", escaped(&status.outward)));
        for (name, last) in [("Last mail in", status.last_in), ("Last mail out", status.last_out)] {
            if let Some(last) = last {
                let words = escaped(&last.words);
                push(&mut html, &format!("<p>{name}: {} s ago. {words}</p>", last.ago));
            }
        }
        push(&mut html, &format!("<h2>In the queue: {}</h2><ul>", queue.total));
        for row in &queue.rows {
            push(&mut html, &item(row));
        }
        push(&mut html, "</ul><p><a href=\"/plain\">Look again</a></p>");
        push(&mut html, FOOT);
        Ok(Response::new(200, "text/html; charset=utf-8", html.into_bytes()))
    }

    /// The form was sent. Where it comes from was looked at before; what it begins, no page from
    /// elsewhere can use (`SameSite`).
    pub(super) async fn plain_login(&self, visit: Visit) -> Answer {
        if self.office.admin() != AdminState::Set {
            return Ok(form(409, "This relay has no password yet: set one with the setup code."));
        }
        let text = String::from_utf8_lossy(&visit.body).replace('+', " ");
        let password = text.split('&').find_map(|pair| pair.strip_prefix("password="));
        let password = password.and_then(decode).unwrap_or_default();
        if let Err(Unproven { status, words, .. }) = self.proof(&visit, &password).await {
            return Ok(form(status, &words));
        }
        self.sessions.close(&visit.head);
        let opened = self.sessions.open(&self.sys, visit.caller.encrypted);
        let see = Response::new(303, "text/plain", &b""[..]).with("Location", "/plain");
        Ok(see.with("Set-Cookie", opened.cookie))
    }
}

/// The form to log in, with what was wrong.
fn form(status: u16, wrong: &str) -> Response {
    let wrong = if wrong.is_empty() {
        String::new()
    } else {
        format!("<p class=\"note bad\" role=\"alert\">{}</p>", escaped(wrong))
    };
    let html = format!(
        "{HEAD}<h1>Log in</h1>{wrong}<form method=\"post\" action=\"/plain\">\
         <p><label for=\"p\">Password</label> <input id=\"p\" type=\"password\" \
         name=\"password\" autocomplete=\"current-password\"></p>\
         <p><button class=\"main\">Log in</button></p></form>{FOOT}"
    );
    Response::new(status, "text/html; charset=utf-8", html.into_bytes())
}

fn item(row: &Row) -> String {
    let from = if row.from.is_empty() { "the mail system" } else { &row.from };
    let why =
        if row.reason.is_empty() { String::new() } else { format!("<br>{}", escaped(&row.reason)) };
    format!(
        "<li><b>{}</b><br>{} → {}{why}</li>",
        escaped(if row.subject.is_empty() { "(no subject)" } else { &row.subject }),
        escaped(from),
        escaped(&row.to.join(", "))
    )
}

fn push(html: &mut String, more: &str) {
    html.push_str(more);
}

/// Text in HTML, whatever a stranger wrote: between tags, and in attributes in double quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c if c.is_control() => html.push(' '),
            // It would turn what follows around.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                write!(html, "&#xFFFD;").expect("a String takes everything");
            }
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_stranger_wrote_is_markup() {
        let text = "</b><script>\"'&\u{202e}\n\u{fc}";
        assert_eq!(escaped(text), "&lt;/b&gt;&lt;script&gt;&quot;&#39;&amp;&#xFFFD; \u{fc}");
    }
}
