"""A mail server that does what a case tells it: replies by script, counts, breaks off, speaks odd TLS."""
import os
import socket
import ssl
import threading

from world import HOSTS, MX_PORT, certificate, folder

CLOSE = object()  # as a reply: hang up without a word


def tls_context(kind="rsa:2048", least=None, most=None, curve=None):
    base = os.path.join(folder("tmp"), kind.replace(":", ""))
    if not os.path.exists(base + ".pem"):
        args = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else [kind]
        certificate(base + ".pem", base + ".key", "mx.script.test", *args)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(base + ".pem", base + ".key")
    if least:
        context.minimum_version = least
    if most:
        context.maximum_version = most
    if curve:
        context.set_ecdh_curve(curve)
    return context


class Taken:
    def __init__(self, mail, recipients, octets, tls):
        self.mail, self.recipients, self.octets, self.tls = mail, recipients, octets, tls


class Script:
    """Listens at `name`'s address, or at that address. `answer(server, session, verb, line)` may return a reply, CLOSE, a
    function that is given the socket and says it, or None for the usual reply.

    `tls`: a context for STARTTLS (from the first octet at port 465), a text to say instead of a handshake, or a function that
    is given the socket instead. `cuts`: octets of a message after which the first sessions break off, one each.
    Verbs: CONNECT, the first word of each command, DOT at the end of a message. `taken` has what was accepted."""

    def __init__(self, name, answer=None, tls=None, port=MX_PORT,
                 extensions=("PIPELINING", "8BITMIME", "SIZE", "ENHANCEDSTATUSCODES"), cuts=()):
        self.answer = answer or (lambda *_: None)
        self.tls, self.extensions, self.cuts = tls, extensions, list(cuts)
        self.taken, self.sessions, self.said, self.faults = [], 0, [], []
        self.implicit = port == 465
        host = HOSTS.get(name, name)
        self.server = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        threading.Thread(target=self.listen, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Nobody listens here any more; closing alone would leave the thread that accepts one more session."""
        try:
            self.server.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # stopped already
        self.server.close()

    def listen(self):
        while True:
            try:
                s, _ = self.server.accept()
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=self.session, args=(s, self.sessions), daemon=True).start()

    def session(self, s, number):
        s.settimeout(60)
        try:
            self.converse(s, number)
        except (OSError, ssl.SSLError) as e:
            self.faults.append(str(e))
        finally:
            s.close()

    def reply(self, s, number, verb, line, usual):
        self.said.append((number, line))
        reply = self.answer(self, number, verb, line)
        reply = usual if reply is None else reply
        if reply is CLOSE:
            raise OSError("closed by script")
        if callable(reply):
            return reply(s)
        s.sendall(reply.encode(errors="surrogateescape") + b"\r\n")
        return reply[0] in "23"

    def converse(self, s, number):
        mail, recipients, tls = None, [], None
        if self.implicit:
            s = self.tls.wrap_socket(s, server_side=True)
            tls = (s.version(), s.cipher())
        f = s.makefile("rb")
        self.reply(s, number, "CONNECT", "", "220 script.test ready")
        while True:
            line = f.readline().decode(errors="surrogateescape").rstrip("\r\n")
            verb = line.split(" ")[0].split(":")[0].upper()
            if not line:
                return
            if verb in ("EHLO", "HELO"):
                lines = ["script.test", *self.extensions] + (["STARTTLS"] if self.tls and not tls else [])
                text = "\r\n".join("250%s%s" % ("-" if n < len(lines) - 1 else " ", w) for n, w in enumerate(lines))
                self.reply(s, number, verb, line, text)
            elif verb == "STARTTLS" and self.tls:
                if self.reply(s, number, verb, line, "220 2.0.0 go ahead"):
                    if isinstance(self.tls, str):  # nonsense instead of a handshake
                        s.sendall(self.tls.encode())
                        return
                    if not isinstance(self.tls, ssl.SSLContext):
                        self.tls(s)
                        return
                    s = self.tls.wrap_socket(s, server_side=True)
                    f = s.makefile("rb")
                    tls = (s.version(), s.cipher())
            elif verb == "MAIL":
                if self.reply(s, number, verb, line, "250 2.1.0 sender ok"):
                    mail, recipients = line, []
            elif verb == "RCPT":
                if self.reply(s, number, verb, line, "250 2.1.5 recipient ok"):
                    recipients.append(line)
            elif verb == "DATA":
                usual = "354 go on" if recipients else "554 5.5.1 no valid recipients"
                if self.reply(s, number, verb, line, usual):
                    octets = self.message(f, self.cuts.pop(0) if self.cuts else None)
                    if self.reply(s, number, "DOT", ".", "250 2.0.0 taken as number %d" % (len(self.taken) + 1)):
                        self.taken.append(Taken(mail, recipients, octets, tls))
                    mail, recipients = None, []
            elif verb == "QUIT":
                self.reply(s, number, verb, line, "221 2.0.0 bye")
                return
            elif verb in ("RSET", "NOOP"):
                self.reply(s, number, verb, line, "250 2.0.0 ok")
            else:
                self.reply(s, number, verb, line, "500 5.5.2 unknown")

    @staticmethod
    def message(f, cut):
        octets = b""
        while True:
            line = f.readline()
            if cut is not None and len(octets) + len(line) > cut:
                raise OSError("broken off by script")
            if not line:
                raise OSError("the client closed inside the message")
            if line == b".\r\n":
                return octets
            octets += line[1:] if line.startswith(b".") else line

    def find(self, mark):
        return [t for t in self.taken if mark.encode() in t.octets]
