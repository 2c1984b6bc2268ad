"""Folders for settings and sign-ins, on each system and with each set of variables."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from nbauth.core import folders
from nbauth.core.folders import config_files, data_folder, home

LINUX = "linux"
ADA = {"HOME": "/home/ada"}
USERS = {"USERPROFILE": r"C:\Users\ada"}


def looked_into(environ: dict[str, str], system: str) -> list[str]:
    end = r"\nbauth\config.toml" if system == "win32" else "/nbauth/config.toml"
    paths = [str(path) for path in config_files(environ, system)]
    assert all(path.endswith(end) for path in paths)
    return [path.removesuffix(end) for path in paths]


@pytest.mark.parametrize(
    ("environ", "system", "expected"),
    [
        (ADA, LINUX, ["/home/ada/.config", "/etc/xdg"]),
        ({**ADA, "XDG_CONFIG_HOME": "/c"}, LINUX, ["/c", "/etc/xdg"]),
        ({**ADA, "XDG_CONFIG_HOME": ""}, LINUX, ["/home/ada/.config", "/etc/xdg"]),
        ({**ADA, "XDG_CONFIG_HOME": "relative"}, LINUX, ["/home/ada/.config", "/etc/xdg"]),
        ({**ADA, "XDG_CONFIG_HOME": "~/.config"}, LINUX, ["/home/ada/.config", "/etc/xdg"]),
        ({**ADA, "XDG_CONFIG_DIRS": "/a:/b:/c"}, LINUX, ["/home/ada/.config", "/a", "/b", "/c"]),
        ({**ADA, "XDG_CONFIG_DIRS": ":rel:/b:"}, LINUX, ["/home/ada/.config", "/b"]),
        ({**ADA, "XDG_CONFIG_DIRS": ":"}, LINUX, ["/home/ada/.config", "/etc/xdg"]),
        ({**ADA, "XDG_CONFIG_DIRS": "/a:/a"}, LINUX, ["/home/ada/.config", "/a"]),
        ({"HOME": "/"}, LINUX, ["/.config", "/etc/xdg"]),
        (
            ADA,
            "darwin",
            ["/home/ada/Library/Application Support", "/home/ada/.config",
             "/Library/Application Support"],
        ),
        (
            {**ADA, "XDG_CONFIG_HOME": "/c", "XDG_CONFIG_DIRS": "/a:/b"},
            "darwin",
            ["/c", "/home/ada/Library/Application Support", "/a", "/b",
             "/Library/Application Support"],
        ),
        (USERS, "win32", [r"C:\Users\ada\AppData\Local", r"C:\ProgramData"]),
        (
            {**USERS, "LOCALAPPDATA": r"D:\Local", "PROGRAMDATA": r"D:\All"},
            "win32",
            [r"D:\Local", r"D:\All"],
        ),
        (
            {**USERS, "XDG_CONFIG_HOME": r"C:\c", "XDG_CONFIG_DIRS": r"C:\a;b;C:\d"},
            "win32",
            [r"C:\c", r"C:\Users\ada\AppData\Local", r"C:\a", r"C:\d", r"C:\ProgramData"],
        ),
        ({}, "win32", [r"C:\ProgramData"]),
    ],
)  # fmt: skip
def test_paths_of_config_toml(environ: dict[str, str], system: str, expected: list[str]) -> None:
    assert looked_into(environ, system) == expected


@pytest.mark.parametrize(
    ("environ", "system", "expected"),
    [
        (ADA, LINUX, "/home/ada/.local/share/nbauth"),
        ({**ADA, "XDG_DATA_HOME": "/d"}, LINUX, "/d/nbauth"),
        ({**ADA, "XDG_DATA_HOME": "d"}, LINUX, "/home/ada/.local/share/nbauth"),
        (ADA, "darwin", "/home/ada/Library/Application Support/nbauth"),
        (USERS, "win32", r"C:\Users\ada\AppData\Local\nbauth"),
        ({"LOCALAPPDATA": r"D:\Local"}, "win32", r"D:\Local\nbauth"),
        ({}, "win32", "None"),
    ],
)
def test_folder_of_stored_sign_ins(environ: dict[str, str], system: str, expected: str) -> None:
    assert str(data_folder(environ, system)) == expected


@pytest.fixture
def numeric_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without an entry in the password database, as in containers."""

    def unknown(number: int) -> Any:
        raise KeyError(number)

    import pwd

    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "relative"}, {"HOME": "~"}])
def test_without_HOME_the_home_folder_comes_from_the_system(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd

    monkeypatch.setattr(pwd, "getpwuid", lambda number: SimpleNamespace(pw_dir="/home/known"))
    assert home(environ, LINUX) == "/home/known"


@pytest.mark.usefixtures("numeric_user")
@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "relative"}])
def test_a_numeric_user_has_no_home_folder(environ: dict[str, str]) -> None:
    """``expanduser`` returns ``~/.config``, which would be a folder in the working directory."""
    assert home(environ, LINUX) is None
    assert looked_into(environ, LINUX) == ["/etc/xdg"]
    assert data_folder(environ, LINUX) is None
    assert str(data_folder({"XDG_DATA_HOME": "/d"}, LINUX)) == "/d/nbauth"


def test_paths_of_this_system_can_be_opened() -> None:
    assert all(os.fspath(path) and hasattr(path, "read_bytes") for path in config_files())
    assert set(folders.VARIABLES) >= {"HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"}
