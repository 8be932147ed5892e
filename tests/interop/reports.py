"""Delivery reports: what was asked for is honoured, passed on, and understood by a person and by a program."""
import smtplib

from bounces import Report, lint, report
from cases import case
from letters import Letter, same
from script import Script
from senders import python
from waypost import relay
from world import until


def asking(letter, mail=(), rcpt=(), to=None):
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
        s.ehlo()
        s.sendmail(letter.sender, to or [letter.to], letter.octets, list(mail), list(rcpt))


def alices(letter):
    return report(relay().maildir("alice"), letter.mark)


@case
def RET_FULL_brings_the_whole_message_back_and_RET_HDRS_its_header():
    with Script("s69", lambda *a: "550 5.1.1 no such user" if a[2] == "RCPT" else None):
        for ret, kind in (("FULL", "message/rfc822"), ("HDRS", "text/rfc822-headers"), (None, "text/rfc822-headers")):
            letter = Letter(to="carol@s69.test", body=b"the body itself\r\n")
            asking(letter, ["ENVID=id+3D%s" % letter.mark] + (["RET=" + ret] if ret else []))
            r = alices(letter)
            part = list(r.message.iter_parts())[2]
            assert part.get_content_type() == kind, part.get_content_type()
            assert (b"the body itself" in r.returned) == (ret == "FULL")
            if ret == "FULL":
                same(letter.octets, part.get_payload()[0].as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
            assert r.message_fields["Original-Envelope-Id"] == "id=" + letter.mark


@case
def NOTIFY_RET_ENVID_and_ORCPT_are_passed_on_as_they_came_and_nothing_is_made_up():
    offers = ("PIPELINING", "8BITMIME", "SIZE", "ENHANCEDSTATUSCODES", "DSN")
    with Script("s70", extensions=offers) as server:
        asked, plain = Letter(to="carol@s70.test"), Letter(to="carol@s70.test")
        asking(asked, ["RET=HDRS", "ENVID=a+2Bb" + asked.mark],
               ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;Carol+2Bx@elsewhere.example"])
        python(plain)
        until(lambda: server.find(asked.mark) and server.find(plain.mark), 20, "both")
    got, bare = server.find(asked.mark)[0], server.find(plain.mark)[0]
    assert " RET=HDRS" in got.mail and " ENVID=a+2Bb" + asked.mark in got.mail, got.mail
    assert " NOTIFY=SUCCESS,DELAY" in got.recipients[0], got.recipients
    assert " ORCPT=rfc822;Carol+2Bx@elsewhere.example" in got.recipients[0], got.recipients
    assert not any(word in bare.mail + bare.recipients[0] for word in ("RET=", "ENVID=", "NOTIFY=", "ORCPT=")), bare.mail
    relay().gone(asked.mark)
    assert not relay().maildir("alice").find(asked.mark), "that server sends the reports"


@case
def an_alias_of_several_is_reported_as_expanded_and_a_mailbox_as_delivered():
    letter = Letter(to="root@relay.test")
    asking(letter, rcpt=["NOTIFY=SUCCESS"])
    def found():
        return [m for m in relay().maildir("alice").find(letter.mark) if b"multipart/report" in m]
    until(found, 20, "the report")
    r = Report(found()[0])
    lint(r)
    assert (r.only()["Action"], r.only()["Final-Recipient"]) == ("expanded", "rfc822; root@relay.test"), r.only()
    assert "stands for several" in " ".join(r.words.split()), r.words
    relay().gone(letter.mark)
    assert len(found()) == 1 and relay().maildir("bob").find(letter.mark)
    letter = Letter(to="bob@relay.test")
    asking(letter, rcpt=["NOTIFY=SUCCESS", "ORCPT=rfc822;boss@elsewhere.example"])
    one = alices(letter).only()
    assert (one["Action"], one["Original-Recipient"]) == ("delivered", "rfc822; boss@elsewhere.example"), one


@case
def a_person_understands_the_first_paragraph():
    replies = {
        "unknown": ("550 5.1.1 RecipNotFound", "There is no such address there"),
        "full": ("552 5.2.2 over quota", "mailbox is full"),
        "spamhaus": ("554 5.7.1 Client host [203.0.113.9] blocked using zen.spamhaus.org", "Send by a smarthost"),
        "dmarc": ("550 5.7.26 Unauthenticated email is not accepted due to domain's DMARC policy", "sign it"),
        "odd": ("550 5.6.0 Qz77", "could not be delivered to odd@s40.test."),
    }

    def refuses(server, session, verb, line):
        return replies[line.split("<")[1].split("@")[0]][0] if verb == "RCPT" else None
    with Script("s40", refuses):
        for user, (said, meant) in replies.items():
            letter = Letter(to="%s@s40.test" % user)
            python(letter)
            r = alices(letter)
            first = r.first_paragraph()
            assert meant in first and "about " + letter.mark in first and letter.to in first, first
            assert said in " ".join(r.words.split()), r.words
