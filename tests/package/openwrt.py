"""The .ipk on a root like OpenWrt's: busybox, and a procd whose library writes down what it is told."""
import io
import json
import shutil
import tarfile

from ground import ROOM, case, mount, one, packages, root_of, run, serves, start, stop, submit

# What rc.common does around an init script, as far as this one needs it; each call of procd is a line of /calls.
RC_COMMON = """#!/bin/sh
initscript=$1 action=$2
for call in open_instance set_param close_instance add_restart_mount_trigger send_signal; do
	eval "procd_$call() { echo $call \\"\\$*\\" >>/calls; }"
done
service_triggers() { :; }
# Functions, since busybox prefers its own programs to what lies in the path.
logger() { echo "$@" >>/log; }
[ ! -r /stubs ] || . /stubs
. "$initscript"
case $action in
start) start_service; code=$?; service_triggers; exit $code ;;
reload) reload_service ;;
esac
"""


class Package:
    """The members of an .ipk."""

    def __init__(self, path):
        with tarfile.open(path, "r:gz") as outer:
            self.members = {member.name: outer.extractfile(member).read() for member in outer}
        self.control = self.tar("control")
        self.data = self.tar("data")

    def tar(self, name):
        return tarfile.open(fileobj=io.BytesIO(self.members["./%s.tar.gz" % name]), mode="r:gz")

    def text(self, name):
        return self.control.extractfile("./" + name).read().decode()


class Router:
    """A root with busybox, OpenWrt's names of things, and the package unpacked."""

    def __init__(self, name):
        self.root, self.log = root_of(name), ROOM / (name + ".log")
        for folder in ("bin", "tmp", "etc", "mnt/usb", "dev"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "tmp/var").mkdir()
        (self.root / "var").symlink_to("tmp/var")
        shutil.copy("/bin/busybox", self.root / "bin/busybox")
        run("chroot", str(self.root), "/bin/busybox", "--install", "-s", "/bin")
        mount(self.root / "proc", "-t", "proc", "proc")
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/ash\nwaypost:x:525:525::/var/run/waypost:/bin/false\n")
        (self.root / "etc/group").write_text("root:x:0:\nwaypost:x:525:\n")
        self.put("etc/rc.common", RC_COMMON)
        self.package = Package(one(packages(), "waypost_*_x86_64.ipk"))
        self.package.data.extractall(self.root, numeric_owner=True, filter="fully_trusted")

    def put(self, name, text):
        (self.root / name).write_text(text)
        (self.root / name).chmod(0o755)

    def sh(self, *words, check=True):
        return run("chroot", str(self.root), "/bin/busybox", "sh", *words, check=check, env={"PATH": "/bin:/usr/bin:/usr/sbin"})

    def service(self, action="start", check=True):
        (self.root / "calls").unlink(missing_ok=True)
        (self.root / "log").unlink(missing_ok=True)
        answer = self.sh("/etc/rc.common", "/etc/init.d/waypost", action, check=check)
        return self.read("calls").splitlines() if check else answer

    def read(self, name):
        path = self.root / name
        return path.read_text() if path.exists() else ""

    def environment(self, text):
        (self.root / "etc/waypost.env").write_text(text)

    def start(self, calls):
        """What procd does with those calls: the command, as the user."""
        values = dict(call.split(" ", 2)[1:] for call in calls if call.startswith("set_param"))
        assert values["user"] == values["group"] == "waypost"
        user = ["setpriv", "--no-new-privs"] if values["no_new_privs"] == "1" else []
        return start([*user, "chroot", "--groups=", "--userspec=525:525", str(self.root), *values["command"].split()], self.log)


@case("an .ipk is the three members that opkg wants, and its files are root's")
def structure():
    package = Package(one(packages(), "waypost_*_x86_64.ipk"))
    assert list(sorted(package.members)) == ["./control.tar.gz", "./data.tar.gz", "./debian-binary"]
    assert package.members["./debian-binary"] == b"2.0\n"
    fields = dict(line.split(": ", 1) for line in package.text("control").splitlines() if not line.startswith(" "))
    assert fields["Package"] == "waypost" and fields["Architecture"] == "all"
    assert fields["Require-User"] == "waypost=525:waypost=525"
    assert fields["Alternatives"].startswith("200:/usr/sbin/sendmail:/usr/bin/waypost")
    names = {member.name: member for member in package.data}
    assert all(member.uid == member.gid == 0 for member in names.values())
    for name in package.text("conffiles").split():
        assert "." + name in names, name
    for program in ("./usr/bin/waypost", "./etc/init.d/waypost"):
        assert names[program].mode == 0o755
    for script in ("preinst", "postinst", "prerm"):
        assert package.control.getmember("./" + script).mode == 0o755


@case("an .ipk refuses a router of another processor, and says so")
def refuses():
    router = Router("refuses")
    router.put("preinst", router.package.text("preinst"))
    for architecture, code in [("x86_64", 0), ("mips_24kc", 1), ("", 1)]:
        (router.root / "etc/openwrt_release").write_text("DISTRIB_ARCH='%s'\n" % architecture)
        found, words = router.sh("/preinst", check=False)
        assert found == code and (code == 0 or "does not run on this router" in words), (architecture, found, words)


@case("each .ipk names the routers whose processor it fits, and no other")
def patterns():
    from stand_in import TARGETS
    fits = {"aarch64_cortex-a53": "aarch64", "aarch64_generic": "aarch64", "x86_64": "x86_64", "riscv64_generic": "riscv64",
            "arm_cortex-a7_neon-vfpv4": "armv7", "arm_cortex-a9_vfpv3-d16": "armv7", "arm_cortex-a9_neon": "armv7",
            "mips_24kc": "mips", "mipsel_24kc": "mipsel", "mipsel_24kc_24kf": "mipsel", "mipsel_74kc": "mipsel",
            # No floating-point unit, or one too old; MIPS of release 1; 32-bit x86.
            "arm_cortex-a9": None, "arm_arm1176jzf-s_vfp": None, "arm_xscale": None, "mips_mips32": None,
            "mipsel_mips32": None, "i386_pentium4": None}
    for architecture, name in fits.items():
        for target in TARGETS.values():
            script = "case $1 in %s) exit 0;; esac; exit 1" % target.openwrt
            code, _ = run("busybox", "sh", "-c", script, "sh", architecture, check=False)
            assert (code == 0) == (target.name == name), (architecture, target.name)


@case("the init script hands procd the relay as its own user, and the relay serves on the low ports")
def serving():
    router = Router("serving")
    calls = router.service()
    assert calls[0].split()[0] == "open_instance" and "close_instance " in calls, calls
    assert "set_param command /usr/bin/waypost run --data /etc/waypost" in calls
    assert {"set_param respawn 3600 30 0", "set_param stderr 1", "set_param stdout 1"} <= set(calls), calls
    assert calls[-1] == "add_restart_mount_trigger /etc/waypost"
    assert router.read("log") == ""
    data = router.root / "etc/waypost"
    assert (data.stat().st_uid, data.stat().st_mode & 0o777) == (525, 0o750)
    assert ((data / "waypost.json").stat().st_uid, (data / "waypost.json").stat().st_mode & 0o777) == (525, 0o600)
    # As OpenWrt's init script `sysctl` applies it, in this namespace alone.
    for line in router.read("etc/sysctl.d/60-waypost.conf").splitlines():
        if not line.startswith("#"):
            run("sysctl", "-q", "-w", line)
    try:
        relay = router.start(calls)
        serves(relay, 25)
        # Commands find the relay by the link that the script makes, and sendmail needs not even that.
        ask = ["chroot", str(router.root), "/usr/bin/waypost"]
        run(*ask, "config", "set", "routes", '[{"for": "*", "via": "127.0.0.1:9", "tls": "none"}]')
        submit(25)
        (row,) = json.loads(run(*ask, "queue", "--json"))
        assert stop(relay) == 0
        # Started again, it takes what is there.
        before = (data / "waypost.json").read_bytes()
        relay = router.start(router.service())
        serves(relay, 25)
        assert [r["id"] for r in json.loads(run(*ask, "queue", "--json"))] == [row["id"]]
        assert (data / "waypost.json").read_bytes() == before
        assert router.service("reload") == ["send_signal waypost * HUP"]
    finally:
        run("sysctl", "-q", "-w", "net.ipv4.ip_unprivileged_port_start=1024")


@case("with its USB stick missing, the relay is not started, nothing is written in its place, and the log says why")
def missing():
    router = Router("missing")
    for text in ("WAYPOST_DATA=/mnt/usb/waypost\n", "WAYPOST_DATA=/srv/stick/mail\nWAYPOST_MOUNT=/srv/stick/\n"):
        router.environment(text)
        place = text.split("\n")[0].partition("=")[2]
        folder = router.root / place[1:].rpartition("/")[0]
        folder.mkdir(parents=True, exist_ok=True)
        code, _ = router.service(check=False)
        assert code != 0
        calls = router.read("calls").splitlines()
        assert calls == ["add_restart_mount_trigger " + place], "it only waits for the stick: %s" % calls
        assert "not started" in router.read("log") and "nothing is mounted" in router.read("log"), router.read("log")
        assert list(folder.iterdir()) == []
        # The stick comes.
        mount(folder, "-t", "tmpfs", "tmpfs")
        calls = router.service()
        assert "set_param command /usr/bin/waypost run --data " + place in calls, calls
        assert (folder / place.rpartition("/")[2] / "waypost.json").exists()
        assert (router.root / "tmp/var/lib/waypost").readlink().as_posix() == place


@case("a USB stick that cannot be the relay's own is refused, and the log says why")
def unsuitable():
    router = Router("unsuitable")
    router.environment("WAYPOST_DATA=/mnt/usb/waypost\n")
    # As FAT answers chown, which the kernel of a test machine need not have.
    mount(router.root / "mnt/usb", "-t", "tmpfs", "tmpfs")
    router.put("stubs", "chown() { echo 'chown: Operation not permitted' >&2; return 1; }\n")
    code, _ = router.service(check=False)
    assert code != 0 and "not FAT" in router.read("log"), router.read("log")
    run("mount", "-o", "remount,ro", str(router.root / "mnt/usb"))
    code, _ = router.service(check=False)
    assert code != 0 and "read-only" in router.read("log"), router.read("log")
    assert "open_instance" not in router.read("calls")
