//! Certificates that are described: by pins, and by DNS as RFC 7672 has it.

use super::*;
use crate::sys::{Digest, Match};
use ring::digest;
use rustls::{server::ClientHello, sign::CertifiedKey};

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn described(pem: &str, authority: bool, key: bool, digest: Digest) -> Match {
    let certificate = der(pem);
    let octets = if key {
        let parsed = webpki::EndEntityCert::try_from(&certificate).unwrap();
        parsed.subject_public_key_info().as_ref().to_vec()
    } else {
        certificate.as_ref().to_vec()
    };
    let data = match digest {
        Digest::Whole => octets,
        Digest::Sha256 => digest::digest(&digest::SHA256, &octets).as_ref().to_vec(),
        Digest::Sha512 => digest::digest(&digest::SHA512, &octets).as_ref().to_vec(),
    };
    Match { authority, key, digest, data }
}

fn matching(list: &[Match]) -> Trust {
    Trust::Match(list.into())
}

async fn result(
    server: &Engines,
    sys: &Sys,
    full: bool,
    name: &str,
    list: &[Match],
) -> Result<bool, TlsError> {
    let client = at(sys, THEN);
    if full {
        client.distrust(name)();
    }
    let (client, _) = handshake(server, &client, sys, name, matching(list)).await;
    client.map(|stream| stream.tls().is_some_and(|facts| facts.verified))
}

#[test]
fn the_certificate_itself_may_be_described_in_every_way_and_nothing_else_counts_then() {
    run(|sys| async move {
        let chain = chain(2001);
        let server = engines(&sys);
        let pem = format!("{}{}", chain.server, chain.intermediate);
        server.certificate(pem.as_bytes(), chain.key.as_bytes()).unwrap();
        let other = super::chain(2026).server;
        for full in [false, true] {
            for key in [false, true] {
                for digest in [Digest::Whole, Digest::Sha256, Digest::Sha512] {
                    let right = described(&chain.server, false, key, digest);
                    let wrong = described(&other, false, key, digest);
                    // It expired in 2021, and the name is another one: RFC 7672 §3.1.1.
                    let list = [wrong.clone(), right];
                    let verdict = result(&server, &sys, full, "other.example", &list).await;
                    assert_eq!(verdict, Ok(true), "{key} {digest:?} {full}");
                    let verdict = result(&server, &sys, full, NAME, &[wrong]).await;
                    let Err(TlsError::Certificate(why)) = verdict else { panic!("{verdict:?}") };
                    assert!(why.contains("its key is sha256/"), "a person can compare it: {why}");
                }
            }
            assert!(result(&server, &sys, full, NAME, &[]).await.is_err(), "nobody is described");
        }
    });
}

#[test]
fn an_authority_may_be_described_and_then_name_and_dates_count() {
    run(|sys| async move {
        let good = chain(2026);
        let server = engines(&sys);
        let pem = format!("{}{}{}", good.server, good.intermediate, good.root);
        server.certificate(pem.as_bytes(), good.key.as_bytes()).unwrap();
        let bare = engines(&sys);
        let pem = format!("{}{}", good.server, good.intermediate);
        bare.certificate(pem.as_bytes(), good.key.as_bytes()).unwrap();
        let old = chain(2001);
        let expired = engines(&sys);
        let pem = format!("{}{}", old.server, old.intermediate);
        expired.certificate(pem.as_bytes(), old.key.as_bytes()).unwrap();
        for full in [false, true] {
            for authority in [&good.root, &good.intermediate] {
                for (key, digest) in [(false, Digest::Sha256), (true, Digest::Sha512)] {
                    let list = [described(authority, true, key, digest)];
                    assert_eq!(result(&server, &sys, full, NAME, &list).await, Ok(true));
                    let other = result(&server, &sys, full, "other.example", &list).await;
                    assert!(matches!(other, Err(TlsError::Certificate(_))), "{other:?}");
                }
            }
            let root = [described(&good.root, true, false, Digest::Whole)];
            let verdict = result(&bare, &sys, full, NAME, &root).await;
            assert_eq!(verdict, Ok(true), "all of it was described: it need not be sent");
            let digest = [described(&good.root, true, false, Digest::Sha256)];
            assert!(result(&bare, &sys, full, NAME, &digest).await.is_err(), "nobody sent it");
            let own = [described(&good.server, true, false, Digest::Sha256)];
            assert!(result(&server, &sys, full, NAME, &own).await.is_err(), "that is no authority");
            let old = [described(&old.intermediate, true, false, Digest::Sha256)];
            assert!(result(&expired, &sys, full, NAME, &old).await.is_err(), "it has expired");
            let junk = Match { authority: true, key: false, digest: Digest::Whole, data: vec![1] };
            assert!(result(&server, &sys, full, NAME, &[junk]).await.is_err());
        }
    });
}

/// Shows a certificate without having its key.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl rustls::server::ResolvesServerCert for Impostor {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[test]
fn who_shows_a_described_certificate_without_its_key_is_found_out() {
    run(|sys| async move {
        let (shown, other) = (chain(2026), chain(2026));
        let key = PrivateKeyDer::from_pem_slice(other.key.as_bytes()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let impostor = Impostor(Arc::new(CertifiedKey::new(vec![der(&shown.server)], key)));
        let impostor = Arc::new(impostor);
        for versions in [&[&TLS13][..], &[&TLS12][..]] {
            let config = ServerConfig::builder_with_protocol_versions(versions)
                .with_no_client_auth()
                .with_cert_resolver(impostor.clone());
            let acceptor = TlsAcceptor::from(Arc::new(config));
            for full in [false, true] {
                if versions == [&TLS12] && !full {
                    continue; // embedded-tls does not speak it.
                }
                let client = at(&sys, THEN);
                if full {
                    client.distrust(NAME)();
                }
                let (near, far) = pair(&sys).await;
                let list = [described(&shown.server, false, true, Digest::Sha256)];
                let connect = client.connect(near, NAME, matching(&list));
                let (verdict, _) = zip(connect, acceptor.accept(far)).await;
                let verdict = verdict.map(drop);
                assert!(matches!(verdict, Err(TlsError::Certificate(_))), "{verdict:?} {full}");
            }
        }
    });
}
