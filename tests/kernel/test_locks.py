"""No callback, input or I/O happens while a lock is held, except an account's lock.

Here each lock of ``nbauth.kernel`` knows its owner. Whatever is called from outside, or calls
outside, checks whether the calling thread holds one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import pytest

from nbauth.core.errors import SignInError
from nbauth.core.settings_reader import SettingsReader
from nbauth.kernel.accounts import cache, flights
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in import attempt, attempts
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.testing.engine import ISSUER, FakeEngine, refusal
from nbauth.testing.screen import RecordingScreen
from tests.kernel.accounts.shelf import Handle, Shelf
from tests.kernel.conftest import redirect


class OwnedLock:
    """A lock that knows who holds it."""

    held: ClassVar[dict[int, list[OwnedLock]]] = {}

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_turn = False

    def acquire(self, *arguments: Any) -> bool:
        taken = self._lock.acquire(*arguments)
        if taken:
            self.held.setdefault(threading.get_ident(), []).append(self)
        return taken

    def release(self) -> None:
        self.held[threading.get_ident()].remove(self)
        self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Watch:
    """Records calls that were made while a lock was held."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.under_a_lock: list[str] = []

    def look(self, what: str, *, turn_is_fine: bool = False) -> None:
        self.seen.add(what)
        held = OwnedLock.held.get(threading.get_ident(), [])
        if [lock for lock in held if not (turn_is_fine and lock.is_turn)]:
            self.under_a_lock.append(what)

    def over(self, thing: Any, names: list[str], prefix: str, *, turn_is_fine: bool) -> None:
        """Check whenever one of these methods is called."""
        for name in names:
            real = getattr(thing, name)

            def watched(*args: Any, real: Any = real, name: str = name, **options: Any) -> Any:
                self.look(f"{prefix}.{name}", turn_is_fine=turn_is_fine)
                return real(*args, **options)

            setattr(thing, name, watched)


SCREEN = ["attended", "show", "ways", "offers", "wait", "say", "ask"]
STORE = ["open", "load", "save", "clear", "entries", "current", "use", "stamp", "exists"]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    for module in (cache, flights, attempt, attempts):
        monkeypatch.setattr(module.threading, "Lock", threading.Lock)
        fake = type("threading", (), {**vars(threading), "Lock": OwnedLock})
        monkeypatch.setattr(module, "threading", fake)
    real_turn = flights.AccountLocks.of

    def turn(self: flights.AccountLocks, key: Any) -> Any:
        lock = real_turn(self, key)
        lock.is_turn = True  # type: ignore[attr-defined]
        return lock

    monkeypatch.setattr(flights.AccountLocks, "of", turn)
    OwnedLock.held.clear()
    yield Watch()
    OwnedLock.held.clear()


@pytest.fixture
def session(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    shelf = Shelf()

    def named(kind: str, **options: Any) -> Handle:
        handle = shelf.named(kind, **options)
        watch.over(handle, STORE, "store", turn_is_fine=True)
        return handle

    monkeypatch.setattr("nbauth.persistence.persistence_named", named)
    screen = RecordingScreen(ways=("device", "paste"), offers=False)
    watch.over(screen, SCREEN, "screen", turn_is_fine=False)

    def engine_for(authority: Any, client_id: str, **_: Any) -> FakeEngine:
        made = FakeEngine(authority, client_id)
        made.live, made.rotates = live, False
        real = made._called
        made._called = lambda method, **arguments: (  # type: ignore[method-assign]
            watch.look(f"engine.{method}", turn_is_fine=True),
            real(method, **arguments),
        )[1]
        engines.append(made)
        return made

    live: dict[str, str] = {}
    engines: list[FakeEngine] = []
    environ = {"NBAUTH_AUTHORITY": ISSUER, "NBAUTH_CLIENT_ID": "c", "NBAUTH_PERSIST": "keyring"}
    made = Session(SettingsReader(environ, look_every=0), screen, engine_for)
    made.changed.connect(lambda: watch.look("changed"))
    made.cache.renewed.connect(lambda: watch.look("renewed", turn_is_fine=False))
    yield made
    made.logout(all=True)
    made.rest()


def test_nothing_is_called_back_asked_or_read_under_a_lock(session: Session, watch: Watch) -> None:
    def web_ui(url: str) -> str:
        watch.look("web_ui")
        return redirect(url)

    session.login("read", web_ui=web_ui)
    sign_in = session.login("read", background=True, force=True, flow="device")
    sign_in.changed.connect(lambda _: watch.look("sign_in.changed"))  # type: ignore[union-attr]
    session.login("read", force=True)
    session.acquire("read", force_refresh=True)
    session.token("write")
    pending = session.start("more")
    pending.switch("paste")
    pending.cancel()
    session.accounts()
    session.use("ada@example.com")
    beside = [
        threading.Thread(target=session.login, args=("read",), kwargs={"force": True})
        for _ in range(4)
    ]
    for thread in beside:
        thread.start()
    for thread in beside:
        thread.join(10)
    session.logout(revoke=True)
    assert watch.under_a_lock == []
    for what in (
        "web_ui", "changed", "renewed", "sign_in.changed", "screen.show", "screen.ways",
        "screen.wait", "engine.start_device", "engine.poll_device", "engine.refresh",
        "engine.revoke", "store.save", "store.stamp", "store.clear", "store.open",
    ):  # fmt: skip
        assert what in watch.seen, what


def test_nothing_is_called_under_a_lock_if_no_thread_can_be_started(
    session: Session, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def show(_: object, sign_in: SignIn) -> None:
        sign_in.changed.connect(lambda _: watch.look("sign_in.changed"))

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    session.screen.show = partial(show, session.screen)  # type: ignore[method-assign]
    with pytest.raises(SignInError, match="could not start"):
        session.login("read")
    assert watch.under_a_lock == []
    assert "sign_in.changed" in watch.seen
    assert session.pending() == []


def test_the_watch_detects_a_call_under_a_lock(session: Session, watch: Watch) -> None:
    with session.cache._lock:
        session.screen.say("under the cache's lock")
    assert watch.under_a_lock == ["screen.say"]


def test_a_finishing_sign_in_and_a_second_login_do_not_wait_for_each_other(
    session: Session,
) -> None:
    """In an earlier version, the first held its own lock and waited for the list's; the second the
    reverse."""
    for _ in range(20):
        threads = [
            threading.Thread(target=session.login, args=("read",), kwargs={"force": True})
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
    assert refusal("odd")
