"""Boards: each file in boards/ is one board. What a file may say, and nothing else, is the table here."""

import pathlib
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHITECTURES = {"x86_64", "i686", "aarch64", "armv7", "riscv64", "mips", "mipsel"}
BOOT = {"uefi", "u-boot", "rpi"}
TABLES = {"gpt", "mbr"}
EVIDENCE = {"booted", "kernel booted", "structural", "self-test"}

# Where the slots' state lies on every medium, and where the partitions begin: see image/README.md.
RESERVED_OCTETS = 16 << 20
STATE_OCTETS = 15 << 20
SECTOR = 512
# What the partition table takes of the start: one sector, or the protective one, the header and 128 entries (UEFI 2.10 §5.3).
TABLE_OCTETS = {"mbr": SECTOR, "gpt": 34 * SECTOR}
# What the board's own firmware must find, by boot method.
NEEDS = {"uefi": (), "u-boot": ("device_trees",), "rpi": ("device_trees", "boot_files")}

WORD, TEXT, COUNT, FLAG, WORDS = "word", "text", "count", "flag", "words"
# Key, kind, and whether a board without it is refused.
BOARD = {
    "title": (TEXT, True), "architecture": (WORD, True), "target": (WORD, True), "evidence": (TEXT, True),
    "clock": (FLAG, True), "sources": (WORDS, True), "notes": (TEXT, False), "packages": (WORDS, False),
    "image": (dict, False), "budget": (dict, True), "qemu": (dict, False), "blob": (list, False),
}
IMAGE = {
    "boot": (WORD, True), "table": (WORD, True), "medium": (WORDS, True), "console": (WORDS, True),
    "kernel": (WORD, True), "device_trees": (WORDS, False), "modules_boot": (WORDS, False),
    "modules": (WORDS, False), "boot_files": (WORDS, False), "firmware": (WORDS, False),
    "firmware_settings": (WORDS, False), "parameters": (TEXT, False),
}
BUDGET = {"binary_octets": (COUNT, True), "image_octets": (COUNT, False), "memory_octets": (COUNT, True),
          "free_octets": (COUNT, False)}
QEMU = {"machine": (TEXT, True), "cpu": (WORD, False), "firmware": (TEXT, False), "disk": (TEXT, True),
        "net": (TEXT, True)}
BLOB = {"package": (WORD, True), "file": (TEXT, True), "at": (COUNT, True), "source": (TEXT, True)}


class Wrong(Exception):
    """A board file that is not right: where, what was found, what is allowed."""


def fits(kind, value):
    if kind in (WORD, TEXT):
        return isinstance(value, str) and value != "" and (kind == TEXT or " " not in value)
    if kind == COUNT:
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    if kind == FLAG:
        return isinstance(value, bool)
    if kind == WORDS:
        return isinstance(value, list) and all(isinstance(one, str) and one for one in value)
    return isinstance(value, kind)


def table(where, allowed, found):
    for key in found:
        if key not in allowed:
            raise Wrong(f"{where}: found {key!r}; allowed is {', '.join(allowed)}")
    for key, (kind, needed) in allowed.items():
        if key not in found:
            if needed:
                raise Wrong(f"{where}: {key} is missing")
        elif not fits(kind, found[key]):
            name = kind if isinstance(kind, str) else kind.__name__
            raise Wrong(f"{where}: {key}: found {found[key]!r}; allowed is a {name}")


def one_of(where, key, allowed, found):
    if found not in allowed:
        raise Wrong(f"{where}: {key}: found {found!r}; allowed is {', '.join(sorted(allowed))}")


def check(name, board):
    """The board, or Wrong."""
    where = f"boards/{name}.toml"
    table(where, BOARD, board)
    one_of(where, "architecture", ARCHITECTURES, board["architecture"])
    one_of(where, "evidence", EVIDENCE, board["evidence"])
    table(f"{where} [budget]", BUDGET, board["budget"])
    if not board["sources"]:
        raise Wrong(f"{where}: sources is empty: facts only, each with where it is from")
    image = board.get("image")
    if image is None:
        for key in ("qemu", "blob"):
            if key in board:
                raise Wrong(f"{where}: {key} without [image]")
        if not board.get("packages"):
            raise Wrong(f"{where}: neither [image] nor packages: how does Waypost get there?")
        return board
    table(f"{where} [image]", IMAGE, image)
    one_of(f"{where} [image]", "boot", BOOT, image["boot"])
    one_of(f"{where} [image]", "table", TABLES, image["table"])
    if "image_octets" not in board["budget"]:
        raise Wrong(f"{where} [budget]: image_octets is missing")
    if "qemu" in board:
        table(f"{where} [qemu]", QEMU, board["qemu"])
    elif board["evidence"] in ("booted", "kernel booted"):
        raise Wrong(f"{where}: {board['evidence']!r} without [qemu]: by which machine?")
    for key in NEEDS[image["boot"]]:
        if not image.get(key):
            raise Wrong(f"{where} [image]: {key} is missing, which boot {image['boot']!r} needs")
    if image["boot"] == "rpi" and image["table"] != "mbr":
        raise Wrong(f"{where} [image]: table: found {image['table']!r}; allowed with boot 'rpi' is mbr")
    for key in ("boot_files", "firmware"):
        for line in image.get(key, []):
            if line.count(":") != 1:
                raise Wrong(f"{where} [image]: {key}: found {line!r}; allowed is PACKAGE:FILES")
    if image["boot"] == "u-boot" and not board.get("blob"):
        raise Wrong(f"{where}: no [[blob]], which boot 'u-boot' needs")
    first = TABLE_OCTETS[image["table"]]
    for blob in board.get("blob", []):
        table(f"{where} [[blob]]", BLOB, blob)
        if blob["at"] % SECTOR or not first <= blob["at"] < STATE_OCTETS:
            raise Wrong(f"{where} [[blob]]: at: found {blob['at']}; allowed is a multiple of {SECTOR} from {first} on, "
                        f"below {STATE_OCTETS}")
    return board


def check_room(board, blobs):
    """Wrong where one of the blobs, each (at, octets), reaches into the next or into the slots' state."""
    where = f"boards/{board['name']}.toml"
    ends = [at for at, _ in sorted(blobs)][1:] + [STATE_OCTETS]
    for (at, octets), end in zip(sorted(blobs), ends):
        if at + octets > end:
            raise Wrong(f"{where} [[blob]]: at {at}: found {octets} octets; allowed is {end - at}, then something else begins")


def load(name):
    """The board of that name, checked."""
    path = ROOT / "boards" / f"{name}.toml"
    if not path.is_file():
        raise Wrong(f"no board {name!r}; there are {', '.join(names())}")
    try:
        board = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise Wrong(f"boards/{name}.toml: {error}") from error
    board = check(name, board)
    board["name"] = name
    return board


def names():
    return sorted(path.stem for path in (ROOT / "boards").glob("*.toml"))
