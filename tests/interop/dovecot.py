"""Dovecot: IMAP over Waypost's Maildirs, and the logins of the smarthost."""
import datetime
import http.server
import json
import threading
import urllib.parse

from world import folder, listening, once, start, until, write

USER = 6120  # whom the mail belongs to
AUTHORITY = ("127.0.0.1", 10146)  # who knows which tokens are good
GOOD = {}  # those that were given out, and when they end


class Introspection(http.server.BaseHTTPRequestHandler):
    """RFC 7662 §2: the token `good-token`, and those that were given out, are those of `me`."""

    def do_POST(self):
        asked = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        token = asked.get("token", [""])[0]
        good = token == "good-token" or datetime.datetime.now() < GOOD.get(token, datetime.datetime.min)
        answer = json.dumps({"active": True, "username": "me"} if good else {"active": False}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def authority():
    server = http.server.ThreadingHTTPServer(AUTHORITY, Introspection)
    threading.Thread(target=server.serve_forever, daemon=True).start()


@once
def running():
    data = folder("dovecot")
    authority()
    write(data + "/token.conf", """introspection_url = http://%s:%d/
introspection_mode = post
username_attribute = username
active_attribute = active
active_value = true
""" % AUTHORITY)
    write(data + "/dovecot.conf", """base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/dovecot.log
ssl = no
listen = 127.0.0.1
protocols = imap
disable_plaintext_auth = no
auth_mechanisms = plain login cram-md5 scram-sha-256 xoauth2 oauthbearer
auth_failure_delay = 0
auth_username_chars = abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@/
mail_uid = {u}
mail_gid = {u}
passdb {{
  driver = static
  mechanisms = plain login cram-md5 scram-sha-256
  args = password=right
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {d}/token.conf
}}
userdb {{
  driver = static
  args = uid={u} gid={u} home={d}/home/%u
}}
mail_location = maildir:{d}/home/%u/Maildir
service imap-login {{
  inet_listener imap {{
    port = 10143
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  inet_listener {{
    port = 10145
    address = 127.0.0.1
  }}
}}
""".format(d=data, u=USER))
    start(["dovecot", "-F", "-c", data + "/dovecot.conf"], "dovecot.log")
    until(lambda: listening("127.0.0.1", 10143) and listening("127.0.0.1", 10145), 10, "dovecot")
    return data
