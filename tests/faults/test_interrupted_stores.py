"""S9: an interrupt at any line leaves no lock and no partial file; the next call works."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import filelock
import pytest

from nbauth.persistence import Persistence, passphrase, persistence_named
from nbauth.testing.persistence import ADA
from tests.faults.conftest import Figure
from tests.faults.interrupting import interrupted
from tests.persistence.keyrings import Working, in_use
from tests.persistence.stored import Stored

Make = Callable[[], Persistence]


@pytest.fixture(params=["file", "keyring"])
def make(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    monkeypatch.setattr(passphrase, "COSTS", {"n": 2, "r": 8, "p": 1})
    monkeypatch.delenv(passphrase.VARIABLE, raising=False)
    with in_use(Working(tmp_path / "keyring")):
        yield lambda: persistence_named(
            request.param, folder=tmp_path / "kept", ask=lambda prompt: "correct horse"
        )


def works(kernel: Persistence, data: bytes) -> None:
    """Run each operation in another thread, which would wait for a remaining lock."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            kernel.save(ADA, data)
            with kernel.refreshing(ADA):
                assert kernel.load(ADA) == data
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive(), "a lock was left"
    assert failed == []


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_at_each_line_of_opening(
    interrupt: type[BaseException], make: Make, figure: Figure
) -> None:
    current: list[Persistence] = []

    def opens() -> None:
        current[:] = [make()]
        current[0].open()

    held = []
    for where, error in interrupted(opens, interrupt):
        held.append((where, error))
        works(current[0] if current else make(), where.encode())
        works(make(), b"another kernel's")
        make().forget()
    assert len(held) > 40
    figure("S9", "interrupt while opening", "each line, two exceptions", "next call works")


def test_at_each_line_of_saving(make: Make, figure: Figure) -> None:
    kernel = make()
    kernel.save(ADA, b"old")
    held = []
    for where, error in interrupted(lambda: kernel.save(ADA, b"new")):
        held.append((where, error))
        assert make().load(ADA) in {b"old", b"new"}
        works(kernel, b"old")
        works(make(), b"old")
    assert len(held) > 40
    figure("S9", "interrupt while saving", "each line", "old or new whole, next call works")


def test_at_each_line_of_refreshing(make: Make, figure: Figure) -> None:
    kernel = make()
    kernel.save(ADA, b"old")

    def refreshes() -> None:
        with kernel.refreshing(ADA):
            kernel.save(ADA, b"new", only_if_there=True)

    held = []
    for where, error in interrupted(refreshes):
        held.append((where, error))
        works(kernel, b"old")
        works(make(), b"old")
    assert len(held) > 40
    figure("S9", "interrupt while refreshing", "each line", "lock free, next call works")


def test_at_each_line_of_clearing_and_forgetting(make: Make) -> None:
    held = []
    for act in (lambda one: one.clear(ADA), lambda one: one.forget()):
        kernel = make()
        kernel.save(ADA, b"old")
        for where, error in interrupted(lambda act=act, kernel=kernel: act(kernel)):  # type: ignore[misc]
            held.append((where, error))
            works(make(), b"old")


def test_filelock_never_runs_in_the_main_thread(make: Make, tmp_path: Path) -> None:
    """An interrupt there corrupts filelock's state; then each lock waits for ever."""
    kernel = make()
    its_own = str(Path(filelock.__file__).parent)

    def everything() -> None:
        kernel.save(ADA, b"old")
        with kernel.refreshing(ADA):
            kernel.save(ADA, b"new", only_if_there=True)
        kernel.use(ADA)
        kernel.current(ADA.issuer, ADA.client_id)
        kernel.load(ADA)
        kernel.entries()
        kernel.clear(ADA)
        kernel.forget()

    assert lines_here(everything, its_own) == set()
    lock = filelock.FileLock(tmp_path / "lock")
    assert lines_here(lock.acquire, its_own), "a lock in the main thread would be detected"


def lines_here(act: Callable[[], object], files: str) -> set[str]:
    """The lines of those files that run in this thread."""
    seen = set()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(files):
            return None
        seen.add(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return trace

    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(None)
    return seen


def test_an_interrupt_ends_a_wait_for_another_kernel(make: Make) -> None:
    kernel, other = make(), make()
    kernel.save(ADA, b"old")
    for _ in range(3):
        held, done = threading.Event(), threading.Event()

        def holds(held: threading.Event = held, done: threading.Event = done) -> None:
            with other.refreshing(ADA):
                held.set()
                done.wait(20)

        thread = threading.Thread(target=holds, daemon=True)
        thread.start()
        assert held.wait(5)
        alarm = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
        alarm.start()
        with pytest.raises(KeyboardInterrupt), kernel.refreshing(ADA):
            pass
        assert not done.is_set()
        done.set()
        thread.join(5)
        works(kernel, b"new")
        works(make(), b"old")


@contextmanager
def held_with_one_finally(path: Path, patience: float, *, told: bool = False) -> Iterator[None]:
    lock = filelock.FileLock(path, timeout=patience, thread_local=False)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def test_a_lock_left_by_an_interrupt_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Stored(tmp_path / "kept")
    kernel.save(ADA, b"old")
    monkeypatch.setattr("nbauth.persistence.sealed_files.locked", held_with_one_finally)
    monkeypatch.setattr("nbauth.persistence.sealed_files._PATIENCE", 0.2)
    held = []
    with pytest.raises(AssertionError, match="timeout"):
        for where, error in interrupted(lambda: kernel.save(ADA, b"new"), files=__file__):
            held.append((where, error))
            works(kernel, b"old")
