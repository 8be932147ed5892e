"""Smarthosts that want a sign-in: OAuthLib gives out tokens, Dovecot's SASL behind Postfix checks them."""
import json
import os
import stat
import subprocess
import time

import oauth
import postfix
from cases import case
from letters import Letter, same
from senders import hand_in
from waypost import Waypost
from world import BINARY, HOSTS, until


PATIENCE = 2.5  # an idle connection does not live so long


def relay(name, mechanism="XOAUTH2", token=None):
    postfix.with_login()
    at = "http://%s:%d" % oauth.AT
    return Waypost(name, {
        "oauth": [{"name": "mine", "authorize": at + "/authorize", "token": token or at + "/token", "scope": "mail offline"}],
        "routes": [{"for": "*", "via": "%s:%d" % (HOSTS["smarthost"], postfix.MECHANISMS[mechanism]), "tls": "require",
                    "user": "me", "oauth": "mine", "client_id": "relay", "client_secret": oauth.SECRET}]})


def log_in(w, answer=oauth.say_yes):
    """What a person does with `waypost login`: open the link, paste the address."""
    p = subprocess.Popen([BINARY, "login", "--data", w.data], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    link = next(line.strip() for line in p.stdout if line.startswith("http"))
    text, _ = p.communicate(answer(link) + "\n", timeout=30)
    return p.returncode, text


def refreshed(service):
    return [asked for asked in service.asked if asked["grant_type"] == "refresh_token"]


@case
def a_person_signs_in_and_what_has_waited_goes_out_with_a_token():
    for mechanism in ("XOAUTH2", "OAUTHBEARER"):
        service = oauth.fresh()
        w = relay("sign-in-" + mechanism.lower(), mechanism)
        letter = Letter(to="carol@anywhere.example")
        hand_in(w, letter)
        w.logged(letter.mark, "event=deferred", "nobody has signed in yet")
        assert "waypost login" in w.cli("check", check=False)[1]
        code, text = log_in(w)
        assert code == 0 and "Signed in as me" in text, text
        same(letter.octets, postfix.with_login().box.one(letter.mark))
        w.logged("event=logged-in", "by=" + mechanism)
        assert [a["grant_type"] for a in service.asked] == ["authorization_code"], service.asked
        mode = stat.S_IMODE(os.stat(w.data + "/sign-ins.json").st_mode)
        assert mode == 0o600, oct(mode)
        for secret in [*service.access, *service.refresh, oauth.SECRET]:
            shown = w.log() + w.cli("config", "show") + w.cli("login", "--json")
            assert secret not in shown, shown
        assert "good" in w.cli("login", "--json")
        w.empty()
        w.down()


@case
def a_token_that_has_ended_is_replaced_and_the_newest_sign_in_survives_kill_9():
    service = oauth.fresh()
    service.lifetime = 4  # used for two seconds
    w = relay("sign-in-short")
    assert log_in(w)[0] == 0
    for round in range(4):
        time.sleep(PATIENCE)
        letter = Letter(to="carol@anywhere.example")
        hand_in(w, letter)
        same(letter.octets, postfix.with_login().box.one(letter.mark))
        if round == 1:
            w.down(9)
            w.up()
    used = [asked["refresh_token"] for asked in refreshed(service)]
    assert len(used) == 4 and len(set(used)) == len(used), used  # each works once
    assert len(service.refresh) == 1
    w.empty()


@case
def a_sign_in_that_was_revoked_keeps_the_mail_in_the_services_words_until_the_next_one():
    service = oauth.fresh()
    w = relay("sign-in-revoked")
    assert log_in(w)[0] == 0
    letter = Letter(to="carol@anywhere.example")
    hand_in(w, letter)
    same(letter.octets, postfix.with_login().box.one(letter.mark))
    service.revoke()
    w.down()
    w.up()  # else its token would do for an hour
    letters = [Letter(to="carol@anywhere.example") for _ in range(5)]
    for letter in letters:
        hand_in(w, letter)
    for letter in letters:
        w.logged(letter.mark, "event=deferred", "invalid_grant")
    assert "invalid_grant" in json.dumps(w.queue())
    assert "works no more" in w.cli("check", check=False)[1]
    time.sleep(3)
    assert len(refreshed(service)) == 1, "no is no"
    assert log_in(w)[0] == 0
    for letter in letters:
        same(letter.octets, postfix.with_login().box.one(letter.mark))
    w.empty()


@case
def a_young_token_that_the_smarthost_refuses_is_not_at_fault():
    service = oauth.fresh()
    w = relay("sign-in-early-end")
    assert log_in(w)[0] == 0
    first = Letter(to="carol@anywhere.example")
    hand_in(w, first)
    same(first.octets, postfix.with_login().box.one(first.mark))
    time.sleep(PATIENCE)
    oauth.dovecot.GOOD.clear()  # the access tokens alone
    second = Letter(to="carol@anywhere.example")
    hand_in(w, second)
    w.logged(second.mark, "event=deferred", "535 5.7.8")
    assert not refreshed(service)
    assert not postfix.with_login().box.find(second.mark)


@case
def a_service_in_trouble_keeps_the_mail_and_says_why():
    service = oauth.fresh()
    w = relay("sign-in-trouble")
    assert log_in(w)[0] == 0
    w.down()
    w.up()
    for answer, words in (((503, {}, "down"), "HTTP 503"), ((200, {}, "<html>pay first</html>"), "HTTP 200 with nothing")):
        service.answer = answer
        letter = Letter(to="carol@anywhere.example")
        w.cli("queue", "retry", "all")
        hand_in(w, letter)
        w.cli("queue", "retry", "all")
        w.logged(letter.mark, "event=deferred", words)
    service.answer = None
    w.cli("queue", "retry", "all")
    w.empty()


@case
def a_service_that_does_not_prove_who_it_is_is_told_no_secret():
    with postfix_tls() as (at, heard):
        w = relay("sign-in-impostor", token="https://%s:%d/token" % at)
        code, text = log_in(w)
        assert code != 0 and "certificate" in text, text
        assert not heard, heard


class postfix_tls:
    """Somebody with a certificate that nobody has signed."""

    def __enter__(self):
        import socket
        import threading

        from script import tls_context
        self.heard, self.at = [], (HOSTS["s36"], 10443)
        self.server = socket.create_server(self.at)

        def serve():
            while True:
                try:
                    s, _ = self.server.accept()
                    s.settimeout(10)
                    self.heard.append(tls_context().wrap_socket(s, server_side=True).recv(10))
                except OSError:
                    if self.server.fileno() < 0:
                        return
        threading.Thread(target=serve, daemon=True).start()
        return self.at, self.heard

    def __exit__(self, *_):
        import socket
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


@case
def a_link_that_was_tampered_with_signs_nobody_in():
    oauth.fresh()
    w = relay("sign-in-forged")
    def other_state(link):
        return oauth.say_yes(link).replace("state=", "state=x")
    code, text = log_in(w, other_state)
    assert code != 0 and "not begun here" in text, text
    code, text = log_in(w, lambda link: oauth.say_yes(link).replace("code=", "code=x"))
    assert code != 0 and "invalid_grant" in text, text
    assert not os.path.exists(w.data + "/sign-ins.json")
    until(lambda: "has failed" in w.cli("login", "--json"), 5, "the page to say so")
