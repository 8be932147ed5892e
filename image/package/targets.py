"""Machines that packages are for, and what each kind of package calls them."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    rust: str
    machine: int  # e_machine of ELF
    bits: int
    order: str  # of octets
    name: str  # in the names of tarball and .ipk
    deb: str | None  # Debian has no mips any more
    oci: tuple | None  # architecture and variant (OCI image index, "platform")
    # Shell patterns over OpenWrt's names of architectures (DISTRIB_ARCH) that run this binary. ARM: only those with a
    # VFP of 3 or newer, which Rust's hard-float target uses; MIPS: only release 2, likewise.
    openwrt: str


TARGETS = {target.rust: target for target in [
    Target("x86_64-unknown-linux-musl", 62, 64, "little", "x86_64", "amd64", ("amd64", None), "x86_64"),
    Target("aarch64-unknown-linux-musl", 183, 64, "little", "aarch64", "arm64", ("arm64", "v8"), "aarch64_*"),
    Target("armv7-unknown-linux-musleabihf", 40, 32, "little", "armv7", "armhf", ("arm", "v7"),
           "arm_cortex-a*_*vfp*|arm_cortex-a*_neon*"),
    Target("riscv64gc-unknown-linux-musl", 243, 64, "little", "riscv64", "riscv64", ("riscv64", None), "riscv64_*"),
    Target("mips-unknown-linux-musl", 8, 32, "big", "mips", None, None, "mips_24kc|mips_4kec"),
    Target("mipsel-unknown-linux-musl", 8, 32, "little", "mipsel", None, None, "mipsel_24kc*|mipsel_74kc"),
]}


def check_binary(octets, target):
    """Why this is no static binary for that machine; nothing where it is one."""
    if octets[:4] != b"\x7fELF":
        return "no ELF binary"
    bits, order = 32 * octets[4], {1: "little", 2: "big"}.get(octets[5])

    def number(at, size):
        return int.from_bytes(octets[at:at + size], order)
    if (bits, order, number(18, 2)) != (target.bits, target.order, target.machine):
        return "built for another machine than %s" % target.rust
    # A program header of type 3 (PT_INTERP) names the dynamic linker, which no package brings along.
    start, size, count = (number(32, 8), number(54, 2), number(56, 2)) if bits == 64 else \
        (number(28, 4), number(42, 2), number(44, 2))
    if any(number(start + size * n, 4) == 3 for n in range(count)):
        return "not static: a package for any Linux must not need its C library"
    return None
