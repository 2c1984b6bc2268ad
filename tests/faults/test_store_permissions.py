"""S11: other users can never read stored data, and files planted by them are rejected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbauth.core.errors import PersistenceError
from nbauth.testing.persistence import ADA, OTHERS
from tests.faults.conftest import Figure
from tests.harness.kernels import ROOT
from tests.persistence.stored import Stored

BOB = OTHERS[0]


def watched(folder: Path, umask: str, *fault: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.watched", str(folder), umask, *fault],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={name: text for name, text in os.environ.items() if name != "NBAUTH_PASSPHRASE"},
    )
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_modes_at_every_instant(tmp_path: Path, figure: Figure) -> None:
    umasks = ("000", "022", "077", "277", "777")
    looks = 0
    for umask in umasks:
        shown = watched(tmp_path / umask, umask)
        assert shown["seen"] == []
        assert shown["looks"] > 100
        looks += shown["looks"]
    given = f"umask {', '.join(umasks)}; {looks} looks between steps"
    figure("S11", "modes at every instant", given, "0700 and 0600, nothing wider")


@pytest.mark.parametrize(("fault", "mode"), [("file", "0644"), ("folder", "0755")])
def test_the_watch_detects_a_wider_mode(fault: str, mode: str, tmp_path: Path) -> None:
    shown = watched(tmp_path / "kept", "000", fault)
    assert [one for one in shown["seen"] if one.startswith(mode)]


# ── planted ─────────────────────────────────────────────────────────────────────────────────


def widen(path: Path) -> str:
    path.chmod(0o755 if path.is_dir() else 0o644)
    return f"is open to other users (mode {0o755 if path.is_dir() else 0o644:04o})"


def link(path: Path) -> str:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere", target_is_directory=path.with_name("elsewhere").is_dir())
    return "is a link"


def dangle(path: Path) -> str:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("nowhere")
    return "is a link"


def pipe(path: Path) -> str:
    path.unlink()
    os.mkfifo(path, 0o600)
    return "is not a file"


def give_away(path: Path) -> str:
    os.chown(path, 65534, -1)
    return "belongs to another user (uid 65534)"


ENTRY = ("load", "save", "entries")
FILES = {
    "entry": (lambda stored: stored.file(ADA), ENTRY),
    "pointer": (lambda stored: stored.file(ADA).with_name("current"), ("use", "current")),
    "folder of the client": (lambda stored: stored.file(ADA).parent, ("save",)),
    "folder of the key": (lambda stored: stored.file(ADA).parent.parent, ("open",)),
    "folder of the kind": (lambda stored: stored.file(ADA).parents[2], ("open",)),
}
ACTS: dict[str, Callable[[Stored], object]] = {
    "open": lambda kernel: kernel.open(),
    "load": lambda kernel: kernel.load(ADA),
    "save": lambda kernel: kernel.save(ADA, b"new"),
    "entries": lambda kernel: kernel.entries(),
    "use": lambda kernel: kernel.use(BOB),
    "current": lambda kernel: kernel.current(ADA.issuer, ADA.client_id),
}
PLANTS = {
    widen: "a mode open to others",
    link: "a link",
    dangle: "a link to nothing",
    pipe: "a FIFO",
    give_away: "another owner",
}


@pytest.mark.parametrize("plant", PLANTS)
def test_planted_files_are_rejected(
    plant: Callable[[Path], str], tmp_path: Path, figure: Figure
) -> None:
    if plant is give_away and os.geteuid() != 0:
        pytest.skip(
            "only root can give a file to another user;"
            " test_another_owner_without_being_root checks this owner without that"
        )
    places = [place for place in FILES if plant not in (dangle, pipe) or "folder" not in place]
    for place in places:
        find, acts = FILES[place]
        stored = Stored(tmp_path / place)
        for entry in (ADA, BOB):
            stored.save(entry, b"old")
        stored.use(ADA)
        path = find(stored)
        said = plant(path)
        there = path.lstat()
        for act in acts:
            kernel = Stored(tmp_path / place)
            told = ""
            try:
                ACTS[act](kernel)
            except PersistenceError as error:
                told = f"{error.code}: {error}"
            if act == "entries":  # the other cases are still in the table
                told = f"not_private: {kernel.notices}"
            assert told.startswith("not_private: "), (place, act)
            assert said in told, (place, act)
            assert path.lstat() == there, (place, act)
    figure("S11", f"planted: {PLANTS[plant]}", ", ".join(places), "each refused, said plainly")


def test_another_owner_without_being_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Stored(tmp_path / "kept").save(ADA, b"old")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(PersistenceError, match="belongs to another user") as raised:
        Stored(tmp_path / "kept").load(ADA)
    assert raised.value.code == "not_private"


@pytest.mark.parametrize("name", ["lock", "{}.refreshing"])
def test_a_lock_file_that_is_a_link_is_rejected(name: str, tmp_path: Path) -> None:
    stored = Stored(tmp_path / "kept")
    stored.save(ADA, b"old")
    precious = tmp_path / "precious"
    precious.write_text("precious")
    lock = stored.file(ADA).with_name(name.format(stored.file(ADA).name))
    lock.unlink(missing_ok=True)
    lock.symlink_to(precious)
    with pytest.raises(PersistenceError, match="is a link"), stored.refreshing(ADA):
        stored.save(ADA, b"new")
    assert precious.read_text() == "precious"
    assert stored.load(ADA) == b"old"


def test_a_temporary_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    stored = Stored(tmp_path / "kept")
    stored.save(ADA, b"old")
    precious = tmp_path / "precious"
    precious.write_text("precious")
    stored.file(ADA).with_suffix(".new").symlink_to(precious)
    stored.save(ADA, b"new")
    assert stored.load(ADA) == b"new"
    assert precious.read_text() == "precious"


def test_the_parent_folder_may_be_readable_by_others(tmp_path: Path) -> None:
    """On macOS and Windows it also contains the settings, which are not secret."""
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    Stored(folder).save(ADA, b"data")
    folder.chmod(0o777)
    with pytest.raises(PersistenceError, match="open to other users"):
        Stored(folder).load(ADA)
