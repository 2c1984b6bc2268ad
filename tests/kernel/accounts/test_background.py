"""The thread between cells ends at each moment at which it is stopped."""

from __future__ import annotations

import pytest

from nbauth.kernel.accounts.background import Background
from tests.kernel.conftest import until


@pytest.mark.parametrize("when", ["before it clears its flag", "after it", "in its tick"])
def test_a_stop_at_any_moment_ends_the_thread(when: str) -> None:
    stopped: list[bool] = []

    def stop() -> None:
        if not stopped:
            stopped.append(True)
            with made._lock:  # as stop() does, which then would wait for this thread
                made._thread = None
                made._wake.set()

    def tick() -> float:
        if when == "in its tick":
            stop()
        return 30.0

    made = Background("nbauth-of-a-test", tick)
    clear = made._wake.clear

    def around() -> None:
        if when == "before it clears its flag":
            stop()
        clear()
        if when == "after it":
            stop()

    made._wake.clear = around  # type: ignore[method-assign]
    made.wake()
    thread = made._thread
    until(lambda: stopped, 2)
    if thread is not None:
        until(lambda: not thread.is_alive(), 2)
