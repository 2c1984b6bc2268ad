"""The log at DEBUG: a failed sign-in can be traced from it, and it can be pasted in public."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from nbauth.core.errors import NbAuthError
from nbauth.core.log import place, trail, word
from nbauth.core.secret import SecretStr
from nbauth.kernel.accounts.background import RefreshAhead
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.oauth.engines.protocol import DeviceCode
from nbauth.testing.canary import find, make_canary
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import ISSUER, FakeEngine, refusal, unreachable
from tests.kernel.conftest import Bench, redirect, until

HOST = "api.example"


class Log:
    """Everything that is logged, as text of the root logger and as the records' parts."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.records: list[logging.LogRecord] = []
        self.handler = logging.StreamHandler(self.text)
        self.handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.handler.addFilter(self._keep)

    def _keep(self, record: logging.LogRecord) -> bool:
        self.records.append(record)
        return True

    @property
    def lines(self) -> list[str]:
        """The lines of nbauth's loggers."""
        return [record.getMessage() for record in self.records if record.name.startswith("nbauth.")]

    def everything(self) -> str:
        parts = [repr((record.msg, record.args, record.exc_info)) for record in self.records]
        return "\n".join([self.text.getvalue(), *parts])


@pytest.fixture
def log() -> Iterator[Log]:
    made, root = Log(), logging.getLogger()
    level = root.level
    root.addHandler(made.handler)
    root.setLevel(logging.DEBUG)
    yield made
    root.setLevel(level)
    root.removeHandler(made.handler)


class CanaryEngine(FakeEngine):
    """A provider in whose responses every value is a secret that can be searched for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.secrets: list[str] = []

    def canary(self, label: str) -> str:
        self.secrets.append(make_canary(label))
        return self.secrets[-1]

    def response(self, scopes: Any, *, user: str | None = None, **changes: Any) -> Any:
        made = super().response(scopes, user=user)
        names = {name: self.canary(name) for name in ("name", "preferred_username", "email")}
        secret = {name: SecretStr(self.canary(name)) for name in ("access_token", "id_token")}
        refresh_token = SecretStr(self.canary("refresh_token"))
        self.live[refresh_token] = made.id_token_claims["sub"]
        return super().response(
            scopes,
            refresh_token=refresh_token,
            id_token_claims={**made.id_token_claims, **names},
            **secret,
            **changes,
        )

    def start_device(self, request: Any) -> DeviceCode:
        given = super().start_device(request)
        return DeviceCode(
            user_code=self.canary("user_code"),
            verification_uri=f"{ISSUER}/device",
            verification_uri_complete=f"{ISSUER}/device?user_code={self.canary('complete')}",
            expires_in=60,
            interval=0.01,
            message=self.canary("message"),
            private=given.private,
        )

    def authorize(self, request: Any, receiving: Any) -> Any:
        self.secrets.append(receiving.state)
        return super().authorize(request, receiving)

    def refused(self, error: str = "invalid_grant") -> NbAuthError:
        return refusal(error, self.canary("description"), correlation_id=self.canary("id"))


@pytest.fixture
def engine(bench: Bench, clock: FakeClock) -> CanaryEngine:
    made = CanaryEngine(clock=clock.time)
    bench.engine = bench.engines[(ISSUER, "notebooks")] = made
    bench.session.configure(hosts={HOST: ["read"]}, refresh_ahead=False)
    return made


def asking(url: str) -> SimpleNamespace:
    """A request, as far as the decision needs it."""
    return SimpleNamespace(url=url)


def web_ui(engine: CanaryEngine) -> Any:
    return lambda url: redirect(url, code="c" + engine.canary("code").replace("&", ""))


# ── no secret ───────────────────────────────────────────────────────────────────────────────


def test_no_secret_is_in_the_log(bench: Bench, engine: CanaryEngine, log: Log) -> None:
    session, done = bench.session, 0

    def attempt(call: Any, *given: Any, **options: Any) -> Any:
        nonlocal done
        done += 1
        try:
            return call(*given, **options)
        except (NbAuthError, requests.RequestException):
            return None

    def fails(*_: Any) -> Any:
        raise ValueError(engine.canary("raised"))

    session.changed.connect(fails)
    name = engine.canary("asked")
    engine.secrets += ["ada@example.com"]
    attempt(session.login, "read", web_ui=web_ui(engine))
    attempt(session.login, "read", web_ui=fails, force=True)
    attempt(session.login, "read", web_ui=lambda _: engine.canary("no address"), force=True)
    attempt(session.login, "read", account=name, web_ui=web_ui(engine), force=True)
    attempt(session.login, "read", login_hint=name, force=True, flow="device")
    for failure in (engine.refused(), engine.refused(engine.canary("error")), unreachable()):
        engine.will("poll_device", failure)
        attempt(session.login, "read", force=True, flow="device", timeout=0.1)
    engine.will("start_device", ValueError(engine.canary("raised")))
    attempt(session.login, "read", force=True, flow="device")
    opened = attempt(session.login, "read", background=True, force=True, flow="paste")
    until(lambda: opened.authorize_url)
    attempt(opened.submit, f"http://127.0.0.1/?code={engine.canary('code')}&state=other")
    attempt(opened.submit, redirect(opened.authorize_url, code="c" + engine.canary("code")))
    attempt(opened.wait, 5)
    claims = json.dumps({"access_token": {"x": {"value": engine.canary("claim")}}})
    attempt(session.acquire, "read", claims=claims)
    for failure in (
        None,
        engine.refused("odd"),
        ValueError(engine.canary("raised")),
        engine.refused(),
    ):
        engine.will("refresh", failure)
        with contextlib.suppress(ValueError):
            attempt(session.acquire, "read", force_refresh=True, interactive=False)
    attempt(session.acquire, "read", account=name, interactive=False)
    attempt(session.login, "read", web_ui=web_ui(engine), force=True)
    worker = RefreshAhead(session.cache, session._renewal)
    worker._share = 1.0
    for failure in (unreachable(), ValueError(engine.canary("raised"))):
        session.configure(refresh_ahead=True)
        attempt(session.login, "read", web_ui=web_ui(engine), force=True)
        bench.clock.advance(3600 - 400)
        engine.will("refresh", failure)
        worker.tick()
    auth = session.authorise("read")
    for address in (
        f"https://{HOST}/v1?q={engine.canary('query')}",
        f"https://{engine.canary('user').split('/')[0]}@{HOST}/",
        f"https://evil.example/{engine.canary('path')}?q={engine.canary('query')}",
        f"https://{engine.canary('host')}/",
    ):
        attempt(lambda url=address: auth.decided(asking(url)))
    refused = requests.Request("GET", f"https://{HOST}/?q={engine.canary('query')}").prepare()
    refused.headers["Authorization"] = f"Bearer {bench.read('read')}"
    answer = requests.Response()
    answer.status_code = 401
    attempt(lambda: auth._refused(refused, answer, whole=True))
    claims = base64.b64encode(json.dumps({"id_token": {engine.canary("claims"): None}}).encode())
    answer.headers["WWW-Authenticate"] = (
        f'Bearer error="insufficient_claims", claims="{claims.decode()}"'
    )
    attempt(lambda: auth._refused(refused, answer, whole=True))
    engine.will("revoke", engine.refused())
    attempt(session.logout, revoke=True)
    attempt(session.logout, all=True, revoke=True)
    written = log.everything()
    assert done > 25
    assert len(log.lines) > 60
    assert len(engine.secrets) > 60
    assert [secret for secret in engine.secrets if find(secret, written)] == []


def test_an_error_is_logged_by_its_type_and_place_only() -> None:
    try:
        try:
            raise KeyError("a secret")
        except KeyError as error:
            raise ValueError("another secret") from error
    except ValueError as error:
        told = trail(error)
    assert "secret" not in told
    assert told.startswith("ValueError at test_log.py:")
    assert told.endswith(", caused by KeyError")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://id.example/token", "id.example/token"),
        ("https://user:secret@id.example:8443/a/b?code=secret#secret", "id.example:8443/a/b"),
        ("https://id.example", "id.example"),
        ("https://id.example:port/", "an invalid address"),
        ("https://[secret/", "an invalid address"),
        ("https://id.example/\r\nINFO forged", "id.example/INFO forged"),
        ("https://id.example/\x1b[2J", "an invalid address"),
    ],
)
def test_a_url_is_logged_as_host_and_path(address: str, shown: str) -> None:
    assert place(address) == shown


@pytest.mark.parametrize("code", ["invalid_grant", "AADSTS50076", "http_503", "tls"])
def test_an_error_code_is_logged(code: str) -> None:
    assert word(code) == code


@pytest.mark.parametrize("code", ["two words", "a/b", "x" * 41, "", "a\nb", "eyJ.e+J", 7])
def test_a_value_that_is_no_error_code_is_not_logged(code: object) -> None:
    assert word(code) == "…"


# ── what can be traced ──────────────────────────────────────────────────────────────────────


def in_order(lines: list[str], *wanted: str) -> bool:
    """Whether lines with these beginnings occur in this order."""
    rest = iter(lines)
    return all(any(line.startswith(start) for line in rest) for start in wanted)


def test_a_sign_in_that_fails_can_be_traced(bench: Bench, log: Log) -> None:
    bench.screen.known_ways = ("device", "paste")
    policy = refusal("access_denied", "AADSTS53003: Access has been blocked by policy.")
    bench.engine.will("poll_device", policy)
    bench.engine.will("redeem", refusal("invalid_client"))
    sign_in = bench.session.login("read", background=True)
    assert isinstance(sign_in, SignIn)
    until(lambda: sign_in.authorize_url)
    sign_in.submit(redirect(sign_in.authorize_url or ""))
    with pytest.raises(NbAuthError):
        sign_in.wait(5)
    until(lambda: not sign_in._thread.is_alive())
    lines = [line for line in log.lines if line != "a sign-in is begun"]  # by the other thread
    assert in_order(
        lines,
        "a sign-in begins at id.example",
        "uses the flow device; available: device paste",
        "device: ShowUserCode",
        "the flow device failed (AADSTS53003)",
        "uses the flow paste",
        "the redirect URI is 127.0.0.1",
        "paste: OpenBrowser",
        "an address or a code was handed in",
        "the flow paste failed (invalid_client)",
        "paste: failed (invalid_client)",
    ), lines
    assert {record.levelname for record in log.records} == {"DEBUG"}


def test_each_decision_on_a_token_is_logged(bench: Bench, log: Log) -> None:
    session = bench.session
    session.configure(hosts={HOST: ["read"]}, refresh_ahead=False)
    bench.sign_in("read")
    held = session.token("read")
    bench.read("read")
    bench.read("read", force_refresh=True)
    bench.engine.will("refresh", unreachable())
    bench.clock.advance(3400)
    str(held)
    bench.engine.live.clear()
    bench.clock.advance(3600)
    with pytest.raises(NbAuthError):
        session.acquire("read", interactive=False)
    auth = session.authorise("read")
    auth.decided(asking(f"https://{HOST}/v1?q=1"))
    auth.decided(asking("https://elsewhere.example/v1"))
    session.logout()
    assert in_order(
        log.lines,
        "browser: tokens have arrived for read",
        "browser: done",
        "read: from the cache",
        "read: renewed",
        "read: not renewed (no_connection)",
        "read: used while it is valid (no_connection)",
        "read: not renewed (invalid_grant)",
        "a grant has ended and is not used again",
        "read: a person is needed and must not be asked",
        "api.example gets a token for read",
        "elsewhere.example gets no token",
        "signed out: 1",
    ), log.lines
