"""A relay under test: its jail and disk, its life and sudden deaths, and what it costs the machine.

Each relay lives in mount and process namespaces of its own (the jail of tests/interop), where /var and /run are folders of
its `data`; nothing of the machine is changed. Its process is the first of its namespace: when that is killed, the kernel
kills all others in the same moment."""
import fcntl
import os
import shutil
import signal
import subprocess

from world import JAIL, PORT, WORK, run, until, wait_for_port

SYNCS = "fsync,fdatasync,sync_file_range,msync,sync,syncfs"
IMAGE_MB = 768
SHUTDOWN, WITHOUT_FLUSHING = 0x8004587d, 2  # EXT4_IOC_SHUTDOWN and its flag, linux/fs/ext4/ext4.h
TICK = os.sysconf("SC_CLK_TCK")
KB = 1024 / 1e6  # what /proc calls kB, in MB


class Relay:
    """What Postfix and Waypost (`peers.py`) share. `with` gives it an empty data folder and takes all away again."""
    name = None

    def __init__(self, maildir=False, disk=False, slow_syncs=False, direct=False):
        """Delivers into a Maildir, to the sink, or (`direct`) to whatever host the recipient is at; has an ext4 of its own; each
        sync call takes 5 ms longer."""
        self.maildir, self.disk, self.slow_syncs, self.direct = maildir, disk, slow_syncs, direct
        self.root, self.data = os.path.join(WORK, self.name, "root"), os.path.join(WORK, self.name, "data")
        self.image = os.path.join(WORK, self.name, "disk.img")
        self.jail = self.pid = self.device = None

    # What a peer says of itself: configure() writes its files below data; these run inside of the jail.
    command = retry = None

    def __enter__(self):
        self.remove()
        os.makedirs(self.data)
        try:
            if self.disk:
                with open(self.image, "wb") as f:
                    f.truncate(IMAGE_MB << 20)
                run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
                self.mount()
            for folder in ("etc", "run/lock", "var/log", "var/lib", "var/spool", "var/mail", "var/tmp"):
                os.makedirs(os.path.join(self.data, folder))
            self.configure()
            os.sync()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        self.remove()

    def remove(self):
        self.unmount()
        shutil.rmtree(self.data, ignore_errors=True)
        if os.path.exists(self.image):
            os.unlink(self.image)

    def write(self, path, text):
        path = os.path.join(self.data, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)

    # ---- disk

    def mount(self):
        self.device = run("losetup", "-f", "--show", self.image).strip()
        run("mount", "-o", "noatime", self.device, self.data)

    def unmount(self):
        """The jail's own mounts end a moment after its processes do."""
        if os.path.ismount(self.data):
            until(lambda: subprocess.run(["umount", self.data], stderr=subprocess.DEVNULL).returncode == 0, 10,
                  "umount " + self.data)
        if self.device:
            run("losetup", "-d", self.device)
            self.device = None

    # ---- life

    def up(self):
        """Starts it; milliseconds from its exec to its banner."""
        stamp = os.path.join(self.data, "run/started")
        if os.path.exists(stamp):
            os.unlink(stamp)
        slow = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=" + SYNCS,
                "-e", "inject=%s:delay_exit=5000" % SYNCS] if self.slow_syncs else []
        with open(os.path.join(WORK, self.name + ".log"), "ab") as log:
            self.jail = subprocess.Popen(
                ["unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child=SIGKILL", "sh", JAIL, self.root, self.data,
                 "/usr/bin/load", "start", "/run/started", *slow, *self.command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            banner = wait_for_port(PORT, 30, lambda: self.jail.poll() is None)
        finally:
            self.pid = next(iter(children(self.jail.pid, parents())), None)
        with open(stamp) as f:
            return (banner - int(f.read())) / 1000

    def try_again(self):
        """Tells it that now is a good time to deliver all that waits."""
        run("nsenter", "-t", str(self.pid), "-m", "-p", *self.retry)

    def kill(self, sig=signal.SIGKILL):
        """Ends it at once, or as `sig` says within ten seconds."""
        if self.jail is None:
            return
        for s in (sig, signal.SIGKILL):
            try:
                os.kill(self.pid or self.jail.pid, s)
                self.jail.wait(10)
                break
            except ProcessLookupError:
                self.jail.wait(10)
            except subprocess.TimeoutExpired:
                pass
        self.jail = self.pid = None

    def down(self):
        self.kill(signal.SIGTERM)

    def cut_power(self):
        """As if the plug were pulled: what is not on the disk now is never written. Then the machine is started again."""
        folder = os.open(self.data, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, WITHOUT_FLUSHING.to_bytes(4, "little"))
        finally:
            os.close(folder)
        self.kill()
        self.unmount()
        self.mount()

    # ---- what it costs: sums over all of its processes

    def processes(self):
        return [self.pid, *children(self.pid, parents())]

    def cpu(self):
        """Seconds of CPU so far, those of processes that have ended included.

        /proc/PID/stat counts threads that have ended, but rounds down to ticks; schedstat is exact, but has only those that
        live. The larger is nearer. What a parent has collected of its children is in ticks, once for all."""
        def spent(pid):
            fields = text("/proc/%d/stat" % pid).rsplit(")", 1)[1].split()
            own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
            exact = sum(int(text(t).split()[0]) for t in tasks(pid, "schedstat"))
            return max(own / TICK, exact / 1e9) + ended / TICK
        return self.sum(spent)

    def pss(self):
        """Memory in MB, what is shared shared out."""
        return self.sum(lambda pid: field("/proc/%d/smaps_rollup" % pid, "Pss")) * KB

    def forget_peak(self):
        def forget(pid):
            with open("/proc/%d/clear_refs" % pid, "w") as f:
                f.write("5")
            return 0
        self.sum(forget)

    def peak(self):
        """The most resident memory in MB that its processes had since `forget_peak`."""
        return self.sum(lambda pid: field("/proc/%d/status" % pid, "VmHWM")) * KB

    def sleeps(self):
        """How often each of its threads has gone to sleep so far."""
        found = {}

        def look(pid):
            found.update((task, field(task, "voluntary_ctxt_switches")) for task in tasks(pid, "status"))
            return 0
        self.sum(look)
        return found

    def sum(self, measure):
        """Of a measure over all processes; one that ends meanwhile counts nothing."""
        total = 0
        for pid in self.processes():
            try:
                total += measure(pid)
            except (OSError, IndexError, ValueError):
                pass
        return total

    def written(self):
        """Bytes and flushes that its disk has been given so far (Documentation/block/stat.rst)."""
        run("sync", "-f", self.data)
        fields = [int(n) for n in text("/sys/block/%s/stat" % os.path.basename(self.device)).split()]
        return fields[6] * 512, fields[15]


def text(path):
    with open(path) as f:
        return f.read()


def field(path, name):
    """The number behind `name:` in a file of /proc."""
    line = next(line for line in text(path).splitlines() if line.startswith(name + ":"))
    return int(line.split()[1])


def tasks(pid, name):
    return ["/proc/%d/task/%s/%s" % (pid, task, name) for task in os.listdir("/proc/%d/task" % pid)]


def parents():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found[int(pid)] = int(text("/proc/%s/stat" % pid).rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    return found


def children(pid, parent):
    """All descendants, its child first."""
    direct = [child for child, of in parent.items() if of == pid]
    return direct + [below for child in direct for below in children(child, parent)]
