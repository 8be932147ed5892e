"""A board on a link of its own, in a network namespace: DHCP gives it an address, its name is found by multicast DNS with a
library that is not ours, its clock is set by the server that DHCP names, and a person with a key comes in by SSH."""
import os
import subprocess
import sys

from machine import ROOT, WORK, Machine
from starts import case

SPACE, TAP = "waypost-boot", "wpboot0"
HOST, BOARD = "10.77.0.1", "10.77.0.50"

SEARCH = """
import socket, sys
from zeroconf import ServiceBrowser, ServiceListener, Zeroconf
import time
zero = Zeroconf(interfaces=["10.77.0.1"])
class Heard(ServiceListener):
    names = []
    def add_service(self, zero, kind, name): self.names.append(name)
    def update_service(self, *_): pass
    def remove_service(self, *_): pass
heard = Heard()
ServiceBrowser(zero, "_http._tcp.local.", heard)
for _ in range(100):
    info = zero.get_service_info("_http._tcp.local.", "waypost._http._tcp.local.", timeout=1000)
    if info and heard.names:
        print(info.server, [socket.inet_ntoa(one) for one in info.addresses if len(one) == 4], info.port, heard.names)
        break
    time.sleep(0.3)
"""


def inside(*words, **options):
    return subprocess.run(["ip", "netns", "exec", SPACE, *words], capture_output=True, check=True, timeout=120, **options).stdout.decode()


class Linked(Machine):
    """Its cable goes into the namespace."""

    def command(self):
        words = super().command()
        at = words.index("-netdev")
        words[at + 1] = "tap,id=net,ifname=%s,script=no,downscript=no" % TAP
        return ["ip", "netns", "exec", SPACE, *words]


@case
def a_board_is_found_by_its_name_and_takes_address_and_time_from_the_network(used):
    subprocess.run(["ip", "netns", "del", SPACE], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    servers = []
    try:
        inside("ip", "link", "set", "lo", "up")
        inside("ip", "tuntap", "add", "dev", TAP, "mode", "tap")
        inside("ip", "addr", "add", HOST + "/24", "dev", TAP)
        inside("ip", "link", "set", TAP, "up")
        board = Linked("x86-64-uefi", "link", extra=["-rtc", "base=1970-01-01T00:00:00"])
        used.append(board)
        leases = os.path.join(board.folder, "leases")
        servers.append(subprocess.Popen(
            ["ip", "netns", "exec", SPACE, "dnsmasq", "-k", "-C", "/dev/null", "--port=0", "--interface=" + TAP, "--bind-interfaces",
             "--dhcp-range=%s,%s,1h" % (BOARD, BOARD), "--dhcp-option=option:router," + HOST, "--dhcp-option=option:dns-server," + HOST,
             "--dhcp-option=option:ntp-server," + HOST, "--dhcp-leasefile=" + leases, "--user=root", "--pid-file="],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        servers.append(subprocess.Popen(
            ["ip", "netns", "exec", SPACE, sys.executable, os.path.join(ROOT, "tests/boot/time_server.py"), HOST],
            stdout=subprocess.DEVNULL))
        key = os.path.join(board.folder, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with open(key + ".pub") as public:
            board.put("authorized_keys", public.read())
        board.up()
        board.until(lambda: BOARD in board.serial(), 150, "address from DHCP")
        board.until(lambda: "waypost.local" in board.serial() and "event=serves is=true" in board.serial(), 150, "page")
        python = os.path.join(WORK, "zeroconf/bin/python")
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", os.path.dirname(os.path.dirname(python))], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "zeroconf==0.149.16"], check=True)
        found = inside(python, "-c", SEARCH)
        assert found.startswith("waypost.local. ['%s'] 80" % BOARD), found
        with open(leases) as kept:
            assert " waypost " in kept.read(), "the name goes to DHCP"
        board.until(lambda: "By time servers." in board.serial(), 120, "date from the server that DHCP names")
        said = inside("ssh", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "root@" + BOARD,
                      "id -u; date +%Y; waypost queue; ls /data/board")
        assert said.startswith("0\n20") and "empty" in said and "clock" in said, said
        ports = inside("sh", "-c", "for p in $(seq 1 1024); do nc -z -w1 %s $p 2>/dev/null && echo $p; done; true" % BOARD).split()
        assert ports == ["22", "25", "80", "465", "587"], ports
        board.cut()
        board.boot("mdel", "::authorized_keys")
        board.up()
        board.until(lambda: "event=serves is=true" in board.serial(), 150, "page")
        refused = subprocess.run(["ip", "netns", "exec", SPACE, "nc", "-z", "-w2", BOARD, "22"], capture_output=True, check=False)
        assert refused.returncode != 0, "without a key on the boot partition there is no SSH"
        return found.strip()
    finally:
        for one in used:
            one.cut()
        for server in servers:
            server.kill()
            server.wait()
        subprocess.run(["ip", "netns", "del", SPACE], capture_output=True, check=False)
