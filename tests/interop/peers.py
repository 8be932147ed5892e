"""The other mail servers: OpenSMTPD and Exim, receiving and sending."""
import os

from world import HOSTS, MX_PORT, Peer, accounts, certificate, folder, jail, once, unpack, write

# ---- OpenSMTPD ----

def opensmtpd_at(name, rules):
    root = unpack("opensmtpd", ["opensmtpd"])
    data = folder("data", name)
    accounts(data, [("opensmtpd", 6103), ("opensmtpq", 6104), ("box", 6105)])
    for d, mode in (("var/lib/opensmtpd", 0o755), ("var/lib/opensmtpd/empty", 0o755), ("var/spool/smtpd", 0o711),
                    ("var/mail/box", 0o755), ("var/empty", 0o755), ("run", 0o755)):
        os.makedirs(os.path.join(data, d), exist_ok=True)
        os.chmod(os.path.join(data, d), mode)
    os.chown(data + "/var/mail/box", 6105, 6105)
    certificate(data + "/etc/cert.pem", data + "/etc/key.pem", "mx.%s.test" % name)
    write(data + "/etc/mailname", "mx.%s.test\n" % name)
    write(data + "/etc/resolv.conf", "nameserver 127.7.0.54\n")  # where nobody is
    write(data + "/etc/smtpd.conf", rules, 0o600)
    return Peer(name, data, jail(name, root, data, ["/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"]))


@once
def opensmtpd():
    """Debian 12's offers STARTTLS and then breaks every handshake off, whatever key it has: its 6.8.0p2 does not work with
    OpenSSL 3 (OpenSMTPD issue 1171). So it plays the server whose TLS is broken; a second address offers none."""
    return opensmtpd_at("opensmtpd", """pki peer cert "/etc/cert.pem"
pki peer key "/etc/key.pem"
listen on %s port %d tls pki peer hostname mx.opensmtpd.test
listen on %s port %d hostname mx.opensmtpd-plain.test
table box { "@" = "box" }
action "box" maildir "/var/mail/box" virtual <box>
match from any for any action "box"
""" % (HOSTS["opensmtpd"], MX_PORT, HOSTS["opensmtpd-plain"], MX_PORT))


@once
def opensmtpd_sender(relay):
    return opensmtpd_at("opensmtpd-out", """listen on %s port %d hostname mx.opensmtpd-out.test
action "out" relay host smtp+tls://%s:%d tls no-verify src 127.0.0.1
match from any for any action "out"
""" % (HOSTS["opensmtpd-out"], MX_PORT, *relay))


# ---- Exim ----

EXIM = """exim_path = /usr/sbin/exim4
primary_hostname = mx.%(name)s.test
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%%slog
local_interfaces = %(host)s
daemon_smtp_ports = %(port)d
tls_advertise_hosts = *
tls_certificate = /etc/cert.pem
tls_privatekey = /etc/key.pem
tls_on_connect_ports =
never_users =
host_lookup =
rfc1413_query_timeout = 0s
%(more)s
acl_smtp_rcpt = all
acl_smtp_data = all
message_size_limit = 50M
disable_ipv6 = true
keep_environment =
begin acl
all:
  accept
begin routers
all:
  driver = %(router)s
begin transports
%(transport)s
begin retry
* * F,2h,5s
"""
EXIM_BOX = """box:
  driver = appendfile
  directory = /var/mail/box
  maildir_format
  create_directory
  user = Debian-exim
  return_path_add = true
"""
EXIM_OUT = """out:
  driver = smtp
  port = %d
  allow_localhost
  interface = 127.0.0.1
  hosts_require_tls = *
  hosts_try_chunking = *
"""


def exim4_at(name, router, transport, more="smtputf8_advertise_hosts = *"):
    root = unpack("exim4", ["exim4-daemon-light", "exim4-base"])
    data = folder("data", name)
    accounts(data, [("Debian-exim", 6106)])
    certificate(data + "/etc/cert.pem", data + "/etc/key.pem", "mx.%s.test" % name)
    os.chown(data + "/etc/key.pem", 6106, 6106)
    write(data + "/etc/exim4/exim4.conf", EXIM % dict(name=name, host=HOSTS[name], port=MX_PORT, router=router,
                                                      transport=transport, more=more))
    # /run/exim4 and the log are reached before and after the change of user
    for d in ("var/spool/exim4", "var/spool/exim4/db", "var/spool/exim4/input", "var/spool/exim4/msglog", "var/log/exim4",
              "run/exim4", "var/mail/box"):
        os.makedirs(os.path.join(data, d), exist_ok=True)
        os.chown(os.path.join(data, d), 6106, 6106)
    return Peer(name, data, jail(name, root, data, ["/usr/sbin/exim4", "-bdf", "-q5s", "-oP", "/run/exim4/exim.pid"]))


@once
def exim4():
    return exim4_at("exim4", "accept\n  transport = box", EXIM_BOX)


@once
def exim4_seven():
    """Takes ASCII only."""
    return exim4_at("exim7", "accept\n  transport = box", EXIM_BOX,
                    "accept_8bitmime = false\nsmtputf8_advertise_hosts =")


@once
def exim4_sender(relay):
    """Speaks BDAT where it is offered."""
    router = "manualroute\n  transport = out\n  route_list = * %s byname\n  self = send" % relay[0]
    return exim4_at("exim4-out", router, EXIM_OUT % relay[1])


