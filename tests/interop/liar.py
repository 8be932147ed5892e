"""Name servers by script, for what real ones do not do: fail on demand, fall silent, lie. RFC 1035 section 4."""
import os
import socket
import struct
import threading

from world import DNS

A, SOA, MX = 1, 6, 15
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5


class Question:
    """A query as it came: its id, name and type, and the octets of its question."""

    def __init__(self, octets):
        self.octets, self.id = octets, octets[:2]
        labels, at = [], 12
        while octets[at]:
            labels.append(octets[at + 1:at + 1 + octets[at]].decode())
            at += 1 + octets[at]
        self.name, self.kind = ".".join(labels).lower(), struct.unpack(">H", octets[at + 1:at + 3])[0]
        self.question = octets[12:at + 5]


def encoded(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def record(kind, data, owner=b"\xc0\x0c"):
    """Of the name that was asked for, unless there is another."""
    return owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def address(text):
    return record(A, socket.inet_aton(text))


def exchanger(preference, host):
    return record(MX, struct.pack(">H", preference) + encoded(host))


def reply(question, code=0, records=(), vouched=False):
    """`vouched`: with the SOA that real servers add to a no."""
    soa = encoded("ns.test") + encoded("hostmaster.test") + struct.pack(">5I", 1, 60, 60, 60, 60)
    authority = [record(SOA, soa, encoded("liar.test"))] if vouched else []
    head = struct.pack(">HHHHH", 0x8180 | code, 1, len(records), len(authority), 0)
    return question.id + head + question.question + b"".join([*records, *authority])


def honest(question):
    """What the real name servers say."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect((DNS, 10053))
        s.send(question.octets)
        return s.recv(4096)


def another(question, name=None):
    """The same question with another id, or about another name."""
    if name:
        return Question(question.octets[:12] + encoded(name) + struct.pack(">HH", question.kind, 1))
    return Question(os.urandom(1) + bytes([question.octets[1] ^ 1]) + question.octets[2:])


class Liar:
    """Answers at an address and port, by datagram and by stream, with all that `answer(question)` returns: a list of octets.
    `asked` has the questions."""

    def __init__(self, answer, host, port=10054):
        self.answer, self.asked, self.over = answer, [], False
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, port))
        self.udp.settimeout(0.1)  # nothing else would wake who waits there for the end
        self.tcp = socket.create_server((host, port))
        self.listener = threading.Thread(target=self.by_datagram, daemon=True)
        self.listener.start()
        threading.Thread(target=self.by_stream, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over = True
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()
        self.listener.join()

    def replies(self, octets):
        question = Question(octets)
        self.asked.append((question.name, question.kind))
        return self.answer(question)

    def by_datagram(self):
        with self.udp:
            while not self.over:
                try:
                    octets, peer = self.udp.recvfrom(4096)
                except TimeoutError:
                    continue
                for answer in self.replies(octets):
                    self.udp.sendto(answer, peer)

    def by_stream(self):
        while True:
            try:
                s, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.session, args=(s,), daemon=True).start()

    def session(self, s):
        with s:
            head = s.recv(2)
            octets = s.recv(int.from_bytes(head, "big")) if len(head) == 2 else b""
            for answer in self.replies(octets)[-1:] if octets else []:
                s.sendall(len(answer).to_bytes(2, "big") + answer)
