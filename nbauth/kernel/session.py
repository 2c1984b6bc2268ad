"""The session of this kernel: accounts, tokens, pending sign-ins.

The only module that uses both ``accounts`` (cache, renewal, stored sign-ins) and ``sign_in``
(attempts). Locks are taken in this order, each held for a few lines only:

1. an account's lock (``AccountLocks``), and inside it the lock that all kernels share
   (``Keeper.refreshing``): the only locks that are held during a request to the provider;
2. the list of attempts (``Attempts``), the state of one (``SignIn``), the fetches in progress;
3. the cache (``TokenCache``), inside which no other lock is taken.

Under 2 and 3 there are no callbacks, prompts or file accesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nbauth.core.account import Account, AccountKey, Asked, ClientKey
from nbauth.core.errors import (
    NbAuthError,
    NotSignedIn,
    PersistenceError,
)
from nbauth.core.person import say_to
from nbauth.core.scopes import Scopes
from nbauth.core.settings import Settings
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.signal import Signal
from nbauth.core.tokens import AuthenticationResult, Token
from nbauth.kernel.accounts.background import Background, RefreshAhead
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.flights import AccountLocks
from nbauth.kernel.accounts.keepers import Keepers
from nbauth.kernel.accounts.refresh_errors import NEEDS_SIGN_IN
from nbauth.kernel.accounts.registry import Accounts
from nbauth.kernel.accounts.renewal import Renewal
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.arrivals import Arrivals
from nbauth.kernel.bound import Bound, LiveToken
from nbauth.kernel.client_secret import secret_of
from nbauth.kernel.door import SIGN_IN_OPTIONS, Door
from nbauth.kernel.refusals import Refusals
from nbauth.kernel.sign_in.attempts import Attempts
from nbauth.kernel.sign_out import SignOut
from nbauth.kernel.tokens import Need, Tokens
from nbauth.oauth.client import Client, Engines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from nbauth.kernel.accounts.msal_cache import Found
    from nbauth.kernel.authorise import Auth, AuthorisedSession
    from nbauth.kernel.sign_in.attempt import SignIn
    from nbauth.kernel.sign_in.protocol import Screen
    from nbauth.kernel.sign_in.request import Request, WebUi
    from nbauth.oauth.engines.protocol import Engine


LAST_REFRESH = 3.0
"""Seconds to wait for a refresh when the process ends; Jupyter kills a kernel after 5."""


class Session:
    """Holds who is signed in. Every public function and magic uses it.

    Args:
        reader: reads the settings of this process.
        screen: shows sign-ins.
        make_engine: for tests; the default is ``oauth.engines.engine_for``.

    Attributes:
        changed: a ``Signal``, emitted after every change of who is signed in, and when a sign-in
            begins.
    """

    def __init__(
        self, reader: SettingsReader, screen: Screen, make_engine: Callable[..., Any] | None = None
    ) -> None:
        self.reader = reader
        self.screen = screen
        self.cache = TokenCache()
        self._door = Door(reader)
        self._engines = Engines(make_engine, secret_of)
        self._account_locks = AccountLocks()
        self._keepers = Keepers(self.cache, screen, self._door, self._account_locks)
        self._renewal = Renewal(self.cache, self._engines, self._account_locks)
        self._accounts = Accounts(self.cache, self._keepers, self._engines, screen)
        self._attempts = Attempts(
            self._engines, screen, Arrivals(self.cache, self._keepers, screen)
        )
        self._tokens = Tokens(self.cache, self._keepers, self._renewal, self._attempts, screen)
        self._sign_out = SignOut(self._door, self.cache, self._accounts, self._attempts)
        self._refusals = Refusals()
        self._refresh_ahead = Background(
            "nbauth-refresh", RefreshAhead(self.cache, self._renewal).tick
        )
        self.cache.renewed.connect(self._refresh_ahead.wake)
        self._attempts.began.connect(self.changed.emit)

    @property
    def changed(self) -> Signal:
        return self.cache.changed

    # ── settings ────────────────────────────────────────────────────────────────────────────

    def settings(self, **call: Any) -> Settings:
        """The settings of a call. Raises ``ConfigurationError``."""
        return self.reader.settings(**call)

    def configure(self, **settings: Any) -> None:
        """Set them for this kernel; ``None`` resets one. If one value is invalid, none is set."""
        self.reader.configure(**settings)

    def client(self, **call: Any) -> Client:
        """The client for the settings of a call. Raises ``ConfigurationError``."""
        return self._door.client(**call)

    def new_engine(self, client: Client) -> Engine:
        """A new engine of a client for a single query, such as the provider's capabilities."""
        return self._engines.for_sign_in(client)

    # ── signing in ──────────────────────────────────────────────────────────────────────────

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
                text = f"Already signed in as {signed_in.username}. (--force signs in again.)"
                say_to(self.screen, text)
            return signed_in
        if background:
            return self._attempts.begin(request)
        return self._made_current(self._attempts.sign_in(request))

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
            self._keepers.open(request.client)
            signed_in = await asyncio.to_thread(self._already, request, options)
            if signed_in is not None:
                return signed_in
        return self._made_current(await self._attempts.sign_in_async(request))

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
        key = self._keepers.find(client, request.asked)
        if key is None:
            return None
        try:
            result = self._renewal.silent(client, key, request.scopes)
        except NEEDS_SIGN_IN:
            return None
        if not client.covers(result.scopes, request.scopes):
            return None  # a new sign-in may grant the missing scopes
        record = self.cache.signed_in.get(key)
        if record is not None and (record.keeper is None or not record.keeper.keeps(key)):
            self._keepers.prepare(client)
            self._keepers.keep(client, key)
        if request.asked is not None and self.cache.find(client.key) != key:
            self._accounts.use(key)  # as after a first sign-in
        return result.account

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
                self._keepers.find(client, account, may_ask=interactive)
                if isinstance(account, str)
                else self.cache.find(client.key, account)
            )
            here = self.cache.serve(key, wanted.key)
            if here is not None:
                return here
        if claims is not None:
            from nbauth.kernel.sign_in.request import check_claims

            check_claims(claims)
        asked = self._tokens.find(client, account, interactive=interactive) or account
        refused = self._text(asked, wanted) if force_refresh else None
        return self._tokens.get(Need(client, wanted, asked, claims, refused, interactive))

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
        **call: Any,
    ) -> Token:
        """A live token for the scopes; see ``nbauth.token``."""
        bound = self.bind(account, interactive=interactive, **call)
        wanted = bound.client.scopes(scopes)
        bound.get(wanted)
        return Token(LiveToken(self._tokens, bound, wanted))

    def bind(self, account: Asked | None = None, *, interactive: bool = True, **call: Any) -> Bound:
        """A fixed client and account; see :class:`bound.Bound`."""
        return Bound(self._tokens, self._door.client(**call), account, interactive)

    def authorise(
        self,
        *scopes: str,
        account: Asked | None = None,
        hosts: Iterable[str] | None = None,
        **call: Any,
    ) -> Auth:
        """An object that adds tokens to requests for listed hosts; see ``nbauth.auth``."""
        from nbauth.kernel.authorise import Auth
        from nbauth.kernel.hosts import listed_hosts

        bound = self.bind(account, **call)
        wanted = bound.client.scopes(scopes) if scopes else None
        return Auth(bound, listed_hosts(bound.client, wanted, hosts), self._refusals)

    def authorised_session(self, *scopes: str, **options: Any) -> AuthorisedSession:
        """A ``requests.Session`` that adds tokens; see ``nbauth.session``."""
        from nbauth.kernel.authorise import AuthorisedSession

        auth = self.authorise(*scopes, **options)
        settings = auth.bound.client.settings
        return AuthorisedSession(auth, settings.verify, settings.proxies)

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
        return self._accounts.use(self._accounts.the_one(self._door.client_named(**call), account))

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
        return self._keepers.asking_nobody(act)

    # ── between cells ───────────────────────────────────────────────────────────────────────

    def new_cell(self) -> None:
        """A cell begins: read the settings again."""
        self.reader.look_again()
        self._keepers.look_again()

    def rest(self) -> None:
        """End the background threads; the next sign-in or token starts them again.

        Waits briefly for a refresh in progress: it has used up the stored refresh token.
        """
        self._refresh_ahead.stop()
        self._renewal.finish(LAST_REFRESH)
        self._keepers.rest()

    def forked(self) -> None:
        """In a forked child: start clean.

        Only the kernel's own process renews grants that are not stored. The child uses the tokens
        it inherited. It renews stored grants as another kernel does, under the shared lock.
        """
        self.cache.forked()
        self._engines.forget()
        self._account_locks.forked()
        self._refresh_ahead = Background("nbauth-refresh", lambda: None)
        self._renewal.forked()
        self._keepers.forked()
        self._attempts.forked()

    def import_cache(self, path: Path, **call: Any) -> Found:
        """Import the accounts of a plain MSAL cache and store them; see ``accounts.msal_cache``.

        Raises ``ConfigurationError``; ``PersistenceError`` if no store outlives this process.
        """
        from nbauth.kernel.accounts.msal_cache import read_file

        client = self.client(**call)
        found = read_file(path, client)
        if client.settings.persist == "memory" and found.accounts:
            raise PersistenceError(
                "Nothing was imported: with persist = memory, nothing is stored.",
                code="kept_nowhere",
                hint="Choose a store: --persist keyring or --persist file.",
            )
        taken: list[str] = []
        self._keepers.fetch_all(client.settings.persist)
        for key, signed_in in found.accounts.items():
            self.cache.add_older(signed_in)
            if not self._keepers.keep(client, key):
                raise PersistenceError(
                    f"{signed_in.account.username} could not be stored, so the import stopped;"
                    f" imported: {', '.join(taken) or 'nobody'}.",
                    code="kept_nowhere",
                )
            taken.append(signed_in.account.username)
        return found
