"""Runs cases: those whose sentence contains one of the words given, or all.

Prints a line a case; a failure with its reason and the end of the relay's log. Tells 1 where one failed."""
import os
import threading
import time
import traceback

import cases
import waypost
import world

TESTS = os.path.dirname(world.HERE)
LOG_LINES = 15


class Run:
    """One case: runs in a thread of its own, tells when it is over."""

    def __init__(self, function):
        self.function, self.error = function, None
        self.thread = threading.Thread(target=self.go, daemon=True)
        self.thread.start()

    def go(self):
        self.began = time.time()
        waypost.mine.instances, waypost.mine.notes = [], []
        self.known = {instance: len(instance.log()) for instance in waypost.shared}
        try:
            self.function()
        except Exception as error:
            self.error = error
        self.instances, self.notes = waypost.mine.instances, waypost.mine.notes
        self.took = time.time() - self.began
        for instance in self.instances:
            if instance not in waypost.shared:
                instance.down()

    def end(self):
        """Wait for it, print how it went; whether it passed."""
        self.thread.join()
        name = cases.sentence(self.function)
        print("%-5s %5.1f s  %s" % ("FAIL" if self.error else "ok", self.took, name), flush=True)
        for note in self.notes:
            print("    " + note)
        if self.error:
            print("    " + reason(self.error)[:6000])
            for instance in self.instances or waypost.shared[-1:]:
                print(tail(instance, self.known.get(instance, 0)), end="", flush=True)
        return not self.error


def tail(instance, known):
    """The last lines that the case itself has brought about."""
    lines = instance.log()[known:].splitlines()[-LOG_LINES:]
    return "    log of %s:\n%s" % (instance.name, "".join("      %s\n" % line[:300] for line in lines))


def reason(error):
    """What failed, and where in the case."""
    at = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(TESTS)]
    where = " < ".join("%s:%d" % (f.filename.rsplit("/", 1)[1], f.lineno) for f in at[:0:-1])
    return "%s: %s\n    at %s" % (type(error).__name__, error, where)


def main(words, known, begin=lambda: None):
    """Run those of the `known` cases that the words choose, after `begin`; 0 where all have passed."""
    words = [w.replace("_", " ").lower() for w in words]
    chosen = [c for c in known if not words or any(w in cases.sentence(c).lower() for w in words)]
    world.fresh()
    began, passed = time.time(), 0
    try:
        begin()
        slow = [Run(c) for c in chosen if hasattr(c, "slow")]
        passed += sum(Run(c).end() for c in chosen if not hasattr(c, "slow"))
        passed += sum(r.end() for r in slow)
    finally:
        world.stop_all()
    print("%d s in all" % (time.time() - began))
    print("%d passed, %d failed" % (passed, len(chosen) - passed))
    return 0 if passed == len(chosen) and chosen else 1
