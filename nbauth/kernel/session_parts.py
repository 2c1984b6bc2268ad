"""The parts of the session, its settings, and the hooks of the process.

Locks are taken in this order, each held for a few lines only:

1. an account's lock (``AccountLocks``), and inside it the lock that all kernels share
   (``AccountStore.refreshing``): the only locks that are held during a request to the provider;
2. the list of attempts (``Attempts``), the state of one (``SignIn``), the fetches in progress;
3. the cache (``TokenCache``), inside which no other lock is taken.

Under 2 and 3 there are no callbacks, prompts or file accesses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from nbauth.core.settings import CREDENTIAL, Settings
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.signal import Signal
from nbauth.kernel.accounts.background import Background, RefreshAhead
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.flights import AccountLocks
from nbauth.kernel.accounts.issued import Issued
from nbauth.kernel.accounts.registry import Accounts
from nbauth.kernel.accounts.renewal import Renewal
from nbauth.kernel.accounts.stored_accounts import StoredAccounts
from nbauth.kernel.arrivals import Arrivals
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.pauses import Pauses
from nbauth.kernel.calls.refusals import Refusals
from nbauth.kernel.client_credential import credential_of
from nbauth.kernel.door import Door
from nbauth.kernel.id_tokens import IdTokens
from nbauth.kernel.sign_in.attempts import Attempts
from nbauth.kernel.sign_out import SignOut
from nbauth.kernel.stored_password import StoredPasswords
from nbauth.kernel.tokens import Tokens
from nbauth.kernel.workers import Workers, no_pipe
from nbauth.oauth.client import Client, Engines

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbauth.core.account import AccountKey, Asked
    from nbauth.kernel.accounts.grants import Ask
    from nbauth.kernel.asking.asking import Asking
    from nbauth.kernel.asking.reference import ReferencesTo
    from nbauth.kernel.sign_in.attempt import SignIn
    from nbauth.kernel.sign_in.protocol import Screen
    from nbauth.oauth.engines.protocol import Engine

LAST_REFRESH = 3.0
"""Seconds to wait for a refresh when the process ends; Jupyter kills a kernel after 5."""


class SessionParts:
    """Creates the parts of a session and connects them; see :class:`session.Session`.

    Args:
        reader: reads the settings of this process.
        screen: shows sign-ins.
        make_engine: for tests; the default is ``oauth.engines.engine_for``.
        session_of_process: a function that returns the session of any process that calls it, if
            that is this one in this process; objects that are pickled name it.

    Attributes:
        workers: what it does for other processes; ``None`` if it is not the process's session.
        pauses: of the services that asked to wait.
        graphs: the objects that ``nbauth.graph`` has made, by ``nbauth.msgraph``.
        changed: a ``Signal``, emitted after every change of who is signed in, and when a sign-in
            begins.
    """

    def __init__(
        self,
        reader: SettingsReader,
        screen: Screen,
        make_engine: Callable[..., Any] | None = None,
        session_of_process: Callable[[], Any] | None = None,
    ) -> None:
        self.reader = reader
        self.screen = screen
        self.cache = TokenCache()
        self._door = Door(reader, screen)
        self._engines = Engines(make_engine, self.issued.noting(credential_of))
        self._account_locks = AccountLocks()
        self._stored = StoredAccounts(self.cache, screen, self._door, self._account_locks)
        self._renewal = Renewal(self.cache, self._engines, self._account_locks)
        self._accounts = Accounts(self.cache, self._stored, self._engines, screen)
        self._attempts = Attempts(
            self._engines, screen, Arrivals(self.cache, self._stored, screen), StoredPasswords()
        )
        self._tokens = Tokens(self.cache, self._stored, self._renewal, self._attempts, screen)
        self.workers: Workers | None = None
        if session_of_process is not None:
            self.be_found_by(session_of_process)
        self._id_tokens = IdTokens(self.cache)
        self._sign_out = SignOut(self._door, self.cache, self._accounts, self._attempts)
        self._refusals = self._tokens.refusals = Refusals()
        self.pauses = Pauses()
        self.graphs: list[Any] = []
        self.refresh_ahead = RefreshAhead(self.cache, self._renewal).tick
        self._refresh_ahead = Background("nbauth-refresh", self.refresh_ahead)
        self.cache.renewed.connect(self._refresh_ahead.wake)
        self._attempts.began.connect(self.changed.emit)

    @property
    def issued(self) -> Issued:
        """The secrets that this process has got."""
        return self.cache.issued

    @property
    def changed(self) -> Signal:
        return self.cache.changed

    def be_found_by(self, session_of_process: Callable[[], Any]) -> None:
        """Serve other processes, in which this function returns the session."""
        self.workers = Workers(session_of_process, self._tokens, self._apart_for_worker)
        self._tokens.references = self.workers.references

    def bind_for_worker(
        self,
        notebook: Asking,
        references: ReferencesTo,
        client: Client,
        asked: Asked | None,
        refresher: Background,
    ) -> Bound:
        """In a worker process: a client and account whose tokens the notebook's kernel gets.

        ``refresher``: calls ``refresh_ahead`` when it is due.
        """
        self._tokens.notebook, self._tokens.references = notebook, references
        self.cache.renewed.disconnect(self._refresh_ahead.wake)
        self.cache.renewed.connect(refresher.wake)
        self._refusals = self._tokens.refusals = Refusals(keeps_errors=False)
        return Bound(self._tokens, client, asked, interactive=False, look=False)

    def _apart_for_worker(self) -> Self:
        return self.apart(make_engine=lambda *_, **__: None)  # it sends no request to a provider

    def apart(self, make_engine: Callable[..., Any] | None = None) -> Self:
        """A session with the same settings and screen, which has no accounts and uses no store."""
        made = type(self)(self.reader, self.screen, make_engine or self._engines.make)
        made._stored.use_only_memory()
        made.cache.issued = self.cache.issued  # its tokens are masked too
        return made

    # ── settings ────────────────────────────────────────────────────────────────────────────

    def settings(self, **call: Any) -> Settings:
        """The settings of a call. Raises ``ConfigurationError``."""
        return self.reader.settings(**call)

    def configure(self, **settings: Any) -> None:
        """Set them for this kernel; ``None`` resets one. If one value is invalid, none is set.

        Another ``credential`` signs out the accounts of the previous one.
        """
        before = self.reader.configured.get(CREDENTIAL)
        self.reader.configure(**settings)
        if before is not None and self.reader.configured.get(CREDENTIAL) is not before:
            self._attempts.cancel(lambda one: _signs_in_with(one, before))
            keys = [key for key, of in [*self.cache.signed_in.items()] if of.flow == CREDENTIAL]
            self._accounts.sign_out(keys, revoke=False, forget=False)

    def client(self, **call: Any) -> Client:
        """The client for the settings of a call. Raises ``ConfigurationError``."""
        return self._door.client(**call)

    def new_engine(self, client: Client) -> Engine:
        """A new engine of a client for a single query, such as the provider's capabilities."""
        return self._engines.for_sign_in(client)

    # ── hooks of the process ────────────────────────────────────────────────────────────────

    def new_cell(self) -> None:
        """A cell begins: read the settings again."""
        self.reader.look_again()
        self._stored.look_again()

    def rest(self) -> None:
        """End the background threads; the next sign-in or token starts them again.

        Waits briefly for a refresh in progress: it has used up the stored refresh token.
        """
        if self.workers is not None:
            self.workers.stop()
        self._refresh_ahead.stop()
        self._renewal.finish(LAST_REFRESH)
        self._stored.rest()

    def forked(self) -> None:
        """In a forked child: start clean.

        Only the kernel's own process renews grants that are not stored. The child uses the tokens
        it inherited, and asks the kernel for others. It renews stored grants as another kernel
        does, under the shared lock.
        """
        try:
            if self.workers is not None:
                self.workers.forked()
        finally:  # an error in a hook of a fork is only shown
            self.cache.forked(self._asks_parent)
        self._engines.forget()
        self._account_locks.forked()
        self._refresh_ahead = Background("nbauth-refresh", lambda: None)
        self._renewal.forked()
        self._stored.forked()
        self._attempts.forked()

    def _asks_parent(self, account: AccountKey) -> Ask:
        if self.workers is not None:
            return self.workers.ask_parent(account)

        def ask(*_: Any) -> Any:
            raise no_pipe()

        return ask


def _signs_in_with(sign_in: SignIn, credential: object) -> bool:
    """Whether a sign-in in progress uses this credential."""
    request = sign_in.request
    return request.first_flow == CREDENTIAL and request.authorization.credential is credential
