"""The page of a board, as a browser asks it: set up, logged in, changed."""
import base64
import http.client
import json

import machine

PASSWORD = "correct horse battery"


class Page:
    def __init__(self, board):
        self.board, self.cookie, self.token = board, None, None

    def ask(self, method, path, body=None, patience=60):
        connection = http.client.HTTPSConnection("127.0.0.1", self.board.ports[80], timeout=patience, context=machine.context())
        fields = {"Content-Type": "application/json"}
        if self.cookie:
            fields.update({"Cookie": self.cookie, "X-CSRF-Token": self.token or ""})
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        answer = connection.getresponse()
        text = answer.read()
        cookie = answer.getheader("Set-Cookie")
        if cookie:
            self.cookie = cookie.split(";")[0]
        connection.close()
        value = json.loads(text or b"null") if answer.getheader("Content-Type", "").startswith("application/json") else text
        return answer.status, value

    def done(self, method, path, body=None, patience=60):
        status, value = self.ask(method, path, body, patience)
        assert status < 300, (method, path, status, value)
        return value

    def set_up(self):
        self.token = self.done("POST", "/api/setup", {"code": self.board.setup_code(), "password": PASSWORD})["token"]
        self.configure(trusted=[machine.NETWORK])
        return self

    def log_in(self):
        self.token = self.done("POST", "/api/login", {"password": PASSWORD})["token"]
        return self

    def configure(self, **keys):
        document = {**self.done("GET", "/api/config"), **keys}
        self.done("PUT", "/api/config", document)

    def send_update(self, octets):
        """As the page sends a file; the status and what is said."""
        status, value = self.send_parts(octets)
        return (status, value) if status >= 300 else self.install()

    def send_parts(self, octets):
        part = 384 * 1024
        for at in range(0, max(len(octets), 1), part):
            body = {"at": at, "octets": base64.b64encode(octets[at:at + part]).decode()}
            status, value = self.ask("POST", "/api/board/update/part", body)
            if status >= 300:
                break
        return status, value

    def install(self):
        return self.ask("POST", "/api/board/update", {}, patience=300)
