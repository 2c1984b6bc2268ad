"""Tokens for callers: from the cache, else renewed, else asked for where somebody is there.

What a call means is bound when it is made: the client, the account (the one named, else the current
one) and the scopes. A held token, ``auth()`` and ``session()`` keep theirs as
:class:`nbauth.kernel.bound.Bound`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from nbauth.core.account import Account, AccountKey, Asked, is_account, name_of
from nbauth.core.errors import (
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    SignInError,
)
from nbauth.core.log import word
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.accounts.cache import TokenCache, TokenKey
from nbauth.kernel.accounts.keeping import Keeping
from nbauth.kernel.accounts.renewal import Renewal
from nbauth.kernel.sign_in.attempts import NOBODY_THERE, Attempts
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.attempt import SignIn
    from nbauth.kernel.sign_in.protocol import Screen
    from nbauth.kernel.sign_in.request import Request

log = logging.getLogger(__name__)


class Need(NamedTuple):
    """What one call for a token asks for.

    Attributes:
        client: of which client.
        scopes: for what.
        asked: whose; ``None`` for the current account. A key is an account that was settled
            before, and nobody else will do.
        claims: a claims challenge (JSON), which only the provider can answer.
        refused: the text of a token that somebody has refused, which is not given again.
        interactive: whether a person may be asked, where one is there.
    """

    client: Client
    scopes: Scopes
    asked: Asked | None = None
    claims: str | None = None
    refused: str | None = None
    interactive: bool = True


class _Missing(NamedTuple):
    """What cannot be had silently: whose token it is, if they are signed in, and why."""

    key: AccountKey | None
    error: NbAuthError


class Tokens:
    """Gives tokens.

    Args:
        cache, keeping, renewal: who is signed in.
        attempts: begins sign-ins.
        screen: where they show themselves.
    """

    def __init__(
        self,
        cache: TokenCache,
        keeping: Keeping,
        renewal: Renewal,
        attempts: Attempts,
        screen: Screen,
    ) -> None:
        self.cache = cache
        self._keeping = keeping
        self._renewal = renewal
        self._attempts = attempts
        self._screen = screen

    def find(
        self, client: Client, asked: Asked | None, *, interactive: bool = True
    ) -> AccountKey | None:
        """A client's account, the one asked for or the current one, if signed in."""
        return self._keeping.find(client, asked, may_ask=interactive)

    def get(self, need: Need) -> AuthenticationResult:
        """A token. Raises as ``nbauth.acquire`` does."""
        found = self._silently(need)
        while isinstance(found, _Missing):
            pending = self._pending(need, found)
            if pending is None:
                request = self._request(need, found)
                return self._brought(need, self._attempts.sign_in(request))
            with _of_its_own(pending, need):
                self._attempts.join(pending, need.client.settings.timeout)
            found = self._silently(need._replace(asked=found.key or need.asked))
        return found

    async def get_async(self, need: Need) -> AuthenticationResult:
        """The same for a running event loop, which goes on meanwhile."""
        import asyncio

        if need.interactive:  # another thread can ask nobody for a passphrase
            self._keeping.open(need.client)
        found = await asyncio.to_thread(self._silently, need)
        while isinstance(found, _Missing):
            pending = self._pending(need, found)
            if pending is None:
                request = self._request(need, found)
                return self._brought(need, await self._attempts.sign_in_async(request))
            with _of_its_own(pending, need):
                await self._attempts.join_async(pending, need.client.settings.timeout)
            again = need._replace(asked=found.key or need.asked)
            found = await asyncio.to_thread(self._silently, again)
        return found

    def _silently(self, need: Need) -> AuthenticationResult | _Missing:
        key = self.find(need.client, need.asked, interactive=need.interactive)
        if key is None:
            if isinstance(need.asked, AccountKey):
                raise NotSignedIn("That account has signed out.")
            if need.asked is None:
                return _Missing(None, NotSignedIn("Nobody is signed in here yet."))
            return _Missing(None, self.cache.unknown(need.asked))
        try:
            return self._renewal.silent(
                need.client, key, need.scopes, claims=need.claims, refused=need.refused
            )
        except InteractionRequired as error:
            return _Missing(key, error)

    def _pending(self, need: Need, missing: _Missing) -> SignIn | None:
        """A sign-in under way that will bring what is missing."""
        for sign_in in self._attempts.waiting(need.client.key):
            if self._brings(sign_in, need, missing):
                if need.interactive:
                    return sign_in
                if missing.key is None:
                    raise InteractionRequired("A sign-in is pending; nobody may be asked here.")
        return None

    def _brings(self, sign_in: SignIn, need: Need, missing: _Missing) -> bool:
        request = sign_in.request
        covers = request.authorization.scopes.key >= need.scopes.key or missing.key is None
        if need.claims is not None and need.claims != request.authorization.claims:
            return False
        asked = request.asked or request.authorization.login_hint
        record = None if missing.key is None else self.cache.signed_in.get(missing.key)
        if record is not None and asked is not None:
            return covers and record.is_asked_for(asked)
        return covers and _may_be_one(need.asked, asked)

    def _whom(self, need: Need, missing: _Missing) -> Asked | None:
        known = None if missing.key is None else self.cache.account(missing.key)
        return known or need.asked

    def _request(self, need: Need, missing: _Missing) -> Request:
        """What the person is asked for, where one is there; else raises, saying what to do."""
        for failed in self._attempts.untold(need.client.key):
            if self._brings(failed, need, missing):
                failed.result()  # raises the error of a sign-in in the background, once
        whom, error = self._whom(need, missing), missing.error
        if not need.interactive or not self._screen.attended():
            log.debug("%s: a person is needed and none may be asked", need.scopes)
            kind = ConsentRequired if isinstance(error, ConsentRequired) else InteractionRequired
            login = f"%login {need.scopes}".strip()
            raise kind(
                f"{error} Nobody can be asked here.",
                code=error.code,
                hint=f"Run {login}, then this cell again."
                if isinstance(whom, Account)
                else NOBODY_THERE,
                correlation_id=error.correlation_id,
            ) from error
        from nbauth.kernel.sign_in.request import read_request

        log.debug("%s: a person is asked (%s)", need.scopes, word(error.code))
        request = read_request(need.client, need.scopes, {"claims": need.claims}, whom)
        # A token for somebody makes nobody current, whether they had to be asked for it or not.
        current = self.cache.current.get(need.client.key)
        makes_current = current is None or need.asked is None or current == missing.key
        return replace(request, makes_current=makes_current)

    def _brought(self, need: Need, account: Account) -> AuthenticationResult:
        cached = self.cache.tokens.get(TokenKey(account.key, need.scopes.key))
        record = self.cache.signed_in.get(account.key)
        if cached is None or record is None:
            raise NotSignedIn("That account has signed out.")
        return cached.result(record, "flow")


@contextmanager
def _of_its_own(pending: SignIn, need: Need) -> Iterator[None]:
    """While a call waits for another's sign-in: that somebody else signed in than that one asked
    for is no error of a call that asked for nobody."""
    log.debug("%s: waits for the sign-in under way", need.scopes)
    try:
        yield
    except SignInError as error:
        if error.code != "wrong_account" or need.asked or pending.request.asked is None:
            raise


def _may_be_one(one: Asked | None, other: Asked | None) -> bool:
    """Whether two ways to ask for an account may mean the same."""
    if one is None or other is None:
        return True
    if isinstance(one, Account):
        return is_account(one, other)
    if isinstance(other, Account):
        return is_account(other, one)
    return name_of(one).casefold() == name_of(other).casefold()
