"""What the fault cases stand on: file systems that lose their power, senders who remember what was acknowledged, and the
relay's own account of itself. The rest is that of tests/interop, at addresses and ports of its own."""
import fcntl
import http.client
import json
import os
import random
import re
import shutil
import socket
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "interop"))
os.environ["INTEROP_WORK"] = os.environ.get("FAULTS_WORK", "/tmp/waypost-faults")
import world  # noqa: E402 (these two lines say where the others are, and where they work)

world.MX_PORT = 11025
world.PORTS = (11100, 11101, 11102, 11103)
world.HOSTS.clear()
world.HOSTS.update({"s%d" % n: "127.8.0.%d" % n for n in range(1, 41)})

from letters import Letter, Raw, same  # noqa: E402
from script import Script  # noqa: E402
from waypost import Waypost, tell  # noqa: E402
from world import BINARY, HOSTS, folder, run, stop, until  # noqa: E402

SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))


class Relay(Waypost):
    """A relay whose mail to others goes to the host `sink`. `prefix` runs it (strace, env …) and leaves it its process id."""

    def __init__(self, name, sink, config=None, prefix=()):
        self.prefix = list(prefix)
        route = {"for": "*", "via": "%s:%d" % (HOSTS[sink], world.MX_PORT), "tls": "none"}
        super().__init__(name, {"routes": [route], **(config or {})})

    def command(self):
        return self.prefix + [BINARY, "run", "--data", self.data]

    def api(self, path, post=None):
        """What the page would be told, over the control socket."""
        connection = http.client.HTTPConnection("localhost", timeout=40)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(40)
        connection.sock.connect(os.path.join(self.data, "control.sock"))
        fields = {"Content-Type": "application/json", "Connection": "close"}
        connection.request("GET" if post is None else "POST", path, post, fields)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        assert response.status < 300, (path, response.status, text[:500])
        return json.loads(text or "null")

    def status(self):
        return self.api("/api/status")

    def problems(self, key):
        return [p["words"] for p in self.status()["problems"] if p["key"] == key]

    def drained(self, seconds=60):
        """Wait until nothing is owed, without waiting for the retry times."""
        def nothing():
            if self.status()["queued"]["total"] == 0:
                return True
            self.api("/api/queue/retry", "{}")
            time.sleep(0.2)
        until(nothing, seconds, "an empty queue of %s" % self.name)

    def pss(self):
        """Proportional memory of the relay, KiB."""
        with open("/proc/%d/smaps_rollup" % self.p.pid) as f:
            return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))


class Image:
    """A file system of its own at `path`: ext4 in a file, on a loop device."""

    def __init__(self, path, megabytes):
        self.path, self.file = path, "%s-%s.ext4" % (folder("images"), path.strip("/").replace("/", "-"))
        self.clear()
        with open(self.file, "wb") as f:
            f.truncate(megabytes << 20)
        run(["mkfs.ext4", "-q", "-F", "-m", "0", self.file])
        os.makedirs(path, exist_ok=True)

    def __enter__(self):
        return self.mount()

    def __exit__(self, *_):
        for instance in world.started[:]:
            if any(self.path in str(a) for a in instance.args):
                stop(instance)
        self.clear()

    def clear(self):
        self.umount()
        if os.path.exists(self.file):
            os.unlink(self.file)

    def mount(self):
        run(["mount", "-o", "loop", self.file, self.path])
        return self

    def umount(self):
        """The process that keeps the index ends a moment after its relay."""
        until(lambda: not os.path.ismount(self.path) or run(["umount", self.path], check=False) == "", 15, "umount")

    def cut(self):
        """The power goes: from here on nothing reaches the disk, and what was not synced has not."""
        shutdown, without_log_flush = 0x8004587D, (2).to_bytes(4, "little")  # EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
        place = os.open(self.path, os.O_RDONLY)
        fcntl.ioctl(place, shutdown, without_log_flush)
        os.close(place)

    def fill(self):
        """Take all room, to the last block, in a file of somebody else."""
        with open(os.path.join(self.path, "filler"), "ab", 0) as f:
            for piece in (1 << 20, 4096, 512, 512, 512):
                try:
                    while True:
                        f.write(bytes(piece))
                except OSError:
                    os.fsync(f.fileno())  # full, but for what was set aside until then

    def empty(self):
        os.unlink(os.path.join(self.path, "filler"))

    def free(self):
        free = os.statvfs(self.path)
        return free.f_bavail * free.f_frsize


def text(dice, octets):
    """A body of about so many octets that nobody else has."""
    hexadecimal = dice.randbytes(octets // 2).hex().encode()
    return b"".join(hexadecimal[n:n + 900] + b"\r\n" for n in range(0, len(hexadecimal), 900))


def hand_over(w, letter, to=None, source=None, size=False):
    """One session for one message: the last reply of the relay, empty where it hung up without a word."""
    try:
        c = Raw(w.smtp, source=source)
    except OSError:
        return ""
    try:
        size = " SIZE=%d" % len(letter.octets) if size else ""
        lines = ["", "EHLO client.test", "MAIL FROM:<%s>%s" % (letter.sender, size),
                 *("RCPT TO:<%s>" % r for r in to or [letter.to]), "DATA", letter.octets.replace(b"\r\n.", b"\r\n..") + b"."]
        for line in lines:
            if line:
                c.send(line + b"\r\n" if isinstance(line, bytes) else line + "\r\n")
            reply = c.reply()
            if reply[:1] not in ("2", "3"):
                return reply
        return reply
    except OSError:
        return ""
    finally:
        c.close()


class Senders:
    """Ten senders that hand in mail without pause, one message in five a large one."""

    def __init__(self, w, to, seed, threads=10):
        self.w, self.to, self.acknowledged, self.unsure, self.replies = w, to, [], [], set()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.send, args=(random.Random(seed * 100 + n),), daemon=True)
                        for n in range(threads)]
        for t in self.threads:
            t.start()

    def send(self, dice):
        while not self.over.is_set():
            large = dice.random() < 0.2
            octets = dice.randrange(70_000, 300_000) if large else dice.randrange(300, 6_000)
            letter = Letter(text(dice, octets), to=self.to[-1])
            reply = hand_over(self.w, letter, self.to)
            if reply.startswith("250"):
                self.acknowledged.append(letter)
            else:
                self.unsure.append(letter)
                self.replies.add(reply)
                time.sleep(0.02)

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join(40)
        return self


MARK = re.compile(rb"^Message-ID: <(mark-\d+-\d+)@", re.M)


def by_mark(messages):
    found = {}
    for octets in messages:
        mark = MARK.search(octets)
        found.setdefault(mark.group(1).decode() if mark else "without a mark", []).append(octets)
    return found


def losses(acknowledged, unsure, arrived, once=False, dated=()):
    """What is wrong with what arrived: a sentence each. `once`: nothing may come twice. `dated`: were given a Date."""
    found, wrong = by_mark(arrived), []
    for letter in acknowledged:
        copies = found.get(letter.mark, [])
        if not copies:
            wrong.append("%s of %d octets is lost" % (letter.mark, len(letter.octets)))
        if once and len(copies) > 1:
            wrong.append("%s came %d times" % (letter.mark, len(copies)))
    sent = {letter.mark: letter for letter in [*acknowledged, *unsure]}
    for mark, copies in found.items():
        if mark not in sent:
            wrong.append("%s was never sent" % mark)
            continue
        if once and len(copies) > 1 and sent[mark] in unsure:
            wrong.append("%s came %d times" % (mark, len(copies)))
        for octets in copies:
            try:
                same(sent[mark].octets, octets, added=("Date",) if sent[mark] in dated else ())
            except AssertionError as error:
                wrong.append("%s is damaged: %s" % (mark, str(error)[:200]))
    return wrong


def room_taken(path):
    """Octets on disk of the files below, as du has them."""
    octets = 0
    for place, _, names in os.walk(path):
        for name in names:
            try:
                octets += os.lstat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return octets


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


__all__ = ["HOSTS", "Image", "Letter", "Raw", "Relay", "SEED", "Script", "Senders", "by_mark", "folder", "hand_over", "losses",
           "remove", "room_taken", "run", "same", "stop", "tell", "text",
           "until"]
