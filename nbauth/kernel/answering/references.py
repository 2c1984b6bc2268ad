"""The clients and accounts that pickled objects of this session name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbauth.kernel.asking.reference import Reference, family

if TYPE_CHECKING:
    from nbauth.kernel.bound import Bound


class References:
    """Names the clients and accounts of a session for other processes.

    Args:
        find_session: returns the session of any process that calls it.
        pipe: returns the address at which this session answers; see :class:`.pipe.Answers`.
    """

    def __init__(self, find_session: Callable[[], Any], pipe: Callable[[], str]) -> None:
        self.find_session = find_session
        self.session = os.urandom(8).hex()
        self._pipe = pipe
        self._named: dict[str, Bound] = {}

    def to(self, bound: Bound) -> Reference:
        """The reference to a client and account; the same one for equal ones."""
        digest, number = bound.digest, 0
        while not bound.is_like(self._named.setdefault(f"{digest}-{number}", bound)):
            number += 1
        name = f"{digest}-{number}"
        return Reference(self.session, name, self._pipe(), family(self.session))

    def find(self, name: str) -> Bound | None:
        """The client and account of a name; ``None`` if no pickled object has named it."""
        return self._named.get(name)


class LoadedReference:
    """What a session in a worker uses to pickle its objects again.

    Args:
        find_session: returns the session of any process that calls it.
        reference: with which the session was made.
    """

    def __init__(self, find_session: Callable[[], Any], reference: Reference) -> None:
        self.find_session = find_session
        self._reference = reference

    def to(self, bound: Bound) -> Reference:
        """The same reference: a session in a worker has one client and account."""
        return self._reference
