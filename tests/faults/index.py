"""The history is lost, damaged or without room, and mail flows on. The page says what happened; a new history begins."""
import json
import os
import random
import signal
import time

from cases import case, slow_case
from ground import SEED, Image, Letter, Relay, Script, folder, hand_over, losses, remove, run, tell, text, until

ACROSS = ["alice@relay.test", "carol@far.test"]


class Book:
    """A relay, its next server, and the mail so far."""

    def __init__(self, name, sink, config=None):
        self.relay, self.server, self.letters = Relay(name, sink, config), Script(sink), []
        self.index = os.path.join(self.relay.data, "index")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    def flows(self, messages=3):
        """Mail goes through at once, both ways."""
        fresh = [Letter(text(random.Random(SEED + len(self.letters) + n), 700), to=ACROSS[-1]) for n in range(messages)]
        began = time.time()
        for letter in fresh:
            assert hand_over(self.relay, letter, ACROSS).startswith("250")
        for letter in fresh:
            until(lambda: self.server.find(letter.mark), 5, "the message at the next server")
            self.relay.maildir("alice").one(letter.mark, 5)
        assert time.time() - began < 5, time.time() - began
        self.letters += fresh

    def traced(self, letter, *words):
        """What the page says of a message; also a broken history answers from memory."""
        text = json.dumps(self.relay.api("/api/trace?q=" + letter.mark + "@sender.test"))
        return all(w in text for w in words)

    def known(self, seconds=10):
        """The last message is in the history that is on disk, and found there by a relay that starts."""
        until(lambda: self.traced(self.letters[-1], "Accepted", "taken as number"), seconds, "the trace")
        self.relay.down()
        self.relay.up()
        until(lambda: self.traced(self.letters[-1], "Accepted", "taken as number"), seconds, "the trace after a restart")

    def said(self, *words):
        """The page says so."""
        problems = self.relay.problems("index")
        assert problems and all(any(w in p.lower() for p in problems) for w in words), problems

    def over(self):
        self.relay.drained()
        time.sleep(0.05)
        wrong = losses(self.letters, [], [t.octets for t in self.server.taken])
        wrong += losses(self.letters, [], self.relay.maildir("alice").messages(), once=True)
        assert not wrong, wrong[:3]
        assert self.relay.p.poll() is None and "event=panic" not in self.relay.log()


def begun(book):
    """There is a history, on disk."""
    book.flows()
    assert book.traced(book.letters[0], "Accepted")
    until(lambda: os.path.exists(os.path.join(book.index, "db")), 5, "the index")


@case
def a_history_that_is_removed_while_it_runs_begins_anew():
    with Book("index-gone", "s30") as book:
        begun(book)
        remove(book.index)
        book.flows()
        book.traced(book.letters[-1])
        book.flows()
        # The keeper that has it open ends when it was not needed for a while.
        time.sleep(4)
        remove(book.index)
        book.flows()
        book.known()
        book.over()


@case
def a_history_that_cannot_be_a_history_is_moved_aside():
    def file(path):
        with open(path, "wb") as f:
            f.write(b"not a directory")

    def link(path):
        os.symlink("/nonexistent/elsewhere", path)

    def garbage(path):
        os.mkdir(path)
        for name in ("db", "conf"):
            with open(os.path.join(path, name), "wb") as f:
                f.write(random.Random(SEED).randbytes(300_000))

    def folders(path):
        os.makedirs(os.path.join(path, "db", "x"))
        os.makedirs(os.path.join(path, "conf"))
    with Book("index-odd", "s31") as book:
        for n, make in enumerate((file, garbage, folders, link)):
            begun(book) if n == 0 else book.flows()
            book.relay.down()
            remove(book.index)
            make(book.index)
            book.relay.up()
            book.flows()
            book.traced(book.letters[-1])
            tell("%s: %s" % (make.__name__, book.relay.problems("index")))
            book.said("history")
            book.flows()
            book.known(15)
        book.over()


@case
def bits_that_flip_in_the_history_cost_the_history_at_most():
    dice = random.Random(SEED)
    with Book("index-bits", "s32") as book:
        begun(book)
        told = []
        for n in range(24):
            book.flows(1)
            book.traced(book.letters[-1])
            if n % 2:
                book.relay.down(signal.SIGKILL if n % 4 == 1 else signal.SIGTERM)
            paths = [os.path.join(d, f) for d, _, names in os.walk(book.index) for f in names]
            paths = [p for p in paths if os.path.getsize(p)]
            with open(dice.choice(paths), "r+b") as f:
                for _ in range(8):
                    place = dice.randrange(min(os.path.getsize(f.name), 60_000))
                    f.seek(place)
                    octet = f.read(1)[0]
                    f.seek(place)
                    f.write(bytes([octet ^ 1 << dice.randrange(8)]))
            if n % 2:
                book.relay.up()
            book.flows(1)
            for letter in dice.sample(book.letters, 2):
                book.traced(letter)
            told += book.relay.problems("index")
        tell("told %d times: %s" % (len(told), sorted({t[:60] for t in told})))
        assert any("starts anew" in t for t in told), told
        book.flows()
        book.known(20)
        book.over()


@slow_case
def a_history_without_room_costs_no_mail_and_goes_on_when_there_is_some():
    with Book("index-full", "s33") as book:
        book.relay.down()
        with Image(book.index, 4) as image:
            image.fill()
            book.relay.up()
            for _ in range(3):
                book.flows(20)
                book.traced(book.letters[-1])
            tell("full: %s" % book.relay.problems("index"))
            book.said("history")
            image.empty()
            until(lambda: book.traced(book.letters[-1], "Accepted", "taken as number"), 10, "the trace from memory")
            # It rests for a minute, and then goes on by itself.
            until(lambda: os.path.exists(os.path.join(book.index, "db")) and
                  os.path.getsize(os.path.join(book.index, "db")) > 1000 and not book.relay.problems("index"), 150,
                  "a history without trouble; it says %s" % book.relay.problems("index"))
            book.flows()
            book.known()
            book.over()
            book.relay.down()


@case
def a_directory_that_nothing_can_be_written_to_costs_the_history_only():
    with Image(os.path.join(folder("waypost"), "index-fixed"), 64), Book("index-fixed", "s34") as book:
        begun(book)
        time.sleep(4)
        run(["chattr", "-R", "+i", book.index])
        book.flows()
        book.traced(book.letters[-1])
        tell("immutable: %s" % book.relay.problems("index"))
        book.said("history")
        book.flows()
        run(["chattr", "-R", "-i", book.index])
        book.relay.down()
        book.relay.up()
        book.flows()
        book.known()
        book.over()


@case
def a_history_whose_keeper_is_killed_goes_on():
    with Book("index-killed", "s35") as book:
        begun(book)
        for _ in range(5):
            book.flows()
            book.traced(book.letters[-1])
            with open("/proc/%d/task/%d/children" % (book.relay.p.pid, book.relay.p.pid)) as f:
                children = [int(n) for n in f.read().split()]
            threads = os.listdir("/proc/%d/task" % book.relay.p.pid)
            for thread in threads:
                with open("/proc/%d/task/%s/children" % (book.relay.p.pid, thread)) as f:
                    children += [int(n) for n in f.read().split()]
            for child in set(children):
                os.kill(child, signal.SIGKILL)
            book.flows(1)
            assert book.traced(book.letters[-1], "Accepted"), "the trace right after"
        book.known()
        book.over()
