"""Archives that are the same octets whenever they are made: everything that could differ (dates, owners, order, names of
users, compressors' headers) is given, not found."""
import hashlib
import io
import lzma
import struct
import tarfile
import zlib


class Tree:
    """Files by their path, without a slash in front. Directories above them come by themselves."""

    def __init__(self):
        self.entries = {}

    def file(self, path, octets, mode=0o644, owner=0):
        if isinstance(octets, str):
            octets = octets.encode()
        self._add(path, tarfile.REGTYPE, mode, owner, octets, "")

    def directory(self, path, mode=0o755, owner=0):
        self._add(path, tarfile.DIRTYPE, mode, owner, b"", "")

    def link(self, path, to):
        self._add(path, tarfile.SYMTYPE, 0o777, 0, b"", to)

    def _add(self, path, kind, mode, owner, octets, to):
        above = path.rpartition("/")[0]
        if above and above not in self.entries:
            self.directory(above)
        self.entries[path] = (kind, mode, owner, octets, to)

    def files(self):
        return {path: entry[3] for path, entry in self.entries.items() if entry[0] == tarfile.REGTYPE}

    def kibibytes(self):
        """As Debian's policy §5.6.20 counts: each file rounded up, one for all else."""
        return sum((len(entry[3]) + 1023) // 1024 if entry[0] == tarfile.REGTYPE else 1 for entry in self.entries.values())

    def tar(self, date, prefix="./", with_root=True):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            if with_root:
                tar.addfile(self._info(prefix, tarfile.DIRTYPE, 0o755, 0, date))
            for path, (kind, mode, owner, octets, to) in sorted(self.entries.items()):
                info = self._info(prefix + path, kind, mode, owner, date)
                info.linkname, info.size = to, len(octets)
                tar.addfile(info, io.BytesIO(octets))
        return out.getvalue()

    @staticmethod
    def _info(path, kind, mode, owner, date):
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.mtime = kind, mode, date
        info.uid = info.gid = owner
        info.uname = info.gname = "" if owner else "root"
        return info


def gzip(octets):
    """RFC 1952, without date and name. Python's own has said different things of the system over time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(octets) + packer.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + packed + struct.pack("<II", zlib.crc32(octets), len(octets) & 0xffffffff)


def xz(octets):
    return lzma.compress(octets, lzma.FORMAT_XZ, lzma.CHECK_CRC64, 6)


def ar(members, date):
    """ar(5), as deb(5) wants it: members by name, in order."""
    out = b"!<arch>\n"
    for name, octets in members:
        out += b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name.encode(), date, 0, 0, b"100644", len(octets))
        out += octets + b"\n" * (len(octets) % 2)
    return out


def md5(octets):
    """For dpkg's lists, which are against accidents, not against people."""
    return hashlib.md5(octets, usedforsecurity=False).hexdigest()


def sha256(octets):
    return hashlib.sha256(octets).hexdigest()
