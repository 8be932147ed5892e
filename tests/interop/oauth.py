"""A sign-in service: OAuthLib behind Python's HTTP server. The tokens that it gives out are good for Dovecot."""
import datetime
import http.server
import os
import threading
import urllib.error
import urllib.parse
import urllib.request

import dovecot
from world import once

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback
from oauthlib import oauth2  # noqa: E402 (it reads that when it is loaded)

AT = ("127.0.0.1", 10147)
SECRET = "a secret of the client"


class Service(oauth2.RequestValidator):
    """One client, `relay`, of one user, `me`. PKCE is demanded, and refresh tokens work once."""

    def __init__(self):
        self.codes, self.access, self.refresh = {}, {}, set()
        self.lifetime, self.asked, self.answer = 3600, [], None
        self.server = oauth2.Server(self, token_expires_in=lambda _: self.lifetime)

    def revoke(self):
        """The person has taken the leave back."""
        self.refresh.clear()
        self.access.clear()
        dovecot.GOOD.clear()

    # ---- What OAuthLib asks ----

    def validate_client_id(self, client_id, request, *_, **__):
        return client_id == "relay"

    def authenticate_client(self, request, *_, **__):
        request.client = type("Client", (), {"client_id": request.client_id})()
        return request.client_id == "relay" and request.client_secret == SECRET

    def validate_redirect_uri(self, client_id, redirect_uri, request, *_, **__):
        return redirect_uri == "http://localhost"

    def get_default_redirect_uri(self, *_, **__):
        return None

    def validate_response_type(self, client_id, response_type, *_, **__):
        return response_type == "code"

    def validate_grant_type(self, client_id, grant_type, client, request, *_, **__):
        return grant_type in ("authorization_code", "refresh_token")

    def validate_scopes(self, client_id, scopes, *_, **__):
        return scopes == ["mail", "offline"]

    def get_default_scopes(self, *_, **__):
        return []

    def is_pkce_required(self, *_, **__):
        return True

    def save_authorization_code(self, client_id, code, request, *_, **__):
        self.codes[code["code"]] = request

    def validate_code(self, client_id, code, client, request, *_, **__):
        begun = self.codes.get(code)
        if begun:
            request.user, request.scopes = "me", begun.scopes
        return begun is not None

    def confirm_redirect_uri(self, client_id, code, redirect_uri, client, request, *_, **__):
        return self.codes[code].redirect_uri == redirect_uri

    def get_code_challenge(self, code, request):
        return self.codes[code].code_challenge

    def get_code_challenge_method(self, code, request):
        return self.codes[code].code_challenge_method

    def invalidate_authorization_code(self, client_id, code, request, *_, **__):
        del self.codes[code]

    def save_bearer_token(self, token, request, *_, **__):
        self.refresh.discard(request.refresh_token)
        self.refresh.add(token["refresh_token"])
        ends = datetime.datetime.now() + datetime.timedelta(seconds=self.lifetime)
        self.access[token["access_token"]] = ends
        dovecot.GOOD[token["access_token"]] = ends

    def validate_refresh_token(self, refresh_token, client, request, *_, **__):
        request.user = "me"
        return refresh_token in self.refresh

    def get_original_scopes(self, *_, **__):
        return ["mail", "offline"]

    # ---- What comes over HTTP ----

    def handle(self, handler, body):
        path, _, _ = handler.path.partition("?")
        uri = "http://%s:%d%s" % (*AT, handler.path)
        if path == "/token":
            self.asked.append(dict(urllib.parse.parse_qsl(body)))
            if self.answer:
                return self.answer
            headers, text, status = self.server.create_token_response(uri, "POST", body, dict(handler.headers))
            return status, headers, text
        try:
            scopes, credentials = self.server.validate_authorization_request(uri)
        except oauth2.OAuth2Error as wrong:
            return 400, {}, wrong.error
        # The person says yes.
        credentials["user"] = "me"
        headers, text, status = self.server.create_authorization_response(uri, scopes=scopes, credentials=credentials)
        return status, headers, text


@once
def running():
    service = Service()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            status, headers, text = service.handle(self, body)
            octets = (text or "").encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(AT, Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return service


def fresh():
    """The service without a past."""
    service = running()
    service.lifetime, service.answer, service.asked = 3600, None, []
    service.revoke()
    return service


def say_yes(link):
    """What a browser does with a link: the address that it is sent to in the end."""
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_, **__):
            return None
    try:
        urllib.request.build_opener(Stay).open(link, timeout=10)
    except urllib.error.HTTPError as answer:
        assert answer.code == 302, (answer.code, answer.read())
        return answer.headers["Location"]
    raise AssertionError("nobody was sent anywhere")
