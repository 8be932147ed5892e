"""Receivers that do their worst: endless, late and broken replies, TLS that ends in the middle or goes on about itself."""
import os
import queue
import subprocess
import threading
import time

import world
from cases import case
from letters import Letter, same
from script import CLOSE, Script, tls_context
from scripted import comes_through, first_only, taken
from senders import arrives, hand_in, python
from waypost import Waypost, relay
from world import HOSTS, certificate, folder, until


def memory(w):
    """Resident memory in octets."""
    with open("/proc/%d/status" % w.p.pid) as f:
        return [int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS")][0]


def attempts(letter):
    return len([line for line in relay().log().splitlines() if letter.mark in line and "event=deferred" in line])


@case
def two_megabytes_of_reply_are_not_kept_and_the_mail_comes_through():
    relay().cli("queue")
    before = memory(relay())
    flood = "\r\n".join("250-%s" % ("x" * 1000) for _ in range(2000)) + "\r\n250 ok"
    for host, verb in (("s52", "EHLO"), ("s53", "MAIL"), ("s54", "CONNECT")):
        _, letter, _ = comes_through(host, first_only(verb, flood))
        assert relay().logged(letter.mark, "did not end"), host
    grown = memory(relay()) - before
    assert grown < 2_000_000, grown


@case
def a_reply_line_without_end_is_given_up_and_the_mail_comes_through():
    _, letter, _ = comes_through("s55", first_only("RCPT", "250 " + "x" * 200_000))
    assert relay().logged(letter.mark, "did not end")


@case
def a_reply_that_comes_an_octet_at_a_time_is_waited_for_and_holds_up_nobody_else():
    def drips(s):
        for octet in b"250-script.test\r\n250 8BITMIME\r\n":
            s.sendall(bytes([octet]))
            time.sleep(0.2)
        return True
    with Script("s56", lambda *a: drips if a[2] == "EHLO" else None) as server:
        slowly, quickly = Letter(to="carol@s56.test"), Letter()
        python(slowly)
        until(lambda: server.said and server.said[-1][1].startswith("EHLO"), 10, "EHLO")
        began = time.time()
        python(quickly)
        arrives(quickly)
        assert time.time() - began < 4 and not server.taken
        taken(server, slowly)
    assert attempts(slowly) == 0


@case
def a_421_that_nobody_asked_for_is_no_answer_to_the_next_command():
    comes_through("s57", first_only("RCPT", "250 2.1.5 fine\r\n421 4.3.2 shutting down"))


@case
def a_421_to_an_idle_connection_costs_the_next_message_no_attempt():
    def leaves(s):
        s.sendall(b"250 2.0.0 taken\r\n")

        def later():
            time.sleep(0.4)
            try:
                s.sendall(b"421 4.4.2 idle for too long\r\n")
                s.close()
            except OSError:
                pass
        threading.Thread(target=later, daemon=True).start()
        return True
    w = Waypost("idle", {"retry": {"first": "1h", "max": "4h"}})
    with Script("s58", lambda *a: leaves if a[2] == "DOT" and a[1] == 1 else None) as server:
        first, second = Letter(to="carol@s58.test"), Letter(to="carol@s58.test")
        hand_in(w, first)
        until(lambda: server.find(first.mark), 10, "the first")
        time.sleep(0.8)
        hand_in(w, second)
        until(lambda: server.find(second.mark), 10, "the second")
        w.empty()
    assert "event=deferred" not in w.log()


@case
def a_connection_that_breaks_within_the_message_repeats_it_whole():
    body = b"".join(b"line %06d of many\r\n" % n for n in range(20_000))
    letter = Letter(body, to="carol@s59.test")
    with Script("s59", cuts=[100_000, 300_000]) as server:
        python(letter)
        taken(server, letter, 30)
    assert server.sessions >= 3, server.sessions


@case
def TLS_that_ends_in_the_handshake_makes_it_go_in_the_clear():
    def breaks(s):
        s.recv(100)
        s.sendall(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03")  # the beginning of a ServerHello
    _, letter, got = comes_through("s60", tls=breaks)
    assert not got.tls
    relay().logged(letter.mark, "event=in-clear")


@case
def TLS_that_ends_within_the_message_is_tried_again_over_TLS():
    body = b"".join(b"line %06d of many\r\n" % n for n in range(20_000))
    letter = Letter(body, to="carol@s61.test")
    with Script("s61", tls=tls_context(), cuts=[150_000]) as server:
        python(letter)
        got = taken(server, letter, 30)
    assert got.tls and server.sessions >= 2


@case
def a_server_that_hangs_up_at_any_command_is_tried_again():
    for host, verb in (("s62", "EHLO"), ("s63", "MAIL"), ("s64", "RCPT"), ("s65", "DATA")):
        comes_through(host, first_only(verb, CLOSE))


class Talker:
    """openssl's own server at port 465, which can say of TLS what others do not: a dialogue by its standard input. `surprise`
    is written after each reply: K asks for new keys of both sides, k renews its own."""

    def __init__(self, host, surprise, *options):
        base = os.path.join(folder("tmp"), "talker")
        if not os.path.exists(base + ".pem"):
            certificate(base + ".pem", base + ".key", "mx.script.test")
        self.heard, self.surprise = b"", surprise
        # Connections so far, and what came by which of them: who has gone is not answered any more.
        self.number, self.lines = 0, queue.Queue()
        self.p = subprocess.Popen(
            ["openssl", "s_server", "-accept", HOSTS[host] + ":465", "-cert", base + ".pem", "-key", base + ".key", "-crlf",
             *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        world.started.append(self.p)
        self.ready = threading.Event()
        for work in (self.listen, self.serve):
            threading.Thread(target=work, daemon=True).start()
        assert self.ready.wait(10), "openssl does not listen"

    def say(self, line):
        for words in [line] + ([self.surprise] if self.surprise else []):
            try:
                self.p.stdin.write(words + b"\n")
                self.p.stdin.flush()
            except BrokenPipeError:
                return  # it has ended
            time.sleep(0.1 if self.surprise else 0)  # it looks at the first octet of what it reads at once

    def listen(self):
        for line in self.p.stdout:
            if line.startswith(b"ACCEPT"):
                self.ready.set()
            self.number += line.startswith(b"CIPHER is")
            self.lines.put((self.number, line))

    def serve(self):
        in_data = False
        while self.p.poll() is None:
            number, line = self.lines.get()
            if number != self.number:
                continue
            if line.startswith(b"CIPHER is"):
                self.say(b"220 talker ready")
            if line.startswith((b"SSL_do_handshake", b"Read BLOCK", b"Write BLOCK")):
                continue  # its own words
            if in_data:
                self.heard += line
                if line.strip() == b".":
                    in_data = False
                    self.say(b"250 2.0.0 taken")
            elif line.startswith((b"EHLO", b"MAIL", b"RCPT")):
                self.say(b"250 2.0.0 ok")
            elif line.startswith(b"DATA"):
                in_data = True
                self.say(b"354 go on")
            elif line.startswith(b"QUIT"):
                self.say(b"221 2.0.0 bye")


def talks(host, surprise, *options):
    w = Waypost("tls-" + host, {"routes": [{"for": "*", "via": HOSTS[host] + ":465", "tls": "require"}],
                                "retry": {"first": "1h", "max": "4h"}})
    server = Talker(host, surprise, *options)
    letter = Letter(to="carol@anywhere.example")
    hand_in(w, letter)
    w.logged(letter.mark, "event=delivered", "TLSv1.3")
    w.empty()
    world.stop(server.p)
    same(letter.octets, server.heard.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")[:-3])


@case
def two_hundred_session_tickets_after_the_handshake_disturb_nothing():
    talks("s66", None, "-tls1_3", "-num_tickets", "200")


@case
def new_keys_between_any_two_replies_disturb_nothing():
    talks("s67", b"k", "-tls1_3")
    talks("s68", b"K", "-tls1_3")
