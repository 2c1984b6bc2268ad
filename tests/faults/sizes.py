"""The sizes of the fault tests' inputs."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")
FULL = os.environ.get("NBAUTH_FAULTS") == "full"


def size(small: T, full: T) -> T:
    """The second value with ``NBAUTH_FAULTS=full``, else the first."""
    return full if FULL else small
