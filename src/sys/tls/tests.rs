//! Both engines against our own server and against others, over loopback.

use super::*;
use crate::{
    sys::{Sys, TlsFacts, linux, linux::tests::Scratch},
    time::Wall,
};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::zip};
use futures_rustls::TlsAcceptor;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use std::{io, time::Duration};

const NAME: &str = "mx.example.com";

/// Run a test in a world of its own.
fn run<F: Future<Output = ()>>(test: impl FnOnce(Sys) -> F) {
    let scratch = Scratch::new();
    let (sys, executor) = linux::world(scratch.path()).unwrap();
    executor.run(test(sys));
}

/// Two ends of a connection.
async fn pair(sys: &Sys) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let listener = sys.net.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let to = listener.address().unwrap();
    let (one, other) = zip(sys.net.connect(to), listener.accept()).await;
    (one.unwrap(), other.unwrap())
}

/// An authority, an intermediate and a server's certificate, from 2026 on, as PEM.
struct Chain {
    root: String,
    intermediate: String,
    server: String,
    key: String,
}

fn chain(first_year: i32) -> Chain {
    let params = |names: &[&str], ca: bool| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.not_before = rcgen::date_time_ymd(first_year, 6, 1);
        params.not_after = rcgen::date_time_ymd(first_year + 20, 6, 1);
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, format!("CA {names:?}"));
        }
        params
    };
    let key = || KeyPair::generate().unwrap();
    let (root_key, intermediate_key, server_key) = (key(), key(), key());
    let root = params(&["root"], true);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let root = Issuer::new(root, root_key);
    let intermediate = params(&["intermediate"], true);
    let intermediate_certificate = intermediate.signed_by(&intermediate_key, &root).unwrap();
    let intermediate = Issuer::new(intermediate, intermediate_key);
    let server = params(&[NAME, "127.0.0.1"], false).signed_by(&server_key, &intermediate).unwrap();
    Chain {
        root: root_certificate.pem(),
        intermediate: intermediate_certificate.pem(),
        server: server.pem(),
        key: server_key.serialize_pem(),
    }
}

/// What the client gets, with what the server gets beside it.
async fn handshake(
    server: &Engines,
    client: &Engines,
    sys: &Sys,
    name: &str,
    trust: Trust,
) -> (Result<Box<dyn Stream>, TlsError>, Result<Box<dyn Stream>, TlsError>) {
    let (near, far) = pair(sys).await;
    let serve = async {
        let mut stream = server.accept(far).await?;
        // TLS 1.3 servers learn only now whether the client has gone.
        let mut octet = [0; 1];
        match stream.read(&mut octet).await {
            Ok(1) => Ok(stream),
            ended => Err(TlsError::Failed(format!("{ended:?}"))),
        }
    };
    let connect = async {
        let mut stream = client.connect(near, name, trust).await?;
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        Ok(stream)
    };
    zip(connect, serve).await
}

fn engines(sys: &Sys) -> Engines {
    Engines::new(sys.clock.clone(), sys.dice.clone())
}

/// A client that has given up on embedded-tls for our name.
fn full_client(sys: &Sys) -> Engines {
    let client = engines(sys);
    client.distrust(NAME)();
    client
}

fn at(sys: &Sys, wall: Option<Wall>) -> Engines {
    struct Set(Rc<dyn Clock>, Option<Wall>);
    impl Clock for Set {
        fn now(&self) -> Instant {
            self.0.now()
        }
        fn wall(&self) -> Option<Wall> {
            self.1
        }
        fn sleep_until(&self, at: Instant) -> Pending<'static, ()> {
            self.0.sleep_until(at)
        }
    }
    Engines::new(Rc::new(Set(sys.clock.clone(), wall)), sys.dice.clone())
}

/// 2030-01-01.
const THEN: Option<Wall> = Some(Wall(1_893_456_000));

fn facts(engine: &'static str, verified: bool) -> TlsFacts {
    TlsFacts {
        version: "TLSv1.3".into(),
        cipher: "TLS_AES_128_GCM_SHA256".into(),
        engine,
        verified,
    }
}

#[test]
fn without_any_setting_up_both_ends_agree() {
    run(|sys| async move {
        let (server, client) = (engines(&sys), engines(&sys));
        let (near, far) = handshake(&server, &client, &sys, NAME, Trust::Opportunistic).await;
        let (near, far) = (near.unwrap(), far.unwrap());
        assert_eq!(near.tls(), Some(facts("embedded-tls", false)));
        assert_eq!(far.tls(), Some(facts("rustls", false)));
        assert_eq!((near.peer(), near.local()), (far.local(), far.peer()));

        let client = full_client(&sys);
        let (near, far) = handshake(&server, &client, &sys, NAME, Trust::Opportunistic).await;
        let (near, far) = (near.unwrap().tls().unwrap(), far.unwrap().tls().unwrap());
        assert_eq!((near.engine, &near.version[..], near.verified), ("rustls", "TLSv1.3", false));
        assert_eq!(near.cipher, far.cipher);
        assert!(near.cipher.starts_with("TLS_AES_"), "{}", near.cipher);
    });
}

#[test]
fn names_that_no_certificate_can_bear_are_fine_where_anything_goes() {
    run(|sys| async move {
        let (server, client) = (engines(&sys), engines(&sys));
        for name in ["127.0.0.1", "::1", "a_b.example.", "", "not a name", "ü.example"] {
            for distrusted in [false, true] {
                if distrusted {
                    client.distrust(name)();
                }
                let (near, far) =
                    handshake(&server, &client, &sys, name, Trust::Opportunistic).await;
                assert!(near.is_ok() && far.is_ok(), "{name:?}: {:?}", near.err());
            }
            let (near, _) = pair(&sys).await;
            if name == "not a name" {
                let refused = client.connect(near, name, Trust::Verify).await.err();
                assert!(matches!(refused, Some(TlsError::Certificate(_))), "{refused:?}");
            }
        }
    });
}

#[test]
fn who_is_to_be_verified_needs_a_chain_a_name_and_a_date() {
    run(|sys| async move {
        let good = chain(2026);
        let whole = format!("{}{}", good.server, good.intermediate);
        let stranger = chain(2026);
        let (own, own_key) = engines(&sys).self_signed(&[NAME.into()]).unwrap();
        let cases = [
            ("all is right", &whole, &good.key, NAME, THEN, None),
            ("by address", &whole, &good.key, "127.0.0.1", THEN, None),
            ("with the final dot", &whole, &good.key, "MX.example.com.", THEN, None),
            ("no clock", &whole, &good.key, NAME, None, None),
            (
                "other name",
                &whole,
                &good.key,
                "other.example.com",
                THEN,
                Some("not valid for name"),
            ),
            ("other address", &whole, &good.key, "127.0.0.2", THEN, Some("not valid for name")),
            (
                "too early",
                &whole,
                &good.key,
                NAME,
                Some(Wall(1_770_000_000)),
                Some("not valid yet"),
            ),
            ("too late", &whole, &good.key, NAME, Some(Wall(2_500_000_000)), Some("expired")),
            ("no intermediate", &good.server, &good.key, NAME, THEN, Some("UnknownIssuer")),
            ("stranger", &stranger.server, &stranger.key, NAME, THEN, Some("UnknownIssuer")),
            ("self-signed", &own, &own_key, NAME, THEN, Some("UnknownIssuer")),
        ];
        let server = engines(&sys);
        for (case, pem, key, name, date, refused) in cases {
            server.certificate(pem.as_bytes(), key.as_bytes()).unwrap();
            for engine in ["embedded-tls", "rustls"] {
                let client = at(&sys, date);
                client.authorities(good.root.as_bytes()).unwrap();
                if engine == "rustls" {
                    client.distrust(name)();
                }
                let (near, far) = handshake(&server, &client, &sys, name, Trust::Verify).await;
                match (near, refused) {
                    (Ok(near), None) => {
                        let facts = near.tls().unwrap();
                        assert_eq!((facts.engine, facts.verified), (engine, true), "{case}");
                        assert!(far.is_ok());
                    }
                    (Err(TlsError::Certificate(why)), Some(part)) => {
                        assert!(why.contains(part), "{case} by {engine}: {why}");
                        assert!(far.is_err(), "{case}");
                    }
                    (near, _) => panic!("{case} by {engine}: {:?}", near.map(|near| near.tls())),
                }
                assert_eq!(client.names.borrow().0.is_empty(), engine == "embedded-tls");
            }
        }
    });
}

#[test]
fn without_a_clock_an_old_chain_is_refused_all_the_same() {
    run(|sys| async move {
        let old = chain(2000);
        let server = engines(&sys);
        let whole = format!("{}{}", old.server, old.intermediate);
        server.certificate(whole.as_bytes(), old.key.as_bytes()).unwrap();
        let client = at(&sys, None);
        client.authorities(old.root.as_bytes()).unwrap();
        let (near, _) = handshake(&server, &client, &sys, NAME, Trust::Verify).await;
        assert!(matches!(near.err(), Some(TlsError::Certificate(why)) if why.contains("expired")));
    });
}

#[test]
fn configured_authorities_are_replaced_and_nonsense_changes_nothing() {
    run(|sys| async move {
        let good = chain(2026);
        let (server, client) = (engines(&sys), at(&sys, THEN));
        let whole = format!("{}{}", good.server, good.intermediate);
        server.certificate(whole.as_bytes(), good.key.as_bytes()).unwrap();
        let truncated = good.root.replace("MII", "MI");
        for (authorities, is_usable, is_trusted) in [
            (&good.root[..], true, true),
            ("no PEM", false, true),
            (&truncated, false, true),
            ("\n", true, false),
        ] {
            assert_eq!(client.authorities(authorities.as_bytes()).is_ok(), is_usable);
            let (near, _) = handshake(&server, &client, &sys, NAME, Trust::Verify).await;
            assert_eq!(near.is_ok(), is_trusted, "{authorities}");
        }
    });
}

#[test]
fn a_certificate_is_replaced_at_once_and_a_bad_one_changes_nothing() {
    run(|sys| async move {
        let good = chain(2026);
        let (server, client) = (engines(&sys), at(&sys, THEN));
        client.authorities(good.root.as_bytes()).unwrap();
        let (near, _) = handshake(&server, &client, &sys, NAME, Trust::Verify).await;
        assert!(near.is_err());
        let whole = format!("{}{}", good.server, good.intermediate);
        server.certificate(whole.as_bytes(), good.key.as_bytes()).unwrap();
        let other_key = KeyPair::generate().unwrap().serialize_pem();
        for (pem, key) in [
            ("", good.key.as_str()),
            ("nonsense", &good.key),
            (&whole, ""),
            (&whole, "nonsense"),
            (&whole, &other_key),
        ] {
            let refused = server.certificate(pem.as_bytes(), key.as_bytes());
            assert!(matches!(refused, Err(TlsError::Certificate(_))), "{refused:?}");
        }
        let (near, far) = handshake(&server, &client, &sys, NAME, Trust::Verify).await;
        assert!(near.is_ok() && far.is_ok());
    });
}

#[test]
fn a_self_signed_certificate_bears_names_and_addresses_for_long() {
    run(|sys| async move {
        let names = ["relay.home.arpa", "192.168.1.2", "fd00::2"].map(String::from);
        let (pem, key) = engines(&sys).self_signed(&names).unwrap();
        let server = engines(&sys);
        server.certificate(pem.as_bytes(), key.as_bytes()).unwrap();
        for date in [Some(Wall(1_800_000_000)), Some(Wall(2_500_000_000)), None] {
            let client = at(&sys, date);
            client.authorities(pem.as_bytes()).unwrap();
            for name in &names {
                let (near, _) = handshake(&server, &client, &sys, name, Trust::Verify).await;
                assert!(near.is_ok(), "{name} {date:?}: {:?}", near.err());
            }
        }
        assert!(engines(&sys).self_signed(&["ü".into()]).is_err());
    });
}

/// A server of our choosing at the other end: what `serve` does with its stream.
fn rustls_server(versions: &[&'static rustls::SupportedProtocolVersion]) -> TlsAcceptor {
    let (pem, key) = server::self_signed(&[NAME.into()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[test]
fn a_server_that_speaks_only_tls_1_2_gets_rustls_the_second_time() {
    run(|sys| async move {
        let (acceptor, client) = (rustls_server(&[&TLS12]), engines(&sys));
        let (near, far) = pair(&sys).await;
        let (near, far) =
            zip(client.connect(near, NAME, Trust::Opportunistic), acceptor.accept(far)).await;
        assert!(far.is_err());
        assert!(matches!(near.err(), Some(TlsError::OtherEngine(why)) if why.contains("embedded")));
        let (near, far) = pair(&sys).await;
        // The name is remembered whatever its case.
        let connect = client.connect(near, "MX.Example.Com.", Trust::Opportunistic);
        let (near, far) = zip(connect, acceptor.accept(far)).await;
        far.unwrap();
        let facts = near.unwrap().tls().unwrap();
        assert_eq!((facts.engine, &facts.version[..]), ("rustls", "TLSv1.2"));
        assert!(facts.cipher.starts_with("TLS_ECDHE_ECDSA_WITH_"), "{}", facts.cipher);
    });
}

#[test]
fn garbage_instead_of_a_server_hello_ends_cleanly() {
    run(|sys| async move {
        for garbage in [
            &b"220 mx.example.com ESMTP ready\r\n"[..],
            &[0x16, 3, 3, 0xff, 0xff, 2, 0, 0, 1],
            &[0x16, 3, 3, 0, 4, 2, 0, 0, 0],
            &[0x17, 3, 3, 0, 0],
            &[0x15, 3, 3, 0, 2, 2, 255],
            &[0; 64],
            &[],
        ] {
            for distrusted in [false, true] {
                let client = engines(&sys);
                if distrusted {
                    client.distrust(NAME)();
                }
                let (near, mut far) = pair(&sys).await;
                let serve = async {
                    far.write_all(garbage).await.unwrap();
                    far.close().await.unwrap();
                    // Whatever the client sends meanwhile.
                    drop(far.read_to_end(&mut Vec::new()).await);
                };
                let (near, ()) = zip(client.connect(near, NAME, Trust::Verify), serve).await;
                match near.err() {
                    Some(TlsError::OtherEngine(_)) => assert!(!distrusted),
                    Some(TlsError::Failed(_)) => assert!(distrusted),
                    other => panic!("{garbage:?}: {other:?}"),
                }
                assert!(client.names.borrow().0.contains_key(NAME));
            }
        }
    });
}

#[test]
fn garbage_instead_of_a_client_hello_ends_cleanly() {
    run(|sys| async move {
        let server = engines(&sys);
        for garbage in [&b"EHLO client\r\n"[..], &[0x16, 3, 1, 0, 1, 1], &[]] {
            let (near, mut far) = pair(&sys).await;
            let send = async {
                far.write_all(garbage).await.unwrap();
                far.close().await.unwrap();
            };
            let (near, ()) = zip(server.accept(near), send).await;
            assert!(matches!(near.err(), Some(TlsError::Failed(_))), "{garbage:?}");
        }
    });
}

#[test]
fn a_handshake_that_is_given_up_gets_rustls_the_next_time() {
    run(|sys| async move {
        let client = engines(&sys);
        let (near, far) = pair(&sys).await;
        let connect = client.connect(near, NAME, Trust::Opportunistic);
        assert!(sys.within(Duration::from_millis(20), connect).await.is_none());
        drop(far);
        assert!(client.names.borrow().0.contains_key(NAME));
    });
}

#[test]
fn names_are_forgotten_after_a_day_and_when_there_are_too_many() {
    let mut names = Names::default();
    let start = Instant(5);
    for i in 0..=limits::TLS_NAMES {
        names.remember(format!("n{i}"), start + Duration::from_secs(i as u64));
    }
    assert_eq!(names.0.len(), limits::TLS_NAMES);
    assert!(!names.needs_rustls("n0", start));
    assert!(names.needs_rustls("n1", start));
    let end = start + limits::TLS_NAMES_WAIT + Duration::from_secs(1);
    assert!(names.needs_rustls("n1", end - Duration::from_millis(1)));
    assert!(!names.needs_rustls("n1", end));
    assert_eq!(names.0.len(), limits::TLS_NAMES - 1);
    assert!(names.needs_rustls("n2", end));
}

/// Octets whose order shows when a piece is lost, repeated or moved: the period is a prime.
struct Pattern(Vec<u8>);

const PERIOD: usize = 65_537;

impl Pattern {
    fn new() -> Pattern {
        let octet = |i: usize| i.wrapping_mul(2_654_435_761).to_le_bytes()[1];
        Pattern((0..PERIOD + 65_536).map(|i| octet(i % PERIOD)).collect())
    }

    fn at(&self, from: usize, length: usize) -> &[u8] {
        &self.0[from % PERIOD..][..length]
    }
}

/// Sends `total` octets in pieces of odd lengths.
async fn send(stream: &mut Box<dyn Stream>, total: usize) {
    let pattern = Pattern::new();
    let (mut sent, mut length) = (0, 1);
    while sent < total {
        length = length * 7 % 40_009 + 1;
        let piece = length.min(total - sent);
        stream.write_all(pattern.at(sent, piece)).await.unwrap();
        sent += piece;
    }
    stream.flush().await.unwrap();
}

async fn receive(stream: &mut Box<dyn Stream>, total: usize) {
    let pattern = Pattern::new();
    let mut buffer = vec![0; limits::READ_BYTES];
    let mut received = 0;
    while received < total {
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0);
        assert!(&buffer[..length] == pattern.at(received, length), "at {received}");
        received += length;
    }
    assert_eq!(received, total);
}

#[test]
fn large_messages_pass_both_ways_through_each_engine() {
    const MIB: usize = 1024 * 1024;
    run(|sys| async move {
        let server = engines(&sys);
        for (client, total) in [(engines(&sys), 25 * MIB), (full_client(&sys), 5 * MIB)] {
            let (near, far) = handshake(&server, &client, &sys, NAME, Trust::Opportunistic).await;
            let (mut near, mut far) = (near.unwrap(), far.unwrap());
            zip(send(&mut near, total), receive(&mut far, total)).await;
            zip(receive(&mut near, total), send(&mut far, total)).await;
            // Half-duplex again, in small turns.
            for _ in 0..20 {
                zip(send(&mut near, 10), receive(&mut far, 10)).await;
                zip(send(&mut far, 500), receive(&mut near, 500)).await;
            }
        }
    });
}

#[test]
fn a_read_that_waits_is_not_lost_when_a_write_comes() {
    run(|sys| async move {
        let server = engines(&sys);
        for client in [engines(&sys), full_client(&sys)] {
            let (near, far) = handshake(&server, &client, &sys, NAME, Trust::Opportunistic).await;
            let (mut near, mut far) = (near.unwrap(), far.unwrap());
            let mut octets = [0; 64];
            for _ in 0..3 {
                let early = futures_lite::future::poll_once(near.read(&mut octets)).await;
                assert!(early.is_none());
                // Half of a record, so that the read is in the middle of it; then a write.
                zip(send(&mut far, 4), send(&mut near, 5000)).await;
                receive(&mut far, 5000).await;
                receive(&mut near, 4).await;
            }
        }
    });
}

#[test]
fn a_proper_close_is_an_end_and_any_other_an_error() {
    run(|sys| async move {
        let server = engines(&sys);
        for client in [engines(&sys), full_client(&sys)] {
            let mut octets = [0; 8];
            let (near, far) = handshake(&server, &client, &sys, NAME, Trust::Opportunistic).await;
            let (mut near, mut far) = (near.unwrap(), far.unwrap());
            far.close().await.unwrap();
            assert_eq!(near.read(&mut octets).await.unwrap(), 0);
            assert_eq!(near.read(&mut octets).await.unwrap(), 0);

            let (near, far) = handshake(&server, &client, &sys, NAME, Trust::Opportunistic).await;
            let (mut near, mut far) = (near.unwrap(), far.unwrap());
            near.write_all(b"bye").await.unwrap();
            near.close().await.unwrap();
            near.close().await.unwrap();
            assert_eq!(far.read(&mut octets).await.unwrap(), 3);
            assert_eq!(far.read(&mut octets).await.unwrap(), 0);

            let (near, far) = handshake(&server, &client, &sys, NAME, Trust::Opportunistic).await;
            let mut near = near.unwrap();
            drop(far.unwrap());
            let error = near.read(&mut octets).await.unwrap_err();
            let kind = error.kind();
            assert!(
                matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
                "{error}"
            );
        }
    });
}

#[test]
fn what_embedded_tls_does_not_know_breaks_one_connection_and_gets_rustls_the_next_time() {
    run(|sys| async move {
        let (acceptor, client) = (rustls_server(&[&TLS13]), engines(&sys));
        let (near, far) = pair(&sys).await;
        let (near, far) =
            zip(client.connect(near, NAME, Trust::Opportunistic), acceptor.accept(far)).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        assert_eq!(near.tls().unwrap().engine, "embedded-tls");
        assert!(client.names.borrow().0.is_empty());
        far.get_mut().1.refresh_traffic_keys().unwrap();
        far.write_all(b"after").await.unwrap();
        far.flush().await.unwrap();
        let mut octets = [0; 8];
        for _ in 0..2 {
            let error = near.read(&mut octets).await.unwrap_err();
            assert_eq!(error.to_string(), "embedded-tls: Unimplemented");
        }
        assert!(near.write(b"x").await.is_err());
        assert!(near.close().await.is_ok());
        assert!(client.names.borrow().0.contains_key(NAME));
    });
}

#[test]
fn a_fault_is_told_with_the_alert_that_is_in_it() {
    use ::embedded_tls::{
        TlsError as Fault,
        alert::{AlertDescription, AlertLevel},
    };
    let fault = Fault::HandshakeAborted(AlertLevel::Fatal, AlertDescription::HandshakeFailure);
    assert_eq!(embedded::words(fault), "HandshakeAborted: HandshakeFailure");
    let fault = Fault::AbortHandshake(AlertLevel::Fatal, AlertDescription::DecodeError);
    assert_eq!(embedded::words(fault), "AbortHandshake: DecodeError");
    assert_eq!(embedded::words(Fault::InvalidRecord), "InvalidRecord");
}

#[path = "match_tests.rs"]
mod matching;
