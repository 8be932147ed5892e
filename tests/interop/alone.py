"""A Postfix with a login of its own, for tests in another language: tells where it is, and ends with its input.

    {"host": "127.7.0.6", "port": 10033, "box": "/…/Maildir"}     user `me`, password `right`"""
import json
import sys

import postfix
import world

if __name__ == "__main__":
    world.fresh()
    try:
        peer = postfix.with_login()
        world.until(lambda: world.listening(world.HOSTS["smarthost"], postfix.MECHANISMS["PLAIN"]), 20, "postfix")
        box = peer.data + "/var/mail/box"
        print(json.dumps({"host": world.HOSTS["smarthost"], "port": postfix.MECHANISMS["PLAIN"], "box": box}), flush=True)
        sys.stdin.read()
    finally:
        world.stop_all()
