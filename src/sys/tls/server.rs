//! Our own certificate.

use super::TlsError;
use futures_rustls::TlsAcceptor;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring::Ticketer},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, ProducesTickets},
};
use std::{cell::RefCell, sync::Arc};

/// Serves with the certificate that was loaded last.
pub(super) struct Server {
    provider: Arc<CryptoProvider>,
    acceptor: RefCell<Option<TlsAcceptor>>,
    /// Outlives the certificates, so that a reload does not cost clients their tickets.
    ticketer: RefCell<Option<Arc<dyn ProducesTickets>>>,
}

impl Server {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Server {
        Server { provider, acceptor: RefCell::default(), ticketer: RefCell::default() }
    }

    /// Where no certificate was loaded, one is made that lives as long as the process.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        if let Some(acceptor) = &*self.acceptor.borrow() {
            return Ok(acceptor.clone());
        }
        let (pem, key) = self_signed(&["localhost".into()])?;
        self.load(pem.as_bytes(), key.as_bytes())?;
        self.acceptor()
    }

    /// On an error the certificate before stays.
    pub(super) fn load(&self, pem: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let refused = |why: String| TlsError::Certificate(why);
        let chain = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refused(format!("the certificate file is no PEM text: {error}")))?;
        if chain.is_empty() {
            return Err(refused("there is no certificate in the certificate file".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            refused(format!("there is no private key in the key file: {error}"))
        })?;
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Failed(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| refused(error.to_string()))?;
        // What a client needs to resume is in its ticket, not in our memory (RFC 8446 §4.6.1, RFC
        // 5077).
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = self.ticketer()?;
        config.send_tls13_tickets = 1;
        *self.acceptor.borrow_mut() = Some(TlsAcceptor::from(Arc::new(config)));
        Ok(())
    }

    fn ticketer(&self) -> Result<Arc<dyn ProducesTickets>, TlsError> {
        if let Some(ticketer) = &*self.ticketer.borrow() {
            return Ok(ticketer.clone());
        }
        let made = Ticketer::new().map_err(|error| TlsError::Failed(error.to_string()))?;
        *self.ticketer.borrow_mut() = Some(made.clone());
        Ok(made)
    }
}

/// A self-signed certificate (ECDSA, P-256) for host names and addresses, and its key, both PEM.
///
/// It is valid from 1975 to the end of 2049. Boards start in 1970 plus whatever their clock makes
/// of it and nobody renews what nobody has configured, so the dates must not end a device's mail;
/// and up to 2049 they are written as `UTCTime` (RFC 5280 §4.1.2.5), which the oldest clients can
/// read.
pub(super) fn self_signed(names: &[String]) -> Result<(String, String), TlsError> {
    let failed = |error: rcgen::Error| TlsError::Failed(error.to_string());
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.not_before = rcgen::date_time_ymd(1975, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = names.first() {
        params.distinguished_name.push(DnType::CommonName, name.as_str());
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
