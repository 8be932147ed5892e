"""What a stranger tries: relaying, smuggling, injecting before TLS, bare line ends, floods. Nothing of it may arrive."""
from cases import case
from letters import Letter, Raw
from waypost import Waypost, relay
from world import run, until

STRANGER = "127.7.0.200"
SMUGGLED = "MAIL FROM:<eve@evil.test>\r\nRCPT TO:<alice@relay.test>\r\nDATA\r\nSubject: second %s\r\n\r\nsmuggled\r\n.\r\n"
ENDS = ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r\r\n.\r\r\n", "\n\n.\n\n", "\r\n\0.\r\n", "\r\n.\0\r\n", "\n\r.\n\r",
        "\x85.\x85", "\u2028.\u2028"]


@case
def a_stranger_may_not_relay():
    r = run(["swaks", "--server", "127.0.0.1:%d" % relay().smtp, "--local-interface", STRANGER, "--from", "eve@evil.test", "--to",
             "carol@postfix.test"], check=False)
    assert "550 5.7.1" in r, r
    relay().logged("carol@postfix.test", "5.7.1")


@case
def a_stranger_may_not_relay_by_any_old_trick():
    c = Raw(relay().smtp, source=STRANGER)
    c.hello()
    c.say("MAIL FROM:<alice@relay.test>")
    for to in ("carol%postfix.test@relay.test", "postfix.test!carol@relay.test", "@relay.test:carol@postfix.test",
               '"carol@postfix.test"@relay.test', "carol@postfix.test@relay.test", "carol@[127.7.0.2]", '"carol@postfix.test"'):
        reply = c.say("RCPT TO:<%s>" % to)
        assert reply[0] == "5", (to, reply)
    c.close()


@case
def a_stranger_may_write_to_a_local_user_only():
    letter = Letter(sender="eve@evil.test", to="alice@relay.test")
    c = Raw(relay().smtp, source=STRANGER)
    c.hello()
    c.envelope(letter.sender, letter.to)
    reply = c.say("RCPT TO:<nosuchuser@relay.test>")
    assert reply.startswith("550 5.1.1"), reply
    c.say("DATA", "354")
    c.send(letter.octets + b".\r\n")
    assert c.reply().startswith("250")
    relay().maildir("alice").one(letter.mark)


@case
def no_smuggling_variant_passes():
    box = relay().maildir("alice")
    for source in (STRANGER, "127.0.0.1"):
        for end in ENDS:
            letter = Letter()
            c = Raw(relay().smtp, source=source)
            c.hello()
            c.envelope("eve@evil.test", "alice@relay.test")
            c.say("DATA", "354")
            c.send(b"Subject: first %s\r\n\r\ntext" % letter.mark.encode() + end.encode() + (SMUGGLED % letter.mark).encode())
            reply = c.reply()
            harmless = end[0] in "\x85\u2028"  # no line end for anyone: text of the first message
            assert harmless or reply[:1] == "5", (end, reply)
            # What follows is either a closed connection or the answer to QUIT: there was no second message.
            last = c.last("QUIT")
            assert last[:3] in ("", "221"), (end, reply, last)
            c.close()
            assert not [m for m in box.find(letter.mark) if b"\nSubject: first" not in m], end
    barrier = Letter(to="alice@relay.test")
    c = Raw(relay().smtp)
    c.hello()
    c.envelope(barrier.sender, barrier.to)
    c.say("DATA", "354")
    c.send(barrier.octets + b".\r\n")
    c.reply()
    box.one(barrier.mark)
    for m in box.find("smuggled"):
        assert b"\nSubject: first" in m, m


@case
def a_bare_line_feed_is_refused_with_clear_words():
    for octets in (b"Subject: a\n\nbody\r\n", b"Subject: a\r\n\r\nbody\nmore\r\n", b"Subject: a\r\n\r\nbody\rmore\r\n"):
        c = Raw(relay().smtp)
        c.hello()
        c.envelope("alice@relay.test", "alice@relay.test")
        c.say("DATA", "354")
        c.send(octets + b".\r\n")
        reply = c.reply()
        assert reply[0] == "5" and "line" in reply.lower(), reply
        c.close()


@case
def commands_injected_before_the_TLS_handshake_are_discarded():
    c = Raw(relay().smtp)
    c.hello()
    c.send("STARTTLS\r\nMAIL FROM:<injected@evil.test>\r\nRCPT TO:<alice@relay.test>\r\n")
    reply = c.reply()
    if reply.startswith("220"):
        c.starttls()
        assert "250" in c.say("EHLO x.test", "250")
        assert c.say("RCPT TO:<alice@relay.test>").startswith("503")
    else:
        assert reply[0] == "5", reply
    c.close()


@case
def errors_without_end_close_the_session():
    c = Raw(relay().smtp, source=STRANGER)
    c.hello()
    replies = []
    for _ in range(40):
        try:
            replies.append(c.say("NONSENSE"))
        except OSError:
            break
        if not replies[-1] or replies[-1].startswith("421"):
            break
    assert len(replies) < 30, replies[-1]
    assert any(r.startswith("421") for r in replies), replies


@case
def VRFY_tells_nothing():
    c = Raw(relay().smtp, source=STRANGER)
    c.hello()
    assert c.say("VRFY alice") == c.say("VRFY nobody")
    assert c.say("EXPN root")[0] == "5"
    c.close()


@case
def too_many_connections_from_one_address_leave_the_others_room():
    w = Waypost("many", {"limits": {"sessions_per_address": 4}})
    open_ones = [Raw(w.smtp, source="127.7.0.210") for _ in range(4)]
    for c in open_ones:
        c.hello()
    refused = Raw(w.smtp, source="127.7.0.210")
    assert refused.reply().startswith("421 4."), "a fifth connection"
    other = Raw(w.smtp, source="127.7.0.211")
    other.hello()
    for c in open_ones:
        c.say("QUIT", "221")
        c.close()
    until(lambda: Raw(w.smtp, source="127.7.0.210").reply().startswith("220"), 5, "room again")


@case
def a_client_that_vanishes_inside_a_message_has_sent_nothing():
    letter, whole = Letter(to="alice@relay.test"), Letter(to="alice@relay.test")
    c = Raw(relay().smtp)
    c.hello()
    c.envelope(letter.sender, letter.to)
    c.say("DATA", "354")
    c.send(letter.octets)
    c.close()
    c = Raw(relay().smtp)
    c.hello()
    c.envelope(whole.sender, whole.to)
    c.say("DATA", "354")
    for n in range(0, len(whole.octets), 7):  # in odd pieces, the dot too
        c.send(whole.octets[n:n + 7])
    for octet in b".\r\n":
        c.send(bytes([octet]))
    assert c.reply().startswith("250")
    relay().maildir("alice").one(whole.mark)
    assert not relay().maildir("alice").find(letter.mark)
