"""The .deb on a Debian that systemd has really booted, in a container of systemd-nspawn: the sandbox as it is there, and what
an upgrade does to a relay that runs."""
import contextlib
import json
import re
import shutil
import time
from pathlib import Path

from ground import ROOM, banner, case, get, one, packages, root_of, run, start, started, stop, submit, until


@contextlib.contextmanager
def cgroup():
    """Control groups of our own, in the hierarchies that this machine has: what a command is started by to be in them."""
    above = [Path("/sys/fs/cgroup", name) for name in ("", "systemd", "unified")]
    own = [place / "waypost-package" for place in above if (place / "cgroup.procs").exists()]
    for place in own:
        place.mkdir(exist_ok=True)
    enter = 'while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
    try:
        yield ["sh", "-c", enter, "sh", *map(str, own), "--"]
    finally:
        for place in own:
            until(lambda place=place: all(not list_processes(below) for below in below_first(place)), 15, "empty control groups")
            for below in below_first(place):
                below.rmdir()


def below_first(place):
    return [*sorted((path for path in place.rglob("*") if path.is_dir()), reverse=True), place]


def list_processes(place):
    return (place / "cgroup.procs").read_text().split()


class Booted:
    """Its network is that of the cases, so that its ports are here."""

    def __init__(self, name, in_cgroup):
        self.root = root_of(name, ROOM / "bookworm")
        # Nothing of it goes back to the machine it runs on: neither its journal nor its registration.
        self.log = ROOM / (name + ".log")
        start([*in_cgroup, "systemd-nspawn", "--quiet", "--directory=" + str(self.root), "--register=no", "--keep-unit",
               "--link-journal=no", "--console=pipe", "--boot", "systemd.unit=multi-user.target"], self.log)
        self.init = until(self.find_init, 15, "an init")
        until(lambda: self.run("systemctl", "is-system-running", check=False)[1].strip() in ("running", "degraded"), 40,
              "a system that runs")

    def find_init(self):
        found = run("pgrep", "-o", "-f", "^/(usr/)?lib/systemd/systemd systemd.unit", check=False)[1].split()
        return found and found[0]

    def run(self, *command, check=True, text=None):
        return run("nsenter", "-t", self.init, "-m", "-u", "-i", "-p", "-r", "-w", "env", "-C", "/", *command, check=check,
                   text=text, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"})

    def install(self, place):
        deb = one(place, "waypost_*_amd64.deb")
        shutil.copy(deb, self.root / "opt" / deb.name)
        return self.run("dpkg", "-i", "/opt/" + deb.name)

    def show(self, word):
        return self.run("systemctl", "show", "--value", "-p", word, "waypost.service").strip()

    def serves(self):
        try:
            until(lambda: banner(25).startswith("220 ") and get(8025, "/healthz")[0] == 200, 15, "a relay that is well")
        except AssertionError as wrong:
            raise AssertionError("%s\n%s" % (wrong, self.run("journalctl", "-u", "waypost", "--no-pager"))) from None

    def queue(self):
        return [row["id"] for row in json.loads(self.run("waypost", "queue", "--json"))]


@case("systemd starts it in its sandbox, restarts it when it falls or is upgraded, and lets it be when its configuration is wrong")
def life():
    with cgroup() as in_cgroup:
        try:
            debian = Booted("booted", in_cgroup)
            live(debian)
        finally:
            stop(started[-1])


def live(debian):
    debian.install(packages())
    debian.serves()
    assert debian.show("ActiveState") == "active"
    status = debian.run("cat", "/proc/%s/status" % debian.show("MainPID"))
    facts = dict(re.findall(r"^(Uid|NoNewPrivs|Seccomp|CapEff):\s+(\w+)", status, re.M))
    uid = debian.run("id", "-u", "waypost").strip()
    assert facts == {"Uid": uid, "NoNewPrivs": "1", "Seccomp": "2", "CapEff": "%016x" % (1 << 10)}, facts
    assert re.search(r"setup code is [A-Z0-9]{4}-[A-Z0-9]{4}", debian.run("journalctl", "-u", "waypost", "--no-pager"))

    debian.run("waypost", "config", "set", "routes", '[{"for": "*", "via": "127.0.0.1:9", "tls": "none"}]')
    submit(25)
    waiting, first = debian.queue(), debian.show("MainPID")
    assert len(waiting) == 1
    debian.install(packages("newer", version="99.1"))
    debian.serves()
    assert debian.show("MainPID") != first and debian.queue() == waiting
    second = debian.show("MainPID")
    debian.run("systemctl", "reload", "waypost")
    debian.serves()
    assert debian.show("MainPID") == second

    debian.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", "waypost")
    until(lambda: debian.show("MainPID") not in ("0", second), 15, "another relay after a fall")
    debian.serves()
    assert debian.queue() == waiting

    configuration = debian.root / "var/lib/waypost/waypost.json"
    before = configuration.read_bytes()
    configuration.write_text("{ nonsense")
    debian.run("systemctl", "restart", "waypost", check=False)
    until(lambda: debian.show("ActiveState") == "failed", 15, "a unit that has failed")
    assert debian.show("ExecMainStatus") == "78"
    time.sleep(6)  # beyond RestartSec
    assert debian.show("ActiveState") == "failed"
    configuration.write_bytes(before)
    debian.run("systemctl", "start", "waypost")
    debian.serves()

    debian.run("dpkg", "--remove", "waypost")
    assert debian.show("ActiveState") == "inactive"
    assert configuration.exists()
    debian.run("dpkg", "--purge", "waypost")
    assert not configuration.parent.exists()
