"""Drives one flow. One thread walks its steps; callers block on it, await it, or look in later."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from nbauth.core.accounts import Account
from nbauth.core.errors import (
    ConfigurationError,
    NbAuthError,
    SignInCancelled,
    SignInError,
    SignInExpired,
)
from nbauth.core.steps import AwaitRedirect, OpenBrowser, OpenReceiver, Pause, ShowUserCode
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines import AuthorizationRequest, Engine
from nbauth.oauth.error_catalogue import plain
from nbauth.oauth.flows import flow_named

State = Literal["waiting", "done", "failed", "cancelled"]
DEFAULT_TIMEOUT = 300.0
ABORT_AFTER = 0.2
"""Seconds a cancelled sign-in has to end by itself before its requests are broken off."""


class SignIn:
    """One attempt to sign in, shared by every panel and caller that joined it.

    Attributes:
        flow: ``"auto"`` until chosen, then the flow's name.
        state: ``"waiting"``, ``"done"``, ``"failed"`` or ``"cancelled"``.
        message: one sentence for the person.
        user_code, verification_uri: of the device flow, once known.
        authorize_url: of the browser flow, once known.
        account: once done.
        error: once failed or cancelled.
        ended: a ``threading.Event`` that is set at the end.
        again: begins another attempt at the same.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        request: AuthorizationRequest,
        flow: str,
        choose: Callable[[SignIn], str],
        accept: Callable[[TokenResponse], Account],
        wait: Callable[[SignIn, float | None], None],
        again: Callable[[], SignIn],
        timeout: float | None = None,
        redirect_uri: str | None = None,
        open_browser: Callable[[str], object] | None = None,
        web_ui: Callable[[str], str] | None = None,
        pages: Mapping[str, str | None] | None = None,
    ) -> None:
        self.flow = flow
        self.state: State = "waiting"
        self.message = "Asking the provider…"
        self.user_code: str | None = None
        self.verification_uri: str | None = None
        self.verification_uri_complete: str | None = None
        self.authorize_url: str | None = None
        self.account: Account | None = None
        self.error: NbAuthError | None = None
        self.ended = threading.Event()
        self.request = request
        self.engine = engine
        self.again = again
        self._choose = choose
        self._accept = accept
        self._wait = wait
        self._timeout = timeout
        self._redirect_uri = redirect_uri
        self._open_browser = open_browser
        self._web_ui = web_ui
        self._pages = pages or {}
        self._ends_at: float | None = None
        self._observers: list[Callable[[SignIn], None]] = []
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._answer: dict[str, str] | None = None
        self._told = False
        self._expected_state: str | None = None
        self._receiver: Any = None
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
        return None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

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
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(ABORT_AFTER)
            if self._thread.is_alive():
                self.engine.abort()

    def submit(self, address_or_code: str) -> None:
        """Hand in the address at which the browser ended, its query, or the bare code.

        Raises ``ConfigurationError`` for what is none of these, or another sign-in's.
        """
        if self._expected_state is None or self.state != "waiting":
            raise ConfigurationError(
                "This sign-in is not waiting for an address.", code="not_waiting"
            )
        answer = _answer_in(address_or_code.strip(), self._expected_state)
        if not answer.keys() & {"code", "error"}:
            raise ConfigurationError(
                "That address carries no answer of the provider.",
                code="bad_answer",
                hint="Copy the whole address at which the browser ended, from https or http on.",
            )
        if answer.get("state") != self._expected_state:
            raise ConfigurationError(
                "That address belongs to another sign-in.",
                code="state_mismatch",
                hint="Copy the address of the page that this sign-in opened.",
            )
        self._answer = answer
        self._wake.set()

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

    def _run(self) -> None:
        try:
            if self.flow == "auto":
                self.flow = self._choose(self)
            response = self._walk(flow_named(self.flow)(self.engine, self.request))
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
            self._close_receiver()

    def _walk(self, steps: Generator[Any, Any, TokenResponse]) -> TokenResponse:
        answer: Any = None
        try:
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as stop:
                    response: TokenResponse = stop.value
                    return response
                self._check_cancelled()
                answer = self._do(step)
        finally:
            steps.close()

    def _do(self, step: object) -> object:
        match step:
            case ShowUserCode():
                self.user_code = step.user_code
                self.verification_uri = step.verification_uri
                self.verification_uri_complete = step.verification_uri_complete
                self._ends_in(min(step.expires_in, self._timeout or step.expires_in))
                self.message = (
                    f"To sign in, open {step.verification_uri} and enter the code {step.user_code}"
                )
                self._notify()
            case OpenReceiver():
                return self._open_receiver(step)
            case OpenBrowser():
                self.authorize_url = step.authorize_url
                self._ends_in(self._timeout or DEFAULT_TIMEOUT)
                self.message = "Sign in with your browser; the notebook goes on by itself."
                self._notify()
                if self._open_browser is not None and self._web_ui is None:
                    self._open_browser(step.authorize_url)
            case AwaitRedirect():
                return self._await_redirect()
            case Pause():
                self._pause(step.seconds)
                self._check_expired()
                return time.monotonic()
        return None

    def _open_receiver(self, step: OpenReceiver) -> str:
        self._expected_state = step.state
        if self._web_ui is not None:
            return self._redirect_uri or "http://localhost"
        from nbauth.oauth.receiver import Receiver

        microsoft = self.engine.authority.microsoft
        self._receiver = Receiver(
            step.state,
            redirect_uri=self._redirect_uri,
            default_host="localhost" if microsoft else "127.0.0.1",
        )
        self._receiver.answer.add_done_callback(lambda _: self._wake.set())
        redirect_uri: str = self._receiver.redirect_uri
        return redirect_uri

    def _await_redirect(self) -> dict[str, str]:
        if self._web_ui is not None:
            self._ask_web_ui(self._web_ui)
        while self._answer is None:
            self._pause(1.0)
            if self._receiver is not None and self._receiver.answer.done():
                self._answer = self._receiver.answer.result()
            elif self._answer is None:
                self._check_expired()
        self.message = "Asking the provider for tokens…"
        self._notify()
        return self._answer

    def _ask_web_ui(self, web_ui: Callable[[str], str]) -> None:
        try:
            ended_at = web_ui(self.authorize_url or "")
            if not isinstance(ended_at, str):
                raise TypeError(f"it returned {type(ended_at).__name__}")
            self.submit(ended_at)
        except NbAuthError:
            raise
        except Exception as error:
            raise SignInError(
                f"The web_ui callable failed: {type(error).__name__}.",
                code="web_ui_failed",
                hint="It takes the authorize URL and returns the address the browser ended at.",
            ) from error

    def _pause(self, seconds: float) -> None:
        """Wait, but not past the end, a cancellation, or an answer."""
        left = self.expires_in
        self._wake.wait(seconds if left is None else min(seconds, left))
        self._wake.clear()
        self._check_cancelled()

    def _check_expired(self) -> None:
        if self.expires_in == 0:
            raise SignInExpired("Nobody finished the sign-in in time.", code="timeout")

    def _check_cancelled(self) -> None:
        if self.error is not None:
            raise self.error

    def _ends_in(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def _settle(
        self, state: State, *, account: Account | None = None, error: NbAuthError | None = None
    ) -> None:
        with self._lock:
            if self.state != "waiting":
                return
            self.state, self.account, self.error = state, account, error
            self.user_code = self.verification_uri = self.authorize_url = None
            self.verification_uri_complete = self._expected_state = None
            self.message = f"Signed in as {account.username}." if account else str(error)
        self.ended.set()
        self._notify()

    def _close_receiver(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        if self.state == "done":
            text = (
                self._pages.get("success") or "You can close this tab and return to your notebook."
            )
            receiver.finish("You are signed in", text)
        else:
            text = self._pages.get("error") or f"{self.error} You can close this tab."
            receiver.finish("Not signed in", text)

    def _notify(self) -> None:
        for observer in list(self._observers):
            observer(self)


def _answer_in(text: str, state: str) -> dict[str, str]:
    """The parameters in an address or its query; a bare code gets the state it was asked with."""
    try:
        pairs = parse_qsl(urlsplit(text).query if "://" in text else text.lstrip("?"))
    except ValueError:
        return {}
    code = text.rstrip("=")  # some codes are base64
    if code and "=" not in code and "://" not in code and not any(c.isspace() for c in code):
        return {"code": text, "state": state}
    answer = dict(pairs)
    return answer if len(answer) == len(pairs) else {}
