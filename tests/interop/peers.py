"""The two issuers of the real provider, with sessions of nbauth for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nbauth.core.errors import NbAuthError
from nbauth.core.settings_reader import SettingsReader
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.kernel.sign_in.no_screen import NoScreen
from tests.harness.panva import Panva


class AttendedScreen(NoScreen):
    """A screen with a user present; it records what it shows."""

    def __init__(self) -> None:
        self.there = True
        self.shown: list[SignIn] = []
        self.said: list[str] = []

    def attended(self) -> bool:
        return self.there

    def show(self, sign_in: SignIn) -> None:
        self.shown.append(sign_in)

    def ways(self, sign_in: SignIn) -> tuple[str, ...]:
        return ("browser", "device", "paste")

    def offers(self, sign_in: SignIn) -> bool:
        return False

    def say(self, text: str) -> None:
        self.said.append(text)


@dataclass(frozen=True)
class Peer:
    """One issuer, with the scopes and account for the tests."""

    name: str
    issuer: str
    api_url: str
    settings: Mapping[str, Any]
    first: str
    second: str
    account: tuple[str, str, str, str]
    """username, name, tenant_id, home_account_id of ada"""


PEERS = ("oidc", "microsoft")


def peer_of(panva: Panva, name: str) -> Peer:
    """``oidc`` is served by Authlib's engine, ``microsoft`` by MSAL's."""
    common = {"client_id": panva.client_id, "verify": panva.ca_file}
    if name == "oidc":
        return Peer(
            name,
            panva.issuer,
            panva.api_url,
            {"authority": panva.issuer, **common},
            "read",
            "write",
            ("ada", "Ada Lovelace", "", "ada"),
        )
    return Peer(
        name,
        panva.ms_issuer,
        panva.ms_api_url,
        {"authority": panva.ms_authority, **common},
        "User.Read",
        "Mail.Read",
        ("ada@example.org", "Ada Lovelace", panva.tenant, panva.home_account_id()),
    )


def new_session(**settings: Any) -> Session:
    """A session with these settings only: no file, no environment. A user is present."""
    session = Session(SettingsReader({}), AttendedScreen())
    session.configure(**{"refresh_ahead": False, **settings})  # these tests count requests
    return session


def screen_of(session: Session) -> AttendedScreen:
    assert isinstance(session.screen, AttendedScreen)
    return session.screen


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for a condition, without the browser's event loop."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def device_shown(sign_in: SignIn) -> tuple[str, str]:
    """Wait for the code; return the address and the code."""
    until(lambda: sign_in.user_code or sign_in.error)
    assert sign_in.error is None, sign_in.error
    assert sign_in.verification_uri
    assert sign_in.user_code
    return sign_in.verification_uri, sign_in.user_code


def address_shown(sign_in: SignIn) -> str:
    """Wait for the authorize address of a browser flow."""
    until(lambda: sign_in.authorize_url or sign_in.error)
    assert sign_in.error is None, sign_in.error
    assert sign_in.authorize_url
    return sign_in.authorize_url


def our_threads() -> list[str]:
    """The names of the threads of running sign-ins."""
    return [
        t.name for t in threading.enumerate() if t.name in ("nbauth-sign-in", "nbauth-receiver")
    ]


def assert_plain(error: NbAuthError, limit: int = 600) -> None:
    """Check that the error has two plain lines, with a hint."""
    lines = error._render_traceback_()
    assert lines == error.lines()
    happened, todo = lines
    assert happened.startswith(f"{type(error).__name__}: ")
    assert happened.removeprefix(f"{type(error).__name__}: ").strip()
    assert todo.removeprefix("→").strip()
    assert not any("\n" in line or "Traceback" in line for line in lines)
    assert len(happened) < limit
