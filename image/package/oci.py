"""A container image from nothing: one binary, as the OCI image specification 1.1 lays it out.

- `waypost-VERSION-oci/` and the same as `waypost-VERSION-oci.tar`: all architectures behind one index.
- `waypost-VERSION-docker-ARCH.tar`: one architecture as `docker save` writes it, for engines that load nothing else.
"""
import json

from archives import Tree, gzip, sha256
from release import LICENCE, SUMMARY

# Of nobody: 65532 is what images without a system of their own have agreed upon ("nonroot").
USER = 65532
SECOND = 1_000_000_000  # Docker's healthcheck counts nanoseconds
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def build(release, binaries):
    """`binaries` are octets by target."""
    name = "waypost-" + release.version
    made, blobs, manifests = {}, {}, []

    def blob(octets):
        digest = sha256(octets)
        blobs["blobs/sha256/" + digest] = octets
        return {"digest": "sha256:" + digest, "size": len(octets)}

    for target, binary in sorted(binaries.items(), key=lambda pair: pair[0].rust):
        if target.oci is None:
            continue
        architecture, variant = target.oci
        platform = {"architecture": architecture, "os": "linux", **({"variant": variant} if variant else {})}
        layer = root(release, binary).tar(release.date, prefix="", with_root=False)
        config = encode(configuration(release, platform, layer))
        manifest = encode({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, **blob(config)},
            "layers": [{"mediaType": LAYER, **blob(gzip(layer))}], "annotations": labels(release)})
        manifests.append({"mediaType": MANIFEST, **blob(manifest), "platform": platform})
        made["%s-docker-%s.tar" % (name, architecture)] = docker_archive(release, config, layer)
    if not manifests:
        return {}

    index = blob(encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": labels(release)}))
    reference = {"org.opencontainers.image.ref.name": release.version}
    layout = {
        "oci-layout": encode({"imageLayoutVersion": "1.0.0"}),
        "index.json": encode({"schemaVersion": 2, "mediaType": INDEX,
                              "manifests": [{"mediaType": INDEX, **index, "annotations": reference}]}),
        **blobs}
    archive = Tree()
    for path, octets in layout.items():
        archive.file(path, octets)
        made["%s-oci/%s" % (name, path)] = octets
    made[name + "-oci.tar"] = archive.tar(release.date, prefix="", with_root=False)
    return made


def root(release, binary):
    tree = Tree()
    tree.file("usr/bin/waypost", binary, 0o755)
    tree.link("usr/bin/sendmail", "waypost")
    tree.link("usr/bin/mailq", "waypost")
    # A name for the number, which messages without a sender are from.
    tree.file("etc/passwd", "root:x:0:0:root:/:/\nwaypost:x:%d:%d:Waypost:/data:/\n" % (USER, USER))
    tree.file("etc/group", "root:x:0:\nwaypost:x:%d:\n" % USER)
    for licence in ("LICENSE-MIT", "LICENSE-APACHE"):
        tree.file("usr/share/doc/waypost/" + licence, release.file(licence))
    # Engines fill a new named volume with what the image has in its place: so the first start finds a configuration by
    # which the container can be reached, and from then on it is the volume's own. A directory of the host that is
    # mounted in its stead has to be given one; image/package/README.md says how.
    tree.directory("data", 0o700, USER)
    tree.file("data/waypost.json", release.file("image/package/container.json"), 0o600, USER)
    return tree


def configuration(release, platform, layer):
    """https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md; Healthcheck is Docker's addition to it, which
    Docker and Podman read."""
    return {
        "created": release.date_rfc3339,
        **platform,
        "config": {
            "User": "%d:%d" % (USER, USER),
            # Above 1024, since the user is not root; the host's port 25 is led there.
            "ExposedPorts": {"2525/tcp": {}, "2587/tcp": {}, "2465/tcp": {}, "8025/tcp": {}},
            # Commands (`docker exec waypost waypost queue`) find the relay by this.
            "Env": ["PATH=/usr/bin", "WAYPOST_DATA=/data"],
            "Entrypoint": ["/usr/bin/waypost"],
            "Cmd": ["run"],
            "Volumes": {"/data": {}},
            "WorkingDir": "/data",
            "Labels": labels(release),
            "StopSignal": "SIGTERM",
            # There is no shell and no curl in here. `health` asks the relay through its socket, and fails where nobody
            # answers; `check` would fail when the line is down, which is no reason to start a relay anew.
            "Healthcheck": {"Test": ["CMD", "/usr/bin/waypost", "health"], "Interval": 60 * SECOND,
                            "Timeout": 10 * SECOND, "StartPeriod": 30 * SECOND, "Retries": 3},
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(layer)]},
        "history": [{"created": release.date_rfc3339, "created_by": "scripts/package", "comment": "the binary alone"}],
    }


def labels(release):
    """The specification's annotations; engines show them as labels."""
    words = {"title": "Waypost", "description": SUMMARY, "version": release.version, "licenses": LICENCE,
             "created": release.date_rfc3339}
    return {"org.opencontainers.image." + word: value for word, value in words.items()}


def docker_archive(release, config, layer):
    tree = Tree()
    names = {"Config": sha256(config) + ".json", "Layers": [sha256(layer) + "/layer.tar"]}
    tree.file("manifest.json", encode([{**names, "RepoTags": ["waypost:" + tag for tag in (release.version, "latest")]}]))
    tree.file(names["Config"], config)
    tree.file(names["Layers"][0], layer)
    return tree.tar(release.date, prefix="", with_root=False)


def encode(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
