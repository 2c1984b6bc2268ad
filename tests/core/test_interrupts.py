"""``Flag`` and ``join`` work after an interrupt."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from nbauth.core import interrupts
from nbauth.core.interrupts import Flag


def in_a_thread(call: Callable[[], Any], seconds: float = 5.0) -> list[Any]:
    """The result in a list; an empty list if the call did not end in time."""
    brought: list[Any] = []
    thread = threading.Thread(target=lambda: brought.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    return brought


def test_set_wakes_all_waiting_threads() -> None:
    flag = Flag()
    outcomes: list[bool] = []
    threads = [threading.Thread(target=lambda: outcomes.append(flag.wait(10))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert not flag.is_set()
    flag.set()
    for thread in threads:
        thread.join(5)
    assert outcomes == [True] * 8
    assert flag.is_set()
    assert flag.wait()
    assert flag.wait(0)


@pytest.mark.timing
def test_wait_times_out() -> None:
    flag = Flag()
    began = time.monotonic()
    assert not flag.wait(0.05)
    assert 0.04 < time.monotonic() - began < 5
    assert not flag.wait(0)
    assert not flag.wait(-1)


def test_it_can_be_cleared_and_set_again() -> None:
    flag = Flag()
    for _ in range(3):
        flag.set()
        flag.set()
        assert flag.wait(0.01)
        flag.clear()
        flag.clear()
        assert not flag.is_set()
        assert not flag.wait(0.01)
    assert in_a_thread(lambda: flag.wait(0.02)) == [False]


def test_a_lost_wake_up_only_delays_the_wait() -> None:
    flag = Flag()
    waiter: list[bool] = []
    thread = threading.Thread(target=lambda: waiter.append(flag.wait()))
    thread.start()
    flag._is_set = True  # without waking the waiting thread
    thread.join(4 * interrupts._LOOK_EVERY)
    assert waiter == [True]


class _Interrupts:
    """Raises an interrupt before the ``nth`` bytecode instruction in ``interrupts.py``."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != interrupts.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def _interrupted(call: Callable[[], object], nth: int) -> bool:
    before = sys.gettrace()
    sys.settrace(_Interrupts(nth))
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("method", ["set", "clear", "wait", "wait for set()"])
def test_the_flag_works_after_an_interrupt_at_any_instruction(method: str) -> None:
    _interrupted(Flag().set, 10**6)  # Python 3.12 traces instructions from the second call on
    for nth in range(1, 500):
        flag = Flag()
        setter = threading.Timer(0.002, flag.set)
        if method == "wait for set()":
            setter.start()
        call = {
            "set": flag.set,
            "clear": flag.clear,
            "wait": lambda flag=flag: flag.wait(0.001),
            "wait for set()": lambda flag=flag: flag.wait(5),
        }[method]
        hit = _interrupted(call, nth)
        setter.cancel()
        assert in_a_thread(lambda flag=flag: (flag.set(), flag.wait(2))[1]) == [True]
        flag.clear()
        assert in_a_thread(lambda flag=flag: flag.wait(0.001)) == [False]
        if not hit:
            assert nth > 3, "no interrupt was raised"
            return
    raise AssertionError("the call did not end")


# ── join ──────────────────────────────────────────────────────────────────────────────────────


def failing_as(error: BaseException, cause: BaseException | None) -> threading.Thread:
    """A thread whose ``join`` fails as it sometimes does in Python 3.11."""

    class Odd(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            if cause is None:
                raise error
            try:
                raise cause
            except BaseException:
                raise error  # noqa: B904 - as the standard library does

    return Odd()


def test_an_interrupt_in_join_is_a_keyboard_interrupt() -> None:
    thread = failing_as(RuntimeError("release unlocked lock"), KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        interrupts.join(thread, 1)


@pytest.mark.parametrize("cause", [None, ValueError()])
def test_another_error_in_join_is_raised_unchanged(cause: BaseException | None) -> None:
    with pytest.raises(RuntimeError, match="cannot join"):
        interrupts.join(failing_as(RuntimeError("cannot join"), cause), 1)


def test_join_times_out() -> None:
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, daemon=True)
    thread.start()
    interrupts.join(thread, 0.01)
    assert thread.is_alive()
    gate.set()
    interrupts.join(thread, 10)
    assert not thread.is_alive()
