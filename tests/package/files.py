"""What is true of packages as files: the same bytes twice, and a tarball that runs."""
import hashlib
import os
import tarfile

from ground import BINARY, REPOSITORY, ROOM, X86, case, one, packages, root_of, run, serves, start, stop
from stand_in import TARGETS, stand_in

BUILD = str(REPOSITORY / "image/package/build.py")


def sums(place):
    return {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(place.rglob("*")) if path.is_file()}


@case("every package of every target is the same bytes when it is built again, elsewhere and by somebody else")
def reproducible():
    pairs = ["%s=%s" % (name, BINARY if name == X86 else stand_in(name)) for name in TARGETS]
    first, second = ROOM / "packages/first", ROOM / "packages/second"
    same = {"SOURCE_DATE_EPOCH": "1790000000", "PATH": os.environ["PATH"]}
    run("python3", "-B", BUILD, *pairs, env={**same, "PACKAGES": str(first), "TZ": "UTC", "LC_ALL": "C"})
    run("sh", "-c", 'umask 077; exec "$@"', "sh", "python3", "-B", BUILD, *reversed(pairs), cwd="/",
        env={**same, "PACKAGES": str(second), "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "7"})
    made = sums(first)
    assert made == sums(second)
    kinds = [".tar.gz", ".deb", ".ipk", "-oci.tar", "-docker-arm64.tar"]
    found = {kind: sum(name.endswith(kind) for name in made) for kind in kinds}
    assert found == {".tar.gz": 6, ".deb": 5, ".ipk": 6, "-oci.tar": 1, "-docker-arm64.tar": 1}, made


@case("the date in the packages is the commit's, or the one that is given")
def dates():
    commit = int(run("git", "-C", str(REPOSITORY), "log", "-1", "--format=%ct"))
    given = packages("given", SOURCE_DATE_EPOCH="86400")
    for place, date in [(given, 86400), (packages("commit"), commit)]:
        with tarfile.open(one(place, "waypost-*-x86_64.tar.gz")) as tar:
            assert {member.mtime for member in tar} == {date}


@case("a binary of another machine, or one that needs libraries, is not packed")
def wrong():
    arm = stand_in("aarch64-unknown-linux-musl")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "PACKAGES": str(ROOM / "packages/none")}
    for binary, words in [(arm, "another machine"), ("/bin/ls", "not static"), (BUILD, "no ELF")]:
        code, said = run("python3", "-B", BUILD, "%s=%s" % (X86, binary), env=environment, check=False)
        assert code != 0 and words in said, said
    code, said = run("python3", "-B", BUILD, "vax=%s" % BINARY, env=environment, check=False)
    assert code != 0 and X86 in said, said


@case("the tarball's binary runs where it is unpacked")
def tarball():
    root = root_of("tarball")
    run("tar", "-C", str(root), "-xf", str(one(packages(), "waypost-*-x86_64.tar.gz")))
    (folder,) = root.iterdir()
    names = {path.name for path in folder.iterdir()}
    assert names == {"waypost", "README.md", "INSTALL", "LICENSE-MIT", "LICENSE-APACHE", "waypost.1", "waypost.service",
                     "waypost.sysusers", "waypost.json"}, names
    version = run(str(folder / "waypost"), "version").split()
    assert folder.name == "waypost-%s-x86_64" % version[1]
    relay = start([str(folder / "waypost")], ROOM / "tarball.log", cwd=folder)
    serves(relay, 2525)
    assert stop(relay) == 0
    # As INSTALL says: with its configuration the house reaches it, and systemd makes its user.
    data = root / "data"
    data.mkdir()
    run("cp", str(folder / "waypost.json"), str(data))
    serves(start([str(folder / "waypost"), "run", "--data", str(data)], ROOM / "tarball.log"), 25)
    (root / "etc").mkdir()
    run("systemd-sysusers", "--root=" + str(root), str(folder / "waypost.sysusers"))
    assert "/var/lib/waypost" in (root / "etc/passwd").read_text()
