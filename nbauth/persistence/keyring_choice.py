"""Find the backend that keyring would choose, without loading backends it cannot choose.

keyring's own search loads every backend and reads each priority several times. On Linux, its macOS
backend starts a compiler and a linker to look for Apple's libraries, and each read of the Secret
Service's priority opens a connection to the session bus. This module loads the macOS backend on
macOS only. It uses keyring's own search if a backend is configured (``PYTHON_KEYRING_BACKEND``,
``keyringrc.cfg``, ``set_keyring``) or another package provides backends.
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
_CHAIN_PRIORITY = 10  # priority of a chain of two or more backends
_UNKNOWN = object()


class Choice(NamedTuple):
    """A backend, its priority, and its members if it is a chain."""

    backend: Any
    priority: float
    links: tuple[Choice, ...] | None = None


def chosen() -> Choice:
    """Return what ``keyring.get_keyring()`` returns, and set it. Raises what that raises."""
    import keyring.core
    from keyring.backends.fail import Keyring as Fail

    # A private name. If it is missing, keyring's own search is used.
    already = getattr(keyring.core, "_keyring_backend", _UNKNOWN)
    if already is not None or OVERRIDE in os.environ or _is_configured():
        return _choice_from(keyring.get_keyring())
    if not (modules := _own_backends()):
        return _choice_from(keyring.get_keyring())
    choice = _found(modules)
    if not isinstance(choice.backend, Fail):  # a keyring may be started later
        keyring.set_keyring(choice.backend)
    return choice


def _choice_from(backend: Any) -> Choice:
    links = getattr(backend, "backends", None)
    inner = None if links is None else tuple(_choice_from(link) for link in links)
    return Choice(backend, backend.priority, inner)


def _is_configured() -> bool:
    from keyring.util.platform_ import config_root

    return bool((config_root() / "keyringrc.cfg").exists())


def _found(modules: list[str]) -> Choice:
    """Search as keyring's ``_detect_backend``, ``get_all_keyring`` and ``ChainerBackend`` do."""
    from keyring.backend import KeyringBackend
    from keyring.backends.chainer import ChainerBackend
    from keyring.backends.fail import Keyring as Fail

    for module in modules:
        if module == _MACOS and platform.system() != "Darwin":
            continue  # its priority raises elsewhere
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
    if chain is not None and len(links) > 1 and best.priority < _CHAIN_PRIORITY:
        return Choice(chain, _CHAIN_PRIORITY, tuple(links))
    return best


def _own_backends() -> list[str]:
    """The backends that keyring itself provides; empty if others exist or this cannot be decided.

    Takes a fifth of the time of ``entry_points``, which parses every package's metadata.
    """
    found: list[str] = []
    for finder in sys.meta_path:
        if hasattr(finder, "find_distributions") and not _is_usual(finder):
            return []
    for folder in sys.path:
        if not isinstance(folder, str):  # import skips it too
            continue
        if folder.endswith(".egg") or os.path.isfile(folder):  # an archive may contain metadata
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
