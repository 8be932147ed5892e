use super::*;

const PASSWORD: &str = "tanstaaftanstaaf";

fn client(mechanism: Mechanism, user: &str, secret: &Secret) -> Client {
    let server = ("server.example.com", 587);
    let claim = Claim { user, secret, server, chance: [1, 2] };
    Client::new(mechanism, claim).expect("it takes such a secret")
}

fn password(mechanism: Mechanism) -> Client {
    client(mechanism, "tim", &Secret::Password(PASSWORD.into()))
}

fn token(mechanism: Mechanism, token: &str) -> Client {
    client(mechanism, "user@example.com", &Secret::Token(token.into()))
}

fn say(text: &str) -> Turn {
    Turn::Say(BASE64.encode(text))
}

/// The command's initial response, decoded.
fn initial(command: &str) -> String {
    let word = command.rsplit(' ').next().expect("a word");
    String::from_utf8(BASE64.decode(word).expect("base64")).expect("text")
}

#[test]
fn each_secret_has_its_mechanisms() {
    for (secret, mechanisms) in [
        (Secret::Password("x".into()), &Mechanism::ALL[..4]),
        (Secret::Token("x".into()), &Mechanism::ALL[4..]),
    ] {
        for mechanism in Mechanism::ALL {
            let claim = Claim { user: "u", secret: &secret, server: ("h", 1), chance: [0, 0] };
            let fits = mechanisms.contains(&mechanism);
            assert_eq!(mechanism.takes(&secret), fits, "{mechanism}");
            assert_eq!(Client::new(mechanism, claim).is_some(), fits, "{mechanism}");
        }
        assert!(!format!("{secret:?}").contains('x'));
    }
}

#[test]
fn cram_md5_is_as_the_rfc_shows_it() {
    let mut client = password(Mechanism::CramMd5);
    assert_eq!(client.command(), "AUTH CRAM-MD5");
    // RFC 2195 §2.
    let challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
    let response = "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw";
    assert_eq!(client.hear(challenge), Turn::Say(response.into()));
    assert_eq!(client.hear(challenge), Turn::Over);
}

#[test]
fn a_challenge_that_is_none_is_not_answered() {
    for mechanism in [Mechanism::CramMd5, Mechanism::ScramSha256] {
        let long = "A".repeat(limits::CHALLENGE_BYTES + 1);
        for challenge in ["", "=", "?", "AAA=AAA", &long] {
            let mut client = password(mechanism);
            client.command();
            let turn = client.hear(challenge);
            assert!(matches!(turn, Turn::Cancel(_)), "{mechanism} {challenge}: {turn:?}");
        }
    }
    let longest = "A".repeat(limits::CHALLENGE_BYTES);
    assert!(matches!(password(Mechanism::CramMd5).hear(&longest), Turn::Say(_)));
}

#[test]
fn plain_says_all_at_once_and_nothing_twice() {
    let mut client = password(Mechanism::Plain);
    assert_eq!(client.command(), "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
    assert_eq!(client.hear(""), Turn::Over);
}

#[test]
fn a_long_initial_response_waits_for_its_turn() {
    // RFC 4954 §4: 512 octets with the CRLF.
    for (length, waits) in [(367, false), (368, true)] {
        let secret = Secret::Password("p".repeat(length));
        let mut client = client(Mechanism::Plain, "tim", &secret);
        let command = client.command();
        assert_eq!(command == "AUTH PLAIN", waits, "{length}");
        assert!(command.len() + 2 <= 512);
        let turn = client.hear("anything");
        assert_eq!(matches!(turn, Turn::Say(_)), waits, "{length}");
        assert_eq!(client.hear(""), Turn::Over);
    }
}

#[test]
fn login_answers_what_is_asked_for() {
    let name = || say("tim");
    let word = || say(PASSWORD);
    for prompts in [
        ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"],         // Username: Password:
        ["VXNlciBOYW1lAA==", "UGFzc3dvcmQA"],     // with NUL, as the draft has it
        ["dXNlcm5hbWU6", "cGFzc3dvcmQ6"],         // in small letters
        ["", ""],                                 // nothing
        ["Username:", "Password:"],               // not in base64
        ["TG9naW46", "Kennwort"],                 // Login:
        ["QmVudXR6ZXI6", "S2Vubndvcnq6w7bDpMO8"], // in another language
    ] {
        let mut client = password(Mechanism::Login);
        assert_eq!(client.command(), "AUTH LOGIN");
        assert_eq!(client.hear(prompts[0]), name(), "{prompts:?}");
        assert_eq!(client.hear(prompts[1]), word(), "{prompts:?}");
        assert_eq!(client.hear(prompts[1]), Turn::Over);
    }
    let mut client = password(Mechanism::Login);
    assert_eq!(client.hear("UGFzc3dvcmQ6"), word(), "the other way round");
    assert_eq!(client.hear("VXNlcm5hbWU6"), name());
}

#[test]
fn login_does_not_tell_the_password_where_the_name_is_asked_for_again() {
    let mut client = password(Mechanism::Login);
    assert_eq!(client.hear("VXNlcm5hbWU6"), say("tim"));
    assert!(matches!(client.hear("VXNlcm5hbWU6"), Turn::Cancel(_)));
    assert_eq!(client.hear("UGFzc3dvcmQ6"), Turn::Over);
}

#[test]
fn a_token_is_shown_as_the_providers_want_it() {
    let mut google = client(
        Mechanism::XOauth2,
        "someuser@example.com",
        &Secret::Token("vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==".into()),
    );
    // Google's page has it with a line break in the middle of the base64.
    let expected = "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB2RjlkZnQ0cW1UYzJOdmIzUmxja\
                    0JoZEhSaGRtbHpkR0V1WTI5dENnPT0BAQ==";
    assert_eq!(google.command(), format!("AUTH XOAUTH2 {expected}"));

    // RFC 7628 §4.1.
    let mut bearer = token(Mechanism::OauthBearer, "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    assert_eq!(
        initial(&bearer.command()),
        "n,a=user@example.com,\x01host=server.example.com\x01port=587\x01auth=Bearer \
         vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    );
    let odd = client(Mechanism::OauthBearer, "a,b=c", &Secret::Token("t".into())).command();
    assert!(initial(&odd).starts_with("n,a=a=2Cb=3Dc,\x01"));
}

#[test]
fn why_a_token_is_refused_is_kept_and_acknowledged() {
    // RFC 7628 §4.3, and Google's.
    let json = r#"{"status":"invalid_token","scope":"example_scope"}"#;
    for (mechanism, answer) in [(Mechanism::XOauth2, ""), (Mechanism::OauthBearer, "AQ==")] {
        let mut client = token(mechanism, "t");
        client.command();
        assert_eq!(client.hear(&BASE64.encode(json)), Turn::Say(answer.into()));
        assert_eq!(client.reason(), json);
        assert_eq!(client.hear(""), Turn::Over);
    }
    let mut garbage = token(Mechanism::XOauth2, "t");
    garbage.command();
    assert_eq!(garbage.hear("no\tbase64"), Turn::Say(String::new()));
    assert_eq!(garbage.reason(), "no base64");
}

#[test]
fn a_long_token_waits_for_its_turn_and_its_refusal_is_still_understood() {
    let mut client = token(Mechanism::XOauth2, &"t".repeat(limits::TOKEN_BYTES));
    assert_eq!(client.command(), "AUTH XOAUTH2");
    let Turn::Say(word) = client.hear("") else { panic!("not said") };
    assert!(word.len() + 2 <= limits::AUTH_LINE_BYTES);
    assert_eq!(client.hear("e30="), Turn::Say(String::new()));
    assert_eq!(client.reason(), "{}");
}

#[test]
fn scram_alone_wants_the_servers_proof() {
    let mut client = client(Mechanism::ScramSha256, "user", &Secret::Password("pencil".into()));
    assert_eq!(
        initial(&client.command()),
        "n,,n=user,r=AAAAAAAAAAEAAAAAAAAAAg",
        "the nonce is made of chance"
    );
    assert!(client.conclude().is_err());
    let first = BASE64.encode("r=AAAAAAAAAAEAAAAAAAAAAgx,s=c2FsdA==,i=4096");
    let Turn::Stretch(work) = client.hear(&first) else { panic!("no work") };
    assert_eq!(client.hear(&first), Turn::Over, "the work is not done");
    assert!(matches!(client.stretched(&work.run()), Turn::Say(_)));
    assert!(client.conclude().is_err());
    assert!(matches!(client.hear("?"), Turn::Untrue(_)));
    assert!(client.conclude().is_err());
    for mechanism in [Mechanism::CramMd5, Mechanism::Plain, Mechanism::Login] {
        assert_eq!(password(mechanism).conclude(), Ok(()));
    }
}
