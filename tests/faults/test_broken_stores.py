"""S10: damaged files, full and read-only disks and stale locks cost at most their own sign-in."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbauth.core.errors import PersistenceError
from nbauth.persistence import passphrase, persistence_named, private
from nbauth.persistence.seal import header
from nbauth.testing.persistence import ADA, OTHERS
from tests.faults.conftest import Figure
from tests.faults.sizes import FULL, size
from tests.harness import missing
from tests.persistence.stored import Stored

BOB = OTHERS[0]
NOBODY = 65534


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """With a sign-in of Ada's that gets broken, and one of Bob's that must not."""
    kernel = Stored(tmp_path / "kept")
    kernel.save(ADA, b"a refresh token " * size(4, 40))
    kernel.save(BOB, b"another's")
    kernel.use(BOB)
    return kernel


def set_aside(stored: Stored, broken: bytes) -> None:
    """What must come of a file with these bytes: signed out, one line, the file elsewhere."""
    path = stored.file(ADA)
    aside = path.with_suffix(".unreadable")
    path.touch(0o600)
    path.write_bytes(broken)
    assert stored.load(ADA) is None
    assert stored.load(ADA) is None
    (notice,) = stored.notices
    assert "could not be read" in notice
    assert str(aside) in notice
    assert not path.exists()
    assert aside.read_bytes() == broken
    stored.notices.clear()


def test_truncated_anywhere(stored: Stored, figure: Figure) -> None:
    whole = stored.file(ADA).read_bytes()
    bob = stored.file(BOB).read_bytes()
    for length in range(len(whole)):
        set_aside(stored, whole[:length])
    stored.save(ADA, b"signed in anew")
    assert Stored(stored._folder).load(ADA) == b"signed in anew"
    assert stored.file(BOB).read_bytes() == bob
    figure("S10", "truncated kept file", f"every length below {len(whole)} bytes", ASIDE)


ASIDE = "each set aside, said once, signed out; 0 other files touched"


def test_flipped_bits(stored: Stored, figure: Figure) -> None:
    chance = random.Random(11)
    whole = stored.file(ADA).read_bytes()
    bob = stored.file(BOB).read_bytes()
    count = size(200, 1000)
    flips = [(place, bit) for place in range(len(header())) for bit in range(8)]
    flips += [(chance.randrange(len(whole)), chance.randrange(8)) for _ in range(count)]
    for place, bit in flips:
        broken = bytearray(whole)
        broken[place] ^= 1 << bit
        set_aside(stored, bytes(broken))
    assert stored.file(BOB).read_bytes() == bob
    figure("S10", "flipped bits", f"{len(flips)} (all of the header's)", ASIDE)


@pytest.mark.parametrize(
    "broken", [b"", b"\0" * 300, b"{}", b"nbauth", header(), header() + b"\0" * 27]
)
def test_other_rubbish(stored: Stored, broken: bytes) -> None:
    set_aside(stored, broken)


def test_a_pointer_that_is_damaged_makes_nobody_current(stored: Stored) -> None:
    pointer = stored.file(BOB).with_name("current")
    pointer.write_bytes(pointer.read_bytes()[:-1])
    assert stored.current(BOB.issuer, BOB.client_id) is None
    assert len(stored.notices) == 1
    assert stored.load(BOB) == b"another's"
    stored.use(BOB)
    assert stored.current(BOB.issuer, BOB.client_id) == BOB


def test_what_a_newer_version_keeps_is_left_alone(stored: Stored) -> None:
    path = stored.file(ADA)
    newer = header(2) + path.read_bytes()[8:] + b"and more"
    path.write_bytes(newer)
    for _ in range(3):
        assert stored.load(ADA) is None
    (notice,) = stored.notices
    assert "newer nbauth" in notice
    with pytest.raises(PersistenceError, match="newer nbauth") as raised:
        stored.save(ADA, b"signed in anew")
    assert raised.value.code == "newer_format"
    assert stored.entries() == [BOB]
    assert path.read_bytes() == newer
    assert sorted(one.name for one in path.parent.glob(f"{path.name}*")) == [path.name]


def test_a_damaged_passphrase_file_is_said_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    monkeypatch.setattr(passphrase, "COSTS", {"n": 2, "r": 8, "p": 1})
    monkeypatch.setenv(passphrase.VARIABLE, "correct horse")
    persistence_named("file", folder=tmp_path).save(ADA, b"data")
    path = tmp_path / "file" / passphrase.FILE
    whole = path.read_bytes()
    every = [(place, bit) for place in range(len(whole)) for bit in range(8)]
    chosen = random.Random(13).sample(every, size(60, len(every)))
    broken = [bytes([*whole[:at], whole[at] ^ 1 << bit, *whole[at + 1 :]]) for at, bit in chosen]
    codes = set()
    for data in [*broken, *(whole[:length] for length in range(len(whole)))]:
        path.write_bytes(data)
        try:
            assert persistence_named("file", folder=tmp_path).load(ADA) == b"data"
        except PersistenceError as error:
            codes.add(error.code)
        assert path.read_bytes() == data
    assert codes <= {"damaged", "wrong_passphrase", "newer_format"}
    path.write_bytes(whole)
    assert persistence_named("file", folder=tmp_path).load(ADA) == b"data"
    given = f"{len(broken)} flipped bits, every length"
    figure("S10", "damaged passphrase file", given, "each said in words, 0 files changed")


# ── disks ───────────────────────────────────────────────────────────────────────────────────


class FailingSystem:
    """``os``, but for the n-th of the calls that write."""

    CALLS = ("open", "mkdir", "chmod", "fchmod", "write", "utime", "fsync", "replace")

    def __init__(self, fail_at: int, error: int) -> None:
        self._left = fail_at
        self._error = error
        self.failed = ""

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in self.CALLS:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self.failed = name
                raise OSError(self._error, os.strerror(self._error))
            if name == "write":  # and never all of it at once
                return os.write(arguments[0], bytes(arguments[1][:100]))
            return real(*arguments, **options)

        return call


DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


@pytest.mark.parametrize("error", DISK)
def test_each_call_that_can_fail_does(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    failed: list[str] = []
    for there in (True, False):
        for fail_at in range(1, 40):
            folder = tmp_path / f"{there}-{fail_at}"
            kernel = Stored(folder)
            if there:
                kernel.save(ADA, b"old" * 100)
            system = FailingSystem(fail_at, error)
            with monkeypatch.context() as patch:
                patch.setattr(private, "os", system)
                said = ""
                try:
                    kernel.save(ADA, b"new" * 100)
                except PersistenceError as raised:
                    said = str(raised)
            found = Stored(folder).load(ADA)
            if said:
                assert os.strerror(error).lower() in said
                assert str(folder) in said
                assert found == (b"old" * 100 if there else None)
            else:
                assert found == b"new" * 100
            assert list(folder.rglob("*.new")) == []
            failed.append(system.failed)
    assert set(failed) >= set(FailingSystem.CALLS)
    assert "" in failed, "so it was tried beyond the last call"
    tried = len(failed) - failed.count("")
    what = f"{', '.join(errno.errorcode[one] for one in DISK)} at the n-th call"
    figure("S10", what, f"each of {tried} calls", "said, old file intact")


def in_a_fork(act: Callable[[], object], user: int | None = None) -> str:
    """What it raises, as text, in a process of its own; ``""`` if it does not."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            act()
        except PersistenceError as error:
            os.write(writing, f"{error.code}: {error}".encode())
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}!: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(pid, 0)
    return text


def test_a_file_that_may_not_grow(stored: Stored, figure: Figure) -> None:
    def save() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        stored.save(ADA, b"new" * 1000)

    before = stored.file(ADA).read_bytes()
    assert in_a_fork(save).startswith("EFBIG: Could not write")
    assert stored.file(ADA).read_bytes() == before
    figure("S10", "file size limit (RLIMIT_FSIZE)", "100 bytes", "said, old file intact")


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """Where a process that is not root keeps its things; root may write everywhere."""
    with tempfile.TemporaryDirectory(prefix="nbauth-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


def test_a_folder_that_may_not_be_written(nobodys_folder: Path, figure: Figure) -> None:
    user = NOBODY if os.geteuid() == 0 else None
    folder = nobodys_folder / "kept"
    assert in_a_fork(lambda: Stored(folder).save(ADA, b"old"), user) == ""
    kept = [path for path in folder.rglob("*") if path.is_dir()]
    for path in [folder, *kept]:
        path.chmod(0o500)

    def load() -> None:
        assert Stored(folder).load(ADA) == b"old"

    try:
        assert in_a_fork(lambda: Stored(folder).save(ADA, b"new"), user).startswith("EACCES: Could")
        assert in_a_fork(load, user) == ""
        assert in_a_fork(lambda: Stored(folder / "no").open(), user).startswith("EACCES: Could")
    finally:
        for path in [folder, *kept]:
            path.chmod(0o700)
    assert in_a_fork(load, user) == ""
    figure("S10", "read-only folder", "save, load, open", "said, old file intact and readable")


@pytest.mark.skipif(not FULL, reason="small runs mount nothing")
def test_a_full_and_a_read_only_disk(tmp_path: Path, figure: Figure) -> None:
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "nbauth-test", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        missing("the right to mount a tmpfs")
    try:
        kernel = Stored(disk / "kept")
        kernel.save(ADA, b"old" * 1000)
        with pytest.raises(PersistenceError, match="no space left on device"):
            kernel.save(ADA, b"new" * 100_000)
        with pytest.raises(PersistenceError, match="no space left on device"):
            for number in range(100):
                kernel.save(BOB, b"b" * 3000 * number)
        assert Stored(disk / "kept").load(ADA) == b"old" * 1000
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(PersistenceError, match="read-only file system"):
            kernel.save(ADA, b"new")
        with pytest.raises(PersistenceError, match="read-only file system"):
            Stored(disk / "kept").open()
        assert kernel.load(ADA) == b"old" * 1000
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    figure("S10", "full, then read-only disk", "a tmpfs of 64 kB", "said, old file intact")


# ── locks ───────────────────────────────────────────────────────────────────────────────────


def test_a_killed_holder_keeps_nobody_out(stored: Stored, figure: Figure) -> None:
    slowest = 0.0
    for _ in range(size(3, 30)):
        reading, writing = os.pipe()
        holder = os.fork()
        if not holder:
            with Stored(stored._folder).refreshing(ADA):
                os.write(writing, b"!")
                signal.pause()
        os.read(reading, 1)
        os.kill(holder, signal.SIGKILL)
        began = time.monotonic()
        os.waitpid(holder, 0)
        with stored.refreshing(ADA):
            slowest = max(slowest, time.monotonic() - began)
        os.close(reading)
        os.close(writing)
    assert slowest < 2
    shown = f"next one in after at most {slowest * 1000:.0f} ms"
    figure("S10", "stale lock", f"{size(3, 30)} killed holders", shown)


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(PersistenceError, match="has no file locks") as raised:
        Stored(tmp_path / "kept").save(ADA, b"data")
    assert raised.value.code == "no_locks"
    monkeypatch.undo()
    Stored(tmp_path / "kept").save(ADA, b"data")
