"""Where the bench works, and how it runs and waits."""
import os
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
JAIL = os.path.join(TOP, "tests/interop/jail.sh")
WORK = os.environ["BENCH_WORK"]
LOAD = os.environ["BENCH_LOAD"]
WAYPOST = os.environ["WAYPOST_BIN"]
# The relay listens on the first, the sink on the second.
PORT = int(os.environ.get("BENCH_PORT", "19225"))
SINK_PORT = PORT + 1


def run(*args):
    """Runs a program to its end; its output, or a failure that shows it."""
    r = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                       env=dict(os.environ, LC_ALL="C"))
    text = r.stdout.decode(errors="replace")
    assert r.returncode == 0, "%s: exit %d: %s" % (" ".join(args), r.returncode, text[-500:])
    return text


def until(test, seconds, what):
    """Waits until test() is true; its value, or a failure."""
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        assert time.monotonic() < end, "waited %s s for %s" % (seconds, what)
        time.sleep(0.02)


def now():
    """Microseconds since 1970, as the load tells times."""
    return time.time_ns() // 1000


def wait_for_port(port, seconds, lives):
    """The time at which a server's banner came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert lives(), "it ended at its start; see the logs in " + WORK
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                s.settimeout(10)
                if s.recv(512).startswith(b"220"):
                    at = now()
                    s.sendall(b"QUIT\r\n")
                    s.recv(512)
                    return at
        except OSError:
            time.sleep(0.0005)
    raise AssertionError("no banner in %s s; see the logs in %s" % (seconds, WORK))
