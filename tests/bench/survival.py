"""What is left after a sudden death in the middle of ten sessions: lost, damaged, repeated."""
import os
import random
import time

from traffic import Box, Sent, Sink

# Far more than is sent before the end comes.
PLENTY = 40_000


def crash(peer, book):
    for how in ("power", "kill"):
        for where in ("up", "down"):
            with Sink() as sink:
                die(peer, book, how, sink, where == "up")
        die(peer, book, how, None, False)


def die(peer, book, how, sink, answers):
    """One death; the sink `answers` from the start or only afterwards, or there is none and mail goes into a Maildir."""
    with peer(maildir=sink is None, disk=how == "power") as relay:
        arrivals = sink or Box(os.path.join(relay.data, "var/mail/box"))
        if answers:
            sink.up()
        relay.up()
        sent = Sent("crash", PLENTY, on_loss="stop")
        after = random.uniform(0.4, 1.4)
        time.sleep(after)
        if how == "power":
            relay.cut_power()
        else:
            relay.kill()
        sent.end(clean=False)
        assert sent.ids and len(sent.ids) < PLENTY, "the end did not come in the middle: %s" % sent.told
        if sink and not answers:
            sink.up()
        banner = relay.up()
        time.sleep(0.5)
        relay.try_again()
        lost = arrivals.wait(sent.ids)
        arrivals.quiet()
        end = dict(lost=lost, damaged=arrivals.damaged, repeated=arrivals.repeated())
        book.note(how if sink else how + "-maildir", peer.name, end, answers=answers, after=after, banner_ms=banner,
                  acked=len(sent.ids), unknown=sent.told["unknown"])
