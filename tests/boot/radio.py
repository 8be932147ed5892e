"""Wi-Fi: the kernel's simulated radios (mac80211_hwsim) in a running board. One is the board's own; the other goes into a
network namespace of the guest and is an access point there, by wpa_supplicant and busybox's udhcpd, so that all between the
two goes through the air."""
import glob
import os
import subprocess

from machine import ROOT, Machine, free_port
from page import Page
from starts import case

SERVER, BOARD = "10.66.0.1", "10.66.0.50"
NAME, SECRET = "Dachboden ü", "correct \"horse\" # battery"
# Where SSH copies files to, in the guest.
PLACE = "/tmp"

DHCP = """start %(board)s
end %(board)s
interface wlan1
lease_file /tmp/leases
opt router %(server)s
opt subnet 255.255.255.0
opt lease 3600
""" % {"board": BOARD, "server": SERVER}


def point(security):
    """A wpa_supplicant.conf for the access point."""
    name = NAME.encode().hex()
    return "country=DE\nnetwork={\n ssid=%s\n mode=2\n frequency=2437\n psk=\"%s\"\n %s\n}\n" % (name, SECRET, security)


class Guest:
    """A shell in the board, by SSH."""

    def __init__(self, board):
        self.board, self.port = board, free_port()
        self.key = os.path.join(board.folder, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        with open(self.key + ".pub") as public:
            board.put("authorized_keys", public.read())
        board.ports[22] = self.port

    def run(self, script, octets=b""):
        done = subprocess.run(["ssh", "-i", self.key, "-p", str(self.port), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
                               "-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1", script],
                              input=octets, capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, "%s: %s%s" % (script, done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode()

    def copy(self, path):
        with open(path, "rb") as file:
            self.run("cat > %s/%s && chmod 755 %s/%s" % (PLACE, os.path.basename(path), PLACE, os.path.basename(path)), file.read())


@case
def a_board_joins_a_Wi_Fi_says_why_it_cannot_and_is_reached_through_the_air(used):
    board = Machine("x86-64-uefi", "radio")
    used.append(board)
    guest = Guest(board)
    board.put("network", "# at home\nwifi = %s\nwifi_password = wrong password\ncountry = de\n" % NAME)
    board.up()
    board.serves()
    page = Page(board).set_up()
    board.until(lambda: "No Wi-Fi is found in this board." in board.serial(), 60, "word that there is no radio")
    assert "network" not in guest.run("ls /boot").split(), "it was taken over"
    # As the kernel says it; what is not about a driver of Wi-Fi is not there on such a board.
    guest.run("echo 'brcmfmac x: Direct firmware load for brcm/some.bin failed with error -2' > /dev/kmsg")
    board.until(lambda: "does not have: brcm/some.bin. Put it" in page.done("GET", "/api/board")["wifi"], 120, "name of the file")
    kernel = glob.glob(os.path.join(ROOT, "target/image/debian/amd64/linux-image-*/lib/modules/*"))[-1]
    guest.copy(os.path.join(kernel, "kernel/drivers/net/wireless/mac80211_hwsim.ko"))
    guest.copy("/usr/sbin/iw")
    guest.run("modprobe mac80211 && insmod /tmp/mac80211_hwsim.ko radios=2")
    air = guest.run("unshare -n sleep 3000 >/dev/null 2>&1 </dev/null & echo $!").strip()
    inside = "nsenter -t %s -n " % air
    radio = guest.run("cat /sys/class/net/wlan1/phy80211/name").strip()
    guest.run("/tmp/iw phy %s set netns %s" % (radio, air))
    guest.run("cat > /tmp/dhcp.conf", DHCP.encode())
    guest.run(inside + "ip addr add %s/24 dev wlan1 && touch /tmp/leases" % SERVER)
    serve(guest, inside, "key_mgmt=WPA-PSK\n proto=RSN\n pairwise=CCMP")
    guest.run(inside + "busybox udhcpd /tmp/dhcp.conf")

    def told():
        return page.done("GET", "/api/board")
    board.until(lambda: "the password is wrong" in told()["wifi"], 120, "word of the wrong password")
    assert told()["network"] == "# at home\nwifi = %s\nwifi_password = (kept)\ncountry = de\n" % NAME, told()["network"]
    right = "wifi = %s\nwifi_password = %s\ncountry = DE\n" % (NAME, SECRET)
    page.done("PUT", "/api/board/network", {"text": right})
    board.until(lambda: told()["wifi"] == "In %s." % NAME, 60, "way into the Wi-Fi")
    board.until(lambda: BOARD in told()["addresses"], 60, "address from the access point")
    assert SECRET not in str(told()), "nobody reads the password"
    banner = guest.run(inside + "sh -c 'sleep 2 | nc %s 25'" % BOARD)
    assert banner.startswith("220 "), banner
    found = guest.run(inside + "/tmp/iw dev wlan1 station dump; /tmp/iw reg get; cat /sys/module/firmware_class/parameters/path; "
                               "stat -c %a /data/board/wifi-password; dmesg | grep -c 'regulatory.db' || true")
    assert "Station" in found and "country DE" in found and "/boot/firmware" in found and "\n600\n" in found, found

    # The access point goes, and comes back with WPA3 only.
    guest.run(inside + "killall wpa_supplicant.ap")
    board.until(lambda: "not there any more" in told()["wifi"], 120, "word that it is gone")
    serve(guest, inside, "key_mgmt=SAE\n proto=RSN\n pairwise=CCMP\n ieee80211w=2")
    board.until(lambda: told()["wifi"] == "In %s." % NAME, 120, "way into the Wi-Fi of WPA3")
    banner = board.until(lambda: guest.run(inside + "sh -c 'sleep 2 | nc -w 5 %s 25 || true'" % BOARD), 60, "banner once more")
    assert banner.startswith("220 "), banner

    # No Wi-Fi any more: the password goes, too.
    page.done("PUT", "/api/board/network", {"text": "name = waypost\n"})
    board.until(lambda: told()["wifi"] == "" and BOARD not in told()["addresses"], 60, "end of the Wi-Fi")
    assert "wifi-password" not in guest.run("ls /data/board")
    board.cut()
    with open(board.medium, "rb") as medium:
        medium.seek(16 << 20)
        assert b"wrong password" not in medium.read(96 << 20), "no octet of it is left on the boot partition"
    return "WPA2 and WPA3, a wrong password, a name that is no ASCII"


def serve(guest, inside, security):
    guest.run("cat > /tmp/ap.conf; ln -sf /usr/sbin/wpa_supplicant /tmp/wpa_supplicant.ap", point(security).encode())
    guest.run(inside + "/tmp/wpa_supplicant.ap -B -Dnl80211 -iwlan1 -c/tmp/ap.conf -f/tmp/ap.log")
