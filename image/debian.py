"""Debian packages by version and SHA-256 (image/packages.lock), fetched without root and without touching the system."""

import functools
import gzip
import hashlib
import lzma
import os
import pathlib
import subprocess
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
LOCK = HERE / "packages.lock"
SUITE = "bookworm"
# Versions leave the mirror when Debian brings newer ones; this archive keeps them all.
ARCHIVE = "http://snapshot.debian.org/archive/debian"
PATIENCE_SECONDS = 120


class Missing(Exception):
    """A package that cannot be had, and what to do."""


@functools.cache
def mirror():
    """Where packages are taken from: as the environment says, else where this machine takes its own of that suite."""
    given = os.environ.get("DEBIAN_MIRROR")
    if given:
        return given.rstrip("/")
    try:
        told = subprocess.run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"], capture_output=True, check=False)
        own = [line.split()[1] for line in told.stdout.decode().splitlines() if line.split()[:1] == [SUITE]]
    except FileNotFoundError:
        own = []
    if not own:
        raise Missing(f"no mirror of Debian {SUITE} is known here: give its address as DEBIAN_MIRROR")
    return own[0].rstrip("/")


def pins():
    """(package, architecture) to (version, path in the mirror, SHA-256), and the day they were taken."""
    found, day = {}, ""
    for line in LOCK.read_text().splitlines():
        if line.startswith("# taken "):
            day = line.split()[2]
        elif line and not line.startswith("#"):
            package, architecture, version, path, digest = line.split()
            found[package, architecture] = (version, path, digest)
    return found, day


def read(url):
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        return answer.read()


def fetch(package, architecture, cache):
    """The file of a pinned package."""
    pinned, day = pins()
    if (package, architecture) not in pinned:
        raise Missing(f"{package}:{architecture} is not in image/packages.lock: scripts/image pin {package}:{architecture}")
    _, path, digest = pinned[package, architecture]
    kept = cache / path.rsplit("/", 1)[1]
    if kept.is_file() and hashlib.sha256(kept.read_bytes()).hexdigest() == digest:
        return kept
    tried = []
    for place in places(day):
        try:
            octets = read(f"{place}/{path}")
        except (urllib.error.URLError, OSError) as error:
            tried.append(f"{place}: {error}")
            continue
        found = hashlib.sha256(octets).hexdigest()
        if found != digest:
            tried.append(f"{place}: SHA-256 {found}, not {digest}")
            continue
        cache.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".part")
        fresh.write_bytes(octets)
        fresh.rename(kept)
        return kept
    raise Missing(f"{path} cannot be had ({'; '.join(tried)}). Newer packages: scripts/image pin")


def places(day):
    """The mirror, where one is known, and the archive as it was that day."""
    try:
        yield mirror()
    except Missing:
        pass
    yield f"{ARCHIVE}/{day}"


def unpack(package, architecture, cache, into):
    """The package's files below `into`, unpacked once."""
    done = into / ".unpacked" / package
    deb = fetch(package, architecture, cache)
    if done.is_file() and done.read_text() == deb.name:
        return
    subprocess.run(["dpkg-deb", "-x", deb, into], check=True)
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_text(deb.name)


def pin(wanted):
    """Write the newest version of each (package, architecture) into the lock file.

    The index is signed: gpgv checks it against Debian's own keys.
    """
    release = read(f"{mirror()}/dists/{SUITE}/InRelease")
    signed = subprocess.run(["gpgv", "--keyring", "/usr/share/keyrings/debian-archive-keyring.gpg", "--output", "-"],
                            input=release, capture_output=True, check=False)
    if signed.returncode != 0:
        raise Missing(f"the signature of {SUITE} is not right: {signed.stderr.decode()}")
    sums, day = {}, ""
    for line in signed.stdout.decode().splitlines():
        if line.startswith("Date:"):
            stamp = subprocess.run(["date", "-u", "-d", line[5:], "+%Y%m%dT%H%M%SZ"], capture_output=True, check=True)
            day = stamp.stdout.decode().strip()
        parts = line.split()
        if len(parts) == 3 and len(parts[0]) == 64:
            sums[parts[2]] = parts[0]
    kept, _ = pins() if LOCK.exists() else ({}, "")
    for component in ("main", "non-free-firmware"):
        for architecture in sorted({arch for _, arch in wanted}):
            name = f"{component}/binary-{architecture}/Packages.xz"
            octets = read(f"{mirror()}/dists/{SUITE}/{name}")
            if hashlib.sha256(octets).hexdigest() != sums.get(name):
                raise Missing(f"{name} is not what was signed")
            for text in lzma.decompress(octets).decode().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and line[0] != " ")
                key = (fields.get("Package"), architecture)
                if key in wanted:
                    kept[key] = (fields["Version"], fields["Filename"], fields["SHA256"])
    for package, architecture in wanted:
        if (package, architecture) not in kept:
            raise Missing(f"{package}:{architecture}: not in Debian {SUITE}")
    lines = ["# Debian packages of the images: package, architecture, version, path in the mirror, SHA-256.",
             "# Written by scripts/image pin.", f"# taken {day}"]
    lines += [" ".join((package, arch, *kept[package, arch])) for package, arch in sorted(kept)]
    LOCK.write_text("\n".join(lines) + "\n")


def copyright_of(package, tree):
    """The package's licence text, for the image's own list."""
    place = tree / "usr/share/doc" / package / "copyright"
    if place.is_file():
        return place.read_bytes()
    packed = place.with_suffix(".gz")
    return gzip.decompress(packed.read_bytes()) if packed.is_file() else b""
