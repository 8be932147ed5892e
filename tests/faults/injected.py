"""Calls of the kernel that fail, one after the other and from one on for good, in a whole life: a start with mail in the spool,
mail in, a change of the configuration, mail out, an end. strace lies to the relay and to the process that keeps the index."""
import collections
import json
import os
import queue
import random
import re
import shutil
import signal
import threading
import time

from cases import case
from ground import SEED, Letter, Relay, Script, folder, hand_over, losses, tell, text, until
from world import listening, start

STRACE = ["strace", "-D", "-f", "--seccomp-bpf", "-qq"]
WORKERS = 4
# sysexits.h: 69 no listener, 74 disk; 127 is the loader's, which is hit too.
ENDS = {69: "waypost: ", 74: "waypost: ", 127: "error while loading shared libraries"}
ACROSS = ["alice@relay.test", "carol@far.test"]


class Victim(Relay):
    """A relay that may fail to start, with a data directory that is made anew for each life."""

    def up(self):
        self.document = open(os.path.join(self.data, "waypost.json")).read()
        return super().up()

    def anew(self, template=None):
        shutil.rmtree(self.data)
        if template:
            shutil.copytree(template, self.data)
        else:
            os.makedirs(self.data)
        with open(os.path.join(self.data, "waypost.json"), "w") as f:
            f.write(self.document)

    def tries(self, prefix):
        """Start; whether it listens. Where it does not it has ended by itself, and said why."""
        self.prefix, seen = prefix, len(self.log())
        self.p = start(self.command(), "waypost-%s.log" % self.name)
        until(lambda: self.p.poll() is not None or listening("127.0.0.1", self.smtp), 15, "an end or a listener")
        if self.p.poll() is None:
            return True
        words = ENDS.get(self.p.returncode)
        assert words and words in self.log()[seen:], "ended with %s: %s" % (self.p.returncode, self.log()[seen:][-500:])
        return False


class Worker:
    """Lives one life after the other in one directory."""

    def __init__(self, n):
        self.n, self.sink = n, "s%d" % (10 + n)
        self.relay = Victim("injected-%d" % n, self.sink, {"limits": {"spool": "4M", "message": "1M"}})
        dice = random.Random(SEED + n)
        # The mail that every other life begins with: kept by a relay that was killed.
        self.kept = [Letter(text(dice, octets), to=ACROSS[-1]) for octets in (900, 120_000, 3_000)]
        for letter in self.kept:
            assert hand_over(self.relay, letter, ACROSS).startswith("250")
        until(lambda: len(self.relay.maildir("alice").files()) == len(self.kept), 10, "the Maildir")
        self.relay.down(signal.SIGKILL)
        self.template = os.path.join(folder("templates"), str(n))
        shutil.rmtree(self.template, ignore_errors=True)
        shutil.copytree(self.relay.data, self.template, ignore=shutil.ignore_patterns("control.sock"))
        self.server = Script(self.sink)

    def life(self, prefix, number):
        """What was wrong in a life under `prefix`: a sentence, or nothing."""
        w, seen, first = self.relay, len(self.server.taken), len(self.relay.log())
        w.anew(self.template if number % 2 else None)
        acknowledged, unsure = list(self.kept) if number % 2 else [], []
        try:
            if w.tries(prefix):
                self.mail(random.Random(SEED + number), acknowledged, unsure)
                self.errands()
                code = w.down(signal.SIGTERM if number % 3 else signal.SIGKILL)
                assert code == (0 if number % 3 else -signal.SIGKILL), "it ended with %s" % code
            assert w.tries([]), "it does not start again without the fault"
            w.drained(30)
            time.sleep(0.05)
            arrived = [t.octets for t in self.server.taken[seen:]]
            wrong = losses(acknowledged, unsure, arrived)
            wrong += losses(acknowledged, unsure, w.maildir("alice").messages(), once=True)
            # A disk that gives some pages and not others, for good, is damaged, and that is told.
            told = prefix and "pread64" in prefix[-1] and prefix[-1].endswith("+") and "event=damaged" in w.log()[first:]
            assert not wrong or told, wrong[:3]
            assert "event=panic" not in w.log()[first:], "a panic"
            return None
        except AssertionError as error:
            return "%s\n%s" % (error, "\n".join(w.log()[first:].splitlines()[-12:]))
        finally:
            w.down(signal.SIGKILL)

    def mail(self, dice, acknowledged, unsure):
        """A message is tried three times, as a patient client would."""
        for octets in (600, 100_000, 2_000):
            letter = Letter(text(dice, octets), to=ACROSS[-1])
            for _ in range(3):
                reply = hand_over(self.relay, letter, ACROSS)
                if reply.startswith("250"):
                    acknowledged.append(letter)
                    break
                assert reply[:4] in ("421 ", "451 ", "452 "), "the client was told %r" % reply
            else:
                unsure.append(letter)

    def errands(self):
        """The configuration is changed, or the reason told; history is asked for; whatever they come to, they end."""
        code, words = self.relay.cli("config", "set", "retry.max", "3s", check=False)
        assert code == 0 or len(words) > 10, "config set: exit %d, %r" % (code, words)
        with open(os.path.join(self.relay.data, "waypost.json")) as f:
            json.load(f)
        code, words = self.relay.cli("trace", ACROSS[0], check=False)
        assert words, "trace: exit %d without a word" % code


def counted(worker, number):
    """How often a thread makes each call in a life without faults, at most."""
    path = os.path.join(folder("tmp"), "calls")
    calls = "trace=" + ",".join(CALLS)
    wrong = worker.life([*STRACE, "-o", path, "-e", calls], number)
    assert not wrong, "without any fault: " + wrong
    counts = collections.Counter()
    with open(path) as f:
        for line in f:
            found = re.match(r"(\d+) +(\w+)\(", line)
            counts[found and found.groups()] += 1
    return {call: max([n for key, n in counts.items() if key and key[1] == call], default=0) for call in CALLS}


CALLS = ("fdatasync", "fsync", "pwrite64", "rename", "unlink", "mkdir", "openat", "pread64", "getdents64", "statfs")


def lives(most):
    """Every call once with each error, and from each on for good with one of them."""
    plan = []
    for call in CALLS:
        for n in range(1, most[call] + 1):
            plan += [(call, error, "%d" % n) for error in ("EIO", "ENOSPC")]
            plan.append((call, ("ENOSPC", "EIO")[n % 2], "%d+" % n))
    return plan


@case
def whatever_call_of_the_kernel_fails_clients_hear_a_clean_reply_and_nothing_acknowledged_is_lost():
    workers = [Worker(n) for n in range(WORKERS)]
    most = {call: max(pair) for call, *pair in zip(CALLS, *(counted(workers[0], n).values() for n in (1, 2)))}
    todo, wrong, done, hit = queue.SimpleQueue(), [], [], []
    for number, plan in enumerate(lives(most)):
        todo.put((number, *plan))

    def work(worker):
        while len(wrong) < 10:
            try:
                number, call, error, when = todo.get_nowait()
            except queue.Empty:
                return
            inject = "inject=%s:error=%s:when=%s" % (call, error, when)
            for turn in (0, 1):  # with mail in the spool and without
                seen = len(worker.relay.log())
                problem = worker.life([*STRACE, "-o", "/dev/null", "-e", "trace=" + call, "-e", inject], 2 * number + turn)
                done.append(call)
                hit.extend(re.findall("os error (?:5|28)|Error 28|Input/output error", worker.relay.log()[seen:])[:1])
                if problem:
                    wrong.append("%s, life %d: %s" % (inject, 2 * number + turn, problem))
    threads = [threading.Thread(target=work, args=(w,), daemon=True) for w in workers]
    for t in threads:
        t.start()
    for t in threads:
        t.join(400)
    for worker in workers:
        worker.server.stop()
    tell("%d lives, %d of them with words about it: %s" % (
        len(done), len(hit), ", ".join("%s 1-%d" % pair for pair in most.items())))
    assert not wrong, "SEED=%d, %d lives went wrong:\n%s" % (SEED, len(wrong), "\n".join(wrong[:5]))
    assert len(done) > 300 and len(hit) > len(done) / 3, "the faults hit nothing"


@case
def this_test_finds_the_losses_of_a_relay_whose_renames_do_nothing():
    worker = Worker(WORKERS)
    wrong = worker.life([*STRACE, "-o", "/dev/null", "-e", "trace=rename", "-e", "inject=rename:retval=0"], 1)
    worker.server.stop()
    assert wrong and "is lost" in wrong, wrong
