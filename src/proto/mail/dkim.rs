//! Signing messages: DKIM. RFC 6376; RFC 8463 for Ed25519, RFC 8301 for what became of the old
//! algorithms.
//!
//! Pure: what is signed is composed here, hashing and arithmetic are done by whoever has the keys.
//! Header and body are canonicalised `relaxed`, the form that survives what servers on the way do
//! to blanks and folding.
//!
//! ```text
//! body ▶ Body ▶ hash ─▶ Claim { names, body_hash … } ─▶ Claim::octets(header) ▶ key ▶ Claim::field
//! ```

mod body;
mod record;

pub use body::Body;
pub use record::Record;

use crate::{
    limits,
    proto::{
        dns,
        mail::{
            header::{self, Field},
            list,
        },
    },
    time::Wall,
};
use base64::prelude::{BASE64_STANDARD, Engine};

/// How a key signs. RFC 8301 §3.1: never with SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `rsa-sha256`: known to every verifier.
    Rsa,
    /// `ed25519-sha256`, RFC 8463: short, and not known everywhere yet.
    Ed25519,
}

impl Algorithm {
    /// For `a=`. RFC 6376 §3.5, RFC 8463 §3.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Rsa => "rsa-sha256",
            Algorithm::Ed25519 => "ed25519-sha256",
        }
    }

    /// For `k=` of the DNS record, and for people. RFC 6376 §3.6.1, RFC 8463 §4.
    pub fn key_type(self) -> &'static str {
        match self {
            Algorithm::Rsa => "rsa",
            Algorithm::Ed25519 => "ed25519",
        }
    }
}

const FIELD: &str = "DKIM-Signature";

/// Fields that nobody may add once the message is signed: each is named once more than it is there
/// (RFC 6376 §5.4.2, §8.15), or else a second From or Subject, or a Content-Type where there was
/// none, could be put on top of what was signed and shown in its place.
const SEALED: [&str; 10] = [
    "From",
    "Subject",
    "To",
    "Cc",
    "Reply-To",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Sealed only where they are there: a server further on that knows the time adds what we had to
/// leave out (RFC 6409 §8.2), and that must not break the signature.
const SEALED_IF_THERE: [&str; 2] = ["Date", "Message-ID"];

/// Signed as often as they are there; more of them may come. Mailing lists add their own, and one
/// click to leave one counts only where the signature has these fields (RFC 8058 §4).
const SIGNED: [&str; 9] = [
    "Sender",
    "List-Id",
    "List-Help",
    "List-Owner",
    "List-Archive",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Auto-Submitted",
    "Content-Disposition",
];

/// The domain that the message says it is from: A-labels, lower case.
///
/// That of the first mailbox of From (RFC 5322 §3.6.2: the first author of several). `None` where
/// there is no From field that can be read, or more than one.
pub fn author_domain(header: &[u8]) -> Option<String> {
    let mut from = header::fields(header).filter(|field| field.is("From"));
    let (Some(field), None) = (from.next(), from.next()) else { return None };
    let mailboxes = list::mailboxes(field.value).ok()?;
    dns::ascii_name(mailboxes.first()?.address.domain())
}

/// Has the message a signature of this domain already?
pub fn is_signed_by(header: &[u8], domain: &str) -> bool {
    let signatures = header::fields(header).filter(|field| field.is(FIELD));
    signatures.into_iter().any(|field| {
        // RFC 6376 §3.2: a tag list; blanks and folding around names and values mean nothing.
        field.value.split(|b| *b == b';').any(|tag| {
            let mut halves = tag.splitn(2, |b| *b == b'=');
            let (name, value) = (halves.next(), halves.next());
            name.map(<[u8]>::trim_ascii) == Some(b"d")
                && value.is_some_and(|v| v.trim_ascii().eq_ignore_ascii_case(domain.as_bytes()))
        })
    })
}

/// What goes into `h=`, in order: at most [`limits::DKIM_FIELDS`] names.
pub fn names(header: &[u8]) -> Vec<&'static str> {
    let all = SEALED.iter().chain(&SEALED_IF_THERE).chain(&SIGNED);
    let mut counts: Vec<(&'static str, usize)> = all.map(|name| (*name, 0)).collect();
    for field in header::fields(header) {
        if let Some((_, count)) = counts.iter_mut().find(|(name, _)| field.is(name)) {
            *count += 1;
        }
    }
    let mut names = Vec::new();
    for (n, (name, count)) in counts.into_iter().enumerate() {
        let sealed = n < SEALED.len() || n < SEALED.len() + SEALED_IF_THERE.len() && count > 0;
        let room = limits::DKIM_FIELDS - names.len();
        names.extend(std::iter::repeat_n(name, (count + usize::from(sealed)).min(room)));
    }
    names
}

/// What a signature says: all of it but what the key makes of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// How.
    pub algorithm: Algorithm,
    /// Who: `d=`, in A-labels.
    pub domain: &'a str,
    /// With which key: `s=`.
    pub selector: &'a str,
    /// When, if the clock is set.
    pub wall: Option<Wall>,
    /// Which fields: `h=`, see [`names`].
    pub names: &'a [&'a str],
    /// SHA-256 of the canonical body, see [`Body`].
    pub body_hash: &'a [u8],
}

impl Claim<'_> {
    /// What the key signs: the fields, then this one without its signature. RFC 6376 §3.7.
    pub fn octets(&self, header: &[u8]) -> Vec<u8> {
        let mut octets = signed_fields(header, self.names);
        let field = self.unsigned();
        // The field's own line end is not signed.
        let own = header::fields(field.as_bytes()).next();
        if let Some(own) = own {
            relax(&own, &mut octets);
        }
        octets
    }

    /// The field with its signature and line end, folded to go before the header.
    pub fn field(&self, signature: &[u8]) -> String {
        let mut text = Folded(self.unsigned());
        for piece in pieces(&BASE64_STANDARD.encode(signature)) {
            text.put("", piece);
        }
        text.0.push_str("\r\n");
        text.0
    }

    fn unsigned(&self) -> String {
        let mut text = Folded(format!("{FIELD}: v=1;"));
        text.put(" ", &format!("a={};", self.algorithm.name()));
        text.put(" ", "c=relaxed/relaxed;");
        text.put(" ", &format!("d={};", self.domain));
        text.put(" ", &format!("s={};", self.selector));
        if let Some(wall) = self.wall {
            text.put(" ", &format!("t={};", wall.0));
        }
        let last = self.names.len().saturating_sub(1);
        for (n, name) in self.names.iter().enumerate() {
            let start = if n == 0 { "h=" } else { "" };
            let end = if n == last { ';' } else { ':' };
            let gap = if n == 0 { " " } else { "" };
            text.put(gap, &format!("{start}{}{end}", name.to_ascii_lowercase()));
        }
        text.put(" ", &format!("bh={};", BASE64_STANDARD.encode(self.body_hash)));
        text.put(" ", "b=");
        text.0
    }
}

/// Columns of a folded line. RFC 5322 §2.1.1.
const COLUMNS: usize = 76;

/// Octets of base64 that stay together: several of them share a line.
const PIECE: usize = 18;

/// A field's text, folded where the next piece would not fit.
struct Folded(String);

impl Folded {
    fn put(&mut self, gap: &str, piece: &str) {
        let column = self.0.len() - self.0.rfind('\n').map_or(0, |at| at + 1);
        let gap = if column + gap.len() + piece.len() > COLUMNS { "\r\n " } else { gap };
        self.0.extend([gap, piece]);
    }
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let starts = (0..text.len()).step_by(PIECE);
    starts.filter_map(|at| text.get(at..text.len().min(at + PIECE)))
}

/// The fields of these names, canonical, in their order: of a name that is there several times the
/// last first, and nothing for one that is not there (any more). RFC 6376 §5.4.2.
fn signed_fields(header: &[u8], names: &[&str]) -> Vec<u8> {
    let named = |field: &Field| names.iter().any(|name| field.is(name));
    let mut fields: Vec<Field> = header::fields(header).filter(named).collect();
    fields.reverse();
    let mut octets = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let before = names.iter().take(n).filter(|other| other.eq_ignore_ascii_case(name)).count();
        if let Some(field) = fields.iter().filter(|field| field.is(name)).nth(before) {
            relax(field, &mut octets);
            octets.extend_from_slice(b"\r\n");
        }
    }
    octets
}

/// A field without its line end. RFC 6376 §3.4.2: name in lower case, unfolded, each run of blanks
/// one, none at the ends and around the colon.
fn relax(field: &Field, octets: &mut Vec<u8>) {
    octets.extend(field.name.bytes().map(|b| b.to_ascii_lowercase()));
    octets.push(b':');
    let start = octets.len();
    let mut blank = false;
    let mut rest = field.value;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'\r' if after.first() == Some(&b'\n') => rest = after.get(1..).unwrap_or_default(),
            b' ' | b'\t' => blank = octets.len() > start,
            _ => {
                if core::mem::take(&mut blank) {
                    octets.push(b' ');
                }
                octets.push(*octet);
            }
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod verify_tests;
