use super::*;
use crate::sys::tls::judge::Authorities;
use std::sync::Arc;

fn strict() -> Checker {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Authorities::new(provider).verifier().unwrap();
    let name = ServerName::try_from("mx.example.com").unwrap();
    Checker::new(Judge::strict(verifier, name, None))
}

#[test]
fn a_server_that_proves_nothing_is_refused_at_the_end() {
    let mut checker = strict();
    assert!(checker.finish().is_err());
    assert_eq!(checker.refused.as_deref(), Some("the server has not proven who it is"));
}

#[test]
fn a_signature_without_a_certificate_and_an_empty_chain_are_refused() {
    let mut checker = strict();
    assert!(checker.take_signature(0x0403, &[0; 70]).is_err());
    assert!(checker.take_certificate(&[0; 32], &CertificateRef::with_context(&[])).is_err());
    assert!(checker.finish().is_err());
}

#[test]
fn a_signature_must_be_the_keys_own_over_this_handshake() {
    use rcgen::{KeyPair, SigningKey};
    let key = KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["mx.example.com".into()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let signature = key.sign(b"this handshake").unwrap();
    let proven = |message: &[u8], scheme: u16, signature: &[u8]| {
        let mut checker = strict();
        checker.proven_by = Some((certificate.clone(), message.to_vec()));
        checker.take_signature(scheme, signature).and_then(|()| checker.finish()).is_ok()
    };
    assert!(proven(b"this handshake", 0x0403, &signature));
    assert!(!proven(b"that handshake", 0x0403, &signature));
    assert!(!proven(b"this handshake", 0x0403, &signature[1..]));
    assert!(!proven(b"this handshake", 0x0503, &signature)); // P-384
    assert!(!proven(b"this handshake", 0x0804, &signature)); // RSA
    assert!(!proven(b"this handshake", 0x0203, &signature)); // SHA-1
}

#[test]
fn a_second_certificate_must_be_proven_again() {
    let mut checker = strict();
    checker.proven_by = Some((CertificateDer::from(vec![1]), Vec::new()));
    checker.signed = true;
    assert!(checker.take_certificate(&[0; 32], &CertificateRef::with_context(&[])).is_err());
    assert!(checker.finish().is_err());
}

#[test]
fn where_anything_goes_nothing_need_be_proven() {
    let provider = rustls::crypto::ring::default_provider();
    let name = ServerName::try_from("mx.example.com").unwrap();
    let mut checker = Checker::new(Judge::lenient(name, &provider));
    assert!(checker.take_certificate(&[0; 32], &CertificateRef::with_context(&[])).is_ok());
    assert!(checker.take_signature(0x0403, &[]).is_ok());
    assert!(checker.finish().is_ok());
}

#[test]
fn a_panic_in_the_engine_breaks_its_own_connection_and_is_remembered() {
    struct Nobody;
    impl AsyncRead for Nobody {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }
    impl AsyncWrite for Nobody {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    impl Stream for Nobody {
        fn peer(&self) -> Option<SocketAddr> {
            None
        }
        fn local(&self) -> Option<SocketAddr> {
            None
        }
        fn tls(&self) -> Option<TlsFacts> {
            None
        }
    }
    let distrusted = Rc::new(std::cell::Cell::new(0));
    let count = distrusted.clone();
    let mailbox: Rc<RefCell<Mailbox>> = Rc::default();
    mailbox.borrow_mut().open = true;
    let inner = mailbox.clone();
    let mut connection = Embedded {
        link: Link(Rc::new(RefCell::new(Wire { stream: Box::new(Nobody), fault: None }))),
        mailbox,
        engine: Some(Box::pin(async move {
            let _held = inner.borrow_mut();
            panic!("planted")
        })),
        distrust: Some(Box::new(move || count.set(count.get() + 1))),
        peer: None,
        local: None,
        verified: false,
    };
    futures_lite::future::block_on(async {
        use futures_lite::{AsyncReadExt, AsyncWriteExt};
        let error = connection.read(&mut [0; 8]).await.unwrap_err();
        assert!(error.to_string().contains("does not know"), "{error}");
        assert!(connection.write(b"x").await.is_err());
        connection.close().await.unwrap();
    });
    drop(connection);
    assert_eq!(distrusted.get(), 1);
}
