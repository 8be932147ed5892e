"""Cameras, printers and meters: SMTP as old firmware speaks it, from a trusted network."""
import smtplib

import postfix
from cases import case
from letters import Letter, Raw, crlf, same
from senders import any_tls, arrives, ready
from strangers import STRANGER
from waypost import relay


def spoken(lines, octets):
    c = Raw(relay().smtp)
    c.reply()
    for line in lines:
        c.say(line, "250")
    c.say("data", "354")
    c.send(octets + b".\r\n")
    assert c.reply().startswith("250")
    c.close()  # and never a QUIT


@case
def a_camera_with_its_own_idea_of_SMTP_is_understood():
    letter = Letter()
    ready(letter.to)
    spoken(["HELO MY_CAMERA 1", "mail from: alice@relay.test", "rcpt to:  <%s> " % letter.to], letter.octets)
    arrives(letter)
    letter = Letter(sender="cam@192.168.1.9")
    spoken(["EHLO 192.168.1.9", "MAIL FROM:<cam@[192.168.1.9]>", "RCPT TO: %s" % letter.to], letter.octets)
    arrives(letter)


@case
def a_text_without_header_and_lines_beyond_all_bounds_are_taken():
    letter = Letter()
    mark = letter.mark.encode()
    spoken(["HELO x", "MAIL FROM:<alice@relay.test>", "RCPT TO:<bob@relay.test>"], b"motion at the door: " + mark + b"\r\n")
    same(b"\r\nmotion at the door: " + mark + b"\r\n", relay().maildir("bob").one(mark), added=("Date", "From", "To", "Message-ID"))
    letter = Letter(b"<td>" * 2000 + b"\r\n", to="bob@relay.test")
    spoken(["HELO x", "MAIL FROM:<alice@relay.test>", "RCPT TO:<bob@relay.test>"], letter.octets)
    same(letter.octets, relay().maildir("bob").one(letter.mark))


@case
def a_device_of_ours_may_log_in_without_TLS_if_it_must():
    letter = Letter()
    ready(letter.to)
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
        s.login("alice", "wonderland")
        s.sendmail(letter.sender, [letter.to], letter.octets)
    assert "with ESMTPA " in arrives(letter)


@case
def a_TLS_client_of_a_stranger_sees_no_login_before_TLS():
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30, source_address=(STRANGER, 0)) as s:
        s.ehlo()
        assert not s.has_extn("AUTH")
        s.starttls(context=any_tls())
        s.ehlo()
        assert s.has_extn("AUTH")


@case
def Latin_1_in_a_header_is_passed_on_as_it_is():
    letter = Letter()
    octets = letter.octets.replace(b"about ", b"caf\xe9 ")
    ready(letter.to)
    spoken(["HELO x", "MAIL FROM:<alice@relay.test>", "RCPT TO:<%s>" % letter.to], octets)
    same(octets, crlf(postfix.with_tls().box.one(letter.mark)))
