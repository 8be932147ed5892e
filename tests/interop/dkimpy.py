"""What dkimpy says of the message on standard input, its first signature; the name server asked is the first argument,
the port the second. Run with the Python that Debian's packages are for, which need not be the one of the tests."""
import sys

import dkim
import dns.resolver


def record(asked, timeout=5):
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [sys.argv[1]], int(sys.argv[2])
    answer = resolver.resolve(asked.decode().rstrip("."), "TXT")
    return b"".join(answer[0].strings)


d = dkim.DKIM(sys.stdin.buffer.read())
try:
    sys.exit(0 if d.verify(dnsfunc=record) else "no")
except dkim.DKIMException as error:
    sys.exit(str(error))
