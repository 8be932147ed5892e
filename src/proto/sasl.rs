//! Login mechanisms. The side that is logged in to reads PLAIN (RFC 4616) and LOGIN
//! (draft-murchison-sasl-login); the side that logs in is [`Client`].

mod client;
mod scram;

pub use client::{Claim, Client, Mechanism, Secret, Turn};
pub use scram::{Key, Stretch};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// RFC 4648 §4 in full, but padding may be missing: some small clients leave it out, and what they
/// mean is clear.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The LOGIN prompt for the user name, `Username:` in base64.
pub const LOGIN_USER: &str = "VXNlcm5hbWU6";
/// The LOGIN prompt for the password, `Password:` in base64.
pub const LOGIN_PASSWORD: &str = "UGFzc3dvcmQ6";

/// What a client has sent, decoded: text in base64. `=` alone is empty (RFC 4954 §4).
///
/// # Errors
/// Not base64, or not UTF-8 (RFC 4616 §2).
pub fn decode(line: &str) -> Result<String, Unreadable> {
    if line == "=" {
        return Ok(String::new());
    }
    let octets = BASE64.decode(line).map_err(|_| Unreadable)?;
    String::from_utf8(octets).map_err(|_| Unreadable)
}

/// User name and password of a PLAIN message, in this order; the password may be empty, which RFC
/// 4616 does not allow.
///
/// An authorization identity other than the user's own name is asking for somebody else's rights;
/// there are none to be had here.
///
/// # Errors
/// Not base64, or not of the form of RFC 4616 §2.
pub fn decode_plain(line: &str) -> Result<(String, String), Unreadable> {
    let message = decode(line)?;
    let mut parts = message.split('\0');
    let (Some(other), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Unreadable);
    };
    let own = other.is_empty() || other == user;
    if !own || user.is_empty() {
        return Err(Unreadable);
    }
    Ok((user.into(), password.into()))
}

/// A name or password of LOGIN, maybe empty.
///
/// # Errors
/// Not base64 of text, or with a NUL in it.
pub fn decode_login(line: &str) -> Result<String, Unreadable> {
    decode(line).ok().filter(|text| !text.contains('\0')).ok_or(Unreadable)
}

/// The PLAIN message of a client, in base64. RFC 4616 §2.
fn plain(user: &str, password: &str) -> String {
    BASE64.encode(format!("\0{user}\0{password}"))
}

/// What a peer sent is no message of its mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_goes_there_and_back() {
        // RFC 4616 §4, without its authorization identity.
        assert_eq!(plain("tim", "tanstaaftanstaaf"), "AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
        for (user, password) in [("tim", "x"), ("jörg@exämple.org", "pässwörd with blanks ")] {
            let pair = Ok((user.to_string(), password.to_string()));
            assert_eq!(decode_plain(&plain(user, password)), pair);
        }
        let own_name = BASE64.encode("tim\0tim\0x");
        assert_eq!(decode_plain(&own_name), Ok(("tim".into(), "x".into())));
    }

    #[test]
    fn plain_that_is_none_is_refused() {
        for message in ["", "tim", "\0tim", "\0\0x", "\0tim\0x\0", "kurt\0tim\0x"] {
            assert_eq!(decode_plain(&BASE64.encode(message)), Err(Unreadable), "{message:?}");
        }
        for line in ["=", "*", "AHRpbQB4 ", "AHRp\u{e4}", &BASE64.encode(b"\0tim\0\xff")] {
            assert_eq!(decode_plain(line), Err(Unreadable), "{line:?}");
        }
    }

    #[test]
    fn login_goes_there_and_back() {
        assert_eq!(decode(LOGIN_USER), Ok("Username:".into()));
        assert_eq!(decode(LOGIN_PASSWORD), Ok("Password:".into()));
        assert_eq!(decode_login(&BASE64.encode("pässwörd")), Ok("pässwörd".into()));
        assert_eq!(decode_login("dGlt"), Ok("tim".into()));
        assert_eq!(decode_login("dGk"), Ok("ti".into()), "its padding is missing");
        assert_eq!(decode_login(""), Ok(String::new()));
        assert_eq!(decode_plain(&plain("tim", "")), Ok(("tim".into(), String::new())));
        for line in ["AA==", "?", "/w==", "dGk=="] {
            assert_eq!(decode_login(line), Err(Unreadable), "{line:?}");
        }
    }
}
