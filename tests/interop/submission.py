"""Submission: logins over TLS, and what is done for our own users' and devices' messages."""
import json
import os
import smtplib

import postfix
from cases import case
from letters import Letter, Raw, crlf, same
from senders import any_tls, arrives, python, swaks
from strangers import STRANGER
from waypost import Waypost, relay


def logged_in(user="alice", password="wonderland", source=None):
    s = smtplib.SMTP("127.0.0.1", relay().submission, timeout=30, source_address=(source, 0) if source else None)
    s.starttls(context=any_tls())
    s.login(user, password)
    return s


@case
def swaks_logs_in_after_STARTTLS_with_PLAIN_and_with_LOGIN():
    for way in ("PLAIN", "LOGIN"):
        letter = Letter()
        said = swaks(letter, relay().submission, "--tls", "--auth", way, "-au", "alice", "-ap", "wonderland",
                     "--local-interface", STRANGER)
        assert "235 2.7.0" in said, said
        assert "ESMTPSA" in arrives(letter)


@case
def swaks_logs_in_over_implicit_TLS():
    letter = Letter()
    swaks(letter, relay().submissions, "--tls-on-connect", "--auth", "PLAIN", "-au", "alice", "-ap", "wonderland",
          "--local-interface", STRANGER)
    assert "ESMTPSA" in arrives(letter)


@case
def a_login_gives_a_stranger_the_right_to_relay_and_none_does_not():
    with logged_in(source=STRANGER) as s:
        letter = Letter()
        s.sendmail(letter.sender, [letter.to], letter.octets)
    arrives(letter)
    c = Raw(relay().submission, source=STRANGER)
    assert "AUTH" not in c.hello(), "AUTH is offered in the clear"
    assert c.say("AUTH PLAIN AGFsaWNlAHdvbmRlcmxhbmQ=")[0] == "5"
    c.say("STARTTLS", "220")
    c.starttls()
    assert "AUTH PLAIN LOGIN" in c.say("EHLO client.test", "250")
    assert c.say("MAIL FROM:<alice@relay.test>").startswith("530 5.7.0")
    c.close()


@case
def a_wrong_password_is_refused_and_logged_without_the_password():
    try:
        logged_in(password="guessed-it", source="127.7.0.201")
        raise AssertionError("logged in")
    except smtplib.SMTPAuthenticationError as e:
        assert e.smtp_code == 535 and b"5.7.8" in e.smtp_error, e
    relay().logged("127.7.0.201", "alice")
    assert "guessed-it" not in relay().log()
    assert "wonderland" not in relay().log()


@case
def many_wrong_passwords_from_one_address_stop_that_address_only():
    codes = []
    for n in range(8):
        try:
            logged_in(password="guess%d" % n, source="127.7.0.202")
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPResponseException) as e:
            codes.append(e.smtp_code)
        except (smtplib.SMTPServerDisconnected, OSError):
            codes.append(0)
    assert codes[0] == 535 and codes[-1] != 535, codes
    try:
        logged_in(source="127.7.0.202")
        raise AssertionError("the right password passes after %s" % codes)
    except (smtplib.SMTPException, OSError):
        pass
    logged_in(source="127.7.0.203").quit()


@case
def a_user_may_send_only_as_an_address_that_is_theirs():
    with logged_in(source=STRANGER) as s:
        code, text = s.mail("bob@relay.test")
        if code == 250:
            code, text = s.rcpt("carol@postfix.test")
        assert code // 100 == 5 and b"5.7." in text, (code, text)
        s.rset()
        assert s.mail("alice+shop@relay.test")[0] == 250


@case
def what_a_device_leaves_out_is_added_and_Bcc_is_removed():
    letter = Letter(fields=[("Bcc", "hidden@postfix.test")], without=("Date", "Message-ID", "From"))
    python(letter)
    arrives(letter, added=("Date", "Message-ID", "From"), removed=("Bcc",))
    got = postfix.with_tls().box.one(letter.mark)
    assert b"From: alice@relay.test" in got or b"<alice@relay.test>" in got, got


@case
def a_message_without_any_header_is_made_whole():
    letter = Letter()
    python(letter, octets=b"\r\nmotion at the door %s\r\n" % letter.mark.encode())
    got = crlf(postfix.with_tls().box.one(letter.mark))
    same(b"\r\nmotion at the door %s\r\n" % letter.mark.encode(), got, added=("Date", "Message-ID", "From", "To"))


@case
def a_strangers_message_is_not_touched():
    letter = Letter(fields=[("Bcc", "x@y.test")], without=("Date", "Message-ID"), sender="eve@evil.test", to="alice@relay.test")
    c = Raw(relay().smtp, source=STRANGER)
    c.hello()
    c.envelope(letter.sender, letter.to)
    c.say("DATA", "354")
    c.send(letter.octets + b".\r\n")
    assert c.reply().startswith("250")
    same(letter.octets, relay().maildir("alice").one(letter.mark))


@case
def addresses_without_a_domain_are_completed():
    letter = Letter()
    sent = letter.octets.replace(b"Alice <alice@relay.test>", b"alice")
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
        s.sendmail("alice", ["bob"], sent)
    got = relay().maildir("bob").one(letter.mark)
    assert b"From: alice@relay.test" in got, got
    assert b"Return-Path: <alice@relay.test>" in got, got


@case
def a_message_over_the_limit_is_refused_before_and_after_it_is_sent():
    w = Waypost("small", {"limits": {"message": "64K"}})
    c = Raw(w.smtp)
    c.hello()
    assert c.say("MAIL FROM:<alice@relay.test> SIZE=100000").startswith("552 5.3.4")
    c.envelope("alice@relay.test", "bob@relay.test")
    c.say("DATA", "354")
    c.send((b"x" * 998 + b"\r\n") * 100 + b".\r\n")
    reply = c.reply()
    assert reply.startswith("552 5.3.4"), reply
    c.say("NOOP", "250")
    c.close()
    assert w.maildir("bob").messages() == []


@case
def passwords_in_clear_do_not_stay_in_the_file():
    w = relay()
    text = open(os.path.join(w.data, "waypost.json")).read()
    secrets = os.path.join(w.data, "secrets.json")
    assert "wonderland" not in text
    assert os.stat(secrets).st_mode & 0o777 == 0o600
    assert "$argon2id$" in text + open(secrets).read()
    assert json.loads(text)["users"][0]["name"] == "alice"
