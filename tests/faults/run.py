"""Faults of the world against Waypost: runs the cases whose sentence contains one of the words given, or all."""
import sys

import ground
import power

import cases  # isort: skip (where it is, ground says)
import runner

MODULES = [power]

if __name__ == "__main__":
    print("SEED=%d" % ground.SEED, flush=True)
    mine = {module.__name__ for module in MODULES}
    sys.exit(runner.main(sys.argv[1:], [c for c in cases.CASES if c.__module__ in mine]))
