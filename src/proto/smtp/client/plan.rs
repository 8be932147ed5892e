//! What a session is to do before it is ready for mail.

use crate::proto::sasl::{Mechanism, Secret};

/// How the session starts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Our name, for EHLO.
    pub hello: String,
    /// Whether to use STARTTLS.
    pub security: Security,
    /// Log in with these, by the strongest mechanism that is offered.
    pub login: Option<Box<LoginPlan>>,
    /// The host that outcomes name: `mx.example.org [192.0.2.1]`.
    pub host: String,
    /// Whether to use CHUNKING.
    pub chunking: Chunking,
}

/// How to log in.
#[derive(Clone, Debug)]
pub struct LoginPlan {
    /// As whom.
    pub login: Login,
    /// Mechanisms that are offered there and do not work: they come last.
    pub without: Vec<Mechanism>,
    /// Name and port of the server, as the route has them: OAUTHBEARER tells them.
    pub server: (String, u16),
    /// Dice for a nonce.
    pub chance: [u64; 2],
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

/// A login at a smarthost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: String,
    /// What proves it; never shown.
    pub secret: Secret,
    /// May be sent without TLS.
    pub in_clear: bool,
}
