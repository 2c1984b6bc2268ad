"""A kernel that runs for weeks: a thousand sign-ins leave no more behind than one does."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nbauth.core import person
from nbauth.core.errors import NbAuthError
from nbauth.core.person import Notices
from nbauth.core.settings_reader import SettingsReader
from nbauth.kernel.accounts.signed_in import SUPERSEDED
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in import attempts
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.testing.engine import ISSUER, PENDING, FakeEngine, refusal
from nbauth.testing.screen import RecordingScreen
from tests.kernel.conftest import redirect, until

pytestmark = pytest.mark.long

MANY = 250
OURS = {"nbauth-sign-in", "nbauth-called", "nbauth-apart", "nbauth-refresh", "nbauth-watch"}
ENDS = ["web_ui", "device", "failed", "cancelled"]


class Place:
    """A session whose engines are counted, and a screen that records nothing.

    Objects from before it are not counted, since earlier tests' threads may end meanwhile.
    """

    def __init__(self) -> None:
        self.threads_before = set(threading.enumerate())
        self.files_before = _files()
        self.engines: list[FakeEngine] = []
        self.screen = RecordingScreen()
        environ = {"NBAUTH_AUTHORITY": ISSUER, "NBAUTH_CLIENT_ID": "notebooks"}
        self.session = Session(SettingsReader(environ), self.screen, self.make)
        self.session.configure(refresh_ahead=False)

    def make(self, authority: Any, client_id: str, **_: Any) -> FakeEngine:
        self.engines.append(FakeEngine(authority, client_id))
        return self.engines[-1]

    def sign_in(self, end: str) -> None:
        """Run one sign-in, from its beginning to that end."""
        if end == "web_ui":
            self.session.login("read", web_ui=redirect, force=True)
            return
        with pytest.MonkeyPatch.context() as patch:
            if end == "failed":
                patch.setattr(FakeEngine, "start_device", lambda *_: _raise(refusal("odd")))
            if end == "cancelled":
                patch.setattr(FakeEngine, "poll_device", lambda *_: _raise(PENDING))
            sign_in = self.session.login("read", background=True, force=True)
            assert isinstance(sign_in, SignIn)
            if end == "cancelled":
                sign_in.cancel()
            sign_in.ended.wait(5)
            until(lambda: not sign_in._thread.is_alive())
        self.screen.shown.clear()
        self.screen.messages.clear()

    def threads(self) -> set[threading.Thread]:
        """New threads that are running."""
        return set(threading.enumerate()) - self.threads_before

    def _is_mine(self, one: object) -> bool:
        """Whether it is a sign-in of this place: those of earlier tests may end meanwhile."""
        return isinstance(one, SignIn) and one._screen is self.screen

    def left(self) -> dict[str, int]:
        """What is left after the threads have ended."""
        until(lambda: not any(thread.name in OURS for thread in self.threads()))
        gc.collect()
        session, engines = self.session, Counter(engine.closed for engine in self.engines)
        records = session.cache.signed_in.values()
        return {
            "threads": len(self.threads()),
            "files": len(_files() - self.files_before),
            "observers": len(session.changed) + len(session.cache.renewed),
            "attempts": len(session._attempts._known),
            "sign-ins": sum(self._is_mine(one) for one in gc.get_objects()),
            "engines not closed": engines[0],
            "engines closed twice": len(self.engines) - engines[0] - engines[1],
            "tokens": len(session.cache.tokens),
            "grants": sum(len(record.grants) for record in records),
            "flights": len(session._renewal._flights._under_way),
            "turns": len(session._account_locks._locks),
        }


def _files() -> set[str]:
    """Open files, by number and target; not the file that lists them, whose number varies."""
    folder = Path("/proc/self/fd")
    found = set()
    for name in os.listdir(folder) if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            found.add(f"{name} {os.readlink(folder / name)}")
    return found


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("end", ENDS)
def test_many_sign_ins_leave_no_more_than_one(end: str) -> None:
    place = Place()
    place.sign_in(end)
    first = place.left()
    for _ in range(MANY):
        place.sign_in(end)
    assert place.left() == first
    assert first["engines not closed"] == 0
    assert first["attempts"] <= 1
    for record in place.session.cache.signed_in.values():
        assert len(record.superseded) <= SUPERSEDED


def test_only_the_latest_unreported_failures_are_remembered() -> None:
    place = Place()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeEngine, "start_device", lambda *_: _raise(refusal("odd")))
        for number in range(3 * attempts.MOST_UNTOLD):
            sign_in = place.session.login(f"scope-{number}", background=True)
            assert isinstance(sign_in, SignIn)
            sign_in.ended.wait(5)
    known = place.session._attempts._known
    assert len(known) == attempts.MOST_UNTOLD + 1
    with pytest.raises(NbAuthError, match="odd"):
        place.session.acquire(f"scope-{number}")


def test_only_the_latest_notices_are_remembered() -> None:
    screen = RecordingScreen()
    notices = Notices(screen)
    for number in range(3 * person.MOST):
        notices.tell(f"sentence {number}")
        notices.tell(f"sentence {number}")
    assert len(screen.said) == 3 * person.MOST
    assert len(notices._told) == person.MOST
