"""What the cases stand on: packages built once, roots to install them in, and relays that are started as their package says."""
import contextlib
import os
import shutil
import smtplib
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
WORK = Path(os.environ["PACKAGE_WORK"])
ROOM = WORK / "run"
BINARY = WORK / "waypost"
X86 = "x86_64-unknown-linux-musl"
CASES = []
started, mounted = [], []


@dataclass
class Case:
    sentence: str
    run: object


def case(sentence):
    def register(function):
        CASES.append(Case(sentence, function))
        return function
    return register


def begin():
    shutil.rmtree(ROOM, ignore_errors=True)
    ROOM.mkdir(parents=True)
    # One file system, so that mounts of cases end with this namespace and overlays need no other.
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(ROOM))
    run("ip", "link", "set", "lo", "up")
    (ROOM / "bookworm").mkdir()
    run("tar", "-C", str(ROOM / "bookworm"), "-xf", str(WORK / "bookworm-systemd.tar"))


def tidy():
    """After each case: its processes and mounts, the last first."""
    while started:
        stop(started[-1])
    while mounted:
        run("umount", "-l", str(mounted.pop()))


def end():
    run("umount", "-l", str(ROOM))
    ROOM.rmdir()


def run(*command, check=True, text=None, **more):
    """Output and errors in one; an error where it fails, unless `check` is false, and then (code, output)."""
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120, **more)
    if not check:
        return done.returncode, done.stdout
    assert done.returncode == 0, "%s\nended with %d:\n%s" % (" ".join(command), done.returncode, done.stdout)
    return done.stdout


def mount(place, *arguments):
    place.mkdir(parents=True, exist_ok=True)
    run("mount", *arguments, str(place))
    mounted.append(place)


def packages(name="now", version=None, binary=BINARY, target=X86, **environment):
    """The directory with packages, built at the first call."""
    place = ROOM / "packages" / name
    if not place.exists():
        more = {"WAYPOST_VERSION": version} if version else {}
        run(str(REPOSITORY / "scripts/package"), target,
            env={**os.environ, "PACKAGES": str(place), "WAYPOST_BIN": str(binary), **more, **environment})
    return place


def one(place, pattern):
    found = sorted(place.glob(pattern))
    assert len(found) == 1, "%s: %s" % (pattern, [f.name for f in found])
    return found[0]


def root_of(name, below=None):
    """A root directory: a fresh one, or all of `below` with what is written kept apart."""
    place = ROOM / "roots" / name
    for part in ("upper", "work", "root"):
        shutil.rmtree(place / part, ignore_errors=True)
        (place / part).mkdir(parents=True)
    if below:
        options = "lowerdir=%s,upperdir=%s,workdir=%s" % (below, place / "upper", place / "work")
        mount(place / "root", "-t", "overlay", "-o", options, "overlay")
    return place / "root"


def start(command, log, **more):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=open(log, "wb"), stderr=subprocess.STDOUT, **more)
    process.log = log
    started.append(process)
    return process


def stop(process):
    """As an init does it: asked, waited for, killed."""
    started.remove(process)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
        raise AssertionError("the relay did not end within 20 s of TERM") from None
    return process.returncode


def until(what, seconds, words):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            answer = what()
            if answer:
                return answer
        assert time.monotonic() < deadline, "not within %d s: %s" % (seconds, words)
        time.sleep(0.05)


def serves(process, smtp, web=8025):
    """The relay greets on the one port, and says on the other that it is well."""
    try:
        until(lambda: process.poll() is not None or banner(smtp), 15, "a greeting on port %d" % smtp)
        assert process.poll() is None, "the relay ended with %s" % process.returncode
        assert banner(smtp).startswith("220 ")
        assert until(lambda: get(web, "/healthz"), 5, "/healthz") == (200, "ok\n")
    except AssertionError as wrong:
        raise AssertionError("%s\nIts words:\n%s" % (wrong, Path(process.log).read_text())) from None


def banner(port):
    with smtplib.SMTP(timeout=5) as client:
        code, words = client.connect("127.0.0.1", port)
        return "%d %s" % (code, words.decode())


def get(port, path, host=None):
    request = urllib.request.Request("http://127.0.0.1:%d%s" % (port, path), headers={"Host": host} if host else {})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.status, answer.read().decode()


def submit(port, to="you@example.com", subject="keep me"):
    message = "From: camera@home.arpa\r\nTo: %s\r\nSubject: %s\r\n\r\nMotion.\r\n" % (to, subject)
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.sendmail("camera@home.arpa", [to], message)
