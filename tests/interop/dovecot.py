"""Dovecot: IMAP over Waypost's Maildirs, and the logins of the smarthost."""
import os

from world import folder, listening, once, start, until, write

USER = 6120  # whom the mail belongs to


@once
def running():
    data = folder("dovecot")
    write(data + "/dovecot.conf", """base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/dovecot.log
ssl = no
listen = 127.0.0.1
protocols = imap
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_username_chars = abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@/
mail_uid = {u}
mail_gid = {u}
passdb {{
  driver = static
  args = password=right
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
