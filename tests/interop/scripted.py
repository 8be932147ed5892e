"""Receivers that answer by script: refusals for now and for good, broken connections, odd TLS, nonsense."""
import smtplib
import ssl
import time

from bounces import failed, report
from cases import case, slow_case
from letters import Letter, same
from script import CLOSE, Script, tls_context
from senders import arrives, hand_in, python
from waypost import Waypost, relay
from world import until


def first_only(verb, reply, times=1):
    """The reply to the first few of these commands; afterwards the usual."""
    count = []

    def answer(server, session, said, line):
        if said == verb and len(count) < times:
            count.append(line)
            return reply
        return None
    return answer


def taken(server, letter, seconds=25):
    until(lambda: server.find(letter.mark), seconds, "the message at the script")
    relay().gone(letter.mark)
    found = server.find(letter.mark)
    assert len(found) == 1, "%d copies" % len(found)
    same(letter.octets, found[0].octets)
    return found[0]


def comes_through(host, *args, **more):
    letter = Letter(to="carol@%s.test" % host)
    with Script(host, *args, **more) as server:
        python(letter)
        return server, letter, taken(server, letter)


@case
def what_is_refused_for_now_is_tried_again_by_itself():
    _, letter, _ = comes_through("s1", first_only("RCPT", "451 4.7.1 greylisted, come back", 2))
    assert len(relay().logged(letter.mark, "event=deferred", "451 4.7.1 greylisted, come back")) == 2


@case
def a_refusal_for_now_at_the_final_dot_is_tried_again():
    comes_through("s2", first_only("DOT", "452 4.3.1 disk full"))


@case
def a_421_at_RCPT_is_tried_again():
    comes_through("s3", first_only("RCPT", "421 4.3.2 shutting down"))


@case
def a_server_that_hangs_up_after_the_final_dot_is_tried_again():
    comes_through("s4", first_only("DOT", CLOSE))


@case
def a_server_that_hangs_up_at_once_or_talks_nonsense_is_tried_again():
    comes_through("s5", first_only("CONNECT", CLOSE))
    comes_through("s6", first_only("CONNECT", "\udcff\udc80 nonsense \udcfe"))
    comes_through("s7", first_only("MAIL", "nonsense"))
    comes_through("s8", first_only("CONNECT", "421 4.3.2 too busy"))


@case
def of_three_recipients_one_is_refused_and_only_that_one_bounces():
    words = "550 5.1.1 <b@s9.test>: nobody of that name; ask the hostmaster"
    letter = Letter(to="a@s9.test")
    with Script("s9", lambda *a: words if a[2] == "RCPT" and "<b@" in a[3] else None) as server:
        python(letter, to=["a@s9.test", "b@s9.test", "c@s9.test"])
        got = taken(server, letter)
    assert sorted(r.split("<")[1].split(">")[0] for r in got.recipients) == ["a@s9.test", "c@s9.test"]
    fields = failed(relay(), letter, "5.1.1")
    assert fields["Final-Recipient"] == "rfc822; b@s9.test" or fields["Final-Recipient"] == "rfc822;b@s9.test"
    assert "".join(fields["Diagnostic-Code"].split()) == "".join(("smtp;" + words).split()), fields["Diagnostic-Code"]
    assert "mx.s9.test" in fields["Remote-MTA"]


@case
def a_message_refused_for_good_at_the_final_dot_bounces_with_the_exact_words():
    letter = Letter(to="carol@s10.test")
    with Script("s10", lambda *a: "554 5.7.1 we think it is spam" if a[2] == "DOT" else None):
        python(letter)
        failed(relay(), letter, "5.7.1", "we think it is spam")


@case
def a_server_that_takes_one_recipient_at_a_time_gets_all_of_them_at_once():
    w = Waypost("one", {"retry": {"first": "1h", "max": "4h"}})

    def answer(server, session, verb, line):
        since_mail = " ".join(said for n, said in server.said if n == session).split("MAIL FROM")[-1]
        return "452 4.5.3 too many recipients" if verb == "RCPT" and since_mail.count("RCPT TO") > 1 else None
    letter = Letter()
    with Script("s11", answer, extensions=()) as server:
        hand_in(w, letter, to=["a@s11.test", "b@s11.test", "c@s11.test"])
        until(lambda: len(server.find(letter.mark)) == 3, 10, "three copies")
    assert len({t.recipients[0] for t in server.find(letter.mark)}) == 3


@case
def a_server_that_only_knows_HELO_gets_it():
    server, _, _ = comes_through("s12", lambda *a: "502 5.5.1 what?" if a[2] == "EHLO" else None)
    assert any(line.startswith("HELO") for _, line in server.said)


@case
def what_is_too_large_for_the_server_bounces_without_being_sent():
    letter = Letter(b"x" * 900 + b"\r\n", to="carol@s13.test")
    with Script("s13", extensions=("SIZE 500",)) as server:
        python(letter)
        failed(relay(), letter, "5.3.4")
    assert not any(line.startswith("DATA") for _, line in server.said)


@case
def an_internationalised_address_for_a_server_without_SMTPUTF8_bounces():
    letter = Letter(to="josé@s14.test")
    with Script("s14") as server:
        with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
            s.ehlo()
            s.sendmail(letter.sender, [letter.to], letter.octets, ["SMTPUTF8"])
        r = report(relay().maildir("alice"), letter.mark)
    assert r.only()["Status"] == "5.6.7" and "josé@s14.test" in r.only()["Final-Recipient"], r.only()
    assert not server.taken


@case
def a_server_that_speaks_TLS_1_2_only_is_spoken_to_over_TLS():
    _, letter, got = comes_through("s15", tls=tls_context(most=ssl.TLSVersion.TLSv1_2))
    assert got.tls[0] == "TLSv1.2", got.tls
    relay().logged(letter.mark, "event=encrypted", "TLS")


@case
def a_server_with_P256_or_P384_only_and_an_ECDSA_key_is_spoken_to_over_TLS():
    _, _, got = comes_through("s17", tls=tls_context("ec", least=ssl.TLSVersion.TLSv1_3, curve="prime256v1"))
    assert got.tls[0] == "TLSv1.3", got.tls
    _, _, got = comes_through("s18", tls=tls_context("ec", curve="secp384r1"))
    assert got.tls, "in the clear"


@case
def where_STARTTLS_is_refused_or_answered_with_nonsense_it_goes_in_the_clear():
    _, letter, got = comes_through("s20", tls="this is no handshake at all\r\n")
    assert not got.tls
    relay().logged(letter.mark, "event=in-clear")
    _, _, got = comes_through("s19", lambda *a: "454 4.7.0 not now" if a[2] == "STARTTLS" else None, tls=tls_context())
    assert not got.tls


@case
def what_a_server_says_between_STARTTLS_and_the_handshake_is_discarded():
    def injects(server, session, verb, line):
        return "220 go ahead\r\n250 injected\r\n250 injected" if verb == "STARTTLS" else None
    _, letter, got = comes_through("s31", injects, tls=tls_context())
    assert got.tls and "injected" not in "".join(relay().logged(letter.mark))


@case
def a_slow_server_holds_up_nobody_else():
    def slow(server, session, verb, line):
        if verb == "DOT":
            time.sleep(6)
    with Script("s21", slow) as server:
        slowly, quickly = Letter(to="carol@s21.test"), Letter(to="carol@postfix.test")
        python(slowly)
        until(lambda: server.said and server.said[-1][1] == ".", 10, "the dot")
        began = time.time()
        python(quickly)
        arrives(quickly)
        assert time.time() - began < 5 and not server.taken
        taken(server, slowly)


@slow_case
def what_is_never_taken_bounces_when_its_lifetime_is_over_after_one_warning():
    w = Waypost("short", {"retry": {"first": "1s", "max": "2s", "lifetime": "90s", "warn_after": "1m"}})
    letter = Letter(to="carol@s22.test")
    with Script("s22", lambda *a: "451 4.2.0 mailbox busy" if a[2] == "RCPT" else None):
        hand_in(w, letter)
        box = w.maildir("alice")
        first = report(box, letter.mark, 90)
        assert first.only()["Action"] == "delayed" and "mailbox busy" in str(first.only()["Diagnostic-Code"])
        until(lambda: len(box.find(letter.mark)) == 2, 90, "the bounce")
    assert b"Action: failed" in box.find(letter.mark)[0] + box.find(letter.mark)[1]
    w.empty()


@case
def two_hundred_messages_for_one_domain_use_few_sessions():
    letters = [Letter(to="carol@s23.test") for _ in range(200)]
    with Script("s23") as server:
        with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=60) as s:
            for letter in letters:
                s.sendmail(letter.sender, [letter.to], letter.octets)
        until(lambda: len(server.taken) >= 200, 40, "200 messages")
        assert len(server.taken) == 200
        assert server.sessions < 100, server.sessions
