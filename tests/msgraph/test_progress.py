"""The progress bar: not before a second, never in the way, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import tqdm
import tqdm.auto

from nbauth.msgraph import progress
from nbauth.msgraph.progress import Progress


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


def _read(clock: _Clock, seconds: float = 0.5, **options: Any) -> Progress:
    """Three pages of 100 rows."""
    with Progress(clock=clock, **options) as shown:
        for _ in range(3):
            clock.now += seconds
            shown.update(100)
    return shown


def test_nothing_is_shown_in_the_first_second(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    _read(clock, seconds=0.33, total=300)
    assert capsys.readouterr() == ("", "")


def test_tqdm_is_imported_only_for_a_bar() -> None:
    code = (
        "import sys; from nbauth.msgraph.progress import Progress\n"
        "with Progress(10) as shown: shown.update(10)\n"
        "print('tqdm' in sys.modules)\n"
        "with Progress(10, clock=iter(range(9)).__next__) as shown: shown.update(10)\n"
        "import threading\n"
        "print('tqdm' in sys.modules, threading.enumerate(), 'multiprocessing' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "False", done.stderr
    assert lines[1].startswith("True [<_MainThread"), done.stderr
    assert lines[1].endswith(")>] False")
    assert "10/10" in done.stderr


def test_a_bar_is_shown_after_a_second(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    _read(clock, total=400)
    out, err = capsys.readouterr()
    assert out == ""
    assert "200/400 [00:01<" in err
    assert "rows/s" in err
    assert err.endswith("\r")  # the bar is removed
    assert err.split("\r")[-2].strip() == ""


def test_without_a_total_rows_are_counted(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    _read(clock, unit="files")
    assert "200 files [00:01, " in capsys.readouterr().err


def test_the_total_may_come_later(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(clock=clock) as shown:
        clock.now += 2
        shown.total = 700
        shown.update(100)
    assert "100/700" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{"enabled": False}, {"enabled": False, "total": 9}])
def test_disabled(clock: _Clock, capsys: pytest.CaptureFixture[str], options: Any) -> None:
    _read(clock, seconds=5, **options)
    assert capsys.readouterr() == ("", "")


def test_without_tqdm_nothing_is_shown(
    clock: _Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    _read(clock)
    assert capsys.readouterr() == ("", "")


class _Closed:
    """A stream that fails at its ``nth`` use and later."""

    encoding = "utf-8"

    def __init__(self, nth: int) -> None:
        self.left = nth

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left <= 0:
            raise BrokenPipeError
        return len(text)

    def flush(self) -> None:
        self.write("")


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stream", [None, *map(_Closed, range(1, 12))])
def test_a_stream_that_fails_ends_the_bar_only(
    clock: _Clock, monkeypatch: pytest.MonkeyPatch, stream: Any
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    _read(clock, total=300)


def test_an_error_of_the_call_is_not_replaced(clock: _Clock) -> None:
    with pytest.raises(KeyError), Progress(10, clock=clock) as shown:
        clock.now += 2
        shown.update(1)
        raise KeyError


class _Interrupts:
    """Raises an interrupt before the ``nth`` line in this module or in tqdm."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if file != progress.__file__ and f"{os.sep}tqdm{os.sep}" not in file:
            return None
        if frame.f_code.co_name == "__del__":
            return None
        if event == "line":
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


@pytest.mark.long
def test_an_interrupt_at_any_line_leaves_no_thread_and_no_lock(clock: _Clock) -> None:
    threads = threading.enumerate()
    nth = 0
    while _interrupted(lambda: _read(clock, total=400), nth := nth + 1):
        assert threading.enumerate() == threads
    assert nth > 200
    lock = tqdm.tqdm.get_lock()
    got: list[object] = []
    other = threading.Thread(target=lambda: got.append(lock.acquire(timeout=1) or lock.release()))
    other.start()
    other.join(5)
    assert got
    assert len(tqdm.tqdm._instances) == 0
    _read(clock, total=400)


def test_bars_of_other_code_stay_above(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with tqdm.tqdm(total=3, desc="mine") as mine:
        _read(clock, total=400)
        mine.update(3)
    err = capsys.readouterr().err
    assert "\n" in err.partition("200/400")[0].rpartition("mine")[2]
    assert "3/3" in err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
def test_a_forked_child_shows_nothing() -> None:
    code = (
        "import os, sys; from nbauth.msgraph.progress import Progress\n"
        "ticks = iter(range(0, 99, 2)).__next__\n"
        "with Progress(400, clock=ticks) as shown:\n"
        "    shown.update(100)\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        os.dup2(1, 2)\n"
        "        shown.update(100)\n"
        "    if child: os.waitpid(child, 0)\n"
        "del shown\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == ""
    assert "100/400" in done.stderr


@pytest.mark.timing
def test_an_update_before_the_bar_takes_a_microsecond() -> None:
    count = 20_000
    fastest = 1.0
    with Progress(total=count) as shown:
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(count):
                shown.update(1)
            fastest = min(fastest, (time.perf_counter() - began) / count)
    assert fastest < 1e-6
