"""A binary for another machine runs under QEMU's user emulation: it takes mail, encrypted too, is killed, goes on where it was,
delivers to a mailbox and to a server, shows its page, and its commands talk to it.  run.py TARGET BINARY"""
import json
import os
import shutil
import signal
import smtplib
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "boot"))
import world  # noqa: E402 (the line above says where it is)

EMULATORS = {"x86_64": "qemu-x86_64-static", "aarch64": "qemu-aarch64-static", "armv7": "qemu-arm-static",
             "riscv64gc": "qemu-riscv64-static", "mips": "qemu-mips-static", "mipsel": "qemu-mipsel-static"}
SMTP, SUBMISSION, WEB = 18925, 18987, 18980


class Relay:
    def __init__(self, command, data):
        self.command, self.data, self.process = command, data, None

    def up(self):
        self.log = open(os.path.join(self.data, "../log"), "ab")
        words = self.command + ["run", "--data", self.data]
        self.process = subprocess.Popen(words, stdout=self.log, stderr=self.log, start_new_session=True)
        until(lambda: self.healthy(), 120, "page")
        return self

    def healthy(self):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/healthz" % WEB, timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def says(self, *words):
        return subprocess.run(self.command + [*words, "--data", self.data], capture_output=True, timeout=120, check=True).stdout.decode()


class Mute(socketserver.StreamRequestHandler):
    """A server that offers encryption and then wants nothing of it: a fatal alert, handshake_failure (RFC 8446 §6)."""
    timeout = 60

    def handle(self):
        self.wfile.write(b"220 mute.test ESMTP\r\n")
        while line := self.rfile.readline(4096):
            if line.strip().upper() == b"STARTTLS":
                self.wfile.write(b"220 go on\r\n")
                self.connection.recv(65536)
                self.wfile.write(bytes([21, 3, 3, 0, 2, 2, 40]))
                return
            self.wfile.write(b"250-mute.test\r\n250 STARTTLS\r\n" if line[:4].upper() == b"EHLO" else b"250 ok\r\n")


def until(happens, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = happens()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("no %s within %d s" % (what, seconds))


def send(port, subject, to, encrypted=False):
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        if encrypted:
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=trusting)
        client.sendmail("camera@home.test", [to], "From: camera@home.test\r\nSubject: %s\r\n\r\n%s\r\n" % (subject, "x" * 3000))


def main(target, binary):
    emulator = shutil.which(EMULATORS[target.split("-")[0]])
    assert emulator, "no emulator for %s" % target
    command = [emulator, binary]
    folder = "/tmp/waypost-foreign-" + target
    shutil.rmtree(folder, ignore_errors=True)
    data = os.path.join(folder, "data")
    os.makedirs(data)
    sink = world.Sink()
    sink.refuse = True
    mute = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mute)
    mute.daemon_threads = True
    threading.Thread(target=mute.serve_forever, daemon=True).start()
    with open(os.path.join(data, "waypost.json"), "w") as f:
        json.dump({"hostname": "foreign.test", "domains": ["home.test"], "users": [{"name": "alice", "password": "her own password"}],
                   "listen": {"smtp": ["127.0.0.1:%d" % SMTP], "submission": ["127.0.0.1:%d" % SUBMISSION],
                              "web": ["127.0.0.1:%d" % WEB]},
                   "routes": [{"for": "mute.test", "via": "127.0.0.1:%d" % mute.server_address[1], "tls": "require"},
                              {"for": "*", "via": "127.0.0.1:%d" % sink.port, "tls": "none"}]}, f)
    relay = Relay(command, data).up()
    try:
        send(SMTP, "to a mailbox", "alice@home.test")
        send(SUBMISSION, "encrypted and on", "someone@example.org", encrypted=True)
        until(lambda: os.listdir(os.path.join(data, "mail/alice/new")), 60, "mail in the Maildir")
        assert "someone@example.org" in relay.says("queue")
        relay.kill()
        relay.up()
        assert "someone@example.org" in relay.says("queue"), "what was acknowledged is there after kill -9"
        sink.refuse = False
        relay.says("queue", "retry", "all")
        until(lambda: sink.find("encrypted and on"), 60, "mail at the server")
        until(lambda: "nothing" in relay.says("queue").lower() or "empty" in relay.says("queue").lower(), 30, "empty queue")
        # A small build keeps little of what Debug prints; the words for a person are to be whole.
        send(SMTP, "to one who does not encrypt", "someone@mute.test")
        until(lambda: "HandshakeFailure" in relay.says("queue"), 60, "the alert's name in the queue")
        print("ok    %s: %d octets; %s" % (target, os.path.getsize(binary), relay.says("version").strip()))
    except BaseException:
        with open(os.path.join(folder, "log")) as f:
            print(f.read()[-3000:])
        raise
    finally:
        relay.kill()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
