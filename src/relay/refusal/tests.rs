//! Row by row: what servers of the world are known to say.

use super::*;

const BY: &str = "mx.example [192.0.2.1]";
const SMART: Server = Server::Smarthost { login: true };
const OPEN: Server = Server::Smarthost { login: false };

fn said(text: &str) -> Outcome {
    let code: u16 = text.get(..3).and_then(|code| code.parse().ok()).expect("a code");
    let class = Class::from_digit(code / 100).expect("2, 4 or 5");
    let given = text.get(4..).and_then(Status::parse).map(|(status, _)| status);
    let status = given.filter(|s| s.class == class).unwrap_or(Status::new(class, 0, 0));
    Outcome { status, by: BY.into(), text: text.into() }
}

/// Status after reading, and meaning where it is about us.
fn taken(text: &str, server: Server, at: At) -> (String, Option<Meaning>) {
    let read = read(said(text), server, at);
    let about = about_us(std::slice::from_ref(&read), server).map(|(means, _)| means);
    (read.status.to_string(), about)
}

/// What is said, what it means, and a word of the advice.
const OWNERS: &[(&str, Meaning, &str)] = &[
    (
        "534 5.7.9 Application-specific password required. Learn more - gsmtp",
        Meaning::Login,
        "app pass",
    ),
    (
        "534 5.7.14 Please log in via your web browser and then try again.",
        Meaning::Login,
        "browser",
    ),
    ("535 5.7.8 Username and Password not accepted. - gsmtp", Meaning::Login, "wrong"),
    (
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for \
             the Tenant. Visit https://aka.ms/smtp_auth_disabled",
        Meaning::Login,
        "OAuth 2",
    ),
    (
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
        Meaning::Login,
        "OAu",
    ),
    ("535 5.7.3 Authentication unsuccessful", Meaning::Login, "wrong"),
    ("535 Authentication Credentials Invalid", Meaning::Login, "wrong"),
    ("535 5.7.0 (#AUTH005) Too many bad auth attempts.", Meaning::Login, "wrong"),
    ("530 5.7.0 Must issue a STARTTLS command first", Meaning::Login, "TLS"),
    ("530 5.7.0 Authentication Required. - gsmtp", Meaning::Login, "wants a login"),
    ("530 5.7.57 Client not authenticated to send mail.", Meaning::Login, "wants a login"),
    ("525 5.7.1 Unauthorized IP address", Meaning::Account, "on its list"),
    ("550 5.1.8 Access denied, bad outbound sender. S", Meaning::Account, "spam"),
    (
        "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process \
             message due to a permanent exception with message WASCL UserAction verdict is not \
             None. Actual verdict is Suspend, ShowTierUpgrade.",
        Meaning::Account,
        "spam",
    ),
    ("550 5.7.705 Access denied, tenant has exceeded threshold.", Meaning::Account, "spam"),
    ("550 5.7.501 Access denied, spam abuse detected.", Meaning::Account, "spam"),
    (
        "554 Message rejected: Sending paused for this account. For more information, please \
             check the inbox of the email address associated with your AWS account.",
        Meaning::Account,
        "paused",
    ),
    (
        "554 Message rejected: Email address is not verified. The following identities \
             failed the check in region EU-WEST-1: carol@example.org",
        Meaning::Account,
        "verify",
    ),
    ("550 The from address does not match a verified Sender Identity.", Meaning::Account, "verify"),
    (
        "554 Access denied: User `arn:aws:iam::1:user/x' is not authorized to perform \
          `ses:SendRawEmail'",
        Meaning::Account,
        "right",
    ),
    ("502 5.7.0 Your SMTP account is not yet activated.", Meaning::Account, "unlocked"),
    (
        "421 Domain sandbox1.mailgun.org is not allowed to send: Free accounts are for test \
             purposes only.",
        Meaning::Account,
        "unlocked",
    ),
    ("550 5.7.0 Payment required: your invoice is overdue", Meaning::Account, "paid"),
    ("535 5.7.13 User Account Disabled", Meaning::Account, "closed"),
    ("550 5.7.1 Your account has been temporarily suspended", Meaning::Account, "closed"),
    ("554 5.7.1 <me>: Sender address rejected: account is locked", Meaning::Account, "closed"),
];

#[test]
fn logins_and_accounts_wait_for_their_owner_and_the_advice_fits() {
    for &(text, means, advice) in OWNERS {
        let status = if means == Meaning::Login { LOGIN_REFUSED } else { ACCOUNT_CLOSED };
        for at in [At::Session, At::Message] {
            let read = read(said(text), SMART, at);
            assert_eq!(read.status, status, "{text}");
            assert!(waits_for_a_person(&read));
            let words = super::advice(&read);
            assert!(words.contains(advice), "{text}: {words}");
        }
        assert_eq!(taken(text, SMART, At::Message).1, Some(means), "{text}");
        // Anybody else might keep mail from its end by saying so.
        let (status, about) = taken(text, Server::Exchanger, At::Message);
        let class = if text.starts_with("502") { 4 } else { said(text).status.class as u8 };
        assert!(status.starts_with(&class.to_string()), "{text} {status}");
        assert!(!["4.7.8", "4.7.13"].contains(&status.as_str()) && about.is_none(), "{text}");
    }
}

#[test]
fn a_smarthost_that_wants_a_login_in_other_words_is_understood_where_there_is_none() {
    for text in [
        "554 5.7.1 <carol@example.org>: Relay access denied",
        "550 5.7.1 <carol@example.org>... Relaying denied",
        "550 relay not permitted",
        "503 5.7.0 Authentication required first",
    ] {
        assert_eq!(taken(text, OPEN, At::Message).0, "4.7.8", "{text}");
        // Whom it lets in, and refuses a recipient all the same, it refuses for good.
        let class = if text.starts_with("503") { "4" } else { "5" };
        assert!(taken(text, SMART, At::Message).0.starts_with(class), "{text}");
    }
}

#[test]
fn a_quota_that_is_used_up_means_later_or_another_way() {
    for (text, status) in [
        ("550 5.4.5 Daily user sending limit exceeded. For more information - gsmtp", "4.4.5"),
        ("550 5.1.90 Your message can't be sent because you've reached your daily limit", "4.1.90"),
        ("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", "4.2.0"),
        ("454 Throttling failure: Daily message quota exceeded", "4.0.0"),
        ("451 Authentication failed: Maximum credits exceeded", "4.0.0"),
        ("450 Requested mail action not taken: Mail send limit exceeded.", "4.0.0"),
    ] {
        let (read, about) = taken(text, SMART, At::Message);
        assert_eq!((read.as_str(), about), (status, Some(Meaning::Quota)), "{text}");
        assert_eq!(taken(text, Server::Exchanger, At::Message).1, None, "{text}");
    }
    // A second later there is more.
    for text in [
        "454 Throttling failure: Maximum sending rate exceeded",
        "550 5.7.1 Rate limit exceeded",
        "421 Too many concurrent SMTP connections",
    ] {
        let (read, about) = taken(text, SMART, At::Message);
        assert!(read.starts_with('4') && about.is_none(), "{text} {read}");
    }
}

#[test]
fn an_address_of_ours_on_a_block_list_is_told_from_a_link_on_one() {
    for text in [
        "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org",
        "550 5.7.606 Access denied, banned sending IP [203.0.113.9].",
        "550 5.7.1 Unfortunately, messages from [203.0.113.9] weren't sent. Please contact your \
         Internet service provider since part of their network is on our block list (S3140).",
        "554 5.7.1 Your IP address 203.0.113.9 is blocked",
        "550 5.7.25 [203.0.113.9] The IP address sending this message does not have a PTR record",
        "550 Cannot find your reverse hostname",
    ] {
        for server in [Server::Exchanger, SMART] {
            let (status, about) = taken(text, server, At::Message);
            assert!(status.starts_with('5'), "{text}");
            assert_eq!(about, Some(Meaning::Blocked), "{text}");
        }
        // At the banner a 5yz counts as later, but no wait takes us off a list.
        let mut early = said(text);
        early.status = Status::new(Class::Transient, 7, 1);
        let read = read(early, Server::Exchanger, At::Session);
        assert_eq!((read.status.class, read.status.subject()), (Class::Permanent, 7), "{text}");
        assert!(advice(&read).contains("smarthost"), "{text}");
    }
    let (status, about) =
        taken("451 4.7.1 blocked using zen.spamhaus.org", Server::Exchanger, At::Session);
    assert_eq!((status.as_str(), about), ("4.7.1", Some(Meaning::Blocked)));
    let link = "554 5.7.1 Blocked: a link is listed by dbl.spamhaus.org";
    assert_eq!(taken(link, Server::Exchanger, At::Message), ("5.7.1".into(), None));
    assert!(advice(&said(link)).contains("link"));
}

#[test]
fn what_is_about_a_recipient_or_message_stays_as_the_code_says_with_all_servers() {
    for (text, words) in [
        ("550 5.1.1 The email account that you tried to reach does not exist", "spelled"),
        ("550 5.2.1 The email account that you tried to reach is disabled", "switched off"),
        ("550 5.2.1 This account is disabled", "switched off"),
        ("552 5.2.2 Mailbox full: quota exceeded", "full"),
        ("452 4.2.2 The email account that you tried to reach is over quota", "full"),
        ("552 5.3.4 Message size exceeds fixed limit", "too large"),
        ("551 User not local; please try <carol@example.net>", "moved"),
        ("550 5.7.26 Unauthenticated email from example.org is not accepted due to DMARC", "sign"),
        ("550 5.7.23 SPF validation failed", "sign"),
        ("553 5.7.1 <a@x.example>: Sender address rejected: not owned by user b", "belongs"),
        ("554 5.7.1 we think it is spam", "spam"),
        ("550 5.0.0 no", ""),
        ("501 5.1.7 Bad sender address syntax", ""),
        ("504 5.5.4 Command parameter not implemented", ""),
        ("555 5.5.4 Unsupported option", ""),
        ("500 5.5.2 Syntax error", ""),
        ("553 5.1.3 Mailbox name not allowed", ""),
        ("450 4.2.0 Greylisted, come back", ""),
        ("451 4.3.0 Local error", ""),
        ("421 4.3.2 Shutting down", ""),
        ("452 4.5.3 Too many recipients", ""),
        ("554 5.5.1 No valid recipients", ""),
    ] {
        for server in [Server::Exchanger, SMART, OPEN] {
            for at in [At::Session, At::Message] {
                let read = read(said(text), server, at);
                assert_eq!(read.status, said(text).status, "{text}");
                assert_eq!(about_us(&[read], server), None, "{text}");
            }
        }
        let advice = advice(&said(text));
        assert!(advice.contains(words) && advice.is_empty() == words.is_empty(), "{text} {advice}");
    }
}

#[test]
fn a_reply_that_is_about_the_session_is_no_refusal_of_a_message() {
    for text in [
        "503 5.5.1 Error: send HELO/EHLO first",
        "503 Bad sequence of commands",
        "502 5.5.2 Error: command not recognized",
        "500 5.5.1 Command unrecognized: \"XXXX\"",
        "500 unrecognized command",
    ] {
        for server in [Server::Exchanger, SMART] {
            assert!(taken(text, server, At::Message).0.starts_with('4'), "{text}");
        }
    }
}

#[test]
fn words_of_ours_before_a_reply_change_nothing() {
    let text = "login refused, its user or password is wrong: 535 5.7.139 Authentication \
                unsuccessful, basic authentication is disabled.";
    assert!(advice_on(text, LOGIN_REFUSED).contains("OAuth 2"));
    let text = "given up after 5 d; last: 452 4.2.2 Mailbox full";
    assert!(advice_on(text, Status::new(Class::Permanent, 4, 7)).contains("full"));
    for text in ["", "4", "no connection: timed out", "1.2.3.4:53: x", "5501 x", "x: 600 y"] {
        assert_eq!(advice_on(text, LOGIN_REFUSED), "", "{text}");
    }
}

#[test]
fn it_is_about_us_only_where_that_is_so_for_all_recipients() {
    let blocked = said("550 5.7.1 blocked using zen.spamhaus.org");
    let unknown = said("550 5.1.1 No such user");
    let all = [blocked.clone(), blocked.clone()];
    assert!(about_us(&all, SMART).is_some());
    assert_eq!(about_us(&[blocked.clone(), unknown], SMART), None);
    assert_eq!(about_us(&[], SMART), None);
    let ours = Outcome { by: String::new(), ..blocked };
    assert_eq!(about_us(std::slice::from_ref(&ours), SMART), None);
    assert_eq!(read(ours.clone(), SMART, At::Session), ours);
}

#[test]
fn each_row_can_be_reached_and_says_where_it_comes_from() {
    for row in TABLE.iter().chain(ABOUT_SESSIONS) {
        assert!(!row.source.is_empty());
        assert!(!row.codes.is_empty() || !row.statuses.is_empty() || !row.words.is_empty());
        assert!(row.words.iter().all(|words| *words == words.to_lowercase()), "{:?}", row.words);
        let code = row.codes.first().copied().unwrap_or(550);
        let status = row.statuses.first().map(|(subject, detail)| format!("5.{subject}.{detail}"));
        for words in row.words {
            let text = format!("{code} x{}", words.replace('*', " x "));
            let found = find(&text, |one| one.whose == row.whose || one.whose == Whose::Any);
            let found = found.map(|(_, found)| found.advice);
            assert_eq!(found, Some(row.advice), "{text}");
        }
        let text = format!("{code} {}", status.unwrap_or_default());
        let found = find(&text, |one| one.whose == row.whose || one.whose == Whose::Any);
        let general = row.statuses.is_empty() && !row.words.is_empty();
        assert!(general || found.is_some_and(|(_, found)| found.advice == row.advice), "{text}");
    }
}

#[test]
fn what_is_advised_is_said_with_its_source_and_fits_what_became_of_it() {
    let login = "login refused: 535 5.7.8 Username and Password not accepted.";
    let unknown = "550 5.1.1 <a@b.example>: unknown";
    for (text, class, advice, source) in [
        (unknown, Class::Permanent, "how it is spelled", "RFC 3463 §3.2"),
        (login, Class::Transient, "wrong", "RFC 4954"),
    ] {
        let (words, from) = explained(text, class).expect(text);
        assert!(words.contains(advice) && from.contains(source), "{words} {from}");
    }
    // What the server of a domain says of an account is not believed, and has failed for good.
    assert_eq!(explained("535 5.7.8 Username and Password not accepted.", Class::Permanent), None);
    assert_eq!(explained("451 4.3.0 Try again later", Class::Transient), None);
    assert_eq!(explained("250 2.0.0 Taken", Class::Success), None);
    assert!(TABLE.iter().all(|row| row.advice.is_empty() || !row.source.is_empty()));
}
