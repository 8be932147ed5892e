//! Whether a server's certificate is good enough: the same for both engines.

use super::TlsError;
use crate::{
    limits,
    sys::{Digest, Match},
    time::Wall,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime, pem::PemObject},
};
use std::{cell::RefCell, sync::Arc, time::Duration};

/// Whom to trust: the authorities built in, and the configured ones.
pub(super) struct Authorities {
    provider: Arc<CryptoProvider>,
    added: RefCell<Vec<TrustAnchor<'static>>>,
    /// Made when it is first needed: many a relay never verifies anybody.
    verifier: RefCell<Option<Arc<WebPkiServerVerifier>>>,
}

impl Authorities {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Authorities {
        Authorities { provider, added: RefCell::default(), verifier: RefCell::default() }
    }

    /// Replace the configured authorities. On an error those before stay.
    pub(super) fn add(&self, pem: &[u8]) -> Result<(), TlsError> {
        let refused = |why: &dyn std::fmt::Display| {
            TlsError::Certificate(format!("the file of authorities is not usable: {why}"))
        };
        let mut added = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| refused(&error))?;
            let anchor =
                webpki::anchor_from_trusted_cert(&certificate).map_err(|error| refused(&error))?;
            added.push(anchor.to_owned());
        }
        if added.is_empty() && !pem.trim_ascii().is_empty() {
            return Err(refused(&"there is no certificate in it"));
        }
        *self.added.borrow_mut() = added;
        *self.verifier.borrow_mut() = None;
        Ok(())
    }

    pub(super) fn verifier(&self) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
        if let Some(verifier) = &*self.verifier.borrow() {
            return Ok(verifier.clone());
        }
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        roots.extend(self.added.borrow().iter().cloned());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.into(), self.provider.clone())
                .build()
                .map_err(|error| TlsError::Failed(error.to_string()))?;
        *self.verifier.borrow_mut() = Some(verifier.clone());
        Ok(verifier)
    }
}

/// Judges one server's certificate, at one time.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    rule: Rule,
    name: ServerName<'static>,
    date: Option<UnixTime>,
    schemes: Vec<SignatureScheme>,
}

/// What must be right.
#[derive(Clone, Debug)]
enum Rule {
    /// Nothing.
    Anything,
    /// Chain, name and dates.
    Chain(Arc<WebPkiServerVerifier>),
    /// It must be one of these, or be issued by one.
    Match(Arc<[Match]>),
}

impl Judge {
    pub(super) fn matching(
        matches: Arc<[Match]>,
        name: ServerName<'static>,
        date: Option<Wall>,
        provider: &CryptoProvider,
    ) -> Judge {
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        Judge { rule: Rule::Match(matches), name, date: moment(date), schemes }
    }

    pub(super) fn strict(
        verifier: Arc<WebPkiServerVerifier>,
        name: ServerName<'static>,
        date: Option<Wall>,
    ) -> Judge {
        let schemes = verifier.supported_verify_schemes();
        Judge { rule: Rule::Chain(verifier), name, date: moment(date), schemes }
    }

    pub(super) fn lenient(name: ServerName<'static>, provider: &CryptoProvider) -> Judge {
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        Judge { rule: Rule::Anything, name, date: None, schemes }
    }

    /// Not everything passes.
    pub(super) fn is_strict(&self) -> bool {
        !matches!(self.rule, Rule::Anything)
    }

    pub(super) fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// Whether the chain is good for this server.
    ///
    /// While the board's clock is unset, dates are read kindly: there must be a moment since
    /// Waypost was written at which all of the chain was valid. Mail must not wait for a clock
    /// (DESIGN §1.7), and a stolen key of an expired certificate is the least of a clockless
    /// device's dangers.
    pub(super) fn check(&self, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !self.is_strict() {
            return Ok(());
        }
        let Some((end_entity, others)) = chain.split_first() else {
            return Err(Error::NoCertificatesPresented);
        };
        match &self.rule {
            Rule::Anything => Ok(()),
            Rule::Chain(verifier) => self.check_chain(verifier, end_entity, others),
            Rule::Match(matches) => self.check_match(matches, end_entity, others),
        }
    }

    /// The certificate is described, or one above it; then that one is the authority.
    fn check_match(
        &self,
        matches: &[Match],
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let own = |it: &&Match| !it.authority && is(it, end_entity);
        if matches.iter().any(|it| own(&it)) {
            return Ok(());
        }
        let mut roots = RootCertStore::empty();
        for it in matches.iter().filter(|it| it.authority) {
            // The whole certificate may be in DNS, and need not be sent then.
            let given = (it.digest == Digest::Whole && !it.key)
                .then(|| CertificateDer::from(it.data.clone()));
            for certificate in others.iter().filter(|c| is(it, c)).chain(&given) {
                // What cannot be read as an authority is none.
                drop(roots.add(certificate.clone().into_owned()));
            }
        }
        if roots.is_empty() {
            let key = key(end_entity).map_or("unreadable".into(), |key| {
                format!("sha256/{}", STANDARD.encode(digest::digest(&digest::SHA256, &key)))
            });
            let words = format!("it is not the one that was described: its key is {key}");
            return Err(Error::General(words));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        self.check_chain(&verifier, end_entity, others)
    }

    fn check_chain(
        &self,
        verifier: &WebPkiServerVerifier,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let epoch = UnixTime::since_unix_epoch(Duration::from_secs(limits::CLOCK_EPOCH_SECONDS));
        let mut at = self.date.unwrap_or(epoch);
        for _ in 0..limits::TLS_CHAIN {
            match verifier.verify_server_cert(end_entity, others, &self.name, &[], at) {
                Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) if self.date.is_none() && not_before > at => at = not_before,
                verdict => return verdict.map(drop),
            }
        }
        Err(CertificateError::NotValidYet.into())
    }

    /// Whether the handshake was signed with the certificate's key. Where anything goes, so does
    /// that: who can stand in the middle can bring a certificate of their own, and a signature that
    /// cannot be read must not keep mail from being encrypted.
    pub(super) fn check_signature(
        &self,
        certificate: &CertificateDer<'_>,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        if !self.is_strict() {
            return Ok(());
        }
        // RFC 8446 §4.2.3: no PKCS #1 v1.5 and no SHA-1 here, and each curve has its hash.
        let in_tls13 = matches!(
            scheme,
            SignatureScheme::ECDSA_NISTP256_SHA256
                | SignatureScheme::ECDSA_NISTP384_SHA384
                | SignatureScheme::ED25519
                | SignatureScheme::RSA_PSS_SHA256
                | SignatureScheme::RSA_PSS_SHA384
                | SignatureScheme::RSA_PSS_SHA512
        );
        let provider = rustls::crypto::ring::default_provider();
        let known = provider.signature_verification_algorithms.mapping;
        let algorithm = known
            .iter()
            .find(|(known, _)| in_tls13 && *known == scheme)
            .and_then(|(_, algorithms)| algorithms.first())
            .ok_or(Error::InvalidCertificate(CertificateError::BadSignature))?;
        let unusable = |_| Error::InvalidCertificate(CertificateError::BadSignature);
        webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?
            .verify_signature(*algorithm, message, signature)
            .map_err(unusable)
    }
}

fn moment(date: Option<Wall>) -> Option<UnixTime> {
    date.map(|wall| UnixTime::since_unix_epoch(Duration::from_secs(wall.0)))
}

/// The public key of a certificate, as it stands there; `None` where it cannot be read.
fn key(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    Some(parsed.subject_public_key_info().as_ref().to_vec())
}

/// Is it the one that is described?
fn is(it: &Match, certificate: &CertificateDer<'_>) -> bool {
    let Some(octets) =
        (if it.key { key(certificate) } else { Some(certificate.as_ref().to_vec()) })
    else {
        return false;
    };
    match it.digest {
        Digest::Whole => octets == it.data,
        Digest::Sha256 => digest::digest(&digest::SHA256, &octets).as_ref() == it.data,
        Digest::Sha512 => digest::digest(&digest::SHA512, &octets).as_ref() == it.data,
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut chain = vec![end_entity.clone()];
        chain.extend_from_slice(intermediates);
        self.check(&chain).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.rule {
            Rule::Chain(verifier) => verifier.verify_tls12_signature(message, certificate, signed),
            Rule::Match(_) => {
                let known = rustls::crypto::ring::default_provider();
                let known = &known.signature_verification_algorithms;
                rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
            }
            Rule::Anything => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.rule {
            Rule::Chain(verifier) => verifier.verify_tls13_signature(message, certificate, signed),
            Rule::Match(_) => {
                let known = rustls::crypto::ring::default_provider();
                let known = &known.signature_verification_algorithms;
                rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
            }
            Rule::Anything => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
