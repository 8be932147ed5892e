"""Messages that the receiver cannot take as they are, or takes in chunks: what arrives decodes to what was sent."""
import email
import email.policy
import smtplib

import peers
import postfix
from bounces import failed
from cases import case
from letters import Letter, crlf
from senders import arrives
from waypost import relay
from world import until


def hand_in(letter, *options):
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=60) as s:
        s.ehlo()
        s.sendmail(letter.sender, [letter.to], letter.octets, list(options))


def contents(octets):
    """Type, file name and decoded octets of all that is no container, by python's own parser."""
    message = email.message_from_bytes(octets, policy=email.policy.default)
    return message, [(p.get_content_type(), p.get_filename(), p.get_payload(decode=True))
                     for p in message.walk() if not p.is_multipart()]


def converted(letter, box):
    """It arrived in seven bits, and a reader sees what was sent."""
    got = crlf(box.one(letter.mark, seconds=60))
    assert got.isascii(), [line for line in got.split(b"\r\n") if not line.isascii()]
    assert max(map(len, got.split(b"\r\n"))) <= 998
    (before, sent), (after, arrived) = contents(letter.octets), contents(got)
    assert len(arrived) == len(sent), (arrived, sent)
    for there, here in zip(sent, arrived):
        # What stores it may end it with one line end more.
        assert here == there or (here[:2] == there[:2] and here[2].rstrip(b"\r\n") == there[2].rstrip(b"\r\n")), (there, here)
    for name in ("Subject", "From", "X-Ort"):
        assert str(after[name]) == str(before[name]), (after[name], before[name])
    return got


PARTS = """--grenze
Content-Type: text/plain; charset=iso-8859-15
Content-Transfer-Encoding: 8bit

Grüße für 5 ¤, .
.
From hier: =C3=BC %s 
--grenze
Content-Type: multipart/alternative; boundary="grenze 2"

--grenze 2
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<p>ü</p>
--grenze 2--

--grenze
Content-Type: application/octet-stream
Content-Disposition: attachment; filename="Übersicht.bin"
Content-Transfer-Encoding: binary

%s
--grenze
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: drinnen ü
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

ein Ü
--grenze
Content-Type: text/plain

nur ASCII
--grenze--
"""


def parts(to, **more):
    body = (PARTS % ("x" * 3000, "\x80ÿ" * 400)).replace("\n", "\r\n").encode("utf-8")
    fields = [("MIME-Version", "1.0"), ("Content-Type", "multipart/mixed; boundary=grenze"),
              ("X-Ort", "Küche, Flur"), ("Content-Transfer-Encoding", "8bit")]
    return Letter(body, fields, to=to, **more)


@case
def eight_bits_reach_Postfix_without_8BITMIME_in_seven():
    box = postfix.seven().box
    letter = parts("carol@seven.test")
    hand_in(letter, "BODY=8BITMIME")
    converted(letter, box)


@case
def eight_bits_reach_Exim_without_8BITMIME_in_seven():
    box = peers.exim4_seven().box
    letter = parts("carol@exim7.test")
    hand_in(letter, "BODY=8BITMIME")
    converted(letter, box)


@case
def eight_bits_reach_servers_with_8BITMIME_as_they_are():
    for box, to in ((postfix.with_tls().box, "carol@postfix.test"), (peers.exim4().box, "carol@exim4.test"),
                    (peers.opensmtpd().box, "carol@opensmtpd-plain.test")):
        letter = parts(to)
        hand_in(letter, "BODY=8BITMIME")
        arrives(letter, box)


@case
def a_bare_text_is_declared_as_what_it_is():
    for body, charset in (("Grüße\r\n".encode(), "utf-8"), (b"Gr\xfc\xdfe\r\n", "windows-1252")):
        letter = Letter(body, to="carol@seven.test")
        box = postfix.seven().box
        hand_in(letter)
        got = converted(letter, box)
        assert contents(got)[0].get_content_charset() == charset, got


@case
def a_header_that_needs_UTF8_for_free_text_only_goes_to_servers_without_SMTPUTF8():
    for box, to in ((postfix.seven().box, "carol@seven.test"), (peers.exim4_seven().box, "carol@exim7.test"),
                    (peers.opensmtpd().box, "carol@opensmtpd-plain.test")):
        letter = Letter("hällo\r\n".encode(), [("Subject", "Grüße, " + "雪" * 60), ("From", "Älice Ö. <alice@relay.test>"),
                                               ("X-Ort", "Küche (ü)")], to=to, without=("Subject", "From"))
        letter.octets = letter.octets.replace(b"\r\n\r\n", b"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                              b"Content-Transfer-Encoding: 8bit\r\n\r\n", 1)
        hand_in(letter, "SMTPUTF8", "BODY=8BITMIME")
        if "opensmtpd" in to:  # with 8BITMIME
            got = crlf(box.one(letter.mark))
            assert contents(got)[1] == contents(letter.octets)[1] and got.split(b"\r\n\r\n")[0].isascii(), got
            assert str(contents(got)[0]["Subject"]) == str(contents(letter.octets)[0]["Subject"])
        else:
            converted(letter, box)


@case
def an_address_that_needs_UTF8_bounces_from_servers_without_SMTPUTF8():
    postfix.seven()
    letter = Letter(fields=[("Cc", "<jörg@relay.test>")], to="carol@seven.test")
    hand_in(letter, "SMTPUTF8")
    failed(relay(), letter, "5.6.7", "Cc field", "SMTPUTF8")


@case
def a_domain_beyond_ASCII_is_reached_by_its_A_label():
    box = postfix.seven().box
    letter = Letter(to="carol@bücher.test")
    letter.octets = letter.octets.replace("bücher".encode(), b"xn--bcher-kva")
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
        s.ehlo()
        s.docmd("MAIL", "FROM:<alice@relay.test> SMTPUTF8")
        s.send(b"RCPT TO:<carol@b\xc3\xbccher.test>\r\n")
        assert s.getreply()[0] == 250
        assert s.data(letter.octets)[0] == 250
    assert b"carol@xn--bcher-kva.test" in box.one(letter.mark)


@case
def a_message_larger_than_the_server_takes_goes_back_with_both_figures():
    postfix.seven()
    letter = Letter(b"x" * 70 + b"\r\n" + b"y" * 998 * 300 + b"\r\n", to="carol@seven.test")
    hand_in(letter)
    failed(relay(), letter, "5.3.4", "0.3 MB", "200000 octets (0.2 MB)")
    # This one would fit as it is.
    letter = Letter("ü".encode() * 70000 + b"\r\n", to="carol@seven.test")
    hand_in(letter)
    failed(relay(), letter, "5.3.4", "0.4 MB", "200000 octets (0.2 MB)")


def log_of(peer, path):
    with open(peer.data + path, errors="replace") as f:
        return f.read()


@case
def a_large_message_goes_to_Postfix_in_chunks():
    letter = Letter(b".\r\n" + b"." * 70 + b"\r\n" + (b"z" * 76 + b"\r\n") * 40000, to="carol@plain.test")
    box = postfix.without_tls().box
    hand_in(letter)
    arrives(letter, box)
    until(lambda: " bdat=" in log_of(postfix.without_tls(), "/var/log/mail.log"), 10, "chunks in the log of Postfix")


@case
def a_large_message_goes_to_Exim_in_chunks():
    letter = Letter(b".\r\n" + b"." * 70 + b"\r\n" + (b"z" * 76 + b"\r\n") * 40000, to="carol@exim4.test")
    box = peers.exim4().box
    hand_in(letter)
    arrives(letter, box)
    line = [x for x in log_of(peers.exim4(), "/var/log/exim4/mainlog").splitlines() if letter.mark in x and " <= " in x]
    assert line and " K " in line[0], line


@case
def long_lines_pass_as_they_are_where_nothing_needs_conversion():
    for size in (5000, 50000):  # by DATA, and in chunks
        letter = Letter(b"x" * size + b"\r\n", to="carol@postfix.test")
        hand_in(letter, "BODY=8BITMIME")
        arrives(letter)


def memory():
    """The most that the relay has ever held, kB."""
    with open("/proc/%d/status" % relay().p.pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


@case
def memory_stays_flat_while_20_MB_are_converted():
    box = peers.exim4_seven().box
    small = parts("carol@exim7.test")
    hand_in(small, "BODY=8BITMIME")
    converted(small, box)
    before = memory()
    letter = Letter("Größe und Maße, viele davon: é\r\n".encode() * 550000, to="carol@exim7.test")
    hand_in(letter, "BODY=8BITMIME")
    converted(letter, box)
    assert memory() - before < 6000, (before, memory())
