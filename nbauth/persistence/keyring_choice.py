"""Which backend keyring chooses, found without loading one that it cannot choose.

keyring's own search loads every backend and asks each for its priority again and again. On Linux,
the one for macOS starts a compiler and a linker to look for Apple's libraries; each priority of the
Secret Service is a connection to the session bus. Here that one is loaded on macOS alone. keyring
itself is asked where something is set (``PYTHON_KEYRING_BACKEND``, ``keyringrc.cfg``,
``set_keyring``) or another package brings backends.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import PathFinder
from logging import getLogger
from typing import Any, NamedTuple

OVERRIDE = "PYTHON_KEYRING_BACKEND"
_GROUP = "keyring.backends"
_OWN = re.compile(r"keyring\.backends\.\w+")
_MACOS = "keyring.backends.macOS"
_CHAINS = 10  # a chain's priority, if it has two links
_UNKNOWN = object()


class Choice(NamedTuple):
    """A backend, its priority, and its links if it is a chain of backends."""

    backend: Any
    priority: float
    links: tuple[Choice, ...] | None = None


def chosen() -> Choice:
    """What ``keyring.get_keyring()`` gives, and gives from now on. Raises what that raises."""
    import keyring.core
    from keyring.backends.fail import Keyring as Fail

    # A private name; where there is none, keyring searches by itself.
    already = getattr(keyring.core, "_keyring_backend", _UNKNOWN)
    if already is not None or OVERRIDE in os.environ or _is_configured():
        return _as_it_says(keyring.get_keyring())
    if not (modules := _only_keyrings_own()):
        return _as_it_says(keyring.get_keyring())
    choice = _found(modules)
    if not isinstance(choice.backend, Fail):  # a keyring may be started yet
        keyring.set_keyring(choice.backend)
    return choice


def _as_it_says(backend: Any) -> Choice:
    links = getattr(backend, "backends", None)
    inner = None if links is None else tuple(_as_it_says(link) for link in links)
    return Choice(backend, backend.priority, inner)


def _is_configured() -> bool:
    from keyring.util.platform_ import config_root

    return bool((config_root() / "keyringrc.cfg").exists())


def _found(modules: list[str]) -> Choice:
    """As keyring's ``_detect_backend``, ``get_all_keyring`` and ``ChainerBackend`` do."""
    from keyring.backend import KeyringBackend
    from keyring.backends.chainer import ChainerBackend
    from keyring.backends.fail import Keyring as Fail

    for module in modules:
        if module == _MACOS and platform.system() != "Darwin":
            continue  # its priority is an error elsewhere
        try:
            import_module(module)
        except Exception as error:
            getLogger("nbauth.persistence").debug("%s does not load: %r", module, error)
    made: list[Any] = []
    for kind in KeyringBackend.get_viable_backends():
        with contextlib.suppress(TypeError):  # it needs arguments
            made.append(kind())
    chain, links = None, []
    for backend in filter(None, made):
        if isinstance(backend, ChainerBackend):
            chain = backend
        else:
            links.append(Choice(backend, backend.priority))
    best = max(links, key=lambda one: one.priority, default=Choice(Fail(), Fail.priority))
    links = sorted(
        (one for one in links if one.priority > 0), key=lambda one: one.priority, reverse=True
    )
    if chain is not None and len(links) > 1 and best.priority < _CHAINS:
        return Choice(chain, _CHAINS, tuple(links))
    return best


def _only_keyrings_own() -> list[str]:
    """The backends that keyring itself brings; none if others do, or if this can't tell.

    It costs a fifth of what ``entry_points`` costs, which parses the metadata of each package.
    """
    found: list[str] = []
    for finder in sys.meta_path:
        if hasattr(finder, "find_distributions") and not _is_usual(finder):
            return []
    for folder in sys.path:
        if not isinstance(folder, str):  # import passes over it too
            continue
        if folder.endswith(".egg") or os.path.isfile(folder):  # an archive may hold metadata too
            return []
        for text in _entry_points_below(folder or "."):
            if "keyring.backends" not in text:
                continue
            section = text.partition(f"[{_GROUP}]")[2].partition("[")[0]
            values = [
                line.partition("=")[2].strip() for line in section.split("\n") if line.strip()
            ]
            if not values or not all(_OWN.fullmatch(value) for value in values):
                return []
            found += values
    return found


def _is_usual(finder: object) -> bool:
    kind = finder if isinstance(finder, type) else type(finder)
    return kind is PathFinder or kind.__module__ == "importlib_metadata"


def _entry_points_below(folder: str) -> Iterator[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            with (
                contextlib.suppress(OSError),
                open(
                    f"{folder}/{name}/entry_points.txt", encoding="utf-8", errors="replace"
                ) as file,
            ):
                yield file.read()
