"""The one type a secret has."""

from __future__ import annotations

from typing import Any, NoReturn

MASK = "••••••••"


def refuse_pickling(value: object, instead: str) -> NoReturn:
    """Raise the ``TypeError`` with which everything that holds a secret answers pickle."""
    raise TypeError(
        f"{type(value).__name__} is not pickled, so that no secret leaves the kernel: {instead}"
    )


class SecretStr(str):
    """A ``str`` that does not show itself.

    ``repr`` and every rich display are masked. ``str()``, format and ``+`` give the text, because
    a request needs it; copies are the same object; pickling raises ``TypeError``.
    What no type can hold back (JSON, ``print``, a slice) is the output guard's work.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret {MASK}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, "sign in again where it is needed.")

    def __copy__(self) -> SecretStr:
        return self

    def __deepcopy__(self, memo: object) -> SecretStr:
        return self
