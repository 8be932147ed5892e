"""What goes in and what comes out: the generator, the sink, a Maildir."""
import contextlib
import json
import os
import socket
import subprocess
import time
import zlib

from world import LOAD, PORT, SINK_PORT, WORK, now, wait_for_port


class Sent:
    """Messages handed to the relay."""

    def __init__(self, mark, messages, sessions=10, octets=2048, port=PORT, on_loss="retry", domains=0, spread=0):
        self.acks = os.path.join(WORK, "acks")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.acks)
        words = dict(port=port, mark=mark, messages=messages, sessions=sessions, octets=octets, acks=self.acks)
        words["on-loss"], words["domains"], words["spread"] = on_loss, domains, spread
        self.process = subprocess.Popen([LOAD, "send", *("%s=%s" % pair for pair in words.items())],
                                        stdout=subprocess.PIPE)

    def end(self, clean=True):
        """Waits for the end of it; where it should have been `clean`, every message was acknowledged."""
        try:
            self.told = json.loads(self.process.communicate(timeout=90)[0])
        finally:
            self.process.kill()
        with open(self.acks) as f:
            self.ids = [line.split()[0] for line in f]
        assert not clean or self.told["acked"] == self.told["messages"], "not all were taken: %s" % self.told
        return self

    def rate(self):
        """Messages a second, from the first connection to the last acknowledgement."""
        return len(self.ids) * 1e6 / (self.told["ended_us"] - self.told["began_us"])

    def rate_through(self, arrivals):
        """The same until the last has arrived."""
        last = max(arrivals.first[i] for i in self.ids)
        return len(self.ids) * 1e6 / (last - self.told["began_us"])


def rate_between(arrivals, ids):
    """Messages a second between the first and the last that arrived."""
    times = sorted(arrivals.first[i] for i in ids)
    return (len(times) - 1) * 1e6 / (times[-1] - times[0])


class Arrivals:
    """What has come out: the first time and the number of copies of each id, and how many were damaged."""

    def __init__(self):
        self.first, self.copies, self.damaged = {}, {}, 0

    def came(self, name, at, whole):
        self.first.setdefault(name, at)
        self.copies[name] = self.copies.get(name, 0) + 1
        self.damaged += not whole

    def repeated(self):
        return sum(self.copies.values()) - len(self.copies)

    def wait(self, ids, seconds=60, patience=15):
        """Waits until all have arrived, at most `seconds`, or `patience` without a new one; how many have not."""
        end = time.monotonic() + seconds
        missing, last = None, time.monotonic()
        while time.monotonic() < end and time.monotonic() < last + patience:
            self.look()
            left = sum(i not in self.first for i in ids)
            if left == 0:
                return 0
            if left != missing:
                missing, last = left, time.monotonic()
            time.sleep(0.02)
        return missing

    def all(self, ids):
        lost = self.wait(ids)
        assert not lost and not self.damaged, "%d did not arrive, %d were damaged" % (lost, self.damaged)

    def quiet(self, seconds=1.0):
        """Waits until nothing has come for a while: what is repeated has been."""
        last, count = time.monotonic(), -1
        while time.monotonic() < last + seconds:
            self.look()
            total = sum(self.copies.values())
            if total != count:
                last, count = time.monotonic(), total
            time.sleep(0.05)


class Sink(Arrivals):
    """Takes mail in the place of the smarthost."""

    def __init__(self):
        super().__init__()
        self.log, self.read, self.process = os.path.join(WORK, "sink"), 0, None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait()

    def up(self, host="127.0.0.1"):
        self.process = subprocess.Popen([LOAD, "sink", "port=%d" % SINK_PORT, "log=" + self.log, "host=" + host])
        wait_for_port(SINK_PORT, 5, lambda: self.process.poll() is None)
        return self

    def look(self):
        if not os.path.exists(self.log):
            return
        with open(self.log, "rb") as f:
            f.seek(self.read)
            whole, _, _ = f.read().rpartition(b"\n")
        if whole:
            self.read += len(whole) + 1
            for line in whole.decode().splitlines():
                name, state, at, _ = line.split()
                self.came(name, int(at), state == "ok")


class Box(Arrivals):
    """A Maildir in the place of the sink."""

    def __init__(self, path):
        super().__init__()
        self.path, self.seen = path, set()

    def look(self):
        if not os.path.isdir(self.path + "/new"):
            return
        for name in set(os.listdir(self.path + "/new")) - self.seen:
            self.seen.add(name)
            with open(os.path.join(self.path, "new", name), "rb") as f:
                header, _, body = f.read().replace(b"\r\n", b"\n").partition(b"\n\n")
            fields = dict(line.split(b": ", 1) for line in header.split(b"\n") if b": " in line)
            wire = body.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")  # as the sink would have seen it
            whole = fields.get(b"X-Bench-Sum") == b"%08x" % zlib.adler32(wire)
            self.came(fields.get(b"Message-ID", b"<?@").decode()[1:].split("@")[0], now(), whole)


@contextlib.contextmanager
def open_sessions(count):
    """Clients that have said EHLO and now say nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            s = stack.enter_context(socket.create_connection(("127.0.0.1", PORT), 20))
            assert s.recv(512).startswith(b"220"), "no banner for one of %d sessions" % count
            s.sendall(b"EHLO load.test\r\n")
            assert s.recv(2048).startswith(b"250"), "EHLO refused for one of %d sessions" % count
        yield
