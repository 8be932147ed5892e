"""Faults of the world against Waypost: runs the cases whose sentence contains one of the words given, or all."""
import sys

import ground  # isort: skip (first: it says where the modules of tests/interop are)
import cases
import clock
import crowd
import index
import injected
import power
import room
import runner

MODULES = [power, injected, room, index, clock, crowd]

if __name__ == "__main__":
    print("SEED=%d" % ground.SEED, flush=True)
    mine = [module.__name__ for module in MODULES]
    known = sorted((c for c in cases.CASES if c.__module__ in mine), key=lambda c: mine.index(c.__module__))
    sys.exit(runner.main(sys.argv[1:], known))
