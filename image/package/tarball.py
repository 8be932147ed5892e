"""A tarball for any Linux: the binary, licences, what to read, and a unit for systemd."""
from archives import Tree, gzip


def build(release, target, binary):
    name = "waypost-%s-%s" % (release.version, target.name)
    tree = Tree()
    tree.file("waypost", binary, 0o755)
    for document in ("README.md", "LICENSE-MIT", "LICENSE-APACHE"):
        tree.file(document, release.file(document))
    tree.file("INSTALL", release.template("INSTALL"))
    tree.file("waypost.1", release.template("debian/waypost.1"))
    tree.file("waypost.service", release.file("image/package/debian/waypost.service"))
    tree.file("waypost.sysusers", release.file("image/package/waypost.sysusers"))
    tree.file("waypost.json", release.file("image/package/waypost.json"))
    return {name + ".tar.gz": gzip(tree.tar(release.date, prefix=name + "/"))}
