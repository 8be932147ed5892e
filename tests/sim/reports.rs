//! Reports as a sender reads them. RFC 3464.

use crate::letters;

/// What a report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which letter it is about.
    pub token: Option<u64>,
    /// Final recipients by action.
    pub failed: Vec<String>,
    pub delayed: Vec<String>,
}

pub fn is_report(octets: &[u8]) -> bool {
    let marker = b"Content-Type: multipart/report";
    let header = octets.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0);
    octets[..header].windows(marker.len()).any(|window| window == marker)
}

impl Report {
    pub fn read(octets: &[u8]) -> Report {
        let text = String::from_utf8_lossy(octets).replace("\r\n ", " ");
        let (mut failed, mut delayed) = (Vec::new(), Vec::new());
        let mut about = String::new();
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("Final-Recipient", who)) => {
                    about = who.split_once(';').map_or("", |(_, who)| who.trim()).to_string();
                }
                Some(("Action", "failed")) => failed.push(about.clone()),
                Some(("Action", "delayed")) => delayed.push(about.clone()),
                _ => {}
            }
        }
        Report { token: letters::token(octets), failed, delayed }
    }
}
