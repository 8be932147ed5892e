"""The container image: read by skopeo, and its root run as an engine would."""
import hashlib
import json
import os
import shutil
import socket
import tarfile

from ground import BINARY, ROOM, REPOSITORY, banner, case, get, mount, one, packages, root_of, run, serves, start, stop, submit
from stand_in import stand_in

ARM = ("aarch64-unknown-linux-musl", "armv7-unknown-linux-musleabihf")


@case("the OCI layout holds what it names, under its digests")
def digests():
    layout = one(packages(), "waypost-*-oci")
    for blob in (layout / "blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    named = set()

    def follow(descriptor):
        blob = layout / "blobs" / descriptor["digest"].replace(":", "/")
        assert blob.stat().st_size == descriptor["size"], descriptor
        named.add(blob.name)
        if descriptor["mediaType"].endswith(("index.v1+json", "manifest.v1+json")):
            inside = json.loads(blob.read_text())
            for member in inside.get("manifests") or [inside["config"], *inside["layers"]]:
                follow(member)
    for descriptor in json.loads((layout / "index.json").read_text())["manifests"]:
        follow(descriptor)
    assert named == {blob.name for blob in (layout / "blobs/sha256").iterdir()}


@case("skopeo reads layout and archives, and finds user, volume, ports, labels and healthcheck")
def skopeo():
    place = packages()
    references = ["oci:%s" % one(place, "waypost-*-oci"), "oci-archive:%s" % one(place, "waypost-*-oci.tar"),
                  "docker-archive:%s" % one(place, "waypost-*-docker-amd64.tar")]
    for reference in references:
        config = json.loads(run("skopeo", "inspect", "--config", reference))
        assert (config["os"], config["architecture"]) == ("linux", "amd64"), config
        inside = config["config"]
        assert inside["User"] == "65532:65532" and inside["Volumes"] == {"/data": {}}
        assert set(inside["ExposedPorts"]) == {"2525/tcp", "2587/tcp", "2465/tcp", "8025/tcp"}
        assert inside["Labels"]["org.opencontainers.image.licenses"] == "MIT OR Apache-2.0"
        layers = json.loads(run("skopeo", "inspect", reference))["Layers"]
        assert len(layers) == 1, layers
    # The healthcheck is Docker's, and no part of OCI: skopeo keeps it in the raw configuration.
    raw = json.loads(run("skopeo", "inspect", "--config", "--raw", references[0]))
    assert raw["config"]["Healthcheck"]["Test"] == ["CMD", "/usr/bin/waypost", "health"]
    # What an engine loads.
    copied = ROOM / "copied.tar"
    run("skopeo", "copy", "--insecure-policy", references[0], "docker-archive:%s:waypost:copied" % copied)
    assert "waypost:copied" in run("tar", "-xOf", str(copied), "manifest.json")


@case("one index leads to the image of each architecture")
def architectures():
    # Only this machine's binary is a real one here; what is tested is the way to the others.
    place = ROOM / "packages/architectures"
    pairs = ["x86_64-unknown-linux-musl=%s" % BINARY, *("%s=%s" % (t, stand_in(t)) for t in (*ARM, "mips-unknown-linux-musl"))]
    run("python3", "-B", str(REPOSITORY / "image/package/build.py"), *pairs,
        env={**os.environ, "PACKAGES": str(place), "SOURCE_DATE_EPOCH": "0"})
    layout = "oci:%s" % one(place, "waypost-*-oci")
    for architecture, variant in [("amd64", None), ("arm64", "v8"), ("arm", "v7")]:
        chosen = ["--override-arch", architecture, *(["--override-variant", variant] if variant else [])]
        config = json.loads(run("skopeo", *chosen, "inspect", "--config", layout))
        assert (config["architecture"], config.get("variant")) == (architecture, variant), config
    raw = json.loads(run("skopeo", "inspect", "--raw", layout))
    assert [m["platform"]["architecture"] for m in raw["manifests"]] == ["arm64", "arm", "amd64"], raw["manifests"]


class Container:
    """The image's root and configuration, as an engine takes them from what `docker save` writes."""

    def __init__(self, name):
        self.root, self.log = root_of(name), ROOM / (name + ".log")
        with tarfile.open(one(packages(), "waypost-*-docker-amd64.tar")) as outer:
            (manifest,) = json.load(outer.extractfile("manifest.json"))
            self.config = json.load(outer.extractfile(manifest["Config"]))["config"]
            for layer in manifest["Layers"]:
                with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                    inner.extractall(self.root, numeric_owner=True, filter="fully_trusted")
        (self.root / "proc").mkdir()
        # As compose.yaml runs it: nothing can be written but the volume.
        for place, mode in [(self.root, "ro"), (self.root / "data", "rw")]:
            mount(place, "--bind", str(place))
            run("mount", "-o", "remount,bind," + mode, str(place))
        mount(self.root / "proc", "-t", "proc", "proc")

    def command(self, *words):
        return ["env", "-i", *self.config["Env"], shutil.which("chroot"), "--groups=", "--userspec=" + self.config["User"],
                str(self.root), *words]

    def start(self):
        return start(self.command(*self.config["Entrypoint"], *self.config["Cmd"]), self.log)


@case("the image's root, run as its user, takes mail and answers /healthz on the ports it exposes")
def runs():
    container = Container("container")
    health = container.config["Healthcheck"]["Test"][1:]
    relay = container.start()
    serves(relay, 2525)
    assert open("/proc/%d/status" % relay.pid).read().split("CapEff:")[1].split()[0].strip("0") == "", "no capability"
    for exposed in container.config["ExposedPorts"]:
        socket.create_connection(("127.0.0.1", int(exposed.split("/")[0])), 5).close()
    # Published, it is called by addresses that are not its own.
    assert get(8025, "/", host="192.0.2.7:8025")[0] == 200
    run(*container.command(*health))
    run(*container.command("waypost", "config", "set", "routes", '[{"for": "*", "via": "127.0.0.1:9", "tls": "none"}]'))
    submit(2525)
    run(*container.command("sendmail", "you@example.com"), text="Subject: by exec\n\n")
    waiting = json.loads(run(*container.command("waypost", "queue", "--json")))
    assert len(waiting) == 2
    assert stop(relay) == 0, "TERM ends it, as StopSignal says"
    code, words = run(*container.command(*health), check=False)
    assert code != 0, words
    # A new container on the same volume.
    newer = Container("newer")
    mount(newer.root / "data", "--bind", str(container.root / "data"))
    serves(newer.start(), 2525)
    again = json.loads(run(*newer.command("waypost", "queue", "--json")))
    assert {row["id"] for row in again} == {row["id"] for row in waiting}
    assert banner(2587)


@case("the root of the image holds the binary, its licences and an empty volume, and nothing else to run")
def contents():
    root = Container("contents").root
    programs = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o111
                and not path.is_relative_to(root / "proc")]
    assert programs == [root / "usr/bin/waypost"], programs
    data = root / "data"
    assert (data.stat().st_uid, data.stat().st_mode & 0o777) == (65532, 0o700)
    assert [path.name for path in data.iterdir()] == ["waypost.json"]
