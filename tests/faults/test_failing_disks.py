"""S10: a full, read-only or failing disk does not change stored sign-ins."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbauth.core.errors import PersistenceError
from nbauth.persistence import private
from nbauth.testing.persistence import ADA, OTHERS
from tests.faults.apart import apart
from tests.faults.conftest import Figure
from tests.harness import missing
from tests.persistence.stored import Stored

BOB = OTHERS[0]
NOBODY = 65534


class FailingSystem:
    """``os``, whose n-th writing call fails."""

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
            if name == "write":  # and writes never complete at once
                return os.write(arguments[0], bytes(arguments[1][:100]))
            return real(*arguments, **options)

        return call


DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


@pytest.mark.parametrize("error", DISK)
def test_a_failure_of_each_system_call(
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
    assert "" in failed, "every call was tested"
    tried = len(failed) - failed.count("")
    what = f"{', '.join(errno.errorcode[one] for one in DISK)} at the n-th call"
    figure("S10", what, f"each of {tried} calls", "said, old file intact")


def test_a_file_size_limit(tmp_path: Path, figure: Figure) -> None:
    stored = Stored(tmp_path / "kept")
    stored.save(ADA, b"old" * 100)
    before = stored.file(ADA).read_bytes()
    said = apart("save new", stored._folder, limit=100)
    assert said.startswith("EFBIG: Could not write")
    assert stored.file(ADA).read_bytes() == before
    figure("S10", "file size limit (RLIMIT_FSIZE)", "100 bytes", "said, old file intact")


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """The folder of a process without root rights; root could write everywhere."""
    with tempfile.TemporaryDirectory(prefix="nbauth-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


def test_a_folder_without_write_permission(nobodys_folder: Path, figure: Figure) -> None:
    user = NOBODY if os.geteuid() == 0 else None
    folder = nobodys_folder / "kept"
    assert apart("save old", folder, user=user) == ""
    kept = [path for path in [folder, *folder.rglob("*")] if path.is_dir()]
    for path in kept:
        path.chmod(0o500)
    try:
        assert apart("save new", folder, user=user).startswith("EACCES: Could not write")
        assert apart("load", folder, user=user) == ""
        assert apart("open", folder / "no", user=user).startswith("EACCES: Could not keep")
    finally:
        for path in kept:
            path.chmod(0o700)
    assert apart("load", folder, user=user) == ""
    figure("S10", "read-only folder", "save, load, open", "said, old file intact and readable")


@pytest.mark.full_size
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
