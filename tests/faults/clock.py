"""The date is wrong, and changes by decades under way: boards without a battery start in 1970, and people set clocks.
libfaketime lies about the date only; the monotonic clock is the machine's."""
import email
import email.utils
import glob
import os
import signal
import time

from cases import case, slow_case
from ground import Letter, Relay, Script, folder, hand_over, losses, tell, until

DAY = 86_400
YEAR = 365 * DAY
PATIENT = {"retry": {"first": "1s", "max": "2s", "lifetime": "2h", "warn_after": "1h"}}


class Clock:
    """The date that a relay sees: the real one and so many seconds."""

    def __init__(self, name):
        self.file = os.path.join(folder("tmp"), name + ".clock")
        library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")[0]
        self.prefix = ["env", "LD_PRELOAD=" + library, "FAKETIME_TIMESTAMP_FILE=" + self.file, "FAKETIME_NO_CACHE=1",
                       "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"]

    def set(self, seconds):
        with open(self.file + ".new", "w") as f:
            f.write("%+d" % seconds)
        os.rename(self.file + ".new", self.file)

    def unset(self):
        """A board that was just switched on."""
        self.set(600 - int(time.time()))


class Refusing(Script):
    """A server that says "later" until it is told otherwise."""

    def __init__(self, name):
        self.open = False
        super().__init__(name, lambda *a: None if self.open or a[2] != "RCPT" else "451 4.7.1 later")

    def attempts(self):
        return sum(line.startswith("RCPT") for _, line in self.said)


def dates(octets):
    """The dates of the Received field of the relay (None where it has none) and of the message."""
    message = email.message_from_bytes(octets)
    ours = [r for r in message.get_all("Received", []) if "(Waypost)" in r][0]
    date = ours.rpartition(";")[2] if ";" in ours else None
    return date and email.utils.parsedate_to_datetime(date), message["Date"]


def arrived(server, w, letter):
    until(lambda: server.find(letter.mark), 30, letter.mark)
    return dates(server.find(letter.mark)[0].octets)


def sent(w, letters, **more):
    letters.append(Letter(to="carol@far.test", **more))
    assert hand_over(w, letters[-1]).startswith("250")
    return letters[-1]


@slow_case
def a_date_that_jumps_by_decades_and_back_expires_nothing_and_makes_no_storm():
    clock, letters = Clock("jumps"), []
    clock.unset()
    with Refusing("s36") as server:
        w = Relay("jumps", "s36", PATIENT, clock.prefix)
        assert w.status()["now"] is None and w.problems("clock"), w.status()
        unset = sent(w, letters, without=("Date",))
        for jump in (0, 50 * YEAR, 50 * YEAR - DAY, -DAY, None, 0):
            clock.unset() if jump is None else clock.set(jump)
            sent(w, letters)
            until(lambda: not any(m["attempts"] < 1 for m in w.queue()), 10, "a first attempt")
            before, began = server.attempts(), time.time()
            time.sleep(4)
            most = len(letters) * ((time.time() - began) / 0.75 + 1)
            assert 0 < server.attempts() - before <= most, (jump, server.attempts() - before, most)
            assert len(w.queue()) == len(letters), "%s: %d wait of %d" % (jump, len(w.queue()), len(letters))
        # The power goes while the date is right, and comes back in 1970.
        w.down(signal.SIGKILL)
        clock.unset()
        w.up()
        time.sleep(3)
        clock.set(0)
        time.sleep(3)
        assert len(w.queue()) == len(letters), w.queue()
        server.open = True
        w.drained()
        time.sleep(0.1)
        wrong = losses(letters, [], [t.octets for t in server.taken], dated=[unset])
        assert not wrong, wrong[:3]
        assert not w.maildir("alice").files(), "a report was sent: %s" % w.maildir("alice").messages()[:1]
        ours, date = arrived(server, w, unset)
        assert ours is None, "a date of 1970: %s" % ours
        # It had none and has waited for one.
        age = time.time() - email.utils.parsedate_to_datetime(date).timestamp()
        assert abs(age) < 120, date
        for letter, year in zip(letters[1:], (0, 50, 50, 0, None, 0)):
            ours, _ = arrived(server, w, letter)
            real = time.gmtime().tm_year
            assert (ours is None) if year is None else (ours and abs(ours.year - real - year) <= 1), (ours, year)
        tell("%d attempts for %d messages" % (server.attempts(), len(letters)))


@case
def reports_of_a_relay_without_a_date_have_none_and_later_ones_the_right_one():
    clock = Clock("reports")
    clock.unset()
    with Script("s37", lambda *a: "550 5.1.1 nobody" if a[2] == "RCPT" else None):
        w = Relay("reports", "s37", PATIENT, clock.prefix)
        for n, jump in enumerate((None, 0)):
            if jump is not None:
                clock.set(jump)
            letter = Letter(to="nobody@far.test", sender="alice@relay.test")
            assert hand_over(w, letter).startswith("250")
            until(lambda: len(w.maildir("alice").files()) == n + 1, 15, "the report")
            report = next(m for m in w.maildir("alice").messages() if letter.mark.encode() in m)
            assert b"1970" not in report, report
            message = email.message_from_bytes(report)
            status = message.get_payload()[1].as_string()
            if jump is None:
                assert message["Date"] is None and "Arrival-Date" not in status, report
            else:
                age = time.time() - email.utils.parsedate_to_datetime(message["Date"]).timestamp()
                assert abs(age) < 60 and "Arrival-Date" in status, report


@case
def a_relay_without_a_date_delivers_here_and_answers_on_its_page():
    clock = Clock("here")
    clock.unset()
    w = Relay("here", "s38", PATIENT, clock.prefix)
    letter = Letter(to="alice@relay.test", without=("Date",))
    assert hand_over(w, letter).startswith("250")
    octets = w.maildir("alice").one(letter.mark)
    assert dates(octets) == (None, None), octets[:600]
    assert b"1970" not in octets
    assert "Accepted" in str(w.api("/api/trace?q=alice@relay.test"))
    clock.set(-5 * DAY)
    until(lambda: w.status()["now"] and abs(w.status()["now"] - time.time() + 5 * DAY) < 10, 5, "the date")
    assert not w.problems("clock")
