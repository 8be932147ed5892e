"""Signals and sudden death."""
import os
import signal
import smtplib
import ssl
import threading
import time

from cases import case, slow_case
from letters import Letter, Raw, same
from script import Script
from senders import any_tls, hand_in
from waypost import Waypost
from world import certificate, listening, run, until


class Load:
    """Ten senders; what was acknowledged is known for certain, what was not is tried again under another mark."""

    def __init__(self, w, host, messages=300, threads=10):
        self.w, self.host, self.acknowledged, self.unsure = w, host, [], []
        self.left = list(range(messages))
        self.threads = [threading.Thread(target=self.send, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def send(self):
        give_up = time.time() + 60
        while self.left and time.time() < give_up:
            letter = Letter(os.urandom(600).hex().encode() + b"\r\n")
            try:
                hand_in(self.w, letter, to=["alice@relay.test", "carol@%s.test" % self.host])
                self.acknowledged.append(letter)
                self.left.pop()
            except IndexError:
                pass
            except (smtplib.SMTPException, OSError):
                self.unsure.append(letter)
                time.sleep(0.05)

    def join(self):
        for t in self.threads:
            t.join(70)


@case
def nothing_acknowledged_is_lost_when_it_is_killed_in_the_middle():
    w = Waypost("crash")
    load = Load(w, "s24")
    for part in (80, 160, 240):
        until(lambda: len(load.acknowledged) >= part, 40, "%d messages" % part)
        w.down(signal.SIGKILL)
        w.up()
    load.join()
    assert len(load.acknowledged) >= 300, len(load.acknowledged)
    w.down(signal.SIGKILL)
    with Script("s24") as server:
        w.up()
        w.empty(60)
        taken = b"\n".join(t.octets for t in server.taken)
    local = w.maildir("alice").messages()
    for letter in load.acknowledged:
        copies = [m for m in local if letter.mark.encode() + b"@" in m]
        assert len(copies) == 1, "%s is %d times in the Maildir" % (letter.mark, len(copies))
        same(letter.octets, copies[0])
        assert letter.mark.encode() + b"@" in taken, "%s did not reach the script" % letter.mark
    for letter in load.unsure:
        assert len([m for m in local if letter.mark.encode() + b"@" in m]) <= 1


@case
def a_large_message_survives_being_killed():
    w = Waypost("crashlarge")
    letter = Letter(os.urandom(1_500_000).hex().encode().replace(b"00", b"\r\n"), to="carol@s25.test")
    hand_in(w, letter)
    w.down(signal.SIGKILL)
    with Script("s25") as server:
        w.up()
        until(lambda: server.find(letter.mark), 30, "the message")
    same(letter.octets + (b"" if letter.octets.endswith(b"\r\n") else b"\r\n"), server.find(letter.mark)[0].octets)


@case
def SIGTERM_finishes_what_is_in_flight_and_ends():
    def slow(server, session, verb, line):
        if verb == "DOT":
            time.sleep(2)
    w = Waypost("term")
    letter, waits = Letter(to="carol@s26.test"), Letter(to="carol@down.test")
    with Script("s26", slow) as server:
        hand_in(w, waits)
        hand_in(w, letter)
        idle = Raw(w.smtp)
        idle.hello()
        until(lambda: server.said and server.said[-1][1] == ".", 10, "the dot")
        began = time.time()
        code = w.down()
        took = time.time() - began
        assert code == 0, "exit %s" % code
        assert took < 8, took
        assert len(server.find(letter.mark)) == 1
        assert idle.reply().startswith("421"), "the idle client was not told"
        idle.close()
        w.up()
        w.waiting(waits.mark)
        time.sleep(2.5)
        assert len(server.find(letter.mark)) == 1, "sent again after the restart"


@case
def SIGHUP_reads_the_configuration_again():
    w = Waypost("hup")
    path = os.path.join(w.data, "waypost.json")
    letter = Letter(to="new@relay.test")
    try:
        hand_in(w, letter)
        raise AssertionError("took mail for nobody")
    except smtplib.SMTPRecipientsRefused:
        pass
    text = open(path).read()
    with open(path, "w") as f:
        f.write(text.replace('"name":"bob"', '"name":"new"').replace('"name": "bob"', '"name": "new"'))
    w.p.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    hand_in(w, letter)
    w.maildir("new").one(letter.mark)
    with open(path, "w") as f:
        f.write("{ broken")
    w.p.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert w.p.poll() is None and listening("127.0.0.1", w.smtp), "a broken file ended the relay"
    letter = Letter(to="new@relay.test")
    hand_in(w, letter)
    w.maildir("new").one(letter.mark)


def subject(port):
    args = ["openssl", "s_client", "-starttls", "smtp", "-connect", "127.0.0.1:%d" % port]
    return run(args, stdin=b"QUIT\r\n", check=False).split("subject=")[1].split("\n")[0]


@slow_case
def a_certificate_that_changes_on_disk_is_used_at_once():
    w = Waypost("made")
    assert "relay.test" in subject(w.smtp)
    own = os.path.join(w.data, "own.pem"), os.path.join(w.data, "own.key")
    certificate(*own, "first.test")
    w = Waypost("cert", {"tls": {"certificate": own[0], "key": own[1]}})
    assert "first.test" in subject(w.smtp)
    certificate(own[0] + "2", own[1] + "2", "second.test")
    os.rename(own[1] + "2", own[1])
    os.rename(own[0] + "2", own[0])
    until(lambda: "second.test" in subject(w.smtp), 90, "the new certificate")


@case
def old_TLS_is_not_spoken_and_both_new_ones_are():
    w = Waypost("versions")
    for version, good in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        args = ["openssl", "s_client", "-starttls", "smtp", version, "-cipher", "DEFAULT@SECLEVEL=0", "-connect", "127.0.0.1:%d" % w.smtp]
        text = run(args, stdin=b"QUIT\r\n", check=False)
        assert ("Cipher is (NONE)" not in text and "Cipher is" in text) == good, (version, text[-800:])
    with smtplib.SMTP("127.0.0.1", w.smtp) as s:
        s.starttls(context=any_tls())
        assert s.ehlo()[0] == 250 and not s.has_extn("STARTTLS")
        assert isinstance(s.sock, ssl.SSLSocket)
