use super::*;

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, retry_after: None, kind: String::new(), body: body.into() }
}

fn client() -> Client {
    Client { id: "waypost-1".into(), secret: Some("s&c".into()) }
}

/// RFC 7636 appendix B.
#[test]
fn the_challenge_is_that_of_the_standard() {
    let flow = Flow {
        state: "st".into(),
        verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(),
        redirect: "http://localhost/".into(),
    };
    let google = Provider::built_in("google").expect("built in");
    let link = client().authorize(&google, &flow, "me@example.com");
    assert!(link.starts_with("https://accounts.google.com/o/oauth2/v2/auth?access_type=offline&"));
    for part in [
        "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method=S256",
        "redirect_uri=http%3A%2F%2Flocalhost%2F",
        "scope=https%3A%2F%2Fmail.google.com%2F",
        "login_hint=me%40example.com",
        "state=st",
    ] {
        assert!(link.contains(&format!("&{part}")), "{part} in {link}");
    }
    assert!(!link.contains("s%26c"), "the secret is for the server alone");
    let form = client().redeem(&flow, "4/x");
    for part in ["code=4%2Fx", &format!("code_verifier={}", flow.verifier), "client_secret=s%26c"] {
        assert!(form.contains(part), "{part} in {form}");
    }
}

#[test]
fn a_flow_cannot_be_guessed() {
    let chance = [1, 2, 3, 4, 5, 6, 7, 8];
    let flow = Flow::new(chance, String::new());
    // RFC 7636 §4.1 wants 43 to 128 characters.
    assert_eq!((flow.state.len(), flow.verifier.len()), (32, 54));
    for n in 0..8 {
        let mut other = chance;
        other[n] += 1;
        assert!(Flow::new(other, String::new()) != flow, "each roll counts");
    }
}

#[test]
fn providers_that_are_built_in() {
    let at = |name: &str| Provider::built_in(name).map(|p| p.token.to_string());
    let microsoft = |tenant: &str| {
        Some(format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"))
    };
    assert_eq!(at("microsoft"), microsoft("common"));
    assert_eq!(at("microsoft/contoso.example"), microsoft("contoso.example"));
    for name in ["", "yahoo", "microsoft/", "microsoft/a/b", "microsoft/a?b", "microsoftx"] {
        assert_eq!(at(name), None, "{name}");
    }
    let long = |n: usize| format!("microsoft/{}", "a".repeat(n));
    assert!(at(&long(limits::DOMAIN_BYTES)).is_some());
    assert!(at(&long(limits::DOMAIN_BYTES + 1)).is_none());
}

#[test]
fn what_a_person_pastes_is_understood() {
    let code = |code: &str, state: Option<&str>| {
        Some(Returned::Code(code.into(), state.map(str::to_string)))
    };
    let cases = [
        ("http://localhost/?code=4%2F0Ab&state=xyz&scope=a", code("4/0Ab", Some("xyz"))),
        (" http://localhost/?state=xyz&code=c#frag ", code("c", Some("xyz"))),
        ("code=c&state=s", code("c", Some("s"))),
        ("4%2F0Ab_-.", code("4/0Ab_-.", None)),
        ("M.R3_BAY.c0ffee-!*", code("M.R3_BAY.c0ffee-!*", None)),
        (
            "http://localhost/?error=access_denied&error_description=They+said%20no&state=s",
            Some(Returned::Refused("They said no".into(), Some("s".into()))),
        ),
        ("?error=access_denied", Some(Returned::Refused("access_denied".into(), None))),
        ("", None),
        ("http://localhost/", None),
        ("http://localhost/?state=s", None),
        ("two words", None),
    ];
    for (text, wanted) in cases {
        assert_eq!(Returned::read(text), wanted, "{text}");
    }
    assert!(Returned::read(&"a".repeat(limits::URL_BYTES)).is_some());
    assert!(Returned::read(&"a".repeat(limits::URL_BYTES + 1)).is_none());
}

#[test]
fn tokens_are_read() {
    let body = r#"{"token_type":"Bearer","access_token":"ya29.a0-_~+/=","expires_in":3599,
        "refresh_token":"1//0g x","refresh_token_expires_in":"604799","scope":"s"}"#;
    let Said::Yes(read) = tokens(&answer(200, body)) else { panic!("they are tokens") };
    assert_eq!(read.access, "ya29.a0-_~+/=");
    assert_eq!(read.lifetime, Some(Duration::from_secs(3599)));
    assert_eq!(read.refresh.as_deref(), Some("1//0g x"));
    assert_eq!(read.refresh_lifetime, Some(Duration::from_secs(604_799)));
    let Said::Yes(read) = tokens(&answer(200, r#"{"access_token":"x","expires_in":0}"#)) else {
        panic!("they are tokens")
    };
    assert_eq!((read.lifetime, read.refresh), (None, None));
    let sized =
        |n: usize| tokens(&answer(200, &format!(r#"{{"access_token":"{}"}}"#, "x".repeat(n))));
    assert!(matches!(sized(limits::TOKEN_BYTES), Said::Yes(_)));
    assert!(matches!(sized(limits::TOKEN_BYTES + 1), Said::Later(..)));
}

#[test]
fn what_a_person_must_mend_is_told_from_what_passes() {
    let no = |words: &str| Said::No(words.to_string());
    let later = |words: &str| Said::Later(words.to_string(), None);
    let garbage =
        |status: u16| later(&format!("HTTP {status} with nothing that could be understood"));
    let cases = [
        (400, r#"{"error":"invalid_grant"}"#, no("invalid_grant")),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"AADSTS70008:\r\nexpired"}"#,
            no("invalid_grant: AADSTS70008: expired"),
        ),
        (401, r#"{"error":"invalid_client"}"#, no("invalid_client")),
        (400, r#"{"error":"authorization_pending"}"#, Said::NotYet(false)),
        (400, r#"{"error":"slow_down"}"#, Said::NotYet(true)),
        (400, r#"{"error":"temporarily_unavailable"}"#, later("temporarily_unavailable")),
        (429, r#"{"error":"rate_limit"}"#, later("rate_limit")),
        (503, r#"{"error":"odd"}"#, later("odd")),
        (403, r#"{"error":{"code":403}}"#, no(r#"{"code":403}"#)),
        (200, "<html>Pay for the net</html>", garbage(200)),
        (302, "", garbage(302)),
        (500, "", garbage(500)),
        (200, "[]", garbage(200)),
        (200, r#"{"access_token":"a b"}"#, garbage(200)),
        (201, r#"{"access_token":"x"}"#, garbage(201)),
    ];
    for (status, body, wanted) in cases {
        let read = tokens(&answer(status, body));
        let squeezed = match read {
            Said::No(words) => Said::No(words.split_whitespace().collect::<Vec<_>>().join(" ")),
            other => other,
        };
        assert_eq!(squeezed, wanted, "{status} {body}");
    }
    let busy = Answer { retry_after: Some(Duration::from_secs(9)), ..answer(429, "{}") };
    let Said::Later(_, wait) = tokens(&busy) else { panic!("it is busy") };
    assert_eq!(wait, Some(Duration::from_secs(9)));
}

#[test]
fn a_code_for_a_person_is_read() {
    let body = r#"{"device_code":"d","user_code":"ABCD-EFGH","verification_uri":
        "https://microsoft.com/devicelogin","expires_in":900,"interval":5,"message":"…"}"#;
    let Said::Yes(code) = device(&answer(200, body)) else { panic!("it is a code") };
    assert_eq!((code.device.as_str(), code.user.as_str()), ("d", "ABCD-EFGH"));
    assert_eq!(code.at, "https://microsoft.com/devicelogin");
    assert_eq!((code.lifetime.as_secs(), code.interval.as_secs()), (900, 5));
    let with = |rest: &str| {
        let body = format!(r#"{{"device_code":"d","user_code":"u",{rest}}}"#);
        match device(&answer(200, &body)) {
            Said::Yes(code) => (code.lifetime.as_secs(), code.interval.as_secs()),
            _ => (0, 0),
        }
    };
    assert_eq!(with(r#""verification_url":"https://g.co/d""#), (300, 5));
    assert_eq!(with(r#""verification_uri":"javascript:alert(1)""#), (0, 0));
    assert_eq!(with(r#""verification_uri":"https://g.co","interval":0"#), (300, 1));
    assert_eq!(with(r#""verification_uri":"https://g.co","interval":99999"#), (300, 60));
    let most = limits::SIGN_IN_WAIT.as_secs();
    assert_eq!(with(r#""verification_uri":"https://g.co","expires_in":99999"#), (most, 5));
}

#[test]
fn nothing_secret_is_printed() {
    let Said::Yes(read) = tokens(&answer(200, r#"{"access_token":"hidden"}"#)) else { panic!() };
    assert!(!format!("{read:?} {:?}", client()).contains("hidden"));
    assert!(!format!("{:?}", client()).contains("s&c"));
}
