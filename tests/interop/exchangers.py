"""Every kind of MX, through nsd and unbound; where a real name server cannot do it, through one by script."""
import json

import postfix
from bounces import failed
from cases import case, slow_case
from letters import Letter, same
from liar import NXDOMAIN, REFUSED, SERVFAIL, A, Liar, address, another, exchanger, honest, reply
from receivers import to
from script import Script
from senders import arrives, hand_in, python
from waypost import Waypost, relay
from world import DNS, HOSTS, LIAR, run, until


def at(server, letter, seconds=20):
    """The letter as the script got it."""
    until(lambda: server.find(letter.mark), seconds, "the message at the script")
    same(letter.octets, server.find(letter.mark)[0].octets)


@case
def several_equal_MX_share_the_mail():
    with Script("s46") as a, Script("s47") as b, Script("s48") as c:
        letters = [Letter(to="carol@d%d.spread.test" % n) for n in range(30)]
        for letter in letters:
            python(letter)
        until(lambda: sum(len(s.taken) for s in (a, b, c)) == 30, 30, "30 messages")
        shares = [len(s.taken) for s in (a, b, c)]
    assert min(shares) >= 1, shares


@case
def an_MX_whose_target_does_not_exist_waits_with_the_reason_or_goes_to_the_next():
    letter = to("carol@ghost.test")
    line = relay().logged(letter.mark, "event=deferred")[0]
    assert "mx.nowhere.test does not exist in DNS" in line, line
    relay().cli("queue", "drop", relay().waiting(letter.mark)["id"])
    with Script("s41") as server:
        at(server, to("carol@ghosts.test"))


@case
def where_the_first_MX_accepts_the_connection_and_says_421_the_second_takes_it():
    busy = Script("s42", lambda *a: "421 4.3.2 too busy" if a[2] == "CONNECT" else None)
    with busy, Script("s43") as server:
        letter = to("carol@busy.test")
        at(server, letter)
    assert busy.sessions >= 1 and not busy.taken
    relay().logged(letter.mark, "event=skipped", "421 4.3.2 too busy")


@case
def a_domain_whose_best_MX_we_are_ourselves_bounces_and_goes_to_nobody_else():
    with Script("s44") as worse:
        failed(relay(), to("carol@ourselves.test"), "5.4.6", "comes back to this machine")
        assert not worse.sessions


@case
def a_domain_whose_backup_we_are_waits_for_the_better_ones_and_never_goes_to_us_or_worse_ones():
    with Script("s50") as worse:
        letter = to("carol@backup.test")
        relay().logged(letter.mark, "event=deferred", "mx.s44.test")
        with Script("s44") as server:
            at(server, letter)
        assert not worse.sessions


@case
def a_host_with_an_IPv6_address_only_is_reached_over_it_or_the_reason_told():
    w = Waypost("six", {"delivery": {"port": 10025, "ipv6": True}})
    with Script("six") as server:
        letter = Letter(to="carol@six.test")
        hand_in(w, letter)
        at(server, letter)
        w.logged(letter.mark, "event=delivered", "[::1]")
        without = to("carol@six.test")
        relay().logged(without.mark, "event=deferred", "only IPv6 addresses, and delivery.ipv6 is off")
        relay().cli("queue", "drop", relay().waiting(without.mark)["id"])


@case
def sixty_MX_are_asked_for_by_TCP_and_the_best_gets_it():
    cut = run(["dig", "-p", "10053", "@" + DNS, "+ignore", "+bufsize=1232", "sixty.test", "MX"])
    assert " tc " in cut.split("flags:")[1].split(";")[0].replace(";", " ") + " ", cut
    with Script("s49") as server:
        at(server, to("carol@sixty.test"))


@case
def two_domains_on_one_MX_get_a_transaction_each():
    with Script("s45") as server:
        letter = Letter(to="a@twin1.test")
        python(letter, to=["a@twin1.test", "b@twin2.test", "c@twin1.test"])
        until(lambda: len(server.find(letter.mark)) == 2, 20, "two copies")
    sent = sorted(sorted(r.split("<")[1].split(">")[0] for r in taken.recipients) for taken in server.taken)
    assert sent == [["a@twin1.test", "c@twin1.test"], ["b@twin2.test"]], sent


@case
def a_lame_delegation_and_SERVFAIL_are_no_NXDOMAIN_and_wait():
    def fails(question):
        code = {"servfail": SERVFAIL, "refused": REFUSED}.get(question.name.split(".")[0])
        return [reply(question, code) if code else reply(question, NXDOMAIN, vouched=True)]
    with Liar(fails, LIAR):
        # unbound says SERVFAIL where those whom it asked fail or refuse, and nothing where they are lame.
        for domain in ("x.lame.test", "servfail.liar.test", "refused.liar.test"):
            letter = to("carol@" + domain)
            line = relay().logged(letter.mark, "event=deferred")[0]
            why = "lame" if "lame" in domain else "SERVFAIL"
            assert "DNS does not say where %s is" % domain in line and why in line.split("reply=")[1].split(" is: ")[1], line
            relay().cli("queue", "drop", relay().waiting(letter.mark)["id"])
        failed(relay(), to("carol@no-such.liar.test"), "5.1.2", "no-such.liar.test")


@slow_case
def a_name_server_that_never_answers_is_waited_for_and_the_mail_waits():
    w = Waypost("silent", {"dns": [LIAR + ":10053"]})
    with Liar(lambda question: [], LIAR, 10053):
        letter = Letter(to="carol@postfix.test")
        hand_in(w, letter)
        w.logged(letter.mark, "event=deferred", "does not answer", seconds=40)
        w.logged("event=offline", "does not answer", seconds=40)
        assert w.waiting(letter.mark, 40)["attempts"] == 0
    with Liar(lambda question: [honest(question)], LIAR, 10053):
        arrives(letter)
        w.logged("event=online")


@case
def answers_that_are_forged_are_passed_over_and_the_true_one_counts():
    def forges(question):
        trap = [address(HOSTS["s51"])] if question.kind == A else [exchanger(1, "mx.s51.test")]
        return [b"", b"\0" * 30, reply(another(question), records=trap), reply(another(question, "else.test"), records=trap),
                honest(question)]
    w = Waypost("forged", {"dns": ["127.7.0.56:10053"]})
    postfix.with_tls()
    with Liar(forges, "127.7.0.56", 10053) as server, Script("s51") as trap:
        letter = Letter()
        hand_in(w, letter)
        arrives(letter)
        assert server.asked and not trap.sessions


@case
def a_name_server_that_denies_every_name_makes_nothing_bounce():
    w = Waypost("denied", {"dns": ["127.7.0.57:10053"]})
    with Liar(lambda question: [reply(question, NXDOMAIN)], "127.7.0.57", 10053):
        letter = Letter()
        hand_in(w, letter)
        w.logged(letter.mark, "event=deferred", "know no name at all")
        w.logged("event=offline", "captive portal")
        assert w.waiting(letter.mark)["attempts"] == 0
    with Liar(lambda question: [honest(question)], "127.7.0.57", 10053):
        arrives(letter)


@case
def a_captive_portal_that_leads_every_name_to_itself_is_an_outage_until_it_lets_us_out():
    portal = "127.7.0.58"

    def leads(question):
        return [reply(question, records=[address(portal)] if question.kind == A else [])]
    w = Waypost("portal", {"dns": [portal + ":10053"], "delivery": {"port": 10025, "ipv6": False}})
    page = Script(portal, lambda *a: "HTTP/1.1 302 Found\r\nLocation: https://portal/" if a[2] == "CONNECT" else None)
    with page, Liar(leads, portal, 10053):
        letter = Letter()
        hand_in(w, letter)
        w.logged("event=offline", "captive portal")
        assert w.waiting(letter.mark)["attempts"] == 0
        before = page.sessions
        later = Letter()
        hand_in(w, later)
        w.logged(later.mark, "event=deferred", "offline")
        assert page.sessions == before, "it is left alone"
        shown = json.dumps(w.queue())
        assert "captive portal" in shown, shown
    with Liar(lambda question: [honest(question)], portal, 10053):
        arrives(letter)
        arrives(later)
    w.logged("event=online")
