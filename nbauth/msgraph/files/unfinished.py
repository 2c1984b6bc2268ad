"""The upload sessions of calls that were interrupted or failed."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable
from dataclasses import dataclass

from nbauth.core.secret import SecretStr

MOST_KEPT = 16
"""Unfinished sessions that are kept."""
SHORT_LIFE = 30.0
"""Seconds before its end at which a session is not used any more."""


@dataclass(frozen=True)
class Kept:
    """An upload session: its secret URL, and when it ends in seconds since the epoch."""

    url: SecretStr
    ends: float

    @property
    def usable(self) -> bool:
        return time.time() < self.ends - SHORT_LIFE


class Unfinished:
    """The sessions of uploads that were interrupted or failed, in memory.

    A forked child has none: two processes cannot send the slices of one file.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._kept: dict[Hashable, Kept] = {}

    def take(self, key: Hashable) -> Kept | None:
        """The session of a content at a path. It is not kept any more."""
        if self._process != os.getpid():
            return None
        kept = self._kept.pop(key, None)
        return kept if kept is not None and kept.usable else None

    def keep(self, key: Hashable, kept: Kept) -> None:
        """Keep a session for the next call; the oldest are dropped."""
        if self._process != os.getpid():
            return
        self._kept[key] = kept
        for oldest in list(self._kept)[:-MOST_KEPT]:
            self._kept.pop(oldest, None)
