"""The clients and accounts that pickled objects of this session name."""

from __future__ import annotations

import hmac
import os
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from nbauth.core.settings import Settings
from nbauth.kernel.asking.reference import Names, Reference, family, settings_that_travel

if TYPE_CHECKING:
    from nbauth.core.account import AccountKey, ClientKey
    from nbauth.kernel.bound import Bound
    from nbauth.oauth.client import Client

MOST = 10_000
"""Names of objects without an account that are kept; the oldest are forgotten first."""


class References:
    """Names the clients and accounts of a session for other processes.

    Equal ones have one name, so pickling again adds none. An object whose account is not fixed yet
    has a name of its own.

    Args:
        find_session: returns the session of any process that calls it.
        pipe: returns the address at which this session answers; see :class:`.pipe.Answers`.

    Attributes:
        passes: the schedulers of Dask in this process. They have ``sessions``, whose objects they
            pass on.
    """

    def __init__(self, find_session: Callable[[], Any], pipe: Callable[[], str]) -> None:
        self.find_session = find_session
        self.session = os.urandom(8).hex()
        self._pipe = pipe
        self._key = os.urandom(16)  # settings may contain a proxy's password
        self._named: dict[str, Bound] = {}
        self._free: deque[str] = deque()
        self._inherited: Collection[str] | None = None
        self.passes: WeakSet[Any] = WeakSet()

    def to(self, bound: Bound) -> Names:
        """What is pickled of a client and account."""
        reference = Reference(self.session, self._name(bound), self._pipe(), family(self.session))
        client = bound.client
        profile, travelling = client.settings.profile, settings_that_travel(client)
        known = profile, bound.store, bound.asked, bound.interactive, travelling
        return Names(reference, client.key, *known)

    def passed(self, names: Names) -> bool:
        """Whether an object of these names is only passed on here, as the tasks of a notebook are
        whose scheduler is in this process."""
        return any(names.reference.session in one.sessions for one in list(self.passes))

    def find(self, name: str) -> Bound | None:
        """The client and account of a name; ``None`` if no pickled object has named it.

        In a forked child also ``None`` if the account was not fixed before the fork: the parent
        fixes it.
        """
        found = self._named.get(name)
        if found is not None and found.key is None and name in (self._inherited or ()):
            return None
        return found

    def inherited(self, account: AccountKey) -> str:
        """Names an account that a forked child has inherited, for what the child makes itself.

        Only a process with the memory of this one can compute it.
        """
        return hmac.new(self._key, f"inherited {account}".encode(), "sha256").hexdigest()[:32]

    def clients(self, key: ClientKey) -> list[Client]:
        """The clients of this key that pickled objects have named."""
        return [bound.client for bound in [*self._named.values()] if bound.client.key == key]

    def forked(self) -> None:
        """In a forked child: the parent fixes the accounts of its objects."""
        self._inherited = frozenset(self._named)

    def _name(self, bound: Bound) -> str:
        what = repr((bound.digest, bound.interactive, _plain(bound.client.settings)))
        # The name tells what it stands for, so a forked process has no other one for it.
        digest, number = hmac.new(self._key, what.encode(), "sha256").hexdigest()[:16], 0
        while True:
            name = f"{digest}-{number}"
            before = self._inherited
            if before is not None and bound.key is not None and name not in before:
                name += f"-{self.inherited(bound.key)}"  # the parent does not know it otherwise
            known = name in self._named
            if bound.is_like(self._named.setdefault(name, bound)):
                break
            number += 1
        if not known and bound.key is None:
            self._free.append(name)
            if len(self._free) > MOST:
                self._forget(self._free.popleft())
        return name

    def _forget(self, name: str) -> None:
        bound = self._named.get(name)
        if bound is not None and bound.key is None:
            self._named.pop(name, None)


def _plain(settings: Settings) -> list[tuple[str, str]]:
    """Equal for equal settings."""
    names = [item.name for item in fields(Settings) if item.compare]
    values = [(name, getattr(settings, name)) for name in names]
    return [
        (name, repr(sorted(value.items()) if isinstance(value, Mapping) else value))
        for name, value in values
    ]


class LoadedReference:
    """What a session in a worker uses to pickle its objects again.

    Args:
        find_session: returns the session of any process that calls it.
        names: with which the session was made.
    """

    def __init__(self, find_session: Callable[[], Any], names: Names) -> None:
        self.find_session = find_session
        self._names = names

    def to(self, bound: Bound) -> Names:
        """The same: a session in a worker has one client and account."""
        return self._names

    def passed(self, names: Names) -> bool:
        """Never: a worker asks for the tokens of what it loads."""
        return False
