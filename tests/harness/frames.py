"""What an error shows if other code raises an error from it."""

from __future__ import annotations

import reprlib
import traceback
from pathlib import Path
from types import FrameType

TESTS = str(Path(__file__).parents[1])


def kept_by(error: BaseException) -> str:
    """The texts of an error and its causes, and the variables of the frames of their tracebacks.

    IPython shows all of them in the mode Verbose, also those of a cause.
    """
    shown: list[str] = []
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        shown.append(f"{one!r} {vars(one)!r}")
        shown += [_variables(frame) for frame, _ in traceback.walk_tb(one.__traceback__)]
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "\n".join(shown)


def _variables(frame: FrameType) -> str:
    ours = frame.f_code.co_filename.startswith(TESTS)
    return "" if ours else _long.repr(dict(frame.f_locals))


_long = reprlib.Repr()
_long.maxdict = _long.maxlist = _long.maxtuple = 100
_long.maxstring = _long.maxother = 10_000
_long.maxlevel = 8
