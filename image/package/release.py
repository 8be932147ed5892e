"""What all packages of one release have in common."""
import time
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

SUMMARY = "small mail relay for home servers, routers and NAS"
DESCRIPTION = """\
Cameras, printers, scripts and people hand it mail; it keeps each message
safe, waits for the line if it has to, and gets it through: to the
recipients' own servers, through a provider, or into a mailbox on the spot.
It is set up and watched on one page in the browser, and is one binary
without a database server or a runtime."""
LICENCE = "MIT OR Apache-2.0"


@dataclass(frozen=True)
class Release:
    root: Path
    version: str
    date: int  # seconds since 1970: of every file in every package
    maintainer: str

    def file(self, name):
        """A file of the repository."""
        return (self.root / name).read_bytes()

    def template(self, name, **more):
        """A file beside this one, with @NAME@ replaced."""
        text = self.file("image/package/" + name).decode()
        words = {"VERSION": self.version, "MAINTAINER": self.maintainer, "SUMMARY": SUMMARY,
                 "DATE": formatdate(self.date), "DAY": time.strftime("%Y-%m-%d", time.gmtime(self.date)), **more}
        for word, value in words.items():
            text = text.replace("@%s@" % word, value)
        return text.encode()

    @property
    def date_rfc3339(self):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.date))
