"""Name servers by script, for what real ones do not do: fail on demand, fall silent, lie."""
import socket
import threading

import dns.entropy
import dns.message
import dns.query
import dns.rcode
import dns.rrset

from world import DNS

SOA = "ns.test. hostmaster.test. 1 60 60 60 60"


def name_of(query):
    return query.question[0].name.to_text()


def reply(query, code=dns.rcode.NOERROR, records=(), soa=False):
    """An answer; `records` as ("A", "127.7.0.9"), of the name that was asked for."""
    answer = dns.message.make_response(query, recursion_available=True)
    answer.set_rcode(code)
    for kind, data in records:
        answer.answer.append(dns.rrset.from_text(name_of(query), 60, "IN", kind, data))
    if soa:
        answer.authority.append(dns.rrset.from_text("test.", 60, "IN", "SOA", SOA))
    return answer.to_wire()


def honest(query):
    """What the real name servers say."""
    question = dns.message.from_wire(query.to_wire())
    question.id = dns.entropy.random_16()
    answer = dns.query.udp(question, DNS, port=10053, timeout=5)
    answer.id = query.id
    return answer.to_wire()


class Liar:
    """Answers at an address and port, by datagram and by stream, with all that `answer(query)` returns: a list of octets.
    `asked` has the questions."""

    def __init__(self, answer, host, port=10054):
        self.answer, self.asked = answer, []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, port))
        self.tcp = socket.create_server((host, port))
        for serve in (self.by_datagram, self.by_stream):
            threading.Thread(target=serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # a datagram socket has no connection to end
            s.close()

    def replies(self, octets):
        query = dns.message.from_wire(octets)
        self.asked.append((name_of(query), query.question[0].rdtype.name))
        return self.answer(query)

    def by_datagram(self):
        while True:
            try:
                octets, peer = self.udp.recvfrom(4096)
                if not octets and self.udp.fileno() < 0:
                    return
                for answer in self.replies(octets):
                    self.udp.sendto(answer, peer)
            except OSError:
                return

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
            if octets:
                for answer in self.replies(octets)[-1:]:
                    s.sendall(len(answer).to_bytes(2, "big") + answer)
