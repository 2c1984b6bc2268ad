"""Processes that are killed while saving: run as a process that forks them.

``python -m tests.faults.saving kills STORE FOLDER TIMES`` kills each saver in its middle and looks
what the next kernel finds; ``… crowd STORE FOLDER COUNT`` lets many save at once;
``… holders nbauth FOLDER TIMES`` kills those who refresh. Prints JSON, which ``saving`` gives.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from nbauth.testing.persistence import ADA
from tests.harness.kernels import ROOT
from tests.persistence.stored import Stored

SIZE = 131_000  # bytes: a cache of the size that the research killed savers of
_SLICE = "0123456789abcdef" * 8


class Store(Protocol):
    def save(self, text: str) -> None: ...
    def load(self) -> str | None: ...
    def stuck(self) -> bool:
        """Whether a killed saver blocks the next one; then remove its lock."""


class OurStore:
    def __init__(self, folder: Path) -> None:
        self._stored = Stored(folder)

    def save(self, text: str) -> None:
        self._stored.save(ADA, text.encode())

    def load(self) -> str | None:
        found = self._stored.load(ADA)
        return None if found is None else found.decode()

    def stuck(self) -> bool:
        return False  # its next save is timed


class MsalExtensionsStore:
    """Its unencrypted file, as on Linux without libsecret, with its own lock."""

    def __init__(self, folder: Path) -> None:
        from msal_extensions import CrossPlatLock, FilePersistence

        folder.mkdir(exist_ok=True)
        self._lock = CrossPlatLock
        self._file = folder / "cache.json"
        self._persistence = FilePersistence(str(self._file))
        self._lock_file = folder / "cache.json.lockfile"

    def save(self, text: str) -> None:
        with self._lock(str(self._lock_file)):
            self._persistence.save(text)

    def load(self) -> str | None:
        with contextlib.suppress(Exception):
            return str(self._persistence.load())
        return None

    def stuck(self) -> bool:
        left = self._lock_file.exists()
        self._lock_file.unlink(missing_ok=True)
        return left


STORES: dict[str, Callable[[Path], Store]] = {
    "nbauth": OurStore,
    "msal-extensions": MsalExtensionsStore,
}


def text_of(number: int) -> str:
    """The saved text, which shows whether it is complete."""
    return json.dumps({"number": number, "tokens": _SLICE * (SIZE // len(_SLICE))})


def is_whole(text: str | None) -> bool:
    try:
        return text is not None and text == text_of(json.loads(text)["number"])
    except (ValueError, KeyError, TypeError):
        return False


def forked(act: Callable[[], object]) -> int:
    """Run it in a forked child, which exits with 0 if it succeeds."""
    if pid := os.fork():
        return pid
    try:
        act()
        os._exit(0)
    finally:
        os._exit(1)


def kills(make: Callable[[Path], Store], folder: Path, times: int) -> dict[str, Any]:
    """Kill a saver after a random time, again and again."""
    chance = random.Random(7)
    lost = stuck = 0
    slowest = 0.0
    numbers: set[int] = set()
    make(folder).save(text_of(0))
    for _ in range(times):
        reading, writing = os.pipe()

        def save_on(writing: int = writing) -> None:
            store = make(folder)
            number = 0
            while True:
                number += 1
                store.save(text_of(number))
                if number == 1:
                    os.write(writing, b"!")

        saver = forked(save_on)
        os.read(reading, 1)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(saver, signal.SIGKILL)
        os.waitpid(saver, 0)
        os.close(reading)
        os.close(writing)
        next_kernel = make(folder)
        found = next_kernel.load()
        lost += not is_whole(found)
        if found and is_whole(found):
            numbers.add(json.loads(found)["number"])
        stuck += next_kernel.stuck()
        began = time.monotonic()
        next_kernel.save(text_of(0))
        slowest = max(slowest, time.monotonic() - began)
    left = [path.name for path in folder.rglob("*.new")]
    return {
        "lost": lost, "stuck": stuck, "slowest": slowest, "numbers": len(numbers), "left": left,
    }  # fmt: skip


def crowd(make: Callable[[Path], Store], folder: Path, count: int) -> dict[str, Any]:
    """All save at once, ten times each."""
    make(folder).save(text_of(0))
    began = time.monotonic()

    def save(number: int) -> None:
        store = make(folder)
        for _ in range(10):
            store.save(text_of(number))

    savers = [forked(lambda number=number: save(number)) for number in range(count)]  # type: ignore[misc]
    failed = sum(os.waitpid(saver, 0)[1] != 0 for saver in savers)
    whole = is_whole(make(folder).load())
    return {"failed": failed, "seconds": time.monotonic() - began, "whole": whole}


def holders(_: object, folder: Path, times: int) -> dict[str, Any]:
    """Kill the holder of the refresh lock, and acquire it."""
    slowest = 0.0
    kernel = Stored(folder)
    kernel.save(ADA, b"data")
    for _ in range(times):
        reading, writing = os.pipe()

        def hold(writing: int = writing) -> None:
            with Stored(folder).refreshing(ADA):
                os.write(writing, b"!")
                signal.pause()

        holder = forked(hold)
        os.read(reading, 1)
        os.kill(holder, signal.SIGKILL)
        began = time.monotonic()
        os.waitpid(holder, 0)
        with kernel.refreshing(ADA):
            slowest = max(slowest, time.monotonic() - began)
        os.close(reading)
        os.close(writing)
    return {"slowest": slowest}


def saving(*what: str) -> dict[str, Any]:
    """Run it in a new process; a fork of the test's process, which has threads, may hang."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.faults.saving", *what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=500,
    )
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


if __name__ == "__main__":
    what, store, where, many = sys.argv[1:]
    run = {"kills": kills, "crowd": crowd, "holders": holders}[what]
    print(json.dumps(run(STORES[store], Path(where), int(many))))
