//! Command lines, and what comes of them with a relay that was written beforehand.

use super::*;
use crate::{proto::mail::address::Address, relay::accounts::world::World, sys::Sys};
use futures_lite::future::block_on;
use serde_json::{Value, json};
use std::{ffi::OsString, rc::Rc};

fn environment() -> Environment {
    Environment { user: Some("ann".into()), hostname: "box.lan".into(), ..Environment::default() }
}

fn call(line: &str) -> Call {
    let arguments = line.split(' ').map(OsString::from);
    parse(arguments, &environment()).unwrap_or_else(|usage| panic!("{line}: {usage}"))
}

fn task(line: &str) -> Task {
    match call(line).command {
        Command::Task(task) => task,
        Command::Run | Command::Board => panic!("{line} runs the relay"),
    }
}

fn usage(line: &str) -> String {
    let arguments = line.split(' ').map(OsString::from);
    parse(arguments, &environment()).expect_err(line).to_string()
}

fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

#[test]
fn without_a_command_it_is_the_relay() {
    for line in
        ["waypost", "waypost run", "waypost --data /d run", "/usr/bin/waypost run --data=/d"]
    {
        assert_eq!(call(line).command, Command::Run, "{line}");
    }
    let run = call("waypost run --data /d --config /c");
    assert_eq!((run.data_directory(), run.config.as_deref()), ("/d", Some("/c")));
    assert_eq!(call("waypost").data_directory(), "waypost-data");
    let set = Environment { data: Some("/e".into()), ..Environment::default() };
    let set = parse(["waypost".into()], &set).expect("fine");
    assert_eq!(set.data_directory(), "/e");
}

#[test]
fn commands_are_read_with_options_before_and_after() {
    let one = || vec![id("0123456789")];
    for (line, expected) in [
        ("waypost queue", Task::List),
        ("waypost queue list", Task::List),
        ("waypost mailq", Task::List),
        ("/usr/bin/mailq", Task::List),
        ("newaliases", Task::Nothing),
        ("waypost queue show 0123456789", Task::Show(one())),
        ("waypost queue retry", Task::Act(Act::Retry, vec![])),
        ("waypost queue retry all --data /var/lib/waypost", Task::Act(Act::Retry, vec![])),
        ("waypost queue retry 0123456789", Task::Act(Act::Retry, one())),
        ("waypost queue hold 0123456789", Task::Act(Act::Hold, one())),
        ("waypost queue release 0123456789", Task::Act(Act::Release, one())),
        ("waypost queue drop 0123456789", Task::Act(Act::Drop, one())),
        ("waypost queue drop all", Task::Act(Act::Drop, vec![])),
        ("waypost trace <a@b>", Task::Trace("<a@b>".into())),
        ("waypost check", Task::Check),
        ("waypost check example.org", Task::Doctor("example.org".into())),
        ("waypost user add bob", Task::User(UserAct::Add(Prompt::Shown), "bob".into())),
        (
            "waypost user add bob --password-stdin",
            Task::User(UserAct::Add(Prompt::Hidden), "bob".into()),
        ),
        (
            "waypost user add --no-password box",
            Task::User(UserAct::AddWithoutPassword, "box".into()),
        ),
        ("waypost user passwd bob", Task::User(UserAct::Password(Prompt::Shown), "bob".into())),
        ("waypost user remove bob", Task::User(UserAct::Remove, "bob".into())),
        ("waypost dkim", Task::Dkim(Keys::Show(None))),
        ("waypost dkim show b.example", Task::Dkim(Keys::Show(Some("b.example".into())))),
        ("waypost dkim make b.example", Task::Dkim(Keys::Make("b.example".into(), None))),
        (
            "waypost dkim make --selector s b.example",
            Task::Dkim(Keys::Make("b.example".into(), Some("s".into()))),
        ),
        (
            "waypost dkim retire b.example s",
            Task::Dkim(Keys::Retire("b.example".into(), "s".into())),
        ),
        ("waypost login", Task::LogIn(None, false)),
        ("waypost login --code me", Task::LogIn(Some("me".into()), true)),
        ("waypost config show", Task::Get(None)),
        ("waypost config get retry.first", Task::Get(Some("retry.first".into()))),
        ("waypost config get users[0]", Task::Get(Some("users[0]".into()))),
        ("waypost config get listen", Task::Get(Some("listen".into()))),
        ("waypost config get trusted[1]", Task::Get(Some("trusted[1]".into()))),
        ("waypost config set hostname a.lan", Task::Set("hostname".into(), Some("a.lan".into()))),
        ("waypost config set admin.password", Task::Set("admin.password".into(), None)),
        ("waypost config reference", Task::Reference),
        ("waypost version", Task::Version),
        ("waypost help queue", Task::Help),
        ("waypost queue --help", Task::Help),
        ("waypost -h", Task::Help),
        ("waypost send --help", Task::Help),
    ] {
        assert_eq!(task(line), expected, "{line}");
    }
    for line in ["waypost --json queue --data /d", "waypost queue --data=/d list --json"] {
        let call = call(line);
        assert!(call.json && call.data.as_deref() == Some("/d"), "{line}");
    }
}

#[test]
fn a_wrong_command_line_is_told_with_what_is_allowed() {
    for (line, words) in [
        ("waypost queu", "did you mean queue?"),
        ("waypost frobnicate", "run, board, queue, trace"),
        ("waypost --jsn", "--json"),
        ("waypost -x", "\"-x\""),
        ("waypost queue frob", "queue hold ID|all"),
        ("waypost queue show", "queue show ID"),
        ("waypost queue drop", "queue drop ID"),
        ("waypost queue drop everything", "ten letters and digits"),
        ("waypost queue list x", "queue list"),
        ("waypost update", "update FILE"),
        ("waypost board x", "board"),
        ("waypost trace", "trace MESSAGE-ID"),
        ("waypost trace a b", "trace MESSAGE-ID"),
        ("waypost user add", "user add NAME"),
        ("waypost user frob bob", "add, passwd or remove"),
        ("waypost login a b", "login"),
        ("waypost dkim make", "dkim make DOMAIN"),
        ("waypost dkim retire b.example", "dkim retire DOMAIN SELECTOR"),
        ("waypost config get retry.frist", "did you mean retry.first?"),
        ("waypost config set", "config set KEY VALUE"),
        ("waypost config get list", "config reference"),
        ("waypost check it now", "\"it now\""),
        ("waypost --data", "missing argument"),
        ("waypost send", "no recipients"),
        ("sendmail -bd x", "-bm, -bp and -bi"),
        ("sendmail --frob x", "--frob"),
        ("sendmail -Z x", "-Z"),
        ("sendmail -N always x", "never"),
        ("sendmail -R some x", "full or hdrs"),
        ("sendmail -f a@b,c@d x", "one address"),
        ("sendmail a@b@c", "recipient"),
        ("sendmail --smtp localhost x", "127.0.0.1:2525"),
    ] {
        let usage = usage(line);
        assert!(usage.contains(words), "{line}: {usage}");
    }
}

fn mail(line: &str) -> Sendmail {
    match task(line) {
        Task::Send(mail) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

#[test]
fn sendmail_is_called_as_it_always_was() {
    assert_eq!(task("sendmail -bp"), Task::List);
    assert_eq!(task("sendmail -bi"), Task::Nothing);
    assert_eq!(task("sendmail -q15m"), Task::Act(Act::Retry, vec![]));
    let cron = mail("/usr/sbin/sendmail -i -FCronDaemon -B8BITMIME -oem root");
    assert_eq!((cron.to, cron.full_name.as_deref()), (vec![address("root")], Some("CronDaemon")));
    assert!(cron.ignore_dots);
    let php = mail("sendmail -t -i");
    assert!(php.header_recipients && php.ignore_dots && php.from.is_none() && php.to.is_empty());
    let git = mail("sendmail -i -f me@example.org -- a@example.com b@example.com");
    assert_eq!(git.from, Some(Some(address("me@example.org"))));
    assert_eq!(git.to, [address("a@example.com"), address("b@example.com")]);
    assert!(!git.header_recipients);
    let mutt = mail("sendmail -oi -oem -N failure,delay -R hdrs -V id-1 a@b,c@d a@b");
    assert_eq!(mutt.to, [address("a@b"), address("c@d")]);
    assert_eq!((mutt.notify, mutt.ret_headers), (Some((false, true, true)), Some(true)));
    assert!(mutt.ignore_dots && mutt.envid == "id-1");
    assert_eq!(mail("sendmail -f <> x").from, Some(None));
    assert_eq!(mail("sendmail -N never x").notify, Some((false, false, false)));
    for odd in [
        "-v", "-m", "-n", "-G", "-U", "-om", "-odb", "-oQ/x", "-d0.1", "-h 3", "-O x=y", "-L tag",
        "-it", "-C/f",
    ] {
        assert_eq!(mail(&format!("sendmail {odd} x@y")).to, [address("x@y")], "{odd}");
    }
    for both in ["-vt", "-tv", "-nti", "-Gt"] {
        assert!(mail(&format!("sendmail {both}")).header_recipients, "{both}");
    }
    let send = mail("waypost --data /d send -t --smtp [::1]:25");
    assert_eq!(send.smtp, Some("[::1]:25".parse().expect("an address")));
    let environment = Environment { smtp: Some("127.0.0.1:9".into()), ..Environment::default() };
    let set = parse(["sendmail".into(), "x".into()], &environment).expect("fine");
    assert!(matches!(set.command, Command::Task(Task::Send(Sendmail { smtp: Some(_), .. }))));
}

#[test]
fn sendmail_takes_recipients_up_to_its_bound() {
    let line = |n: usize| {
        let mut arguments: Vec<OsString> = vec!["sendmail".into()];
        arguments.extend((0..n).map(|n| OsString::from(format!("u{n}"))));
        parse(arguments, &environment())
    };
    assert!(line(crate::limits::SENDMAIL_RECIPIENTS).is_ok());
    assert!(line(crate::limits::SENDMAIL_RECIPIENTS + 1).is_err());
}

/// What a run left behind.
struct Done {
    code: u8,
    output: String,
    errors: String,
    world: Rc<World>,
}

fn world() -> (Rc<World>, Sys) {
    World::new()
}

fn run_in((world, sys): (Rc<World>, Sys), line: &str, input: &[u8]) -> Done {
    let (mut output, mut errors, mut echo) = (Vec::new(), Vec::new(), |_| {});
    let mut input = input;
    let mut terminal = Terminal {
        input: &mut input,
        output: &mut output,
        errors: &mut errors,
        interactive: false,
        echo: &mut echo,
    };
    let code = block_on(run(&sys, &call(line), &mut terminal));
    let text = |octets| String::from_utf8(octets).expect("UTF-8");
    Done { code, output: text(output), errors: text(errors), world }
}

const SOCKET_D: &str = "/d/control.sock";

fn answers(list: &[(u16, Value)]) -> (Rc<World>, Sys) {
    let (world, sys) = world();
    for (status, body) in list {
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {status} X\r\nETag: \"t\"\r\nContent-Length: {}\r\n\r\n", body.len());
        world.will_say(SOCKET_D, (head + &body).as_bytes());
    }
    (world, sys)
}

#[test]
fn without_a_running_relay_it_says_how_to_start_one() {
    let done = run_in(world(), "waypost queue --data /d", b"");
    assert_eq!((done.code, done.output.as_str()), (exit::UNAVAILABLE, ""));
    assert!(done.errors.contains("waypost run --data /d"), "{}", done.errors);
    let (world, sys) = world();
    world.will_say(
        "/var/lib/waypost/control.sock",
        b"HTTP/1.1 200 OK\r\n\r\n{\"total\":0,\"rows\":[]}",
    );
    let done = run_in((world, sys), "waypost queue", b"");
    assert_eq!((done.code, done.output.as_str()), (exit::OK, "The queue is empty.\n"));
}

#[test]
fn the_queue_is_read_page_by_page_into_one_list() {
    let page = |from: usize, to: usize| {
        let rows: Vec<Value> =
            (from..to).map(|n| json!({"id": format!("id{n}"), "state": "waiting"})).collect();
        (200, json!({"total": 5, "rows": rows}))
    };
    let done = run_in(
        answers(&[page(0, 2), page(1, 3), page(4, 5), page(2, 5), page(0, 2)]),
        "waypost queue --data /d --json",
        b"",
    );
    assert_eq!(done.code, exit::OK, "{}", done.errors);
    let rows: Vec<Value> = serde_json::from_str(&done.output).expect("one JSON array");
    let ids: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(ids, ["id0", "id1", "id2", "id4", "id3"], "each once, and what moved past, too");
    assert!(done.world.heard(0).starts_with("GET /api/queue?offset=0&limit=50 HTTP/1.1\r\n"));
    assert!(done.world.heard(1).starts_with("GET /api/queue?offset=2&limit=50 HTTP/1.1\r\n"));
    assert!(done.world.heard(2).contains("offset=4"));
    assert!(done.world.heard(3).contains("offset=0"));
    let gone: Vec<_> = std::iter::repeat_n(page(0, 5), 20).collect();
    let gone: Vec<_> = gone
        .into_iter()
        .map(|(_, rows)| (200, json!({"total": 6, "rows": rows["rows"]})))
        .collect();
    let done = run_in(answers(&gone), "waypost queue --data /d --json", b"");
    assert_eq!(done.code, exit::OK, "not for ever: {}", done.errors);
    let empty = json!({"total": 0, "rows": []});
    assert_eq!(
        run_in(answers(&[(200, empty)]), "waypost queue --data /d --json", b"").output,
        "[]\n"
    );
    let done = run_in(answers(&[page(0, 2), page(2, 5)]), "waypost queue --data /d", b"");
    assert!(done.output.ends_with("5 messages: 5 waiting\n"), "{}", done.output);
    let status =
        json!({"spool": {"used": 0, "most": 4096}, "problems": [{"words": "It is full."}]});
    let answers = answers(&[page(0, 2), page(2, 5), (200, status)]);
    let done = run_in(answers, "waypost queue --data /d", b"");
    assert!(done.output.ends_with("waiting\nThe spool takes 0 of 4.0K.\nIt is full.\n"));
    assert!(done.world.heard(2).starts_with("GET /api/status HTTP/1.1\r\n"));
}

#[test]
fn messages_are_acted_on_one_by_one_or_all() {
    let one = (200, json!({"messages": 1}));
    let done = run_in(
        answers(&[one.clone(), one]),
        "waypost queue hold 0123456789 abcdefghjk --data /d",
        b"",
    );
    assert_eq!((done.code, done.output.as_str()), (exit::OK, "2 messages held\n"));
    assert!(done.world.heard(1).starts_with("POST /api/queue/ABCDEFGHJK/hold HTTP/1.1\r\n"));
    let done =
        run_in(answers(&[(200, json!({"messages": 7}))]), "waypost queue retry all --data /d", b"");
    assert_eq!(done.output, "7 messages will be tried now\n");
    assert!(done.world.heard(0).starts_with("POST /api/queue/act HTTP/1.1\r\n"));
    assert!(done.world.heard(0).ends_with(r#"{"all":true,"action":"retry"}"#));
    let gone = (404, json!({"error": "This message is no longer in the queue."}));
    let done = run_in(answers(&[gone]), "waypost queue drop 0123456789 --data /d", b"");
    assert_eq!((done.code, done.output.as_str()), (exit::UNAVAILABLE, ""));
    assert_eq!(done.errors, "waypost: This message is no longer in the queue.\n");
}

#[test]
fn what_is_asked_for_cannot_leave_its_place() {
    let events =
        (200, json!({"events": [{"at": 0, "id": "x", "event": "received", "words": "from here"}]}));
    let done = run_in(answers(&[events]), "waypost trace <a&b@x>?q=/\r\nX --data /d", b"");
    assert!(
        done.world
            .heard(0)
            .starts_with("GET /api/trace?q=%3Ca%26b%40x%3E%3Fq%3D%2F%0D%0AX HTTP/1.1\r\n")
    );
    assert!(
        done.output.contains("1970-01-01T00:00:00Z  x           received\n"),
        "{}",
        done.output
    );
    let done = run_in(answers(&[(200, json!({"events": []}))]), "waypost trace x --data /d", b"");
    assert_eq!(
        (done.code, done.errors.as_str()),
        (exit::UNAVAILABLE, "waypost: nothing is known of x\n")
    );
}

#[test]
fn users_are_changed_with_passwords_from_standard_input() {
    let fine = || answers(&[(200, json!({}))]);
    let done = run_in(
        fine(),
        "waypost user add bob --password-stdin --data /d",
        "p\"\\é🔑\r\nmore".as_bytes(),
    );
    assert_eq!((done.code, done.errors.as_str()), (exit::OK, ""));
    let sent = done.world.heard(0);
    assert!(sent.starts_with("POST /api/users HTTP/1.1\r\n") && sent.contains("application/json"));
    let body: Value =
        serde_json::from_str(sent.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
    assert_eq!(body, json!({"name": "bob", "password": "p\"\\é🔑"}));
    let done = run_in(fine(), "waypost user add box --no-password --data /d", b"");
    assert!(done.world.heard(0).ends_with("{\"name\":\"box\"}"));
    let done = run_in(fine(), "waypost user passwd a/b --data /d", b"new\n");
    assert!(done.world.heard(0).starts_with("POST /api/users/a%2Fb/password HTTP/1.1\r\n"));
    let done = run_in(fine(), "waypost user remove bob --data /d", b"");
    assert!(done.world.heard(0).starts_with("DELETE /api/users/bob HTTP/1.1\r\n"));
    let done = run_in(fine(), "waypost user passwd bob --data /d", b"\n");
    assert_eq!((done.code, done.world.sent.borrow().len()), (exit::UNAVAILABLE, 0), "an empty one");
}

#[test]
fn the_records_of_keys_are_shown_whole_to_be_copied() {
    let text = format!("v=DKIM1; k=rsa; p={}", "x".repeat(740));
    let key = |domain: &str| {
        let name = format!("s._domainkey.{domain}");
        json!({"domain": domain, "selector": "s", "algorithm": "rsa", "name": name, "text": text,
               "zone": format!("{name}. IN TXT ( \"{text}\" )")})
    };
    let keys = json!({"keys": [key("b.example"), key("c.example")], "notes": ["Not\u{1b} all."]});
    let one = || answers(&[(200, keys.clone())]);
    let done = run_in(one(), "waypost dkim --data /d", b"");
    assert_eq!((done.code, done.errors.as_str()), (exit::OK, ""));
    assert!(done.world.heard(0).starts_with("GET /api/dkim HTTP/1.1\r\n"));
    assert!(done.output.contains(&format!("  value  {text}\n")), "{}", done.output);
    assert!(
        done.output.contains("c.example. IN TXT ( \"v=DKIM1") && done.output.ends_with("all.\n")
    );
    let done = run_in(one(), "waypost dkim show B.example --data /d", b"");
    assert!(done.output.contains("b.example") && !done.output.contains("c.example"));
    let done = run_in(one(), "waypost dkim show x.example --data /d", b"");
    assert_eq!((done.code, done.output.as_str()), (exit::UNAVAILABLE, ""));
    let done = run_in(one(), "waypost dkim make b.example --selector s --data /d", b"");
    let sent = done.world.heard(0);
    assert!(sent.starts_with("POST /api/dkim HTTP/1.1\r\n"), "{sent}");
    assert!(sent.ends_with(r#"{"domain":"b.example","selector":"s"}"#), "{sent}");
    let done = run_in(one(), "waypost dkim retire b.example s --json --data /d", b"");
    assert!(done.world.heard(0).starts_with("POST /api/dkim/retire HTTP/1.1\r\n"));
    assert_eq!(serde_json::from_str::<Value>(&done.output).expect("JSON"), keys);
}

fn sign_in(user: &str, state: &str, words: &str) -> Value {
    json!({"route": 3, "user": user, "at": "login.example.org", "via": "smtp.example.org:587",
           "state": state, "words": words})
}

#[test]
fn who_signs_in_by_link_is_shown_it_whole_and_pastes_what_came_back() {
    let link = format!("https://login.example.org/auth?x={}", "y".repeat(600));
    let rows = json!({"rows": [sign_in("me", "missing", ""), sign_in("you", "missing", "")]});
    let begun = json!({"link": link, "redirect": "http://localhost"});
    let world = answers(&[(200, rows.clone()), (200, begun), (200, json!({"words": "Done."}))]);
    let done = run_in(world, "waypost login you --data /d", b"http://localhost/?code=1\n");
    assert_eq!((done.code, done.errors.as_str()), (exit::OK, ""));
    assert!(done.output.contains(&format!("\n{link}\n")) && done.output.ends_with("Done.\n"));
    assert!(done.world.heard(1).ends_with(r#"{"route":3,"by":"link"}"#), "{}", done.world.heard(1));
    let sent = done.world.heard(2);
    assert!(sent.starts_with("POST /api/sign-ins/answer HTTP/1.1\r\n"), "{sent}");
    assert!(sent.ends_with(r#"{"answer":"http://localhost/?code=1"}"#), "{sent}");

    for (line, words) in [
        ("waypost login --data /d", "waypost login USER"),
        ("waypost login eve --data /d", "no route has the user eve"),
    ] {
        let done = run_in(answers(&[(200, rows.clone())]), line, b"");
        assert_eq!(done.code, exit::UNAVAILABLE);
        assert!(done.errors.contains(words), "{}", done.errors);
        assert!(
            done.output.contains("you at login.example.org, for smtp.example.org:587: missing")
        );
    }
    let nothing = answers(&[(200, json!({"rows": []}))]);
    let done = run_in(nothing, "waypost login --data /d", b"");
    assert!(done.errors.contains("nothing to sign in by"), "{}", done.errors);
    let done = run_in(answers(&[(200, rows.clone())]), "waypost login --json --data /d", b"");
    assert_eq!(serde_json::from_str::<Value>(&done.output).expect("JSON"), rows);
}

#[test]
fn who_signs_in_by_code_is_told_when_that_has_worked_or_not() {
    let rows = |state: &str, words: &str| (200, json!({"rows": [sign_in("me", state, words)]}));
    let code = json!({"code": "WDJB-MJHT", "at": "https://login.example.org/d", "seconds": 900});
    for (state, words, code_of_exit) in
        [("good", "", exit::OK), ("missing", "It has failed.", exit::UNAVAILABLE)]
    {
        let waiting = rows("waiting", "Open it.");
        let all = [rows("missing", ""), (200, code.clone()), waiting, rows(state, words)];
        let done = run_in(answers(&all), "waypost login --code --data /d", b"");
        assert_eq!(done.code, code_of_exit, "{}", done.errors);
        let told = "Open https://login.example.org/d in a browser, on any machine, and type \
                    WDJB-MJHT there.\n";
        assert!(done.output.starts_with(told), "{}", done.output);
        let end = if words.is_empty() { "Signed in as me at login.example.org.\n" } else { told };
        assert!(done.output.ends_with(end) && done.errors.contains(words), "{}", done.output);
    }
}

#[test]
fn a_person_is_asked_and_what_they_type_is_hidden() {
    let (_world, sys) = answers(&[(200, json!({}))]);
    let (mut output, mut errors, mut echoes) = (Vec::new(), Vec::new(), Vec::new());
    let mut echo = |shown| echoes.push(shown);
    let mut terminal = Terminal {
        input: &mut b"a long one\n".as_slice(),
        output: &mut output,
        errors: &mut errors,
        interactive: true,
        echo: &mut echo,
    };
    let code = block_on(run(&sys, &call("waypost user passwd bob --data /d"), &mut terminal));
    assert_eq!((code, echoes), (exit::OK, vec![false, true]));
    assert_eq!(String::from_utf8_lossy(&errors), "Password of bob: \n");
}

#[test]
fn a_typed_line_is_bounded() {
    let value = |n: usize| {
        run_in(
            answers(&[(200, json!({})), (200, json!({}))]),
            "waypost config set hostname --data /d",
            &vec![b'x'; n],
        )
    };
    assert_eq!(value(crate::limits::TYPED_BYTES).code, exit::OK);
    assert_eq!(value(crate::limits::TYPED_BYTES + 1).code, exit::UNAVAILABLE);
}

#[test]
fn the_configuration_is_shown_and_changed_as_a_whole() {
    let document = json!({"hostname": "a.lan", "limits": {"message": "5M"}});
    let got = || (200, document.clone());
    let done = run_in(answers(&[got()]), "waypost config get hostname --data /d", b"");
    assert_eq!(done.output, "a.lan\n");
    let done = run_in(answers(&[got()]), "waypost config get hostname --data /d --json", b"");
    assert_eq!(done.output, "\"a.lan\"\n");
    let done = run_in(answers(&[got()]), "waypost config get limits.spool --data /d", b"");
    assert_eq!(done.errors, "waypost: limits.spool is not set; the default is: 256M\n");
    let done = run_in(answers(&[got()]), "waypost config show --data /d", b"");
    assert_eq!(done.output.lines().nth(1), Some("  \"hostname\": \"a.lan\","));
    let done = run_in(
        answers(&[got(), (200, json!({}))]),
        "waypost config set limits.sessions 9 --data /d",
        b"",
    );
    let sent = done.world.heard(1);
    assert!(
        sent.starts_with("PUT /api/config HTTP/1.1\r\n") && sent.contains("If-Match: \"t\"\r\n"),
        "{sent}"
    );
    assert!(sent.contains("\"sessions\": 9"));
    let done = run_in(
        answers(&[got(), (200, json!({}))]),
        "waypost config set hostname null --data /d",
        b"",
    );
    assert!(!done.world.heard(1).contains("hostname"));
    let wrong =
        (422, json!({"error": "x", "problems": [{"key": "retry.first", "words": "found \"x\""}]}));
    let done = run_in(answers(&[got(), wrong]), "waypost config set retry.first x --data /d", b"");
    assert_eq!(
        (done.code, done.errors.as_str()),
        (exit::CONFIG, "waypost: retry.first: found \"x\"\n")
    );
}

#[test]
fn a_configuration_is_checked_before_any_relay_runs_with_it() {
    let with = |file: &str, secrets: &str| {
        let (world, sys) = world();
        world.files.borrow_mut().insert("/d/waypost.json".into(), file.as_bytes().to_vec());
        world.files.borrow_mut().insert("/d/secrets.json".into(), secrets.as_bytes().to_vec());
        run_in((world, sys), "waypost check --data /d", b"")
    };
    let done = with(r#"{"hostnme": "x"}"#, "");
    assert_eq!(done.code, exit::CONFIG);
    assert!(done.output.contains("did you mean hostname?"), "{}", done.output);
    let route = r#"{"routes": [{"for": "*", "via": "mail.example.com", "user": "me"}]}"#;
    let secret =
        r#"{"routes": [{"for": "*", "via": "mail.example.com", "user": "me", "password": "p"}]}"#;
    assert_eq!(with(route, "").code, exit::CONFIG, "a login without its password");
    let done = with(route, secret);
    assert_eq!(
        (done.code, done.output.as_str()),
        (exit::UNAVAILABLE, "The configuration is right.\n")
    );
    let done = run_in(
        answers(&[(404, json!({})), (200, json!({"problems": []}))]),
        "waypost check --data /d",
        b"",
    );
    assert_eq!(done.code, exit::OK, "{}", done.errors);
    let bad = json!({"problems": [{"key": "dns", "words": "no answer"}]});
    let done = run_in(answers(&[(200, bad)]), "waypost check --data /d", b"");
    assert_eq!((done.code, done.output.as_str()), (exit::CONFIG, "dns: no answer\n"));
}

#[test]
fn a_domain_is_told_with_what_is_to_be_published() {
    let rows = |verdict: &str| {
        json!({"findings": [
            {"about": "port 25", "verdict": "good", "words": "Open.", "publish": null},
            {"about": "SPF", "verdict": verdict, "words": "There is no record.", "publish":
                {"name": "example.org", "type": "TXT", "value": "v=spf1 a ~all", "zone": "x"}},
        ]})
    };
    let done = run_in(answers(&[(200, rows("wrong"))]), "waypost check example.org --data /d", b"");
    let told = "good     port 25\n         Open.\nwrong    SPF\n         There is no record.\n\
                \x20        publish  example.org\n         type     TXT\n\
                \x20        value    v=spf1 a ~all\n";
    assert_eq!((done.code, done.output.as_str()), (exit::CONFIG, told));
    let done =
        run_in(answers(&[(200, rows("advice"))]), "waypost check example.org --data /d", b"");
    assert_eq!(done.code, exit::OK);
    let no = json!({"error": "x is no domain"});
    let done = run_in(answers(&[(422, no)]), "waypost check x --data /d", b"");
    assert_eq!((done.code, done.errors.as_str()), (exit::UNAVAILABLE, "waypost: x is no domain\n"));
}

#[test]
fn an_answer_that_is_too_long_is_none() {
    let (world, sys) = world();
    let mut octets = b"HTTP/1.1 200 OK\r\n\r\n\"".to_vec();
    octets.resize(crate::limits::CONTROL_ANSWER_BYTES + 1, b'x');
    world.will_say(SOCKET_D, &octets);
    let done = run_in((world, sys), "waypost queue --data /d", b"");
    assert_eq!(done.code, exit::TRY_AGAIN);
    assert!(done.errors.contains("too long"), "{}", done.errors);
}

// ---- sendmail ----

const TAKEN: &[&str] = &[
    "220 relay ESMTP",
    "250-relay\r\n250 SIZE 99999",
    "250 OK",
    "250 OK",
    "354 go on",
    "250 2.0.0 kept",
    "221 bye",
];

#[test]
fn a_message_is_handed_in_over_smtp() {
    let (world, sys) = world();
    let file =
        br#"{"hostname": "relay.lan", "listen": {"smtp": ["192.0.2.1:25", "0.0.0.0:2526"]}}"#;
    world.files.borrow_mut().insert("/d/waypost.json".into(), file.to_vec());
    world.will_reply("127.0.0.1:2526", TAKEN);
    let message = b"Subject: x\n\nhello\n.\nnot this\n";
    let done = run_in((world, sys), "sendmail --data /d bob@example.org", message);
    assert_eq!((done.code, done.errors.as_str()), (exit::OK, ""));
    let sent = done.world.heard(0);
    assert!(sent.starts_with("EHLO relay.lan\r\nMAIL FROM:<ann@relay.lan>"), "{sent}");
    assert!(sent.contains("RCPT TO:<bob@example.org>"));
    assert!(sent.contains("From: ann@relay.lan\r\nSubject: x\r\n\r\nhello\r\n.\r\n"), "{sent}");
    assert!(!sent.contains("not this"));
}

#[test]
fn without_a_configuration_the_usual_ports_are_tried() {
    let (world, sys) = world();
    world.will_reply("127.0.0.1:2525", TAKEN);
    assert_eq!(run_in((world, sys), "sendmail bob", b"x\n").code, exit::OK);
    let done = run_in(self::world(), "sendmail bob", b"x\n");
    assert_eq!(done.code, exit::TRY_AGAIN);
    assert!(done.errors.contains("cannot be reached"), "{}", done.errors);
}

#[test]
fn refusals_are_told_in_the_relays_words() {
    let run = |replies: &[&str], to: &str| {
        let (world, sys) = world();
        world
            .will_reply("127.0.0.1:25", &[["220 relay", "250 relay"].as_slice(), replies].concat());
        run_in((world, sys), &format!("sendmail {to}"), b"x\n")
    };
    let done = run(&["250 OK", "550 5.1.1 Nobody \x1b[1m here", "250 OK", "221 bye"], "bob@x");
    assert_eq!(done.code, exit::UNAVAILABLE);
    assert!(done.errors.starts_with("sendmail: bob@x: 550 5.1.1 Nobody "), "{}", done.errors);
    assert!(!done.errors.contains('\x1b'));
    let later = run(&["250 OK", "451 4.3.0 later", "250 OK", "221 bye"], "bob@x");
    assert_eq!(later.code, exit::TRY_AGAIN);
    let mixed = ["250 OK", "250 OK", "451 4.3.0 later", "354 go", "250 kept", "221 bye"];
    let mixed = run(&mixed, "bob@x eve@x");
    assert_eq!(mixed.code, exit::UNAVAILABLE, "bob must not get it twice");
    assert_eq!(mixed.errors, "sendmail: eve@x: 451 4.3.0 later\n");
    let bad = run(&["250 OK", "250 OK", "354 go", "554 5.6.0 bad", "221 bye"], "bob@x");
    assert_eq!(bad.code, exit::DATA);
    let gone = run(&["250 OK", "250 OK", "354 go"], "bob@x");
    assert_eq!((gone.code, gone.errors.contains("hung up")), (exit::TRY_AGAIN, true));
    let busy = run(&["421 4.3.2 too busy"], "bob@x");
    assert_eq!(
        (busy.code, busy.errors.contains("too busy")),
        (exit::TRY_AGAIN, true),
        "{}",
        busy.errors
    );
}

#[test]
fn many_recipients_go_in_transactions_that_every_server_takes() {
    let (world, sys) = world();
    let most = crate::limits::SENDMAIL_TRANSACTION;
    let transaction = |n: usize| [vec!["250 OK"; n + 1], vec!["354 go", "250 kept"]].concat();
    let replies =
        [vec!["220 relay", "250 relay"], transaction(most), transaction(1), vec!["221 bye"]];
    world.will_reply("127.0.0.1:25", &replies.concat());
    let to: Vec<String> = (0..=most).map(|n| format!("u{n}@x")).collect();
    let done = run_in((world, sys), &format!("sendmail {}", to.join(" ")), b"x\n");
    assert_eq!((done.code, done.errors.as_str()), (exit::OK, ""));
    assert_eq!(done.world.heard(0).matches("MAIL FROM").count(), 2);
    assert_eq!(done.world.heard(0).matches("RCPT TO").count(), most + 1);
}

#[test]
fn a_message_is_read_up_to_its_bound() {
    let input = vec![b'x'; crate::limits::SENDMAIL_BYTES + 1];
    let run = |input: &[u8]| run_in(world(), "sendmail bob@x", input);
    assert_eq!(run(&input).code, exit::DATA);
    assert_eq!(run(&input[1..]).code, exit::TRY_AGAIN, "fits, and there is no relay");
}
