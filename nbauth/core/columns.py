"""Columns of text for a terminal, whose letters are nought, one or two columns wide."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from nbauth.core.output import fitting

_JOINER = "\u200d"
_EMOJI_FORM = "\ufe0f"
_MARK = "\u200e"
"""LEFT-TO-RIGHT MARK: what stands beside a name in Hebrew or Arabic stays where it is."""


def width(text: str) -> int:
    """How many columns a terminal takes for a text, as Unicode Standard Annex 11 has it."""
    columns, last, joined, flags = 0, 0, False, 0
    for sign in text:
        if "\U0001f1e6" <= sign <= "\U0001f1ff":  # two of these letters are one flag
            flags, own = (0, 0) if flags else (1, 2)
        else:
            flags, own = 0, _own_width(sign)
        if sign == _EMOJI_FORM and last == 1:
            columns += 1
            last = 2
        elif ("\U0001f3fb" <= sign <= "\U0001f3ff" and last == 2) or (
            joined and last == 2
        ):  # a colour of the skin before it
            own = 0
        columns += own
        joined = sign == _JOINER
        last = own or last
    return columns


def _own_width(sign: str) -> int:
    if unicodedata.category(sign) in {"Mn", "Me", "Cf", "Cc"} or "\u1160" <= sign <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(sign) in {"W", "F"} else 1


def aligned(table: Sequence[Sequence[str]], between: str = "  ") -> list[str]:
    """The rows as lines, each column as wide as its widest cell.

    They can be written as they are to the stream of ``print``, whatever its encoding.
    """
    rows = [[_fixed(fitting(cell)) for cell in row] for row in table]
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        between.join(
            cell + " " * (column - width(cell)) for cell, column in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _fixed(cell: str) -> str:
    """A cell whose letters run from right to left, kept from moving its neighbours."""
    turned = any(unicodedata.bidirectional(sign) in {"R", "AL"} for sign in cell)
    return f"{_MARK}{cell}{_MARK}" if turned and fitting(_MARK) == _MARK else cell
