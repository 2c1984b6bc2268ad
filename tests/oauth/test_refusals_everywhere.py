"""Each known error code, wherever a provider sends it: its code, correlation id and time stay."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from nbauth.core.errors import NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.steps import AwaitRedirect, OpenBrowser, OpenReceiver, Receiving
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.error_catalogue import error_from, full_code, known_codes
from nbauth.oauth.flows import FLOWS
from tests.interop.peers import assert_plain
from tests.oauth.test_refresh_answers import METADATA, Canned, microsoft, openid

CORRELATION_ID = "aaaa0000-bb11-2222-33cc-444444dddddd"
TIME = "2026-01-09 02:02:12Z"
SCOPES = Scopes.parse(["api://app/read"], microsoft=True)
REQUEST = AuthorizationRequest(SCOPES)
CODES = sorted(known_codes())
TOLD = ["Its own words.", "Its own <b>words</b>. " * 40]


def texts(code: str, words: str) -> tuple[str, str]:
    """``error`` and ``error_description`` as Entra and B2C write them."""
    number = code.isdecimal() or code.startswith("AADB2C")
    said = f"{full_code(code)}: {words}" if number else words
    rest = f"\r\nTrace ID: 0-1\r\nCorrelation ID: {CORRELATION_ID}\r\nTimestamp: {TIME}"
    if code.startswith("AADB2C"):
        rest = rest.replace("\r\nTrace ID: 0-1", "") + "\r\n"
    return ("access_denied" if number else code), said + rest


def as_json(code: str, words: str) -> dict[str, Any]:
    """The error response of a token endpoint."""
    error, said = texts(code, words)
    numbers = {"error_codes": [int(code)]} if code.isdecimal() else {}
    return {
        "error": error if not code.isdecimal() else "invalid_grant",
        "error_description": said,
        **numbers,
        "timestamp": TIME,
        "correlation_id": CORRELATION_ID,
    }


def at_authorization(engine: Engine, code: str, words: str) -> None:
    """The redirect has only ``error`` and ``error_description``."""
    engine._http.mount("https://", Canned({"keys": []}))  # type: ignore[attr-defined]
    steps = FLOWS["browser"].run(engine, REQUEST)
    assert isinstance(next(steps), OpenReceiver)
    assert isinstance(steps.send(Receiving("http://localhost:9", "state")), OpenBrowser)
    assert isinstance(next(steps), AwaitRedirect)
    error, said = texts(code, words)
    steps.send({"state": "state", "error": error, "error_description": said})


def at_token(engine: Engine, code: str, words: str) -> None:
    engine._http.mount("https://", Canned({"keys": []}))  # type: ignore[attr-defined]
    pending = engine.authorize(REQUEST, Receiving("http://localhost:9", "state"))
    engine._http.mount("https://", Canned(as_json(code, words), 400))  # type: ignore[attr-defined]
    engine.redeem(pending, {"code": "c", "state": "state"})


def at_device(engine: Engine, code: str, words: str) -> None:
    page = f"{METADATA['issuer']}/device"
    shown = {"device_code": "d", "user_code": "u", "verification_uri": page, "expires_in": 900}
    engine._http.mount("https://", Canned(shown))  # type: ignore[attr-defined]
    device = engine.start_device(REQUEST)
    engine._http.mount("https://", Canned(as_json(code, words), 400))  # type: ignore[attr-defined]
    engine.poll_device(device)


def at_refresh(engine: Engine, code: str, words: str) -> None:
    engine._http.mount("https://", Canned(as_json(code, words), 400))  # type: ignore[attr-defined]
    engine.refresh("spent", SCOPES)


PLACES = {
    "authorization": at_authorization,
    "token": at_token,
    "device": at_device,
    "refresh": at_refresh,
}
IS_NO_ERROR = {("device", "slow_down")}


@pytest.fixture(params=[microsoft, openid], ids=["msal", "authlib"])
def make(request: pytest.FixtureRequest) -> Callable[[], Engine]:
    made: Callable[[], Engine] = request.param
    return made


@pytest.fixture
def silence() -> Iterator[None]:
    """Nothing is printed, neither by nbauth nor by a library."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        yield
    assert out.getvalue() == ""


@pytest.mark.parametrize("words", TOLD, ids=["short", "long"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.usefixtures("silence")
def test_every_code_keeps_what_the_administrator_needs(
    make: Callable[[], Engine], place: str, words: str
) -> None:
    for code in CODES:
        if (place, code) in IS_NO_ERROR:
            continue
        with pytest.raises(NbAuthError) as refused:
            PLACES[place](make(), code, words)
        error = refused.value
        seen = (error.code, error.correlation_id, error.timestamp)
        assert seen == (full_code(code), CORRELATION_ID, TIME), (code, place)
        assert_plain(error, 1_000)
        happened, todo = error.lines()
        assert f"{full_code(code)}: {words[:10]}" in happened
        assert happened.endswith(f"(correlation id {CORRELATION_ID}, {TIME})")
        assert "Trace ID" not in happened
        assert known_codes()[code]["what"] in happened
        if place != "refresh":  # there the advice is to sign in
            assert todo == f"→ {known_codes()[code]['next']}"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("code", ["999999", "AADB2C99999", "teapot"])
def test_an_unknown_code_too(make: Callable[[], Engine], place: str, code: str) -> None:
    with pytest.raises(NbAuthError) as refused:
        PLACES[place](make(), code, "Short and stout.")
    error = refused.value
    assert (error.code, error.correlation_id, error.timestamp) == (
        full_code(code),
        CORRELATION_ID,
        TIME,
    )
    assert "Short and stout." in str(error)
    assert error.hint
    assert_plain(error)


def test_without_a_time_the_error_has_this_computers() -> None:
    error = error_from({"error": "access_denied"})
    assert error.timestamp
    assert error.timestamp[:2] == "20"
    assert error.timestamp.endswith("Z")
    assert error.timestamp not in error.lines()[0]  # without an id, it finds nothing


ODD: list[Mapping[str, Any]] = [
    {"correlation_id": ["a"], "timestamp": 5},
    {"error_description": "Correlation ID: \x1b[31m Timestamp: yesterday"},
    {"error_description": ["Correlation ID: 1"]},
    {"error_description": "Timestamp:" + " " * 100_000},
    {"error_description": "Correlation ID:" * 50_000},
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_trail_is_left_out(odd: Mapping[str, Any]) -> None:
    error = error_from({"error": "access_denied", **odd})
    assert error.correlation_id is None
    assert "\x1b" not in error.lines()[0]
