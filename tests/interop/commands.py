"""The command line beside a running relay, and the log."""
import json
import os
import subprocess
import time

import postfix
from cases import case
from letters import Letter, same
from script import Script
from senders import arrives, hand_in, python
from waypost import Waypost, relay
from world import BINARY, run, until


def stuck(w=None, to="carol@down.test"):
    """A message that waits, and its queue id."""
    w = w or relay()
    letter = Letter(to=to)
    hand_in(w, letter)
    return letter, w.waiting(letter.mark)["id"]


@case
def the_queue_is_listed_and_shown_with_the_reason():
    letter, id = stuck()
    relay().logged(id, "event=deferred")
    listed = relay().cli("queue", "list")
    assert id in listed and "refused" in listed and "carol@down.test" in listed, listed
    shown = relay().cli("queue", "show", id)
    assert "carol@down.test" in shown and "refused" in shown and letter.sender in shown, shown
    relay().cli("queue", "drop", id)


@case
def a_message_is_held_released_and_tried_again():
    w = Waypost("hold")
    letter, id = stuck(w, "carol@s27.test")
    w.cli("queue", "hold", id)
    with Script("s27") as server:
        time.sleep(4)
        assert not server.taken, "tried while it was held"
        w.cli("queue", "release", id)
        until(lambda: server.find(letter.mark), 15, "the released message")
    w.empty()


@case
def retry_tries_at_once():
    w = Waypost("retry", {"retry": {"first": "1h", "max": "4h"}})
    letter, id = stuck(w, "carol@s28.test")
    w.logged(id, "event=deferred")
    other, _ = stuck(w, "dave@s28.test")
    w.logged(other.mark, "event=deferred")
    with Script("s28") as server:
        w.cli("queue", "retry", id)
        until(lambda: server.find(letter.mark), 10, "the message")
        w.cli("queue", "retry", "all")
        until(lambda: server.find(other.mark), 10, "the other message")
    w.empty()


@case
def a_dropped_message_is_gone_without_a_bounce():
    letter, id = stuck()
    relay().cli("queue", "drop", id)
    assert not [m for m in relay().queue() if m["id"] == id]
    assert not relay().maildir("alice").find(letter.mark)
    code, text = relay().cli("queue", "show", "ZZZZZZZZZZ", check=False)
    assert code != 0 and text


@case
def trace_tells_the_whole_way_by_id_by_Message_ID_and_by_address():
    letter = Letter(to="trace-me@s29.test")
    with Script("s29", lambda *a: "250 2.6.0 taken, with these exact words <42>" if a[2] == "DOT" else None):
        python(letter)
        relay().gone(letter.mark)
    id = relay().logged(letter.mark, "event=accepted")[0].split(" id=")[1].split()[0]
    for what in (id, letter.id, letter.id.strip("<>"), "trace-me@s29.test"):
        text = relay().trace(what, "Accepted", "taken, with these exact words <42>", "mx.s29.test")
    events = json.loads(relay().cli("trace", id, "--json"))
    assert "taken, with these exact words <42>" in json.dumps(events)


@case
def the_log_follows_one_message_by_either_id():
    letter = Letter()
    python(letter)
    arrives(letter)
    relay().logged(letter.mark, "event=delivered")
    by_message_id = relay().logged(letter.mark)
    id = by_message_id[0].split(" id=")[1].split()[0]
    by_id = [line for line in relay().log().splitlines() if "id=" + id in line]
    assert by_id == by_message_id, (by_id, by_message_id)
    kinds = [line.split("event=")[1].split()[0] for line in by_id]
    assert kinds[0] == "accepted" and kinds[-1] == "delivered", kinds


@case
def send_and_sendmail_take_a_message_from_a_program():
    link = os.path.join(relay().data, "sendmail")
    if not os.path.islink(link):
        os.symlink(BINARY, link)
    letter = Letter(fields=[("Cc", "b@plain.test"), ("Bcc", "alice@relay.test")])
    smtp = "127.0.0.1:%d" % relay().smtp
    environment = dict(os.environ, WAYPOST_SMTP=smtp, WAYPOST_DATA=relay().data)
    postfix.without_tls()
    subprocess.run([link, "-t", "-i", "-f", "alice@relay.test"], input=letter.lf(), env=environment, check=True, timeout=30)
    for box in (postfix.with_tls().box, postfix.without_tls().box, relay().maildir("alice")):
        arrives(letter, box, removed=("Bcc",))
    letter = Letter(b"one\r\n.\r\ntwo\r\n")
    relay().cli("send", "-i", "-f", letter.sender, letter.to, stdin=letter.lf())
    arrives(letter)
    letter = Letter(b"one\r\n")
    relay().cli("sendmail", letter.to, stdin=letter.lf() + b".\nignored\n")
    arrives(letter)


@case
def users_are_added_changed_and_removed_while_it_runs():
    w = Waypost("users")

    def logs_in(password):
        import smtplib
        from senders import any_tls
        try:
            with smtplib.SMTP("127.0.0.1", w.submission) as s:
                s.starttls(context=any_tls())
                s.login("dora", password)
                return True
        except smtplib.SMTPAuthenticationError:
            return False
    w.cli("user", "add", "dora", "--password-stdin", stdin=b"explorer\n")
    letter = Letter(to="dora@relay.test")
    hand_in(w, letter)
    same(letter.octets, w.maildir("dora").one(letter.mark))
    assert logs_in("explorer")
    w.cli("user", "passwd", "dora", "--password-stdin", stdin=b"swiper\n")
    assert logs_in("swiper") and not logs_in("explorer")
    w.cli("user", "remove", "dora")
    assert not logs_in("swiper")
    assert w.maildir("dora").find(letter.mark), "the mail of a removed user stays"


@case
def the_configuration_is_read_and_set_while_it_runs():
    w = Waypost("config")
    assert "relay.test" in w.cli("config", "get", "hostname")
    w.cli("config", "set", "limits.recipients", "2")
    assert w.cli("config", "get", "limits.recipients").strip() == "2"
    letter = Letter()
    refused = hand_in(w, letter, to=["alice@relay.test", "bob@relay.test", "a@postfix.test"])
    assert refused["a@postfix.test"][0] == 452, refused
    code, text = w.cli("config", "set", "limits.recipients", "none", check=False)
    assert code != 0 and "limits.recipients" in text, text
    assert w.cli("config", "get", "limits.recipients").strip() == "2"
    assert "| `hostname`" in w.cli("config", "reference") or "hostname" in w.cli("config", "reference")
    json.loads(w.cli("config", "show", "--json"))
    json.loads(open(os.path.join(w.data, "waypost.json")).read())


@case
def check_tells_what_is_right_and_what_is_not():
    w = Waypost("well")
    assert "well" in w.cli("check")
    w = Waypost("check", {"routes": [{"for": "*", "via": "127.7.0.9:10025", "tls": "none"}]})
    code, text = w.cli("check", check=False)
    assert code != 0 and "127.7.0.9" in text, text


@case
def the_page_answers_beside_the_mail():
    page = "http://127.0.0.1:%d" % relay().web
    assert run(["curl", "-sS", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}", page + "/healthz"]) in ("200", "204")
    assert "<html" in run(["curl", "-sS", "--max-time", "10", page + "/"]).lower()
