"""The two relays: their configuration, what starts them, what makes them try everything again at once."""
import glob
import json
import os

from relay import Relay
from world import PORT, SINK_PORT, WORK, run

MAIN_CF = """compatibility_level = 3.6
myhostname = bench.test
queue_directory = /var/spool/postfix
data_directory = /var/lib/postfix
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
message_size_limit = 26214400
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = none
smtp_tls_security_level = none
smtp_host_lookup = native
disable_dns_lookups = yes
maillog_file = /var/log/postfix.log
maillog_file_prefixes = /var
"""
RELAY_CF = "relayhost = [127.0.0.1]:%d\n" % SINK_PORT
# As many connections at once to one host as Waypost makes, from the first message on.
DIRECT_CF = """smtp_tcp_port = %d
default_destination_concurrency_limit = 10
initial_destination_concurrency = 10
""" % SINK_PORT
MAILDIR_CF = """virtual_mailbox_domains = sink.test
virtual_mailbox_base = /var/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:5103
virtual_gid_maps = static:5103
"""
# Debian's, without what needs chroot or root; as many sessions as the bench opens.
MASTER_CF = """127.0.0.1:%d inet n - n - 600 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
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
""" % PORT
QUEUES = "active bounce corrupt defer deferred flush hold incoming private saved trace".split()


class Postfix(Relay):
    name = "postfix"
    command = ["/usr/lib/postfix/sbin/master", "-c", "/etc/postfix"]
    retry = ["/usr/sbin/postqueue", "-f"]

    def configure(self):
        for kind, ours in (("passwd", "%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n"), ("group", "%s:x:%d:\n")):
            with open("/etc/" + kind) as f:
                lines = [line for line in f if line.split(":")[0] not in ("postfix", "postdrop")]
            for user, number in (("postfix", 5101), ("postdrop", 5102)):
                lines.append(ours % ((user, number, number) if kind == "passwd" else (user, number)))
            self.write("etc/" + kind, "".join(lines))
        self.write("etc/postfix/main.cf", MAIN_CF + (MAILDIR_CF if self.maildir else DIRECT_CF if self.direct else RELAY_CF))
        self.write("etc/postfix/master.cf", MASTER_CF)
        spool = "var/spool/postfix/"
        self.folder("var/lib/postfix", 5101)
        self.folder("var/mail/box", 5103)
        for queue in QUEUES:
            self.folder(spool + queue, 5101, mode=0o700)
        self.folder(spool + "pid", 0)
        self.folder(spool + "maildrop", 5101, 5102, 0o1730)
        self.folder(spool + "public", 5101, 5102, 0o2710)

    def folder(self, path, owner, group=0, mode=0o755):
        path = os.path.join(self.data, path)
        os.makedirs(path)
        os.chown(path, owner, group)
        os.chmod(path, mode)

    @staticmethod
    def version():
        return "Postfix " + run("dpkg-deb", "-f", glob.glob(os.path.join(WORK, "postfix/*.deb"))[0], "Version").strip()


class Waypost(Relay):
    name = "waypost"
    command = ["/usr/bin/waypost", "run", "--data", "/var/lib/waypost"]
    retry = ["/usr/bin/waypost", "queue", "retry", "all", "--data", "/var/lib/waypost"]

    def configure(self):
        settings = {
            "hostname": "bench.test",
            "listen": {"smtp": ["127.0.0.1:%d" % PORT], "submission": [], "submissions": [], "web": []},
            "trusted": ["127.0.0.0/8"],
            "domains": ["bench.test"],
            "routes": [{"for": "*", "via": "127.0.0.1:%d" % SINK_PORT, "tls": "none"}],
            "limits": {"message": "25M", "recipients": 100, "sessions": 600, "sessions_per_address": 600,
                       "bad_commands": 100, "spool": "512M"},
            "maildir": "/var/mail/{user}",
        }
        if self.direct:
            settings.update(routes=[], delivery={"port": SINK_PORT})
        if self.maildir:
            settings.update(domains=["bench.test", "sink.test"], users=[{"name": "box"}], catch_all="box", routes=[])
        self.write("var/lib/waypost/waypost.json", json.dumps(settings))

    @staticmethod
    def version():
        return run(os.path.join(Waypost().root, "usr/bin/waypost"), "version").split("\n")[0]
