"""Signatures over what a Postfix has stored, judged by dkimpy and OpenDKIM with the records that the relay shows."""
import base64
import json
import os
import smtplib
import subprocess

import names
import peers
import postfix
from cases import case
from letters import Letter, Raw, crlf, name, parts, same
from senders import hand_in
from waypost import Waypost
from world import DNS, HERE, HOSTS, folder, until, write

KINDS = ("rsa", "ed25519")


def signing(name):
    """A relay with a pair of keys, whose records are published; their names begin with its name."""
    postfix.with_tls()
    w = Waypost(name)
    make(w, name)
    return w


def make(w, selector):
    made = json.loads(w.cli("dkim", "make", "relay.test", "--selector", selector, "--json"))["keys"]
    assert [k["algorithm"] for k in made] == list(KINDS), made
    for key in made:
        names.publish(key["zone"], key["name"])
    return made


def judge(args, octets):
    """What a judge says of a message; nothing where it is content."""
    r = subprocess.run(args, input=octets, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    text = r.stdout.decode(errors="replace").strip()
    return text or ("" if r.returncode == 0 else "exit %d" % r.returncode)


def dkimpy(octets):
    return judge(["/usr/bin/python3", os.path.join(HERE, "dkimpy.py"), DNS, "10053"], octets)


def opendkim(octets):
    """It asks the name server of /etc/resolv.conf."""
    conf = os.path.join(folder("tmp"), "resolv.conf")
    write(conf, "nameserver %s\n" % DNS)
    script = 'mount --bind "$1" /etc/resolv.conf && exec opendkim-testmsg'
    return judge(["unshare", "-m", "sh", "-c", script, "sh", conf], octets)


def apart(octets):
    """The message with each of its signatures alone, by selector."""
    fields, body = parts(crlf(octets))
    signatures = [f for f in fields if name(f) == b"dkim-signature"]
    rest = [f for f in fields if name(f) != b"dkim-signature"]
    found = {}
    for s in signatures:
        selector = [t for t in s.split(b";") if t.strip().startswith(b"s=")][0].strip()[2:].decode()
        assert selector not in found, selector
        found[selector] = b"\r\n".join([s, *rest, b"", body])
    return found


def judged(octets, *selectors):
    """Fail unless these keys have signed, in this order, and both judges find each signature right, and wrong once
    the body or a field is another."""
    alone = apart(octets)
    assert list(alone) == list(selectors), list(alone)
    for selector, message in alone.items():
        for judges in (dkimpy, opendkim):
            said = judges(message)
            assert not said, "%s of %s: %s" % (judges.__name__, selector, said)
        for bad in (message + b"x\r\n", message.replace(b"\r\nSubject:", b"\r\nSubject: x\r\nSubject:", 1),
                    message.replace(b"\r\nFrom:", b"\r\nReply-To: x@y.test\r\nFrom:", 1)):
            assert bad != message and dkimpy(bad) and opendkim(bad), selector
    assert not opendkim(crlf(octets)), "OpenDKIM and all of them together"


def pair(name):
    return ["%s-%s" % (name, kind) for kind in KINDS]


def signed(w, letter, *selectors):
    hand_in(w, letter)
    got = postfix.with_tls().box.one(letter.mark, seconds=60)
    judged(got, *(selectors or pair(w.name)))
    return got


@case
def a_signed_message_is_as_it_was_and_both_judges_find_both_signatures_right():
    w, letter = signing("first"), Letter()
    got = signed(w, letter)
    fields, body = parts(crlf(got))
    unsigned = b"\r\n".join([f for f in fields if name(f) != b"dkim-signature"] + [b"", body])
    same(letter.octets, unsigned)
    assert all(len(line) <= 78 for f in fields if name(f) == b"dkim-signature" for line in f.split(b"\r\n"))
    line = w.logged(letter.mark, "event=signed")[0]
    assert "first-rsa._domainkey.relay.test (rsa-sha256)" in line and "ed25519-sha256" in line, line
    w.trace(letter.id.strip("<>"), "Signed by first-rsa._domainkey.relay.test")


@case
def signatures_survive_8_bit_long_and_folded_fields():
    w = signing("fields")
    for fields in (
        [("Comments", "über\r\n  gefaltet\r\n\tund  weiter")],
        [("References", "\r\n ".join("<%d.%s@x.test>" % (n, "r" * 60) for n in range(40)))],
        [("Cc", ", ".join("Nr %d <nr%d@y.test>" % (n, n) for n in range(200)))],
        [("List-Id", "one <a.x.test>"), ("Sender", "Bob <bob@relay.test>"), ("Content-Type", "text/plain;\r\n charset=utf-8")],
    ):
        signed(w, Letter(fields=fields, body="Grüße  \r\n\r\n\t und  mehr \r\n\r\n\r\n".encode()))
    signed(w, Letter(fields=[("Subject", "größer €  \r\n  und gefaltet ")], without=("Subject",)))


@case
def signatures_survive_every_kind_of_body():
    w = signing("bodies")
    for body in (b"", b"\r\n\r\n", b" \t\r\nx", b"no end", b".\r\n..\r\n.x\r\n", b"x" * 990 + b" \r\n", b"long " * 20000 + b"\r\n",
                 bytes(range(128, 256)) + b"\r\n"):
        letter = Letter(body=body)
        try:
            signed(w, letter)
        except AssertionError as error:
            raise AssertionError("%r: %s" % (body[:20], error)) from error


@case
def signatures_survive_an_attachment_of_5_MB():
    lines = base64.encodebytes(os.urandom(3_700_000)).replace(b"\n", b"\r\n")
    assert len(lines) > 5_000_000
    fields = [("MIME-Version", "1.0"), ("Content-Type", "application/octet-stream"), ("Content-Transfer-Encoding", "base64")]
    signed(signing("large"), Letter(fields=fields, body=lines))


@case
def keys_follow_each_other_without_a_gap():
    w = signing("old")
    make(w, "new")
    signed(w, Letter(), *pair("old"), *pair("new"))
    w.cli("dkim", "retire", "relay.test", "old")
    assert "old-rsa" not in w.cli("dkim", "show")
    signed(w, Letter(), *pair("new"))
    assert not os.path.exists(w.data + "/keys/relay.test.old-rsa.pem")
    assert os.stat(w.data + "/keys/relay.test.new-rsa.pem").st_mode & 0o777 == 0o600


@case
def a_key_that_openssl_has_made_signs_once_it_is_named():
    w = Waypost("imported", {"signing": [{"domain": "relay.test", "selector": "mine"}]})
    assert "keys/relay.test.mine.pem" in w.log(), w.log()
    os.makedirs(w.data + "/keys", exist_ok=True)
    subprocess.run(["openssl", "genrsa", "-out", w.data + "/keys/relay.test.mine.pem", "3072"], check=True,
                   stderr=subprocess.DEVNULL)
    w.down()
    w.up()
    key = json.loads(w.cli("dkim", "show", "--json"))["keys"][0]
    names.publish(key["zone"], key["name"])
    letter = Letter()
    hand_in(w, letter)
    judged(postfix.with_tls().box.one(letter.mark), "mine")


@case
def a_stranger_with_our_domain_in_From_gets_no_signature():
    w = Waypost("forged", {"aliases": [{"from": "out", "to": ["carol@postfix.test"]}]})
    w.cli("dkim", "make", "relay.test", "--selector", "forged")
    letter = Letter(to="out@relay.test")
    raw = Raw(w.smtp, source=HOSTS["s40"])
    raw.hello()
    raw.envelope("x@stranger.test", "out@relay.test")
    raw.say("DATA", "354")
    raw.send(letter.octets)
    raw.say(".", "250")
    got = postfix.with_tls().box.one(letter.mark)
    assert b"DKIM-Signature" not in got, got
    until(lambda: "event=delivered" in w.log(), 10, "delivery")
    assert "event=signed" not in w.log()


def eight(to, fields=()):
    """8-bit text in its header and in a body of 30 kB."""
    mime = [("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8"), ("Content-Transfer-Encoding", "8bit")]
    return Letter("Grüße  \r\n.\r\nFrom hier: ü \r\n".encode() * 1000, [*mime, *fields], to=to)


@case
def signed_8_bit_bodies_reach_servers_without_8BITMIME_in_7_bit_and_both_judges_find_the_signatures_right():
    for w, box, to in ((signing("seven"), postfix.seven().box, "carol@seven.test"),
                       (signing("exim"), peers.exim4_seven().box, "carol@exim7.test")):
        letter = eight(to)
        hand_in(w, letter)
        got = crlf(box.one(letter.mark, seconds=60))
        assert got.isascii() and b"Gr=C3=BC=C3=9Fe =20\r\n=2E\r\n" in got, got
        judged(got, *pair(w.name))
        # The same relay sends it as it is where that is possible.
        letter = eight("carol@postfix.test")
        hand_in(w, letter)
        got = postfix.with_tls().box.one(letter.mark, seconds=60)
        assert "Grüße".encode() in got, got
        judged(got, *pair(w.name))


@case
def signed_8_bit_headers_reach_servers_without_SMTPUTF8_encoded_and_the_signatures_are_right():
    w, box = signing("words"), postfix.seven().box
    letter = eight("carol@seven.test", [("Comments", "über\r\n  gefaltet")])
    with smtplib.SMTP("127.0.0.1", w.smtp, timeout=60) as s:
        s.ehlo()
        s.sendmail(letter.sender, [letter.to], letter.octets, ["SMTPUTF8", "BODY=8BITMIME"])
    got = crlf(box.one(letter.mark, seconds=60))
    assert got.isascii() and b"Comments: =?utf-8?" in got, got
    judged(got, *pair("words"))
