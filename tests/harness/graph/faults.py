"""Scripted faults: which request gets which wrong response."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tests.harness.graph.changes import Change
from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply


@dataclass
class Fault:
    """A wrong response for some requests.

    Attributes:
        path: the decoded path, without the query; ``*`` stands for any text.
        on: which of the matching requests, counted from 1; empty: all.
        each: counts every address (path and query) and method by itself.
        when: an additional condition.
        hits: the requests that got it.
    """

    method: str
    path: str
    answer: Reply | Change
    on: Collection[int] = ()
    each: bool = False
    when: Callable[[Recorded], bool] = lambda _: True
    hits: list[Recorded] = field(default_factory=list)
    _counts: Counter[bytes] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def meets(self, request: Recorded) -> bool:
        if self.method not in ("*", request.method) or not self._is_here(request):
            return False
        if not self.when(request):
            return False
        key = request.method.encode() + request.target if self.each else b""
        with self._lock:
            self._counts[key] += 1
            hit = not self.on or self._counts[key] in self.on
            if hit:
                self.hits.append(request)
        return hit

    def _is_here(self, request: Recorded) -> bool:
        return self.path == request.path or (
            "*" in self.path and fnmatchcase(request.path, self.path)
        )


def with_faults(
    faults: list[Fault], request: Recorded, normal: Callable[[Recorded], Reply]
) -> Reply:
    """The response of the first fault for this request, else the normal one."""
    met = [fault for fault in faults if fault.meets(request)]
    if not met:
        return normal(request)
    answer = met[0].answer
    return answer if isinstance(answer, Reply) else answer(normal(request), request)
