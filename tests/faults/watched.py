"""A kernel that stores sign-ins while the mode of every file is checked between any two steps.

``python -m tests.faults.watched FOLDER UMASK [FAULT]`` prints as JSON how often it looked and what
it saw that was open to others. Python tells each step in advance by an audit event (PEP 578).
A fault makes it do one thing wrong, so that the watch can be watched.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

from nbauth.persistence import passphrase, persistence_named, private
from nbauth.testing.persistence import ADA, OTHERS

_STEPS = ("open", "os.", "fcntl.", "shutil.")


class Watch:
    """Checks a folder and its contents at each step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looking = False
        self.looks = 0
        self.seen: set[str] = set()

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._looking or not event.startswith(_STEPS):
            return
        self._looking = True
        try:
            self.looks += 1
            self._look(self._folder)
        finally:
            self._looking = False

    def _look(self, path: Path) -> None:
        try:
            status = path.lstat()
            inside = list(path.iterdir()) if stat.S_ISDIR(status.st_mode) else []
        except FileNotFoundError:
            return
        right = 0o700 if stat.S_ISDIR(status.st_mode) else 0o600
        if stat.S_IMODE(status.st_mode) & ~right:
            self.seen.add(f"{stat.S_IMODE(status.st_mode):04o} {path.relative_to(self._folder)}")
        for one in inside:
            self._look(one)


def keep(folder: Path) -> None:
    """Everything a kernel does with stored sign-ins."""
    kernel = persistence_named("file", folder=folder, ask=lambda prompt: "correct horse")
    for entry in (ADA, OTHERS[0]):
        kernel.save(entry, b"data")
        kernel.use(entry)
        with kernel.refreshing(entry):
            kernel.save(entry, b"refreshed", only_if_there=True)
    next_kernel = persistence_named("file", folder=folder, ask=lambda prompt: "correct horse")
    assert next_kernel.load(ADA) == b"refreshed"
    assert len(next_kernel.entries()) == 2
    next_kernel.clear(ADA)
    modes = {stat.S_IMODE(path.lstat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {0o700, 0o600}
    next_kernel.forget()


def spoil(fault: str) -> None:
    """Create it with a wider mode, and correct it at once."""
    real_open, real_mkdir = os.open, os.mkdir

    class Spoilt:
        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
            return real_open(path, flags, 0o644 if fault == "file" else mode)

        def mkdir(self, path: Path, mode: int) -> None:
            real_mkdir(path, 0o755 if fault == "folder" else mode)

    private.os = Spoilt()  # type: ignore[assignment]


def main(folder: str, umask: str, fault: str = "") -> None:
    """See the module."""
    passphrase.COSTS = {"n": 2, "r": 8, "p": 1}
    if fault:
        spoil(fault)
    watch = Watch(Path(folder))
    os.umask(int(umask, 8))
    sys.addaudithook(watch)
    keep(Path(folder))
    print(json.dumps({"looks": watch.looks, "seen": sorted(watch.seen)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
