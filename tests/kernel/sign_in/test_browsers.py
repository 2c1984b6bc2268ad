"""Which browser is opened, and that none gets the terminal."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.kernel.sign_in.browsers import (
    IN_A_TERMINAL,
    open_browser,
    open_window,
    with_windows,
)
from tests.kernel.conftest import until

ADDRESS = "https://id.example/authorize?state=s"
#: tells what it was started with: its address, whether a stream is a terminal, whether it has one
#: a #! line cannot name an interpreter whose path has a blank: the shell starts it
PROGRAM = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import os, sys
try:
    os.close(os.open("/dev/tty", os.O_RDWR))
    terminal = "has a terminal"
except OSError:
    terminal = "has none"
streams = [os.isatty(number) for number in range(3)]
with open({note!r} + ".part", "w") as file:
    print(sys.argv[1], terminal, any(streams), file=file)
os.replace({note!r} + ".part", {note!r})
"""

Install = Callable[[str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a program into the only folder of ``PATH``; gives where it notes how it was started."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("TERM", "xterm")
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr(webbrowser, "_browsers", {})
    (tmp_path / "bin").mkdir()

    def put(name: str) -> Path:
        note, program = tmp_path / f"{name}.note", tmp_path / "bin" / name
        program.write_text(PROGRAM.format(python=sys.executable, note=str(note)))
        program.chmod(0o755)
        return note

    yield put
    webbrowser._tryorder = None  # what the next test finds


@pytest.mark.parametrize("form", ["{name}", "{path}", "{name} %s", "{path} -o x=y %s"])
def test_a_browser_of_the_terminal_is_none(
    form: str, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    for name in IN_A_TERMINAL:
        install(name)
        monkeypatch.setenv("BROWSER", form.format(name=name, path=tmp_path / "bin" / name))
        monkeypatch.setattr(webbrowser, "_tryorder", None)
        assert with_windows() is None, name


def test_one_that_the_system_found_by_itself_is_none_either(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("www-browser", "links", "elinks", "lynx", "w3m"):
        install(name)
    monkeypatch.setenv("DISPLAY", ":0")
    assert with_windows() is None


def test_the_next_one_of_the_variable_is_taken(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("w3m", "dillo"):
        install(name)
    monkeypatch.setenv("BROWSER", os.pathsep.join(["w3m", "nothing-there", "dillo %s"]))
    browser = with_windows()
    assert browser is not None
    assert browser.name == "dillo"  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["a-script", "{path}", "a-script %s", "a-script %s &"])
def test_a_command_gets_no_terminal_and_is_not_waited_for(
    form: str, install: Install, tmp_path: Path
) -> None:
    note = install("a-script")
    browser = with_windows(form.format(path=tmp_path / "bin" / "a-script"))
    assert browser is not None
    open_window(browser, ADDRESS)
    until(note.exists)
    assert note.read_text() == f"{ADDRESS} has none False\n"


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("w3m", "runs inside the terminal"),
        ("lynx %s", "runs inside the terminal"),
        ("nothing-there", "cannot be started here"),
        ("nothing-there %s", "cannot be started here"),
        (True, "No browser with windows can be started here."),
    ],
)
def test_the_setting_is_refused_with_what_to_do(
    choice: bool | str, said: str, install: Install
) -> None:
    for name in ("w3m", "lynx"):
        install(name)
    with pytest.raises(ConfigurationError, match=said) as caught:
        open_browser(choice, ADDRESS)
    assert caught.value.code == "no_browser"
    assert "open the address yourself" in caught.value.hint


def test_the_setting_opens_what_it_names(install: Install) -> None:
    note = install("my-browser")
    open_browser("my-browser", ADDRESS)
    until(note.exists)
    opened: list[str] = []
    open_browser(opened.append, ADDRESS)
    assert opened == [ADDRESS]
