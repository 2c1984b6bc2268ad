"""Refreshes ahead of need: when, for which tokens, and when not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nbauth.kernel.accounts.background import LONGEST_NAP, Background, RefreshAhead
from nbauth.kernel.accounts.grants import KernelGrant
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import refusal, unreachable
from tests.kernel.conftest import Bench, until


class Ahead:
    """A bench whose background refreshes are made by calls of :meth:`tick`."""

    def __init__(self, bench: Bench, share: float = 1.0) -> None:
        self.bench = bench
        bench.session.cache.renewed.disconnect(
            bench.session._refresh_ahead.wake
        )  # no thread of its own
        bench.sign_in("read")
        self.worker = RefreshAhead(bench.session.cache, bench.session._renewal)
        self.worker._share = share

    def tick(self) -> float | None:
        return self.worker.tick()


@pytest.fixture
def ahead(bench: Bench, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Ahead:
    monkeypatch.setattr("nbauth.kernel.accounts.background.time", clock)
    return Ahead(bench)


def test_nothing_is_due_until_twice_the_margin_is_left(ahead: Ahead) -> None:
    assert ahead.tick() == pytest.approx(3600 - 600)
    ahead.bench.clock.advance(3600 - 601)
    assert ahead.tick() == pytest.approx(1)
    assert ahead.bench.refreshes == 0
    ahead.bench.clock.advance(2)
    ahead.tick()
    assert ahead.bench.refreshes == 1
    assert ahead.bench.session.acquire("read").source == "cache"


def test_a_worker_asks_when_the_kernel_would_renew(ahead: Ahead) -> None:
    """And uses the present token a little longer, so that nobody waits for the answer."""
    tokens = ahead.bench.session.cache.tokens
    ((key, token),) = tokens.items()
    token.grant = KernelGrant(lambda *_: token.response, token.grant.scopes)
    tokens[key] = token.copy()
    assert ahead.tick() == pytest.approx(3600 - 600)
    ahead.bench.clock.advance(3600 - 600 + 500)
    assert ahead.bench.session.acquire("read").source == "cache"


def test_scopes_are_requested_as_they_were_written(bench: Bench, clock: FakeClock) -> None:
    """``Scopes.key`` has no order, and at Microsoft's authorities no upper case."""
    ahead = Ahead(bench)
    ahead.bench.sign_in("write", "Admin.All", "read")
    ahead.bench.session.cache.tokens.pop(next(iter(ahead.bench.session.cache.tokens)))
    ahead.bench.clock.advance(3600 - 301)
    ahead.tick()
    (refresh,) = [call for call in bench.engine.calls if call.method == "refresh"]
    assert tuple(refresh.arguments["scopes"]) == ("write", "Admin.All", "read")


def test_kernels_refresh_at_different_times(bench: Bench) -> None:
    shares = {RefreshAhead(bench.session.cache, bench.session._renewal)._share for _ in range(20)}
    assert len(shares) == 20
    assert all(0.1 <= share <= 1 for share in shares)


def test_an_unused_token_is_refreshed_once_only(ahead: Ahead) -> None:
    for _ in range(5):
        ahead.bench.clock.advance(3600 - 599)
        ahead.tick()
    assert ahead.bench.refreshes == 1


def test_a_token_in_use_never_goes_stale(ahead: Ahead) -> None:
    token = ahead.bench.session.token("read")
    for _ in range(5):
        ahead.bench.clock.advance(3600 - 599)
        ahead.tick()
        before = ahead.bench.refreshes
        assert token.value
        assert ahead.bench.refreshes == before, "no caller has to wait"
    assert ahead.bench.refreshes == 5


def test_a_short_life_has_a_short_margin(bench: Bench, clock: FakeClock) -> None:
    bench.engine.lifetime = 60
    ahead = Ahead(bench)
    assert ahead.tick() == pytest.approx(60 - 24)


def test_after_sleep_the_wall_clock_counts(ahead: Ahead) -> None:
    ahead.tick()
    ahead.bench.clock.sleep_through(8 * 3600)
    ahead.tick()
    assert ahead.bench.refreshes == 1


@pytest.mark.parametrize("step", [-600, 600])
def test_a_clock_step_causes_no_loop(ahead: Ahead, step: float) -> None:
    ahead.bench.clock.set_wall(step)
    for _ in range(10):
        assert (ahead.tick() or 1) > 0
    assert ahead.bench.refreshes == 0


def test_it_backs_off_while_the_provider_is_unreachable(ahead: Ahead) -> None:
    ahead.bench.engine.will("refresh", *[unreachable() for _ in range(8)])
    ahead.bench.clock.advance(3600 - 599)
    pauses = []
    for _ in range(8):
        pause = ahead.tick()
        assert pause is not None
        pauses.append(pause)
        ahead.bench.clock.advance(pause)
    assert pauses == pytest.approx([5, 10, 20, 40, 80, 160, 300, 300])
    assert ahead.bench.refreshes == 8


def test_an_ended_grant_is_tried_once(ahead: Ahead) -> None:
    ahead.bench.engine.will("refresh", refusal("invalid_grant"))
    ahead.bench.clock.advance(3600 - 599)
    for _ in range(3):
        ahead.tick()
    assert ahead.bench.refreshes == 1


def test_an_unexpected_error_does_not_end_the_thread(ahead: Ahead) -> None:
    ahead.bench.engine.will("refresh", ZeroDivisionError())
    ahead.bench.clock.advance(3600 - 599)
    assert ahead.tick() == LONGEST_NAP
    assert ahead.bench.read("read"), "the token is still valid"


def test_signed_out_there_is_nothing_to_do(ahead: Ahead) -> None:
    ahead.bench.session.logout()
    assert ahead.tick() is None


# ── the thread ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def ticks() -> Iterator[tuple[list[float], Background]]:
    seen: list[float] = []
    background = Background("nbauth-test", lambda: seen.append(time.monotonic()) or 0.01)
    yield seen, background
    background.stop()


@pytest.mark.parametrize(("pause", "nap"), [(0.5, 0.5), (1000.0, LONGEST_NAP)])
def test_it_sleeps_only_briefly_in_case_the_machine_is_suspended(pause: float, nap: float) -> None:
    background = Background("nbauth-test", lambda: pause)
    naps: list[float | None] = []
    wait = background._wake.wait

    def sleep(timeout: float | None = None) -> bool:
        naps.append(timeout)
        return wait(5)

    background._wake.wait = sleep  # type: ignore[method-assign]
    background.wake()
    until(lambda: naps)
    background.stop()
    assert naps[0] == nap


def test_a_failed_tick_is_repeated() -> None:
    looks: list[int] = []

    def look() -> float | None:
        looks.append(1)
        if len(looks) == 1:
            raise SystemExit
        return None

    background = Background("nbauth-test", look)
    background.wake()
    until(lambda: looks)
    background.wake()
    until(lambda: len(looks) > 1 and not _named("nbauth-test"))


def _named(name: str) -> list[Any]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_it_ticks_until_it_is_stopped(ticks: tuple[list[float], Background]) -> None:
    seen, background = ticks
    assert not _named("nbauth-test")
    background.wake()
    background.wake()
    until(lambda: len(seen) > 3)
    assert len(_named("nbauth-test")) == 1
    assert _named("nbauth-test")[0].daemon
    background.stop()
    assert not _named("nbauth-test")
    background.wake()
    until(lambda: _named("nbauth-test"))


def test_the_thread_ends_when_nothing_is_due_and_can_start_again(bench: Bench) -> None:
    count: list[int] = []
    background = Background("nbauth-test", lambda: count.append(1))  # type: ignore[func-returns-value]
    for _ in range(3):
        before = len(count)
        background.wake()
        until(lambda: len(count) > before and not _named("nbauth-test"))  # noqa: B023


def test_a_session_refreshes_ahead_by_itself_and_rests(bench: Bench) -> None:
    bench.sign_in("read")
    thread = bench.session._refresh_ahead._thread
    assert thread is not None
    assert thread.name == "nbauth-refresh"
    bench.clock.advance(3600 - 301)
    bench.session._refresh_ahead.wake()
    until(lambda: bench.refreshes == 1)
    bench.session.logout()
    bench.session._refresh_ahead.wake()
    until(lambda: not thread.is_alive())
    assert LONGEST_NAP <= 30
