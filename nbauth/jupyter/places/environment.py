"""Where does this kernel run, and is somebody there? The table of places is ``places.toml``."""

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
        name: for people.
        signals: any one of them means this place.
        also: and any one of these, where there are some.
        apart: whether kernel and browser are on different machines; ``None`` if not known.
        ways: the flows that make sense there, best first; none where nobody can answer.
        note: one line for people.
        source: who says that these signals mean this place.
    """

    name: str
    signals: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    apart: bool | None = None
    ways: tuple[str, ...] = ()
    note: str = ""
    source: str = ""

    def fits(self, evidence: Evidence) -> bool:
        """Whether what was seen means this place."""
        seen = evidence.seen
        return not seen.isdisjoint(self.signals) and not (self.also and seen.isdisjoint(self.also))


@dataclass(frozen=True)
class Evidence:
    """The signals of the table that were seen. Their values are not kept, nor read."""

    seen: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *signals: str) -> Evidence:
        """For a place that one is not in."""
        return cls(frozenset(signals))

    def in_words(self) -> list[str]:
        """What was seen, for people."""
        parts = [signal.partition(":") for signal in self.seen]
        return sorted(f"{_KINDS.get(kind, kind)} {name}".lstrip() for kind, _, name in parts)


NOWHERE = Place("a program with no notebook", ways=(), note="Nothing here can show a sign-in.")


@cache
def places() -> tuple[Place, ...]:
    """The table, in the order in which it is asked."""
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
    """The first place that fits what was seen; what can be seen here, if nothing is given."""
    seen = look() if evidence is None else evidence
    return next((row for row in places() if row.fits(seen)), NOWHERE)


def as_said(here: Place, seen: Evidence, attended: bool | str) -> Place:
    """The place, where the setting ``attended`` and not the front end says who is there."""
    if attended is False:
        return replace(here, ways=())
    if attended is True and not here.ways:
        answering = {"fact:script": "fact:terminal", "fact:nobody watches": "fact:kernel"}
        return place(Evidence.of(*(answering.get(one, one) for one in seen.seen)))
    return here


def look() -> Evidence:
    """Look for the signals of the table, and for nothing else.

    Facts: ``kernel``; ``nobody watches`` (the request of a kernel takes no input);
    ``kernel reached from elsewhere`` (its channels are not on a loopback address); ``terminal`` and
    ``script`` (no kernel; standard input is a terminal, or not); ``marimo`` (its notebook runs
    this); ``display`` (a desktop is there).
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
    """Whether a stream is a terminal; one that is missing or closed is none."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def in_marimo() -> bool:
    """Whether a notebook of marimo runs this. It has no IPython shell."""
    running = getattr(sys.modules.get("marimo"), "running_in_notebook", None)
    return running is not None and bool(running())


def _asked_by_the_cell() -> bool:
    """Only the main thread knows which request it works on."""
    return threading.current_thread() is threading.main_thread()


def _reached_from_elsewhere(running: Any) -> bool:
    application = getattr(running, "parent", None)
    address = getattr(application, "ip", None)
    if not address or getattr(application, "transport", "") != "tcp":
        return False
    return address not in {"localhost", "::1"} and not str(address).startswith("127.")


def shell() -> Any | None:
    """The IPython shell of this process, if it has one."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def kernel() -> Any | None:
    """The ipykernel of this process, if it is one."""
    return getattr(shell(), "kernel", None)
