"""The session of this kernel: accounts, tokens, pending sign-ins.

With ``session_parts`` and ``session_sign_in`` the only module that uses both ``accounts`` (cache,
renewal, stored sign-ins) and ``sign_in`` (attempts). ``session_parts`` has the order of locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbauth.core.account import Account, AccountKey, Asked
from nbauth.core.errors import NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult, IdToken, Token
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.asking.reference import Names, client_from
from nbauth.kernel.bound import Bound
from nbauth.kernel.id_tokens import LiveIdToken
from nbauth.kernel.live_token import LiveToken
from nbauth.kernel.need import Need
from nbauth.kernel.session_sign_in import SessionSignIn
from nbauth.oauth.challenge import Requirement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from nbauth.kernel.accounts.msal_cache import Found
    from nbauth.kernel.calls.authorise import Auth
    from nbauth.kernel.calls.authorised_session import AuthorisedSession
    from nbauth.kernel.calls.hosts import Hosts
    from nbauth.kernel.calls.missing import Documents


class Session(SessionSignIn):
    """Holds who is signed in. Every public function and magic uses it."""

    # ── tokens ──────────────────────────────────────────────────────────────────────────────

    def acquire(
        self,
        *scopes: str,
        account: Asked | None = None,
        force_refresh: bool = False,
        claims: str | None = None,
        interactive: bool = True,
        **call: Any,
    ) -> AuthenticationResult:
        """A token with all its details; see ``nbauth.acquire``."""
        client = self._door.client(**call) if call else self._door.present()
        wanted = client.scopes(scopes)
        if claims is None and not force_refresh:
            key = (
                self._stored.find(client, account, may_ask=interactive)
                if isinstance(account, str)
                else self.cache.find(client.key, account)
            )
            if account is None:
                key = self._tokens.default.of(client, key, interactive=interactive)
            here = self.cache.serve(key, wanted.key)
            if here is not None:
                return here
        if claims is not None:
            from nbauth.kernel.sign_in.request import check_claims

            check_claims(claims)
        asked = self._tokens.find(client, account, interactive=interactive) or account
        refused = self._text(asked, wanted) if force_refresh else None
        required = None if claims is None else Requirement(claims)
        return self._tokens.get(Need(client, wanted, asked, required, refused, interactive))

    def _text(self, asked: Asked | None, scopes: Scopes) -> str | None:
        """The text of the token that a forced refresh replaces."""
        if not isinstance(asked, AccountKey):
            return None
        cached = self.cache.token_for(asked, scopes)
        return None if cached is None else cached.response.access_token

    def token(
        self,
        *scopes: str,
        account: Asked | None = None,
        interactive: bool = True,
        id: bool = False,
        **call: Any,
    ) -> Token:
        """A live token for the scopes, or the live ID token; see ``nbauth.token``."""
        bound = self.bind(account, interactive=interactive, **call)
        wanted = bound.client.scopes(scopes)
        if bound.key is None or not id:
            bound.get(wanted)
        if not id:
            return Token(LiveToken(self._tokens, bound, wanted))
        live = LiveIdToken(self._id_tokens, bound, wanted)
        live.read()
        return IdToken(live)

    def bind(self, account: Asked | None = None, *, interactive: bool = True, **call: Any) -> Bound:
        """A fixed client and account; see :class:`bound.Bound`."""
        return Bound(self._tokens, self._door.client(**call), account, interactive)

    def bind_again(self, names: Names) -> Bound:
        """The client and account of a pickled :class:`bound.Bound`.

        In a worker process, it asks the notebook's kernel for tokens. Looks for nothing and asks
        nobody: after an error here, a multiprocessing.Pool would wait for ever.
        """
        if self.workers is not None:
            known = self.workers.bound_to(names, lambda: client_from(names, self.settings))
            if known is not None:
                return known
        found = self._door.client_of(names.client, names.profile, names.persist)
        how = names.asked, names.interactive
        return Bound(self._tokens, found, *how, look=False, origin=names)

    def authorise(
        self,
        *scopes: str,
        account: Asked | None = None,
        hosts: Iterable[str] | None = None,
        **call: Any,
    ) -> Auth:
        """An object that adds tokens to requests for listed hosts; see ``nbauth.auth``."""
        from nbauth.kernel.calls.hosts import listed_hosts

        bound = self.bind(account, **call)
        wanted = bound.client.scopes(scopes) if scopes else None
        return self.auth_at(bound, listed_hosts(bound.client, wanted, hosts))

    def auth_at(self, bound: Bound, hosts: Hosts, documents: Documents | None = None) -> Auth:
        """An object that adds tokens to requests for exactly these hosts.

        ``documents``: which scopes a refused request needs.
        """
        from nbauth.kernel.calls.authorise import Auth
        from nbauth.kernel.calls.hosts import tokens_of_calls

        return Auth(bound, tokens_of_calls(bound.client, hosts), self._refusals, documents)

    def authorised_session(self, *scopes: str, **options: Any) -> AuthorisedSession:
        """A ``requests.Session`` that adds tokens; see ``nbauth.session``."""
        from nbauth.kernel.calls.authorised_session import session_with

        return session_with(self.authorise(*scopes, **options))

    # ── accounts ────────────────────────────────────────────────────────────────────────────

    def accounts(self, **call: Any) -> list[Account]:
        """All signed-in accounts, the current one of each client first.

        Includes the accounts in the store that the settings name.
        """
        try:
            persist = self.settings(**call).persist
        except NbAuthError:  # with invalid settings, no store is known
            return self.cache.accounts()
        return self._accounts.all(persist)

    def use(self, account: Asked, **call: Any) -> Account:
        """Make an account the one used when none is named.

        Raises ``NotSignedIn``; ``ConfigurationError`` for a name that several accounts share.
        """
        chosen = self._accounts.the_one(self._door.client_named(**call), account)
        return self._accounts.use(chosen, chosen=True)

    def logout(
        self,
        account: Asked | None = None,
        *,
        all: bool = False,
        revoke: bool = False,
        forget: bool = False,
        **call: Any,
    ) -> list[SignedIn]:
        """Sign out the current account, the named one, or all; return what was known of them.

        Sign-ins in progress for them end, too. Raises ``NotSignedIn`` for an account that is not
        signed in, ``ConfigurationError`` for a name that several accounts share.
        """
        return self._sign_out.of(account, all=all, revoke=revoke, forget=forget, **call)

    def asking_nobody(self, act: Callable[[], Any]) -> Any:
        """Call ``act`` where nobody can be asked for a passphrase, as in a panel's callback."""
        return self._stored.asking_nobody(act)

    def import_cache(self, path: Path, **call: Any) -> Found:
        """Import the accounts of a plain MSAL cache and store them; see ``accounts.msal_cache``.

        Raises ``ConfigurationError``; ``PersistenceError`` if no store outlives this process.
        """
        from nbauth.kernel.accounts.msal_cache import import_file

        return import_file(path, self.client(**call), self.cache, self._stored)
