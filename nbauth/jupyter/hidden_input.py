"""Reads a line without echo: a secret, or an address that contains one.

The caller can end the wait. This is not possible with a kernel that is not ipykernel, in a console
without a terminal, and on Windows: there, only the input ends the wait.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from select import select
from typing import Any

from nbauth.jupyter.ipykernel import stdin
from nbauth.jupyter.places.environment import is_terminal, kernel

TURN = 0.1
"""Seconds between two calls of ``given_up``."""
MOST = 65_536
"""The most bytes of a line. One read from a terminal returns at most 4095."""
_ENDS = b"\r\n"


def read_hidden(prompt: str, given_up: Callable[[], bool], *, echo: bool = False) -> str:
    """The text that the person types. A terminal shows it if ``echo`` is true.

    A notebook never does: it would save the text in the output of the cell.

    Raises ``EOFError`` after Ctrl-D, ``TimeoutError`` once ``given_up`` returns true.
    """
    running = kernel()
    if running is not None and stdin.can_ask(running):
        return stdin.ask(running, prompt, given_up)
    if running is None and (descriptor := _terminal(sys.stdin)) is not None:
        return _read_terminal(descriptor, prompt, given_up, echo)
    return input(prompt) if echo and running is None else getpass.getpass(prompt)


def timeout_after(seconds: float) -> Callable[[], bool]:
    """A function that returns whether this many seconds have passed."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _terminal(stream: Any) -> int | None:
    """The stream's descriptor, if it is a terminal whose echo can be turned off."""
    if find_spec("termios") is None or not is_terminal(stream):
        return None
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError):  # an emulated console has no descriptor
        return None


def _read_terminal(descriptor: int, prompt: str, given_up: Callable[[], bool], echo: bool) -> str:
    typed = b""
    with contextlib.nullcontext() if echo else _without_echo(descriptor):
        _write(prompt)
        try:
            while not given_up():
                if not select([descriptor], [], [], TURN)[0]:
                    continue
                piece = os.read(descriptor, MOST)
                typed += piece
                if not piece and not typed:
                    raise EOFError
                if not piece or piece.endswith((b"\n", b"\r")) or len(typed) >= MOST:
                    return typed.rstrip(_ENDS).decode(errors="replace")
        finally:
            if not echo:
                _write("\n")
    raise TimeoutError


@contextlib.contextmanager
def _without_echo(descriptor: int) -> Iterator[None]:
    import termios

    before = termios.tcgetattr(descriptor)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # the terminal is closed
        print(text, end="", file=sys.stderr, flush=True)
