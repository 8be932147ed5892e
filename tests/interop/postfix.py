"""Postfix in all its parts: with TLS and without, with a login, as a sender."""
import os

import dovecot
from world import HOSTS, MX_PORT, Peer, accounts, certificate, folder, jail, once, unpack, write

MAIN_CF = """compatibility_level = 3.6
myhostname = mx.%(name)s.test
queue_directory = /var/spool/postfix
data_directory = /var/lib/postfix
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
inet_protocols = ipv4
mydestination =
alias_maps =
smtpd_peername_lookup = no
smtp_host_lookup = native
disable_dns_lookups = yes
message_size_limit = 50000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = static:all
virtual_mailbox_base = /var/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:6105
virtual_gid_maps = static:6105
smtpd_tls_received_header = yes
message_drop_headers =
smtputf8_autodetect_classes = sendmail, verify
maillog_file = /var/log/mail.log
maillog_file_prefixes = /var
"""
MASTER_CF = """%s:%d inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 5 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
LOGIN_CF = """smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:10145
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_tls_auth_only = yes
"""


# The login of the smarthost by one mechanism alone, a port each.
MECHANISMS = {m: 10031 + n for n, m in enumerate(["SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"])}


# A provider: who logs in as `me` is me@provider.test, and nobody else.
STRICT = 10039
STRICT_CF = """%s:%d inet n - n - - smtpd
  -o smtpd_sender_login_maps=inline:{{me@provider.test=me}}
  -o smtpd_sender_restrictions=reject_sender_login_mismatch
"""


def postfix(name, *settings, services=""):
    """Takes mail for every domain into one Maildir; `settings` are further lines of main.cf, `services` of master.cf."""
    data = folder("data", name)
    root = unpack("postfix", ["postfix"])
    accounts(data, [("postfix", 6101), ("postdrop", 6102), ("box", 6105)])
    certificate(data + "/etc/cert.pem", data + "/etc/key.pem", "mx.%s.test" % name)
    write(data + "/etc/postfix/main.cf", MAIN_CF % dict(name=name) + "\n".join(settings) + "\n")
    write(data + "/etc/postfix/master.cf", MASTER_CF % (HOSTS[name], MX_PORT) + services)
    write(data + "/etc/resolv.conf", "nameserver 127.7.0.54\n")  # where nobody is
    write(data + "/etc/hosts", "127.0.0.1 localhost\n")
    queue = "active bounce corrupt defer deferred flush hold incoming private saved trace pid maildrop public".split()
    for d in ["var/lib/postfix", "var/mail/box"] + ["var/spool/postfix/" + q for q in queue]:
        os.makedirs(os.path.join(data, d), exist_ok=True)
        os.chown(os.path.join(data, d), 6105 if d.endswith("box") else 6101, 0)
    os.chown(data + "/var/spool/postfix/pid", 0, 0)
    for d, mode in (("maildrop", 0o1730), ("public", 0o2710)):
        os.chown(data + "/var/spool/postfix/" + d, 6101, 6102)
        os.chmod(data + "/var/spool/postfix/" + d, mode)
    # The master process itself, in the foreground; `postfix start` would take seconds for its checks.
    return Peer(name, data, jail(name, root, data, ["/usr/lib/postfix/sbin/master", "-c", "/etc/postfix"]))


TLS_CF = ("smtpd_tls_cert_file = /etc/cert.pem", "smtpd_tls_key_file = /etc/key.pem", "smtpd_tls_security_level = may")
TAKE_ALL = "smtpd_relay_restrictions = permit_auth_destination, reject"


@once
def with_tls():
    return postfix("postfix", TAKE_ALL, *TLS_CF)


@once
def with_x25519_only():
    return postfix("x25519", TAKE_ALL, *TLS_CF, "tls_eecdh_auto_curves = X25519", "tls_eecdh_strong_curve = X25519")


@once
def without_tls():
    return postfix("plain", TAKE_ALL, "smtpd_tls_security_level = none")


@once
def seven():
    """Takes ASCII only, without chunks, and no more than 200 kB."""
    return postfix("seven", TAKE_ALL, "smtpd_tls_security_level = none", "message_size_limit = 200000",
                   "smtpd_discard_ehlo_keywords = 8bitmime, smtputf8, chunking")


@once
def with_login():
    dovecot.running()
    service = HOSTS["smarthost"] + ":%d inet n - n - - smtpd -o smtpd_sasl_mechanism_filter=%s\n"
    services = "".join(service % (port, mechanism.lower()) for mechanism, port in MECHANISMS.items())
    services += STRICT_CF % (HOSTS["smarthost"], STRICT)
    return postfix("smarthost", LOGIN_CF, *TLS_CF, services=services)


@once
def sender(relay):
    """Hands all it takes to `relay`, over STARTTLS, from an address that Waypost trusts."""
    return postfix("postfix-out", "mynetworks = 127.0.0.0/8", "smtpd_relay_restrictions = permit_mynetworks, reject",
                   "virtual_mailbox_domains =", "relayhost = [%s]:%d" % relay, "smtp_tls_security_level = encrypt",
                   "smtp_bind_address = 127.0.0.1", "smtp_tls_loglevel = 1")


def tool(name):
    """A program of the package, to be run outside any jail."""
    root = unpack("postfix", ["postfix"])
    return ["env", "LD_LIBRARY_PATH=%s/usr/lib/postfix" % root, "%s/usr/sbin/%s" % (root, name)]


