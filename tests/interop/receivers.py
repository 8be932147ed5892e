"""Mail servers found through real name servers: over STARTTLS and without, by every kind of MX."""
import smtplib

import peers
import postfix
from bounces import failed, report
from cases import case
from letters import Letter
from senders import arrives, hand_in, python
from waypost import Waypost, relay
from world import DNS, until


def to(address, **more):
    letter = Letter(to=address, **more)
    python(letter)
    return letter


@case
def Postfix_takes_it_over_STARTTLS():
    letter = to("carol@postfix.test")
    arrives(letter)
    assert b"(using TLSv1." in postfix.with_tls().box.one(letter.mark)


@case
def Postfix_with_X25519_only_takes_it_over_STARTTLS():
    box = postfix.with_x25519_only().box
    letter = to("carol@x25519.test")
    arrives(letter, box)
    assert b"key-exchange X25519" in box.one(letter.mark)
    relay().logged(letter.mark, "event=encrypted")


@case
def Postfix_without_TLS_takes_it_in_the_clear():
    letter = to("carol@plain.test")
    arrives(letter, postfix.without_tls().box)
    assert b"using TLS" not in postfix.without_tls().box.one(letter.mark)


@case
def Exim_takes_it_over_STARTTLS():
    letter = to("carol@exim4.test", body=b".\r\n..\r\ntext\r\n")
    arrives(letter, peers.exim4().box)
    assert b"with esmtps" in peers.exim4().box.one(letter.mark)


@case
def OpenSMTPD_takes_it():
    peers.opensmtpd()
    letter = to("carol@opensmtpd-plain.test", body=b".\r\n..\r\ntext\r\n")
    arrives(letter, peers.opensmtpd().box)


@case
def a_server_whose_STARTTLS_is_broken_gets_it_in_the_clear():
    peers.opensmtpd()
    letter = to("carol@opensmtpd.test")
    arrives(letter, peers.opensmtpd().box)
    relay().logged(letter.mark, "event=in-clear")


@case
def an_MX_that_is_a_CNAME_works():
    arrives(to("carol@alias.test"))


@case
def a_domain_that_is_a_CNAME_works():
    arrives(to("carol@other.test"))


@case
def where_the_first_MX_is_dead_the_second_takes_it():
    arrives(to("carol@second.test"))


@case
def a_domain_without_MX_is_reached_by_its_address():
    arrives(to("carol@nomx.test"))


@case
def a_null_MX_bounces_at_once():
    failed(relay(), to("carol@null.test"), "5.1.10", "null.test")


@case
def a_domain_that_does_not_exist_bounces_at_once():
    failed(relay(), to("carol@nowhere.test"), "5.1.2", "nowhere.test")


@case
def an_MX_that_is_an_IP_address_is_not_used():
    letter = to("carol@ipmx.test")
    failed(relay(), letter, "5.4.4", "ipmx.test")
    assert not postfix.with_tls().box.find(letter.mark)


@case
def a_domain_whose_servers_are_all_dead_waits_with_the_reason():
    letter = to("carol@down.test")
    relay().logged(letter.mark, "event=deferred", "refused")
    assert "refused" in relay().trace(letter.id, "mx.dead.test")


@case
def three_domains_get_one_copy_each():
    peers.exim4(), postfix.without_tls()
    letter = Letter()
    python(letter, to=["a@postfix.test", "b@plain.test", "c@exim4.test"])
    for box in (postfix.with_tls().box, postfix.without_tls().box, peers.exim4().box):
        arrives(letter, box)


@case
def two_recipients_at_one_domain_share_a_transaction():
    letter = Letter()
    python(letter, to=["a@plain.test", "b@plain.test"])
    box = postfix.without_tls().box
    until(lambda: len(box.find(letter.mark)) == 2, 20, "two copies")
    ids = {m.split(b"Postfix) with ")[1].split(b" id ")[1].split()[0] for m in box.find(letter.mark)}
    assert len(ids) == 1, ids


@case
def DSN_parameters_reach_Postfix_and_its_report_comes_back_whole():
    letter = Letter()
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
        s.ehlo()
        s.sendmail(letter.sender, [letter.to], letter.octets, ["ENVID=env-" + letter.mark, "RET=HDRS"],
                   ["NOTIFY=SUCCESS", "ORCPT=rfc822;first+2Bname@elsewhere.test"])
    box = postfix.with_tls().box
    r = report(box, letter.mark)
    assert r.message_fields["Original-Envelope-Id"] == "env-" + letter.mark
    assert "first+name@elsewhere.test" in r.only()["Original-Recipient"].replace("+2B", "+")
    assert r.only()["Action"] in ("delivered", "relayed")


@case
def a_server_without_DSN_makes_us_report_that_it_was_relayed():
    letter = Letter(to="carol@exim4.test")
    peers.exim4()  # offers no DSN unless told to
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
        s.ehlo()
        s.sendmail(letter.sender, [letter.to], letter.octets, [], ["NOTIFY=SUCCESS"])
    r = report(relay().maildir("alice"), letter.mark)
    assert r.only()["Action"] == "relayed" and r.only()["Status"].startswith("2."), r.only()


@case
def NOTIFY_NEVER_gives_no_report():
    letter, barrier = Letter(to="carol@null.test"), Letter(to="carol@null.test")
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
        s.ehlo()
        s.sendmail(letter.sender, [letter.to], letter.octets, [], ["NOTIFY=NEVER"])
    relay().logged(letter.mark, "event=failed")
    python(barrier)
    report(relay().maildir("alice"), barrier.mark)
    assert not relay().maildir("alice").find(letter.mark)


@case
def a_null_reverse_path_never_bounces():
    letter = Letter(to="carol@null.test")
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
        s.sendmail("", [letter.to], letter.octets)
    relay().logged(letter.mark, "event=failed")
    relay().gone(letter.mark)
    assert "event=bounced" not in "\n".join(relay().logged(letter.mark))


@case
def a_message_that_goes_in_circles_ends():
    loop = "".join("Received: from a by b; Sun, 1 Nov 2026 10:00:00 +0100\r\n" for _ in range(120))
    letter = Letter()
    letter.octets = loop.encode() + letter.octets
    try:
        python(letter)
    except smtplib.SMTPDataError as e:
        assert e.smtp_code == 554 and b"5.4.6" in e.smtp_error, e
    else:
        failed(relay(), letter, "5.4.6")


@case
def mail_waits_while_no_name_server_answers():
    w = Waypost("nodns", {"dns": ["127.7.0.54:10053"]})
    letter = Letter()
    hand_in(w, letter)
    line = w.logged(letter.mark, "event=deferred")[0]
    assert "DNS" in line, line
    assert w.waiting(letter.mark)["attempts"] == 0, "an outage of ours is held against the message"
    w.cli("config", "set", "dns", '["%s:10053"]' % DNS)
    w.cli("queue", "retry", "all")
    arrives(letter)
