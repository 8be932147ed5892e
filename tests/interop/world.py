"""The world of the interop tests: folders, processes, jails, Maildirs.

Everything runs on loopback, each host found by MX at an address 127.7.0.x of its own, so that port 10025 plays port 25
for all of them. Processes that were started here are ended here, by id."""
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(TOP, "target"))
BINARY = os.environ.get("WAYPOST_BIN", os.path.join(TARGET, "release/waypost"))
WORK = os.environ.get("INTEROP_WORK", "/tmp/waypost-interop")
MX_PORT = 10025
PORTS = (24025, 26587, 25465, 27080)  # SMTP, submission, submission over TLS, page; each relay 10 higher than the last
DNS = "127.7.0.53"
LIAR = "127.7.0.55"  # name servers by script: behind the others, or in their place
HOSTS = {
    "postfix": "127.7.0.2",
    "opensmtpd": "127.7.0.3",
    "exim4": "127.7.0.4",
    "plain": "127.7.0.5",
    "smarthost": "127.7.0.6",
    "postfix-out": "127.7.0.7",
    "opensmtpd-out": "127.7.0.8",
    "dead": "127.7.0.9",
    "exim4-out": "127.7.0.10",
    "opensmtpd-plain": "127.7.0.11",
    "x25519": "127.7.0.12",
    "seven": "127.7.0.13",
    "exim7": "127.7.0.14",
}
# Scripted receivers, a host each, so that what one case taught the relay about a host means nothing to the next.
HOSTS.update({"s%d" % n: "127.7.0.%d" % (100 + n) for n in range(1, 81)})
HOSTS["six"] = "::1"
started = []


def folder(*parts):
    path = os.path.join(WORK, *parts)
    os.makedirs(path, exist_ok=True)
    return path


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def fresh():
    """The work folder without what an earlier run left; unpacked packages stay."""
    for name in ("log", "data", "waypost", "dns", "dns-signed", "dovecot", "tmp"):
        shutil.rmtree(os.path.join(WORK, name), ignore_errors=True)


# ---- processes ----

def start(args, log, **more):
    with open(os.path.join(folder("log"), log), "ab") as out:
        p = subprocess.Popen(args, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
                             **more)
    started.append(p)
    return p


def stop(p, sig=signal.SIGTERM, wait=10):
    """End a process, and tell how it ended."""
    if p.poll() is None:
        signalled(p, sig)
        try:
            p.wait(wait)
        except subprocess.TimeoutExpired:
            signalled(p, signal.SIGKILL)
            p.wait(5)
    if p in started:
        started.remove(p)
    return p.returncode


def signalled(p, sig):
    """A jail's first process is the one to be told: `unshare` only waits for it, and all others end with it."""
    pids = [p.pid]
    if p.args[0] == "unshare":
        with open("/proc/%d/task/%d/children" % (p.pid, p.pid)) as f:
            pids = [int(n) for n in f.read().split()] or pids
    for pid in pids:
        os.kill(pid, sig)


def stop_all():
    for p in list(started)[::-1]:
        stop(p, wait=3)


def run(args, check=True, stdin=b"", seconds=60, **more):
    """Run a program to its end; its output, or a failure that shows it."""
    r = subprocess.run(args, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, **more)
    text = r.stdout.decode(errors="replace")
    assert not check or r.returncode == 0, "%s: exit %d: %s" % (" ".join(args[:3]), r.returncode, text[-1500:])
    return text


def until(test, seconds=20, what=None):
    """Wait until test() is true; its value, or a failure."""
    end = time.time() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.time() > end:
            raise AssertionError("waited %s s for %s" % (seconds, what or test.__name__))
        time.sleep(0.03)


def listening(host, port):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False


def once(function):
    """The first call starts a peer, later calls with the same arguments find it."""
    kept, starting = {}, threading.Lock()

    def call(*args):
        with starting:
            if args not in kept:
                kept[args] = function(*args)
            return kept[args]
    return call


# ---- packages that conflict with each other, unpacked side by side ----

def unpack(name, packages):
    root = os.path.join(WORK, "roots", name)
    mark = os.path.join(root, ".done")
    if os.path.exists(mark):
        return root
    debs = folder("debs")
    os.chmod(debs, 0o777)  # apt downloads as a user of its own
    for package in packages:
        def found():
            return [f for f in os.listdir(debs) if f.startswith(package + "_") and f.endswith(".deb")]
        if not found():
            download = ["apt-get", "download", "-qq", package]
            if subprocess.run(download, cwd=debs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
                run(["apt-get", "update", "-qq"], seconds=120)
                run(download, cwd=debs, seconds=120)
        os.makedirs(root, exist_ok=True)
        run(["dpkg", "-x", os.path.join(debs, found()[0]), root])
    write(mark, "")
    return root


def jail(name, root, data, command):
    """Start a command in a private view of the file system."""
    return start(jailed(root, data, command), name + ".log")


def jailed(root, data, command):
    for d in ("etc", "var/log", "var/spool", "var/lib", "var/mail", "var/tmp", "run/lock"):
        os.makedirs(os.path.join(data, d), exist_ok=True)
    os.chmod(os.path.join(data, "var/tmp"), 0o1777)
    if not os.path.lexists(data + "/var/run"):
        os.symlink("/run", data + "/var/run")
    return ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", os.path.join(HERE, "jail.sh"), root, data, *command]


def accounts(data, extra):
    """passwd and group of the machine plus what the package's scripts would have made."""
    for kind in ("passwd", "group"):
        with open("/etc/" + kind) as f:
            text = f.read()
        for user, number in extra:
            if "\n%s:" % user not in "\n" + text:
                text += "%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n" % (user, number, number) if kind == "passwd" else \
                    "%s:x:%d:\n" % (user, number)
        write(os.path.join(data, "etc", kind), text)


def certificate(path, key, name, *kind):
    """A self-signed certificate; `kind` as openssl says it, RSA without."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    run(["openssl", "req", "-x509", "-newkey", *(kind or ["rsa:2048"]), "-nodes", "-days", "30", "-subj", "/CN=" + name,
         "-addext", "subjectAltName=DNS:" + name, "-keyout", key, "-out", path])
    os.chmod(key, 0o600)
    return path, key


# ---- mailboxes ----

class Maildir:
    def __init__(self, path):
        self.path = path

    def files(self):
        found = []
        for d in ("new", "cur"):
            place = os.path.join(self.path, d)
            if os.path.isdir(place):
                found += [os.path.join(place, name) for name in sorted(os.listdir(place))]
        return found

    def messages(self):
        found = []
        for path in self.files():
            with open(path, "rb") as f:
                found.append(f.read())
        return found

    def find(self, mark):
        """The messages whose octets contain the mark."""
        mark = mark.encode() if isinstance(mark, str) else mark
        return [m for m in self.messages() if mark in m]

    def one(self, mark, seconds=25):
        """The only message with the mark, once it is there."""
        until(lambda: self.find(mark), seconds, "a message with %s in %s" % (mark, self.path))
        found = self.find(mark)
        assert len(found) == 1, "%d messages with %s" % (len(found), mark)
        return found[0]


class Peer:
    """A running mail server: where it listens, what it took, its log."""

    def __init__(self, name, data, process):
        self.name, self.data, self.process = name, data, process
        self.host, self.port = HOSTS[name], MX_PORT
        self.box = Maildir(data + "/var/mail/box")
        until(lambda: process.poll() is not None or listening(self.host, self.port), 20, name)
        assert process.poll() is None, "%s did not start, see the logs below %s" % (name, data)
