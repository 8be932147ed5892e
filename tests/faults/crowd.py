"""Crowds of strangers: idle, slow, noisy, in a hurry. Others are served all the while, and memory stays bounded."""
import os
import random
import resource
import selectors
import socket
import threading
import time

from cases import case, slow_case
from ground import SEED, Letter, Raw, Relay, hand_over, room_taken, tell, until

STRANGERS = 2_000
BOUND = 2.0  # seconds for a whole message of a good client while a crowd is there
PSS = 12 * 1024  # KiB; of a relay with its default bounds
resource.setrlimit(resource.RLIMIT_NOFILE, (min(16_384, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)


def address(n):
    """A stranger's: of the networks 127.8.100.0 and following."""
    return "127.8.%d.%d" % (100 + n // 250, n % 250 + 1)


class Crowd:
    """Many connections, each from an address of its own (or `each` from one), that take what is said and say nothing."""

    def __init__(self, w, many=STRANGERS, each=1):
        self.selector, self.heard, self.open = selectors.DefaultSelector(), {}, set()
        self.over = threading.Event()
        for n in range(many):
            s = socket.create_connection(("127.0.0.1", w.smtp), 20, (address(n // each), 0))
            s.setblocking(False)
            self.heard[s] = b""
            self.open.add(s)
            self.selector.register(s, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while not self.over.is_set():
            for key, _ in self.selector.select(0.1):
                try:
                    octets = key.fileobj.recv(1000)
                except OSError:
                    octets = b""
                self.heard[key.fileobj] += octets
                if not octets:
                    self.selector.unregister(key.fileobj)
                    self.open.discard(key.fileobj)

    def settled(self, seconds=20):
        """All have heard something, and who was turned away has seen the end."""
        until(lambda: all(self.heard.values()), seconds, "a word to everybody")
        until(lambda: all(self.heard[s].startswith(b"220") for s in list(self.open)), seconds, "the end of the others")
        return self

    def turned_away(self, *words):
        said = {h for s, h in self.heard.items() if not h.startswith(b"220")}
        assert said and all(h.startswith(b"421 4.3.2") and any(w.encode() in h for w in words) for h in said), list(said)[:3]

    def close(self):
        self.over.set()
        self.thread.join()
        for s in self.heard:
            s.close()


class Good:
    """A client that hands in a message now and then, and how long that took at most. `source`: 127.0.0.1 is trusted."""

    def __init__(self, w, source="127.0.0.1", to="alice@relay.test"):
        self.w, self.source, self.to, self.took, self.wrong, self.over = w, source, to, [], [], threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.over.is_set():
            began = time.time()
            reply = hand_over(self.w, Letter(to=self.to), source=self.source)
            self.took.append(time.time() - began)
            if not reply.startswith("250"):
                self.wrong.append(reply)
            self.over.wait(0.05)

    def stop(self, bound=BOUND):
        self.over.set()
        self.thread.join(60)
        assert self.took and not self.wrong, "%d of %d were told %s" % (len(self.wrong), len(self.took), self.wrong[:2])
        assert max(self.took) < bound, "%.2f s for one message" % max(self.took)
        return "%d messages, the slowest in %.2f s" % (len(self.took), max(self.took))


@slow_case
def two_thousand_idle_strangers_lock_out_neither_the_house_nor_a_stranger_with_mail():
    w = Relay("idle", "s1")
    before = w.pss()
    crowd = Crowd(w).settled()
    good = Good(w)
    try:
        crowd.turned_away("Too many sessions, try again later")
        inside = len(crowd.open)
        assert inside == 48, "%d of 64 places went to strangers" % inside
        time.sleep(2)
        told = good.stop()
        # A device that is not idle by itself has all its places.
        mine = [Raw(w.smtp) for _ in range(16)]
        assert all(c.reply().startswith("220") for c in mine)
        assert "from your address" in Raw(w.smtp).reply()
        # Who has sat there for long makes room for a stranger who has mail.
        letter = Letter(to="alice@relay.test")
        began = time.time()
        until(lambda: hand_over(w, letter, source="127.8.9.9").startswith("250"), 15, "a stranger's place")
        tell("%s; a stranger after %.1f s; %d KiB instead of %d" % (told, time.time() - began, w.pss(), before))
        until(lambda: any(b"nothing came from this one" in h for h in crowd.heard.values()), 5, "421 to who left")
        assert w.pss() < PSS, w.pss()
        assert w.log().count("event=refused") < 250, "a flood in the log"
    finally:
        crowd.close()


@case
def one_address_gets_no_more_than_its_share():
    w = Relay("share", "s2")
    crowd = Crowd(w, 60, each=30).settled()
    try:
        crowd.turned_away("from your address")
        assert len(crowd.open) == 32, len(crowd.open)
        tell(Good(w, "127.8.9.8").stop())
    finally:
        crowd.close()


@case
def two_thousand_sessions_are_held_where_they_are_allowed_also_beyond_the_soft_limit_of_files():
    w = Relay("held", "s3", {"limits": {"sessions": 3000}}, ["prlimit", "--nofile=1024:8192"])
    before = w.pss()
    crowd = Crowd(w).settled()
    good, inside = Good(w), w.pss()
    try:
        assert len(crowd.open) == STRANGERS, len(crowd.open)
        time.sleep(1)
        tell("%s; %d KiB instead of %d, %.1f each" % (good.stop(), inside, before, (inside - before) / STRANGERS))
        assert (inside - before) / STRANGERS < 6, "KiB each"
    finally:
        crowd.close()
    until(lambda: hand_over(w, Letter(to="alice@relay.test")).startswith("250"), 5, "an end of it")


@slow_case
def a_relay_with_too_few_file_descriptors_keeps_some_for_its_work_and_says_so():
    w = Relay("few", "s4", {"limits": {"sessions": 3000}}, ["prlimit", "--nofile=1024:1024"])
    crowd = Crowd(w, 1500)
    good = Good(w)
    try:
        time.sleep(5)
        tell(good.stop(5))
        assert w.p.poll() is None
        assert w.problems("limits.sessions") or "event=accept-failed" in w.log(), "not a word"
        tell("%s" % w.problems("limits.sessions"))
    finally:
        crowd.close()
    until(lambda: hand_over(w, Letter(to="alice@relay.test")).startswith("250"), 5, "an end of it")


@slow_case
def senders_of_an_octet_a_second_give_way_where_they_have_taken_all_places():
    w = Relay("slow", "s5", {"limits": {"sessions": 16}})
    slow, over = [], threading.Event()
    for n in range(12):
        c = Raw(w.smtp, source=address(n))
        c.hello()
        c.envelope("eve@evil.test", "alice@relay.test")
        if n % 2:
            c.say("DATA", "354")
        slow.append(c)

    def drip():
        while not over.wait(1):
            for n, c in enumerate(slow):
                try:
                    c.send("x" if n % 2 else "N")
                except OSError:
                    pass
    dripping = threading.Thread(target=drip, daemon=True)
    dripping.start()
    good = Good(w)
    try:
        assert hand_over(w, Letter(to="alice@relay.test"), source="127.8.9.7").startswith("421")
        began = time.time()
        letter = Letter(to="alice@relay.test")
        until(lambda: hand_over(w, letter, source="127.8.9.7").startswith("250"), 15, "a stranger's place")
        tell("%s; a stranger after %.1f s" % (good.stop(), time.time() - began))
    finally:
        over.set()
        dripping.join()
        for c in slow:
            c.close()


def flood(w, work, seconds=4, threads=8):
    """Strangers who do this again and again; how often, and what a good client and the memory make of it."""
    over, done = threading.Event(), []

    def again(n):
        while not over.is_set():
            try:
                work(n, len(done))
            except OSError:
                pass  # it was hung up on
            done.append(1)
    good = Good(w)
    crowd = [threading.Thread(target=again, args=(n,), daemon=True) for n in range(threads)]
    for t in crowd:
        t.start()
    time.sleep(seconds)
    memory, told = w.pss(), good.stop()
    over.set()
    for t in crowd:
        t.join(20)
    assert memory < PSS, memory
    assert len(done) > 50, len(done)
    tell("%d times; %s; %d KiB" % (len(done), told, memory))


@case
def floods_of_connections_that_hang_up_at_once_delay_nobody():
    w = Relay("hasty", "s6")

    def knock(n, k):
        s = socket.create_connection(("127.0.0.1", w.smtp), 5, (address(n * 50 + k % 50), 0))
        if k % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        s.close()
    flood(w, knock)


@case
def floods_of_nonsense_delay_nobody_and_end():
    w, dice = Relay("noisy", "s7"), random.Random(SEED)
    noise = [b"NONSENSE\r\n" * 500, dice.randbytes(20_000), b"MAIL FROM:<" + b"x" * 20_000, b"\r\n" * 5_000,
             b"EHLO x\r\n" + b"NOOP\r\n" * 3_000, b"EHLO x\r\n" + b"MAIL FROM:<>\r\nRSET\r\n" * 500]

    def shout(n, k):
        s = socket.create_connection(("127.0.0.1", w.smtp), 5, (address(n), 0))
        s.settimeout(5)
        try:
            s.sendall(noise[k % len(noise)])
            s.shutdown(socket.SHUT_WR)
            while s.recv(65_536):
                pass
        finally:
            s.close()
    flood(w, shout)
    # What a stranger can have written is bounded, in the log and on flash.
    w.api("/api/trace?q=x")
    log, index = len(w.log()), room_taken(os.path.join(w.data, "index"))
    tell("%d KiB of log, %d KiB of history" % (log >> 10, index >> 10))
    assert log < 128 << 10 and index < 2 << 20, (log, index)
    # And what is wrong with a device of the house is told all the same.
    Raw(w.smtp).last("MAIL FROM:<camera")
    until(lambda: "peer=127.0.0.1" in w.log(), 5, "a word on the device")


@case
def strangers_who_never_read_their_replies_cost_little_and_delay_nobody():
    w = Relay("deaf", "s8")
    deaf = []
    try:
        for n in range(48):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.bind((address(n), 0))
            s.connect(("127.0.0.1", w.smtp))
            s.setblocking(False)
            deaf.append(s)
        good, began = Good(w), time.time()
        while time.time() < began + 3:
            for s in deaf:
                try:
                    s.send(b"EHLO deaf\r\n" * 2_000)
                except OSError:
                    pass
            time.sleep(0.01)
        memory = w.pss()
        tell("%s; %d KiB" % (good.stop(), memory))
        assert memory < PSS, memory
    finally:
        for s in deaf:
            s.close()
