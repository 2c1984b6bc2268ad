"""The files: which are read, and how a cleaned one takes the place of the old one."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.scanning import files
from nbauth.scanning.files import files_in, load, replace
from nbauth.scanning.scan import REMOVED, clean, scan
from tests.scanning.planted import code, json_web_token, notebook, stream

TOKEN = json_web_token()
SAVED = json.dumps(notebook(code(f"x = '{TOKEN}'\n", stream("é\n"))), indent=1, ensure_ascii=False)


def cleaned(path: Path) -> bytes:
    loaded = load(path)
    assert loaded is not None
    text, found = clean(loaded.text)
    assert found
    replace(loaded, text)
    return path.read_bytes()


@pytest.mark.parametrize(
    "data",
    [
        SAVED.encode(),
        f"{SAVED}\n".encode(),
        f"{SAVED}\n".replace("\n", "\r\n").encode(),
        f"\ufeff{SAVED}".encode(),
        f"\r\n {SAVED}\t\n\n".encode(),
        f"a={TOKEN}\r\nb\rc\n".encode(),
        f"a=é {TOKEN}".encode("latin-1"),
        f"é {TOKEN} \x00 \xff".encode("latin-1").replace(b"\x00", b"\x0b"),
    ],
)
def test_all_other_bytes_stay(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(data)
    assert cleaned(path) == data.replace(TOKEN.encode(), REMOVED.encode())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_a_mark_is_a_text(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(f"\ufeff$t = '{TOKEN}'\r\n".encode(encoding))
    assert cleaned(path).decode(encoding) == f"\ufeff$t = '{REMOVED}'\r\n"


@pytest.mark.parametrize("data", [b"\0" + TOKEN.encode(), b"\xff\xfe\x00\xd8" + TOKEN.encode()])
def test_a_binary_file_is_skipped(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    loaded = load(path)
    assert loaded is None or scan(loaded.text)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o440])
def test_the_mode_stays(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(SAVED, "utf-8")
    path.chmod(mode)
    cleaned(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_the_file_behind_a_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a.ipynb", tmp_path / "link.ipynb"
    target.write_text(SAVED, "utf-8")
    link.symlink_to("real/a.ipynb")
    cleaned(link)
    assert link.is_symlink()
    assert TOKEN not in target.read_text("utf-8")


def test_a_file_that_has_changed_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(SAVED, "utf-8")
    loaded = load(path)
    assert loaded is not None
    path.write_text(SAVED + " ", "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        replace(loaded, clean(loaded.text)[0])
    assert caught.value.code == "file_changed"
    assert path.read_text("utf-8") == SAVED + " "
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_file_that_cannot_be_replaced_stays(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(SAVED, "utf-8")
    loaded = load(path)
    assert loaded is not None

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, function, fails)
    with pytest.raises(ConfigurationError, match="no space left") as caught:
        replace(loaded, clean(loaded.text)[0])
    monkeypatch.undo()
    assert caught.value.code == "file_not_replaced"
    assert path.read_text("utf-8") == SAVED
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    paths = [tmp_path / "missing.ipynb", Path("a\0b"), tmp_path / "loop"]
    paths[2].symlink_to(paths[2])
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        paths.append(tmp_path / "pipe")
    for path in paths:
        with pytest.raises(ConfigurationError) as caught:
            load(path)
        assert caught.value.code == "unreadable_file"


def test_a_folder_stands_for_its_notebooks(tmp_path: Path) -> None:
    names = (
        "b.ipynb", "a.ipynb", "c.py", "d.ipynb.txt", "in/e.ipynb", ".ipynb_checkpoints/f.ipynb",
        ".git/g.ipynb", ".venv/h.ipynb", "in/node_modules/i.ipynb", ".hidden.ipynb",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in files_in(tmp_path)]
    assert found == [
        ".hidden.ipynb", "a.ipynb", "b.ipynb", ".ipynb_checkpoints/f.ipynb", "in/e.ipynb",
    ]  # fmt: skip
