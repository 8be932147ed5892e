//! STARTTLS (RFC 3207) and AUTH (RFC 4954).

use super::{Ask, Asked, Dialect, Hello, Session, State, Then, replies};
use crate::{
    limits,
    proto::{machine::Step, sasl},
};

/// What the client must send next. RFC 4616, draft-murchison-sasl-login.
#[derive(Debug)]
pub(super) enum Auth {
    Plain,
    LoginUser,
    LoginPassword(String),
}

impl Session {
    /// RFC 3207 §4.
    pub(super) fn start_tls(&mut self) {
        if self.offer.encrypted {
            self.fail(&replies::TLS_ALREADY);
        } else if !self.offer.starttls {
            self.fail(&replies::NO_TLS);
        } else if self.user.is_some() {
            // §4.2 would have the login forgotten; nobody can mean that.
            self.fail(&replies::AUTH_NOT_NOW);
        } else {
            self.drop_transaction();
            self.finish(replies::READY_FOR_TLS, Then::Upgrade);
        }
    }

    /// RFC 4954 §4.
    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<&str>) -> Option<Step<Ask>> {
        let auth = match mechanism {
            _ if !self.offer.auth => return self.failed(&replies::NO_AUTH),
            _ if self.hello != Hello::Ehlo && !self.overlooks(Dialect::NoGreeting) => {
                return self.failed(&replies::NO_HELLO);
            }
            _ if self.user.is_some() || self.transaction.is_some() => {
                return self.failed(&replies::AUTH_NOT_NOW);
            }
            _ if !self.may_log_in() => return self.failed(&replies::AUTH_IN_CLEAR),
            "PLAIN" => Auth::Plain,
            "LOGIN" => Auth::LoginUser,
            _ => return self.failed(&replies::NO_MECHANISM),
        };
        if let Some(initial) = initial {
            return self.auth_response(auth, initial);
        }
        self.prompt(auth);
        None
    }

    pub(super) fn may_log_in(&self) -> bool {
        self.offer.auth && (self.offer.encrypted || self.offer.auth_in_clear)
    }

    fn prompt(&mut self, auth: Auth) {
        let challenge = match auth {
            Auth::Plain => "",
            Auth::LoginUser => sasl::LOGIN_USER,
            Auth::LoginPassword(_) => sasl::LOGIN_PASSWORD,
        };
        self.pipe.output.extend_from_slice(format!("334 {challenge}\r\n").as_bytes());
        self.state = State::Auth(auth);
    }

    pub(super) fn auth_line(&mut self, auth: Auth) -> Option<Step<Ask>> {
        match self.line(limits::AUTH_LINE_BYTES, replies::AUTH_TOO_LONG) {
            Ok(line) if line == b"*" => self.failed(&replies::AUTH_CANCELLED),
            Ok(line) => match str::from_utf8(&line) {
                Ok(response) => self.auth_response(auth, response),
                Err(_) => self.failed(&replies::AUTH_UNREADABLE),
            },
            Err(Some(read)) => {
                self.state = State::Auth(auth);
                Some(read)
            }
            Err(None) => None,
        }
    }

    fn auth_response(&mut self, auth: Auth, response: &str) -> Option<Step<Ask>> {
        let pair = match auth {
            Auth::Plain => sasl::decode_plain(response),
            Auth::LoginPassword(user) => sasl::decode_login(response).map(|pass| (user, pass)),
            Auth::LoginUser => match sasl::decode_login(response) {
                Ok(user) if user.is_empty() => Err(sasl::Unreadable),
                Ok(user) => {
                    self.prompt(Auth::LoginPassword(user));
                    return None;
                }
                Err(unreadable) => Err(unreadable),
            },
        };
        match pair {
            Ok((_, password)) if password.is_empty() && !self.overlooks(Dialect::NoPassword) => {
                self.failed(&replies::AUTH_UNREADABLE)
            }
            Ok((user, password)) => {
                Some(self.ask(Asked::Login(user.clone()), Ask::Login { user, password }))
            }
            Err(sasl::Unreadable) => self.failed(&replies::AUTH_UNREADABLE),
        }
    }
}
