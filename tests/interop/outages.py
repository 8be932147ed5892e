"""The line: two network namespaces and a cable between them, which is pulled and put in again."""
import contextlib
import ctypes
import json
import os
import threading
import time

import names
from cases import case
from letters import Letter
from script import Script
from waypost import Waypost, tell
from world import folder, run, start, stop, until

CLONE_NEWNET = 0x40000000
HOME, FAR = "10.77.0.2", "10.77.0.1"


def inside(space, function):
    """What `function` returns, called in a thread that lives in the network namespace."""
    result = []

    def go():
        handle = os.open("/run/netns/" + space, os.O_RDONLY)
        try:
            assert ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            result.append(function())
        finally:
            os.close(handle)
    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    return result[0]


class Cable:
    """A namespace for the relay, one for the rest of the world with a name server and a mail server, and a cable."""

    def __init__(self, name):
        self.home, self.far = "wp-home-" + name, "wp-far-" + name

    def __enter__(self):
        for space in (self.home, self.far):
            run(["ip", "netns", "add", space])
            run(["ip", "-n", space, "link", "set", "lo", "up"])
        run(["ip", "-n", self.home, "link", "add", "cable0", "type", "veth", "peer", "name", "cable1", "netns", self.far])
        for space, end, address in ((self.home, "cable0", HOME), (self.far, "cable1", FAR)):
            run(["ip", "-n", space, "address", "add", address + "/24", "dev", end])
            run(["ip", "-n", space, "link", "set", end, "up"])
        self.names = self.name_server()
        return self

    def __exit__(self, *_):
        stop(self.names)
        for space in (self.home, self.far):
            run(["ip", "netns", "delete", space], check=False)

    def name_server(self):
        data = folder("dns-" + self.far)
        return names.unbound(data, [FAR], [
            "access-control: 10.77.0.0/24 allow", 'module-config: "iterator"', names.soa("far"),
            'local-data: "example. 60 MX 10 mx.far."', 'local-data: "mx.far. 60 A %s"' % FAR], ["ip", "netns", "exec", self.far])

    def pull(self):
        run(["ip", "-n", self.home, "link", "set", "cable0", "down"])

    def put_in(self):
        run(["ip", "-n", self.home, "link", "set", "cable0", "up"])

    def server(self, *args):
        return inside(self.far, lambda: Script(FAR, *args))


class Away(Waypost):
    """A relay in a namespace of its own: its command line is the way in."""

    def __init__(self, name, space, config=None):
        self.space = space
        super().__init__(name, {"dns": [FAR], "retry": {"first": "1h", "max": "4h"}, **(config or {})})

    def command(self):
        return ["ip", "netns", "exec", self.space, *super().command()]

    def up(self):
        self.p = start(self.command(), "waypost-%s.log" % self.name)
        self.logged("event=started")
        return self

    def hand_in(self, letter):
        command = ["ip", "netns", "exec", self.space, *super().command()[:1], "sendmail", "-i", "-f", letter.sender, letter.to,
                   "--data", self.data]
        run(command, stdin=letter.lf())


@contextlib.contextmanager
def relay_on_a_cable(name, config=None):
    with Cable(name) as cable:
        w = Away("away-" + name, cable.home, config)
        yield cable, w
        w.down()


def problem(w):
    """What the page says of the line."""
    status = json.loads(run(["curl", "-sS", "--unix-socket", w.data + "/control.sock", "http://relay/api/status"]))
    return " ".join(p["words"] for p in status["problems"] if p["key"] == "line")


def metric(w, name):
    text = run(["curl", "-sS", "--unix-socket", w.data + "/control.sock", "http://relay/metrics"])
    return [line.split()[1] for line in text.splitlines() if line.startswith(name + " ")]


@case
def what_waits_for_a_cable_goes_out_within_two_seconds_of_its_return():
    with relay_on_a_cable("cable") as (cable, w), cable.server() as server:
        first = Letter(to="carol@example")
        w.hand_in(first)
        until(lambda: server.find(first.mark), 10, "the first message, with the cable in")
        assert metric(w, "waypost_line_up") == ["1"] and not problem(w)
        time.sleep(3)  # until the connection is closed: what is on one is TCP's to get through
        cable.pull()
        letters = [Letter(to="carol@example") for _ in range(5)]
        for letter in letters:
            w.hand_in(letter)
        w.logged("event=offline")
        assert metric(w, "waypost_line_up") == ["0"]
        shown = problem(w)
        assert shown.startswith("Offline for") and "5 messages wait" in shown, shown
        sessions = server.sessions
        time.sleep(8)  # it would have looked by itself once or twice
        assert server.sessions == sessions
        waiting = w.waiting(letters[0].mark)
        assert waiting["attempts"] == 0 and "nobody outside could be reached" in waiting["reason"], waiting
        began = time.time()
        cable.put_in()
        until(lambda: all(server.find(letter.mark) for letter in letters), 10, "all of them")
        took = time.time() - began
        tell("all were there %.2f s after the cable was" % took)
        assert took < 2.5, took
        w.logged("event=online")
        w.empty()
        assert not problem(w)


@case
def an_outage_behind_the_router_is_found_out_and_over_by_itself():
    with relay_on_a_cable("router") as (cable, w), cable.server() as server:
        # The link is there, and nobody answers behind it.
        run(["ip", "-n", cable.far, "address", "del", FAR + "/24", "dev", "cable1"])
        letter = Letter(to="carol@example")
        w.hand_in(letter)
        w.logged("event=offline", seconds=40)
        assert w.waiting(letter.mark)["attempts"] == 0
        run(["ip", "-n", cable.far, "address", "add", FAR + "/24", "dev", "cable1"])
        began = time.time()
        until(lambda: server.find(letter.mark), 60, "the message")
        tell("it was there %.1f s after the others were" % (time.time() - began))
        w.logged("event=online")


@case
def a_smarthost_without_DNS_is_looked_for_by_its_port():
    routes = [{"for": "*", "via": FAR + ":10025", "tls": "none"}]
    # It is near, by its address, so nothing is held back: this is about the way back alone.
    with relay_on_a_cable("smart", {"dns": ["10.77.0.9"], "routes": routes, "retry": {"first": "5s", "max": "10s"}}) as \
            (cable, w), cable.server() as server:
        cable.pull()
        letter = Letter(to="carol@anywhere.example")
        w.hand_in(letter)
        w.logged(letter.mark, "event=deferred", "nobody was reached")
        cable.put_in()
        until(lambda: server.find(letter.mark), 30, "the message")
