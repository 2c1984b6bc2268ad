"""One attempt to sign in. One thread drives it; callers block on it, await it, or look in later."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Generator
from typing import Any, Literal

from nbauth.core.accounts import Account
from nbauth.core.errors import (
    ConfigurationError,
    FlowUnavailable,
    NbAuthError,
    SignInCancelled,
    SignInError,
    SignInExpired,
)
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.driver import Driver, Means
from nbauth.oauth.engines import AuthorizationRequest, Engine
from nbauth.oauth.error_catalogue import plain
from nbauth.oauth.flows import flow_named

State = Literal["waiting", "done", "failed", "cancelled"]
STARTING = "Asking the provider…"
ABORT_AFTER = 0.2
"""Seconds that what was stopped has to end by itself before its requests are broken off."""


class SignIn:
    """One attempt to sign in, shared by every panel and caller that joined it.

    Attributes:
        flow: ``"auto"`` until chosen, then the flow's name.
        state: ``"waiting"``, ``"done"``, ``"failed"`` or ``"cancelled"``.
        message: one sentence for the person.
        user_code, verification_uri, verification_uri_complete: of the device flow, once known.
        authorize_url: of the flows by browser, once known.
        ways: the flows that the person can choose from here, best first; ``()`` until known.
        refusal: why the way that was tried is closed, while the person chooses another.
        account: once done.
        error: once failed or cancelled.
        ended: a ``threading.Event`` that is set at the end.
        again: ``again(flow=None)`` begins another attempt at the same.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        request: AuthorizationRequest,
        flow: str,
        ways: Callable[[SignIn], tuple[str, ...]],
        accept: Callable[[TokenResponse], Account],
        wait: Callable[[SignIn, float | None], None],
        again: Callable[..., SignIn],
        offers: Callable[[SignIn, NbAuthError], bool] = lambda *_: False,
        means: Means | None = None,
    ) -> None:
        self.flow = flow
        self.state: State = "waiting"
        self.message = STARTING
        self.user_code: str | None = None
        self.verification_uri: str | None = None
        self.verification_uri_complete: str | None = None
        self.authorize_url: str | None = None
        self.ways: tuple[str, ...] = ()
        self.refusal: NbAuthError | None = None
        self.account: Account | None = None
        self.error: NbAuthError | None = None
        self.ended = threading.Event()
        self.request = request
        self.engine = engine
        self.again = again
        self._ways = ways
        self._accept = accept
        self._wait = wait
        self._offers = offers
        self._means = means or Means()
        self._observers: list[Callable[[SignIn], None]] = []
        self._lock = threading.RLock()
        self._told = False
        self._tried: list[str] = []
        self._chosen: str | None = None
        self._taken = threading.Event()
        self._driver = self._new_driver()
        # A context of its own: otherwise what this thread shows lands under a later cell.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._run,),
            name="nbauth-sign-in",
            daemon=True,
        )

    def __repr__(self) -> str:
        return f"<SignIn {self.flow}: {self.state}>"

    @property
    def expires_in(self) -> float | None:
        """Seconds until it can no longer be finished, ``None`` while that is unknown."""
        return self._driver.expires_in

    @property
    def untold(self) -> bool:
        """Whether it has failed and nobody who called has met its error yet."""
        return self.state == "failed" and not self._told

    def start(self) -> SignIn:
        """Begin, in a thread."""
        self._thread.start()
        return self

    def observe(self, observer: Callable[[SignIn], None]) -> None:
        """Call ``observer(self)`` after every change, from the thread that made it."""
        self._observers.append(observer)

    def unobserve(self, observer: Callable[[SignIn], None]) -> None:
        """Stop calling it."""
        if observer in self._observers:
            self._observers.remove(observer)

    def cancel(self) -> None:
        """End it now. Its thread, port and requests are gone within a second."""
        self._settle("cancelled", error=SignInCancelled("The sign-in was cancelled."))
        self._driver.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(ABORT_AFTER)
            if self._thread.is_alive():
                self.engine.abort()

    def switch(self, flow: str) -> None:
        """Give the present way up and go on with another one; who waits for it waits on.

        Raises ``FlowUnavailable`` for a flow that is not here, ``ConfigurationError`` once it has
        ended.
        """
        flow_named(flow)
        with self._lock:
            if self.state != "waiting":
                raise ConfigurationError("This sign-in has ended already.", code="not_waiting")
            self._chosen = flow
            self._taken.clear()
        self._driver.wake()
        if not self._taken.wait(ABORT_AFTER):
            self.engine.abort()

    def submit(self, address_or_code: str) -> None:
        """Hand in the address at which the browser ended, its query, or the bare code.

        Raises ``ConfigurationError`` for what is none of these, or another sign-in's.
        """
        self._driver.submit(address_or_code)

    def wait(self, timeout: float | None = None) -> Account:
        """Block until it has ended. Raises its error, or ``SignInExpired`` after ``timeout`` s."""
        self._wait(self, timeout)
        return self.result()

    def result(self) -> Account:
        """The account, if it is done; else raises its error."""
        if self.error is not None:
            self._told = True
            raise self.error.with_traceback(None)
        if self.account is None:
            raise SignInExpired(
                "The sign-in has not ended yet.", code="timeout", hint="Wait longer."
            )
        return self.account

    def __await__(self) -> Generator[Any, None, Account]:
        while not self.ended.is_set():
            yield from asyncio.sleep(0.05).__await__()
        return self.result()

    # ── in its own thread ───────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            response = self._obtain()
            with self._lock:
                if self.state == "waiting":
                    account = self._accept(response)
                    self._settle("done", account=account)
        except NbAuthError as error:
            self._settle("failed", error=error)
        except Exception as error:
            failure = SignInError(f"The sign-in failed: {plain(error) or type(error).__name__}.")
            failure.__cause__ = error
            self._settle("failed", error=failure)
        finally:
            self._driver.finish(self.account, self.error)

    def _obtain(self) -> TokenResponse:
        """Walk one way after the other, until one brings tokens or no other is left."""
        chooses = self.flow == "auto"
        self.ways = self._ways(self)
        if chooses:
            self.flow = self.ways[0]
        while True:
            self._tried.append(self.flow)
            try:
                return self._driver.walk(flow_named(self.flow)(self.engine, self.request))
            except NbAuthError as error:
                if self.error is not None:
                    raise
                refused = error
            flow = self._take_choice()
            if flow is None:
                if not chooses:
                    raise refused
                flow = self._another_way(refused)
            chooses = True  # who has chosen once may choose again
            self._driver.finish(None, refused)
            self._driver = self._new_driver()
            self._tell(flow=flow, refusal=None, message=STARTING, **_NOTHING_SHOWN)

    def _another_way(self, refused: NbAuthError) -> str:
        """The way to go on by after a refusal that is of the way, not of the person.

        Raises the refusal if there is none left.
        """
        suggested = refused.suggested_flow
        left = [way for way in self.ways if way not in self._tried]
        if not left or (suggested is None and not isinstance(refused, FlowUnavailable)):
            raise refused
        left.sort(key=lambda way: (way == "device") != (suggested == "device"))
        if not self._offers(self, refused):
            return left[0]
        self._driver.finish(None, refused)
        self._driver = self._new_driver()
        rest = (way for way in self.ways if way not in left)
        self._tell(refusal=refused, message=str(refused), ways=(*left, *rest), **_NOTHING_SHOWN)
        try:
            self._driver.await_person()
        except NbAuthError:
            if (chosen := self._take_choice()) is None:
                raise
            return chosen

    def _take_choice(self) -> str | None:
        with self._lock:
            chosen, self._chosen = self._chosen, None
        self._taken.set()
        return chosen

    def _new_driver(self) -> Driver:
        return Driver(self.engine, self._means, self._tell, self._stopped)

    def _stopped(self) -> NbAuthError | None:
        """Why the driver has to stop: the sign-in has ended, or goes on by another way."""
        if self._chosen is not None:
            return SignInCancelled("Another way was chosen.")
        return self.error

    def _tell(self, **facts: Any) -> None:
        with self._lock:
            if self.state != "waiting":
                return
            for name, value in facts.items():
                setattr(self, name, value)
        self._notify()

    def _settle(
        self, state: State, *, account: Account | None = None, error: NbAuthError | None = None
    ) -> None:
        with self._lock:
            if self.state != "waiting":
                return
            self.state, self.account, self.error = state, account, error
            for name, nothing in _NOTHING_SHOWN.items():
                setattr(self, name, nothing)
            self.message = f"Signed in as {account.username}." if account else str(error)
        self.ended.set()
        self._notify()

    def _notify(self) -> None:
        for observer in list(self._observers):
            observer(self)


_NOTHING_SHOWN: dict[str, None] = dict.fromkeys(
    ("user_code", "verification_uri", "verification_uri_complete", "authorize_url")
)
