"""Runs the cases whose sentence contains one of the words given, or all."""
import sys
import time
import traceback

import ground
import containers  # noqa: F401 (a module of cases registers them)
import debian  # noqa: F401
import files  # noqa: F401
import openwrt  # noqa: F401
import systemd  # noqa: F401


def main(words):
    chosen = [case for case in ground.CASES if not words or any(word in case.sentence for word in words)]
    if not chosen:
        sys.exit("package-test: no case has one of these words: " + " ".join(words))
    failed, began = [], time.monotonic()
    ground.begin()
    try:
        for case in chosen:
            start = time.monotonic()
            try:
                case.run()
                verdict = "ok  "
            except Exception:
                traceback.print_exc()
                verdict = "FAIL"
                failed.append(case.sentence)
            finally:
                ground.tidy()
            print("%s %5.1fs  %s" % (verdict, time.monotonic() - start, case.sentence), flush=True)
    finally:
        ground.end()
    print("%d cases, %d failed, %.0f s" % (len(chosen), len(failed), time.monotonic() - began))
    for sentence in failed:
        print("FAIL  " + sentence)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
