"""Which members are sent together, and when."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable

from nbauth.msgraph.batch.members import LARGEST, Group

GATHER = 0.5
"""Seconds for which repeats wait for other repeats, so that they share a batch."""


class Queue:
    """The groups that are not in a batch at the moment.

    Attributes:
        quiet_until: before this moment nothing is sent, since a connection was lost.

    Args:
        paused: the seconds for which none may be sent, because its service refuses requests.
    """

    def __init__(self, paused: Callable[[Group], float]) -> None:
        self.quiet_until = 0.0
        self._paused = paused
        self._ready: dict[str, tuple[deque[Group], deque[Group]]] = {}
        self._whole: deque[list[Group]] = deque()
        self._waiting: list[tuple[float, int, Group]] = []
        self._numbers = itertools.count()

    def add(self, groups: Iterable[Group], now: float) -> None:
        """Add groups, which are sent when they are due."""
        for group in groups:
            if group.due > now:
                self._wait(group, group.due)
            else:
                self._ready_for(group).append(group)

    def add_whole(self, batch: list[Group]) -> None:
        """Add a batch that is sent as it is."""
        self._whole.append(batch)

    def next_due(self, now: float) -> float | None:
        """When to call :meth:`take` again, apart from responses; ``None`` for no such moment."""
        if now < self.quiet_until and (self._whole or any(map(any, self._ready.values()))):
            return self.quiet_until
        return self._waiting[0][0] if self._waiting else None

    def rest(self) -> list[Group]:
        """Remove and return all groups."""
        left = [group for batch in self._whole for group in batch]
        left += [group for pair in self._ready.values() for queue in pair for group in queue]
        left += [group for _, _, group in self._waiting]
        self._whole.clear()
        self._ready.clear()
        self._waiting.clear()
        return left

    def take(self, now: float) -> list[Group]:
        """The groups of the next batch; none if nothing is to be sent now."""
        if now < self.quiet_until:
            return []
        self._wake(now)
        if self._whole:
            return self._whole.popleft()
        for single, linked in self._ready.values():
            if self._is_held(single, linked, now):
                continue
            if batch := self._packed(single, linked, now):
                return batch
        return []

    def _packed(self, single: deque[Group], linked: deque[Group], now: float) -> list[Group]:
        """A batch has one group of dependent members at most, alone if it is serial."""
        batch = self._some(linked, 1, now)
        if batch and batch[0].serial:
            return batch
        size = sum(len(group.members) for group in batch)
        return batch + self._some(single, LARGEST - size, now)

    def _some(self, queue: deque[Group], most: int, now: float) -> list[Group]:
        found: list[Group] = []
        while queue and len(found) < most:
            group = queue.popleft()
            if (left := self._paused(group)) > 0:
                self._wait(group, now + left)
            else:
                found.append(group)
        return found

    def _is_held(self, single: deque[Group], linked: deque[Group], now: float) -> bool:
        """Whether a few repeats wait for others, which are due soon."""
        if linked or not 0 < len(single) < LARGEST or not self._waiting:
            return False
        if self._waiting[0][0] > now + GATHER:
            return False
        members = [group.members[0] for group in single]
        if not all(member.refusals is not None for member in members):
            return False
        return min(member.due for member in members) > now - GATHER

    def _wait(self, group: Group, due: float) -> None:
        heapq.heappush(self._waiting, (due, next(self._numbers), group))

    def _wake(self, now: float) -> None:
        woken: list[Group] = []
        while self._waiting and self._waiting[0][0] <= now:
            woken.append(heapq.heappop(self._waiting)[2])
        for group in reversed(woken):
            self._ready_for(group).appendleft(group)

    def _ready_for(self, group: Group) -> deque[Group]:
        queues = self._ready.setdefault(group.members[0].version, (deque(), deque()))
        return queues[1] if group.linked else queues[0]
