"""Boards in QEMU: runs the cases whose sentence contains one of the words given, or all; two at a time, each with machines of
its own, which end with it."""
import concurrent.futures
import os
import sys
import time
import traceback

import boards
import machine
import starts
import updates
import faults
import link
import radio
import cuts

MODULES = [updates, starts, link, radio, faults, cuts, boards]
# QEMU keeps a core busy for each.
AT_ONCE = 2


def run(sentence, case):
    """How it went: whether it passed, and what is to be printed."""
    began, used = time.time(), []
    try:
        notes = case(used)
        return True, "ok    %5.0f s  %s%s" % (time.time() - began, sentence, ": " + notes if notes else "")
    except Exception:
        words = "FAIL  %5.0f s  %s\n%s" % (time.time() - began, sentence, traceback.format_exc(limit=-3))
        for one in used[-1:]:
            words += "    serial line:\n      " + one.serial()[-3000:].replace("\n", "\n      ")
        return False, words
    finally:
        for one in used:
            one.cut()
            if os.path.exists(one.medium):
                os.unlink(one.medium)


def main(words):
    os.makedirs(machine.WORK, exist_ok=True)
    chosen = [(name.replace("_", " "), case) for module in MODULES for name, case in vars(module).items()
              if getattr(case, "is_case", False) and case.__module__ == module.__name__]
    chosen = [(sentence, case) for sentence, case in chosen if not words or any(word in sentence for word in words)]
    passed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run, *one) for one in chosen]):
            good, told = done.result()
            passed += good
            print(told, flush=True)
    print("%d of %d passed" % (passed, len(chosen)))
    return 0 if chosen and passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
