"""Messages to send, and the comparison with what arrived, octet by octet."""
import itertools
import os
import socket
import ssl

_numbers = itertools.count(1)
TRACE = (b"received", b"return-path", b"delivered-to", b"x-original-to", b"envelope-to", b"delivery-date")


class Letter:
    """A message with CRLF line ends and a mark by which it is found again."""

    def __init__(self, body=b"Hello,\r\n\r\nall is well.\r\n", fields=(), sender="alice@relay.test", to="carol@postfix.test",
                 without=()):
        self.mark = "mark-%d-%05d" % (os.getpid(), next(_numbers))
        self.sender, self.to = sender, to
        self.id = "<%s@sender.test>" % self.mark
        header = [
            ("Date", "Sun, 1 Nov 2026 10:00:00 +0100"),
            ("From", "Alice <alice@relay.test>"),
            ("To", "Somebody <%s>" % to),
            ("Subject", "about %s" % self.mark),
            ("Message-ID", self.id),
            ("X-Odd", "kept   as it\r\n\tis: \"quoted\"  "),
        ]
        header = [h for h in header if h[0] not in without] + list(fields)
        text = "".join("%s: %s\r\n" % h for h in header).encode()
        self.octets = text + b"\r\n" + body

    def lf(self):
        """As a program on Unix has it."""
        return self.octets.replace(b"\r\n", b"\n")


def parts(octets):
    """Header fields, each with its folded lines, and the body."""
    if octets.startswith(b"\r\n"):
        return [], octets[2:]
    header, gap, body = octets.partition(b"\r\n\r\n")
    assert gap, "no end of the header: %r" % octets[:200]
    fields = []
    for line in header.split(b"\r\n"):
        if line[:1] in b" \t" and fields:
            fields[-1] += b"\r\n" + line
        else:
            fields.append(line)
    return fields, body


def name(field):
    return field.partition(b":")[0].strip().lower()


def crlf(octets):
    """What lies in a Maildir, with the line ends of the wire."""
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def same(sent, got, added=(), removed=(), by=b"relay.test", end=b""):
    """Fail unless `got` is `sent` behind fields of trace, with the fields named in `added` and without those in `removed`.

    `end`: what the peer that stored it puts behind every message."""
    sent_fields, sent_body = parts(sent)
    fields, body = parts(crlf(got))
    if end and body != sent_body and body == sent_body + end:
        body = sent_body
    if body != sent_body:
        at = next((n for n, (a, b) in enumerate(zip(body, sent_body)) if a != b), min(len(body), len(sent_body)))
        raise AssertionError("the body differs at octet %d: sent %d octets %r, got %d octets %r" % (
            at, len(sent_body), sent_body[at - 20 if at > 20 else 0:at + 40], len(body), body[at - 20 if at > 20 else 0:at + 40]))
    trace = list(itertools.takewhile(lambda f: name(f) in TRACE, fields))
    rest = fields[len(trace):]
    expected = [f for f in sent_fields if name(f) not in [r.lower().encode() for r in removed]]
    for a in added:
        found = [f for f in rest if name(f) == a.lower().encode()]
        assert len(found) == 1, "%s was not added once: %r" % (a, rest)
        rest.remove(found[0])
    assert rest == expected, "the header differs:\n sent %r\n  got %r" % (expected, rest)
    ours = [f for f in trace if name(f) == b"received" and b"by " + by in f]
    assert len(ours) == 1, "%d Received fields of the relay: %r" % (len(ours), trace)
    return ours[0].decode()


class Raw:
    """A conversation by hand."""

    def __init__(self, port, host="127.0.0.1", source=None):
        self.s = socket.create_connection((host, port), 15, (source, 0) if source else None)
        self.f = self.s.makefile("rb")

    def reply(self):
        """The next reply, its lines joined; empty where the peer has closed."""
        lines = []
        while True:
            line = self.f.readline().decode(errors="replace")
            lines.append(line.rstrip("\r\n"))
            if len(line) < 4 or line[3] != "-":
                return "\n".join(lines)

    def send(self, octets):
        self.s.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def say(self, line, expect=None):
        self.send(line + "\r\n")
        reply = self.reply()
        assert expect is None or reply.startswith(expect), "%s: %s, wanted %s" % (line, reply, expect)
        return reply

    def last(self, line):
        """The reply to what the peer may have hung up before."""
        try:
            return self.say(line)
        except OSError:
            return ""

    def hello(self, name="client.test"):
        greeting = self.reply()
        assert greeting.startswith("220 "), greeting
        return self.say("EHLO " + name, "250")

    def envelope(self, sender, *recipients):
        self.say("MAIL FROM:<%s>" % sender, "250")
        for r in recipients:
            self.say("RCPT TO:<%s>" % r, "250")

    def starttls(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.s = context.wrap_socket(self.s)
        self.f = self.s.makefile("rb")

    def close(self):
        self.f.close()
        self.s.close()
