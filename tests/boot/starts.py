"""An image starts, is set up over the network, takes mail and gets it through; and all of it is there after a reboot."""
import json
import time

import world
from machine import HOST, NETWORK, Machine
from page import Page


def case(function):
    function.is_case = True
    return function


def used_machine(used, *arguments, **options):
    one = Machine(*arguments, **options)
    used.append(one)
    return one


def whole_way(used, name):
    sink, names = world.Sink(), world.names()
    board = used_machine(used, name, name).up()
    took = board.serves()
    page = Page(board).set_up()
    smarthost = [{"for": "*", "via": "%s:%d" % (HOST, sink.port), "tls": "none"}]
    page.configure(hostname="board.test", routes=smarthost)
    world.submit(board, "by smarthost")
    board.until(lambda: sink.find("by smarthost"), 60, "message by the smarthost")
    by_mx = [{"for": "*", "via": "mx", "tls": "none"}]
    page.configure(routes=by_mx, dns=["%s:%d" % (HOST, names.port)], delivery={"port": sink.port, "ipv6": False})
    world.submit(board, "by MX")
    board.until(lambda: sink.find("by MX"), 60, "message by MX")
    # What waits is there after a new start, and so is everything else.
    sink.refuse = True
    page.configure(domains=["home.test"], users=[{"name": "alice", "password": "alice's own password"}])
    world.submit(board, "kept here", to="alice@home.test")
    world.submit(board, "waiting")
    board.until(lambda: page.done("GET", "/api/queue")["total"] == 1, 60, "one message in the queue")
    free = memory(page, board)
    page.done("POST", "/api/board/restart", {})
    board.ended()
    board.up()
    again = board.serves()
    page = Page(board).log_in()
    assert page.done("GET", "/api/queue")["total"] == 1
    assert page.done("GET", "/api/config")["hostname"] == "board.test"
    history = page.done("GET", "/api/trace?q=alice@home.test")["events"]
    assert any(event["event"] == "delivered" for event in history), history
    sink.refuse = False
    page.done("POST", "/api/queue/retry", {})
    board.until(lambda: sink.find("waiting"), 60, "message that had waited")
    about = page.done("GET", "/api/board")
    assert about["board"] == name and about["slot"] == "a" and about["outcome"] == "new", about
    assert not about["troubles"], about
    assert "Setup code" not in board.serial(), "somebody has set it up"
    return "%.0f s to the banner and the page, %.0f s the second time%s" % (took, again, free)


def memory(page, board):
    about = page.done("GET", "/api/board")
    free = about.get("free_octets")
    assert free >= board.board["budget"]["free_octets"], "%s octets are free" % free
    return ", %d MiB free of %d" % (free >> 20, about["memory_octets"] >> 20)


@case
def a_PC_starts_from_an_image_is_set_up_and_gets_mail_through(used):
    return whole_way(used, "x86-64-uefi")


@case
def an_ARM_server_starts_from_an_image_is_set_up_and_gets_mail_through(used):
    return whole_way(used, "aarch64-uefi")


@case
def a_board_without_a_screen_comes_up_as_its_boot_partition_says(used):
    """And the secrets are gone from there."""
    sink = world.Sink()
    board = used_machine(used, "x86-64-uefi", "headless")
    route = {"for": "*", "via": "%s:%d" % (HOST, sink.port), "tls": "none", "user": "me", "password": "hunter2-secret"}
    board.put("waypost.json", json.dumps({"hostname": "headless.test", "routes": [route],
                                          "admin": {"password": "a password for the page"}}))
    board.put("network", "name = mailbox\naddress = 10.0.2.15/24\ngateway = 10.0.2.2\ndns = 10.0.2.3\n")
    board.up()
    board.serves()
    assert b"headless.test" in board.banner()
    page = Page(board)
    page.token = page.done("POST", "/api/login", {"password": "a password for the page"})["token"]
    about = page.done("GET", "/api/board")
    assert about["name"] == "mailbox.local" and "10.0.2.15" in about["addresses"], about
    board.cut()
    names = board.boot_names()
    assert "waypost.json" not in names and "network" not in names, names
    with open(board.medium, "rb") as medium:
        medium.seek(16 << 20)
        boot = medium.read(96 << 20)
    assert b"hunter2-secret" not in boot and b"a password for the page" not in boot, "a secret is left on the boot partition"
    assert '"user": "me"' in board.read("waypost-taken.json")
    # One that is wrong is told on the card, and what was there goes on.
    board.put("waypost.json", json.dumps({"hostname": "other.test", "routs": []}))
    board.up()
    board.until(lambda: b"headless.test" in board.banner(), 150, "the old configuration")
    board.cut()
    assert "routs" in board.read("waypost-problem.txt"), board.read("waypost-problem.txt")
    # A lost password, and then everything but mail.
    board.put("reset-password", "")
    board.up()
    board.serves()
    code = board.setup_code()
    assert b"headless.test" in board.banner() and code
    board.cut()
    board.put("reset-all", "")
    board.up()
    board.serves()
    assert b"headless.test" not in board.banner()
    board.cut()
    assert not {"reset-password", "reset-all"} & set(board.boot_names())


@case
def a_board_without_a_clock_takes_mail_in_1970_and_delivers_it_with_its_date(used):
    sink, clock = world.Sink(), world.clock()
    late = [world.clock(), clock]
    real, clock.answer = clock.answer, lambda asked: None
    late[0].answer = clock.answer
    board = used_machine(used, "x86-64-uefi", "clock", extra=["-rtc", "base=1970-01-01T00:00:00"])
    # Two that come late, and one that lies by ten years as soon as they are there: one of three is not most.
    liar = world.clock(10 * 365 * 86400)
    lie, liar.answer = liar.answer, lambda asked: None
    board.put("network", "time = " + " ".join("%s:%d" % (HOST, one.port) for one in (liar, *late)) + "\n")
    board.put("waypost.json", json.dumps({"routes": [{"for": "*", "via": "%s:1" % HOST, "tls": "none"}], "trusted": [NETWORK],
                                          "admin": {"password": "a password for the page"}}))
    board.up()
    board.serves()
    page = Page(board)
    page.token = page.done("POST", "/api/login", {"password": "a password for the page"})["token"]
    world.submit(board, "from 1970")
    time.sleep(20)
    about = page.done("GET", "/api/board")
    assert not about["clock_is_set"], about
    assert page.done("GET", "/api/queue")["total"] == 1
    for one, answer in ((liar, lie), (late[0], real), (clock, real)):
        one.answer = answer
    board.until(lambda: page.done("GET", "/api/board")["clock_is_set"], 240, "date from the time servers")
    page.configure(routes=[{"for": "*", "via": "%s:%d" % (HOST, sink.port), "tls": "none"}])
    page.done("POST", "/api/queue/retry", {})
    text = board.until(lambda: sink.find("from 1970"), 60, "message")
    year = time.strftime(" %Y ", time.gmtime())
    dates = [line for line in text.splitlines() if line.startswith("Date: ")]
    assert len(dates) == 1 and year in dates[0], dates
    assert " 1970 " not in text, text
    board.cut()
    return dates[0]
