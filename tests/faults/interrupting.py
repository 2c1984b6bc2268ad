"""Raises an interrupt at each line of the persistence, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import nbauth.persistence

ROOM = str(Path(nbauth.persistence.__file__).parent)


def interrupted(
    act: Callable[[], object],
    interrupt: type[BaseException] = KeyboardInterrupt,
    files: str = ROOM,
) -> Iterator[tuple[str, BaseException]]:
    """Repeat the action; ``interrupt`` is raised at the first line, then at the second, and so on.

    Yields the line and the exception, whose traceback keeps every frame alive, as IPython does for
    the last error. Ends when the action completes. ``files``: prefixes of their paths.
    """
    number = 0
    while True:
        number += 1
        reached = _AtLine(number, interrupt, files)
        try:
            sys.settrace(reached)
            try:
                act()
            finally:
                sys.settrace(None)
        except interrupt as error:
            yield reached.where, error
        else:
            if not reached.where:
                return


class _AtLine:
    """A trace function that raises once."""

    def __init__(self, number: int, interrupt: type[BaseException], files: str) -> None:
        self._left = number
        self._interrupt = interrupt
        self._files = files
        self.where = ""

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(self._files):
            return None
        if event == "line" and not self.where:
            self._left -= 1
            if not self._left:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise self._interrupt
        return self
