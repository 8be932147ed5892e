"""The relay under test: one instance a configuration, its command line, its log, its Maildirs."""
import json
import os
import shutil
import signal
import subprocess
import threading
import time

from world import BINARY, DNS, MX_PORT, PORTS, Maildir, folder, listening, start, stop, until, write

instances = []
naming = threading.Lock()
mine = threading.local()  # .instances: those that the running case has started; .notes: what it has measured


def tell(note):
    """A figure that is printed below the running case."""
    mine.notes.append(note)


class Waypost:
    """A relay with its own data directory and ports, run as root or as `user`. Loopback's first network is trusted;
    127.7.x.y are strangers."""

    def __init__(self, name, config=None, user=None):
        with naming:
            instances.append(self)
            mine.instances.append(self)
            n = len(instances)
        self.name, self.p, self.user = name, None, user
        self.smtp, self.submission, self.submissions, self.web = (port + 10 * n for port in PORTS)
        self.data = os.path.join(folder("waypost"), name)
        shutil.rmtree(self.data, ignore_errors=True)
        os.makedirs(self.data, exist_ok=True)  # a file system may be mounted there
        document = {
            "hostname": "relay.test",
            "domains": ["relay.test"],
            "listen": {"smtp": ["127.0.0.1:%d" % self.smtp], "submission": ["127.0.0.1:%d" % self.submission],
                       "submissions": ["127.0.0.1:%d" % self.submissions], "web": ["127.0.0.1:%d" % self.web]},
            "trusted": ["127.0.0.0/24"],
            "users": [{"name": "alice", "password": "wonderland"}, {"name": "bob"}],
            "dns": [DNS + ":10053"],
            "delivery": {"port": MX_PORT, "ipv6": False},
            "retry": {"first": "1s", "max": "2s"},
        }
        document.update(config or {})
        write(os.path.join(self.data, "waypost.json"), json.dumps(document))
        self.log_path = os.path.join(folder("log"), "waypost-%s.log" % name)
        if user:
            os.chown(self.data, user, user)
            os.chown(os.path.join(self.data, "waypost.json"), user, user)
        self.up()

    def command(self):
        command = [BINARY, "run", "--data", self.data]
        if self.user:
            # the build folder may be closed to others
            command[0] = shutil.copy(BINARY, os.path.join(folder("tmp"), "waypost"))
            command = ["setpriv", "--reuid=%d" % self.user, "--regid=%d" % self.user, "--clear-groups", *command]
        return command

    def up(self):
        self.p = start(self.command(), "waypost-%s.log" % self.name)
        until(lambda: self.p.poll() is not None or listening("127.0.0.1", self.smtp), 15, "waypost to listen")
        assert self.p.poll() is None, "waypost ended at once: " + self.log()[-2000:]
        return self

    def down(self, sig=signal.SIGTERM):
        return stop(self.p, sig)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def logged(self, *words, seconds=15):
        """The log's lines that have all of these words, as soon as there is one."""
        def lines():
            return [line for line in self.log().splitlines() if all(w in line for w in words)]
        return until(lines, seconds, "a log line with %s" % (words,))

    def cli(self, *args, check=True, stdin=b""):
        r = subprocess.run([BINARY, *args, "--data", self.data], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=30)
        text = r.stdout.decode(errors="replace")
        assert not check or r.returncode == 0, "waypost %s: exit %d: %s" % (" ".join(args), r.returncode, text)
        return text if check else (r.returncode, text)

    def queue(self):
        return json.loads(self.cli("queue", "list", "--json"))

    def waiting(self, mark, seconds=15):
        """The entry of the queue that has the mark somewhere, once it was tried and waits."""
        def entry():
            found = [m for m in self.queue() if mark in json.dumps(m) and m["state"] not in ("due", "sending")]
            return found and found[0]
        return until(entry, seconds, "%s in the queue" % mark)

    def gone(self, mark, seconds=20):
        """Nothing is owed for this message any more."""
        until(lambda: mark not in json.dumps(self.queue()), seconds, "%s to leave the queue" % mark)

    def empty(self, seconds=30):
        until(lambda: not self.queue(), seconds, "an empty queue; it has %s" % self.queue())

    def trace(self, what, *words, seconds=15):
        """The trace of something, as soon as it has all of these words."""
        text = ""
        end = time.time() + seconds
        while time.time() < end:
            code, text = self.cli("trace", what, check=False)
            if code == 0 and all(w in text for w in words):
                return text
            time.sleep(0.1)
        raise AssertionError("trace %s lacks one of %s: %s" % (what, words, text))

    def maildir(self, user):
        return Maildir(os.path.join(self.data, "mail", user))


shared = []


def relay():
    """The relay most cases share: straight to mail servers by MX, local users alice and bob."""
    if not shared or shared[-1].p.poll() is not None:
        shared.append(Waypost("main%d" % len(shared), {
            "aliases": [{"from": "root", "to": ["admins"]}, {"from": "admins", "to": ["alice", "bob"]},
                        {"from": "outside", "to": ["carol@s30.test", "alice"]}],
        }))
    return shared[-1]
