//! Encryption: rustls serves; embedded-tls connects to those that speak TLS 1.3 its way, rustls to
//! the rest.
//!
//! embedded-tls keeps a connection in 21 KB and brings its own arithmetic; rustls, which is here
//! for the server side anyway, knows TLS 1.2 and the other curves and ciphers. Certificates are
//! judged in one place for both ([`judge`]).

mod embedded;
mod full;
mod judge;
mod server;

use super::{Clock, Dice, Pending, Stream, Tls, TlsError, Trust};
use crate::{limits, pairs::Pairs, time::Instant};
use judge::{Authorities, Judge};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{IpAddr as PkiIp, Ipv4Addr as PkiIpv4, ServerName},
};
use server::Server;
use std::{cell::RefCell, rc::Rc, sync::Arc};

/// Both engines with what they share.
pub struct Engines {
    clock: Rc<dyn Clock>,
    dice: Rc<dyn Dice>,
    provider: Arc<CryptoProvider>,
    server: Server,
    authorities: Authorities,
    names: Rc<RefCell<Names>>,
}

impl Engines {
    /// Without a certificate yet, and with the built-in authorities.
    pub fn new(clock: Rc<dyn Clock>, dice: Rc<dyn Dice>) -> Engines {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Engines {
            clock,
            dice,
            server: Server::new(provider.clone()),
            authorities: Authorities::new(provider.clone()),
            provider,
            names: Rc::default(),
        }
    }

    fn judge(&self, name: &str, trust: Trust) -> Result<Judge, TlsError> {
        let name = ServerName::try_from(plain(name));
        // What is no name is not sent (RFC 6066 §3 forbids addresses), and need not always match.
        let nobody = || ServerName::IpAddress(PkiIp::V4(PkiIpv4::from([0; 4])));
        match trust {
            Trust::Verify => {
                let name = name.map_err(|_| {
                    TlsError::Certificate("no certificate can bear this server's name".into())
                })?;
                Ok(Judge::strict(self.authorities.verifier()?, name, self.clock.wall()))
            }
            Trust::Match(matches) => {
                let name = name.unwrap_or_else(|_| nobody());
                Ok(Judge::matching(matches, name, self.clock.wall(), &self.provider))
            }
            Trust::Opportunistic => {
                Ok(Judge::lenient(name.unwrap_or_else(|_| nobody()), &self.provider))
            }
        }
    }

    /// Gives up on embedded-tls for `name`.
    fn distrust(&self, name: &str) -> Box<dyn FnOnce()> {
        let (names, clock, name) = (self.names.clone(), self.clock.clone(), plain(name));
        Box::new(move || names.borrow_mut().remember(name, clock.now()))
    }
}

impl Tls for Engines {
    fn accept(
        &self,
        stream: Box<dyn Stream>,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        match self.server.acceptor() {
            Ok(acceptor) => Box::pin(full::accept(acceptor, stream)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn connect(
        &self,
        stream: Box<dyn Stream>,
        name: &str,
        trust: Trust,
    ) -> Pending<'static, Result<Box<dyn Stream>, TlsError>> {
        let judge = match self.judge(name, trust) {
            Ok(judge) => judge,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        if self.names.borrow_mut().needs_rustls(&plain(name), self.clock.now()) {
            Box::pin(full::connect(self.provider.clone(), stream, judge))
        } else {
            let distrust = self.distrust(name);
            Box::pin(embedded::connect(stream, judge, self.dice.clone(), distrust))
        }
    }

    fn certificate(&self, pem: &[u8], key: &[u8]) -> Result<(), TlsError> {
        self.server.load(pem, key)
    }

    fn self_signed(&self, names: &[String]) -> Result<(String, String), TlsError> {
        server::self_signed(names)
    }

    fn authorities(&self, pem: &[u8]) -> Result<(), TlsError> {
        self.authorities.add(pem)
    }
}

/// Names are compared without regard to case and a final dot. RFC 4343, RFC 1034 §3.1.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Server names that embedded-tls could not talk with, and until when that is believed.
#[derive(Default)]
struct Names(Pairs<String, Instant>);

impl Names {
    fn needs_rustls(&mut self, name: &str, now: Instant) -> bool {
        match self.0.get(name) {
            Some(until) if *until > now => true,
            Some(_) => {
                self.0.remove(name);
                false
            }
            None => false,
        }
    }

    /// Where there is no room, the name that would be forgotten next makes it.
    fn remember(&mut self, name: String, now: Instant) {
        if self.0.len() >= limits::TLS_NAMES && !self.0.contains_key(&name) {
            let next = self.0.iter().min_by_key(|(_, until)| **until).map(|(name, _)| name.clone());
            next.and_then(|next| self.0.remove(&next));
        }
        self.0.insert(name, now + limits::TLS_NAMES_WAIT);
    }
}

#[cfg(test)]
mod tests;
