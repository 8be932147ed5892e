"""What a relay takes of the machine: memory, time to start, wake-ups of a processor that could sleep."""
import time

from throughput import KIB, SETTLED, warm
from traffic import Sent, Sink, open_sessions
from world import until

# Threads that wait for more work have given up by then.
IDLE = 14
# Waypost writes down that it started when it has run for 30 s, once.
AFTER_START = 36
WINDOW = 20
LARGE = 25_000_000
HOSTS = 100


def memory(peer, book):
    with peer() as relay:
        relay.up()
        time.sleep(IDLE)
        book.note("idle", peer.name, relay.pss())
        with open_sessions(500):
            time.sleep(1)
            book.note("sessions", peer.name, relay.pss())


def outage(peer, book):
    """5,000 messages wait for a smarthost that does not answer; then it is back."""
    with peer() as relay, Sink() as sink:
        relay.up()
        sent = Sent("outage", 5000).end()
        time.sleep(SETTLED)
        book.note("deferred", peer.name, relay.pss())
        began = time.time()
        sink.up()
        relay.try_again()
        sink.all(sent.ids)
        book.note("drain", peer.name, max(sink.first.values()) / 1e6 - began)


def start(peer, book):
    with peer() as relay:
        for _ in range(5):
            book.note("start", peer.name, relay.up())
            relay.down()
        relay.up()
        Sent("start", 10_000).end()
        relay.down()
        for _ in range(3):
            book.note("start-full", peer.name, relay.up())
            relay.down()


def idle(peer, book):
    """Voluntary context switches of all threads: each is a time that something had woken up."""
    def watch(row):
        before = relay.sleeps()
        time.sleep(WINDOW)
        after = relay.sleeps()
        # A thread that has ended woke up once at least.
        woken = sum(n - before.get(task, 0) for task, n in after.items()) + len(before.keys() - after.keys())
        book.note(row, peer.name, woken / WINDOW)

    with peer() as relay:
        relay.up()
        time.sleep(AFTER_START)
        watch("wakeups")
        Sent("idle", 1000).end()
        time.sleep(IDLE)
        watch("wakeups-deferred")


def large(peer, book):
    with peer() as relay, Sink().up() as sink:
        relay.up()
        warm(sink)
        peaks = []
        for octets in (64 * KIB, LARGE):
            time.sleep(SETTLED)
            relay.forget_peak()
            sink.all(Sent("large-%d" % octets, 3, 1, octets).end().ids)
            peaks.append(relay.peak())
        book.note("peak", peer.name, peaks[0])
        book.note("peak-growth", peer.name, peaks[1] - peaks[0])
    hundred(peer, book)


def hundred(peer, book):
    """One message for a hundred hosts at once."""
    with peer(direct=True) as relay, Sink().up("0.0.0.0") as sink:
        relay.up()
        sink.all(Sent("warm", 5, 1, domains=5).end().ids)
        peaks = []
        for octets in (64 * KIB, LARGE):
            time.sleep(SETTLED)
            relay.forget_peak()
            [name] = Sent("hundred-%d" % octets, 1, 1, octets, spread=HOSTS).end().ids
            until(lambda: sink.look() or sink.copies.get(name, 0) == HOSTS, 60, "%d copies" % HOSTS)
            assert not sink.damaged
            peaks.append(relay.peak())
        book.note("hundred", peer.name, peaks[0])
        book.note("hundred-growth", peer.name, peaks[1] - peaks[0])
