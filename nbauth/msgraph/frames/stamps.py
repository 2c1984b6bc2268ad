"""Times of Graph: which columns have them, and what they are in UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

_STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?(?:Z|[+-]\d\d:\d\d)"
_STAMPS = re.compile(rf"(?:{_STAMP}\n)*{_STAMP}", re.ASCII)
_FAR = re.compile(r"^(?!1[7-9]|2[01])", re.MULTILINE)
"""A year outside of 1700 to 2199. Nanoseconds in 64 bits reach from 1677 to 2262."""
_SEVENTH = re.compile(r"\.\d{6}[1-9]")

Unit = Literal["us", "ns"]


def unit_of(values: Sequence[str | None]) -> tuple[Unit | None, bool]:
    """The unit that keeps all digits of the times; ``None`` if the values are not all times.

    At least one value has to be a text.

    The second value tells if there are years that nanoseconds cannot express. Then the unit is
    ``"us"``, and the seventh digit is lost. Graph writes the years 0001 and 9999 for "no date".
    """
    first = next(value for value in values if value is not None)
    if len(first) < 20 or first[10] != "T":  # most texts: no more than one is looked at
        return None, False
    given = [value for value in values if value is not None]
    text = "\n".join(given)
    if not _STAMPS.fullmatch(text):
        return None, False
    far = bool(_FAR.search(text))
    return ("ns" if not far and _SEVENTH.search(text) else "us"), far


def tenths_of_microseconds(values: Sequence[str | None]) -> list[int | None]:
    """The seventh digits of the fractions."""
    found = [value and _SEVENTH.search(value) for value in values]
    return [
        None if value is None else int(each[0][-1]) if each else 0
        for value, each in zip(values, found, strict=True)
    ]


def moments(values: Sequence[str | None]) -> list[datetime | None]:
    """The times in UTC, to microseconds. Raises ``ValueError`` or ``OverflowError``."""
    return [
        None if value is None else datetime.fromisoformat(value).astimezone(UTC) for value in values
    ]
