"""Packages for OpenWrt up to 24.10, whose package manager is opkg: a gzipped tar of three members.

The static binary runs on every OpenWrt of its processor, but opkg compares names of architectures exactly, and there are
dozens (aarch64_cortex-a53, aarch64_generic …). So the package says "all", and its preinst looks whether the binary fits.
OpenWrt 25.12 and newer have apk in place of opkg, whose format (version 3) only its own tools write: take the tarball there.
"""
from archives import Tree, gzip
from release import DESCRIPTION, SUMMARY

OWN = "image/package/openwrt/"


def build(release, target, binary):
    tree = Tree()
    tree.file("usr/bin/waypost", binary, 0o755)
    tree.file("etc/init.d/waypost", release.file(OWN + "waypost.init"), 0o755)
    tree.file("etc/waypost.env", release.file(OWN + "waypost.env"))
    tree.file("etc/sysctl.d/60-waypost.conf", release.file(OWN + "sysctl.conf"))
    tree.file("lib/upgrade/keep.d/waypost", release.file(OWN + "keep"))
    tree.file("usr/share/waypost/waypost.json", release.file("image/package/waypost.json"))
    for licence in ("LICENSE-MIT", "LICENSE-APACHE"):
        tree.file("usr/share/waypost/" + licence, release.file(licence))

    control = Tree()
    control.file("control", "\n".join([
        "Package: waypost",
        "Version: " + release.version,
        "Section: mail",
        "Architecture: all",
        "Maintainer: " + release.maintainer,
        "License: MIT OR Apache-2.0",
        # Numbers of its own, so that a USB stick that is moved to another router belongs to the same user there.
        "Require-User: waypost=525:waypost=525",
        # Read by opkg: the sendmail of the highest priority gets the name. msmtp has 100.
        "Alternatives: 200:/usr/sbin/sendmail:/usr/bin/waypost, 200:/usr/bin/mailq:/usr/bin/waypost",
        "Installed-Size: %d" % (1024 * tree.kibibytes()),
        "Description: %s" % SUMMARY,
        *(" " + line for line in DESCRIPTION.split("\n")), ""]))
    control.file("conffiles", "/etc/waypost.env\n")
    control.file("preinst", release.template("openwrt/preinst", NAME=target.name, PATTERN=target.openwrt), 0o755)
    for script in ("postinst", "prerm"):
        control.file(script, release.file(OWN + script), 0o755)

    outer = Tree()
    outer.file("debian-binary", b"2.0\n")
    outer.file("data.tar.gz", gzip(tree.tar(release.date)))
    outer.file("control.tar.gz", gzip(control.tar(release.date)))
    return {"waypost_%s_%s.ipk" % (release.version, target.name): gzip(outer.tar(release.date, with_root=False))}
