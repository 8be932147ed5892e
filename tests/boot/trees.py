"""Device trees: whether what a device needs has a driver, its suppliers, theirs and the buses they are on (Devicetree
Specification 0.4 §5; which properties name suppliers: Linux 6.1 drivers/of/property.c, of_supplier_bindings)."""
import os
import re
import struct

import pieces  # machine.py says where it is

# Properties that name suppliers, and which property of those tells how many words follow.
REFERENCES = {"clocks": "#clock-cells", "resets": "#reset-cells", "phys": "#phy-cells", "dmas": "#dma-cells",
              "mboxes": "#mbox-cells", "power-domains": "#power-domain-cells", "mmc-pwrseq": None, "phy-handle": None,
              "usb-phy": None, "interrupt-parent": None, "pinctrl-0": None, "nvmem-cells": None}
# What the driver of a device makes of it without a word in the tree: cells of drivers/mfd, and who drives those.
CELLS = {"rockchip,rk805": "rk808_regulator", "x-powers,axp803": "axp20x_regulator", "brcm,bcm2835-pm-wdt": "bcm2835_wdt",
         "brcm,bcm4329-fmac": "brcmfmac"}
# What must be driven: by what the initramfs has, for media it is started from; by any driver of the image.
FIRST, LATER = {"card": "(mmc|emmc2)@", "USB": "usb@"}, ["(mmc|emmc2)@", "usb@", "watchdog@", "ethernet@"]


def all_driven(one, folder, kernel):
    """Each device tree of the board: card, USB, watchdog and Ethernet, by the drivers in the image made in `folder`."""
    if not one["image"].get("device_trees"):
        return
    release = os.listdir(os.path.join(kernel, "lib/modules"))[0]
    known = Drivers(os.path.join(kernel, "boot/vmlinuz-" + release),
                    os.path.join(kernel, "lib/modules", release, "modules.alias"))
    early = modules(os.path.join(folder, "initramfs"))
    late = early | modules(os.path.join(folder, "modules"))
    first = [wanted for word, wanted in FIRST.items() if any(word in medium for medium in one["image"]["medium"])]
    for name in one["image"]["device_trees"]:
        tree = read(os.path.join(kernel, "usr/lib/linux-image-" + release, name))
        radio = ["wifi@"] if one["image"].get("firmware") else []
        for wanted, present in [(wanted, early) for wanted in first] + [(wanted, late) for wanted in LATER + radio]:
            lacking = known.lacking(tree, wanted, present)
            assert not lacking, "%s: %s: no driver for %s" % (name, wanted, "; ".join(lacking))


def modules(folder):
    return {pieces.module_name(name) for _, _, names in os.walk(folder) for name in names if ".ko" in name}


class Node:
    def __init__(self, name, parent):
        self.name, self.parent, self.properties, self.children = name, parent, {}, []

    def path(self):
        return "/" if self.parent is None else self.parent.path().rstrip("/") + "/" + self.name

    def walk(self):
        yield self
        for child in self.children:
            yield from child.walk()

    def words(self, name):
        value = self.properties.get(name, b"")
        return list(struct.unpack(">%dI" % (len(value) // 4), value[:len(value) // 4 * 4]))

    def compatible(self):
        return [word for word in self.properties.get("compatible", b"").decode().split("\0") if word]

    def is_enabled(self):
        own = self.properties.get("status", b"okay\0") in (b"okay\0", b"ok\0")
        return own and (self.parent is None or self.parent.is_enabled())


def read(path):
    """The root of a flattened tree, and its nodes by phandle."""
    with open(path, "rb") as f:
        whole = f.read()
    magic, _, at, strings = struct.unpack(">4I", whole[:16])
    assert magic == 0xD00DFEED, "%s is no device tree" % path
    node, root, by_handle = None, None, {}

    def text(start):
        return whole[start:whole.index(b"\0", start)].decode()

    while True:
        token, = struct.unpack(">I", whole[at:at + 4])
        at += 4
        if token == 1:
            name = text(at)
            at += len(name) + 1 + -(len(name) + 1) % 4
            child = Node(name, node)
            if node is None:
                root = child
            else:
                node.children.append(child)
            node = child
        elif token == 2:
            if "phandle" in node.properties:
                by_handle[node.words("phandle")[0]] = node
            node = node.parent
        elif token == 3:
            length, name = struct.unpack(">II", whole[at:at + 8])
            node.properties[text(strings + name)] = whole[at + 8:at + 8 + length]
            at += 8 + length + -length % 4
        elif token == 9:
            return root, by_handle


def suppliers(node, by_handle):
    for name in node.properties:
        if name in REFERENCES:
            cells = REFERENCES[name]
        elif name.endswith("-supply"):
            cells = None
        elif name in ("gpio", "gpios") or re.search("-gpios?$", name):
            cells = "#gpio-cells"
        else:
            continue
        words = node.words(name)
        while words:
            supplier = by_handle.get(words.pop(0))
            if supplier is None:
                continue
            yield supplier
            del words[:supplier.words(cells)[0] if cells else 0]


def drivers(aliases):
    """Which modules say that they drive a compatible word (modules.alias of depmod)."""
    found = {}
    with open(aliases) as f:
        for line in f:
            _, alias, module = line.split(" ", 2) if line.startswith("alias ") else ("", "", "")
            matched = re.fullmatch(r"of:N\*T\*C(.+?)(C\*)?", alias)
            if matched:
                found.setdefault(matched[1], set()).add(module.strip())
    return found


class Drivers:
    """What drives devices: the kernel itself, in whose octets its own drivers' words stand, and modules."""

    def __init__(self, kernel, aliases):
        with open(kernel, "rb") as f:
            self.kernel = f.read()
        self.modules = drivers(aliases)

    def lacking(self, tree, wanted, present):
        """Devices called so, and what they need, that neither the kernel nor a module of `present` drives.

        A device tree also describes what a bus finds by itself (on USB, behind a MAC): nothing is its driver by such a word, and
        that is no fault. Nor are suppliers that are disabled (drivers/of/property.c, of_link_to_phandle)."""
        root, by_handle = tree
        todo = [node for node in root.walk() if re.match(wanted, node.name) and node.is_enabled() and is_for_mail(node)]
        assert todo or wanted == "ethernet@", "no device is called " + wanted
        # SDIO finds its devices by itself, too.
        named, seen, found = set(todo) if wanted != "wifi@" else set(), set(), []
        while todo:
            node = todo.pop()
            if node in seen or not node.is_enabled() or node.parent is None:
                continue
            seen.add(node)
            todo += [*suppliers(node, by_handle), node.parent]
            words = node.compatible()
            if not words:
                continue
            able = set().union(*(self.modules.get(word, set()) for word in words))
            # Where a module says that it is the driver, the word in the kernel's octets is somebody else's.
            driven = able & present if able else node not in named or any(word.encode() + b"\0" in self.kernel for word in words)
            cells = {CELLS[word] for word in words if word in CELLS}
            if not driven or not cells <= present:
                able |= cells
                found.append("%s (%s: %s)" % (node.path(), words[0], ", ".join(sorted(able)) or "no driver at all"))
        return sorted(found)


def is_for_mail(node):
    """Not Wi-Fi on an SDIO host (mmc-pwrseq), nor what is found on USB or PCIe without the tree."""
    return "mmc-pwrseq" not in node.properties and any(not word.startswith("usb") for word in node.compatible())
