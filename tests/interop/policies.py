"""What domains demand: certificates in signed DNS (DANE), policies over HTTPS (MTA-STS). nsd has zones that ldns signed,
unbound checks them."""
import hashlib
import http.server
import re
import ssl
import subprocess
import threading

import names
import postfix
from cases import case
from letters import Letter, same
from script import Script
from senders import hand_in
from waypost import Waypost
from world import HOSTS, MX_PORT, folder, listening, once, run, until, write

DNS = "127.7.2.53"
PAGES = "127.7.2.80"
POLICY = "version: STSv1\r\nmode: %s\r\nmx: mx.%s.open.test\r\nmax_age: 86400\r\n"
# Scripted servers by what is special about them, an address each.
DANE = {name: "127.7.2.%d" % (100 + n) for n, name in enumerate(
    ("own", "rollover", "authority", "other", "bare", "bogus", "odd"))}
STS = {name: "127.7.2.%d" % (150 + n) for n, name in enumerate(("strict", "impostor", "elsewhere", "testing", "gone"))}


def shell(text):
    return subprocess.run(text, shell=True, check=True, capture_output=True).stdout


@once
def authority():
    """An authority of our own, and a way to have it sign for a name; paths without their ends."""
    made = folder("tmp") + "/policies"
    shell("openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=Own -keyout {m}-ca.key -out {m}-ca.pem"
          " -addext basicConstraints=critical,CA:TRUE".format(m=made))
    return made


@once
def certified(*hosts):
    """A certificate for these names, with the authority's below it."""
    ca, made = authority(), "%s-%s" % (authority(), hosts[0])
    shell("openssl req -newkey rsa:2048 -nodes -subj /CN=x -keyout {m}.key -out {m}.csr && printf 'subjectAltName={san}' > {m}.ext &&"
          " openssl x509 -req -in {m}.csr -CA {ca}-ca.pem -CAkey {ca}-ca.key -CAcreateserial -days 30 -extfile {m}.ext -out {m}.pem &&"
          " cat {ca}-ca.pem >> {m}.pem".format(m=made, ca=ca, san=",".join("DNS:" + name for name in hosts)))
    return made


def context(made):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made + ".pem", made + ".key")
    return context


def key_of(pem):
    """SHA-256 of a certificate's public key, as `3 1 1` has it."""
    der = shell("openssl x509 -in %s -noout -pubkey | openssl pkey -pubin -outform DER" % pem)
    return hashlib.sha256(der).hexdigest()


def whole(pem):
    with open(pem) as f:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(re.search("-----BEGIN.*?END CERTIFICATE-----", f.read(), re.S).group())).hexdigest()


def zone(name, lines):
    return "$ORIGIN %s.\n$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A %s\n%s" % (name, DNS, lines)


def hosts(which):
    return "".join("%s MX 10 mx.%s\nmx.%s A %s\n" % (name, name, name, at) for name, at in which.items())


def described(name, *records):
    return "".join("_%d._tcp.mx.%s TLSA %s\n" % (MX_PORT, name, record) for record in records)


def signed_zone(data):
    own, other = certified("mx.own.signed.test"), certified("mx.other.signed.test")
    right, wrong, ca = key_of(own + ".pem"), key_of(other + ".pem"), whole(authority() + "-ca.pem")
    text = zone("signed.test", hosts(DANE) + "postfix MX 10 mx.postfix\nmx.postfix A %s\n" % HOSTS["postfix"])
    text += described("own", "3 1 1 " + right) + described("rollover", "3 1 1 " + wrong, "3 1 1 " + right)
    text += described("authority", "2 0 1 " + ca) + described("other", "3 1 1 " + wrong) + described("bare", "3 1 1 " + right)
    text += described("bogus", "3 1 1 " + right) + described("odd", "1 1 1 " + right)
    text += described("postfix", "3 1 1 " + key_of(postfix.with_tls().data + "/etc/cert.pem"))
    write(data + "/signed.zone", text)
    key = shell("cd %s && ldns-keygen -r /dev/urandom -a ECDSAP256SHA256 -k signed.test" % data).decode().strip()
    shell("cd %s && ldns-signzone -f signed.done signed.zone %s" % (data, key))
    with open(data + "/signed.done") as f:
        done = f.read()
    # One record is other than what was signed.
    told = re.compile(r"(_%d\._tcp\.mx\.bogus\.signed\.test\.\s.*TLSA\s+3 1 1 )[0-9a-fA-F]{2}" % MX_PORT)
    assert told.search(done), done
    write(data + "/signed.done", told.sub(r"\g<1>00", done))
    return key


@once
def name_servers():
    data = folder("dns-signed")
    key = signed_zone(data)
    mx = "elsewhere MX 5 mx.strict\n"
    texts = "".join("_mta-sts.%s TXT \"v=STSv1; id=1;\"\nmta-sts.%s A %s\n" % (name, name, PAGES) for name in STS)
    write(data + "/open.done", zone("open.test", hosts(STS) + texts + mx))
    server = names.nsd(data, DNS, signed_test="signed.done", open_test="open.done")
    names.unbound(data, [DNS + "@10053"], [
        "do-ip6: no", "do-not-query-localhost: no", 'local-zone: "test." transparent', names.soa("test"), 'domain-insecure: "open.test."',
        'trust-anchor-file: "%s/%s.key"' % (data, key), "access-control: 127.0.0.0/8 allow", 'module-config: "validator iterator"'],
                  signed_test=DNS, open_test=DNS)
    until(lambda: listening(DNS, 10053) and listening(DNS, 10054), 10, "name servers")
    # That they do what the cases below are about.
    answer = run(["dig", "+adflag", "-p", "10053", "@" + DNS, "mx.own.signed.test", "A"])
    assert re.search("flags:[^;]* ad[ ;]", answer), answer
    assert "SERVFAIL" in run(["dig", "-p", "10053", "@" + DNS, "_%d._tcp.mx.bogus.signed.test" % MX_PORT, "TLSA"])
    return server


class Pages:
    """Serves the policies of the domains below open.test, over HTTPS."""

    def __init__(self):
        self.asked, self.gone = [], False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                domain = self.headers["Host"].split(".")[1]
                outer.asked.append((self.headers["Host"], self.path))
                right = self.path == "/.well-known/mta-sts.txt" and not outer.gone
                body = (POLICY % ("testing" if domain == "testing" else "enforce", domain)).encode() if right else b""
                self.send_response(200 if right else 404)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer((PAGES, 443), Handler)
        hosts = ["mta-sts.%s.open.test" % name for name in STS]
        self.server.socket = context(certified(*hosts)).wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def relay(name):
    name_servers()
    return Waypost(name, {"dns": [DNS + ":10053"], "tls": {"authorities": authority() + "-ca.pem"}})


def arrives(w, to, server):
    letter = Letter(to=to)
    hand_in(w, letter)
    until(lambda: server.find(letter.mark), 20, "the message at the script")
    assert server.find(letter.mark)[0].tls
    same(letter.octets, server.find(letter.mark)[0].octets)
    return letter


def waits(w, to, *words):
    letter = Letter(to=to)
    hand_in(w, letter)
    w.logged(letter.mark, "event=deferred", *words)
    return letter


@case
def certificates_that_signed_DNS_describes_are_demanded_from_whom_they_are_described():
    w = relay("dane")
    own, other = context(certified("mx.own.signed.test")), context(certified("mx.authority.signed.test"))
    for name, tls in (("own", own), ("rollover", own), ("authority", other), ("odd", own)):
        with Script(DANE[name], tls=tls) as server:
            letter = arrives(w, "carol@%s.signed.test" % name, server)
        proved = "false" if name == "odd" else "true"  # a usage that mail has not: encrypted all the same
        w.logged(letter.mark, "event=encrypted", "as=DANE", "verified=" + proved)
        w.trace(letter.id.strip("<>"), "wants by DANE")
    letter = Letter(to="carol@postfix.signed.test")
    hand_in(w, letter)
    same(letter.octets, postfix.with_tls().box.one(letter.mark))
    w.logged(letter.mark, "event=encrypted", "as=DANE", "verified=true")
    w.empty()


@case
def where_the_certificate_is_another_or_there_is_no_TLS_mail_waits_with_the_reason():
    w = relay("dane-wrong")
    own = context(certified("mx.own.signed.test"))
    with Script(DANE["other"], tls=own) as server:
        letter = waits(w, "carol@other.signed.test", "certificate refused")
    assert not server.taken and w.waiting(letter.mark)
    with Script(DANE["bare"]) as server:
        letter = waits(w, "carol@bare.signed.test", "does not offer it")
    assert not server.taken and w.waiting(letter.mark)
    # An authority that has signed for another name.
    with Script(DANE["authority"], tls=own) as server:
        waits(w, "carol@authority.signed.test", "certificate refused")
    assert not server.taken


@case
def a_certificate_in_DNS_whose_signature_is_wrong_keeps_the_server_from_being_used():
    w = relay("dane-bogus")
    with Script(DANE["bogus"], tls=context(certified("mx.own.signed.test"))) as server:
        waits(w, "carol@bogus.signed.test", "_%d._tcp.mx.bogus.signed.test" % MX_PORT, "SERVFAIL")
    assert not server.sessions
    # A person may do without all that.
    w.cli("config", "set", "delivery.policies", "false")
    with Script(DANE["bogus"]) as server:
        w.cli("queue", "retry", "all")
        until(lambda: server.taken, 20, "the message")
    w.empty()


@case
def a_policy_of_MTA_STS_is_fetched_heeded_and_outlives_kill_9_and_its_page():
    w = relay("sts")
    right = context(certified("mx.strict.open.test"))
    with Pages() as pages:
        with Script(STS["strict"], tls=right) as server:
            letter = arrives(w, "carol@strict.open.test", server)
            w.logged(letter.mark, "event=encrypted", "as=MTA-STS", "verified=true")
            w.trace(letter.id.strip("<>"), "wants by MTA-STS")
            arrives(w, "carol@strict.open.test", server)
        assert pages.asked == [("mta-sts.strict.open.test", "/.well-known/mta-sts.txt")], pages.asked
        # One who is not who he says he is, and one whom the policy does not name.
        with Script(STS["impostor"], tls=right) as impostor:
            waits(w, "carol@impostor.open.test", "certificate refused")
        assert impostor.sessions and not impostor.taken
        with Script(STS["elsewhere"], tls=context(certified("mx.elsewhere.open.test"))) as named, \
                Script(STS["strict"], tls=right) as better:
            letter = arrives(w, "carol@elsewhere.open.test", named)
        assert not better.sessions
        w.logged(letter.mark, "event=skipped", "not among the servers that the domain's policy names")
        with Script(STS["testing"], tls=right) as server:
            letter = arrives(w, "carol@testing.open.test", server)
            w.logged(letter.mark, "event=policy", "only being tested")
    w.down(9)
    w.up()
    with Script(STS["strict"]) as server:
        waits(w, "carol@strict.open.test", "does not offer it")
    assert server.sessions and not server.taken
    counted = run(["curl", "-s", "http://127.0.0.1:%d/metrics" % w.web])
    assert 'waypost_tls_sessions_total{policy="sts",result="starttls-not-supported"}' in counted, counted


@case
def a_policy_that_cannot_be_had_holds_nothing_up_and_is_told():
    w = relay("sts-gone")
    with Pages() as pages, Script(STS["gone"], tls=context(certified("mx.strict.open.test"))) as server:
        pages.gone = True
        letter = arrives(w, "carol@gone.open.test", server)
        w.logged(letter.mark, "event=policy", "status 404")
        arrives(w, "carol@gone.open.test", server)
        assert len(pages.asked) == 1, pages.asked
