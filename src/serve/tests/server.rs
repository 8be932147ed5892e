//! Mail servers made of a few rules.

use super::{wire::Wire, world::World};
use std::{cell::RefCell, future::pending, net::SocketAddr};

/// A message that a server took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mail {
    pub(super) at: String,
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) text: String,
}

/// A mail server: what it says to lines that begin so, the first rule that fits. `""` is the
/// banner, `"."` the final dot. No reply: it hangs up; `~`: it never answers. What no rule names is
/// answered with yes.
pub(super) struct Server {
    pub(super) rules: RefCell<Vec<(String, String)>>,
}

impl Server {
    pub(super) fn says(&self, rules: &[(&str, &str)]) {
        let rules = rules.iter().map(|(line, says)| ((*line).into(), (*says).into()));
        *self.rules.borrow_mut() = rules.collect();
    }

    pub(super) fn reply(&self, line: &str) -> String {
        let usual = [
            ("", "220 mx"),
            ("EHLO", "250-mx\r\n250-PIPELINING\r\n250 8BITMIME"),
            ("DATA", "354 Go"),
            ("QUIT", "221 Bye"),
        ];
        let fits = |start: &str| {
            if start.is_empty() || start == "." { start == line } else { line.starts_with(start) }
        };
        let rules = self.rules.borrow();
        if let Some((_, says)) = rules.iter().find(|(start, _)| fits(start)) {
            return says.clone();
        }
        let usual = usual.iter().find(|(start, _)| fits(start));
        usual.map_or("250 2.0.0 Ok", |(_, says)| says).to_string()
    }
}

/// Be a mail server for one connection.
pub(super) async fn serve(world: &World, server: &Server, at: SocketAddr, mut wire: Wire) {
    let mut mail = Mail { at: at.to_string(), ..Mail::default() };
    let mut line = String::new();
    let mut in_data = false;
    loop {
        let says = if in_data && line != "." { None } else { Some(server.reply(&line)) };
        match says.as_deref() {
            Some("~") => return pending().await,
            Some("") => return,
            Some("354 Go") if mail.to.is_empty() => {
                wire.send(b"554 5.5.1 No recipients\r\n");
            }
            Some(says) => {
                wire.send(format!("{says}\r\n").as_bytes());
                let yes = says.starts_with('2');
                let path = || {
                    let path = line.split(['<', '>']).nth(1);
                    path.unwrap_or_default().to_string()
                };
                match line.get(..4) {
                    _ if in_data => {
                        in_data = false;
                        if yes {
                            world.mail.borrow_mut().push(std::mem::take(&mut mail));
                        }
                        mail = Mail { at: at.to_string(), ..Mail::default() };
                    }
                    Some("MAIL") => mail.from = path(),
                    Some("RCPT") if yes => mail.to.push(path()),
                    Some("DATA") => in_data = says.starts_with("354"),
                    Some("QUIT") => return,
                    _ => {}
                }
            }
            None => {
                let text = line.strip_prefix('.').unwrap_or(&line);
                mail.text.push_str(text);
                mail.text.push_str("\r\n");
            }
        }
        match wire.line().await {
            Some(next) => line = next,
            None => return,
        }
    }
}
