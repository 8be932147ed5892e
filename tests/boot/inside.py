"""What is inside an image: the partition table, blobs, the slots' state, the boot partition, the initramfs and the root, each
compared with what its board says and what its start needs."""
import json
import os
import shutil
import subprocess

from machine import ROOT

import pieces  # machine.py says where it is

MEBI = 1 << 20
# The four partitions (image/README.md, "The medium"): name, where, how much.
LAYOUT = [("boot", 16, 96), ("root-a", 112, 32), ("root-b", 144, 32), ("data", 176, 64)]
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
EFI = {"x86_64": ("BOOTX64.EFI", 0x8664), "aarch64": ("BOOTAA64.EFI", 0xAA64)}
# What init.d/start and the rescue call, and how each tells its version.
PROGRAMS = {"usr/sbin/e2fsck": "-V", "usr/sbin/resize2fs": "-h", "usr/sbin/sfdisk": "--version", "usr/bin/partx": "--version",
            "usr/sbin/dropbear": "-V"}
LOADERS = {"x86_64": "lib64/ld-linux-x86-64.so.2", "aarch64": "lib/ld-linux-aarch64.so.1"}
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}
EMULATED = {"x86_64": [], "aarch64": ["qemu-aarch64-static"]}


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=120, **{"stderr": subprocess.PIPE, **options})
    said = (done.stderr or b"") + done.stdout
    assert done.returncode == 0, "%s: %s" % (" ".join(command), said.decode(errors="replace")[-2000:])
    return done.stdout.decode(errors="replace")


def octets(path, at, count):
    with open(path, "rb") as f:
        f.seek(at)
        return f.read(count)


def partitions(one, image):
    table = json.loads(run("sfdisk", "--json", image))["partitiontable"]
    assert table["label"] == {"gpt": "gpt", "mbr": "dos"}[one["image"]["table"]], table
    found = [(part["start"] * 512 // MEBI, part["size"] * 512 // MEBI) for part in table["partitions"]]
    assert found == [(start, size) for _, start, size in LAYOUT], found
    if one["image"]["table"] == "gpt":
        assert [part["name"] for part in table["partitions"]] == [name for name, _, _ in LAYOUT], table
    kinds = [part["type"].lower() for part in table["partitions"]]
    boot, root = (pieces.GPT_TYPES["boot"], pieces.GPT_TYPES["root"]) if one["image"]["table"] == "gpt" else ("c", "83")
    assert kinds == [boot, root, root, root], kinds
    # With its complaints: of two copies of a GPT it takes the one that is right, and says so there.
    verdict = run("sfdisk", "--verify", image, stderr=subprocess.STDOUT)
    assert "No errors detected" in verdict and "corrupt" not in verdict, verdict
    # FAT32: "WAYPOST" in the boot sector; squashfs: its magic; ext4: its label in the superblock.
    assert octets(image, 16 * MEBI + 71, 19) == b"WAYPOST    FAT32   ", "boot: another label or file system"
    assert octets(image, 112 * MEBI, 4) == b"hsqs", "root-a is no squashfs"
    assert octets(image, 144 * MEBI, 32 * MEBI) == bytes(32 * MEBI), "root-b is not empty"
    assert octets(image, 176 * MEBI + 1024 + 120, 16).rstrip(b"\0") == b"waypost-data", "data: another label or file system"


def blobs(one, image, debian):
    """Octet for octet what the packages unpacked in `debian` have."""
    for blob in one.get("blob", []):
        with open(os.path.join(debian, DEBIAN[one["architecture"]], blob["package"], blob["file"]), "rb") as f:
            wanted = f.read()
        assert len(wanted) > 4096 and octets(image, blob["at"], len(wanted)) == wanted, blob


def slots(image, copy):
    """The initramfs's own script reads the state, counts a trial, and falls back, on a copy of what is before the partitions."""
    with open(copy, "wb") as f:
        f.write(octets(image, 0, 16 * MEBI))
    script = ". %s/image/initramfs/slots.sh; " % ROOT
    show = '; echo "$slot $good $trial $tries $word"'
    assert run("sh", "-c", script + "slots_turn $0" + show, copy) == "a a - 0 new\n"
    run("sh", "-c", script + "slots_read $0; trial=b tries=1 word=taken; slots_write $0", copy)
    assert run("sh", "-c", script + "slots_turn $0" + show, copy) == "b a b 0 taken\n"
    assert run("sh", "-c", script + "slots_turn $0" + show, copy).startswith("a a - 0 fell-back ")
    before, after = octets(image, 0, 16 * MEBI), octets(copy, 0, 16 * MEBI)
    assert before[:15 * MEBI] == after[:15 * MEBI] and before[15 * MEBI + 1024:] == after[15 * MEBI + 1024:]
    os.unlink(copy)


def boot_partition(one, image, folder):
    place = "%s@@%d" % (image, 16 * MEBI)
    names = {line.removeprefix("::/") for line in run("mdir", "-/", "-b", "-i", place, "::").splitlines()}

    def has(*wanted):
        for name in wanted:
            assert name.lower() in {known.lower() for known in names}, "%s is not among %s" % (name, ", ".join(sorted(names)))

    def text(name):
        return run("mtype", "-i", place, "::" + name)

    has("vmlinuz", "initrd.img", "modules.sqfs", "README.txt")
    with open(os.path.join(folder, "initrd"), "wb") as f:
        f.write(subprocess.run(["mtype", "-i", place, "::initrd.img"], capture_output=True, check=True).stdout)
    consoles = ["console=" + name for name in one["image"]["console"]]
    if one["image"]["boot"] == "rpi":
        has("config.txt", "cmdline.txt", *(os.path.basename(name) for name in one["image"]["device_trees"]))
        settings = text("config.txt").splitlines()
        assert {"arm_64bit=1", "kernel=vmlinuz", "initramfs initrd.img followkernel"} <= set(settings), settings
        for line in settings:
            if line.startswith("device_tree="):
                has(line.split("=")[1])
        for line in one["image"]["boot_files"]:
            has(os.path.basename(line))
        four = "bcm2711" in " ".join(one["image"]["device_trees"])
        has(*(["start4.elf", "fixup4.dat"] if four else ["bootcode.bin", "start.elf", "fixup.dat"]))
        assert text("cmdline.txt").count("\n") == 1 and set(consoles) <= set(text("cmdline.txt").split())
        assert "Redistribution and use in binary form" in text("licences/raspi-firmware.txt")
        return
    name, kind = EFI[one["architecture"]]
    has("EFI/BOOT/" + name, "loader/loader.conf", "loader/entries/waypost.conf")
    program = subprocess.run(["mtype", "-i", place, "::EFI/BOOT/" + name], capture_output=True, check=True).stdout
    header = int.from_bytes(program[0x3C:0x40], "little")
    assert program[header:header + 4] == b"PE\0\0" and int.from_bytes(program[header + 4:header + 6], "little") == kind
    entry = dict(line.split(" ", 1) for line in text("loader/entries/waypost.conf").splitlines())
    has(entry["linux"].lstrip("/"), entry["initrd"].lstrip("/"))
    assert set(consoles) <= set(entry["options"].split()), entry
    has(*("dtb/" + name for name in one["image"].get("device_trees", [])))
    has(*("licences/%s.txt" % blob["package"] for blob in one.get("blob", [])))


def archive(path):
    """The files of an initramfs, by name: mode and octets ("newc" archive)."""
    whole = subprocess.run(["xz", "-dc", path], capture_output=True, check=True).stdout
    files, at = {}, 0
    while True:
        assert whole[at:at + 6] == b"070701", "no archive member at %d" % at
        mode, size, length = (int(whole[at + first:at + first + 8], 16) for first in (14, 54, 94))
        name = whole[at + 110:at + 110 + length - 1].decode()
        begin = at + 110 + length + -(at + 110 + length) % 4
        if name == "TRAILER!!!":
            return files
        files[name] = (mode, whole[begin:begin + size])
        at = begin + size + -(begin + size) % 4


def initramfs(folder):
    """It has what init calls, each driver it asks for, and what those need."""
    files = archive(os.path.join(folder, "initrd"))
    for name in ("init", "slots.sh", "bin/busybox", "sbin/modprobe", "etc/modules"):
        assert name in files, "initramfs: no " + name
    assert files["init"][0] == 0o100755 and files["init"][1].startswith(b"#!/bin/busybox sh\n")
    tables = {name.rsplit("/", 1)[1]: octets.decode() for name, (_, octets) in files.items() if "/modules." in name}
    place = next(name for name in files if name.endswith("/modules.dep")).rsplit("/", 1)[0]
    built_in = {pieces.module_name(line) for line in tables["modules.builtin"].split()}
    needs = dict(line.split(":") for line in tables["modules.dep"].splitlines())
    own = {pieces.module_name(path) for path in needs}
    for path, others in needs.items():
        for one in (path, *others.split()):
            assert "%s/%s" % (place, one) in files, "initramfs: no " + one
    asked = files["etc/modules"][1].decode().split()
    asked += ["squashfs", "ext4", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1", "nls_utf8", "loop"]
    for name in asked:
        assert name.replace("-", "_") in own | built_in, "initramfs: no driver " + name


def root(one, image, folder, relay):
    """It has init, busybox, the relay and programs of Debian, with every library those need, and they start."""
    place = os.path.join(folder, "unpacked")
    shutil.rmtree(place, ignore_errors=True)
    run("unsquashfs", "-no-progress", "-d", place, "-offset", str(112 * MEBI), image)
    for name in ("sbin/init", "bin/busybox", "usr/bin/waypost", "etc/inittab", "etc/init.d/start", "etc/waypost/update.pub"):
        assert os.path.exists(os.path.join(place, name)), "root: no " + name
    with open(os.path.join(place, "etc/waypost/board.json")) as f:
        assert json.load(f)["board"] == one["name"]
    with open(os.path.join(place, "usr/bin/waypost"), "rb") as own, open(relay, "rb") as given:
        assert own.read() == given.read(), "root: another relay than was given"
    todo, seen = [*PROGRAMS, "bin/busybox"], set()
    while todo:
        name = todo.pop()
        path = os.path.join(place, name)
        assert os.path.exists(path), "root: no %s" % name
        seen.add(name)
        head, kind = octets(path, 0, 20), ELF_MACHINES[one["architecture"]]
        assert head[:4] == b"\x7fELF" and int.from_bytes(head[18:], "little") == kind, "root: %s is for another machine" % name
        for line in run("readelf", "-ld", path).splitlines():
            if "(NEEDED)" in line:
                library = "lib/" + line.split("[")[1].split("]")[0]
                todo += [library] if library not in seen else []
            elif "interpreter: " in line:
                loader = line.split("interpreter: /")[1].rstrip("]")
                assert os.path.exists(os.path.join(place, loader)), "root: no %s for %s" % (loader, name)
    # With its own loader and nothing but its own libraries.
    loader = [*EMULATED[one["architecture"]], os.path.join(place, LOADERS[one["architecture"]]), "--library-path",
              os.path.join(place, "lib")]
    for name, option in PROGRAMS.items():
        done = subprocess.run([*loader, os.path.join(place, name), option], capture_output=True, timeout=60, check=False)
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert any(word in said for word in ("e2fsck", "resize2fs", "util-linux", "Dropbear")), "root: %s: %s" % (name, said)
    shutil.rmtree(place)


def compressed(one, image):
    """Octets that the compressed image has at most, which are within the board's budget.

    Packed quickly, which takes a third of the time and up to a tenth more room; only where that is too much, as scripts/image
    does."""
    most = one["budget"]["image_octets"]
    size = packed(image, "-1")
    if size > most:
        size = packed(image, "-6")
    assert size <= most, "%d octets; the budget is %d" % (size, most)
    return size


def packed(image, level):
    with subprocess.Popen(["xz", level, "-T1", "-c", image], stdout=subprocess.PIPE) as packing:
        size = 0
        while part := packing.stdout.read(MEBI):
            size += len(part)
    assert packing.returncode == 0
    return size
