"""Detects where this kernel runs and whether a person is there. The table is ``places.toml``."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from nbauth.jupyter.places.request import is_widget_event, takes_input

_KINDS = {"env": "variable", "user_ns": "notebook variable", "fact": ""}
"""What the kinds of signals are called, where the word of the table is not plain."""


@dataclass(frozen=True)
class Place:
    """One place of the table.

    Attributes:
        name: the name that is shown.
        signals: the place needs at least one of these.
        also: if not empty, the place also needs at least one of these.
        apart: whether kernel and browser are on different machines; ``None`` if unknown.
        ways: the flows that may work there, best first; empty if no person can answer.
        note: one line that is shown.
        source: the evidence that these signals identify this place.
    """

    name: str
    signals: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    apart: bool | None = None
    ways: tuple[str, ...] = ()
    note: str = ""
    source: str = ""

    def fits(self, evidence: Evidence) -> bool:
        """Whether the signals identify this place."""
        seen = evidence.seen
        return not seen.isdisjoint(self.signals) and not (self.also and seen.isdisjoint(self.also))


@dataclass(frozen=True)
class Evidence:
    """The detected signals. Their values are neither read nor stored."""

    seen: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *signals: str) -> Evidence:
        """Evidence with the given signals instead of those of this process."""
        return cls(frozenset(signals))

    def in_words(self) -> list[str]:
        """What was seen, for people."""
        parts = [signal.partition(":") for signal in self.seen]
        return sorted(f"{_KINDS.get(kind, kind)} {name}".lstrip() for kind, _, name in parts)


NOWHERE = Place("a program with no notebook", ways=(), note="Nothing here can show a sign-in.")


@cache
def places() -> tuple[Place, ...]:
    """The table, in the order in which it is searched."""
    import tomllib
    from importlib import resources

    text = resources.files(__package__).joinpath("places.toml").read_text("utf-8")
    rows: list[dict[str, Any]] = tomllib.loads(text)["place"]
    return tuple(
        Place(
            name=row["name"],
            signals=tuple(row["signals"]),
            also=tuple(row.get("also", ())),
            apart=row.get("apart"),
            ways=tuple(row["ways"]),
            note=row["note"],
            source=row["source"],
        )
        for row in rows
    )


def place(evidence: Evidence | None = None) -> Place:
    """The first place that the evidence identifies; by default the evidence of this process."""
    seen = look() if evidence is None else evidence
    return next((row for row in places() if row.fits(seen)), NOWHERE)


def apply_attended(here: Place, seen: Evidence, attended: bool | str) -> Place:
    """The place after the setting ``attended``, which overrides the front end."""
    if attended is False:
        return replace(here, ways=())
    if attended is True and not here.ways:
        answering = {"fact:script": "fact:terminal", "fact:nobody watches": "fact:kernel"}
        return place(Evidence.of(*(answering.get(one, one) for one in seen.seen)))
    return here


def look() -> Evidence:
    """Detect the signals of the table, and no others.

    Facts: ``kernel``; ``nobody watches`` (the request that the kernel handles takes no input);
    ``kernel reached from elsewhere`` (its channels are not on a loopback address); ``terminal`` and
    ``script`` (no kernel; standard input is a terminal, or not); ``marimo`` (a marimo notebook);
    ``display`` (there is a desktop).
    """
    wanted = {signal for row in places() for signal in (*row.signals, *row.also)}
    return Evidence(frozenset(signal for signal in wanted if _seen(signal)) | _facts())


def _seen(signal: str) -> bool:
    kind, _, name = signal.partition(":")
    match kind:
        case "env":
            return bool(os.environ.get(name))
        case "module":
            return name in sys.modules
        case "file":
            return Path(name).exists()
        case "user_ns":
            return name in getattr(shell(), "user_ns", ())
    return False


def _facts() -> set[str]:
    running = kernel()
    facts = set()
    if running is None:
        terminal = "fact:terminal" if is_terminal(sys.stdin) else "fact:script"
        facts.add("fact:marimo" if in_marimo() else terminal)
    else:
        facts.add("fact:kernel")
        if _asked_by_the_cell() and not takes_input(running) and not is_widget_event(running):
            facts.add("fact:nobody watches")
        if _reached_from_elsewhere(running):
            facts.add("fact:kernel reached from elsewhere")
    desktop = sys.platform in {"darwin", "win32"}
    if desktop or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        facts.add("fact:display")
    return facts


def is_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal; ``False`` for a missing or closed stream."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def in_marimo() -> bool:
    """Whether this is a marimo notebook. It has no IPython shell."""
    running = getattr(sys.modules.get("marimo"), "running_in_notebook", None)
    return running is not None and bool(running())


def in_worker(stdin: Any) -> bool:
    """Whether this process, which has no kernel, only runs tasks of another one.

    multiprocessing gives its processes no standard input. ``dask worker`` may have a terminal.
    """
    if in_marimo():  # which runs notebooks in processes of multiprocessing
        return False
    parent = getattr(sys.modules.get("multiprocessing.process"), "parent_process", lambda: None)
    return (parent() is not None and not is_terminal(stdin)) or _is_dask_worker()


def _is_dask_worker() -> bool:
    workers = getattr(sys.modules.get("distributed.worker"), "Worker", None)
    clusters = getattr(sys.modules.get("distributed.deploy.spec"), "SpecCluster", None)
    if list(getattr(clusters, "_instances", ())):
        return False  # the user has made it here; its workers may be threads of this process
    running = [one for one in list(getattr(workers, "_instances", ())) if one.status != "closed"]
    return any(one.listener and not one.address.startswith("inproc:") for one in running)


def _asked_by_the_cell() -> bool:
    """Whether this is the main thread. Only there is the running request known."""
    return threading.current_thread() is threading.main_thread()


def _reached_from_elsewhere(running: Any) -> bool:
    application = getattr(running, "parent", None)
    address = getattr(application, "ip", None)
    if not address or getattr(application, "transport", "") != "tcp":
        return False
    return address not in {"localhost", "::1"} and not str(address).startswith("127.")


def shell() -> Any | None:
    """The IPython shell of this process, or ``None``."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def kernel() -> Any | None:
    """The kernel of this process, or ``None``."""
    return getattr(shell(), "kernel", None)
