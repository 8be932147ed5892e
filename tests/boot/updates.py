"""Updates: a good one is tried and kept, a bad one is refused or goes back by itself, and mail is there throughout."""
import http.client
import json
import pathlib
import shutil
import threading
import time

import machine
import world
from machine import HOST
from page import Page
from starts import case, used_machine

import build  # noqa: E402 (image/ is on the path since machine was imported)
import pieces

BOARD = "x86-64-uefi"


def made(title, version, change=lambda root: None, key=None):
    """An update of that version; `change` is given its root before it is packed. Signed as scripts/image signs."""
    folder = pathlib.Path(machine.WORK) / title
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "root"
    shutil.copytree(pathlib.Path(machine.ROOT) / "target/image" / BOARD / "root", root, symlinks=True)
    path = root / "etc/waypost/board.json"
    fact = {**json.loads(path.read_text()), "version": version}
    path.write_text(json.dumps(fact))
    change(root)
    pieces.squashfs(root, folder / "root.sqfs", fact["built"])
    build.update(folder / "it.update", folder / "root.sqfs", fact, key)
    octets = (folder / "it.update").read_bytes()
    shutil.rmtree(folder)
    return octets


def script(root, place, text):
    path = root / place
    if path.is_symlink() or path.exists():
        path.unlink()
    path.write_text(text)
    path.chmod(0o755)


def with_waiting_mail(used, title):
    """A board that is set up, with a message in its queue that nobody takes."""
    sink = world.Sink()
    sink.refuse = True
    board = used_machine(used, BOARD, title).up()
    board.serves()
    page = Page(board).set_up()
    page.configure(routes=[{"for": "*", "via": "%s:%d" % (HOST, sink.port), "tls": "none"}])
    world.submit(board, "waiting through it all")
    board.until(lambda: page.done("GET", "/api/queue")["total"] == 1, 30, "message in the queue")
    return board, page, sink


def mail_is_there(board, sink):
    page = Page(board).log_in()
    assert page.done("GET", "/api/queue")["total"] == 1
    sink.refuse = False
    page.done("POST", "/api/queue/retry", {})
    board.until(lambda: sink.find("waiting through it all"), 60, "message that had waited")
    sink.refuse = True
    world.submit(board, "waiting through it all")
    sink.messages.clear()
    return page


def outcome(page):
    about = page.done("GET", "/api/board")
    return about["version"], about["slot"], about["trial"], about["outcome"]


@case
def a_good_update_is_tried_and_kept(used):
    good = made("good", "9.1")
    board, page, sink = with_waiting_mail(used, "update-good")
    assert page.send_update(good) == (200, {"version": "9.1"})
    board.ended()
    board.up()
    board.serves()
    page = mail_is_there(board, sink)
    assert outcome(page)[:3] == ("9.1", "b", True), outcome(page)
    status, said = page.send_update(good)
    assert status == 422 and "on trial" in said["error"], said
    board.until(lambda: not outcome(page)[2], 120, "end of the trial")
    assert outcome(page) == ("9.1", "b", False, "updated 9.1")
    time.sleep(1)
    board.cut()
    board.up()
    board.serves()
    assert outcome(mail_is_there(board, sink)) == ("9.1", "b", False, "updated 9.1")


@case
def an_update_that_is_not_right_is_refused_in_words_and_changes_nothing(used):
    good = made("refused", "9.2")
    board, page, sink = with_waiting_mail(used, "update-refused")
    flipped = bytearray(good)
    flipped[-5000] ^= 1
    header = bytearray(good)
    header[header.index(b"version 9.2") + 8:header.index(b"version 9.2") + 11] = b"9.3"
    key = pathlib.Path(machine.WORK) / "somebody-else.pem"
    key.unlink(missing_ok=True)
    foreign = made("foreign", "9.2", key=key)
    public = build.public_key(key)
    for octets, words in [
        (bytes(flipped), "its content is not what was signed"),
        (bytes(header), "signature is not right"),
        (good[:-100_000], "is cut"),
        (good[:1000], "is cut"),
        (b"", "is cut"),
        (foreign, "a key that this board does not know"),
        (b"\x1f\x8b" + good, "is no update of Waypost"),
    ]:
        status, said = page.send_update(octets)
        assert status == 422 and words in said["error"], (words, status, said)
    assert outcome(page)[1:] == ("a", False, "new"), outcome(page)
    mail_is_there(board, sink)
    # A person may trust somebody else.
    board.cut()
    board.put("update.pub", public + "\n")
    board.up()
    board.serves()
    page = Page(board).log_in()
    assert page.send_update(foreign)[0] == 200
    board.ended()
    board.up()
    board.serves()
    assert outcome(Page(board).log_in())[:3] == ("9.2", "b", True)


@case
def an_update_that_does_not_start_goes_back_by_itself(used):
    broken = made("broken", "9.4", lambda root: script(root, "sbin/init", "#!/bin/sh\nexit 1\n"))
    unmountable = made("unmountable", "9.5", lambda root: (root / "sbin/init").unlink())
    board, page, sink = with_waiting_mail(used, "update-broken")
    assert page.send_update(broken)[0] == 200
    board.ended()
    board.up()
    # The kernel panics without its first program, and starts again after ten seconds.
    board.ended(120)
    board.up()
    board.serves()
    page = mail_is_there(board, sink)
    assert outcome(page)[1:] == ("a", False, "fell-back slot b was started and did not serve"), outcome(page)
    assert page.send_update(unmountable)[0] == 200
    board.ended()
    board.up()
    board.serves()
    assert outcome(mail_is_there(board, sink))[1:] == ("a", False, "fell-back slot b cannot be mounted")


@case
def an_update_that_starts_and_does_not_serve_goes_back_by_itself(used):
    """Once with a keeper that sees it, once without any."""
    def deaf(root):
        (root / "usr/bin/waypost").rename(root / "usr/bin/waypost.real")
        script(root, "usr/bin/waypost", "#!/bin/sh\n[ \"$1\" = board ] && exec /usr/bin/waypost.real board\nexec sleep 10000\n")

    updates = [made("deaf", "9.6", deaf),
               made("mute", "9.7", lambda root: script(root, "usr/bin/waypost", "#!/bin/sh\nexec sleep 10000\n"))]
    boards = [with_waiting_mail(used, "update-deaf-%d" % n) for n in range(2)]
    for (board, page, _), octets in zip(boards, updates):
        assert page.send_update(octets)[0] == 200
        board.ended()
        board.up()
    for board, _, sink in boards:
        board.ended(420)
        board.up()
        board.serves()
        page = mail_is_there(board, sink)
        assert outcome(page)[1:] == ("a", False, "fell-back slot b was started and did not serve"), outcome(page)
    return "the keeper ended its trial, and the initramfs the other"


@case
def a_power_cut_at_any_moment_of_an_update_leaves_a_board_that_starts(used):
    good = made("cut", "9.8")
    board, page, sink = with_waiting_mail(used, "update-cut")
    seen = set()
    for wait in (None, 0.05, 0.2, 0.5, 1.2, 2.5):
        if page.ask("GET", "/api/board")[1]["slot"] == "b":
            break
        if wait is None:
            # In the middle of being sent.
            page.send_parts(good[:3_000_000])
            wait = 0
        else:
            assert page.send_parts(good)[0] == 200
        sent = threading.Thread(target=install, args=(page,))
        sent.start()
        time.sleep(wait)
        board.cut()
        sent.join()
        board.up()
        board.serves()
        page = Page(board).log_in()
        assert page.done("GET", "/api/queue")["total"] == 1
        version, slot, trial, word = outcome(page)
        assert (slot, version) == ("a", "0.1.0") or (slot, version, trial) == ("b", "9.8", True), outcome(page)
        seen.add("%s, %s" % (slot, word))
    mail_is_there(board, sink)
    return "then found: " + ", ".join(sorted(seen))


def install(page):
    try:
        page.install()
    except (OSError, http.client.HTTPException):
        pass
