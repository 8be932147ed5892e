"""Power cuts: QEMU writes down every write and flush of the guest (blklogwrites); the medium is put together again as a volatile
cache would have left it: all up to the last flush, and a random part of what came later."""
import os
import random
import re
import struct
import subprocess
import threading
import time

import machine
import world
from machine import HOST, ROOT
from page import Page
from starts import case, used_machine

import pieces
import pathlib
import shutil

BOARD = "x86-64-uefi"
DISK = ("driver=blklogwrites,file.driver=file,file.filename=%s,log.driver=file,log.filename={log},log-sector-size=512,"
        "log-append=off,log-super-update-interval=1")
FLUSH, FUA, DISCARD = 1, 2, 4
SECTOR = 512
LOAD_SECONDS = 25
CUTS, BOOTS = 24, 3
SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))


class Log:
    """The writes of a guest, in their order (drivers/md/dm-log-writes.c has the format)."""

    def __init__(self, path):
        self.entries, at = [], SECTOR
        size = os.path.getsize(path)
        self.file = open(path, "rb")
        while at + SECTOR <= size:
            self.file.seek(at)
            sector, count, flags, _ = struct.unpack("<QQQQ", self.file.read(32))
            if count == 0 and flags == 0:
                break
            data = at + SECTOR
            at = data + (0 if flags & DISCARD else count * SECTOR)
            if at > size:
                break
            self.entries.append((sector, count, flags, data, at))

    def rebuild(self, medium, end, dice):
        """Write to `medium` what a cut after `end` octets of this log leaves."""
        durable = max((n for n, entry in enumerate(self.entries) if entry[4] <= end and entry[2] & FLUSH), default=0)
        with open(medium, "r+b") as disk:
            for n, (sector, count, flags, data, after) in enumerate(self.entries):
                if after > end:
                    break
                if count == 0 or flags & DISCARD:
                    continue
                kept = count
                if n > durable and not flags & FUA:
                    # Kept, lost, or torn at a sector.
                    kept = dice.choice([count, 0, dice.randint(0, count)])
                self.file.seek(data)
                disk.seek(sector * SECTOR)
                disk.write(self.file.read(kept * SECTOR))


class Load:
    """Somebody hands in messages without a pause, and remembers which were acknowledged and how long the log was then."""

    def __init__(self, board, log, name):
        self.board, self.log, self.name, self.acknowledged, self.going = board, log, name, [], True
        self.thread = threading.Thread(target=self.go, daemon=True)
        self.thread.start()

    def go(self):
        n = 0
        while self.going:
            n += 1
            subject = "%s-%d" % (self.name, n)
            try:
                world.submit(self.board, subject, octets=random.Random(n).choice([300, 2000, 90_000]))
            except (OSError, Exception):
                continue
            self.acknowledged.append((subject, os.path.getsize(self.log)))

    def end(self):
        self.going = False
        self.thread.join(60)


def loaded(used, title, image=None):
    """A board under load until its plug is pulled: the medium before, the log, and what was acknowledged when."""
    log = os.path.join(machine.WORK, title + ".log")
    board = used_machine(used, BOARD, title)
    if image:
        subprocess.run(["cp", "--sparse=always", image, board.medium], check=True)
        os.truncate(board.medium, 512 << 20)
    os.truncate(board.medium, 512 << 20)
    board.up()
    board.serves()
    page = Page(board).set_up()
    # Nothing can go out, so all that is taken must be in the queue.
    page.configure(routes=[{"for": "*", "via": "%s:1" % HOST, "tls": "none"}])
    page.done("POST", "/api/board/restart", {})
    board.ended()
    before = os.path.join(board.folder, "before.img")
    subprocess.run(["cp", "--sparse=always", board.medium, before], check=True)
    open(log, "wb").close()
    board.disk = DISK.replace("{log}", log)
    board.up()
    board.serves()
    loads = [Load(board, log, "%s%d" % (title, n)) for n in range(3)]
    time.sleep(LOAD_SECONDS)
    board.cut()
    for load in loads:
        load.end()
    acknowledged = sorted((size, subject) for load in loads for subject, size in load.acknowledged)
    assert len(acknowledged) > 30, "only %d were acknowledged" % len(acknowledged)
    return board, before, Log(log), acknowledged


def after_cut(board, before, log, end, dice):
    """The medium as a cut at `end` leaves it; a file of its own, which no earlier mount can still write to."""
    medium = os.path.join(board.folder, "cut-%d.img" % end)
    subprocess.run(["cp", "--sparse=always", before, medium], check=True)
    log.rebuild(medium, end, dice)
    return medium


def subjects_on(medium, folder):
    """What the relay of the image finds on the medium, without the machine around it: the data partition checked and mounted
    as the image does it, in a namespace of its own."""
    script = """
set -e
mount -t tmpfs none /mnt
mkdir /mnt/data
loop=$(losetup -f --show -o {offset} {medium})
trap 'for n in $(seq 50); do umount /mnt/data 2>/dev/null && break; sleep 0.1; done; losetup -d $loop' EXIT
e2fsck -p $loop >/mnt/fsck 2>&1 || [ $? -le 2 ] || e2fsck -y $loop >>/mnt/fsck 2>&1 || [ $? -le 2 ]
mount -t ext4 -o noatime $loop /mnt/data
cd /mnt
{waypost} run --data /mnt/data/waypost >/mnt/log 2>&1 &
relay=$!
for n in $(seq 300); do {waypost} --data /mnt/data/waypost health 2>/dev/null && break; sleep 0.2; done
{waypost} --data /mnt/data/waypost queue hold all >/dev/null
{waypost} --data /mnt/data/waypost queue --json > {folder}/queue.json || {{ cat /mnt/fsck /mnt/log >&2; exit 1; }}
kill $relay; wait $relay || true
"""
    offset = next(part["start"] for part in partitions(medium) if part.get("name") == "data") * SECTOR
    script = script.format(offset=offset, medium=medium, folder=folder,
                           waypost=os.path.join(ROOT, "target/x86_64-unknown-linux-musl/release/waypost"))
    done = subprocess.run(["unshare", "-mn", "sh", "-c", "ip link set lo up 2>/dev/null; " + script], capture_output=True,
                          timeout=120, check=False)
    if done.returncode != 0:
        return None, done.stderr.decode(errors="replace")[-500:]
    with open(os.path.join(folder, "queue.json")) as f:
        return set(re.findall(r'"subject":\s*"([^"]+)"', f.read())), ""


def partitions(medium):
    import json
    told = subprocess.run(["sfdisk", "--json", medium], capture_output=True, check=True).stdout
    return json.loads(told)["partitiontable"]["partitions"]


def lost_in(board, before, log, acknowledged, cuts, dice):
    """How many acknowledged messages are lost in so many cuts, of how many."""
    lost = owed = 0
    first, last = acknowledged[0][0], log.entries[-1][4]
    for _ in range(cuts):
        end = dice.randint(first, last)
        medium = after_cut(board, before, log, end, dice)
        expected = {subject for size, subject in acknowledged if size <= end}
        found, words = subjects_on(medium, board.folder)
        os.unlink(medium)
        owed += len(expected)
        missing = expected - (found or set())
        lost += len(missing)
        if missing:
            print("    at %d: %d missing, %s %s" % (end, len(missing), sorted(missing)[:3], words), flush=True)
    return lost, owed


@case
def power_cuts_under_load_lose_nothing_that_was_acknowledged(used):
    dice = random.Random(SEED)
    board, before, log, acknowledged = loaded(used, "cuts")
    lost, owed = lost_in(board, before, log, acknowledged, CUTS, dice)
    assert lost == 0, "SEED=%d: %d of %d lost" % (SEED, lost, owed)
    # Some of them through the whole machine.
    board.disk = "driver=raw,file.driver=file,file.filename=%s"
    for _ in range(BOOTS):
        end = dice.randint(acknowledged[0][0], log.entries[-1][4])
        board.medium = after_cut(board, before, log, end, dice)
        expected = {subject for size, subject in acknowledged if size <= end}
        board.up()
        board.serves()
        page, found, offset = Page(board).log_in(), set(), 0
        # What is tried moves in the queue while its pages are read.
        page.done("POST", "/api/queue/act", {"all": True, "action": "hold"})
        while rows := page.done("GET", "/api/queue?offset=%d&limit=50" % offset)["rows"]:
            found |= {row["subject"] for row in rows}
            offset += len(rows)
        board.cut()
        os.unlink(board.medium)
        assert expected <= found, "SEED=%d: %s lost" % (SEED, sorted(expected - found)[:5])
    return "SEED=%d, %d cuts, %d acknowledged messages looked for, %d writes and flushes" % (SEED, CUTS + BOOTS, owed,
                                                                                         len(log.entries))


@case
def the_same_cuts_find_out_an_image_that_does_not_flush(used):
    """A mutant: its data partition is mounted so that a sync reaches only the card's cache."""
    dice = random.Random(SEED)
    folder = pathlib.Path(machine.WORK) / "mutant"
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "root"
    shutil.copytree(pathlib.Path(ROOT) / "target/image" / BOARD / "root", root, symlinks=True)
    start = root / "etc/init.d/start"
    text = start.read_text()
    assert "mount -t ext4 -o noatime," in text
    start.write_text(text.replace("mount -t ext4 -o noatime,", "mount -t ext4 -o barrier=0,noatime,"))
    pieces.squashfs(root, folder / "root.sqfs", 1_800_000_000)
    image = folder / "mutant.img"
    subprocess.run(["cp", "--sparse=always", machine.image(BOARD), image], check=True)
    slot = next(part["start"] for part in partitions(image) if part.get("name") == "root-a") * SECTOR
    with open(image, "r+b") as disk:
        disk.seek(slot)
        disk.write((folder / "root.sqfs").read_bytes())
    board, before, log, acknowledged = loaded(used, "mutant-cuts", image)
    lost, owed = lost_in(board, before, log, acknowledged, 6, dice)
    shutil.rmtree(folder)
    assert lost > 0, "SEED=%d: nothing of %d was lost: what do these cuts prove?" % (SEED, owed)
    return "%d of %d lost" % (lost, owed)


