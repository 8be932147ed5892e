"""Real clients and servers against Waypost: runs the cases whose sentence contains one of the words given, or all.

Prints a line a case; a failure with its reason and the end of the relay's log. Exits 1 where one failed."""
import sys
import threading
import time
import traceback

import bodies  # noqa: F401 (each module brings its cases)
import cases
import commands  # noqa: F401
import crash  # noqa: F401
import devices  # noqa: F401
import mailbox  # noqa: F401
import names
import receivers  # noqa: F401
import scripted  # noqa: F401
import senders  # noqa: F401
import smarthost  # noqa: F401
import strangers  # noqa: F401
import submission  # noqa: F401
import waypost
import world

LOG_LINES = 15


class Run:
    """One case: runs in a thread of its own, tells when it is over."""

    def __init__(self, function):
        self.function, self.error = function, None
        self.thread = threading.Thread(target=self.go, daemon=True)
        self.thread.start()

    def go(self):
        self.began = time.time()
        waypost.mine.instances = []
        self.known = {instance: len(instance.log()) for instance in waypost.shared}
        try:
            self.function()
        except Exception as error:
            self.error = error
        self.instances = waypost.mine.instances
        self.took = time.time() - self.began
        for instance in self.instances:
            if instance not in waypost.shared:
                instance.down()

    def end(self):
        """Wait for it, print how it went; whether it passed."""
        self.thread.join()
        name = cases.sentence(self.function)
        print("%-5s %5.1f s  %s" % ("FAIL" if self.error else "ok", self.took, name), flush=True)
        if self.error:
            print("    " + reason(self.error)[:3000])
            for instance in self.instances or waypost.shared[-1:]:
                print(tail(instance, self.known.get(instance, 0)), end="", flush=True)
        return not self.error


def tail(instance, known):
    """The last lines that the case itself has brought about."""
    lines = instance.log()[known:].splitlines()[-LOG_LINES:]
    return "    log of %s:\n%s" % (instance.name, "".join("      %s\n" % line[:300] for line in lines))


def reason(error):
    """What failed, and where in the case."""
    at = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(world.HERE)]
    where = " < ".join("%s:%d" % (f.filename.rsplit("/", 1)[1], f.lineno) for f in at[:0:-1])
    return "%s: %s\n    at %s" % (type(error).__name__, error, where)


def main(words):
    words = [w.replace("_", " ").lower() for w in words]
    chosen = [c for c in cases.CASES if not words or any(w in cases.sentence(c).lower() for w in words)]
    world.fresh()
    began, passed = time.time(), 0
    try:
        names.name_servers()
        slow = [Run(c) for c in chosen if hasattr(c, "slow")]
        passed += sum(Run(c).end() for c in chosen if not hasattr(c, "slow"))
        passed += sum(r.end() for r in slow)
    finally:
        world.stop_all()
    print("%d s in all" % (time.time() - began))
    print("%d passed, %d failed" % (passed, len(chosen) - passed))
    return 0 if passed == len(chosen) and chosen else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
