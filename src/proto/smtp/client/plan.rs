//! What a session is to do before it is ready for mail.

/// How the session starts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Our name, for EHLO.
    pub hello: String,
    /// Whether to use STARTTLS.
    pub security: Security,
    /// Log in with these, by the best mechanism that is offered; only over TLS unless
    /// `clear_login`.
    pub login: Option<Login>,
    /// The host that outcomes name: `mx.example.org [192.0.2.1]`.
    pub host: String,
    /// Whether to use CHUNKING.
    pub chunking: Chunking,
}

/// Use of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Never.
    None,
    /// If offered.
    May,
    /// Or no delivery.
    Must,
    /// It is on already (port 465).
    Implicit,
}

/// Use of BDAT. RFC 3030.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunking {
    /// Never.
    Never,
    /// If offered, for messages of [`crate::limits::BDAT_MESSAGE_BYTES`] or more.
    Large,
}

/// User name and password at a smarthost.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password; never shown.
    pub password: String,
    /// May be sent without TLS (route says `tls: none`).
    pub in_clear: bool,
}

impl core::fmt::Debug for Login {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Login({})", self.user)
    }
}
