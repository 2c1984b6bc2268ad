"""Walks the steps of one flow: shows, opens, waits, and hands the answers back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol
from urllib.parse import parse_qsl, urlsplit

from nbauth.core.errors import ConfigurationError, NbAuthError, SignInError, SignInExpired
from nbauth.core.steps import (
    AwaitRedirect,
    OpenBrowser,
    OpenReceiver,
    Pause,
    Receiving,
    ShowUserCode,
)
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines import Engine

DEFAULT_TIMEOUT = 300.0
"""Seconds for the person, where the provider sets no limit of its own."""
Steps = Generator[Any, Any, TokenResponse]


class Receiver(Protocol):
    """A place that the browser comes back to, open until :meth:`finish`.

    Attributes:
        redirect_uri: its address.
        state: the ``state`` by which it knows the genuine answer.
        answer: a future of the answer's parameters.
    """

    redirect_uri: str
    state: str
    answer: Future[dict[str, str]]

    def finish(self, title: str, text: str) -> None:
        """Show the browser that waits there how it ended, and close."""


@dataclass(frozen=True)
class Means:
    """What a sign-in may use, as the settings and the screen give it.

    Attributes:
        timeout: seconds for the person; ``None`` leaves it to the provider, else 300.
        redirect_uri: the registered address to come back to.
        open_browser: opens an address by itself; ``None`` leaves that to the screen.
        web_ui: takes the authorize URL and returns the address at which the browser ended.
        pages: texts for the pages a browser ends on, ``"success"`` and ``"error"``.
        callback: opens the place on the person's Jupyter server for an answer with this secret.
    """

    timeout: float | None = None
    redirect_uri: str | None = None
    open_browser: Callable[[str], object] | None = None
    web_ui: Callable[[str], str] | None = None
    pages: Mapping[str, str | None] = field(default_factory=dict)
    callback: Callable[[str], Receiver] | None = None


class Driver:
    """Drives one flow once.

    Args:
        engine: whom the flow talks to.
        means: what it may use.
        tell: takes what the person has to know, by the names of ``SignIn``'s attributes.
        stopped: the error with which to end now, or ``None``.
    """

    def __init__(
        self,
        engine: Engine,
        means: Means,
        tell: Callable[..., None],
        stopped: Callable[[], NbAuthError | None],
    ) -> None:
        self._engine = engine
        self._means = means
        self._tell = tell
        self._stopped = stopped
        self._wake = threading.Event()
        self._ends_at: float | None = None
        self._state: str | None = None
        self._answer: dict[str, str] | None = None
        self._receiver: Receiver | None = None

    @property
    def expires_in(self) -> float | None:
        """Seconds left to the person, ``None`` while that is unknown."""
        return None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    def walk(self, steps: Steps) -> TokenResponse:
        """Take the flow to its end. Raises its errors, ``SignInExpired``, or what stops it."""
        answer: Any = None
        try:
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as stop:
                    response: TokenResponse = stop.value
                    return response
                self._check_stopped()
                answer = self._do(step)
        finally:
            self._state = None
            steps.close()

    def pause(self, seconds: float) -> None:
        """Wait, but not past the end, a stop, or an answer."""
        left = self.expires_in
        self._wake.wait(seconds if left is None else min(seconds, left))
        self._wake.clear()
        self._check_stopped()

    def wake(self) -> None:
        """Look up from a pause: something has come, or it has to stop."""
        self._wake.set()

    def await_person(self) -> NoReturn:
        """Wait for the person to choose another way, which is a stop to this one."""
        self._ends_in(self._means.timeout or DEFAULT_TIMEOUT)
        while True:
            self.pause(1.0)
            self._check_expired()

    def submit(self, text: str) -> None:
        """Take the address at which the browser ended, its query, or the bare code."""
        state = self._state
        if state is None:
            raise ConfigurationError(
                "This sign-in is not waiting for an address.", code="not_waiting"
            )
        answer = _answer_in(text.strip(), state)
        if not answer.keys() & {"code", "error"}:
            raise ConfigurationError(
                "That address carries no answer of the provider.",
                code="bad_answer",
                hint="Copy the whole address at which the browser ended, from http on.",
            )
        if answer.get("state") != state:
            raise ConfigurationError(
                "That address belongs to another sign-in.",
                code="state_mismatch",
                hint="Copy the address of the page that this sign-in opened.",
            )
        self._answer = answer
        self.wake()

    def finish(self, account: object, error: NbAuthError | None) -> None:
        """Tell the browser that waits how it ended, and close the place it came back to."""
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        pages = self._means.pages
        if account is not None:
            text = pages.get("success") or "You can close this tab and return to your notebook."
            receiver.finish("You are signed in", text)
        else:
            text = pages.get("error") or f"{error} You can close this tab."
            receiver.finish("Not signed in", text)

    # ── the steps ───────────────────────────────────────────────────────────────────────────

    def _do(self, step: object) -> object:
        match step:
            case ShowUserCode():
                self._ends_in(min(step.expires_in, self._means.timeout or step.expires_in))
                self._tell(
                    user_code=step.user_code,
                    verification_uri=step.verification_uri,
                    verification_uri_complete=step.verification_uri_complete,
                    message=f"To sign in, open {step.verification_uri}"
                    f" and enter the code {step.user_code}",
                )
            case OpenReceiver():
                return self._open(step)
            case OpenBrowser():
                self._ends_in(self._means.timeout or DEFAULT_TIMEOUT)
                self._tell(
                    authorize_url=step.authorize_url,
                    message="Sign in with your browser; the notebook goes on by itself.",
                )
                if self._means.web_ui is not None:
                    self._ask_web_ui(self._means.web_ui, step.authorize_url)
                elif self._means.open_browser is not None:
                    self._means.open_browser(step.authorize_url)
            case AwaitRedirect():
                return self._await_redirect()
            case Pause():
                self.pause(step.seconds)
                self._check_expired()
                return time.monotonic()
        return None

    def _open(self, step: OpenReceiver) -> Receiving:
        receiving = self._receiving(step)
        self._state = receiving.state
        if self._receiver is not None:
            self._receiver.answer.add_done_callback(lambda _: self.wake())
        return receiving

    def _receiving(self, step: OpenReceiver) -> Receiving:
        # Microsoft's registrations know localhost; RFC 8252 §8.3 advises the number elsewhere.
        host = "localhost" if self._engine.authority.microsoft else "127.0.0.1"
        if self._means.web_ui is not None or step.place == "paste":
            return Receiving(self._means.redirect_uri or f"http://{host}", step.secret)
        if step.place == "callback" and self._means.callback is not None:
            self._receiver = receiver = self._means.callback(step.secret)
            return Receiving(receiver.redirect_uri, receiver.state)
        from nbauth.oauth.receiver import Receiver as Listener

        self._receiver = receiver = Listener(
            step.secret, redirect_uri=self._means.redirect_uri, default_host=host
        )
        return Receiving(receiver.redirect_uri, receiver.state, forms=True)

    def _await_redirect(self) -> dict[str, str]:
        while self._answer is None:
            self.pause(1.0)
            if self._receiver is not None and self._receiver.answer.done():
                self._answer = self._receiver.answer.result()
            elif self._answer is None:
                self._check_expired()
        self._tell(message="Asking the provider for tokens…", authorize_url=None)
        return self._answer

    def _ask_web_ui(self, web_ui: Callable[[str], str], authorize_url: str) -> None:
        try:
            ended_at = web_ui(authorize_url)
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

    def _ends_in(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def _check_expired(self) -> None:
        if self.expires_in == 0:
            raise SignInExpired("Nobody finished the sign-in in time.", code="timeout")

    def _check_stopped(self) -> None:
        if (error := self._stopped()) is not None:
            raise error


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
