"""A board in QEMU: an image on a medium of its own, ports forwarded to loopback, its serial line kept as a file."""
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.append(os.path.join(ROOT, "image"))
import board as boards  # noqa: E402 (the line above says where it is)

WORK = os.environ.get("BOOT_WORK", "/tmp/waypost-boot")
EMULATORS = {"x86_64": "qemu-system-x86_64", "aarch64": "qemu-system-aarch64"}
# Where the guest finds this machine (QEMU's user network).
HOST = "10.0.2.2"
# It comes from there too, as the gateway, which a relay does not trust by itself.
NETWORK = "10.0.2.0/24"
MEMORY_MEBIBYTES = 256
MEDIUM_OCTETS = 2 << 30
PORTS = iter(range(18100, 18900))


def image(name, version=None):
    """The newest image of a board, as scripts/image made it."""
    folder = os.path.join(ROOT, "target/image", name)
    found = [f for f in os.listdir(folder) if f.endswith(".img") and (version is None or version in f)]
    return os.path.join(folder, sorted(found)[0])


def free_port():
    for port in PORTS:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


class Machine:
    """One board, on a medium of so many octets. `disk`: how QEMU reaches the medium, `%s` standing for its file."""

    def __init__(self, name, title, medium=None, octets=MEDIUM_OCTETS, disk="driver=raw,file.driver=file,file.filename=%s", extra=()):
        self.board = boards.load(name)
        self.folder = os.path.join(WORK, title)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.disk, self.extra, self.process = disk, list(extra), None
        self.medium = medium or os.path.join(self.folder, "medium.img")
        if medium is None:
            subprocess.run(["cp", "--sparse=always", image(name), self.medium], check=True)
            os.truncate(self.medium, max(octets, os.path.getsize(self.medium)))
        self.ports = {guest: free_port() for guest in (25, 80, 587)}
        self.starts = 0

    def command(self):
        one = self.board["qemu"]
        words = [EMULATORS[self.board["architecture"]], "-machine", one["machine"], "-accel", "tcg", "-m", str(MEMORY_MEBIBYTES),
                 "-display", "none", "-monitor", "none", "-no-reboot"]
        if "cpu" in one:
            words += ["-cpu", one["cpu"]]
        if "firmware" in one:
            store = os.path.join(self.folder, "vars.fd")
            if not os.path.exists(store):
                shutil.copy(one["firmware"].replace("_CODE", "_VARS"), store)
            words += ["-drive", "if=pflash,format=raw,readonly=on,file=%s" % one["firmware"],
                      "-drive", "if=pflash,format=raw,file=%s" % store]
        forwards = "".join(",hostfwd=tcp:127.0.0.1:%d-:%d" % (own, guest) for guest, own in self.ports.items())
        words += ["-blockdev", "node-name=medium,%s" % (self.disk % self.medium), "-device", "%s,drive=medium" % one["disk"],
                  "-netdev", "user,id=net%s" % forwards, "-device", "%s,netdev=net" % one["net"],
                  "-chardev", "file,id=serial,path=%s" % self.serial_file(), "-serial", "chardev:serial"]
        return words + self.extra

    def serial_file(self):
        return os.path.join(self.folder, "serial-%d" % self.starts)

    def serial(self):
        """What stood on the serial line since the last start."""
        try:
            with open(self.serial_file(), "rb") as f:
                return f.read().decode(errors="replace").replace("\r", "")
        except FileNotFoundError:
            return ""

    def up(self, more=()):
        """Power on."""
        self.starts += 1
        self.began = time.monotonic()
        with open(os.path.join(self.folder, "qemu-%d" % self.starts), "wb") as errors:
            self.process = subprocess.Popen(self.command() + list(more), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        return self

    def until(self, happens, seconds, what):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process is not None and self.process.poll() is not None:
                with open(os.path.join(self.folder, "qemu-%d" % self.starts)) as f:
                    raise AssertionError("the machine has ended: %s\n%s" % (f.read(), self.serial()[-3000:]))
            found = happens()
            if found:
                return found
            time.sleep(0.3)
        raise AssertionError("no %s within %d s; the serial line:\n%s" % (what, seconds, self.serial()[-3000:]))

    def serves(self, seconds=150):
        """Wait for the banner and the page; tells how many seconds after the start."""
        self.until(lambda: self.banner().startswith(b"220 "), seconds, "SMTP banner")
        self.until(self.page_answers, seconds, "page")
        return time.monotonic() - self.began

    def banner(self, port=25):
        try:
            with socket.create_connection(("127.0.0.1", self.ports[port]), 5) as peer:
                peer.settimeout(5)
                return peer.recv(512)
        except OSError:
            return b""

    def page_answers(self):
        return b" 200 " in self.get("/healthz")[:20]

    def get(self, path):
        """What the page answers in the clear."""
        try:
            with socket.create_connection(("127.0.0.1", self.ports[80]), 5) as peer:
                peer.settimeout(5)
                peer.sendall(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % path.encode())
                answer = b""
                while part := peer.recv(65536):
                    answer += part
                return answer
        except OSError:
            return b""

    def ended(self, seconds=90):
        """Wait until the guest has ended by itself (with -no-reboot, a reboot is an end)."""
        self.process.wait(seconds)
        self.process = None

    def cut(self):
        """Pull the plug."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def setup_code(self):
        return self.until(self._code, 60, "setup code")

    def _code(self):
        after = self.serial().rsplit("Setup code: ", 1)
        return after[1].split()[0] if len(after) == 2 and after[1].split() else None

    # ---- The boot partition, without mounting it ----

    def boot(self, command, *words, **options):
        """An mtools command on the boot partition, while the power is off."""
        place = "%s@@%d" % (self.medium, boards.RESERVED_OCTETS)
        done = subprocess.run([command, "-i", place, *words], capture_output=True, check=True,
                              env={**os.environ, "MTOOLS_SKIP_CHECK": "1"}, **options)
        return done.stdout.decode(errors="replace")

    def put(self, name, text):
        path = os.path.join(self.folder, "put")
        with open(path, "w") as f:
            f.write(text)
        self.boot("mcopy", "-o", path, "::" + name)

    def read(self, name):
        return self.boot("mtype", "::" + name)

    def boot_names(self):
        return self.boot("mdir", "-b", "::").lower().replace("::/", "").split()


def context():
    """The board's certificate is its own."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return tls
