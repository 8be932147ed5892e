"""Delivery reports (RFC 3464), read with python's own parser."""
import email
import email.policy
import email.utils
import re

from world import until


class Report:
    def __init__(self, octets):
        self.octets = octets
        self.message = email.message_from_bytes(octets, policy=email.policy.default)
        assert self.message.get_content_type() == "multipart/report", self.message.get_content_type()
        words, status, returned = list(self.message.iter_parts())
        self.words = words.get_content()
        kind = status.get_content_type()
        assert kind in ("message/delivery-status", "message/global-delivery-status"), kind
        assert self.message["Content-Type"].params["report-type"] == kind.partition("/")[2], "RFC 6522 section 3"
        blocks = status.get_payload()
        if kind == "message/global-delivery-status":  # python does not know it yet
            octets = self.octets.split(b"\n\n", 1)[1].split(kind.encode())[1].split(b"\n\n", 1)[1].split(b"\n--")[0]
            blocks = [email.message_from_bytes(b, policy=email.policy.default) for b in octets.strip().split(b"\n\n")]
        self.message_fields, self.recipients = blocks[0], blocks[1:]
        self.returned = returned.as_bytes()

    def first_paragraph(self):
        return " ".join(self.words.split("\n\n")[0].split())

    def only(self):
        assert len(self.recipients) == 1, self.recipients
        return self.recipients[0]


# RFC 3464: what may stand once, and what must, in the block about the message and in those about a recipient.
OF_MESSAGE = {"original-envelope-id", "reporting-mta", "dsn-gateway", "received-from-mta", "arrival-date"}
OF_RECIPIENT = {"original-recipient", "final-recipient", "action", "status", "remote-mta", "diagnostic-code",
                "last-attempt-date", "final-log-id", "will-retry-until"}
DATES = {"arrival-date", "last-attempt-date", "will-retry-until"}
# Section 2.3.3: the class of the status that goes with an action.
CLASSES = {"failed": "5", "delayed": "4", "delivered": "2", "relayed": "2", "expanded": "2"}


def fields_of(block, known, needed):
    """The fields of a block by name, each looked at by itself."""
    names = [name.lower() for name in block.keys()]
    assert len(names) == len(set(names)), "twice: %s" % names
    assert needed <= set(names), names
    assert all(name in known or name.startswith("x-") for name in names), names
    fields = {name.lower(): " ".join(str(value).split()) for name, value in block.items()}
    for name in DATES & set(names):
        assert email.utils.parsedate_to_datetime(fields[name]).year >= 2024, fields[name]
    return fields


def lint(r):
    """Every field of a report of ours against RFC 3464, RFC 3461 and RFC 6522; the header against RFC 3834."""
    about = fields_of(r.message_fields, OF_MESSAGE, {"reporting-mta", "arrival-date"})
    assert re.fullmatch(r"dns; [a-z0-9.-]+", about["reporting-mta"]), about
    assert r.recipients
    for block in r.recipients:
        one = fields_of(block, OF_RECIPIENT, {"final-recipient", "action", "status"})
        for name in ("original-recipient", "final-recipient"):
            assert name not in one or re.fullmatch(r"(rfc822|utf-8); \S+@\S+", one[name]), one
        assert re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", one["status"]), one
        assert CLASSES[one["action"]] == one["status"][0], one
        assert ("will-retry-until" in one) == (one["action"] == "delayed"), one
        if "remote-mta" in one:
            assert re.fullmatch(r"dns; \S+( \(\[[0-9a-f.:]+\]\))?", one["remote-mta"]), one
        kind, _, words = one.get("diagnostic-code", "").partition("; ")
        assert kind in ("", "smtp", "X-Waypost") and (kind == "smtp") == ("remote-mta" in one), one
        assert kind != "smtp" or re.match(r"[2-5]\d\d|the server|a reply|given up|login|TLS", words), one
    head = r.message
    for name in ("Date", "From", "To", "Subject", "Message-ID", "MIME-Version"):
        assert len(head.get_all(name, [])) == 1, name
    assert head["From"].addresses[0].username == "MAILER-DAEMON" and head["Auto-Submitted"] == "auto-replied"
    assert all(len(line) <= 998 for line in r.octets.split(b"\n"))
    assert r.first_paragraph().startswith("Your message") and len(r.first_paragraph()) < 500, r.first_paragraph()
    assert all(len(line) <= 78 or " " not in line for line in r.words.splitlines() if not line.startswith("    ")), r.words


def report(box, mark, seconds=25):
    """The only report about the message with the mark."""
    def found():
        return [m for m in box.find(mark) if b"multipart/report" in m]
    until(found, seconds, "a report about %s" % mark)
    reports = found()
    assert len(reports) == 1, "%d reports" % len(reports)
    r = Report(reports[0])
    assert b"Return-Path: <>" in r.octets, r.octets[:300]
    assert mark.encode() in r.returned, "the report does not return the message"
    assert r.message["Auto-Submitted"], "RFC 3834"
    if b"X-Waypost-Queue-Id" in r.octets:
        lint(r)
    return r


def failed(relay, letter, status, *words):
    """Alice got one report that the letter failed so, with these words."""
    r = report(relay.maildir("alice"), letter.mark)
    fields = r.only()
    assert fields["Action"] == "failed" and fields["Status"] == status, (fields["Action"], fields["Status"])
    text = r.words + str(fields["Diagnostic-Code"])
    for w in words:
        assert w in text, (w, text)
    return fields
