"""The power goes at a random moment under load. What was acknowledged is there afterwards, whole, and in the Maildir once."""
import os
import random
import signal
import time

from cases import case
from ground import SEED, Image, Relay, Script, Senders, folder, losses, run, tell, until
from world import start

TO = ["alice@relay.test", "carol@far.test"]
# A sync that says it has been done, and has not.
LYING = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e",
         "inject=fdatasync,fsync:retval=0"]


class Life:
    """One data directory through several power cuts."""

    def __init__(self, name, sink, image, prefix=()):
        self.sink, self.image, self.seed = sink, image, SEED
        self.acknowledged, self.unsure, self.servers = [], [], []
        self.relay = Relay(name, sink, {"limits": {"spool": "64M"}}, prefix)
        run(["sync", "-f", self.relay.data])  # the configuration, which this test has written

    def cut(self, sink_up):
        """Load, cut, and start again once the power is back; the relay has then sent what it had."""
        self.seed += 1
        dice = random.Random(self.seed)
        server = self.server() if sink_up else None
        senders = Senders(self.relay, TO, self.seed)
        until(lambda: len(senders.acknowledged) > 5, 20, "the first messages")
        time.sleep(dice.uniform(0.05, 1.2))
        self.image.cut()
        time.sleep(dice.uniform(0, 0.2))
        self.relay.down(signal.SIGKILL)
        senders.stop()
        strange = [r for r in senders.replies if r[:1] not in ("", "4")]
        assert not strange, strange
        if server:
            server.stop()
        self.acknowledged += senders.acknowledged
        self.unsure += senders.unsure
        self.again()

    def again(self):
        self.image.umount()
        self.image.mount()

    def cut_at_start(self):
        """The power goes once more while the relay finds out what it has."""
        w = self.relay
        w.p = start(w.command(), "waypost-%s.log" % w.name)
        time.sleep(random.Random(self.seed).uniform(0, 0.08))
        self.image.cut()
        w.down(signal.SIGKILL)
        self.again()

    def drain(self):
        with self.server():
            self.relay.up()
            self.relay.drained()

    def server(self):
        # Sessions that are open when it stops go on: all are asked what they took.
        self.servers.append(Script(self.sink))
        return self.servers[-1]

    def wrong(self):
        time.sleep(0.1)  # a server notes what it took after it has said so
        taken = [t.octets for server in self.servers for t in server.taken]
        local = self.relay.maildir("alice").messages()
        far = losses(self.acknowledged, self.unsure, taken)
        here = losses(self.acknowledged, self.unsure, local, once=True)
        return ["at the next server: " + w for w in far] + ["in the Maildir: " + w for w in here]


def cuts(name, sink, sink_up, rounds=6):
    with Image(os.path.join(folder("waypost"), name), 192) as image:
        life = Life(name, sink, image)
        for n in range(rounds):
            life.cut(sink_up)
            for _ in range(n % 3):
                life.cut_at_start()
            life.drain()
            wrong = life.wrong()
            assert not wrong, "SEED=%d, %d of %d acknowledged: %s" % (SEED, len(wrong), len(life.acknowledged), wrong[:5])
        tell("%d acknowledged, %d large, %d not" % (
            len(life.acknowledged), sum(len(a.octets) > 65_536 for a in life.acknowledged), len(life.unsure)))
        assert len(life.acknowledged) > 20 * rounds, len(life.acknowledged)


@case
def power_cuts_under_load_lose_nothing_acknowledged_while_the_next_server_answers():
    cuts("power-up", "s1", True)


@case
def power_cuts_under_load_lose_nothing_acknowledged_while_the_next_server_is_down():
    cuts("power-down", "s2", False)


@case
def this_test_finds_the_losses_of_a_relay_whose_syncs_do_nothing():
    name = "power-mutant"
    with Image(os.path.join(folder("waypost"), name), 192) as image:
        life = Life(name, "s3", image, LYING)
        life.cut(False)
        life.relay.prefix = []
        life.drain()
        wrong = life.wrong()
        assert len([w for w in wrong if "is lost" in w]) > 5, "%d acknowledged, and only this was lost: %s" % (
            len(life.acknowledged), wrong)
