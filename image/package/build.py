"""Packs binaries that are built: `build.py TARGET=BINARY ...`, called by scripts/package, which says what the environment means."""
import os
import sys
import tomllib
from pathlib import Path

import deb
import ipk
import oci
import tarball
from release import Release
from targets import TARGETS, check_binary

ROOT = Path(__file__).resolve().parents[2]


def main(arguments):
    release = Release(
        root=ROOT,
        version=os.environ.get("WAYPOST_VERSION") or crate_version(),
        date=int(os.environ["SOURCE_DATE_EPOCH"]),
        maintainer=os.environ.get("WAYPOST_MAINTAINER") or "Waypost maintainers <maintainers@waypost.invalid>",
    )
    binaries = {}
    for argument in arguments:
        name, _, path = argument.partition("=")
        if name not in TARGETS:
            sys.exit("package: no target %s; known are: %s" % (name, ", ".join(TARGETS)))
        binary = Path(path).read_bytes()
        wrong = check_binary(binary, TARGETS[name])
        if wrong:
            sys.exit("package: %s: %s" % (path, wrong))
        binaries[TARGETS[name]] = binary

    made = {}
    for target, binary in binaries.items():
        made.update(tarball.build(release, target, binary))
        made.update(deb.build(release, target, binary))
        made.update(ipk.build(release, target, binary))
    made.update(deb.build_mta(release))
    made.update(oci.build(release, binaries))

    place = Path(os.environ["PACKAGES"])
    place.mkdir(parents=True, exist_ok=True)
    for name, octets in sorted(made.items()):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: whoever copies packages from here must not meet half of one.
        beside = path.with_name(path.name + ".tmp")
        beside.write_bytes(octets)
        beside.replace(path)
        if "/" not in name:
            print("%9d  %s" % (len(octets), path))


def crate_version():
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]


if __name__ == "__main__":
    main(sys.argv[1:])
