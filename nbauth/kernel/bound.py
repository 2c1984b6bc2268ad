"""The client and account that a held token, ``auth()`` and ``session()`` are bound to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any

from nbauth.core.account import Account, AccountKey, Asked, key_of
from nbauth.core.person import Person
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr, refuse_pickling
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.asking.reference import Names
from nbauth.kernel.need import Need
from nbauth.kernel.tokens import Tokens
from nbauth.kernel.unattended import is_service
from nbauth.oauth.challenge import Requirement
from nbauth.oauth.client import Client


class Bound:
    """A client and an account, fixed when it is made.

    If nobody is signed in yet, the first token fixes the account.

    Pickling it stores names, and no token. A worker that loads it asks the notebook for tokens.

    Args:
        tokens: gets the tokens.
        client: whose tokens.
        asked: the account; ``None`` for the one that is current now.
        interactive: whether the person may be asked.
        look: whether to look for the account now, not only at the first request of a token.
        origin: what it was loaded from, in a process that cannot ask the notebook of it.
    """

    __slots__ = ("_asked", "_names", "_origin", "_settled", "_tokens", "client", "interactive")

    def __init__(
        self,
        tokens: Tokens,
        client: Client,
        asked: Asked | None,
        interactive: bool = True,
        *,
        look: bool = True,
        origin: Names | None = None,
    ) -> None:
        self._tokens = tokens
        self._origin = origin
        self.client = client
        self.interactive = interactive
        found = tokens.find(client, asked, interactive=interactive) if look else None
        self._asked: Asked | None = found or asked
        self._names: dict[None, str] = {}
        # setdefault is atomic. A lock held at a fork would stay held in the child.
        self._settled: dict[None, AccountKey] = {}
        if isinstance(self._asked, AccountKey):
            self._settled[None] = self._asked

    @property
    def key(self) -> AccountKey | None:
        """The account, once it is fixed."""
        return self._settled.get(None)

    @property
    def digest(self) -> str:
        """A short text that identifies client and account, for displays and caches of objects.

        As long as the account is not fixed, it identifies this object.
        """
        # not id(self), which another object has later, and others have in other processes
        who: object = self._who or self._names.setdefault(None, os.urandom(8).hex())
        what = self.client.key, who, *sorted(self.client.targets)
        return hashlib.sha256(repr(what).encode()).hexdigest()[:12]

    @property
    def asked(self) -> Asked | None:
        """The account, or what is known of it as long as it is not fixed."""
        return self.key or self._asked

    @property
    def store(self) -> str:
        """The ``persist`` setting of the store that has the account, or that the client uses."""
        return self._tokens.stored_in(self.key) or self.client.settings.persist

    @property
    def _who(self) -> AccountKey | None:
        """The account, if it can be no other one."""
        asked = self.asked
        return key_of(asked) if isinstance(asked, Account | AccountKey) else None

    @property
    def names(self) -> tuple[str, ...]:
        """Identifies client and account in this process and in its workers, for Dask's tokens."""
        known = self._pickled_as
        return (self.digest,) if known is None else known.reference[:2]

    @property
    def _pickled_as(self) -> Names | None:
        """What is pickled of it; ``None`` if its session is not the one of the process.

        A process without this account only passes it on, as Dask's scheduler does with tasks.
        """
        references, origin = self._tokens.references, self._origin
        if references is None:
            return None
        if origin is not None and (references.passed(origin) or not self._here):
            return origin
        return references.to(self)

    @property
    def _here(self) -> bool:
        return self._tokens.cache.find(self.client.key, self.asked) is not None

    @property
    def changes(self) -> int:
        """How often the account has changed."""
        return 0 if self.key is None else self._tokens.cache.changes(self.key)

    @property
    def refusals(self) -> Any:
        """The hosts that have refused tokens of the session."""
        return self._tokens.refusals

    @property
    def person(self) -> Person:
        """Who is told about it."""
        return self._tokens.person

    @property
    def may_ask(self) -> bool:
        """Whether the person can be asked now, in this thread."""
        return self.interactive and self.person.attended()

    def get(
        self,
        scopes: Scopes,
        refused: str | None = None,
        required: Requirement | None = None,
        *,
        may_ask: bool = True,
        for_worker: bool = False,
    ) -> AuthenticationResult:
        """Return a token that differs from ``refused``, the text of a token a host has refused.

        ``required``: what the host required. ``for_worker``: for another process; nobody is asked.
        """
        asks_no_more = refused is None and required is None
        if asks_no_more and (here := self.present(scopes)) is not None:
            return here
        may_ask = self.interactive and may_ask and not for_worker
        need = self._need(scopes, refused, may_ask, required)
        return self._got(need._replace(for_worker=for_worker))

    def get_wider(
        self, scopes: Scopes, refused: str, asked_by: str, interactive: bool, since: float
    ) -> AuthenticationResult:
        """Return a token with the scopes that a host needs, see ``Need``. ``interactive``: whether
        the person may be asked, or a sign-in in progress be joined."""
        need = self._need(scopes, refused, interactive)
        return self._got(need._replace(asked_by=asked_by, since=since))

    async def get_wider_async(
        self, scopes: Scopes, refused: str, asked_by: str, interactive: bool, since: float
    ) -> AuthenticationResult:
        """The same, without blocking the event loop."""
        need = self._need(scopes, refused, interactive)
        return await self._got_async(need._replace(asked_by=asked_by, since=since))

    def silent(self, scopes: Scopes) -> SecretStr:
        """Return the text of a token without asking the person.

        Raises ``InteractionRequired`` or ``NotSignedIn`` if a person is needed.
        """
        return self._got(self._need(scopes, None, False)).access_token

    async def get_async(
        self, scopes: Scopes, refused: str | None = None, required: Requirement | None = None
    ) -> AuthenticationResult:
        """The same as :meth:`get`, without blocking the event loop."""
        asks_no_more = refused is None and required is None
        if asks_no_more and (here := self.present(scopes)) is not None:
            return here
        return await self._got_async(self._need(scopes, refused, self.interactive, required))

    async def silent_async(self, scopes: Scopes) -> SecretStr:
        """The same as :meth:`silent`, without blocking the event loop."""
        return (await self._got_async(self._need(scopes, None, False))).access_token

    def cached(self, scopes: Scopes) -> SecretStr | None:
        """The text of a fresh token in memory, or ``None``."""
        here = self.present(scopes)
        return None if here is None else here.access_token

    def __reduce__(self) -> Any:
        references, names = self._tokens.references, self._pickled_as
        if references is None or names is None:
            refuse_pickling(self, "its session is not the one of this process.")
        return _bind_again, (references.find_session, *names)

    def is_like(self, other: Bound) -> bool:
        """Whether both give the same tokens."""
        same = self.client == other.client and self.interactive == other.interactive
        fixed = (self.key is None) == (other.key is None)
        return other is self or (same and fixed and None is not self._who == other._who)

    def __copy__(self) -> Bound:
        return self

    def __deepcopy__(self, memo: object) -> Bound:
        return self

    def present(self, scopes: Scopes) -> AuthenticationResult | None:
        """The fresh token in memory, with its details, or ``None``."""
        return self._tokens.cache.serve(self.key, scopes.key)

    @property
    def named(self) -> str:
        """The user name that a ``%login`` must name; ``""`` for the current account."""
        cache = self._tokens.cache
        account = None if self.key is None else cache.account(self.key)
        current = cache.current.get(self.client.key) == self.key
        return "" if account is None or current else account.username

    @property
    def is_service(self) -> bool:
        """Whether its tokens come without a person, who then cannot consent to more scopes."""
        record = None if self.key is None else self._tokens.cache.signed_in.get(self.key)
        return record is not None and bool(record.flow) and is_service(record.flow)

    def _got(self, need: Need) -> AuthenticationResult:
        while True:
            result = self._tokens.get(need._replace(asked=self.asked))
            if self._settles(result):
                return result

    async def _got_async(self, need: Need) -> AuthenticationResult:
        while True:
            result = await self._tokens.get_async(need._replace(asked=self.asked))
            if self._settles(result):
                return result

    def _need(
        self,
        scopes: Scopes,
        refused: str | None,
        interactive: bool,
        required: Requirement | None = None,
    ) -> Need:
        return Need(self.client, scopes, self.asked, required, refused, interactive)

    def _settles(self, result: AuthenticationResult) -> bool:
        """Fix the account by the first token; ``False`` if another thread has fixed another one."""
        key = result.account.key
        return self._settled.setdefault(None, key) == key


def _bind_again(find_session: Callable[[], Any], *names: Any) -> Bound:
    """What a pickled :class:`Bound` calls when it is loaded. The bytes of equal ones are equal,
    because joblib and Dask compare them."""
    bound: Bound = find_session().bind_again(Names(*names))
    return bound
