"""An interrupt at each line of a package where Python can raise one."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any


def interrupted(act: Callable[[], object], room: str) -> Iterator[str]:
    """Repeat ``act``, interrupted at the first line of the package, then at the second, and so on.

    Yields the line each time. At the end of a ``with`` its line is traced once more; between there
    and the release of the lock Python checks for no signal, so that line is left out.
    """
    number = 0
    while True:
        number += 1
        reached = AtLine(number, room)
        sys.settrace(reached)
        try:
            act()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        if not reached.where:
            return
        yield reached.where


class AtLine:
    """A trace function that raises once, in the thread that set it."""

    def __init__(self, number: int, room: str) -> None:
        self._left = number
        self._room = room
        self._within: set[tuple[int, int]] = set()
        self.where = ""

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(self._room):
            return None
        if event == "call":  # another frame may have had the same id
            self._within = {known for known in self._within if known[0] != id(frame)}
        if event == "line" and not self.where and not self._ends_a_with(frame):
            self._left -= 1
            if not self._left:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self

    def _ends_a_with(self, frame: FrameType) -> bool:
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        if not line.startswith("with "):
            return False
        at = id(frame), frame.f_lineno
        if at in self._within:
            self._within.remove(at)
            return True
        self._within.add(at)
        return False
