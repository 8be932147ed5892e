"""Makes a board's image, and the update for boards that run one. See image/README.md."""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import board as boards
import debian
import pieces
from pieces import MEBI, run

ROOT = boards.ROOT
HERE = ROOT / "image"
# Packages as they were fetched, and the key that signs, are kept between builds; everything else is made anew in WORK.
KEPT = ROOT / "target/image"
WORK = pathlib.Path(os.environ.get("WAYPOST_IMAGE_WORK") or KEPT)
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
BOOTLOADERS = {"x86_64": ("systemd-bootx64.efi", "BOOTX64.EFI"), "aarch64": ("systemd-bootaa64.efi", "BOOTAA64.EFI")}
# Machine code for which the kernel knows a filter that makes it smaller.
SQUASHFS_CODE = {"x86_64": "x86"}
BOOT_OCTETS, SLOT_OCTETS, DATA_OCTETS = 96 * MEBI, 32 * MEBI, 64 * MEBI

# What the root has of Debian: files and their packages. Libraries follow from what the programs name.
PROGRAMS = {"e2fsprogs": ["usr/sbin/e2fsck", "usr/sbin/resize2fs"], "fdisk": ["usr/sbin/sfdisk"],
            "util-linux": ["usr/bin/partx"], "dropbear-bin": ["usr/sbin/dropbear"], "wpasupplicant": ["usr/sbin/wpa_supplicant"]}
LIBRARIES = ["libc6", "libext2fs2", "libcom-err2", "libblkid1", "libuuid1", "libfdisk1", "libsmartcols1", "libmount1",
             "libreadline8", "libtinfo6", "libselinux1", "libpcre2-8-0", "libcrypt1", "libtomcrypt1", "libtommath1",
             "libgmp10", "zlib1g", "libnl-3-200", "libnl-genl-3-200", "libnl-route-3-200", "libpcsclite1", "libssl3", "libdbus-1-3"]
STAND_IN = "libsystemd.so.0"
# Drivers that every board may meet: on USB, and the watchdog in software.
COMMON_BOOT = ["usb-storage", "uas", "crc32c_generic", "sd_mod", "mmc_block"]
# What the initramfs mounts with, which no device asks for by itself.
FILE_SYSTEMS = ["squashfs", "ext4", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1", "nls_utf8", "loop"]
COMMON = ["r8152", "asix", "ax88179_178a", "smsc75xx", "smsc95xx", "lan78xx", "cdc_ether", "cdc_ncm", "rtl8150", "dm9601", "mcs7830",
          "aqc111", "softdog", "ipv6", "af_packet", "rtl8xxxu", "rtl8192cu", "rt2800usb", "mt7601u", "mt76x0u", "mt76x2u", "ath9k_htc",
          "ctr", "ccm", "gcm", "cmac"]
# What the chips of Wi-Fi sticks run, for those drivers: PACKAGE:FILES, on the boot partition below firmware/.
STICKS = [
    "firmware-realtek:lib/firmware/rtlwifi/rtl8192cufw*.bin", "firmware-realtek:lib/firmware/rtlwifi/rtl8192eu_nic.bin",
    "firmware-realtek:lib/firmware/rtlwifi/rtl8723au*.bin", "firmware-realtek:lib/firmware/rtlwifi/rtl8723bu_nic.bin",
    "firmware-realtek:lib/firmware/rtlwifi/rtl8188*u*.bin", "firmware-misc-nonfree:lib/firmware/rt2870.bin",
    "firmware-misc-nonfree:lib/firmware/mt7601u.bin", "firmware-misc-nonfree:lib/firmware/mediatek/mt7610u.bin",
    "firmware-misc-nonfree:lib/firmware/mediatek/mt7662u*.bin", "firmware-ath9k-htc:lib/firmware/ath9k_htc/htc_*.fw",
    "wireless-regdb:lib/firmware/regulatory.db*-debian",
]


def main():
    parser = argparse.ArgumentParser(prog="scripts/image", description=__doc__)
    parser.add_argument("what", help="a board, or: boards, check, pin")
    parser.add_argument("packages", nargs="*", help="with pin: PACKAGE:ARCHITECTURE to add")
    parser.add_argument("--uncompressed", action="store_true", help="leave out the compressed copy, as the tests do")
    call = parser.parse_args()
    try:
        if call.what == "boards":
            for name in boards.names():
                one = boards.load(name)
                print(f"{name:21} {one['evidence']:14} {one['title']}")
        elif call.what == "check":
            print(f"{len([boards.load(name) for name in boards.names()])} boards are right")
        elif call.what == "pin":
            debian.pin(wanted_packages() | {tuple(one.split(":")) for one in call.packages})
        else:
            build(boards.load(call.what), call.uncompressed)
    except (boards.Wrong, debian.Missing) as error:
        sys.exit(f"image: {error}")


def wanted_packages():
    """Every package that any board needs, with its architecture."""
    wanted = set()
    for name in boards.names():
        one = boards.load(name)
        if "image" not in one:
            continue
        arch = DEBIAN[one["architecture"]]
        wanted |= {(package, arch) for package in (*PROGRAMS, *LIBRARIES, "busybox-static", one["image"]["kernel"])}
        if one["image"]["boot"] in ("uefi", "u-boot"):
            wanted.add(("systemd-boot-efi", arch))
        wanted |= {(package, arch) for package in firmware_packages(one)}
    return wanted


def firmware_packages(one):
    """What a board's firmware comes from. Its licence goes along with it, on the boot partition."""
    files = {line.split(":")[0] for line in one["image"].get("boot_files", []) + radio_firmware(one)}
    return files | {blob["package"] for blob in one.get("blob", [])}


def radio_firmware(one):
    """What the chips of its Wi-Fi run: the board's own, and those of sticks."""
    return one["image"].get("firmware", []) + STICKS


def build(one, uncompressed):
    if "image" not in one:
        raise boards.Wrong(f"{one['name']} has no image; it takes a package: {', '.join(one['packages'])}")
    work = WORK / one["name"]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    arch = DEBIAN[one["architecture"]]
    when = int(os.environ.get("SOURCE_DATE_EPOCH") or run("git", "-C", ROOT, "log", "-1", "--format=%ct"))
    fetched = Fetched(arch)
    kernel = fetched.kernel(one["image"]["kernel"])
    fact = facts(one, when)

    root = userland(one, work, fetched, fact, when)
    boot = boot_partition(one, work, fetched, kernel, when)
    pieces.ext4(work / "data.ext4", DATA_OCTETS, "waypost-data", when)
    blobs = [(blob["at"], (fetched.tree(blob["package"]) / blob["file"]).read_bytes()) for blob in one.get("blob", [])]
    boards.check_room(one, [(at, len(octets)) for at, octets in blobs])
    image = work / f"waypost-{fact['version']}-{one['name']}.img"
    parts = [("boot", "boot", boot, BOOT_OCTETS), ("root-a", "root", root, SLOT_OCTETS), ("root-b", "root", None, SLOT_OCTETS),
             ("data", "root", work / "data.ext4", DATA_OCTETS)]
    pieces.medium(image, one, parts, blobs, state("a"))
    update(brought := work / f"waypost-{fact['version']}-{one['architecture']}.update", root, fact)
    print(brought)
    print(image)
    if not uncompressed:
        run("xz", "-6", "-T1", "-k", "-f", image)
        packed = image.with_name(image.name + ".xz")
        size = packed.stat().st_size
        print(f"{packed}: {size} octets")
        if size > one["budget"]["image_octets"]:
            sys.exit(f"image: {size} octets; the budget of {one['name']} is {one['budget']['image_octets']}")


class Fetched:
    """Debian's packages of one architecture, unpacked where they are needed."""

    def __init__(self, arch):
        self.arch = arch

    def tree(self, package):
        tree = WORK / "debian" / self.arch / package
        tree.mkdir(parents=True, exist_ok=True)
        with alone():
            debian.unpack(package, self.arch, KEPT / "debs", tree)
        return tree

    def kernel(self, package):
        tree = self.tree(package)
        with alone():
            pieces.index_modules(tree)
        return tree

    def busybox(self):
        return self.tree("busybox-static") / "bin/busybox"


@contextlib.contextmanager
def alone():
    """Images of several boards may be made at once; what they share is unpacked by one of them."""
    with (WORK / "debian/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def facts(one, when):
    """What the running image knows of itself."""
    version = next(line.split('"')[1] for line in (ROOT / "Cargo.toml").read_text().splitlines() if line.startswith("version"))
    version = os.environ.get("WAYPOST_IMAGE_VERSION", version)
    return {"board": one["name"], "title": one["title"], "architecture": one["architecture"], "version": version,
            "built": when, "clock": one["clock"], "state_octets": boards.STATE_OCTETS}


def binary(one):
    """The relay for this board, built where it is missing, and within its budget."""
    given = os.environ.get("WAYPOST_BIN")
    path = pathlib.Path(given) if given else ROOT / "target" / one["target"] / "release/waypost"
    if not path.is_file():
        subprocess.run([ROOT / "scripts/cross", one["target"]], check=True)
    if path.stat().st_size > one["budget"]["binary_octets"]:
        sys.exit(f"image: the relay has {path.stat().st_size} octets; the budget is {one['budget']['binary_octets']}")
    return path


def userland(one, work, fetched, fact, when):
    """The read-only root: busybox, a few programs of Debian with their libraries, and the relay."""
    root = work / "root"
    shutil.copytree(HERE / "root", root)
    for place in ("bin", "sbin", "usr/bin", "usr/sbin", "dev", "proc", "sys", "run", "tmp", "data", "boot", "lib/modules", "lib64",
                  "usr/lib", "usr/share/doc"):
        (root / place).mkdir(parents=True, exist_ok=True)
    shutil.copy2(fetched.busybox(), root / "bin/busybox")
    for name in applets():
        (root / "bin" / name).symlink_to("busybox")
    for name in ("init", "reboot", "poweroff", "halt", "modprobe", "udhcpc", "ip"):
        (root / "sbin" / name).symlink_to("../bin/busybox")
    for package, files in PROGRAMS.items():
        tree = fetched.tree(package)
        for file in files:
            place = next(tree / way for way in (file, file.removeprefix("usr/")) if (tree / way).is_file())
            shutil.copy2(place, root / file)
        keep_licence(package, tree, root)
    for package in LIBRARIES:
        tree = fetched.tree(package)
        for path in sorted(tree.rglob("*.so*")):
            if wanted_library(path, root, [root / file for files in PROGRAMS.values() for file in files], fetched):
                place = root / "lib" / path.name
                shutil.copy2(path.resolve(), place)
        keep_licence(package, tree, root)
    stand_in(one, root)
    loader = {"x86_64": "lib64/ld-linux-x86-64.so.2", "aarch64": "lib/ld-linux-aarch64.so.1"}[one["architecture"]]
    if not (root / loader).exists():
        (root / loader).symlink_to(f"../lib/{pathlib.PurePath(loader).name}")
    keep_licence("busybox-static", fetched.tree("busybox-static"), root)
    shutil.copy2(binary(one), root / "usr/bin/waypost")
    (root / "usr/sbin/sendmail").symlink_to("../bin/waypost")
    (root / "etc/resolv.conf").symlink_to("/run/resolv.conf")
    # Commands look there for the relay.
    (root / "var/lib").mkdir(parents=True, exist_ok=True)
    (root / "var/lib/waypost").symlink_to("/data/waypost")
    (root / "etc/dropbear").symlink_to("/data/board/ssh")
    (root / "etc/mtab").symlink_to("/proc/self/mounts")
    (root / "etc/waypost").mkdir()
    (root / "etc/waypost/board.json").write_text(json.dumps(fact, indent=1) + "\n")
    (root / "etc/waypost/update.pub").write_text(public_key() + "\n")
    pieces.settle(root, when)
    to = work / "root.sqfs"
    pieces.squashfs(root, to, when, code=SQUASHFS_CODE.get(one["architecture"]))
    return to


def applets():
    """What of busybox the scripts use by name."""
    return ("[ adjtimex awk basename cat chmod chown cksum cp cut date dd df dirname dmesg echo env expr false find findfs free grep "
            "halt head hostname ip kill killall ln ls lsmod mdev mkdir mkfifo mknod modprobe mount mv nslookup ping poweroff printf ps "
            "pwd readlink reboot rm rmdir route sed setpriv sh sleep sort stat stty sync sysctl tail tee test touch tr true tty udhcpc "
            "umount uname uniq uptime wc xargs").split()


def needed(path):
    """The libraries that a program or library names (DT_NEEDED)."""
    found = subprocess.run(["readelf", "-d", path], capture_output=True, check=False).stdout.decode()
    return {line.split("[")[1].split("]")[0] for line in found.splitlines() if "(NEEDED)" in line}


_closures = {}


def wanted_library(path, root, programs, fetched):
    """Whether any of the programs needs the library, itself or through others."""
    key = root
    if key not in _closures:
        have = {}
        for package in LIBRARIES:
            for one in fetched.tree(package).rglob("*.so*"):
                have.setdefault(one.name, one)
        open_paths, names = list(programs), set()
        while open_paths:
            for name in needed(open_paths.pop()) - names - {STAND_IN}:
                if name not in have:
                    sys.exit(f"image: {name} is in no package of LIBRARIES")
                names.add(name)
                open_paths.append(have[name].resolve() if have[name].resolve().exists() else have[name])
        _closures[key] = names
    return path.name in _closures[key]


def stand_in(one, root):
    """A library that is only named, and never asked: image/stand-in says why."""
    wanted = set()
    for path in (root / "lib").glob("*.so*"):
        names = run("readelf", "-W", "--dyn-syms", path).decode().split()
        wanted |= {name.split("@")[0] for name in names if "@LIBSYSTEMD_" in name}
    have = set(re.findall(r"^int (\w+)", (HERE / "stand-in/libsystemd.c").read_text(), re.MULTILINE))
    if wanted != have:
        raise boards.Wrong(f"image/stand-in has {sorted(have)}; the libraries ask for {sorted(wanted)}")
    run(ROOT / "scripts/cross", "zig", "cc", "-target", f"{one['architecture']}-linux-gnu", "-shared", "-nostdlib", "-Os", "-s",
        f"-Wl,-soname,{STAND_IN}", f"-Wl,--version-script={HERE / 'stand-in/libsystemd.map'}", "-o", root / "lib" / STAND_IN,
        HERE / "stand-in/libsystemd.c")


def keep_licence(package, tree, root):
    text = debian.copyright_of(package, tree)
    if text:
        place = root / "usr/share/doc" / package
        place.mkdir(parents=True, exist_ok=True)
        (place / "copyright").write_bytes(text)


def boot_partition(one, work, fetched, kernel, when):
    """Kernel, initramfs, drivers and what the firmware asks for, on a partition that every PC can read."""
    boot = work / "boot"
    boot.mkdir()
    initial = work / "initramfs"
    shutil.copytree(HERE / "initramfs", initial)
    for place in ("bin", "dev", "proc", "sys", "run", "etc", "sbin"):
        (initial / place).mkdir(exist_ok=True)
    shutil.copy2(fetched.busybox(), initial / "bin/busybox")
    # The kernel calls it by this name.
    (initial / "sbin/modprobe").symlink_to("../bin/busybox")
    drivers = pieces.modules(kernel, FILE_SYSTEMS + COMMON_BOOT + one["image"].get("modules_boot", []), initial)
    # All of it is loaded by initramfs/init.
    loaded = FILE_SYSTEMS + one["image"].get("modules_boot", []) + ["usb-storage", "uas"]
    (initial / "etc/modules").write_text("\n".join(loaded) + "\n")
    pieces.settle(initial, when)
    packed = subprocess.run(["xz", "--check=crc32", "-9", "-T1"], input=pieces.cpio(initial), capture_output=True, check=True)
    (boot / "initrd.img").write_bytes(packed.stdout)
    late = work / "modules"
    pieces.modules(kernel, COMMON_BOOT + COMMON + one["image"].get("modules_boot", []) + one["image"].get("modules", []), late)
    pieces.settle(late, when)
    # Each driver is read once: large blocks cost nothing.
    pieces.squashfs(late / "lib/modules", boot / "modules.sqfs", when, block=1048576)
    (boot / "modules.list").write_text("\n".join(["softdog"] if not one["clock"] else []) + "\n")
    image = next((kernel / "boot").glob("vmlinuz-*"))
    shutil.copy2(image, boot / "vmlinuz")
    parameters = "panic=10 quiet loglevel=4 " + " ".join(f"console={name}" for name in one["image"]["console"])
    parameters = f"{parameters} {one['image'].get('parameters', '')}".strip()
    BOOT_WAYS[one["image"]["boot"]](one, boot, fetched, kernel, parameters)
    for line in radio_firmware(one):
        for found, name in named(one, "firmware", line, fetched):
            place = boot / name[name.index("firmware/"):].removesuffix("-debian")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found.resolve(), place)
    for package in sorted(firmware_packages(one)):
        (boot / "licences").mkdir(exist_ok=True)
        (boot / "licences" / f"{package}.txt").write_bytes(debian.copyright_of(package, fetched.tree(package)))
    (boot / "README.txt").write_text((HERE / "boot/README.txt").read_text().replace("\n", "\r\n"))
    pieces.settle(boot, when)
    to = work / "boot.fat"
    pieces.fat(boot, to, BOOT_OCTETS, when)
    print(f"{one['name']}: {len(drivers)} drivers to reach the root", file=sys.stderr)
    return to


def named(one, key, line, fetched):
    """The files that PACKAGE:FILES means, each with its name in the package."""
    package, files = line.split(":")
    tree = fetched.tree(package)
    found = sorted(tree.glob(files))
    if not found:
        raise boards.Wrong(f"boards/{one['name']}.toml [image]: {key}: {package} has no {files}")
    return [(path, str(path.relative_to(tree))) for path in found]


def uefi(one, boot, fetched, _kernel, parameters):
    source, name = BOOTLOADERS[one["architecture"]]
    for place in ("EFI/BOOT", "loader/entries"):
        (boot / place).mkdir(parents=True)
    shutil.copy2(fetched.tree("systemd-boot-efi") / "usr/lib/systemd/boot/efi" / source, boot / "EFI/BOOT" / name)
    (boot / "loader/loader.conf").write_text("timeout 0\neditor no\n")
    (boot / "loader/entries/waypost.conf").write_text(
        f"title Waypost\nlinux /vmlinuz\ninitrd /initrd.img\noptions {parameters}\n")


def u_boot(one, boot, fetched, kernel, parameters):
    """U-Boot starts the same as UEFI does (EBBR §2.3), and finds the device tree below /dtb."""
    uefi(one, boot, fetched, kernel, parameters)
    copy_device_trees(one, kernel, boot / "dtb")


def raspberry(one, boot, fetched, kernel, parameters):
    copy_device_trees(one, kernel, boot)
    for line in one["image"].get("boot_files", []):
        for path, _ in named(one, "boot_files", line, fetched):
            shutil.copy2(path, boot / path.name)
    (boot / "cmdline.txt").write_text(parameters + "\n")
    settings = ["arm_64bit=1", "kernel=vmlinuz", "initramfs initrd.img followkernel", "enable_uart=1", "upstream_kernel=1",
                "hdmi_force_hotplug=1", *one["image"].get("firmware_settings", [])]
    (boot / "config.txt").write_text("\n".join(settings) + "\n")


def copy_device_trees(one, kernel, to):
    trees = next((kernel / "usr/lib").glob("linux-image-*"))
    for name in one["image"].get("device_trees", []):
        place = to / (name if to.name == "dtb" else pathlib.PurePath(name).name)
        if not (trees / name).is_file():
            raise boards.Wrong(f"boards/{one['name']}.toml [image]: device_trees: {trees.name} has no {name}")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(trees / name, place)


BOOT_WAYS = {"uefi": uefi, "u-boot": u_boot, "rpi": raspberry}


def state(good):
    """The first of the two sectors that say which slot runs (image/initramfs/slots.sh)."""
    text = f"waypost-slots 1\nsequence 1\ngood {good}\ntrial -\ntries 0\nword new\n"
    text += f"sum {hashlib.sha256(text.encode()).hexdigest()}\n"
    return bytes(512) + text.encode().ljust(512, b"\0")


def key_file(given=None):
    """The private key that signs updates: the one given, or one made at the first build, which stays with who builds."""
    given = given or os.environ.get("WAYPOST_UPDATE_KEY")
    path = pathlib.Path(given) if given else KEPT / "update-key.pem"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", path)
        path.chmod(0o600)
    return path


def public_key(key=None):
    """Its public half, 32 octets in hexadecimal (RFC 8032)."""
    return run("openssl", "pkey", "-in", key_file(key), "-pubout", "-outform", "DER")[-32:].hex()


def update(to, root, fact, key=None):
    """The root as a file for the page: 4096 octets of header, which is signed, then the root itself."""
    octets = root.read_bytes()
    head = (f"waypost-update 1\narchitecture {fact['architecture']}\nversion {fact['version']}\nbuilt {fact['built']}\n"
            f"octets {len(octets)}\nsha256 {hashlib.sha256(octets).hexdigest()}\nkey {public_key(key)}\n")
    signed = to.with_suffix(".head")
    signed.write_text(head)
    signature = run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key_file(key), "-in", signed)
    signed.unlink()
    to.write_bytes(f"{head}signature {signature.hex()}\n".encode().ljust(4096, b"\n") + octets)


if __name__ == "__main__":
    main()
