"""Delivery reports (RFC 3464), read with python's own parser."""
import email
import email.policy

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

    def only(self):
        assert len(self.recipients) == 1, self.recipients
        return self.recipients[0]


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
