"""Who is signed in to this kernel: accounts, tokens, pending sign-ins."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbauth.core.accounts import Account
from nbauth.core.errors import (
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    PersistenceError,
    SignInInterrupted,
)
from nbauth.core.scopes import Scopes
from nbauth.core.settings import NAMES, Settings, read
from nbauth.core.tokens import AuthenticationResult, Token, TokenResponse
from nbauth.kernel.accounts import Accounts
from nbauth.kernel.background import Background, RefreshAhead
from nbauth.kernel.cache import AccountKey, SignedIn, TokenCache, TokenKey, is_account, name_of
from nbauth.kernel.client import Client, Engines
from nbauth.kernel.keeping import Keeping
from nbauth.kernel.renewal import Renewal
from nbauth.kernel.screen import NoScreen, Screen
from nbauth.kernel.sign_ins import REQUEST_OPTIONS, SignIns
from nbauth.kernel.tokens import Tokens

if TYPE_CHECKING:
    from pathlib import Path

    from nbauth.kernel.msal_cache import Found
    from nbauth.kernel.sign_in import SignIn


class Session:
    """The one place that knows who is signed in. Every public function and magic ends here.

    Args:
        read_settings: lays the settings of a call over those of this kernel.
        profiles: names the profiles that there are.
        screen: gives the place where sign-ins show themselves.
        make_engine: for tests; the default is ``oauth.engines.engine_for``.
    """

    def __init__(
        self,
        read_settings: Callable[[Mapping[str, Any], Mapping[str, Any]], Settings],
        profiles: Callable[[], list[str]] = list,
        screen: Callable[[], Screen] = NoScreen,
        make_engine: Any = None,
    ) -> None:
        self._read_settings = read_settings
        self.profiles = profiles
        self.screen = screen
        self.configured: dict[str, Any] = {}
        self._client: Client | None = None
        self.cache = TokenCache()
        self._engines = Engines(make_engine)
        self._keeping = Keeping(self.cache, self._say, self._ask_secret, self._kept_changed)
        self._refresh_ahead = Background(
            "nbauth-refresh", RefreshAhead(self.cache, self._renew).tick
        )
        self._renewal = Renewal(self.cache, self._engines, self._tokens_changed)
        self._sign_ins = SignIns(
            self.client,
            self._engines,
            lambda: self.screen(),
            self._accept,
            self._wait,
            prepare=self._keeping.prepare,
            began=self._changed,
        )
        self._accounts = Accounts(
            self.cache,
            self._keeping,
            self._engines,
            lambda: self.settings().persist,
            self._say,
            self._changed,
        )
        self._tokens = Tokens(
            self.client,
            self._find,
            self.cache,
            self._renewal,
            self._sign_ins,
            lambda: self.screen(),
            self._wait,
        )
        self._observers: list[Callable[[], None]] = []

    # ── settings ────────────────────────────────────────────────────────────────────────────

    def settings(self, **call: Any) -> Settings:
        """The settings that hold for a call. Raises ``ConfigurationError``."""
        return self._read_settings(call, self.configured)

    def configure(self, **settings: Any) -> None:
        """Set them for this kernel; ``None`` takes one back. One bad value and none is set."""
        self.configured |= {
            name: None if value is None and name in NAMES else read(name, value, "configure")
            for name, value in settings.items()
        }

    def client(self, **call: Any) -> Client:
        """The client that a call's settings lead to. Raises ``ConfigurationError``."""
        settings, known = self.settings(**call), self._client
        if known is None or known.settings is not settings:
            known = self._client = Client.from_settings(settings)
        return known

    # ── signing in ──────────────────────────────────────────────────────────────────────────

    def login(
        self,
        *scopes: str,
        force: bool = False,
        background: bool = False,
        account: Account | str | None = None,
        web_ui: Callable[[str], str] | None = None,
        quiet: bool = False,
        **options: Any,
    ) -> Account | SignIn:
        """Sign in, unless that is so already; see ``nbauth.login``."""
        signed_in = self._already(scopes, force, account, web_ui, options)
        if signed_in is not None:
            if not quiet:
                self._say(f"Already signed in as {signed_in.username}. (--force signs in anew.)")
            return signed_in
        sign_in = self.start(*scopes, account=account, web_ui=web_ui, **options)
        if background:
            return sign_in
        self._wait(sign_in)
        return self._as_asked(sign_in.result(), account)

    async def login_async(
        self,
        *scopes: str,
        force: bool = False,
        account: Account | str | None = None,
        web_ui: Callable[[str], str] | None = None,
        **options: Any,
    ) -> Account:
        """The same, awaited; cancelling the task cancels the sign-in."""
        signed_in = self._already(scopes, force, account, web_ui, options)
        if signed_in is not None:
            return signed_in
        sign_in = self.start(*scopes, account=account, web_ui=web_ui, **options)
        try:
            await self.screen().wait_async(sign_in)
        finally:
            sign_in.cancel()  # nothing to do when it has ended
        return self._as_asked(sign_in.result(), account)

    def _as_asked(self, signed_in: Account, asked: Account | str | None) -> Account:
        """Say so if it is another account than the one that was asked for."""
        if asked is not None and not is_account(signed_in, asked):
            self._say(
                f"{name_of(asked)} was asked for, but {signed_in.username} signed in."
                f" To undo that: %accounts drop {signed_in.username}"
            )
        return signed_in

    def start(self, *scopes: str, **options: Any) -> SignIn:
        """Begin a sign-in, or join the one pending for the same thing; see ``SignIns.start``."""
        return self._sign_ins.start(*scopes, **options)

    def _already(
        self,
        scopes: tuple[str, ...],
        force: bool,
        account: Account | str | None,
        web_ui: Any,
        options: Mapping[str, Any],
    ) -> Account | None:
        """The account, if these scopes can be had silently and nothing asks for more."""
        if force or web_ui or any(options.get(name) is not None for name in REQUEST_OPTIONS):
            return None
        client = self.client(**{name: options.get(name) for name in NAMES})
        wanted = client.scopes(scopes)
        key = self._find(client, account)
        if key is None:
            return None
        try:
            signed_in = self._renewal.silent(client, key, wanted).account
        except (InteractionRequired, NotSignedIn):
            return None
        record = self.cache.signed_in.get(key)
        if record is not None and record.keeper is None:
            self._keeping.prepare(client)
            self._keeping.keep(client, key)
        return signed_in

    def _accept(
        self, client: Client, wanted: Scopes, response: TokenResponse, sign_out_url: str
    ) -> Account:
        key, signed_in = client.signed_in(response)
        signed_in.sign_out_url = sign_out_url
        self.cache.sign_in(key, signed_in, response, wanted.key)
        self._keeping.keep(client, key)
        self._changed()
        self._tokens_changed()
        return signed_in.account

    def _wait(self, sign_in: SignIn, timeout: float | None = None) -> None:
        try:
            self.screen().wait(sign_in, timeout)
        except BaseException as stop:  # an interrupt; in a cell that awaits, CancelledError
            sign_in.cancel()
            if isinstance(stop, KeyboardInterrupt):
                raise SignInInterrupted() from None
            raise

    # ── tokens ──────────────────────────────────────────────────────────────────────────────

    def token(self, *scopes: str, **options: Any) -> Token:
        """A live token; see ``nbauth.token``."""
        return self._tokens.token(*scopes, **options)

    def acquire(self, *scopes: str, **options: Any) -> AuthenticationResult:
        """A token with all that is known of it; see ``nbauth.acquire``."""
        return self._tokens.acquire(*scopes, **options)

    def pending(self) -> list[SignIn]:
        """Sign-ins under way."""
        return self._sign_ins.waiting()

    # ── accounts ────────────────────────────────────────────────────────────────────────────

    def accounts(self) -> list[Account]:
        """Everybody signed in; see ``Accounts.all``."""
        return self._accounts.all()

    def use(self, account: Account | str) -> Account:
        """Make an account the current one; see ``Accounts.use``."""
        return self._accounts.use(account)

    def logout(
        self,
        account: Account | str | None = None,
        *,
        all: bool = False,
        revoke: bool = False,
        forget: bool = False,
        **call: Any,
    ) -> list[SignedIn]:
        """Sign out the current account, the named one, or all; see ``Accounts.sign_out``."""
        if account is None:
            self._sign_ins.cancel()
        return self._accounts.sign_out(
            account,
            lambda: self._find(self.client(**call)),
            all=all,
            revoke=revoke,
            forget=forget,
        )

    # ── between cells ───────────────────────────────────────────────────────────────────────

    def _find(self, client: Client, account: Account | str | None = None) -> AccountKey | None:
        self._engines.remember(client)
        return self._keeping.find(client, account)

    def _tokens_changed(self) -> None:
        with contextlib.suppress(NbAuthError):  # settings that cannot be read ask for nothing
            if self.settings().refresh_ahead:
                self._refresh_ahead.wake()

    def _renew(self, key: TokenKey) -> None:
        client = self._engines.client(key[:2])
        token = self.cache.tokens.get(key)
        granted = token.response.scopes if token else ()
        # A key at Microsoft's has no capitals, which servers of that shape may care for.
        written = {scope.lower(): scope for scope in granted} if client.authority.microsoft else {}
        wanted = client.scopes(written.get(word, word) for word in key[3])
        self._renewal.silent(client, key[:3], wanted, force=True)

    def _ask_secret(self, prompt: str) -> str:
        screen = self.screen()
        if not screen.attended():
            raise PersistenceError(
                "Kept sign-ins need their passphrase, and nobody can be asked for it here.",
                code="no_passphrase",
                hint="Set NBAUTH_PASSPHRASE.",
            )
        return screen.ask(prompt)

    def rest(self) -> None:
        """End the threads that work between cells; the next sign-in or token begins them anew."""
        self._refresh_ahead.stop()
        self._keeping.rest()

    def import_cache(self, path: Path, **call: Any) -> Found:
        """Take the accounts of a plain MSAL cache and keep them; see ``kernel.msal_cache``.

        Raises ``ConfigurationError``, and ``PersistenceError`` where nothing outlives this process.
        """
        from nbauth.kernel.msal_cache import read_file

        client = self.client(**call)
        self._engines.remember(client)
        found = read_file(path, client)
        for key, signed_in in found.accounts.items():
            self.cache.restore(key, signed_in, {})
            self._keeping.keep(client, key)
            if self.cache.signed_in[key].keeper is None:
                raise PersistenceError(
                    "Nothing was imported: it would be gone with this command.",
                    code="kept_nowhere",
                    hint="Say where to keep it: --persist keyring or --persist file.",
                )
        return found

    # ── who watches ─────────────────────────────────────────────────────────────────────────

    def observe(self, observer: Callable[[], None]) -> None:
        """Call it after every change of who is signed in, and when a sign-in begins."""
        self._observers.append(observer)

    def unobserve(self, observer: Callable[[], None]) -> None:
        """Stop calling it."""
        if observer in self._observers:
            self._observers.remove(observer)

    def _kept_changed(self) -> None:
        """Somebody who is kept was found, or has signed out in another kernel."""
        self._changed()
        self._tokens_changed()

    def _changed(self) -> None:
        for observer in list(self._observers):
            observer()

    def _say(self, text: str) -> None:
        self.screen().say(text)
