//! What a domain demands of those who send mail to it: MTA-STS. RFC 8461.
//!
//! Pure. A text in DNS says that there is a policy, and which; the policy itself is a page.

use crate::limits;
use core::time::Duration;

/// A domain's policy. RFC 8461 §3.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What to do where it is not met.
    pub mode: Mode,
    /// For how long it counts, at most [`limits::STS_AGE_MAX`].
    pub age: Duration,
    /// Names of the mail servers, in lower case, `*.` for one label at the left; at most
    /// [`limits::STS_PATTERNS`].
    pub mx: Vec<String>,
}

/// What to do where a policy is not met. RFC 8461 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Mail is not delivered.
    Enforce,
    /// Mail is delivered all the same.
    Testing,
    /// There is no policy (any more).
    None,
}

impl Mode {
    /// As a policy has it.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        }
    }
}

/// Where the text is that says which policy there is.
pub fn record_name(domain: &str) -> String {
    format!("_mta-sts.{domain}")
}

/// Where the policy is. RFC 8461 §3.3.
pub fn policy_url(domain: &str) -> String {
    format!("https://mta-sts.{domain}/.well-known/mta-sts.txt")
}

/// Which policy there is, by the texts at [`record_name`]: 1 to 32 letters and digits. `None`:
/// there is none, or more than one. RFC 8461 §3.1.
pub fn id(texts: &[Vec<u8>]) -> Option<String> {
    let mut records = texts.iter().filter_map(|text| text.strip_prefix(b"v=STSv1;"));
    let record = std::str::from_utf8(records.next()?).ok()?;
    if records.next().is_some() {
        return None;
    }
    let mut fields = record.split(';').filter_map(|field| field.split_once('='));
    let (_, id) = fields.find(|(name, _)| name.trim() == "id")?;
    let id = id.trim();
    let fits = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    fits.then(|| id.to_string())
}

impl Policy {
    /// From the octets of the page. Unknown fields are skipped, and of those that may stand once
    /// the first counts. RFC 8461 §3.2.
    ///
    /// # Errors
    /// It is none; in words.
    pub fn parse(octets: &[u8]) -> Result<Policy, String> {
        let text = std::str::from_utf8(octets).map_err(|_| "it is not UTF-8")?;
        let mut fields = text.lines().filter(|line| !line.trim().is_empty()).map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim_end(), value.trim()))
        });
        if fields.next().flatten() != Some(("version", "STSv1")) {
            return Err("it does not begin with \"version: STSv1\"".into());
        }
        let (mut mode, mut age, mut mx) = (None, None, Vec::new());
        for field in fields {
            let (name, value) = field.ok_or("it has a line without a colon")?;
            match name {
                "mode" if mode.is_none() => mode = Some(read_mode(value)?),
                "max_age" if age.is_none() => age = Some(read_age(value)?),
                "mx" if mx.len() == limits::STS_PATTERNS => {
                    return Err(format!("it names more than {} servers", limits::STS_PATTERNS));
                }
                "mx" => mx.push(read_pattern(value)?),
                _ => {}
            }
        }
        let (mode, age) = (mode.ok_or("it has no mode")?, age.ok_or("it has no max_age")?);
        if mx.is_empty() && mode != Mode::None {
            return Err("it names no mail server".into());
        }
        Ok(Policy { mode, age, mx })
    }

    /// The same as a page.
    pub fn page(&self) -> String {
        let (mode, age) = (self.mode.word(), self.age.as_secs());
        let mx: Vec<String> = self.mx.iter().map(|pattern| format!("mx: {pattern}\n")).collect();
        format!("version: STSv1\nmode: {mode}\nmax_age: {age}\n{}", mx.concat())
    }

    /// May mail go to this host (a name in lower case, without the root's dot)? RFC 8461 §4.1.
    pub fn allows(&self, host: &str) -> bool {
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(domain) => host
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest == domain),
            None => host == pattern,
        })
    }
}

fn read_mode(value: &str) -> Result<Mode, String> {
    let modes = [Mode::Enforce, Mode::Testing, Mode::None];
    let mode = modes.into_iter().find(|mode| mode.word() == value);
    mode.ok_or_else(|| "its mode is none of enforce, testing and none".into())
}

/// 1 to 10 digits; what is too long is the longest.
fn read_age(value: &str) -> Result<Duration, String> {
    let digits = (1..=10).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    let seconds = value.parse().ok().filter(|_| digits).ok_or("its max_age is no number")?;
    Ok(Duration::from_secs(seconds).min(limits::STS_AGE_MAX))
}

fn read_pattern(value: &str) -> Result<String, String> {
    let pattern = value.strip_suffix('.').unwrap_or(value).to_ascii_lowercase();
    let name = pattern.strip_prefix("*.").unwrap_or(&pattern);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = (1..=253).contains(&name.len()) && name.bytes().all(plain);
    let named = fits && name.split('.').all(|label| !label.is_empty());
    named.then_some(pattern).ok_or_else(|| "it names a mail server that is no host name".into())
}

#[cfg(test)]
mod tests;
