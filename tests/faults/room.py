"""No room: the spool has reached its bound, the file system is full, the Maildir's is. Senders are told to come back,
nothing is lost, and it ends by itself when there is room again."""
import os
import random
import signal
import threading
import time

from cases import case, slow_case
from ground import SEED, Image, Letter, Raw, Relay, Script, Senders, folder, hand_over, losses, room_taken, tell, text, until

MIB = 1 << 20
SPARE = 8 * MIB  # limits::FILE_SYSTEM_SPARE_BYTES


class Watch:
    """Samples something all the time, and knows the most (or least) there was."""

    def __init__(self, measure):
        self.seen, self.over, self.measure = [], threading.Event(), measure
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.over.wait(0.005):
            self.seen.append(self.measure())

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.seen


def fill_up(w, octets, to, kept, size=False):
    """Hand in messages of so many octets until one is refused; the reply."""
    dice = random.Random(SEED + octets)
    for _ in range(2000):
        letter = Letter(text(dice, octets), to=to)
        reply = hand_over(w, letter, size=size)
        if not reply.startswith("250"):
            return reply
        kept.append(letter)
    raise AssertionError("it took all")


def at_mail(w, size):
    c = Raw(w.smtp)
    c.hello()
    reply = c.say("MAIL FROM:<alice@relay.test> SIZE=%d" % size)
    c.close()
    return reply


@slow_case
def a_full_spool_says_452_stays_within_its_room_and_takes_mail_again_by_itself():
    w = Relay("full", "s20", {"limits": {"spool": "4M", "message": "512K"}})
    watch = Watch(lambda: room_taken(os.path.join(w.data, "spool")))
    kept = []
    reply = fill_up(w, 150_000, "carol@far.test", kept)
    assert reply.startswith("452 4.3.1 The spool is full"), "without SIZE, at the end of DATA: " + reply
    senders = Senders(w, ["carol@far.test"], SEED)
    until(lambda: any("The relay's spool is full" in r for r in senders.replies), 30, "452 at MAIL")
    time.sleep(1)
    kept += senders.stop().acknowledged
    assert all(r.startswith("452 4.3.1") for r in senders.replies), senders.replies
    reply = at_mail(w, 200_000)
    assert reply.startswith("452 4.3.1") and "full" in reply, reply
    while fill_up(w, 500, "carol@far.test", kept)[:3] != "452":
        pass
    reply = at_mail(w, 100)
    assert reply.startswith("452 4.3.1"), reply
    assert any("full" in words for words in w.problems("spool")), w.status()["problems"]
    # And through a restart, which copies and rewrites.
    w.down(signal.SIGKILL)
    w.up()
    with Script("s20") as server:
        began = time.time()
        until(lambda: at_mail(w, 200_000).startswith("250"), 60, "room again")
        tell("room again %.1f s after the next server was back" % (time.time() - began))
        letter = Letter(to="carol@far.test")
        assert hand_over(w, letter, size=True).startswith("250")
        kept.append(letter)
        w.drained()
        time.sleep(0.1)
        wrong = losses(kept, senders.unsure, [t.octets for t in server.taken])
    assert not wrong, wrong[:5]
    seen = watch.stop()
    tell("%d messages, at most %.2f of 4 MiB in %d samples" % (len(kept), max(seen) / MIB, len(seen)))
    assert max(seen) <= 4 * MIB, max(seen)
    assert len(kept) > 50 and max(seen) > 3 * MIB, (len(kept), max(seen))


@slow_case
def a_full_file_system_says_452_leaves_the_others_their_room_and_ends_by_itself():
    with Image(os.path.join(folder("waypost"), "disk"), 48) as image:
        w = Relay("disk", "s21", {"limits": {"spool": "256M", "message": "1M"}})
        watch, kept = Watch(image.free), []
        for octets in (600_000, 50_000, 500):
            reply = fill_up(w, octets, "carol@far.test", kept)
            assert reply.startswith("452 4.3.1"), reply
        left = min(watch.stop())
        tell("%d messages; %.1f MiB were left to the others" % (len(kept), left / MIB))
        assert left > SPARE - MIB, left
        # Somebody else takes the rest.
        image.fill()
        assert at_mail(w, 1000).startswith("452"), "room on a full disk"
        code, words = w.cli("config", "set", "retry.max", "3s", check=False)
        assert code != 0 and "space" in words, words
        with Script("s21") as server:
            # What waits needs no new room: it leaves, and with that there is some.
            until(lambda: len(server.taken) >= len(kept), 90, "the mail to leave a full disk")
            w.drained()
            wrong = losses(kept, [], [t.octets for t in server.taken])
            assert not wrong, wrong[:5]
            image.empty()
            until(lambda: at_mail(w, 100_000).startswith("250"), 10, "room again")
            letter = Letter(text(random.Random(2), 100_000), to="carol@far.test")
            assert hand_over(w, letter).startswith("250")
            until(lambda: server.find(letter.mark), 20, "the message after that")
        w.cli("config", "set", "retry.max", "4s")


@case
def a_relay_that_finds_a_full_disk_at_its_start_delivers_what_it_has():
    with Image(os.path.join(folder("waypost"), "full-start"), 32) as image:
        w, kept = Relay("full-start", "s22", {"limits": {"spool": "256M", "message": "1M"}}), []
        while len(kept) < 30:
            letter = Letter(text(random.Random(len(kept)), (800, 80_000)[len(kept) % 2]), to="carol@far.test")
            assert hand_over(w, letter).startswith("250")
            kept.append(letter)
        w.down(signal.SIGKILL)
        image.fill()
        with Script("s22") as server:
            w.up()
            w.drained()
            wrong = losses(kept, [], [t.octets for t in server.taken])
        assert not wrong, wrong[:5]


@case
def a_Maildir_on_a_full_disk_defers_and_gets_its_mail_once_when_there_is_room():
    place = os.path.join(folder("boxes"), "maildir")
    with Image(place, 8) as image:
        w = Relay("box", "s23", {"maildir": place + "/{user}"})
        letters = [Letter(text(random.Random(n), n), to="alice@relay.test") for n in (700, 200_000, 7_000, 30_000)]
        assert hand_over(w, letters[0]).startswith("250")
        w.gone(letters[0].mark)
        image.fill()
        for letter in letters[1:]:
            assert hand_over(w, letter).startswith("250")
        for letter in letters[1:]:
            row = w.waiting(letter.mark)
            assert "space" in w.trace(letter.mark + "@sender.test", "space"), row
        image.empty()
        w.drained()
        box = [open(os.path.join(d, f), "rb").read() for d, _, names in os.walk(place) for f in names if "W" in f]
        wrong = losses(letters, [], box, once=True)
        assert not wrong, wrong
        assert not os.listdir(os.path.join(place, "alice", "tmp"))
