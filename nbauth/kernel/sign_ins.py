"""Begins sign-ins, and knows those under way: a second one for the same thing joins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbauth.core.accounts import Account
from nbauth.core.errors import ConfigurationError, InteractionRequired, NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.settings import NAMES
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.cache import name_of
from nbauth.kernel.client import Client, Engines
from nbauth.kernel.screen import Screen

if TYPE_CHECKING:
    from nbauth.kernel.sign_in import SignIn

NOBODY_THERE = (
    "Run %login in a notebook that somebody watches. Service identities for unattended runs"
    " (AZURE_CLIENT_ID and its siblings) are not read by this version."
)
REQUEST_OPTIONS = ("prompt", "login_hint", "domain_hint", "max_age", "claims", "consent_also")
AttemptKey = tuple[str, str, frozenset[str]]
"""authority address, client_id and the scopes asked for"""


class SignIns:
    """The newest attempt for each client and scopes.

    Args:
        client: gives the client that a call's settings lead to.
        engines: the engines in use.
        screen: gives the place where sign-ins show themselves.
        accept: takes the tokens that a sign-in brought.
        wait: blocks until a sign-in has ended, or so many seconds.
        prepare: called before one begins, where the person may still be asked something.
        began: called when one has begun.
    """

    def __init__(
        self,
        client: Callable[..., Client],
        engines: Engines,
        screen: Callable[[], Screen],
        accept: Callable[[Client, Scopes, TokenResponse, str], Account],
        wait: Callable[[SignIn, float | None], None],
        *,
        prepare: Callable[[Client], None],
        began: Callable[[], None],
    ) -> None:
        self._client = client
        self._engines = engines
        self._screen = screen
        self._accept = accept
        self._wait = wait
        self._prepare = prepare
        self._began = began
        self._attempts: dict[AttemptKey, SignIn] = {}
        self._lock = threading.RLock()

    def start(
        self,
        *scopes: str,
        account: Account | str | None = None,
        web_ui: Callable[[str], str] | None = None,
        show: bool = True,
        **options: Any,
    ) -> SignIn:
        """Begin a sign-in and show it, or join the one pending for the same thing.

        ``show=False`` is for a caller that shows it already: a panel whose button was pressed.
        Raises ``ConfigurationError``, ``FlowUnavailable``, ``InteractionRequired``.
        """
        # What drives a sign-in is loaded by the first one, not by %load_ext.
        from nbauth.kernel.driver import Means
        from nbauth.kernel.options import open_browser_from, request_from
        from nbauth.kernel.sign_in import SignIn
        from nbauth.oauth.flows import FLOWS, flow_named

        once = dict(options)

        def again(flow: str | None = None) -> SignIn:
            changed = {**once, "flow": flow} if flow else once
            return self.start(*scopes, account=account, show=False, **changed)

        asked = {name: options.pop(name, None) for name in REQUEST_OPTIONS}
        settings_of_call = {name: options.pop(name, None) for name in NAMES}
        if options:
            raise ConfigurationError(
                f"There is no option {next(iter(options))!r}.", code="unknown_option"
            )
        client = self._client(**settings_of_call)
        settings = client.settings
        wanted = client.scopes(scopes)
        if account is not None and asked["login_hint"] is None:
            asked["login_hint"] = name_of(account)
        request = request_from(client, wanted, asked)
        screen = self._screen()
        if web_ui is None and show and not screen.attended():
            raise InteractionRequired(
                "Signing in needs a person, and nobody can answer here.",
                code="nobody_there",
                hint=NOBODY_THERE,
            )
        flow = "browser" if web_ui is not None and settings.flow == "auto" else settings.flow
        if flow != "auto":
            flow_named(flow)
        self._prepare(client)

        def ways(attempt: SignIn) -> tuple[str, ...]:
            if web_ui is not None:
                return (attempt.flow,)
            if attempt.flow == "auto":
                return screen.ways(attempt)
            return (attempt.flow, *(other for other in FLOWS if other != attempt.flow))

        def offers(attempt: SignIn, refused: NbAuthError) -> bool:
            if screen.offers(attempt):
                return True
            screen.say(f"{refused} Trying another way.")
            return False

        def make() -> SignIn:
            engine = self._engines.for_sign_in(client)
            made = SignIn(
                engine=engine,
                request=request,
                flow=flow,
                ways=ways,
                accept=lambda response: self._accept(client, wanted, response, engine.sign_out_url),
                wait=self._wait,
                again=again,
                offers=offers,
                means=Means(
                    timeout=settings.timeout,
                    redirect_uri=settings.redirect_uri,
                    open_browser=open_browser_from(settings),
                    web_ui=web_ui,
                    pages={"success": settings.success_page, "error": settings.error_page},
                    callback=lambda secret: screen.callback(made, secret, settings.redirect_uri),
                ),
            )
            return made

        key = (*client.key, wanted.key)
        sign_in, joined = self._join_or_make(key, None if web_ui is not None else flow, make)
        if joined:
            return sign_in
        if web_ui is None and show:
            screen.show(sign_in)
        sign_in.start()
        self._began()
        return sign_in

    def _join_or_make(
        self, key: AttemptKey, flow: str | None, make: Callable[[], SignIn]
    ) -> tuple[SignIn, bool]:
        """The attempt to use, and whether it was under way already.

        One by another ``flow`` is cancelled for the new one; ``None`` joins nothing.
        """
        with self._lock:
            known = self._attempts.get(key)
            if known is not None and known.state == "waiting":
                if flow in {"auto", known.flow}:
                    return known, True
                known.cancel()
            made = self._attempts[key] = make()
            return made, False

    def of(self, client: tuple[str, str]) -> list[SignIn]:
        """A client's newest attempts, however they ended."""
        with self._lock:
            return [attempt for key, attempt in self._attempts.items() if key[:2] == client]

    def waiting(self, client: tuple[str, str] | None = None) -> list[SignIn]:
        """The attempts under way, of one client or all."""
        with self._lock:
            known = list(self._attempts.values()) if client is None else self.of(client)
        return [attempt for attempt in known if attempt.state == "waiting"]

    def cancel(self) -> None:
        """End and forget them all."""
        for attempt in self.waiting():
            attempt.cancel()
        with self._lock:
            self._attempts.clear()
