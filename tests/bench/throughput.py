"""How much mail gets through, and what a message costs in time of the processor and in wear of the flash."""
import os
import statistics
import time

from traffic import Sent, Sink, rate_between
from world import SINK_PORT, WORK

KIB = 1024
# Row, messages, sessions, octets. Each session has one message, as devices send.
CELLS = [
    ("accept-1", 1000, 1, 2 * KIB),
    ("accept-10", 4000, 10, 2 * KIB),
    ("accept-50", 5000, 50, 2 * KIB),
    ("accept-large", 1000, 10, 64 * KIB),
]
SLOW_CELLS = [("slow-1", 150, 1), ("slow-10", 1000, 10), ("slow-50", 2000, 50)]
WEAR_CELLS = [("1", 300, 1), ("10", 2000, 10)]
# After the last message Waypost's history is written by a process that starts, and has ended by then: part of the costs.
SETTLED = 10


def warm(sink, messages=50):
    sink.all(Sent("warm", messages, 5).end().ids)


def limit(book):
    """What the generator, the sink and this machine's loopback can do without a relay between them."""
    for row, octets, messages in (("limit-small", 2 * KIB, 8000), ("limit-large", 64 * KIB, 2000)):
        with Sink().up():
            book.note(row, "", Sent("limit", messages, 10, octets, port=SINK_PORT).end().rate())
    with Sink().up():
        alone = Sent("limit", 1000, 1, port=SINK_PORT).end().rate()
    book.note("limit-one", "", 1 / (1 / alone + flush()))


def flush(times=300):
    """Seconds that the disk takes for a page that is to last, after pages that are there already: the median."""
    path = os.path.join(WORK, "flush")
    with open(path, "wb", buffering=0) as file:
        file.write(bytes(times * 4096))
        os.fsync(file.fileno())
        took = []
        for at in range(times):
            began = time.monotonic()
            os.pwrite(file.fileno(), b"x" * 4096, at * 4096)
            os.fdatasync(file.fileno())
            took.append(time.monotonic() - began)
    os.unlink(path)
    return statistics.median(took)


def speed(peer, book):
    with peer() as relay, Sink().up() as sink:
        relay.up()
        warm(sink)
        for row, messages, sessions, octets in CELLS:
            sent = Sent(row, messages, sessions, octets).end()
            sink.all(sent.ids)
            book.note(row, peer.name, sent.rate(), **sent.told)
            if row == "accept-10":
                book.note("through-10", peer.name, sent.rate_through(sink))


def delivery(peer, book):
    """What has waited for its hosts leaves as soon as they are there: all for one, or for a hundred in turn."""
    for row, domains in (("deliver-one", 1), ("deliver-many", 100)):
        with peer(direct=True) as relay, Sink() as sink:
            relay.up()
            ids = Sent(row, 4000, 10, domains=domains).end().ids
            time.sleep(SETTLED)
            sink.up("0.0.0.0")
            relay.try_again()
            sink.all(ids)
            book.note(row, peer.name, rate_between(sink, ids))


def slow_syncs(peer, book):
    """An SD card or eMMC answers a flush in milliseconds; the disk of a server or a VM often in microseconds."""
    with peer(slow_syncs=True) as relay, Sink().up() as sink:
        relay.up()
        warm(sink)
        for row, messages, sessions in SLOW_CELLS:
            sent = Sent(row, messages, sessions).end()
            sink.all(sent.ids)
            book.note(row, peer.name, sent.rate(), **sent.told)


def wear(peer, book):
    """What a message takes of the processor and of the flash."""
    for row, messages, sessions in WEAR_CELLS:
        with peer(disk=True) as relay, Sink().up() as sink:
            relay.up()
            warm(sink)
            written, cpu = relay.written(), relay.cpu()
            sink.all(Sent("wear", messages, sessions).end().ids)
            time.sleep(SETTLED)
            octets, flushes = (after - before for after, before in zip(relay.written(), written))
            book.note("octets-" + row, peer.name, octets / messages)
            book.note("flushes-" + row, peer.name, flushes / messages)
            book.note("cpu-" + row, peer.name, (relay.cpu() - cpu) * 1000 / messages)
