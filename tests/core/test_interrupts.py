"""A flag that no interrupt leaves locked."""

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
    """What it gives, in a list; an empty one if it has not come to an end in time."""
    brought: list[Any] = []
    thread = threading.Thread(target=lambda: brought.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    return brought


def test_who_waits_goes_on_when_it_is_set_and_all_of_them() -> None:
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
def test_a_time_out_is_one() -> None:
    flag = Flag()
    began = time.monotonic()
    assert not flag.wait(0.05)
    assert 0.04 < time.monotonic() - began < 5
    assert not flag.wait(0)
    assert not flag.wait(-1)


def test_it_can_be_cleared_and_set_again_as_often_as_one_likes() -> None:
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


def test_a_wake_up_that_is_lost_costs_a_moment() -> None:
    flag = Flag()
    waiter: list[bool] = []
    thread = threading.Thread(target=lambda: waiter.append(flag.wait()))
    thread.start()
    flag._is_set = True  # and nobody rings
    thread.join(4 * interrupts._LOOK_EVERY)
    assert waiter == [True]


class _Interrupts:
    """Raises an interrupt before the ``nth`` instruction in ``interrupts.py``."""

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


@pytest.mark.parametrize("method", ["set", "clear", "wait", "wait until it is set"])
def test_an_interrupt_at_any_instruction_leaves_it_in_order(method: str) -> None:
    _interrupted(Flag().set, 10**6)  # Python 3.12 tells of instructions from the second time on
    for nth in range(1, 500):
        flag = Flag()
        setter = threading.Timer(0.002, flag.set)
        if method == "wait until it is set":
            setter.start()
        call = {
            "set": flag.set,
            "clear": flag.clear,
            "wait": lambda flag=flag: flag.wait(0.001),
            "wait until it is set": lambda flag=flag: flag.wait(5),
        }[method]
        hit = _interrupted(call, nth)
        setter.cancel()
        assert in_a_thread(lambda flag=flag: (flag.set(), flag.wait(2))[1]) == [True]
        flag.clear()
        assert in_a_thread(lambda flag=flag: flag.wait(0.001)) == [False]
        if not hit:
            assert nth > 3, "the interrupts have to meet something"
            return
    raise AssertionError("it did not come to an end")


# ── a thread that is waited for ─────────────────────────────────────────────────────────────


def failing_as(error: BaseException, cause: BaseException | None) -> threading.Thread:
    """A thread whose ``join`` fails as Python 3.11's does at times."""

    class Odd(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            if cause is None:
                raise error
            try:
                raise cause
            except BaseException:
                raise error  # noqa: B904 - as the standard library does

    return Odd()


def test_an_interrupt_while_a_thread_is_waited_for_is_one() -> None:
    thread = failing_as(RuntimeError("release unlocked lock"), KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        interrupts.join(thread, 1)


@pytest.mark.parametrize("cause", [None, ValueError()])
def test_another_fault_of_join_stays_what_it_is(cause: BaseException | None) -> None:
    with pytest.raises(RuntimeError, match="cannot join"):
        interrupts.join(failing_as(RuntimeError("cannot join"), cause), 1)


def test_a_thread_is_waited_for_no_longer_than_said() -> None:
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, daemon=True)
    thread.start()
    interrupts.join(thread, 0.01)
    assert thread.is_alive()
    gate.set()
    interrupts.join(thread, 10)
    assert not thread.is_alive()
