"""Turns the result of a sign-in into a signed-in account."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from nbauth.core.account import Account, name_of
from nbauth.core.errors import SignInCancelled, SignInError
from nbauth.core.flow_names import AUTO
from nbauth.core.magic_word import as_word, login_line
from nbauth.core.person import Notices, Person
from nbauth.core.scopes import undeclared
from nbauth.core.text import plain
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.grants import FlowGrant
from nbauth.kernel.accounts.signed_in import signed_in_from
from nbauth.kernel.accounts.stored_accounts import StoredAccounts
from nbauth.oauth.challenge import Requirement

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.request import Request


class Arrivals:
    """See :class:`nbauth.kernel.sign_in.protocol.Destination`.

    Args:
        cache, stored: the session's.
        person: is told about scopes that were not granted.
    """

    def __init__(self, cache: TokenCache, stored: StoredAccounts, person: Person) -> None:
        self._cache = cache
        self._stored = stored
        self._notices = Notices(person)

    def prepare(self, request: Request) -> None:
        self._stored.prepare(request.client)

    def ticket(self) -> int:
        return self._cache.ticket()

    def accept(
        self, request: Request, response: TokenResponse, sign_out_url: str, ticket: int
    ) -> Account:
        client, asked = request.client, request.asked
        signed_in = signed_in_from(client, response, sign_out_url)
        as_asked = asked is None or signed_in.is_asked_for(asked)
        if asked is not None and not as_asked and response.principal is not None:
            raise SignInError(
                f"{name_of(asked)} was requested, but --flow {request.flow} signs in as"
                f" {signed_in.account.title}.",
                code="wrong_account",
                hint="Name no account, or use another flow.",
            )
        signed_in.unasked = request.unasked
        grant = _grant_of(request, response, signed_in.account)
        if response.principal is not None and response.principal.application:
            from nbauth.oauth.service_identity import SECRET

            self._cache.issued.add(os.environ.get(SECRET))  # what the flow may have used
        if not self._cache.sign_in(
            signed_in,
            response,
            request.scopes,
            ticket=ticket,
            make_current=as_asked and request.makes_current,
            beside=not as_asked,
            grant=grant,
            fulfils=Requirement.of(request.authorization),
        ):
            raise SignInCancelled("The account was signed out during this sign-in.")
        if grant is None:
            self._stored.keep(client, signed_in.key)
        if self._cache.account(signed_in.key) is None:
            raise SignInCancelled("The account was signed out during this sign-in.")
        self._cache.changed.emit()
        self._cache.renewed.emit()
        account = signed_in.account
        self._tell_not_granted(request, response)
        if not as_asked:
            assert asked is not None
            name, other = name_of(asked), account.username
            raise SignInError(
                f"{name} was requested, but {other} signed in. {name} is not signed in.",
                code="wrong_account",
                hint=f"Sign in as {name}: {login_line(account.profile, name)}. {other} is now"
                f" signed in too; use this account with %accounts use {as_word(other)}, or sign it"
                f" out with %accounts drop {as_word(other)}.",
            )
        return account

    def _tell_not_granted(self, request: Request, response: TokenResponse) -> None:
        """Tell the person once. The token is still used for these scopes, and may be refused."""
        if request.client.authority.microsoft:
            return  # Entra grants all or nothing, but may spell scopes differently
        missing = request.client.not_granted(response.scopes, request.scopes)
        if missing:
            granted = " ".join(plain(scope) for scope in response.scopes) or "nothing"
            self._notices.tell(
                f"The provider did not grant {' '.join(missing)}; it granted {granted}."
                " Calls that need more may be refused."
            )


def _grant_of(request: Request, response: TokenResponse, account: Account) -> FlowGrant | None:
    """The grant of a flow that renews its tokens itself."""
    if request.flow == AUTO:
        return None
    from nbauth.oauth.flows import flow_named  # loaded by the sign-in already

    flow = flow_named(request.flow)
    if flow.renew is None:
        return None
    granted = request.client.granted(response.scopes)
    asked = replace(request.authorization, login_hint=account.username, prompt=None)
    return FlowGrant(flow.name, flow.renew, asked, granted, undeclared(request.scopes.key))
