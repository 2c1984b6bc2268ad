"""The type of all secrets."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")
MASK = "••••••••"
_TOKENS = re.compile(
    r"eyJ[\w-]{5,}(?:\.[\w-]*)+"  # a JSON Web Token
    r"|[\w.~+/=-]{80,}"
    r"|(?<=[tT]oken\"[:=] \")[^\"]+"
)


def without_tokens(text: str) -> str:
    """A text of another program, with a mask for whatever looks like a token."""
    return _TOKENS.sub(MASK, text)


INSTEAD = (
    "leave it out of what is sent, or send nbauth.session(), nbauth.auth() or nbauth.credential()."
)


def refuse_pickling(value: object, instead: str) -> NoReturn:
    """Raise the ``TypeError`` for pickling an object that holds a secret."""
    raise TypeError(
        f"{type(value).__name__} cannot be pickled, so that no secret leaves the kernel: {instead}"
    )


def no_frames(call: Callable[Given, Result]) -> Callable[Given, Result]:
    """A function whose errors have no traceback of it, since the variables in it are secrets.

    IPython shows the variables of all frames in the mode Verbose. A cause whose text contains what
    looks like a token is dropped too.
    """

    @functools.wraps(call)
    def called(*args: Given.args, **options: Given.kwargs) -> Result:
        try:
            return call(*args, **options)
        except Exception as error:
            _drop_frames(error)
            raise error  # noqa: TRY201 - a bare raise would restore the traceback

    return called


def _drop_frames(error: BaseException) -> None:
    one: BaseException | None = error
    seen: set[int] = set()
    while one is not None and id(one) not in seen:  # an error may be its own cause
        seen.add(id(one))
        one.__traceback__ = None
        cause = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        if cause is not None and without_tokens(str(cause)) != str(cause):
            one.__cause__, one.__suppress_context__ = None, True
            cause = None
        one = cause


class SecretStr(str):
    """A ``str`` with a masked ``repr`` and masked rich displays.

    ``str()``, format and ``+`` give the text, because a request needs it. A copy is the same
    object. Pickling raises ``TypeError``. ``print``, ``json.dumps`` and slices show the text; a
    type cannot mask them.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret {MASK}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, INSTEAD)

    def __copy__(self) -> SecretStr:
        return self

    def __deepcopy__(self, memo: object) -> SecretStr:
        return self
