"""Signs in: at once if a token is available, else by an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nbauth.core.account import Account, AccountKey, Asked, ClientKey
from nbauth.core.errors import NotSignedIn
from nbauth.core.flow_names import AUTO
from nbauth.core.person import say_to
from nbauth.kernel.accounts.refresh_errors import NEEDS_SIGN_IN
from nbauth.kernel.door import SIGN_IN_OPTIONS
from nbauth.kernel.session_parts import SessionParts
from nbauth.kernel.unattended import asks_nobody, is_service

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.attempt import SignIn
    from nbauth.kernel.sign_in.request import Request, WebUi


class SessionSignIn(SessionParts):
    """The sign-ins of a session; see :class:`session.Session`."""

    def login(
        self,
        *scopes: str,
        force: bool = False,
        background: bool = False,
        account: Asked | None = None,
        web_ui: WebUi | None = None,
        quiet: bool = False,
        **options: Any,
    ) -> Account | SignIn:
        """Sign in, unless already signed in; see ``nbauth.login``."""
        request = self._door.request(scopes, options, account, web_ui)
        signed_in = None if force else self._already(request, options)
        if signed_in is not None:
            if not quiet:
                text = f"Already signed in as {signed_in.title}. (--force signs in again.)"
                say_to(self.screen, text)
            return signed_in
        if background:
            return self._attempts.begin(request)
        account = self._made_current(self._attempts.sign_in(request))
        record = self.cache.signed_in.get(account.key)
        by_itself = record is not None and record.flow and is_service(record.flow)
        if by_itself and not quiet:  # no screen has shown it
            say_to(self.screen, f"Signed in as {account.title}.")
        return account

    async def login_async(
        self,
        *scopes: str,
        force: bool = False,
        account: Asked | None = None,
        web_ui: WebUi | None = None,
        **options: Any,
    ) -> Account:
        """The same as :meth:`login`, awaited; cancelling the task cancels the sign-in."""
        import asyncio

        request = self._door.request(scopes, options, account, web_ui)
        if not force:
            self._stored.open(request.client)
            signed_in = await asyncio.to_thread(self._already, request, options)
            if signed_in is not None:
                return signed_in
        return self._made_current(await self._attempts.sign_in_async(request))

    def _is_meant(self, key: AccountKey, flow: str) -> bool:
        """Whether the account is one that this flow would sign in: a service identity or a person.

        With the flow ``auto``, any account is.
        """
        record = self.cache.signed_in.get(key)
        if flow == AUTO or record is None:
            return True
        service = is_service(flow) and not asks_nobody(flow)
        if service:
            return record.flow == flow
        return not (record.flow and is_service(record.flow))

    def _made_current(self, account: Account) -> Account:
        """Make the signed-in account current, also if the call joined another's sign-in."""
        if self.cache.current.get(account.key.client) != account.key:
            with suppress(NotSignedIn):  # signed out already
                self._accounts.use(account.key)
        return account

    def start(self, *scopes: str, show: bool = True, **options: Any) -> SignIn:
        """Begin a sign-in that continues even if no caller waits, or join one in progress."""
        account, web_ui = options.pop("account", None), options.pop("web_ui", None)
        request = self._door.request(scopes, options, account, web_ui)
        return self._attempts.begin(request, show=show)

    def check(self, *scopes: str, account: Asked | None = None, **options: Any) -> ClientKey:
        """The client that :meth:`start` would use. Raises what it would raise."""
        return self._door.request(scopes, options, account).client.key

    def pending(self) -> list[SignIn]:
        """The sign-ins in progress."""
        return self._attempts.waiting()

    def _already(self, request: Request, options: Mapping[str, Any]) -> Account | None:
        """The account, if a token for these scopes is available without a sign-in."""
        if request.web_ui or any(options.get(name) is not None for name in SIGN_IN_OPTIONS):
            return None
        client = request.client
        key = self._tokens.find(client, request.asked)
        if key is None or not self._is_meant(key, request.first_flow):
            return None
        try:
            result = self._renewal.silent(client, key, request.scopes)
        except NEEDS_SIGN_IN:
            return None
        if not client.covers(result.scopes, request.scopes):
            return None  # a new sign-in may grant the missing scopes
        record = self.cache.signed_in.get(key)
        if (
            record is not None
            and not record.flow
            and (record.store is None or not record.store.keeps(key))
        ):
            self._stored.prepare(client)
            self._stored.keep(client, key)
        if request.asked is not None and self.cache.find(client.key) != key:
            self._accounts.use(key)  # as after a first sign-in
        return result.account
