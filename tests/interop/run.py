"""Real clients and servers against Waypost: runs the cases whose sentence contains one of the words given, or all."""
import sys

import bodies  # noqa: F401 (each module brings its cases)
import cases
import commands  # noqa: F401
import crash  # noqa: F401
import devices  # noqa: F401
import doctor  # noqa: F401
import exchangers  # noqa: F401
import hostile  # noqa: F401
import mailbox  # noqa: F401
import names
import outages  # noqa: F401
import policies  # noqa: F401
import receivers  # noqa: F401
import reports  # noqa: F401
import runner
import scripted  # noqa: F401
import senders  # noqa: F401
import sign_ins  # noqa: F401
import signing  # noqa: F401
import smarthost  # noqa: F401
import strangers  # noqa: F401
import submission  # noqa: F401

if __name__ == "__main__":
    sys.exit(runner.main(sys.argv[1:], cases.CASES, names.name_servers))
