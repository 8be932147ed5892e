"""Clients that hand Waypost a message, which must arrive as it was, octet by octet."""
import os
import smtplib
import ssl
from email.message import EmailMessage

import peers
import postfix
from cases import case
from letters import Letter, Raw, crlf, parts, same
from waypost import relay
from world import folder, run, until


def ready(*addresses):
    """Start the mail servers of these addresses, so that the first attempt finds them."""
    for address in addresses:
        start = {"postfix.test": postfix.with_tls, "plain.test": postfix.without_tls, "exim4.test": peers.exim4}
        start.get(address.rpartition("@")[2], lambda: None)()


def file_of(letter, octets=None):
    path = os.path.join(folder("tmp"), letter.mark)
    with open(path, "wb") as f:
        f.write(letter.octets if octets is None else octets)
    return path


def arrives(letter, box=None, **more):
    box = box or postfix.with_tls().box
    return same(letter.octets, box.one(letter.mark), **more)


def any_tls():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def swaks(letter, port, *options):
    # swaks ends the message with a line end of its own
    path = file_of(letter, letter.octets[:-2])
    ready(letter.to)
    return run(["swaks", "--server", "127.0.0.1:%d" % port, "--from", letter.sender, "--to", letter.to, "--data", "@" + path,
                *options])


@case
def swaks_sends_and_Postfix_gets_the_same_octets():
    letter = Letter()
    swaks(letter, relay().smtp)
    arrives(letter)


@case
def swaks_sends_over_STARTTLS():
    letter = Letter()
    assert "TLS started" in swaks(letter, relay().smtp, "--tls")
    assert "ESMTPS" in arrives(letter)


@case
def swaks_pipelines():
    letter = Letter()
    swaks(letter, relay().smtp, "--pipeline")
    arrives(letter)


def curl(letter, url, *options, recipients=()):
    args = ["curl", "-sS", "--max-time", "30", "--url", url, "--mail-from", letter.sender, "--upload-file", file_of(letter)]
    ready(letter.to, *recipients)
    for r in recipients or [letter.to]:
        args += ["--mail-rcpt", r]
    return run([*args, *options])


@case
def curl_sends_to_three_recipients():
    letter = Letter()
    curl(letter, "smtp://127.0.0.1:%d" % relay().smtp, recipients=["a@postfix.test", "b@plain.test", "alice@relay.test"])
    arrives(letter)
    arrives(letter, postfix.without_tls().box)
    arrives(letter, relay().maildir("alice"))


@case
def curl_sends_over_STARTTLS_and_over_implicit_TLS():
    first, second = Letter(), Letter()
    curl(first, "smtp://127.0.0.1:%d" % relay().smtp, "--ssl-reqd", "-k")
    curl(second, "smtps://127.0.0.1:%d" % relay().submissions, "-k", "--user", "alice:wonderland")
    arrives(first)
    arrives(second)


@case
def msmtp_sends_with_login_and_TLS():
    for auth in ("plain", "login"):
        letter = Letter()
        run(["msmtp", "-C", "/dev/null", "--host=127.0.0.1", "--port=%d" % relay().submission, "--from=" + letter.sender, "--tls=on",
             "--tls-certcheck=off", "--auth=" + auth, "--user=alice", "--passwordeval=echo wonderland", letter.to],
            stdin=letter.lf())
        assert "ESMTPSA" in arrives(letter)


def python(letter, octets=None, to=None, **options):
    return hand_in(relay(), letter, octets, to, **options)


def hand_in(w, letter, octets=None, to=None, **options):
    ready(*(to or [letter.to]))
    with smtplib.SMTP("127.0.0.1", w.smtp, timeout=30) as s:
        return s.sendmail(letter.sender, to or [letter.to], letter.octets if octets is None else octets, **options)


@case
def python_sends_to_three_recipients():
    letter = Letter()
    assert python(letter, to=["a@postfix.test", "b@plain.test", "bob@relay.test"]) == {}
    arrives(letter)
    arrives(letter, postfix.without_tls().box)
    arrives(letter, relay().maildir("bob"))


@case
def dots_at_line_starts_and_long_lines_arrive_unchanged():
    body = b".\r\n..\r\n...\r\n.x\r\n" + b"y" * 990 + b"\r\n." + b"z" * 989 + b"\r\n\r\n\r\n \t\r\n.\r\n"
    letter = Letter(body)
    python(letter)
    arrives(letter)


@case
def an_empty_body_and_a_missing_last_line_end_arrive():
    letter = Letter(b"")
    python(letter)
    arrives(letter)
    letter = Letter(b"no end of line")
    python(letter)
    letter.octets += b"\r\n"  # SMTP has no lines without end
    arrives(letter)


@case
def eight_bit_text_arrives_unchanged():
    letter = Letter("Grüße aus Köln, 水\r\n".encode() + bytes(range(0x80, 0x100)) + b"\r\n",
                    [("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8"), ("Content-Transfer-Encoding", "8bit")])
    python(letter, mail_options=["BODY=8BITMIME"])
    arrives(letter)


@case
def internationalised_addresses_and_header_arrive_unchanged():
    letter = Letter(fields=[("Comments", "Привет, 世界")], to="josé@postfix.test")
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=30) as s:
        s.ehlo()
        s.sendmail(letter.sender, [letter.to], letter.octets, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    arrives(letter)
    assert "Delivered-To: josé@postfix.test" in postfix.with_tls().box.one(letter.mark).decode()


@case
def an_attachment_of_5_MB_arrives_unchanged():
    letter = Letter()
    m = EmailMessage()
    m["From"], m["To"], m["Subject"], m["Date"] = letter.sender, letter.to, letter.mark, "Sun, 1 Nov 2026 10:00:00 +0100"
    m["Message-ID"] = letter.id
    m.set_content("See attachment.")
    m.add_attachment(os.urandom(5_000_000), maintype="application", subtype="octet-stream", filename="noise.bin")
    letter.octets = m.as_bytes(policy=m.policy.clone(linesep="\r\n"))
    with smtplib.SMTP("127.0.0.1", relay().smtp, timeout=60) as s:
        s.send_message(m)
    arrives(letter)


@case
def python_logs_in_with_PLAIN_and_with_LOGIN():
    for way in ("PLAIN", "LOGIN"):
        letter = Letter()
        with smtplib.SMTP("127.0.0.1", relay().submission, timeout=30) as s:
            s.starttls(context=any_tls())
            s.ehlo()
            s.user, s.password = "alice", "wonderland"
            code, text = s.auth(way, s.auth_plain if way == "PLAIN" else s.auth_login)
            assert code == 235, text
            s.sendmail(letter.sender, [letter.to], letter.octets)
        arrives(letter)


@case
def smtp_source_of_Postfix_sends_200_messages_over_five_sessions():
    letter = Letter()
    run(postfix.tool("smtp-source") + ["-c", "-s", "5", "-m", "200", "-l", "3000", "-f", letter.sender, "-t", "carol@postfix.test",
                                             "-S", letter.mark, "inet:127.0.0.1:%d" % relay().smtp])
    box = postfix.with_tls().box
    until(lambda: len(box.find(letter.mark)) >= 200, 40, "200 messages")
    relay().empty()
    found = box.find(letter.mark)
    assert len(found) == 200, "%d arrived" % len(found)
    assert len({parts(crlf(m))[1] for m in found}) == 1, "bodies differ"


def through(peer, letter, mail_options=(), rcpt_options=()):
    ready(letter.to)
    with smtplib.SMTP(peer.host, peer.port, timeout=30) as s:
        s.ehlo()
        s.sendmail(letter.sender, [letter.to], letter.octets, mail_options, rcpt_options)


@case
def Postfix_relays_through_us_over_STARTTLS():
    peer = postfix.sender(("127.0.0.1", relay().smtp))
    letters = [Letter(b".\r\nbody %d\r\n" % n) for n in range(10)]
    for letter in letters:
        through(peer, letter)
    for letter in letters:
        assert "ESMTPS" in arrives(letter)


@case
def Postfix_hands_us_DSN_parameters_and_internationalised_addresses():
    peer = postfix.sender(("127.0.0.1", relay().smtp))
    letter = Letter("Grüße\r\n".encode(), to="jürgen@postfix.test")
    through(peer, letter, ["SMTPUTF8", "BODY=8BITMIME", "ENVID=env-%s" % letter.mark, "RET=HDRS"],
            ["NOTIFY=SUCCESS,FAILURE", "ORCPT=utf-8;jürgen@postfix.test"])
    box = postfix.with_tls().box
    until(lambda: box.find("Original-Envelope-Id: env-%s" % letter.mark), 25, "the report of Postfix")
    arrived = [m for m in box.find(letter.mark) if b"multipart/report" not in m]
    assert len(arrived) == 1
    # Postfix is one of ours here, and the text says nothing of its characters.
    same(letter.octets, arrived[0], added=("MIME-Version", "Content-Type", "Content-Transfer-Encoding"))


@case
def OpenSMTPD_relays_through_us_over_STARTTLS():
    peer = peers.opensmtpd_sender(("127.0.0.1", relay().smtp))
    letter = Letter(b".\r\n..dots\r\n\r\nend\r\n")
    through(peer, letter)
    assert "ESMTPS" in arrives(letter)


@case
def Exim_relays_through_us_with_BDAT_over_STARTTLS():
    peer = peers.exim4_sender(("127.0.0.1", relay().smtp))
    letter = Letter(b".\r\n..dots\r\n\r\n" + b"x" * 900 + b"\r\n")
    through(peer, letter)
    assert "ESMTPS" in arrives(letter)
    log = until(lambda: [line for line in open(peer.data + "/var/log/exim4/mainlog") if letter.to in line and "=>" in line], 10)
    assert " K " in log[0], log  # Exim's mark for CHUNKING


@case
def BDAT_in_odd_pieces_arrives_unchanged():
    letter = Letter(b".\r\n\r\n.\r\nleading dots are only dots here\r\n")
    c = Raw(relay().smtp)
    assert "CHUNKING" in c.hello()
    c.envelope(letter.sender, letter.to)
    rest = letter.octets
    for size in (1, 0, 57, 300):
        piece, rest = rest[:size], rest[size:]
        c.send(b"BDAT %d\r\n" % len(piece) + piece)
        assert c.reply().startswith("250"), size
    c.send(b"BDAT %d LAST\r\n" % len(rest) + rest)
    assert c.reply().startswith("250")
    c.close()
    arrives(letter)


@case
def a_whole_session_in_one_write_is_answered_in_order():
    letter = Letter()
    c = Raw(relay().smtp)
    c.reply()
    c.send("EHLO x.test\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nRCPT TO:<nobody@>\r\nNOOP\r\nBDAT %d LAST\r\n" % (
        letter.sender, letter.to, len(letter.octets)))
    c.send(letter.octets + b"RSET\r\nQUIT\r\n")
    replies = [c.reply()[:3] for _ in range(8)]
    assert replies == ["250", "250", "250", "553", "250", "250", "250", "221"], replies
    arrives(letter)
