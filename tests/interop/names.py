"""Name servers: nsd has a zone of hosts, unbound resolves."""
import os
import signal

import doctor
from world import DNS, HOSTS, LIAR, folder, listening, once, run, signalled, start, until, write

ZONE = """$ORIGIN test.
$TTL 60
@ SOA ns hostmaster 1 60 60 60 60
@ NS ns
ns A {DNS}
relay A 127.0.0.1
postfix MX 10 mx.postfix
mx.postfix A {postfix}
opensmtpd MX 10 mx.opensmtpd
mx.opensmtpd A {opensmtpd}
opensmtpd-plain MX 10 mx.opensmtpd-plain
mx.opensmtpd-plain A {opensmtpd-plain}
exim4 MX 10 mx.exim4
mx.exim4 A {exim4}
x25519 MX 10 mx.x25519
mx.x25519 A {x25519}
seven MX 10 mx.seven
mx.seven A {seven}
xn--bcher-kva MX 10 mx.seven
exim7 MX 10 mx.exim7
mx.exim7 A {exim7}
plain MX 10 mx.plain
mx.plain A {plain}
second MX 10 mx.dead
second MX 20 mx.postfix
mx.dead A {dead}
alias MX 10 cname.postfix
cname.postfix CNAME mx.postfix
ipmx MX 10 127.7.0.2.
null MX 0 .
nomx A {postfix}
other CNAME postfix
smart A {smarthost}
down MX 10 mx.dead
ghost MX 10 mx.nowhere
ghosts MX 10 mx.nowhere
ghosts MX 20 mx.s41
busy MX 10 mx.s42
busy MX 20 mx.s43
ourselves MX 10 relay
ourselves MX 20 mx.s44
backup MX 10 mx.s44
backup MX 20 relay
backup MX 30 mx.trap
mx.trap A {s50}
six MX 10 mx.six
mx.six AAAA {six}
twin1 MX 10 mx.s45
twin2 MX 10 mx.s45
*.spread MX 10 mx.s46
*.spread MX 10 mx.s47
*.spread MX 10 mx.s48
lame NS ns
liar NS ns
"""
# Too many for a datagram.
SIXTY = "".join("sixty MX %d a-server-with-a-long-name-%d.sixty\n" % (100 + n, n) for n in range(59)) + "sixty MX 1 mx.s49\n"


def zone():
    lines = ZONE.format(DNS=DNS, **HOSTS)
    for name in (h for h in HOSTS if h[0] == "s" and h[1:].isdigit()):
        lines += "%s MX 10 mx.%s\nmx.%s A %s\n" % (name, name, name, HOSTS[name])
    return lines + SIXTY + doctor.zone()


def nsd(data, at, **zones):
    """A server of zones, each with the name of its file in `data`; dots are underscores."""
    write(data + "/nsd.conf", """server:
  ip-address: {at}@10054
  username: ""
  chroot: ""
  zonesdir: "{d}"
  database: ""
  pidfile: "{d}/nsd.pid"
  xfrdfile: "{d}/xfrd"
  zonelistfile: "{d}/zone.list"
  server-count: 1
remote-control:
  control-enable: no
""".format(at=at, d=data) + "".join("zone:\n  name: %s\n  zonefile: %s\n" % (name.replace("_", "."), file)
                                    for name, file in zones.items()))
    return start(["nsd", "-d", "-c", data + "/nsd.conf"], os.path.basename(data) + "-nsd.log")


def unbound(data, at, options, within=(), **stubs):
    """A resolver with these further options, that asks servers at these addresses for names below those; nobody else knows any."""
    lines = ["interface: " + interface for interface in at] + options
    write(data + "/unbound.conf", """server:
  username: ""
  chroot: ""
  directory: "{d}"
  pidfile: "{d}/unbound.pid"
  use-syslog: no
  local-zone: "." static
  {options}
remote-control:
  control-enable: no
""".format(d=data, options="\n  ".join(lines)) + "".join("stub-zone:\n  name: \"%s.\"\n  stub-addr: %s@10054\n"
                                                        % (name.replace("_", "."), server) for name, server in stubs.items()))
    return start([*within, "unbound", "-d", "-c", data + "/unbound.conf"], os.path.basename(data) + "-unbound.log")


def soa(zone):
    """What vouches for it that a name is not there."""
    return 'local-data: ". 60 SOA ns.%s. hostmaster.%s. 1 60 60 60 60"' % (zone, zone)


@once
def name_servers():
    data = folder("dns")
    write(data + "/test.zone", zone())
    server = nsd(data, DNS, test="test.zone")
    unbound(data, [DNS + "@10053", DNS + "@53"], [
        "do-ip6: no", "do-not-query-localhost: no", 'local-zone: "test." transparent', soa("test"), 'domain-insecure: "test."',
        "access-control: 127.0.0.0/8 allow", 'module-config: "iterator"'], test=DNS, lame_test=DNS, liar_test=LIAR)
    until(lambda: listening(DNS, 10053) and listening(DNS, 10054), 10, "name servers")
    return server


def publish(record, name):
    """A further record, as a line of a zone file, and wait until the name servers tell it."""
    with open(folder("dns") + "/test.zone", "a") as f:
        f.write(record + "\n")
    signalled(name_servers(), signal.SIGHUP)

    def told():
        # Of nsd first: what unbound was once told not to be there it remembers.
        return "v=DKIM1" in run(["dig", "+short", "-p", "10054", "@" + DNS, name, "TXT"])
    until(told, 10, name)
