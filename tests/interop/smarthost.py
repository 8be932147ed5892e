"""A smarthost that wants a login: Postfix with Dovecot's SASL."""
import email
import email.policy
import json
import os
import re
import ssl
import subprocess
import time

import postfix
from cases import case
from letters import Letter, same
from script import Script, tls_context
from senders import hand_in
from waypost import Waypost
from world import HOSTS, folder, until

HOST = "127.7.0.6:10025"


def smart(name, **route):
    postfix.with_login()
    return Waypost(name, {"routes": [{"for": "*", "via": HOST, "tls": "require", "user": "me", "password": "right", **route}]})


@case
def a_smarthost_gets_everything_over_TLS_with_a_login():
    w = smart("smart")
    letter = Letter(to="carol@anywhere.example", body=b".\r\n..\r\n")
    hand_in(w, letter)
    box = postfix.with_login().box
    same(letter.octets, box.one(letter.mark))
    assert b"with ESMTPSA" in box.one(letter.mark)
    w.logged("event=logged-in", "by=SCRAM-SHA-256")
    shown = w.cli("config", "show")
    assert "right" not in shown and HOST in shown, shown


@case
def a_wrong_password_keeps_the_mail_until_the_right_one_is_set():
    w = smart("wrong", password="no-good")
    letter = Letter(to="carol@anywhere.example")
    hand_in(w, letter)
    w.logged(letter.mark, "event=deferred", "535 5.7.8")
    waiting = json.dumps(w.waiting(letter.mark))
    assert "535 5.7.8" in waiting, waiting
    route = [{"for": "*", "via": HOST, "tls": "require", "user": "me", "password": "right"}]
    w.cli("config", "set", "routes", json.dumps(route))
    same(letter.octets, postfix.with_login().box.one(letter.mark))
    assert w.p.poll() is None
    w.empty()


@case
def a_second_way_takes_the_mail_where_the_first_is_not_there_or_refuses_the_login():
    box = postfix.with_login().box
    second = {"for": "*", "via": HOST, "tls": "require", "user": "me", "password": "right"}
    for name, first, why in (("gone", {"via": "127.7.0.6:9", "tls": "none"}, "refused"),
                             ("locked", {"via": HOST, "tls": "require", "user": "me", "password": "no-good"}, "535 5.7.8")):
        w = Waypost("way-" + name, {"routes": [{"for": "*", **first}, second]})
        letter = Letter(to="carol@anywhere.example")
        hand_in(w, letter)
        same(letter.octets, box.one(letter.mark))
        w.logged(letter.mark, "event=rerouted", first["via"], 'to="%s as me"' % HOST, why)
        w.empty()


def strict(name, **route):
    return smart(name, via="%s:%d" % (HOSTS["smarthost"], postfix.STRICT), **route)


@case
def a_provider_that_takes_its_own_addresses_alone_gets_the_mail_of_every_device_from_one():
    w = strict("foreign")
    letter = Letter(to="carol@anywhere.example", sender="camera@home.test")
    hand_in(w, letter)
    w.logged(letter.mark, "event=failed", "553 5.7.1", "not owned by user me")
    box = postfix.with_login().box
    w = strict("renamed", senders=["me@provider.test"])
    for given in ("Front Door <camera@home.test>", "camera@home.test", "=?UTF-8?Q?T=C3=BCr?= <camera@home.test>",
                  '"Smith, \\"Bob\\"" <bob@home.test>', "Kamera K\u00fcche <camera@home.test>"):
        letter = Letter(to="carol@anywhere.example", sender="camera@home.test", without=("From",), fields=[("From", given)])
        hand_in(w, letter)
        got = box.one(letter.mark)
        message = email.message_from_bytes(got, policy=email.policy.default)
        authors = message["From"].addresses
        assert [a.addr_spec for a in authors] == ["me@provider.test"], got
        was = given.split("<")[-1].strip(">")
        assert was in authors[0].display_name, authors
        assert message["Reply-To"].addresses[0].addr_spec == was, got
        assert ("T\u00fcr" in authors[0].display_name) == ("=?" in given), authors
        assert got.split(b"\n\n", 1)[1] == letter.lf().split(b"\n\n", 1)[1]
        w.logged(letter.mark, "event=renamed", "from=camera@home.test", "as=me@provider.test")
    own = Letter(to="carol@anywhere.example", sender="me@provider.test", without=("From",), fields=[("From", "me@provider.test")])
    hand_in(w, own)
    same(own.octets, box.one(own.mark))
    w.empty()


@case
def a_device_has_a_way_of_its_own_and_what_is_for_nobody_is_thrown_away():
    box = postfix.with_login().box
    login = {"tls": "require", "user": "me", "password": "right"}
    w = Waypost("device", {"routes": [
        {"for": "*", "via": "127.7.0.6:9", "tls": "none"},
        {"for": "*", "client": "127.0.0.1", "from": "camera@home.test", "via": HOST, **login},
        {"for": "nobody.example", "via": "discard"}]})
    letter = Letter(to="carol@anywhere.example", sender="camera@home.test")
    hand_in(w, letter)
    same(letter.octets, box.one(letter.mark))
    other = Letter(to="carol@anywhere.example", sender="printer@home.test")
    hand_in(w, other)
    w.logged(other.mark, "event=deferred", "127.7.0.6")
    gone = Letter(to="carol@nobody.example")
    hand_in(w, gone)
    w.logged(gone.mark, "event=discarded", "to=carol@nobody.example")
    w.gone(gone.mark)
    assert "Thrown away" in w.trace(gone.id)


@case
def a_certificate_that_cannot_be_verified_keeps_the_mail_and_says_why():
    w = smart("verify", via="smart.test:10025", tls="verify")
    letter = Letter(to="carol@anywhere.example")
    hand_in(w, letter)
    line = w.logged(letter.mark, "event=deferred")[0]
    assert "certificate" in line, line
    assert not postfix.with_login().box.find(letter.mark)
    assert "certificate" in json.dumps(w.waiting(letter.mark))
    # The address needs no name server, and a person may decide that it is good enough.
    route = [{"for": "*", "via": "smart.test:10025", "tls": "require", "user": "me", "password": "right"}]
    w.cli("config", "set", "routes", json.dumps(route))
    same(letter.octets, postfix.with_login().box.one(letter.mark))


@case
def a_certificate_that_nobody_signed_is_pinned_or_its_authority_named():
    postfix.with_login()
    box = postfix.with_login().box
    w = smart("pinned", via="smart.test:10025", pins=["00" * 32])
    letter = Letter(to="carol@anywhere.example")
    hand_in(w, letter)
    line = w.logged(letter.mark, "event=deferred", "certificate refused", "its key is sha256/")[0]
    assert not box.find(letter.mark)
    pin = re.search(r"sha256/[A-Za-z0-9+/=]+", line).group()
    pem = folder("data", "smarthost") + "/etc/cert.pem"
    key = subprocess.run("openssl x509 -in %s -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary"
                         " | base64" % pem, shell=True, capture_output=True, text=True, check=True).stdout.strip()
    assert pin == "sha256/" + key, (pin, key)
    printed = subprocess.run(["openssl", "x509", "-in", pem, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True,
                             check=True).stdout.strip().split("=")[1]
    for right in (pin, printed):
        letter = Letter(to="carol@anywhere.example")
        route = [{"for": "*", "via": "smart.test:10025", "user": "me", "password": "right", "pins": [right]}]
        w.cli("config", "set", "routes", json.dumps(route))
        hand_in(w, letter)
        same(letter.octets, box.one(letter.mark))
        w.logged("event=encrypted", "verified=true")
    w.empty()
    # Who has an authority of their own names it, and all that it has signed is believed.
    made = folder("tmp") + "/own"
    subprocess.run("openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=Own -keyout {m}-ca.key -out {m}-ca.pem -addext"
                   " basicConstraints=critical,CA:TRUE && openssl req -newkey rsa:2048 -nodes -subj /CN=x -keyout {m}.key -out {m}.csr &&"
                   " printf 'subjectAltName=DNS:mx.s40.test' > {m}.ext && openssl x509 -req -in {m}.csr -CA {m}-ca.pem -CAkey {m}-ca.key"
                   " -CAcreateserial -days 30 -extfile {m}.ext -out {m}.pem".format(m=made), shell=True, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made + ".pem", made + ".key")
    routes = [{"for": "*", "via": "mx.s40.test:10025", "tls": "verify"}]
    w = Waypost("authority", {"routes": routes, "tls": {"authorities": made + "-ca.pem"}})
    with Script("s40", tls=context) as server:
        letter = Letter(to="carol@anywhere.example")
        hand_in(w, letter)
        until(lambda: server.find(letter.mark), 15, "the message")
    w.logged(letter.mark, "event=encrypted", "verified=true")


@case
def a_smarthost_at_port_465_is_spoken_to_over_TLS_from_the_first_octet():
    w = Waypost("implicit", {"routes": [{"for": "*", "via": HOSTS["s32"] + ":465", "tls": "require"}]})
    letter = Letter(to="carol@anywhere.example")
    with Script("s32", tls=tls_context(), port=465) as server:
        hand_in(w, letter)
        until(lambda: server.find(letter.mark), 15, "the message")
    same(letter.octets, server.find(letter.mark)[0].octets)
    assert server.find(letter.mark)[0].tls


@case
def a_login_is_never_sent_in_the_clear():
    postfix.without_tls()
    w = smart("clear", via="127.7.0.5:10025")
    letter = Letter(to="carol@anywhere.example")
    hand_in(w, letter)
    line = w.logged(letter.mark, "event=deferred")[0]
    assert "TLS" in line or "encrypt" in line, line
    assert not postfix.without_tls().box.find(letter.mark)


@case
def a_route_for_one_domain_leaves_the_others_alone():
    postfix.with_login()
    w = Waypost("split", {"routes": [{"for": "special.example", "via": HOST, "tls": "require", "user": "me", "password": "right"}]})
    first, second = Letter(to="carol@special.example"), Letter(to="carol@postfix.test")
    hand_in(w, first)
    hand_in(w, second)
    same(first.octets, postfix.with_login().box.one(first.mark))
    same(second.octets, postfix.with_tls().box.one(second.mark))
    assert not postfix.with_login().box.find(second.mark)


def secret(mechanism, good):
    if mechanism in ("XOAUTH2", "OAUTHBEARER"):
        return {"token": "good-token" if good else "bad-token"}
    return {"password": "right" if good else "no-good"}


def by_mechanism(name, good):
    """A relay that sends mail for `scram-sha-256.example` to a server that offers SCRAM-SHA-256 alone, and so on."""
    postfix.with_login()
    return Waypost(name, {"routes": [
        {"for": mechanism.lower() + ".example", "via": "%s:%d" % (HOSTS["smarthost"], port), "tls": "require", "user": "me",
         **secret(mechanism, good)} for mechanism, port in postfix.MECHANISMS.items()]})


@case
def each_mechanism_logs_in_where_it_is_offered_alone():
    w = by_mechanism("mechanisms", True)
    for mechanism in postfix.MECHANISMS:
        letter = Letter(to="carol@%s.example" % mechanism.lower())
        hand_in(w, letter)
        same(letter.octets, postfix.with_login().box.one(letter.mark))
        w.logged("event=logged-in", "by=" + mechanism)


@case
def a_wrong_secret_keeps_the_mail_with_each_mechanism_in_the_servers_words():
    w = by_mechanism("wrong-secrets", False)
    for mechanism in postfix.MECHANISMS:
        letter = Letter(to="carol@%s.example" % mechanism.lower())
        hand_in(w, letter)
        w.logged(letter.mark, "event=deferred", "login refused", "535 5.7.8")
        assert not postfix.with_login().box.find(letter.mark)
    waiting = json.dumps(w.queue())
    assert "invalid_token" in waiting or "status" in waiting, waiting
    assert len([line for line in w.log().splitlines() if "event=skipped" in line]) == len(postfix.MECHANISMS), w.log()


@case
def an_account_that_is_suspended_keeps_the_mail_and_its_owner_is_told():
    said = "550 5.7.1 Your account has been suspended, see https://provider.example/why"
    routes = [{"for": "*", "via": HOSTS["s39"] + ":10025", "tls": "none"}]
    w = Waypost("suspended", {"routes": routes})
    with Script("s39", lambda *a: said if a[2] == "MAIL" else None) as server:
        letters = [Letter(to="carol@anywhere.example") for _ in range(5)]
        for letter in letters:
            hand_in(w, letter)
        for letter in letters:
            w.logged(letter.mark, "event=deferred", "has been suspended")
        tried = server.sessions
        assert tried <= 5, "those that were open already, and no more"
        time.sleep(3)
        assert server.sessions == tried, "it is left alone"
        listed = w.cli("queue", "list")
        assert "suspended" in listed and "Log in there and see why" in " ".join(listed.split()), listed
        assert not w.maildir("alice").files(), "nobody else can mend it"
    with Script("s39") as server:
        w.cli("queue", "retry", "all")
        until(lambda: len(server.taken) == 5, 20, "all of them")
    w.empty()


@case
def a_quota_that_is_used_up_sends_the_rest_by_the_second_way():
    routes = [{"for": "*", "via": HOSTS[host] + ":10025", "tls": "none"} for host in ("s37", "s38")]
    w = Waypost("quota", {"routes": routes})

    asked = []

    def limits(server, session, verb, line):
        asked.extend([line] if verb == "MAIL" else [])
        return "550 5.4.5 Daily user sending limit exceeded" if verb == "MAIL" and len(asked) > 2 else None
    with Script("s37", limits) as first, Script("s38") as second:
        letters = [Letter(to="carol@anywhere.example") for _ in range(6)]
        for letter in letters:
            hand_in(w, letter)
        def taken(server):  # a client that pipelines ends what was refused with a lone dot
            return sum(len(server.find(letter.mark)) for letter in letters)
        until(lambda: taken(first) + taken(second) == 6, 20, "six messages")
        assert (taken(first), taken(second)) == (2, 4)
    w.logged("event=rerouted", "Daily user sending limit")
    w.empty()


@case
def a_route_may_say_from_which_address_of_ours_its_server_is_reached():
    box = postfix.with_tls().box
    for ours in ("127.0.0.88", "127.0.0.89"):
        w = Waypost("from-" + ours, {"routes": [{"for": "*", "via": HOSTS["postfix"] + ":10025", "ip": ours}]})
        letter = Letter(to="carol@postfix.test")
        hand_in(w, letter)
        assert b"[%s]" % ours.encode() in box.one(letter.mark).split(b"\n\n")[0]
        w.empty()
    # One that this machine does not have.
    w = Waypost("from-nowhere", {"routes": [{"for": "*", "via": HOSTS["postfix"] + ":10025", "ip": "192.0.2.77"}]})
    letter = Letter(to="carol@postfix.test")
    hand_in(w, letter)
    w.logged(letter.mark, "event=deferred", "no connection from 192.0.2.77", "assign requested address")


@case
def mail_of_this_machine_and_of_cron_leaves_from_names_that_the_world_knows():
    box = postfix.with_tls().box
    w = Waypost("masquerade", {"hostname": "nas.lan", "domains": [], "owner": "carol@postfix.test", "masquerade": "example.org",
                               "routes": [{"for": "*", "via": HOSTS["postfix"] + ":10025"}]})
    for sender, seen in (("alice@nas.lan", "alice@example.org"), ("root@raspberrypi", "carol@postfix.test")):
        letter = Letter(sender=sender, without=("From",), fields=(("From", "The Machine <%s>" % sender),))
        hand_in(w, letter)
        got = email.message_from_bytes(box.one(letter.mark))
        assert email.utils.parseaddr(got["From"]) == ("The Machine", seen), got["From"]
        assert got["Return-Path"] in (None, "<%s>" % seen), got["Return-Path"]
        w.logged(letter.mark, "event=renamed", "as=" + seen)
    # What cron says to root.
    mark = "cron-%d" % os.getpid()
    w.cli("send", "root", stdin=b"Subject: %s\r\n\r\ndisk\r\n" % mark.encode())
    assert email.utils.parseaddr(email.message_from_bytes(box.one(mark))["From"])[1] == "carol@postfix.test"
