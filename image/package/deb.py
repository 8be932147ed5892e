"""Debian packages, written without Debian's tools: deb(5) is an ar(5) of two tars.

There are two, as msmtp and msmtp-mta are. `waypost` is the relay, and can be installed beside any other mail server. The
name /usr/sbin/sendmail belongs to one package of a system: Debian's policy §11.6 has every package that ships it provide
and conflict with mail-transport-agent, and no mail server of Debian leaves it to update-alternatives, so an alternative
of ours would be overwritten by the next one that is installed. Who wants programs to find Waypost by that name installs
`waypost-mta` too, which is links alone, and takes the other one's place.
"""
from archives import Tree, ar, gzip, md5, xz
from release import DESCRIPTION


def build(release, target, binary):
    if target.deb is None:
        return {}
    tree = documents(release, "waypost")
    tree.file("usr/bin/waypost", binary, 0o755)
    tree.file("usr/lib/systemd/system/waypost.service", release.file("image/package/debian/waypost.service"))
    tree.file("usr/share/doc/waypost/README.md.gz", gzip(release.file("README.md")))
    tree.file("usr/share/man/man1/waypost.1.gz", gzip(release.template("debian/waypost.1")))
    tree.file("usr/share/lintian/overrides/waypost", release.file("image/package/debian/lintian-overrides"))
    scripts = {name: release.file("image/package/debian/" + name) for name in ("postinst", "prerm", "postrm")}
    return package(release, "waypost", target.deb, tree, scripts)


def build_mta(release):
    tree = documents(release, "waypost-mta")
    for path, to in [("usr/sbin/sendmail", "../bin/waypost"), ("usr/lib/sendmail", "../sbin/sendmail"),
                     ("usr/bin/mailq", "waypost"), ("usr/bin/newaliases", "waypost")]:
        tree.link(path, to)
    for page in ("man8/sendmail.8.gz", "man1/mailq.1.gz", "man1/newaliases.1.gz"):
        tree.link("usr/share/man/" + page, "../man1/waypost.1.gz" if page.startswith("man8") else "waypost.1.gz")
    return package(release, "waypost-mta", "all", tree, {})


def documents(release, name):
    tree = Tree()
    place = "usr/share/doc/%s/" % name
    tree.file(place + "copyright", release.template("debian/copyright"))
    tree.file(place + "changelog.gz", gzip(release.template("debian/changelog")))
    return tree


def package(release, name, architecture, tree, scripts):
    control = Tree()
    indented = DESCRIPTION.replace("\n", "\n ")
    fields = release.template("debian/control." + name, ARCHITECTURE=architecture, SIZE=str(tree.kibibytes()),
                              DESCRIPTION=indented)
    control.file("control", fields)
    control.file("md5sums", "".join("%s  %s\n" % (md5(o), p) for p, o in sorted(tree.files().items())))
    for script, octets in scripts.items():
        control.file(script, octets, 0o755)
    octets = ar([("debian-binary", b"2.0\n"),
                 ("control.tar.xz", xz(control.tar(release.date))),
                 ("data.tar.xz", xz(tree.tar(release.date)))], release.date)
    return {"%s_%s_%s.deb" % (name, release.version, architecture): octets}
