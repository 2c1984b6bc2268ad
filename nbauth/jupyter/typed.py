"""What a person types unseen: a secret, or an address that carries one.

The question ends when nobody waits for the answer any more. Where the stream can't be read in turns
(a kernel that is no ipykernel, a console without a terminal, Windows), it ends with the answer.
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
"""Seconds after which it looks whether somebody still waits."""
MOST = 65_536
"""Bytes of a line; a terminal gives no more than 4095 at once."""
_ENDS = b"\r\n"


def typed_unseen(prompt: str, given_up: Callable[[], bool]) -> str:
    """What the person types.

    Raises ``EOFError`` if they end the input (Ctrl-D), ``TimeoutError`` once ``given_up`` is true.
    """
    running = kernel()
    if running is not None and stdin.can_ask(running):
        return stdin.ask(running, prompt, given_up)
    if running is None and (descriptor := _terminal(sys.stdin)) is not None:
        return _typed_at(descriptor, prompt, given_up)
    return getpass.getpass(prompt)


def within(seconds: float) -> Callable[[], bool]:
    """Gives up after so many seconds."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _terminal(stream: Any) -> int | None:
    """The stream's descriptor, if that is a terminal whose echo can be turned off."""
    if find_spec("termios") is None or not is_terminal(stream):
        return None
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError):  # a console that a program draws
        return None


def _typed_at(descriptor: int, prompt: str, given_up: Callable[[], bool]) -> str:
    typed = b""
    with _without_echo(descriptor):
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
    with contextlib.suppress(OSError, ValueError):  # the terminal has gone
        print(text, end="", file=sys.stderr, flush=True)
