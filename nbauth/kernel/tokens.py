"""Tokens for callers: from the cache, else renewed, else by a sign-in if a person is there.

A call's client, account (the named one, else the current one) and scopes are fixed when it is made.
A held token, ``auth()`` and ``session()`` keep theirs in :class:`nbauth.kernel.bound.Bound`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nbauth.core.account import Account, AccountKey, Asked
from nbauth.core.errors import (
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    SignInError,
)
from nbauth.core.flow_names import AUTO
from nbauth.core.log import word
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.renewal import Renewal
from nbauth.kernel.accounts.stored_accounts import StoredAccounts
from nbauth.kernel.accounts.token_table import TokenKey
from nbauth.kernel.default_account import DefaultAccount
from nbauth.kernel.need import Need
from nbauth.kernel.sign_in.attempts import Attempts
from nbauth.kernel.unattended import asks_nobody, is_service, named_flow, nobody_asked
from nbauth.oauth.challenge import Requirement
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.asking.asking import Asking
    from nbauth.kernel.asking.reference import ReferencesTo
    from nbauth.kernel.sign_in.attempt import SignIn
    from nbauth.kernel.sign_in.protocol import Screen
    from nbauth.kernel.sign_in.request import Request

log = logging.getLogger(__name__)


class _Missing(NamedTuple):
    """Why a token is not available silently, and its account if that is signed in."""

    key: AccountKey | None
    error: NbAuthError


class Tokens:
    """Gives tokens.

    Args:
        cache, stored, renewal: who is signed in.
        attempts: begins sign-ins.
        screen: shows them.

    Attributes:
        notebook: in a worker process, gets the tokens from the notebook's kernel.
        references: names clients and accounts for other processes; ``None`` if the session is not
            the one of its process.
        refusals: the hosts that have refused tokens of the session, see ``calls.refusals``.
    """

    refusals: Any

    notebook: Asking | None = None
    references: ReferencesTo | None = None

    def __init__(
        self,
        cache: TokenCache,
        stored: StoredAccounts,
        renewal: Renewal,
        attempts: Attempts,
        screen: Screen,
    ) -> None:
        self.cache, self.person = cache, screen
        self._stored, self._renewal, self._attempts = stored, renewal, attempts
        self.default = DefaultAccount(cache, screen)

    def find(
        self, client: Client, asked: Asked | None, *, interactive: bool = True
    ) -> AccountKey | None:
        """A client's account, the requested one or the one of a call that names none; ``None`` if
        it is not signed in."""
        key = self._stored.find(client, asked, may_ask=interactive)
        return key if asked is not None else self.default.of(client, key, interactive=interactive)

    def stored_in(self, key: AccountKey | None) -> str | None:
        """The ``persist`` setting of the store that has an account; ``None`` for none."""
        return None if key is None else self._stored.kind_of(key)

    def get(self, need: Need) -> AuthenticationResult:
        """Return a token. Raises as ``nbauth.acquire`` does."""
        found = self._silently(need)
        while isinstance(found, _Missing):
            pending = self._pending(need, found)
            if pending is None:
                if (arrived := self._arrived(need, found)) is not None:
                    return arrived
                request = self._request(need, found)
                return self._brought(need, self._attempts.sign_in(request))
            with _of_its_own(pending, need):
                self._attempts.join(pending, need.client.settings.timeout)
            found = self._silently(need._replace(asked=found.key or need.asked))
        return found

    async def get_async(self, need: Need) -> AuthenticationResult:
        """The same as :meth:`get`, without blocking the event loop."""
        import asyncio

        if need.interactive:  # the worker thread can't ask for a passphrase
            self._stored.open(need.client)
        found = await asyncio.to_thread(self._silently, need)
        while isinstance(found, _Missing):
            pending = self._pending(need, found)
            if pending is None:
                if (arrived := self._arrived(need, found)) is not None:
                    return arrived
                request = self._request(need, found)
                return self._brought(need, await self._attempts.sign_in_async(request))
            with _of_its_own(pending, need):
                await self._attempts.join_async(pending, need.client.settings.timeout)
            again = need._replace(asked=found.key or need.asked)
            found = await asyncio.to_thread(self._silently, again)
        return found

    def _silently(self, need: Need) -> AuthenticationResult | _Missing:
        key = self.find(need.client, need.asked, interactive=need.interactive)
        if key is None and self.notebook is not None:
            key = self.notebook.sign_in(need.client, need.scopes, need.asked)
        if key is None:
            if isinstance(need.asked, AccountKey):
                raise self.cache.not_here(need.asked)
            if need.asked is None:
                return _Missing(None, NotSignedIn("Nobody is signed in here yet."))
            return _Missing(None, self.cache.unknown(need.asked, need.client.settings.profile))
        if self._is_asked(need):
            return _Missing(key, InteractionRequired("A new sign-in is needed."))
        try:
            return self._renewal.silent(
                need.client, key, need.scopes, required=need.required, refused=need.refused
            )
        except NotSignedIn:
            if self.notebook is None or key in self.cache.signed_in:
                raise
            return self._silently(need)  # a worker that was told to drop its tokens meanwhile
        except InteractionRequired as error:
            if self.notebook is not None:
                raise  # only in the notebook can a person be asked
            return _Missing(key, error)

    def _is_asked(self, need: Need) -> bool:
        """Whether a sign-in in progress asks for what a host required: then a refresh has failed,
        and its token will serve all calls that the host has refused."""
        if need.required is None or need.refused is None or not need.interactive:
            return False
        waiting = self._attempts.waiting(need.client.key)
        return any(need.required == Requirement.of(one.request.authorization) for one in waiting)

    def _pending(self, need: Need, missing: _Missing) -> SignIn | None:
        """A sign-in in progress that will get what is missing."""
        for sign_in in self._attempts.waiting(need.client.key):
            if self.default.may_come_from(sign_in, need, missing.key):
                if need.interactive or is_service(sign_in.request.first_flow):
                    return sign_in
                if missing.key is None:
                    raise InteractionRequired(
                        "A sign-in is running, and this call must not wait for it."
                    )
        return None

    def _request(self, need: Need, missing: _Missing) -> Request:
        """The sign-in to show to the person; raises with instructions if nobody is there."""
        for failed in [] if need.for_worker else self._attempts.untold(need.client.key):
            if self.default.may_come_from(failed, need, missing.key):
                failed.result()  # raises the error of a background sign-in, once
        known = None if missing.key is None else self.cache.account(missing.key)
        whom, error = known or need.asked, missing.error
        if (service := self._service(need, missing)) is not None:
            return service
        attended = need.interactive and self.person.attended()
        flow = need.client.settings.flow
        may_be_silent = flow != AUTO and (need.interactive or asks_nobody(flow))
        if not (attended or may_be_silent):
            log.debug("%s: a person is needed and must not be asked", need.scopes)
            raise self._nobody(need, error, whom) from error
        from nbauth.kernel.sign_in.request import read_request

        request = read_request(need.client, need.scopes, need.parameters, whom)
        if not attended and not self._attempts.needs_nobody(request):
            raise self._nobody(need, error, whom) from error
        self._attempts.raise_if_refused(request, need.since)
        log.debug("%s: a sign-in begins (%s)", need.scopes, word(error.code))
        # A token for a named account does not change the current account.
        current = self.cache.current.get(need.client.key)
        makes_current = current is None or need.asked is None or current == missing.key
        return replace(request, makes_current=makes_current, asked_by=need.asked_by)

    def _nobody(self, need: Need, error: NbAuthError, whom: Asked | None) -> InteractionRequired:
        obstacle = self.person.obstacle()
        return nobody_asked(
            error,
            need.client,
            need.scopes,
            whom,
            obstacle,
            may_ask=need.interactive,
            for_worker=need.for_worker,
            required=need.required,
        )

    def _service(self, need: Need, missing: _Missing) -> Request | None:
        """The sign-in of a service identity: the one of the settings, or the one that the
        environment names if nobody can be asked."""
        if missing.key is not None or need.asked is not None:
            return None
        flow, unasked = need.client.settings.flow, False
        if not is_service(flow):
            if need.interactive and self.person.attended():
                return None
            flow, unasked = named_flow(need.client), True
        if not flow:
            return None
        from nbauth.kernel.sign_in.request import read_request

        log.debug("%s: by the service identity (%s)", need.scopes, flow)
        request = read_request(need.client, need.scopes, need.parameters)
        nobody = self.cache.current.get(need.client.key) is None
        return replace(request, flow=flow, makes_current=nobody, unasked=unasked)

    def _arrived(self, need: Need, missing: _Missing) -> AuthenticationResult | None:
        """The token of a sign-in that has ended since the token was missing."""
        key = missing.key or self.cache.find(need.client.key, need.asked)
        if need.asked is None and missing.key is None:
            key = self.default.of(need.client, key, interactive=need.interactive)
        record = None if key is None else self.cache.signed_in.get(key)
        cached = None if record is None else self.cache.token_for(record.key, need.scopes)
        if record is None or cached is None or not cached.may_serve(need.refused, need.required):
            return None
        return cached.serve(record)

    def _brought(self, need: Need, account: Account) -> AuthenticationResult:
        cached = self.cache.tokens.get(TokenKey(account.key, need.scopes.key))
        record = self.cache.signed_in.get(account.key)
        if cached is None or record is None:
            raise NotSignedIn("That account has been signed out.")
        return cached.result(record, "flow")


@contextmanager
def _of_its_own(pending: SignIn, need: Need) -> Iterator[None]:
    """Wait for another caller's sign-in. If another account signed in than that caller requested,
    it is no error for a call that requested no account."""
    log.debug("%s: waits for the sign-in in progress", need.scopes)
    try:
        yield
    except SignInError as error:
        if error.code != "wrong_account" or need.asked or pending.request.asked is None:
            raise
