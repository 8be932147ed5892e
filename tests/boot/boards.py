"""Boards: their files are right, and wrong ones are told; their images are what each board's firmware asks for; and what an
emulator has of a board without one of its own is started: the Raspberry Pi's kernel, and U-Boot from the media it reads.

WAYPOST_BIN is not read here: each board takes the relay of its target where one is built, and says so where none is."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import machine
import world
from machine import ROOT, Machine
from page import Page

sys.path.append(os.path.join(ROOT, "image/package"))
import board as rules  # noqa: E402 (machine.py says where it is)
import debian  # noqa: E402
import inside  # noqa: E402
import trees  # noqa: E402
from inside import MEBI  # noqa: E402

IMAGES = os.path.join(machine.WORK, "images")


def case(function):
    function.is_case = True
    return function


# ---- The files ----


def told(change, words):
    """A board with something changed is refused, in these words."""
    one = json.loads(json.dumps(RIGHT))
    change(one)
    try:
        rules.check("wrong", one)
    except rules.Wrong as error:
        assert words in str(error), "%s\nis not in: %s" % (words, error)
        return
    raise AssertionError("taken, though: " + words)


RIGHT = {
    "title": "A board", "architecture": "aarch64", "target": "aarch64-unknown-linux-musl", "evidence": "structural",
    "clock": False, "sources": ["a datasheet"], "budget": {"binary_octets": 1, "image_octets": 1, "memory_octets": 1},
    "image": {"boot": "u-boot", "table": "mbr", "medium": ["card"], "console": ["ttyS0"], "kernel": "linux",
              "device_trees": ["a.dtb"]},
    "blob": [{"package": "u-boot", "file": "u-boot.bin", "at": 8192, "source": "its installer"}],
}


def change(path, *value):
    """Puts `value` at the path, or takes away what is there."""
    def act(one):
        *way, last = path.split("/")
        for name in way:
            one = one[int(name) if name.isdigit() else name]
        if value:
            one[last] = value[0]
        else:
            del one[last]
    return act


@case
def every_board_file_is_right_and_a_wrong_one_is_told_what_was_found_and_what_is_allowed(used):
    names = rules.names()
    for name in names:
        rules.load(name)
    rules.check("right", RIGHT)
    told(change("colour", "red"), "boards/wrong.toml: found 'colour'; allowed is title, architecture, target")
    told(change("image/colour", "red"), "boards/wrong.toml [image]: found 'colour'; allowed is boot, table")
    told(change("budget/colour", 1), "boards/wrong.toml [budget]: found 'colour'; allowed is binary_octets")
    told(change("blob/0/colour", 1), "boards/wrong.toml [[blob]]: found 'colour'; allowed is package, file, at, source")
    told(change("title"), "boards/wrong.toml: title is missing")
    told(change("image/console"), "boards/wrong.toml [image]: console is missing")
    told(change("budget/image_octets"), "boards/wrong.toml [budget]: image_octets is missing")
    told(change("clock", "no"), "boards/wrong.toml: clock: found 'no'; allowed is a flag")
    told(change("title", ""), "boards/wrong.toml: title: found ''; allowed is a text")
    told(change("target", "two words"), "boards/wrong.toml: target: found 'two words'; allowed is a word")
    told(change("sources", "a book"), "boards/wrong.toml: sources: found 'a book'; allowed is a words")
    told(change("budget/binary_octets", True), "boards/wrong.toml [budget]: binary_octets: found True; allowed is a count")
    told(change("image", []), "boards/wrong.toml: image: found []; allowed is a dict")
    told(change("sources", []), "boards/wrong.toml: sources is empty")
    told(change("architecture", "vax"), "boards/wrong.toml: architecture: found 'vax'; allowed is aarch64, armv7, i686")
    told(change("evidence", "sure"), "evidence: found 'sure'; allowed is booted, kernel booted, self-test, structural")
    told(change("image/boot", "lilo"), "boards/wrong.toml [image]: boot: found 'lilo'; allowed is rpi, u-boot, uefi")
    told(change("image/table", "bsd"), "boards/wrong.toml [image]: table: found 'bsd'; allowed is gpt, mbr")
    told(change("image"), "boards/wrong.toml: blob without [image]")
    told(lambda one: (one.pop("image"), one.pop("blob")), "boards/wrong.toml: neither [image] nor packages")
    told(change("evidence", "booted"), "boards/wrong.toml: 'booted' without [qemu]: by which machine?")
    told(change("qemu", {"machine": "virt"}), "boards/wrong.toml [qemu]: disk is missing")
    told(change("blob/0/at", 8000), "[[blob]]: at: found 8000; allowed is a multiple of 512 from 512 on, below 15728640")
    told(change("blob/0/at", 15 * MEBI), "at: found 15728640; allowed is a multiple of 512 from 512 on, below 15728640")
    told(change("image/table", "gpt"), "[[blob]]: at: found 8192; allowed is a multiple of 512 from 17408 on")
    told(change("blob"), "boards/wrong.toml: no [[blob]], which boot 'u-boot' needs")
    told(change("image/device_trees"), "boards/wrong.toml [image]: device_trees is missing, which boot 'u-boot' needs")
    told(change("image/boot", "rpi"), "boards/wrong.toml [image]: boot_files is missing, which boot 'rpi' needs")
    told(lambda one: one["image"].update(boot="rpi", boot_files=["firmware"]),
         "boards/wrong.toml [image]: boot_files: found 'firmware'; allowed is PACKAGE:FILES")
    told(lambda one: one["image"].update(boot="rpi", boot_files=["a:b"], table="gpt"),
         "boards/wrong.toml [image]: table: found 'gpt'; allowed with boot 'rpi' is mbr")
    board = {**RIGHT, "name": "wrong"}
    rules.check_room(board, [(8192, 32768), (40960, 1)])
    for blobs, words in [([(8192, 32769), (40960, 1)], "[[blob]]: at 8192: found 32769 octets; allowed is 32768"),
                         ([(15 * MEBI - 512, 513)], "[[blob]]: at 15728128: found 513 octets; allowed is 512")]:
        try:
            rules.check_room(board, blobs)
            raise AssertionError("taken, though: " + words)
        except rules.Wrong as error:
            assert words in str(error), error
    return "%d boards" % len(names)


@case
def a_board_without_an_image_takes_packages_that_scripts_package_makes(used):
    import deb
    import ipk
    import oci
    import tarball
    from release import Release
    from targets import TARGETS
    release = Release(root=rules.ROOT, version="VERSION", date=0, maintainer="Nobody <nobody@waypost.invalid>")
    count = 0
    for name in rules.names():
        one = rules.load(name)
        if "image" in one:
            continue
        target = TARGETS[one["target"]]
        made = {**tarball.build(release, target, b""), **deb.build(release, target, b""), **ipk.build(release, target, b""),
                **deb.build_mta(release), **oci.build(release, {target: b""})}
        for package in one["packages"]:
            assert package in made, "%s: %s; scripts/package makes %s" % (name, package, ", ".join(sorted(made)))
            count += 1
    return "%d packages" % count


# ---- The images ----


def relay(one):
    """The relay of the board's target, or a stand-in as large as it may be; and what to say of that."""
    path = os.path.join(ROOT, "target", one["target"], "release/waypost")
    most, words = one["budget"]["binary_octets"], ""
    with LOCK:
        os.makedirs(IMAGES, exist_ok=True)
        # A copy for the whole run: it may be built anew meanwhile.
        kept = os.path.join(IMAGES, "relay-%s-%d" % (one["target"], os.getpid()))
        if os.path.isfile(path) and not os.path.isfile(kept):
            shutil.copy(path, kept)
        if not os.path.isfile(kept):
            words = "a stand-in for the relay, which is not built"
        elif os.path.getsize(kept) > most:
            words = "a stand-in for the relay, which is over its budget"
        if words:
            kept = os.path.join(IMAGES, "stand-in-%d" % most)
            with open(kept, "wb") as f:
                # As hard to compress as a program is: by about a half.
                for n in range(most // 64):
                    f.write(hashlib.sha256(b"%d" % n).digest() + bytes(32))
            os.chmod(kept, 0o755)
    return kept, words


@case
def every_relay_that_is_built_is_within_the_budgets_of_its_boards(used):
    over, sizes = [], {}
    for name in rules.names():
        one = rules.load(name)
        path = os.path.join(ROOT, "target", one["target"], "release/waypost")
        if os.path.isfile(path):
            size = sizes[one["target"]] = os.path.getsize(path)
            over += ["%s: %d octets; the budget is %d" % (name, size, one["budget"]["binary_octets"])
                     ] if size > one["budget"]["binary_octets"] else []
    assert not over, "; ".join(over)
    return ", ".join("%s %.2f MB" % (target, size / 1e6) for target, size in sorted(sizes.items())) or "none is built"


LOCK, BUILDING, BUILT = threading.Lock(), {}, {}


def build(name, work=IMAGES, **more):
    """Makes the image. Tells its folder, the relay in it, and what to say of that."""
    binary, words = relay(rules.load(name))
    # One key and one date for all images of a run, as one commit has.
    environment = {**os.environ, "WAYPOST_IMAGE_WORK": work, "WAYPOST_BIN": binary, "SOURCE_DATE_EPOCH": "1790000000",
                   "WAYPOST_UPDATE_KEY": key()}
    done = subprocess.run([os.path.join(ROOT, "scripts/image"), name, "--uncompressed"], env=environment, capture_output=True,
                          timeout=400, check=False, **more)
    assert done.returncode == 0, "%s: %s" % (name, done.stderr.decode(errors="replace")[-2000:])
    return os.path.join(work, name), binary, words


def key():
    path = os.path.join(IMAGES, "key.pem")
    with LOCK:
        os.makedirs(IMAGES, exist_ok=True)
        if not os.path.isfile(path):
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True)
    return path


def built(name):
    """The folder of a board's image, its relay, and what to say of that: made once in a run, whichever case is first."""
    with BUILDING.setdefault(name, threading.Lock()):
        if name not in BUILT:
            BUILT[name] = build(name)
    return BUILT[name]


def image_of(folder):
    names = [name for name in os.listdir(folder) if name.endswith(".img")]
    assert len(names) == 1, names
    return os.path.join(folder, names[0])


@case
def every_image_is_laid_out_as_its_board_says_and_has_all_that_its_start_needs(used):
    names = [name for name in rules.names() if "image" in rules.load(name)]
    with concurrent.futures.ThreadPoolExecutor(2) as workers:
        return "; ".join(workers.map(looked_into, names))


def looked_into(name):
    folder, binary, words = built(name)
    one, image = rules.load(name), image_of(folder)
    try:
        inside.partitions(one, image)
        inside.blobs(one, image, os.path.join(IMAGES, "debian"))
        inside.slots(image, os.path.join(folder, "state"))
        inside.boot_partition(one, image, folder)
        inside.initramfs(folder)
        inside.root(one, image, folder, binary)
        trees.all_driven(one, folder, os.path.join(IMAGES, "debian/arm64", one["image"]["kernel"]))
        return "%s at most %.1f MB%s" % (name, inside.compressed(one, image) / 1e6, " with " + words if words else "")
    except AssertionError as error:
        raise AssertionError("%s: %s" % (name, error)) from error


@case
def the_same_image_made_twice_is_the_same_octets(used):
    """Elsewhere, at another time, by somebody with another umask."""
    folder, _, _ = built("x86-64-uefi")
    time.sleep(2.1)
    other = os.path.join(machine.WORK, "images-again")
    try:
        again, _, _ = build("x86-64-uefi", other, umask=0o002)
        sums = [digests(place) for place in (folder, again)]
        assert sums[0] == sums[1] and len(sums[0]) == 2, sums
        return next(value for name, value in sums[0].items() if name.endswith(".img"))
    finally:
        shutil.rmtree(other, ignore_errors=True)


def digests(folder):
    found = {}
    for name in os.listdir(folder):
        if name.endswith((".img", ".update")):
            with open(os.path.join(folder, name), "rb") as f:
                found[name] = hashlib.file_digest(f, "sha256").hexdigest()
    return found


# ---- Starts ----


# The Raspberry Pi's (Linux 6.1 drivers/watchdog/bcm2835_wdt.c).
WATCHDOG_SECONDS = 15


class Emulated(Machine):
    """A medium in a machine that loads something other than the board's firmware. `words`: what QEMU is told of that."""

    def __init__(self, name, title, words, medium_octets):
        medium = os.path.join(machine.WORK, title + ".img")
        super().__init__(name, title, medium)
        subprocess.run(["cp", "--sparse=always", image_of(built(name)[0]), medium], check=True)
        os.truncate(medium, medium_octets)
        self.words = words

    def command(self):
        forwards = "".join(",hostfwd=tcp:127.0.0.1:%d-:%d" % (own, guest) for guest, own in self.ports.items())
        return ["qemu-system-aarch64", "-accel", "tcg", "-display", "none", "-monitor", "none", "-no-reboot",
                "-netdev", "user,id=net" + forwards, *self.words(self)]

    def serial_words(self):
        return ["-chardev", "file,id=serial,path=%s" % self.serial_file()]


def raspi3b(self):
    """QEMU loads what the firmware would have loaded. Its first serial line is the PL011, which on the board is Bluetooth's.

    Its watchdog resets as soon as it is started, so the driver's start is left out: the keeper gets on with softdog, which is as
    impatient as the board's. The machine has 1 GiB and no other; the kernel is told of what the board is said to need."""
    boot = os.path.join(built(self.board["name"])[0], "boot")
    with open(os.path.join(boot, "cmdline.txt")) as f:
        parameters = f.read().strip() + " initcall_blacklist=bcm2835_wdt_driver_init"
    parameters += " softdog.soft_margin=%d ignore_loglevel" % WATCHDOG_SECONDS
    parameters += " mem=%d" % self.board["budget"]["memory_octets"]
    return ["-machine", self.board["qemu"]["machine"], "-kernel", os.path.join(boot, "vmlinuz"), "-append", parameters,
            "-initrd", os.path.join(boot, "initrd.img"), "-dtb", os.path.join(boot, "bcm2837-rpi-3-b.dtb"),
            "-drive", "if=%s,format=raw,file=%s" % (self.board["qemu"]["disk"], self.medium),
            "-device", self.board["qemu"]["net"] + ",netdev=net", *self.serial_words(),
            "-serial", "null", "-serial", "chardev:serial"]


@case
def the_kernel_of_a_Raspberry_Pi_3_starts_finds_the_card_and_gets_mail_through(used):
    # QEMU takes cards only of a power of two.
    one = Emulated("raspberry-pi-3", "raspi3b", raspi3b, 512 * MEBI)
    used.append(one)
    stand_in = built("raspberry-pi-3")[2]
    one.up()
    if stand_in:
        # The root's own start, which mounts the data partition: then init calls the relay, which is none.
        one.until(lambda: "/usr/bin/waypost: line 1:" in one.serial(), 150, "call of the relay")
        took = time.monotonic() - one.began
        one.cut()
        with open(one.medium, "rb") as f:
            table = f.read(512)
        # The fourth partition of an MBR: its size stands 12 octets into its entry.
        sectors = int.from_bytes(table[446 + 3 * 16 + 12:446 + 3 * 16 + 16], "little")
        assert sectors * 512 == (512 - 176) * MEBI, "%d sectors of data" % sectors
        return "%.0f s to the root and the grown data partition; with %s, so no banner" % (took, stand_in)
    took = one.serves(240)
    sink = world.Sink()
    page = Page(one).set_up()
    page.configure(hostname="board.test", routes=[{"for": "*", "via": "%s:%d" % (machine.HOST, sink.port), "tls": "none"}])
    world.submit(one, "by the Raspberry Pi")
    one.until(lambda: sink.find("by the Raspberry Pi"), 60, "message")
    about = page.done("GET", "/api/board")
    assert about["board"] == "raspberry-pi-3" and not about["troubles"], about
    assert about["free_octets"] >= one.board["budget"]["free_octets"], about
    # Long enough for a watchdog that nobody feeds.
    one.until(lambda: time.monotonic() - one.began > took + 2 * WATCHDOG_SECONDS, 60, "patience")
    said = one.serial()
    assert "soft_margin=%d " % WATCHDOG_SECONDS in said and one.page_answers() and "Initiating system reboot" not in said, said
    free, memory = about["free_octets"] >> 20, about["memory_octets"] >> 20
    return "%.0f s to the banner and the page, %d MiB free of %d" % (took, free, memory)


def virt(self):
    """U-Boot as its own package has it for this machine, of the same version as the boards', which reads the same media."""
    firmware = os.path.join(IMAGES, "u-boot-qemu/usr/lib/u-boot/qemu_arm64/u-boot.bin")
    return ["-machine", "virt", "-cpu", "cortex-a57", "-m", "1024", "-bios", firmware,
            "-drive", "if=none,id=medium,format=raw,file=%s" % self.medium, "-device", "virtio-blk-pci,drive=medium",
            *self.serial_words(), "-serial", "chardev:serial"]


def from_u_boot(used, name):
    folder = pathlib.Path(IMAGES) / "u-boot-qemu"
    folder.mkdir(parents=True, exist_ok=True)
    debian.unpack("u-boot-qemu", "arm64", rules.ROOT / "target/image/debs", folder)
    one = Emulated(name, "u-boot-" + name, virt, 512 * MEBI)
    used.append(one)
    # The serial line of this machine is another than the board's.
    entry = one.boot("mtype", "::loader/entries/waypost.conf")
    options = next(line for line in entry.splitlines() if line.startswith("options "))
    one.put("loader/entries/waypost.conf", entry.replace(options, "options console=ttyAMA0 ignore_loglevel"))
    one.up()
    one.until(lambda: "Run /init as init process" in one.serial(), 120, "start of the initramfs")
    said = one.serial()
    assert "U-Boot 2023.01" in said and "BOOTAA64.EFI" in said.upper(), said[-3000:]
    took = time.monotonic() - one.began
    one.cut()
    return took


@case
def U_Boot_starts_the_kernel_from_the_media_of_boards_that_have_it(used):
    """One with an MBR, one with a GPT. The boards' own U-Boots are in no emulator here."""
    return ", ".join("%s %.0f s to the initramfs" % (name, from_u_boot(used, name)) for name in ("pine64", "rock64"))


if __name__ == "__main__":
    import run
    run.MODULES = [sys.modules["__main__"]]
    sys.exit(run.main(sys.argv[1:]))
