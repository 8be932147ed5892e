//! A message in seven bits, for servers that take no more. RFC 6152 §3, RFC 2045, RFC 6531 §3.2.
//!
//! It takes two passes: [`Survey`] reads the whole message and makes a [`Plan`], or finds why it
//! cannot be done; [`Rewriter`] reads it once more and writes it anew. So the plan knows the exact
//! size of what will be written, before a server is told anything, and only what needs it is
//! touched: a part without an octet above 127 stays as it was, and so does a message without one.
//! Both hold a field, a line or a character at a time, whatever the size of the message.
//!
//! | What needs it | What becomes of it |
//! | --- | --- |
//! | text, 8bit | quoted-printable |
//! | other content, 8bit or binary | base64 |
//! | quoted-printable with raw octets above 127 in it | those octets quoted as well |
//! | base64 with such octets | they go: readers ignore them (RFC 2045 §6.8) |
//! | multipart, message/rfc822 | their parts are looked at, and `8bit` becomes `7bit` |
//! | a body without a type | `text/plain`; `utf-8` if it is that, else `unknown-8bit` (RFC 1428) |
//! | a NUL, or a line of more than 998 octets, beside such octets | as these |
//! | free text in the header | encoded words (RFC 2047) |
//! | parameters (file names) | RFC 2231 |
//! | preambles and epilogues, which nobody shows | question marks |
//!
//! Messages that others have signed (DKIM, multipart/signed) are converted like all, which breaks
//! their signatures: RFC 6376 §5.3 and RFC 1847 §2.1 ask signers to sign seven bits for that
//! reason, and the only other way is to send the message back. Our own signatures are made of what
//! is sent (`relay/recast`).

mod rewrite;
mod survey;
mod walk;
mod words;

pub use rewrite::Rewriter;
pub use survey::Survey;
pub use words::ascii_address;

use crate::proto::mail::quoted;
use base64::{Engine, engine::general_purpose::STANDARD};

/// What the server at hand cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Octets above 127 in the header, that of parts included.
    pub header: Header,
    /// Octets above 127 in the body: it has no 8BITMIME.
    pub body: bool,
}

/// What to do about octets above 127 in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// They stay.
    Keep,
    /// They become ASCII where they can. What cannot stays: its sender did not say that it was
    /// UTF-8 (SMTPUTF8), so who knows what it is; and a server that minds can say so.
    Try,
    /// They become ASCII, or the message cannot be sent: it is internationalised (RFC 6532), and
    /// what cannot is an address or an identifier.
    Must,
}

/// Why a message cannot be written in seven bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// This field of its header needs UTF-8.
    Field(String),
    /// Its parts cannot be told apart or are too many; in words.
    Structure(&'static str),
}

/// What is to be done to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    task: Task,
    /// Entities whose content is written anew, by their number.
    changes: Vec<(u32, Change)>,
    altered: bool,
    size: u64,
}

impl Plan {
    /// Anything at all.
    pub fn is_needed(&self) -> bool {
        self.altered
    }

    /// Octets of the message when it is written anew.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// How the content of an entity is written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    how: How,
    /// The character set to declare where there is no Content-Type.
    charset: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Quoted,
    Base64,
    /// Quoted-printable that is none.
    QuotedAgain,
    /// Base64 with other octets in it.
    Base64Cleaned,
}

impl How {
    /// How a content would be written anew; `None` where it cannot.
    fn of(entity: &walk::Entity) -> Option<How> {
        use walk::{Content, Encoding};
        match (entity.encoding, &entity.content) {
            (Encoding::Quoted, _) => Some(How::QuotedAgain),
            (Encoding::Base64, _) => Some(How::Base64Cleaned),
            (_, Content::Text) => Some(How::Quoted),
            (_, Content::Octets) => Some(How::Base64),
            _ => None,
        }
    }
}

impl Change {
    /// The fields that go to the end of the entity's header.
    fn fields(self, entity: &walk::Entity) -> String {
        let mut fields = String::new();
        if entity.is_message && !entity.has_version {
            fields.push_str("MIME-Version: 1.0\r\n");
        }
        if !entity.has_type {
            fields.push_str("Content-Type: text/plain; charset=");
            fields.push_str(self.charset);
            fields.push_str("\r\n");
        }
        fields.push_str(match self.how {
            How::Quoted | How::QuotedAgain => "Content-Transfer-Encoding: quoted-printable\r\n",
            How::Base64 | How::Base64Cleaned => "Content-Transfer-Encoding: base64\r\n",
        });
        fields
    }
}

/// Writes the content of one entity.
#[derive(Debug)]
enum Coder {
    Quoted(quoted::Encoder),
    /// Octets that do not fill a line yet, and whether there is a line before them.
    Base64(Vec<u8>, bool),
    Clean,
}

/// Octets that make a line of base64. RFC 2045 §6.8: 76 columns at most.
const BASE64_LINE: usize = 57;

impl Coder {
    fn new(how: How) -> Coder {
        match how {
            How::Quoted => Coder::Quoted(quoted::Encoder::new(quoted::Input::Plain)),
            How::QuotedAgain => Coder::Quoted(quoted::Encoder::new(quoted::Input::Quoted)),
            How::Base64 => Coder::Base64(Vec::new(), false),
            How::Base64Cleaned => Coder::Clean,
        }
    }

    fn encode(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match self {
            Coder::Quoted(encoder) => encoder.encode(octets, out),
            Coder::Clean => {
                out.extend(octets.iter().filter(|b| b.is_ascii() && **b != 0));
            }
            Coder::Base64(waiting, begun) => {
                waiting.extend_from_slice(octets);
                let (lines, rest) = waiting.as_chunks::<BASE64_LINE>();
                for line in lines {
                    base64_line(line, begun, out);
                }
                *waiting = rest.to_vec();
            }
        }
    }

    fn finish(&mut self, before: walk::Before, out: &mut Vec<u8>) {
        match self {
            Coder::Quoted(encoder) => encoder.finish(out),
            Coder::Clean => {}
            Coder::Base64(waiting, begun) => {
                if !waiting.is_empty() {
                    base64_line(waiting, begun, out);
                }
                // The line end before a boundary belongs to that.
                if *begun && before == walk::Before::Nothing {
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
    }
}

fn base64_line(octets: &[u8], begun: &mut bool, out: &mut Vec<u8>) {
    if std::mem::replace(begun, true) {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(STANDARD.encode(octets).as_bytes());
}

#[cfg(test)]
mod tests;
