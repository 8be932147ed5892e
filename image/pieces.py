"""The pieces of an image, each the same octets for the same contents: archive, file systems, partition table."""

import os
import pathlib
import shutil
import stat
import struct
import subprocess
import uuid
import zlib

import board as boards

SECTOR = 512
MEBI = 1 << 20


def run(*command, **options):
    """A tool; its words where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, check=False, **options)
    if done.returncode != 0:
        raise SystemExit(f"image: {command[0]}: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout


def settle(tree, when):
    """Times and modes of all files below `tree`, so that they do not tell when and by whom it was made."""
    for path in sorted(tree.rglob("*"), reverse=True):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
            os.utime(path, (when, when))
    tree.chmod(0o755)
    os.utime(tree, (when, when))


def cpio(tree):
    """`tree` as an initramfs: the "newc" archive of the kernel's documentation (driver-api/early-userspace/buffer-format)."""
    out = bytearray()

    def member(number, name, mode, octets):
        name = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(octets), 0, 0, 0, 0, len(name), 0)
        out.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        out.extend(b"\0" * (-len(out) % 4))
        out.extend(octets)
        out.extend(b"\0" * (-len(out) % 4))

    for number, path in enumerate(sorted(tree.rglob("*")), 1):
        name = str(path.relative_to(tree))
        if path.is_symlink():
            member(number, name, 0o120777, str(path.readlink()).encode())
        elif path.is_dir():
            member(number, name, 0o40755, b"")
        else:
            mode = 0o100755 if path.stat().st_mode & stat.S_IXUSR else 0o100644
            member(number, name, mode, path.read_bytes())
    member(0, "TRAILER!!!", 0, b"")
    return bytes(out)


def squashfs(tree, to, when, block=262144, code=None):
    """`tree` as a read-only file system, all of it root's, read in blocks of so many octets; `code`: of which machine it is."""
    to.unlink(missing_ok=True)
    # It refuses the variable beside the options, which say the same.
    clock = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    code = ["-Xbcj", code] if code else []
    run("mksquashfs", tree, to, "-quiet", "-no-progress", "-all-root", "-comp", "xz", *code, "-b", block, "-no-xattrs",
        "-mkfs-time", when, "-all-time", when, "-processors", 1, env=clock)


def fat(tree, to, size, when):
    """`tree` as a FAT32 file system of `size` octets, which every firmware and every PC reads."""
    to.unlink(missing_ok=True)
    with to.open("wb") as image:
        image.truncate(size)
    # A clock that stands still for mmd; NO_FAKE_STAT, as mcopy takes the files' own times, which faketime would shift as well.
    clock = {"SOURCE_DATE_EPOCH": str(when), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1",
             "NO_FAKE_STAT": "1"}
    faked = ["faketime", "-f", stamp(when)]
    run("mkfs.vfat", "--invariant", "-F", 32, "-n", "WAYPOST", "-i", "57415950", to)
    for path in sorted(tree.rglob("*")):
        name = f"::{path.relative_to(tree)}"
        if path.is_dir():
            run(*faked, "mmd", "-i", to, name, env=clock)
        else:
            run(*faked, "mcopy", "-m", "-i", to, path, name, env=clock)


def stamp(when):
    return run("date", "-u", "-d", f"@{when}", "+%Y-%m-%d %H:%M:%S").decode().strip()


def ext4(to, size, label, when):
    """An empty ext4 that can grow by a thousand times, with blocks of a flash page and a journal large enough for it."""
    to.unlink(missing_ok=True)
    with to.open("wb") as image:
        image.truncate(size)
    number = uuid.uuid5(uuid.NAMESPACE_DNS, label)
    run("mke2fs", "-q", "-t", "ext4", "-b", 4096, "-i", 16384, "-J", "size=16", "-L", label, "-U", number, "-m", 1, "-E",
        f"hash_seed={number},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0", to,
        env={"E2FSPROGS_FAKE_TIME": str(when), "SOURCE_DATE_EPOCH": str(when), "PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})


GPT_TYPES = {"boot": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "root": "0fc63daf-8483-4772-8e79-3d69d8477de4"}
MBR_TYPES = {"boot": 0x0C, "root": 0x83}


def gpt(parts, sectors, name):
    """Primary and backup table (UEFI 2.10 §5.3): octets for the start and for the last 33 sectors of the medium."""
    disk = uuid.uuid5(uuid.NAMESPACE_DNS, f"waypost {name}")
    entries = bytearray()
    for title, kind, first, count in parts:
        entries += uuid.UUID(GPT_TYPES[kind]).bytes_le + uuid.uuid5(disk, title).bytes_le
        entries += struct.pack("<QQQ", first, first + count - 1, 0) + title.encode("utf-16-le").ljust(72, b"\0")
    entries = bytes(entries).ljust(128 * 128, b"\0")

    def header(own, other, table):
        plain = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, own, other, 34, sectors - 34,
                            disk.bytes_le, table, 128, 128, zlib.crc32(entries))
        return (plain[:16] + struct.pack("<I", zlib.crc32(plain)) + plain[20:]).ljust(SECTOR, b"\0")

    guard = bytearray(SECTOR)
    guard[446:462] = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF))
    guard[510:] = b"\x55\xaa"
    return bytes(guard) + header(1, sectors - 1, 2) + entries, entries + header(sectors - 1, 1, sectors - 33)


def mbr(parts, name):
    """The table that the Raspberry Pi's firmware reads."""
    table = bytearray(SECTOR)
    table[440:444] = uuid.uuid5(uuid.NAMESPACE_DNS, f"waypost {name}").bytes[:4]
    for at, (_, kind, first, count) in enumerate(parts):
        entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", MBR_TYPES[kind], b"\xfe\xff\xff", first, count)
        table[446 + 16 * at:462 + 16 * at] = entry
    table[510:] = b"\x55\xaa"
    return bytes(table)


def medium(to, board, pieces, blobs, state):
    """The whole medium. `pieces` is (title, kind, file, octets kept for it) in order of the partitions."""
    parts, first = [], boards.RESERVED_OCTETS // SECTOR
    for title, kind, _, size in pieces:
        parts.append((title, kind, first, size // SECTOR))
        first += size // SECTOR
    sectors = first + MEBI // SECTOR
    to.unlink(missing_ok=True)
    with to.open("wb") as image:
        image.truncate(sectors * SECTOR)
        if board["image"]["table"] == "gpt":
            start, end = gpt(parts, sectors, board["name"])
            image.write(start)
            image.seek((sectors - 33) * SECTOR)
            image.write(end)
        else:
            image.write(mbr(parts, board["name"]))
        for at, octets in blobs:
            image.seek(at)
            image.write(octets)
        image.seek(boards.STATE_OCTETS)
        image.write(state)
        for (_, _, file, _), (_, _, begin, count) in zip(pieces, parts):
            if file is not None:
                if file.stat().st_size > count * SECTOR:
                    raise SystemExit(f"image: {file.name} has {file.stat().st_size} octets; there is room for {count * SECTOR}")
                image.seek(begin * SECTOR)
                with file.open("rb") as octets:
                    shutil.copyfileobj(octets, image, MEBI)


def index_modules(kernel):
    """Which driver needs which others, for `modules`; once for an unpacked kernel."""
    place = next((kernel / "lib/modules").iterdir())
    if not (place / "modules.dep").is_file():
        run("depmod", "-b", kernel, place.name)


def modules(kernel, names, to):
    """The drivers `names` and what they need, from the unpacked kernel, with the tables of modprobe."""
    release = next((kernel / "lib/modules").iterdir()).name
    source = kernel / "lib/modules" / release
    needs = {}
    for line in (source / "modules.dep").read_text().splitlines():
        path, after = line.split(":")
        needs[module_name(path)] = (path, [module_name(one) for one in after.split()])
    built_in = {module_name(line) for line in (source / "modules.builtin").read_text().split()}
    wanted, open_names = {}, [name.replace("-", "_") for name in names]
    while open_names:
        name = open_names.pop()
        if name in wanted or name in built_in:
            continue
        if name not in needs:
            raise SystemExit(f"image: no driver {name!r} in {release}")
        wanted[name] = needs[name][0]
        open_names += needs[name][1]
    place = to / "lib/modules" / release
    for name, path in sorted(wanted.items()):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / path, place / path)
    for table in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy2(source / table, place / table)
    run("depmod", "-b", to, release)
    for path in place.glob("modules.*"):
        if path.name not in ("modules.dep", "modules.alias", "modules.symbols", "modules.builtin", "modules.softdep"):
            path.unlink()
    return sorted(wanted)


def module_name(path):
    return pathlib.PurePath(path).name.split(".ko")[0].replace("-", "_")
