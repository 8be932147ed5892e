"""Binaries of other machines that are a header alone: enough to be packed, not to run."""
import sys

from ground import REPOSITORY, ROOM

sys.path.append(str(REPOSITORY / "image/package"))
from targets import TARGETS  # noqa: E402 (the line above says where)


def stand_in(name):
    """The path of one for the target of this name."""
    target = TARGETS[name]
    header = bytearray(b"\x7fELF" + bytes([target.bits // 32, 1 if target.order == "little" else 2, 1]))
    header += bytes((64 if target.bits == 64 else 52) - len(header))
    header[18:20] = target.machine.to_bytes(2, target.order)
    place = ROOM / "stand-in" / name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(header)
    return place
