from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nbauth.core.account import Account
from nbauth.core.settings_reader import SettingsReader
from nbauth.kernel.accounts.flights import Flights, _Flight
from nbauth.kernel.session import Session
from nbauth.kernel.stored_password import StoredPasswords
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import ISSUER, FakeEngine
from nbauth.testing.screen import RecordingScreen
from tests.harness.certificates import Certificates
from tests.kernel.redirects import redirect as redirect
from tests.kernel.redirects import until as until
from tests.oauth.servers import Server


def in_a_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Start a thread; return it and a list that gets the result or the error."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def at_once(
    count: int,
    call: Callable[[], Any],
    flights: Flights | None = None,
    let_go: Callable[[], object] = lambda: None,
) -> list[Any]:
    """Results, or the errors, of threads that call at the same moment.

    With ``flights``, ``let_go`` is called when all but one of them wait there.
    """

    def one(_: int) -> Any:
        try:
            return call()
        except Exception as error:
            return error

    boarded: list[_Flight] = []
    landed = _Flight.landed
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(count) as pool:
        patch.setattr(_Flight, "landed", lambda self: (boarded.append(self), landed(self))[1])
        outcomes = pool.map(one, range(count))
        if flights is not None:
            until(lambda: len(boarded) == count - 1, 10)
        let_go()
        return list(outcomes)


class Bench:
    """A session with a fake engine, a recording screen and a fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.engine = FakeEngine(clock=clock.time)
        self.engines = {(ISSUER, "notebooks"): self.engine}
        self.screen = RecordingScreen()
        self.environ = {"NBAUTH_AUTHORITY": ISSUER, "NBAUTH_CLIENT_ID": "notebooks"}
        reader = SettingsReader(self.environ, look_every=0)
        self.session = Session(reader, self.screen, self._engine_for)
        self.session._attempts._passwords = StoredPasswords(lambda *_: None)  # no keyring

    def _engine_for(self, authority: Any, client_id: str, **_: Any) -> FakeEngine:
        key = (authority.url, client_id)
        if key not in self.engines:
            self.engines[key] = FakeEngine(authority, client_id, clock=self.clock.time)
        return self.engines[key]

    def sign_in(self, *scopes: str, user: str = "ada", **options: Any) -> Account:
        """Sign in at once."""
        self.engine.user = user
        account = self.session.login(*scopes, web_ui=redirect, **options)
        assert isinstance(account, Account)
        return account

    @property
    def flights(self) -> Flights:
        return self.session._renewal._flights

    def read(self, *scopes: str, **options: Any) -> str:
        """The access token's text."""
        return str(self.session.acquire(*scopes, **options).access_token)

    @property
    def refreshes(self) -> int:
        return self.engine.count("refresh")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr("nbauth.kernel.accounts.cached_token.time", clock)
    monkeypatch.setattr("nbauth.kernel.accounts.id_token_life.time", clock)
    monkeypatch.setattr("nbauth.kernel.id_tokens.time", clock)
    return clock


@pytest.fixture
def server(certificates: Certificates) -> Iterator[Server]:
    """A host over TLS."""
    with Server(certificates) as made:
        yield made


@pytest.fixture
def bench(clock: FakeClock) -> Iterator[Bench]:
    made = Bench(clock)
    yield made
    made.session.rest()


@pytest.fixture(autouse=True)
def no_waiting_between_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbauth.oauth.flows.device_code.SHORTEST_INTERVAL", 0.005)


def _ours() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("nbauth-")}


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = _ours()
    yield
    until(lambda: not _ours() - before, 2)
