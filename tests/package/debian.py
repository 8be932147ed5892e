"""The .deb in a bare Debian, through its life."""
import json
import re
import socket
import subprocess

from ground import ROOM, banner, case, mount, one, packages, root_of, run, serves, started, stop, submit
from unit import Unit

UNIT = "usr/lib/systemd/system/waypost.service"
WANTED = "etc/systemd/system/multi-user.target.wants/waypost.service"
# systemd does not run in a chroot; the packages must ask it for the right things. What is a matter of files alone is done.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>/run/asked
case "$*" in
  *is-active*) [ -e /run/active ] ;;
  *start* | *stop* | *daemon-reload*) ;;
  *) SYSTEMD_OFFLINE=1 exec /bin/systemctl "$@" ;;
esac
"""


class Debian:
    """A bare Debian with a systemctl that writes down what it is asked."""

    def __init__(self, name):
        self.root, self.log = root_of(name, ROOM / "bookworm"), ROOM / (name + ".log")
        mount(self.root / "proc", "-t", "proc", "proc")
        (self.root / "run/systemd/system").mkdir(parents=True)
        stub = self.root / "usr/local/bin/systemctl"
        stub.write_text(SYSTEMCTL)
        stub.chmod(0o755)
        self.relay = None

    def run(self, *command, user=None, check=True, text=None):
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        as_user = ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups"] if user else []
        return run("chroot", str(self.root), *as_user, "env", "-C", "/", *command, check=check, text=text,
                   env={"PATH": path, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"})

    def install(self, *files, check=True):
        for file in files:
            run("cp", str(file), str(self.root / "tmp"))
        return self.run("dpkg", "-i", *("/tmp/" + file.name for file in files), check=check)

    def asked(self):
        """What systemctl was asked since the last time."""
        log = self.root / "run/asked"
        words = log.read_text() if log.exists() else ""
        log.unlink(missing_ok=True)
        return [action for action in ("start", "stop", "restart") if re.search(r"\b%s waypost\.service" % action, words)]

    def start(self, smtp=25, prefix=()):
        self.relay = Unit(self.root / UNIT).start(self.root, self.log, prefix)
        serves(self.relay, smtp)
        (self.root / "run/active").touch()

    def stop(self):
        (self.root / "run/active").unlink()
        assert stop(self.relay) == 0, self.log.read_text()

    def queue(self):
        return json.loads(self.run("waypost", "queue", "--json"))

    def data(self, name=""):
        return self.root / "var/lib/waypost" / name

    def hold_mail(self):
        """A route to where nobody listens, and a message for it."""
        self.run("waypost", "config", "set", "routes", '[{"for": "*", "via": "127.0.0.1:9", "tls": "none"}]')
        submit(25)
        (row,) = self.queue()
        return row["id"]


@case("the .deb installs in a bare Debian, and its relay serves on every port as a user of its own")
def installs():
    debian = Debian("installs")
    words = debian.install(one(packages(), "waypost_*_amd64.deb"))
    assert "journalctl -u waypost" in words, words
    assert debian.asked() == ["start"]
    assert (debian.root / WANTED).is_symlink(), "it starts with the machine"
    assert debian.run("getent", "passwd", "waypost").strip().endswith(":/var/lib/waypost:/usr/sbin/nologin")
    modes = debian.run("stat", "-c", "%U:%G %a", "/var/lib/waypost", "/var/lib/waypost/waypost.json")
    assert modes.split("\n")[:2] == ["waypost:waypost 750", "waypost:waypost 600"], modes
    debian.start()
    for port in (587, 465):
        socket.create_connection(("127.0.0.1", port), 5).close()
    mine = [line.split()[1] for line in run("ps", "-eo", "user:20,uid,args").splitlines() if "waypost run --data" in line
            and "unshare" not in line]
    uid = debian.run("id", "-u", "waypost").strip()
    assert mine and set(mine) == {uid}, mine
    capabilities = re.search(r"CapEff:\s+(\w+)", open("/proc/%d/status" % debian.relay.pid).read()).group(1)
    assert int(capabilities, 16) == 1 << 10, "CAP_NET_BIND_SERVICE alone: " + capabilities
    # Who is root asks the relay without saying where it is.
    assert "empty" in debian.run("waypost", "queue")
    debian.stop()


@case("an upgrade keeps queue and configuration, and has the relay restarted")
def upgrades():
    debian = Debian("upgrades")
    debian.install(one(packages(), "waypost_*_amd64.deb"))
    debian.start()
    waiting, before = debian.hold_mail(), debian.data("waypost.json").read_bytes()
    debian.asked()
    newer = packages("newer", version="99.1")
    debian.install(one(newer, "waypost_*_amd64.deb"))
    assert debian.asked() == ["restart"], "restarted, and not stopped long before"
    assert debian.run("dpkg-query", "-W", "-f", "${Version}", "waypost") == "99.1"
    assert debian.queue()[0]["id"] == waiting, "the old relay serves until it is restarted"
    debian.stop()
    debian.start()
    assert [row["id"] for row in debian.queue()] == [waiting]
    assert debian.data("waypost.json").read_bytes() == before
    debian.stop()
    debian.asked()
    # What the administrator has switched off stays off.
    (debian.root / WANTED).unlink()
    debian.install(one(packages("newest", version="99.2"), "waypost_*_amd64.deb"))
    assert debian.asked() == [] and not (debian.root / WANTED).is_symlink()


@case("removed, it leaves its data to whoever installs it again; purged, it leaves only its locked user")
def removes():
    debian = Debian("removes")
    package = one(packages(), "waypost_*_amd64.deb")
    debian.install(package)
    debian.start()
    waiting = debian.hold_mail()
    debian.asked()
    debian.run("dpkg", "--remove", "waypost")
    assert debian.asked() == ["stop"]
    debian.stop()
    assert not (debian.root / "usr/bin/waypost").exists() and debian.data("spool").is_dir()
    debian.install(package)
    assert debian.asked() == ["restart"], "which starts what does not run"
    debian.start()
    assert [row["id"] for row in debian.queue()] == [waiting]
    debian.stop()
    debian.run("dpkg", "--purge", "waypost")
    assert not debian.data().exists()
    left = debian.run("sh", "-c", "find / -xdev -path /proc -prune -o -name '*waypost*' -print")
    assert set(left.split()) <= {"/tmp/" + package.name}, left
    # A number that owned mail is given to nobody else; nobody can log in with it.
    assert debian.run("getent", "shadow", "waypost").startswith("waypost:!:")
    debian.install(package)
    debian.start()
    assert debian.queue() == []


@case("beside a mail server that has port 25, it takes port 2525")
def beside():
    debian = Debian("beside")
    with socket.create_server(("127.0.0.1", 25)):
        words = debian.install(one(packages(), "waypost_*_amd64.deb"))
        assert "port 25 is another mail server's" in words, words
        debian.start(smtp=2525)
        debian.stop()
    listen = json.loads(debian.data("waypost.json").read_text())["listen"]
    assert listen["submission"][0] == "0.0.0.0:2587", listen


@case("where the kernel has no IPv6, the first configuration does not name it")
def without_ipv6():
    run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1")
    try:
        debian = Debian("without-ipv6")
        debian.install(one(packages(), "waypost_*_amd64.deb"))
        listen = json.loads(debian.data("waypost.json").read_text())["listen"]
        assert listen == {"smtp": ["0.0.0.0:25"], "submission": ["0.0.0.0:587"], "submissions": ["0.0.0.0:465"],
                          "web": ["0.0.0.0:8025"]}, listen
    finally:
        run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=0")


@case("waypost-mta is the sendmail of every user, and only it keeps other mail servers out")
def sendmail():
    debian = Debian("sendmail")
    other = ROOM / "other"
    (other / "DEBIAN").mkdir(parents=True)
    (other / "usr/sbin").mkdir(parents=True)
    (other / "usr/sbin/sendmail").write_text("#!/bin/sh\n")
    (other / "DEBIAN/control").write_text(
        "Package: other\nVersion: 1\nArchitecture: all\nMaintainer: Other <other@other.invalid>\nDescription: other\n"
        "Provides: mail-transport-agent\nConflicts: mail-transport-agent\nReplaces: mail-transport-agent\n")
    run("dpkg-deb", "--root-owner-group", "-b", str(other), str(ROOM / "other.deb"))
    debian.install(ROOM / "other.deb")
    debian.install(one(packages(), "waypost_*_amd64.deb"))
    code, words = debian.install(one(packages(), "waypost-mta_*.deb"), check=False)
    assert code != 0 and "conflict" in words, words
    debian.run("dpkg", "--purge", "other")
    debian.install(one(packages(), "waypost-mta_*.deb"))
    debian.start()
    debian.run("waypost", "config", "set", "routes", '[{"for": "*", "via": "127.0.0.1:9", "tls": "none"}]')
    for path in ("/usr/sbin/sendmail", "/usr/lib/sendmail"):
        debian.run(path, "-i", "you@example.com", user="nobody", text="Subject: by %s\n\nHello\n" % path)
    assert len(debian.queue()) == 2
    assert "you@example.com" in debian.run("mailq")
    debian.run("newaliases")
    code, words = debian.install(ROOM / "other.deb", check=False)
    assert code != 0 and "conflict" in words, words
    # Without the relay, a program is told to come again (EX_TEMPFAIL), and nothing is lost in between.
    debian.stop()
    code, words = debian.run("sendmail", "you@example.com", text="Subject: later\n\n", check=False)
    assert code == 75, (code, words)


@case("lintian finds no error and nothing to warn of")
def lintian():
    places = [str(deb) for deb in packages().glob("*.deb")]
    assert len(places) == 2, places
    words = run("lintian", "--allow-root", "--tag-display-limit", "0", "--fail-on", "error,warning", *places)
    assert "E:" not in words and "W:" not in words, words


@case("systemd finds the unit right, and exposed by 2.5 at most")
def exposure():
    debian = Debian("exposure")
    debian.install(one(packages(), "waypost_*_amd64.deb"))
    unit = debian.root / UNIT
    # It looks for binary and manual page on this machine; in a mount namespace, they are here.
    with_package = 'mount -t overlay -o "lowerdir=$0/usr:/usr" overlay /usr && exec systemd-analyze verify "$1"'
    words = run("unshare", "-m", "sh", "-c", with_package, str(debian.root), str(unit))
    assert words.strip() == "", words
    words = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    figure = float(re.search(r"Overall exposure level for waypost.service: ([\d.]+)", words).group(1))
    assert figure <= 2.5, words
    print("      exposure %.1f" % figure)


@case("what the relay asks of the kernel is what its unit lets it")
def filtered():
    debian = Debian("filtered")
    debian.install(one(packages(), "waypost_*_amd64.deb"))
    calls = ROOM / "calls"
    debian.start(prefix=["strace", "-f", "-qq", "-o", str(calls)])
    debian.hold_mail()
    for command in (["check"], ["user", "add", "alice", "--password-stdin"], ["trace", "you@example.com"]):
        debian.run("waypost", *command, check=False, text="a long one\n")
    assert banner(587) and debian.queue()
    inner = run("pgrep", "-u", debian.run("id", "-u", "waypost").strip(), "-o", "-f", "waypost run").strip()
    subprocess.run(["kill", "-HUP", inner], check=True)
    assert debian.queue()
    subprocess.run(["kill", "-TERM", inner], check=True)
    relay = started.pop()
    relay.wait(20)
    unit = Unit(debian.root / UNIT)
    allowed = set()
    for words in unit.words["SystemCallFilter"]:
        for group in words.lstrip("~").split():
            allowed = allowed - expand(group) if words.startswith("~") else allowed | expand(group)
    families = set(unit["RestrictAddressFamilies"].split())
    lines = calls.read_text().splitlines()
    own = next(n for n, line in enumerate(lines) if 'execve("/usr/bin/waypost"' in line and line.endswith(" = 0"))
    forbidden = set()
    for line in lines[own:]:
        call = re.match(r"\d+\s+(\w+)\((.*)", line)
        if not call:
            continue
        name, arguments = call.groups()
        if name not in allowed:
            forbidden.add(name)
        if name == "socket" and arguments.split(",")[0] not in families:
            forbidden.add(line)
        if name in ("mmap", "mprotect") and "PROT_WRITE" in arguments and "PROT_EXEC" in arguments:
            forbidden.add(line)
    assert len(lines) - own > 500, "too little was seen: %d lines" % (len(lines) - own)
    assert not forbidden, sorted(forbidden)


def expand(group):
    """The calls of a group of systemd's, and of the groups in it."""
    if not group.startswith("@"):
        return {group}
    words = run("systemd-analyze", "syscall-filter", "--no-pager", group).splitlines()
    members = [line.strip() for line in words if line.startswith("    ")]
    found = set()
    for member in members:
        if member.startswith("@"):
            found |= expand(member)
        elif member and not member.startswith("#"):
            found.add(member)
    return found
