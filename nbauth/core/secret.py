"""The type of all secrets."""

from __future__ import annotations

import re
from typing import Any, NoReturn

MASK = "••••••••"
_TOKENS = re.compile(
    r"eyJ[\w-]{5,}(?:\.[\w-]*)+"  # a JSON Web Token
    r"|[\w.~+/=-]{80,}"
    r"|(?<=[tT]oken\"[:=] \")[^\"]+"
)


def without_tokens(text: str) -> str:
    """A text of another program, with a mask for whatever looks like a token."""
    return _TOKENS.sub(MASK, text)


def refuse_pickling(value: object, instead: str) -> NoReturn:
    """Raise the ``TypeError`` for pickling an object that holds a secret."""
    raise TypeError(
        f"{type(value).__name__} cannot be pickled, so that no secret leaves the kernel: {instead}"
    )


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
        refuse_pickling(self, "sign in again in the other process.")

    def __copy__(self) -> SecretStr:
        return self

    def __deepcopy__(self, memo: object) -> SecretStr:
        return self
