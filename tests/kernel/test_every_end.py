"""Whatever stops a call at whatever line, no other caller waits for it afterwards.

An interrupt is raised at each line of ``nbauth.kernel`` that a call runs through, one after the
other. Then another thread signs in and requests a token within a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbauth
from nbauth.core.errors import NbAuthError, NotSignedIn, SignInError, SignInExpired
from nbauth.core.signal import Signal
from nbauth.core.tokens import Token
from nbauth.kernel.accounts.background import LONGEST_NAP, Background
from nbauth.kernel.accounts.flights import Flights
from nbauth.kernel.sign_in import attempt
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.testing.engine import PENDING
from tests.kernel.conftest import Bench, redirect, until
from tests.kernel.lines import interrupted

pytestmark = pytest.mark.long

MAIN = threading.main_thread()
ROOM = str(Path(nbauth.__file__).parent / "kernel")


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """The outcome of a call in another thread, which must not take longer."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except NbAuthError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "a caller still waits"
    return outcome[0]


def all_is_well(bench: Bench, where: str) -> None:
    """No lock is held, nothing is waited for, and the next sign-in works."""
    flights = bench.flights
    # The refresh ahead of need, in its own thread, may be running.
    until(lambda: not flights._under_way, 2)
    until(lambda: not bench.session._account_locks.held(), 2)
    assert not bench.session.cache._lock.locked(), where
    assert not bench.session._attempts._lock.locked(), where
    for pending in bench.session.pending():  # it runs, so callers get a result
        assert pending.held, f"{where}: nobody waits for it, and it goes on"
        assert not pending.waiters, where
        pending.start()
        assert pending._thread.is_alive() or pending.ended.wait(1), where
        within(1, pending.cancel)
        assert pending.ended.is_set(), where
    account = within(2, lambda: bench.session.login("read", web_ui=redirect, force=True))
    assert not isinstance(account, Exception), where
    assert str(within(2, lambda: bench.session.acquire("read")).access_token), where


def login(bench: Bench) -> None:
    bench.session.login("read", force=True)


def login_in_vain(bench: Bench) -> None:
    bench.engine.will("poll_device", *[PENDING] * 50)
    with contextlib.suppress(SignInExpired):
        bench.session.login("read", force=True, timeout=0.02)


def token_in_vain(bench: Bench) -> None:
    bench.engine.will("poll_device", *[PENDING] * 50)
    sign_in = bench.session.login("write", force=True, background=True)
    assert isinstance(sign_in, SignIn)
    with contextlib.suppress(SignInExpired):
        bench.session.acquire("write", timeout=0.02)
    sign_in.cancel()


def login_by_web_ui(bench: Bench) -> None:
    bench.session.login("read", web_ui=redirect, force=True)


def join(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    bench.session.login("read", force=True, background=True)
    threading.Timer(0.01, gate.open).start()
    bench.session.login("read", force=True)


def cancel(bench: Bench) -> None:
    bench.engine.will("poll_device", *[PENDING] * 50)
    sign_in = bench.session.login("read", force=True, background=True)
    assert isinstance(sign_in, SignIn)
    sign_in.cancel()


def switch(bench: Bench) -> None:
    bench.engine.will("poll_device", *[PENDING] * 50)
    sign_in = bench.session.login("read", force=True, background=True, flow="device")
    assert isinstance(sign_in, SignIn)
    sign_in.switch("browser")
    sign_in.cancel()


def stale(bench: Bench) -> None:
    bench.clock.advance(4000)
    bench.session.acquire("read")


def forced(bench: Bench) -> None:
    bench.session.acquire("read", force_refresh=True)


def held(bench: Bench) -> None:
    token = bench.session.token("read")
    bench.clock.advance(4000)
    str(token)


def logout(bench: Bench) -> None:
    bench.session.logout(revoke=True)


def use(bench: Bench) -> None:
    bench.session.use("ada@example.com")


@pytest.mark.parametrize(
    "act",
    [
        login,
        login_in_vain,
        token_in_vain,
        login_by_web_ui,
        join,
        cancel,
        switch,
        stale,
        forced,
        held,
        logout,
        use,
    ],
)
def test_an_interrupt_at_any_line_leaves_nobody_waiting(
    bench: Bench, act: Callable[[Bench], None]
) -> None:
    bench.sign_in("read")
    lines = 0
    for where in interrupted(lambda: act(bench), ROOM):
        lines += 1
        bench.engine._script.clear()
        all_is_well(bench, where)
    assert lines > 5


# ── in nbauth's own threads ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError])
@pytest.mark.parametrize("method", ["start_device", "poll_device"])
def test_whatever_ends_the_thread_ends_the_sign_in(
    bench: Bench, end: type[BaseException], method: str
) -> None:
    def ends() -> None:
        raise end

    bench.engine.will(method, ends)
    with pytest.raises(SignInError, match=end.__name__):
        bench.session.login("read")
    assert bench.screen.shown[0].state == "failed"
    assert bench.session.login("read")


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
def test_a_web_ui_that_exits_ends_the_sign_in(bench: Bench, end: type[BaseException]) -> None:
    def web_ui(url: str) -> str:
        raise end

    with pytest.raises(SignInError, match=end.__name__):
        bench.session.login("read", web_ui=web_ui)
    assert bench.sign_in("read")


def test_a_registered_attempt_that_never_started_is_started_by_the_next_caller(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = attempt.SignIn.start
    monkeypatch.setattr(attempt.SignIn, "start", lambda self: self)
    first = bench.session.login("read", background=True)
    monkeypatch.setattr(attempt.SignIn, "start", real)
    assert isinstance(first, SignIn)
    assert not first._thread.is_alive()
    assert within(2, lambda: bench.session.login("read")).username == "ada@example.com"
    assert first.state == "done"


@pytest.mark.parametrize("end", [ZeroDivisionError, SystemExit, KeyError])
def test_a_failed_tick_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    looks: list[int] = []

    def look() -> float | None:
        looks.append(1)
        if len(looks) == 1:
            raise end
        return None

    monkeypatch.setattr("nbauth.kernel.accounts.background.LONGEST_NAP", 0.01)
    background = Background("nbauth-test", look)
    background.wake()
    until(lambda: len(looks) > 1)
    background.stop()
    assert LONGEST_NAP == 30


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_ends_the_fetching_thread_the_others_fetch(end: type[BaseException]) -> None:
    flights, gate, reached = Flights(), threading.Event(), threading.Event()

    def ends() -> int:
        reached.set()
        gate.wait(5)
        raise end

    def leader() -> None:
        with pytest.raises(end):
            flights.run("key", ends)

    first = threading.Thread(target=leader)
    first.start()
    assert reached.wait(5)
    results: list[int] = []
    second = threading.Thread(target=lambda: results.append(flights.run("key", lambda: 9)))
    second.start()
    gate.set()
    first.join(5)
    second.join(5)
    assert results == [9]


@pytest.mark.parametrize(
    "end", [ZeroDivisionError, SystemExit, GeneratorExit, asyncio.CancelledError, KeyboardInterrupt]
)
def test_a_failing_observer_does_not_stop_the_others(
    bench: Bench, end: type[BaseException]
) -> None:
    seen: list[str] = []

    def fails(*_: object) -> None:
        if end is not KeyboardInterrupt or threading.current_thread() is not MAIN:
            raise end

    bench.session.changed.connect(fails)
    bench.session.cache.renewed.connect(fails)
    bench.session.changed.connect(lambda: seen.append("changed"))
    bench.screen.person = lambda sign_in: sign_in.changed.connect(fails)
    assert bench.session.login("read")
    bench.session.logout()
    assert len(seen) > 1


def test_an_interrupt_of_an_observer_is_raised_when_all_have_been_called() -> None:
    seen: list[str] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    signal = Signal()
    signal.connect(interrupted)
    signal.connect(lambda: seen.append("changed"))
    with pytest.raises(KeyboardInterrupt):
        signal.emit()
    assert seen == ["changed"]


# ── the end of one caller does not concern the others ───────────────────────────────────────


def test_one_callers_time_out_is_its_own(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    sign_in = bench.session.login("read", background=True)
    assert isinstance(sign_in, SignIn)
    assert isinstance(within(2, lambda: sign_in.wait(0.05)), SignInError)
    assert sign_in.state == "waiting"
    gate.open()
    assert sign_in.wait(5)


@pytest.mark.parametrize("others", [0, 1])
def test_an_interrupt_cancels_the_sign_in_only_if_no_other_caller_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    gate = bench.engine.hold("poll_device")
    main = threading.current_thread()
    waits = bench.screen.wait

    def wait(sign_in: Any, timeout: float | None = None) -> None:
        if threading.current_thread() is main:
            until(lambda: sign_in.waiters == 1 + others)
            raise KeyboardInterrupt
        waits(sign_in, timeout)

    monkeypatch.setattr(bench.screen, "wait", wait)
    outcomes: list[Any] = []
    beside = [
        threading.Thread(target=lambda: outcomes.append(bench.session.login("read")))
        for _ in range(others)
    ]
    for thread in beside:
        thread.start()
    if others:
        until(lambda: bench.session.pending() and bench.session.pending()[0].waiters)
    with pytest.raises(KeyboardInterrupt) as caught:
        bench.session.login("read")
    (line,) = caught.value._render_traceback_()  # type: ignore[attr-defined]
    assert ("continues" in line) == bool(others)
    sign_in = bench.screen.shown[0]
    assert sign_in.state == ("waiting" if others else "cancelled")
    gate.open()
    for thread in beside:
        thread.join(5)
    assert len(outcomes) == others


def test_a_fresh_token_does_not_wait_for_a_sign_in(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    bench.engine.hold("start_device")
    pending = bench.session.login("read", background=True, force=True)
    assert isinstance(pending, SignIn)
    assert str(within(1, lambda: bench.session.acquire("read")).access_token) == "access-ada-1"
    assert str(within(1, lambda: bench.session.token("read").value)) == "access-ada-1"
    pending.cancel()


def test_a_call_for_one_account_does_not_wait_for_a_sign_in_of_another(bench: Bench) -> None:
    bench.screen.is_attended = False
    bench.sign_in("read", user="ada")
    bench.screen.is_attended = True
    bench.engine.hold("start_device")
    pending = bench.session.login("read", account="bob@example.com", background=True)
    assert isinstance(pending, SignIn)
    bench.screen.is_attended = False
    bench.engine.live.clear()
    bench.clock.advance(4000)
    error = within(1, lambda: bench.session.acquire("read"))
    assert isinstance(error, NbAuthError)
    assert not isinstance(error, NotSignedIn)
    pending.cancel()


def test_a_held_token_read_while_others_sign_in(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    token = bench.session.token("read")
    assert isinstance(token, Token)
    bench.engine.hold("start_device")
    pending = bench.session.login("read", background=True, force=True, account="bob@example.com")
    assert isinstance(pending, SignIn)
    bench.clock.advance(4000)
    assert str(within(1, lambda: token.value)).startswith("access-ada-")
    pending.cancel()
