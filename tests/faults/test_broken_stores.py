"""S10: a damaged file or stale lock affects at most one sign-in."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import sys
from pathlib import Path

import filelock
import pytest

from nbauth.core.errors import PersistenceError
from nbauth.persistence import passphrase, persistence_named
from nbauth.persistence.seal import header
from nbauth.testing.persistence import ADA, OTHERS
from tests.faults.conftest import Figure
from tests.faults.saving import saving
from tests.faults.sizes import size
from tests.persistence.stored import Stored

BOB = OTHERS[0]


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """A store with Ada's sign-in, which is damaged, and Bob's, which must stay intact."""
    kernel = Stored(tmp_path / "kept")
    kernel.save(ADA, b"a refresh token " * size(4, 40))
    kernel.save(BOB, b"another's")
    kernel.use(BOB)
    return kernel


def set_aside(stored: Stored, broken: bytes) -> None:
    """Check the effect of a file with these bytes: signed out, one notice, the file set aside."""
    path = stored.file(ADA)
    aside = path.with_suffix(".unreadable")
    path.touch(0o600)
    path.write_bytes(broken)
    assert stored.load(ADA) is None
    assert stored.load(ADA) is None
    (notice,) = stored.notices
    assert "could not be decrypted" in notice
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


def test_with_a_damaged_pointer_no_account_is_current(stored: Stored) -> None:
    pointer = stored.file(BOB).with_name("current")
    pointer.write_bytes(pointer.read_bytes()[:-1])
    assert stored.current(BOB.issuer, BOB.client_id) is None
    assert len(stored.notices) == 1
    assert stored.load(BOB) == b"another's"
    stored.use(BOB)
    assert stored.current(BOB.issuer, BOB.client_id) == BOB


def test_files_of_a_newer_version_are_not_changed(stored: Stored) -> None:
    path = stored.file(ADA)
    newer = header(2) + path.read_bytes()[8:] + b"and more"
    path.write_bytes(newer)
    for _ in range(3):
        assert stored.load(ADA) is None
    (notice,) = stored.notices
    assert "newer version of nbauth" in notice
    with pytest.raises(PersistenceError, match="newer version of nbauth") as raised:
        stored.save(ADA, b"signed in anew")
    assert raised.value.code == "newer_format"
    assert stored.entries() == [BOB]
    assert path.read_bytes() == newer
    assert sorted(one.name for one in path.parent.glob(f"{path.name}*")) == [path.name]


def test_a_damaged_passphrase_file_is_reported_and_not_changed(
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


# ── locks ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timing
def test_a_killed_holder_leaves_no_lock(tmp_path: Path, figure: Figure) -> None:
    times = size(3, 30)
    slowest = saving("holders", "nbauth", str(tmp_path), str(times))["slowest"]
    assert slowest < 2
    shown = f"next one in after at most {slowest * 1000:.0f} ms"
    figure("S10", "stale lock", f"{times} killed holders", shown)


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_reported(
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


def test_a_python_without_file_locks_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, filelock uses a lock file that outlives its holder."""
    monkeypatch.setattr(filelock, "has_fcntl", False)
    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(PersistenceError, match="has no file locks"):
        Stored(tmp_path / "kept").save(ADA, b"data")
    assert not list(tmp_path.rglob("lock"))
