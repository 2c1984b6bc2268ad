"""The account of a call that names none: service identities and people are kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbauth.core.account import AccountKey, may_be_one
from nbauth.core.flow_names import AUTO
from nbauth.core.scopes import undeclared
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.need import Need
from nbauth.kernel.unattended import is_identity
from nbauth.oauth.challenge import Requirement
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.attempt import SignIn
    from nbauth.kernel.sign_in.protocol import Screen
    from nbauth.kernel.sign_in.request import Request


class DefaultAccount:
    """Chooses the account for a call that names none.

    It is the client's current account, with two exceptions. If the settings name the flow of a
    service identity, the account is one that this flow signed in. Otherwise an account of a
    service identity does not serve a call of another profile, and if it was used because nobody
    could be asked, it does not serve a call that may ask a person. The account that the person
    has made current serves every call.

    Args:
        cache: of this kernel.
        screen: says whether a person is there.
    """

    def __init__(self, cache: TokenCache, screen: Screen) -> None:
        self._cache = cache
        self._screen = screen

    def of(
        self, client: Client, current: AccountKey | None, *, interactive: bool
    ) -> AccountKey | None:
        """The account of a call, given the current one; ``None`` if none is signed in.

        ``interactive``: whether the call may ask the person.
        """
        if current is None:
            return None
        signed_in = self._cache.signed_in
        record = signed_in.get(current)
        if record is None or self._serves(record, client, interactive, chosen=record.chosen):
            return current
        others = [
            key
            for key, other in list(signed_in.items())
            if key.client == client.key
            and not other.beside
            and self._serves(other, client, interactive)
        ]
        return others[-1] if others else None

    def _serves(
        self, record: SignedIn, client: Client, interactive: bool, *, chosen: bool = False
    ) -> bool:
        flow, used = client.settings.flow, record.flow
        if chosen or (flow == AUTO and not used):
            return True
        if is_identity(flow):
            return used == flow
        if not used or not is_identity(used):
            return True
        if record.account.profile != client.settings.profile:
            return False
        return not (record.unasked and interactive and self._screen.attended())

    def may_come_from(self, sign_in: SignIn, need: Need, key: AccountKey | None) -> bool:
        """Whether a sign-in in progress will get what a call needs.

        ``key``: the call's account, if that is signed in.
        """
        request = sign_in.request
        if need.asked is None and not self._may_be_for(request, need):
            return False
        scopes = request.authorization.scopes
        covers = undeclared(scopes.key) >= undeclared(need.scopes.key) or key is None
        if need.required is not None and need.required != Requirement.of(request.authorization):
            return False
        asked = request.asked or request.authorization.login_hint
        record = None if key is None else self._cache.signed_in.get(key)
        if record is not None and asked is not None:
            return covers and record.is_asked_for(asked)
        return covers and may_be_one(need.asked, asked)

    def _may_be_for(self, request: Request, need: Need) -> bool:
        """Whether the account of a sign-in may serve a call that names none."""
        flow, wanted = request.first_flow, need.client.settings
        if is_identity(wanted.flow):
            return flow == wanted.flow
        if not is_identity(flow):
            return True
        if request.client.settings.profile != wanted.profile:
            return False
        return not (request.unasked and need.interactive and self._screen.attended())
