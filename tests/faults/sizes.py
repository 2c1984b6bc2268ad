"""How much of an input a fault test gets."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")
FULL = os.environ.get("NBAUTH_FAULTS") == "full"


def size(small: T, full: T) -> T:
    """The second with ``NBAUTH_FAULTS=full``."""
    return full if FULL else small
