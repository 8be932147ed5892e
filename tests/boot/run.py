"""Boards in QEMU: runs the cases whose sentence contains one of the words given, or all. Each case starts its own machines,
and ends them."""
import os
import sys
import time
import traceback

import machine
import starts
import updates
import faults
import cuts

MODULES = [starts, updates, faults, cuts]


def main(words):
    os.makedirs(machine.WORK, exist_ok=True)
    chosen = [(name.replace("_", " "), case) for module in MODULES for name, case in vars(module).items()
              if getattr(case, "is_case", False)]
    chosen = [(sentence, case) for sentence, case in chosen if not words or any(word in sentence for word in words)]
    failed = 0
    for sentence, case in chosen:
        began, used = time.time(), []
        try:
            notes = case(used)
            print("ok    %5.0f s  %s%s" % (time.time() - began, sentence, ": " + notes if notes else ""), flush=True)
        except Exception as error:
            failed += 1
            print("FAIL  %5.0f s  %s\n%s" % (time.time() - began, sentence, traceback.format_exc(limit=-3)), flush=True)
            for one in used:
                print("    serial line:\n      " + one.serial()[-3000:].replace("\n", "\n      "), flush=True)
                del error
                break
        finally:
            for one in used:
                one.cut()
                if os.path.exists(one.medium):
                    os.unlink(one.medium)
    print("%d of %d passed" % (len(chosen) - failed, len(chosen)))
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
