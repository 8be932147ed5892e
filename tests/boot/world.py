"""The world around a board, on this machine's loopback, where the guest finds it at 10.0.2.2: a mail server that keeps what
comes, a name server that says it is the one for everybody, time servers."""
import smtplib
import socket
import socketserver
import struct
import threading
import time

SECONDS_1900_TO_1970 = 2_208_988_800


class Sink:
    """A mail server for everybody."""

    def __init__(self):
        self.messages, self.lock, self.refuse = [], threading.Lock(), False
        sink = self

        class Session(socketserver.StreamRequestHandler):
            timeout = 60

            def handle(self):
                def say(words):
                    self.wfile.write(words.encode() + b"\r\n")
                say("220 sink.test ESMTP")
                while line := self.rfile.readline(4096):
                    word = line.strip().upper()
                    if sink.refuse:
                        say("421 4.3.2 not now")
                        return
                    if word.startswith(b"EHLO"):
                        say("250 sink.test")
                    elif word == b"DATA":
                        say("354 go on")
                        octets = b""
                        while (part := self.rfile.readline(65536)) not in (b".\r\n", b""):
                            octets += part[1:] if part.startswith(b".") else part
                        if part:
                            with sink.lock:
                                sink.messages.append(octets.decode(errors="replace"))
                            say("250 2.0.0 kept")
                    elif word == b"QUIT":
                        say("221 2.0.0 bye")
                        return
                    else:
                        say("250 2.0.0 ok")

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Session)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def subjects(self):
        with self.lock:
            return [line[9:].strip() for text in self.messages for line in text.splitlines() if line.startswith("Subject: ")]

    def find(self, subject):
        with self.lock:
            return next((text for text in self.messages if "Subject: %s\n" % subject in text.replace("\r", "")), None)


class Datagrams:
    """A server of datagrams; `answer` is given one and returns one, or nothing."""

    def __init__(self, answer):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port, self.answer = self.socket.getsockname()[1], answer
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            octets, peer = self.socket.recvfrom(2048)
            answer = self.answer(octets)
            if answer:
                self.socket.sendto(answer, peer)


def names():
    """MX of everything is mx.test, and the address of everything is this machine's (RFC 1035)."""
    def answer(asked):
        end = asked.index(b"\0", 12) + 5
        kind = struct.unpack(">H", asked[end - 4:end - 2])[0]
        record = {1: b"\x0a\0\x02\x02", 15: b"\0\x0a\x02mx\x04test\0"}.get(kind)
        head = asked[:2] + b"\x81\x80\0\x01" + (b"\0\x01" if record else b"\0\0") + b"\0\0\0\0"
        told = b"" if record is None else b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(record)) + record
        return head + asked[12:end] + told
    return Datagrams(answer)


def clock(ahead=0.0):
    """A time server (RFC 4330) that is `ahead` seconds off."""
    def answer(asked):
        now = time.time() + ahead + SECONDS_1900_TO_1970
        stamp = struct.pack(">II", int(now) & 0xFFFFFFFF, int(now % 1 * 2**32))
        return struct.pack(">BBbb", 0x24, 2, 6, -20) + bytes(8) + b"TEST" + stamp + asked[40:48] + stamp + stamp
    return Datagrams(answer)


def submit(board, subject, octets=500, port=25, to="someone@example.org"):
    """Hand a message over as a device does; returns once it is acknowledged."""
    with smtplib.SMTP("127.0.0.1", board.ports[port], timeout=60) as client:
        client.sendmail("camera@home.test", [to],
                        "From: camera@home.test\r\nTo: %s\r\nSubject: %s\r\n\r\n%s\r\n" % (to, subject, "x" * octets))
