"""`waypost check DOMAIN`: what is published is judged as others judge it."""
import json
import re

import dns.resolver
import spf

from cases import case
from script import Script
from waypost import Waypost, relay
from world import DNS, HOSTS

US = "203.0.113.7"
# Whom these allow, pyspf says; each is the record of a domain of its own.
RECORDS = ["v=spf1 ip4:203.0.113.0/24 -all", "v=spf1 ip4:203.0.113.8 -all", "v=spf1 ~all", "v=spf1 +all", "v=spf1",
           "v=spf1 -ip4:203.0.113.7 +all", "v=spf1 include:spf0.test -all", "v=spf1 include:spf1.test ?all",
           "v=spf1 include:nowhere.test -all", "v=spf1 redirect=spf0.test", "v=spf1 redirect=nowhere.test",
           "v=spf1 a:us.doctor.test -all", "v=spf1 a:other.doctor.test/29 -all", "v=spf1 a:other.doctor.test/30//64 -all",
           "v=spf1 mx:us.test -all", "v=spf1 exists:us.doctor.test -all", "v=spf1 ipv4:203.0.113.7", "v=spf1 a/33 -all",
           "V=SPF1 IP4:203.0.113.7 -ALL", "v=spf1 x=y unknown=z ip4:203.0.113.7 -all", "v=spf1 redirect=spf0.test redirect=spf0.test",
           "v=spf1 " + "a:other.doctor.test " * 10 + "ip4:203.0.113.7 -all", "v=spf1 " + "a:other.doctor.test " * 11 + "ip4:203.0.113.7 -all",
           "v=spf1 a:n1.test a:n2.test ip4:203.0.113.7 -all", "v=spf1 a:n1.test a:n2.test a:n3.test ip4:203.0.113.7 -all"]
ZONE = """us.doctor A 203.0.113.7
other.doctor A 203.0.113.0
us MX 10 us.doctor
_dmarc.spf0 TXT "v=DMARC1; p=reject"
"""


def zone():
    """Lines for the zone that all cases share."""
    lines = "".join('spf%d MX 10 mx.s71\nspf%d TXT "%s"\n' % (n, n, record) for n, record in enumerate(RECORDS))
    return ZONE + lines


def resolver():
    ours = dns.resolver.Resolver(configure=False)
    ours.nameservers, ours.port = [DNS], 10053
    return ours


def told(w, domain):
    code, text = w.cli("check", domain, "--json", check=False)
    found = json.loads(text)["findings"]
    assert code == (78 if any(row["verdict"] == "wrong" for row in found) else 0), (code, text)
    return {row["about"]: row for row in found}


def sees_us(server, number, verb, line):
    return "250-script.test at your service, [%s]\r\n250 SIZE" % US if verb == "EHLO" else None


@case
def what_SPF_allows_is_what_pyspf_says():
    dns.resolver.default_resolver = resolver()
    passed = 0
    with Script("s71", sees_us) as server:
        for n, record in enumerate(RECORDS):
            theirs = spf.check2(i=US, s="postmaster@spf%d.test" % n, h="relay.test", querytime=0)[0]
            row = told(relay(), "spf%d.test" % n)["SPF"]
            ours = "pass" if row["verdict"] == "good" else \
                "permerror" if "record is wrong" in row["words"] else \
                "softfail" if "suspicious" in row["words"] else "fail" if "forged" in row["words"] else "neutral"
            assert ours == theirs, (record, theirs, row)
            passed += ours == "pass"
            if row["publish"] and ours != "permerror":
                # What is to be published would do.
                assert row["publish"]["value"].startswith("v=spf1 ip4:%s" % US), row
    assert not server.taken and server.sessions == len(RECORDS)
    assert 5 < passed < len(RECORDS) - 5, passed


@case
def a_domain_is_told_what_is_open_what_is_missing_and_what_to_publish():
    with Script("s71", sees_us):
        rows = told(relay(), "spf0.test")
        text = relay().cli("check", "spf0.test", check=False)[1]
    assert "Open: mx.s71.test said \"220 script.test ready\"" in rows["port 25"]["words"], rows
    assert rows["DMARC"]["verdict"] == "good" and "reject" in rows["DMARC"]["words"], rows
    assert rows["mail servers"]["verdict"] == "good", rows
    assert rows["DKIM"]["verdict"] == "wrong" and "waypost dkim make spf0.test" in " ".join(text.split()), text
    # The relay's name has another address, and this one has no name.
    assert rows["own name"]["publish"] == {
        "name": "relay.test", "type": "A", "value": US, "zone": "relay.test. IN A " + US}, rows
    assert rows["reverse name"]["verdict"] == "wrong", rows
    assert re.search(r"publish +7\.113\.0\.203\.in-addr\.arpa\n +type +PTR\n +value +relay\.test\.\n", text), text
    # Nobody listens any more.
    rows = told(relay(), "spf0.test")
    assert rows["port 25"]["verdict"] == "wrong" and "refused" in rows["port 25"]["words"], rows
    code, text = relay().cli("check", "no-domain", check=False)
    assert code == 69 and "no domain" in text, (code, text)


@case
def where_mail_leaves_through_a_smarthost_nobody_asks_after_our_address():
    w = Waypost("doctor", {"routes": [{"for": "*", "via": HOSTS["dead"] + ":587", "tls": "none"}]})
    rows = told(w, "spf0.test")
    assert "port 25" not in rows and "reverse name" not in rows, rows
    assert HOSTS["dead"] in rows["way out"]["words"] and rows["SPF"]["verdict"] == "unknown", rows
