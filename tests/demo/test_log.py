"""Sign-ins with the real libraries and all loggers at DEBUG: the log contains no secret."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from collections.abc import Iterator
from html import unescape
from re import findall
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from nbauth.core.errors import NbAuthError
from nbauth.core.settings_reader import SettingsReader
from nbauth.demo.servers import Demo
from nbauth.demo.tour import approve
from nbauth.kernel.session import Session
from nbauth.oauth.http import Http
from nbauth.testing.canary import find
from nbauth.testing.screen import RecordingScreen

from .steps import press, sign_in

SECRET = frozenset({
    "access_token", "refresh_token", "id_token", "code", "code_verifier", "code_challenge", "state",
    "nonce", "device_code", "user_code", "client_info", "login_hint", "username", "session_state",
})  # fmt: skip


class Wire:
    """Collects the secrets of all requests to the provider and of its responses, by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.secrets: dict[str, str] = {}
        send = requests.Session.send

        def sends(session: requests.Session, request: Any, **options: Any) -> requests.Response:
            self.see(dict(parse_qsl(urlsplit(request.url).query)))
            if isinstance(request.body, str):
                self.see(dict(parse_qsl(request.body)))
            response = send(session, request, **options)
            self.see(dict(parse_qsl(urlsplit(response.headers.get("Location", "")).query)))
            if not options.get("stream"):
                self.hear(response)
            return response

        def asks(http: Http, *args: Any, **options: Any) -> requests.Response:
            return self.hear(request(http, *args, **options))  # the body has been read

        request = Http.request
        monkeypatch.setattr(requests.Session, "send", sends)
        monkeypatch.setattr(Http, "request", asks)

    def hear(self, response: requests.Response) -> requests.Response:
        with contextlib.suppress(ValueError):
            self.see(response.json())
        return response

    def see(self, values: Any) -> None:
        if isinstance(values, dict):
            found = {v: n for n, v in values.items() if n in SECRET and len(str(v)) >= 8}
            self.secrets |= found


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.setLevel(level)
    root.removeHandler(handler)


def test_no_secret_of_a_request_or_response_is_in_the_log(
    demo: Demo, browser: requests.Session, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire(monkeypatch)
    # The browser of this test also uses urllib3, whose log would contain its addresses.
    monkeypatch.setattr("urllib3.connectionpool.log.disabled", True)
    session = Session(SettingsReader(demo.environment()), RecordingScreen())
    session.configure(refresh_ahead=False)

    def web_ui(address: str) -> str:
        last = press(demo, browser, sign_in(demo, browser, browser.get(address)), "accept")
        if "Location" in last.headers:
            return last.headers["Location"]
        pairs = findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', last.text)
        answer = {unescape(name): unescape(value) for name, value in pairs}
        wire.see(answer)
        return "http://localhost/?" + requests.models.RequestEncodingMixin._encode_params(answer)

    session.login("User.Read", web_ui=web_ui, login_hint=demo.user)
    session.acquire("User.Read", force_refresh=True)
    person = threading.Timer(0.5, lambda: [approve(demo, d) for d in _devices(demo)])
    person.start()
    session.login("User.Read", flow="device", force=True)
    person.join()
    demo.provider.store.refresh_tokens.clear()
    with pytest.raises(NbAuthError):
        session.acquire("User.Read", force_refresh=True, interactive=False)
    session.logout(all=True)
    written = log.getvalue()
    names = set(wire.secrets.values())
    assert {"access_token", "refresh_token", "id_token", "code", "code_verifier", "state"} <= names
    assert {"device_code", "user_code"} <= names
    secrets = {**wire.secrets, demo.user: "user name", demo.password: "password"}
    assert [name for secret, name in secrets.items() if find(secret, written)] == []
    origin, path = demo.provider.origin.partition("//")[2], urlsplit(demo.authority).path
    assert f"POST {origin}{path.removesuffix('/v2.0')}/oauth2/v2.0/token: 200" in written
    assert "correlation id " in written


def _devices(demo: Demo) -> Any:
    return list(demo.provider.store.pending_devices())
