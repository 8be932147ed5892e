"""Local mailboxes: aliases, subaddresses, and the programs that read the Maildir."""
import imaplib
import os
import pty
import re
import smtplib
import subprocess
import time

import dovecot
from bounces import report
from cases import case
from letters import Letter, Raw, same
from script import Script
from senders import hand_in, python
from world import Maildir, folder, until
from waypost import Waypost, relay


def local(address, user="alice", **more):
    letter = Letter(to=address, **more)
    python(letter)
    got = relay().maildir(user).one(letter.mark)
    same(letter.octets, got)
    return letter, got.decode(errors="replace")


@case
def a_local_message_lies_in_the_Maildir_as_it_was_sent():
    letter, got = local("alice@relay.test", body="Grüße\r\n.\r\n".encode() + b"x" * 990 + b"\r\n")
    assert got.startswith("Return-Path: <alice@relay.test>\n"), got[:200]
    assert "\nDelivered-To: alice@relay.test\n" in got.split("\n\n")[0]
    assert relay().maildir("alice").files()[0].split("/")[-2] == "new"


@case
def Dovecot_shows_it_over_IMAP():
    home = os.path.join(dovecot.running(), "home/alice")
    os.makedirs(home)
    w = Waypost("imap", user=dovecot.USER)
    os.symlink(w.maildir("alice").path, home + "/Maildir")
    letter, second = Letter(b"read by IMAP\r\n.\r\n\r\n", to="alice@relay.test"), Letter(to="alice@relay.test")
    hand_in(w, letter)
    w.maildir("alice").one(letter.mark)
    box = imaplib.IMAP4("127.0.0.1", 10143)
    box.login("alice", "right")
    assert box.select("INBOX")[0] == "OK"
    found = box.search(None, "SUBJECT", letter.mark)[1][0].split()
    assert len(found) == 1, found
    got = box.fetch(found[0], "(RFC822)")[1][0][1]
    same(letter.octets, got)
    box.store(found[0], "+FLAGS", "\\Seen")
    # The relay goes on delivering beside it.
    hand_in(w, second)
    w.maildir("alice").one(second.mark)
    box.noop()
    found = box.search(None, "SUBJECT", second.mark)[1][0].split()
    assert len(found) == 1, found
    box.logout()


@case
def mutt_reads_it():
    w = Waypost("mutt")
    letter = Letter(b"read by mutt\r\n", to="alice@relay.test")
    hand_in(w, letter)
    w.maildir("alice").one(letter.mark)
    copy = os.path.join(folder("tmp"), "mutt-" + letter.mark)
    keys = '<limit>~s %s<enter><copy-message>%s<enter><exit>' % (letter.mark, copy)
    master, slave = pty.openpty()
    p = subprocess.Popen(["mutt", "-F", "/dev/null", "-n", "-R", "-f", w.maildir("alice").path, "-e",
                          "set mbox_type=Maildir confirmcreate=no confirmappend=no copy=no delete=no sleep_time=0 sort=date",
                          "-e", "push '%s'" % keys], stdin=slave, stdout=slave, stderr=slave,
                         env=dict(os.environ, TERM="xterm", HOME=folder("tmp")))
    os.close(slave)
    try:
        os.set_blocking(master, False)
        until(lambda: drained(master) or p.poll() is not None or Maildir(copy).find(letter.mark), 15, "mutt's copy")
        same(letter.octets, strip_mutt(Maildir(copy).one(letter.mark, 5)))
    finally:
        p.kill()
        p.wait()
        os.close(master)


def drained(master):
    try:
        os.read(master, 65536)
    except OSError:
        pass
    return False


def strip_mutt(octets):
    """mutt notes the state of a message it copies, and its size, in fields of its own."""
    header, gap, body = octets.partition(b"\n\n")
    return re.sub(rb"(?m)^(Status|X-Status|Content-Length|Lines): .*\n?", b"", header + b"\n").rstrip(b"\n") + gap + body


@case
def an_alias_chain_reaches_each_target_once():
    letter = Letter()
    python(letter, to=["root@relay.test", "admins@relay.test", "bob@relay.test"])
    same(letter.octets, relay().maildir("alice").one(letter.mark))
    same(letter.octets, relay().maildir("bob").one(letter.mark))
    relay().gone(letter.mark)
    assert len(relay().maildir("bob").find(letter.mark)) == 1


@case
def an_alias_may_lead_outside():
    letter = Letter()
    with Script("s30") as server:
        python(letter, to=["outside@relay.test"])
        until(lambda: server.find(letter.mark), 20, "the copy outside")
    same(letter.octets, server.find(letter.mark)[0].octets)
    same(letter.octets, relay().maildir("alice").one(letter.mark))


@case
def a_subaddress_reaches_its_user_and_case_does_not_matter():
    _, got = local("alice+lists@relay.test")
    assert "Delivered-To: alice+lists@relay.test" in got or "Delivered-To: alice@relay.test" in got
    local("ALICE@RELAY.test")


@case
def a_catch_all_gets_what_has_no_other_home():
    w = Waypost("catch", {"catch_all": "bob"})
    letter = Letter(to="whoever@relay.test")
    hand_in(w, letter)
    same(letter.octets, w.maildir("bob").one(letter.mark))


@case
def an_unknown_user_is_refused_and_the_others_get_it():
    letter = Letter()
    refused = python(letter, to=["alice@relay.test", "nosuchuser@relay.test"])
    assert refused["nosuchuser@relay.test"][0] == 550 and b"5.1.1" in refused["nosuchuser@relay.test"][1], refused
    same(letter.octets, relay().maildir("alice").one(letter.mark))


@case
def postmaster_is_always_there():
    c = Raw(relay().smtp, source="127.7.0.200")
    c.hello()
    c.say("MAIL FROM:<eve@evil.test>", "250")
    c.say("RCPT TO:<postmaster@relay.test>", "250")
    c.say("RCPT TO:<Postmaster>", "250")
    c.close()


@case
def success_in_a_mailbox_is_reported_where_it_was_asked_for():
    letter = Letter(to="bob@relay.test")
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
        s.ehlo()
        s.sendmail(letter.sender, [letter.to], letter.octets, ["ENVID=e-" + letter.mark], ["NOTIFY=SUCCESS"])
    r = report(relay().maildir("alice"), letter.mark)
    assert r.only()["Action"] == "delivered" and r.only()["Status"].startswith("2."), r.only()
    assert r.message_fields["Original-Envelope-Id"] == "e-" + letter.mark


@case
def a_full_mailbox_is_told_to_the_sender():
    w = Waypost("quota", {"users": [{"name": "alice"}, {"name": "tiny", "quota": "64K"}]})
    first, second = Letter(b"x\r\n" * 20000, to="tiny@relay.test"), Letter(b"x\r\n" * 20000, to="tiny@relay.test")
    hand_in(w, first)
    w.maildir("tiny").one(first.mark)
    time.sleep(0.1)
    try:
        hand_in(w, second)
    except smtplib.SMTPRecipientsRefused as e:
        assert b".2.2" in e.recipients["tiny@relay.test"][1], e
    else:
        w.logged(second.mark, ".2.2")
    assert not w.maildir("tiny").find(second.mark)


@case
def what_a_stranger_sends_to_an_alias_comes_from_us_outside_and_its_bounce_goes_to_the_stranger():
    w = Waypost("forward", {"aliases": [{"from": "outside", "to": ["carol@s72.test"]}]})

    def hand(sender, to, letter):
        with smtplib.SMTP("127.0.0.1", w.smtp, source_address=("127.7.0.99", 0), timeout=30) as s:
            return s.sendmail(sender, [to], letter.octets)
    letter, bounce = Letter(sender="you@s73.test"), Letter()
    with Script("s72") as outside, Script("s73") as home:
        hand("you@s73.test", "outside@relay.test", letter)
        until(lambda: outside.find(letter.mark), 20, "the copy outside")
        written = re.search("<(SRS0=.*=s73.test=you@relay.test)>", outside.find(letter.mark)[0].mail).group(1)
        hand("", written.lower(), bounce)
        until(lambda: home.find(bounce.mark), 20, "the bounce")
        taken = home.find(bounce.mark)[0]
        assert "<>" in taken.mail and taken.recipients == ["RCPT TO:<you@s73.test>"], (taken.mail, taken.recipients)
        try:
            hand("", written.replace("s73", "s74"), bounce)
            raise AssertionError("anybody may be written to")
        except smtplib.SMTPRecipientsRefused as e:
            assert "5.1.1" in str(e), e
