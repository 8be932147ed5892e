"""Compares Waypost with Postfix on this machine and prints a table in Markdown. See README.md; scripts/bench starts it."""
import argparse
import json
import os
import shutil
import signal
import socket
import sys
import time

import footprint
import machine
import survival
import throughput
from peers import Postfix, Waypost
from table import table
from world import LOAD, PORT, SINK_PORT, WAYPOST, WORK

PEERS = {"postfix": Postfix, "waypost": Waypost}
# Word, measure, the most rounds of it that are worth their time.
MEASURES = [
    ("speed", throughput.speed, 100),
    ("delivery", throughput.delivery, 2),
    ("flash", throughput.slow_syncs, 100),
    ("flash", throughput.wear, 2),
    ("memory", footprint.memory, 1),
    ("memory", footprint.outage, 2),
    ("start", footprint.start, 1),
    ("idle", footprint.idle, 1),
    ("large", footprint.large, 1),
    ("crash", survival.crash, 100),
]


class Book:
    """What was measured: kept for the table, and a JSON line each in results.jsonl."""

    def __init__(self, path):
        self.results, self.failures = [], []
        self.file = open(path, "a", buffering=1)

    def note(self, row, relay, value, **more):
        self.results.append((row, relay, value))
        line = dict(row=row, relay=relay, value=value, load=os.getloadavg()[0], **more)
        self.file.write(json.dumps(line) + "\n")
        print("%-18s %-8s %s" % (row, relay, value if isinstance(value, dict) else "%.2f" % value), file=sys.stderr)

    def failed(self, measure, relay, error):
        self.failures.append("%s of %s: %s" % (measure.__name__, relay, error))
        print("not measured: " + self.failures[-1], file=sys.stderr)


def main():
    words = sorted({word for word, _, _ in MEASURES})
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="which rows, all without: " + " ".join(words))
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    parser.add_argument("--relays", default="postfix,waypost", help="which (postfix,waypost)")
    options = parser.parse_args()
    if not set(options.words) <= set(words) or not set(options.relays.split(",")) <= set(PEERS):
        parser.error("words are %s; relays %s" % (" ".join(words), " ".join(PEERS)))
    if WORK.startswith(("/var/", "/run/", "/proc/")):
        parser.error("BENCH_WORK cannot be %s: in the jail that place has other contents" % WORK)
    for port in (PORT, SINK_PORT):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                parser.error("port %d is in use: end what listens there, or set BENCH_PORT" % port)
    # Whoever ends this ends the relays and takes their disks away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for peer in PEERS.values():
        programs = os.path.join(WORK, peer.name, "root/usr/bin")
        os.makedirs(programs, exist_ok=True)
        shutil.copy2(LOAD, os.path.join(programs, "load"))
    shutil.copy2(WAYPOST, os.path.join(WORK, "waypost/root/usr/bin/waypost"))
    book = Book(os.path.join(WORK, "results.jsonl"))
    about = machine.machine()
    book.file.write(json.dumps(about) + "\n")
    began = time.monotonic()
    measure(options, book)
    about["load"] += ", %.1f when it ended" % os.getloadavg()[0]
    about["took"] = "%.0f min, %d rounds" % ((time.monotonic() - began) / 60, options.rounds)
    text = "".join("- %s: %s\n" % pair for pair in about.items()) + "\n" + table(book.results)
    text += "".join("- not measured: %s\n" % failure for failure in book.failures)
    with open(os.path.join(WORK, "table.md"), "w") as f:
        f.write(text)
    print(text)
    return 1 if book.failures else 0


def measure(options, book):
    """The relays in turn, round by round, so that the machine's other work falls on both."""
    if not options.words or "speed" in options.words:
        throughput.limit(book)
    for word, function, most in MEASURES:
        if options.words and word not in options.words:
            continue
        for _ in range(min(options.rounds, most)):
            for name in options.relays.split(","):
                try:
                    function(PEERS[name], book)
                except Exception as error:
                    book.failed(function, name, error)


if __name__ == "__main__":
    sys.exit(main())
