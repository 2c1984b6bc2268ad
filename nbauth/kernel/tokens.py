"""Tokens for callers: from the cache, else renewed, else asked for where somebody is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbauth.core.accounts import Account
from nbauth.core.errors import (
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    SignInError,
)
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import AuthenticationResult, Token
from nbauth.kernel.cache import AccountKey, TokenCache, TokenKey, is_account, name_of
from nbauth.kernel.client import Client
from nbauth.kernel.renewal import Renewal
from nbauth.kernel.screen import Screen
from nbauth.kernel.sign_ins import NOBODY_THERE, SignIns

if TYPE_CHECKING:
    from nbauth.kernel.sign_in import SignIn


class Tokens:
    """Gives tokens.

    Args:
        client: gives the client that a call's settings lead to.
        find: gives the key of a client's account, the named or the current one, if signed in.
        cache, renewal, sign_ins: the session's.
        screen: gives the place where sign-ins show themselves.
        wait: blocks until a sign-in has ended.
    """

    def __init__(
        self,
        client: Callable[..., Client],
        find: Callable[[Client, Account | str | None], AccountKey | None],
        cache: TokenCache,
        renewal: Renewal,
        sign_ins: SignIns,
        screen: Callable[[], Screen],
        wait: Callable[[SignIn], None],
    ) -> None:
        self._client = client
        self._find = find
        self._cache = cache
        self._renewal = renewal
        self._sign_ins = sign_ins
        self._screen = screen
        self._wait = wait

    def token(
        self,
        *scopes: str,
        account: Account | str | None = None,
        interactive: bool = True,
        **call: Any,
    ) -> Token:
        """A live token for the scopes; see ``nbauth.token``."""
        client = self._client(**call)
        wanted = client.scopes(scopes)
        result = self.acquire(*scopes, account=account, interactive=interactive, **call)
        key = (*client.key, result.account.home_account_id)
        return self._live(client, key, wanted, interactive, result.account.username)

    def _live(
        self, client: Client, key: AccountKey, wanted: Scopes, interactive: bool, owner: str
    ) -> Token:
        token_key: TokenKey = (*key, wanted.key)
        tokens = self._cache.tokens

        def acquire() -> AuthenticationResult:
            try:
                return self._renewal.silent(client, key, wanted)
            except InteractionRequired as error:
                if not interactive:
                    raise
                return self._ask(client, wanted, self._cache.account(key), error)

        def read_token() -> SecretStr:
            cached = tokens.get(token_key)
            if cached is not None and cached.fresh:
                cached.used = True
                return cached.response.access_token
            return acquire().access_token

        return Token(read_token, acquire, owner)

    def acquire(
        self,
        *scopes: str,
        account: Account | str | None = None,
        force_refresh: bool = False,
        claims: str | None = None,
        interactive: bool = True,
        **call: Any,
    ) -> AuthenticationResult:
        """A token with all that is known of it; see ``nbauth.acquire``."""
        client = self._client(**call)
        wanted = client.scopes(scopes)
        if claims is not None:
            from nbauth.kernel.options import check_claims

            check_claims(claims)
        self._join_pending(client, wanted, interactive)
        key = self._find(client, account)
        if key is None:
            nobody = NotSignedIn("Nobody is signed in here yet.")
            error = nobody if account is None else self._cache.unknown(account)
            return self._ask(client, wanted, account, error, interactive=interactive)
        try:
            return self._renewal.silent(client, key, wanted, force=force_refresh, claims=claims)
        except InteractionRequired as error:
            whom = self._cache.account(key)
            return self._ask(client, wanted, whom, error, claims=claims, interactive=interactive)

    def _ask(
        self,
        client: Client,
        wanted: Scopes,
        whom: Account | str | None,
        error: NbAuthError,
        *,
        claims: str | None = None,
        interactive: bool = True,
    ) -> AuthenticationResult:
        """Ask the person, where one is there; else raise at once, saying what to do."""
        self._tell_failure(client, wanted)
        if not interactive or not self._screen().attended():
            kind = ConsentRequired if isinstance(error, ConsentRequired) else InteractionRequired
            raise kind(
                f"{error} Nobody can be asked here.",
                code=error.code,
                hint="Run %login, then this cell again."
                if isinstance(whom, Account)
                else NOBODY_THERE,
                correlation_id=error.correlation_id,
            ) from error
        settings = {name: getattr(client.settings, name) for name in client.settings.sources}
        sign_in = self._sign_ins.start(*wanted, account=whom, claims=claims, **settings)
        self._wait(sign_in)
        account = sign_in.result()
        if whom is not None and not is_account(account, whom):
            raise SignInError(
                f"{name_of(whom)} was asked for, but {account.username} signed in.",
                code="wrong_account",
                hint=f"Use that account, or sign in anew: %login --account {name_of(whom)}.",
            )
        key = (*client.key, account.home_account_id)
        cached = self._cache.tokens.get((*key, wanted.key))
        record = self._cache.signed_in.get(key)
        if cached is None or record is None:
            raise NotSignedIn("That account has signed out.")
        return cached.result(record, "flow")

    def _join_pending(self, client: Client, wanted: Scopes, interactive: bool) -> None:
        """A call that needs a sign-in under way waits for it, then meets its outcome."""
        for sign_in in self._sign_ins.waiting(client.key):
            if self._brings(sign_in, client, wanted):
                if interactive:
                    self._wait(sign_in)
                    sign_in.result()
                elif self._cache.find(client.key) is None:
                    raise InteractionRequired("A sign-in is pending; nobody may be asked here.")

    def _tell_failure(self, client: Client, wanted: Scopes) -> None:
        """Raise the error of a sign-in that failed in the background, once."""
        for sign_in in self._sign_ins.of(client.key):
            if sign_in.untold and self._brings(sign_in, client, wanted):
                sign_in.result()

    def _brings(self, sign_in: SignIn, client: Client, wanted: Scopes) -> bool:
        return sign_in.request.scopes.key >= wanted.key or self._cache.find(client.key) is None
