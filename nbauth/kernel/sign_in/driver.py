"""Runs one flow: performs each step that it yields, and sends it the result."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Generator
from dataclasses import replace
from time import monotonic
from typing import Any, NoReturn

from nbauth.core.errors import ConfigurationError, NbAuthError, SignInError
from nbauth.core.interrupts import Flag
from nbauth.core.log import place, trail, word
from nbauth.core.steps import (
    Asking,
    AskPassword,
    AwaitRedirect,
    OpenBrowser,
    OpenReceiver,
    Pause,
    ReceiverKind,
    Receiving,
    Shown,
    ShowUserCode,
)
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.sign_in.browsers import open_browser
from nbauth.kernel.sign_in.handed_in import handed_in
from nbauth.kernel.sign_in.last_page import last_page
from nbauth.kernel.sign_in.password_question import Answer, PasswordQuestion
from nbauth.kernel.sign_in.protocol import Driven, Receiver, Screen
from nbauth.kernel.sign_in.redirect_uri import with_source
from nbauth.kernel.sign_in.request import WebUi
from nbauth.oauth.engines.protocol import Engine
from nbauth.oauth.error_catalogue import error_from

log = logging.getLogger(__name__)
Steps = Generator[Any, Any, TokenResponse]


class Driver:
    """Runs one flow once.

    Args:
        engine: passed to the flow.
        screen: gives the callback on the person's Jupyter server.
        sign_in: has the request, shows steps, says when to stop.
    """

    def __init__(self, engine: Engine, screen: Screen, sign_in: Driven) -> None:
        self._engine = engine
        self._request = sign_in.request
        self._settings = sign_in.request.client.settings
        self._screen = screen
        self._sign_in = sign_in
        self._wake = Flag()
        self._time = sign_in.time
        self._state: str | None = None
        self._answer: dict[str, str] | None = None
        self._receiver: Receiver | None = None
        self._password = PasswordQuestion(sign_in, screen)

    def walk(self, steps: Steps) -> TokenResponse:
        """Run the flow to its end. Raises its errors, ``SignInExpired``, or the reason to stop."""
        answer: Any = None
        try:
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as stop:
                    response: TokenResponse = stop.value
                    return response
                answer = None  # a refused password, while the person types another
                self._check_stopped()
                answer = self._do(step)
        except NbAuthError as error:
            self._password.failed(error)
            raise
        finally:
            self._state = answer = None  # the traceback of an error keeps the frame
            self._password.close()
            steps.close()

    def pause(self, seconds: float) -> None:
        """Wait; return early at the end of the time, at a stop, or when a response has arrived."""
        left = self._time.left
        self._wake.wait(seconds if left is None else min(seconds, left))
        self._wake.clear()
        self._check_stopped()

    @property
    def has_answer(self) -> bool:
        """Whether the authorization response is here, which is redeemed next."""
        return self._answer is not None

    def wake(self) -> None:
        """End a pause: a response has arrived, or the flow has to stop."""
        self._wake.set()

    def await_person(self) -> NoReturn:
        """Wait for the person to choose another flow, which stops this one."""
        self._time.begin()
        while True:
            self.pause(1.0)
            self._time.check()

    def submit(self, text: str) -> None:
        """Take the address of the last page, its query, or the bare code.

        Raises ``ConfigurationError`` for anything else and for another sign-in's address, and the
        provider's error for an error response without ``state``.
        """
        state = self._state
        if state is None:
            raise ConfigurationError(
                "This sign-in is not waiting for an address.", code="not_waiting"
            )
        answer = handed_in(text, state)
        log.debug("an address or a code was handed in")
        self._answer = answer
        self.wake()

    def enter(self, username: str, password: str) -> None:
        """Take the user name and the password. Raises ``ConfigurationError``."""
        self._password.give(username, password)
        log.debug("a password was handed in")
        self.wake()

    def free(self, end: Shown) -> None:
        """Free what the next sign-in may need. Any thread may call it once the end is known."""
        if (receiver := self._receiver) is not None:
            receiver.free(*last_page(end, self._settings))

    def finish(self, end: Shown) -> None:
        """Show the waiting browser how the sign-in ended, and close the receiver."""
        if (receiver := self._receiver) is not None:
            receiver.finish(*last_page(end, self._settings))
            self._receiver = None

    def forked(self) -> None:
        """In a forked child: the browser returns to the parent only."""
        self._password.close()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.forked()

    # ── the steps ───────────────────────────────────────────────────────────────────────────

    def _do(self, step: object) -> object:
        match step:
            case ShowUserCode():
                self._time.begin(step.expires_in)
                self._sign_in.show(step)
            case OpenReceiver():
                return self._open(step)
            case OpenBrowser():
                self._time.begin()
                self._sign_in.show(step)
                if self._request.web_ui is not None:
                    self._ask_web_ui(self._request.web_ui, step.authorize_url)
                elif self._settings.open_browser:
                    choice = self._settings.open_browser
                    self._apart(lambda: open_browser(choice, step.authorize_url))
            case AwaitRedirect():
                return self._await_redirect()
            case Asking():
                self._time.begin()
                self._sign_in.show(step)
            case AskPassword():
                return self._ask_password(step)
            case Pause():
                self.pause(step.seconds)
                self._time.check()
                return monotonic()
            case _:
                raise TypeError(f"unknown step {type(step).__name__}")
        return None

    def _open(self, step: OpenReceiver) -> Receiving:
        try:
            receiving = self._receiving(step)
        except ConfigurationError as error:
            raise with_source(error, self._settings.source("redirect_uri")) from error
        log.debug("the redirect URI is %s", place(receiving.redirect_uri))
        self._state = receiving.state
        if self._receiver is not None:
            self._receiver.answer.add_done_callback(lambda _: self.wake())
            self._receiver.stray.add_done_callback(lambda _: self.wake())
        self._check_stopped()  # a stop before this line did not wake the receiver
        return receiving

    def _receiving(self, step: OpenReceiver) -> Receiving:
        # Microsoft registers localhost; elsewhere RFC 8252 §8.3 recommends the numeric address.
        host = "localhost" if self._engine.authority.microsoft else "127.0.0.1"
        registered = self._settings.redirect_uri
        own = self._settings.loopback_uri
        if self._request.web_ui is not None:
            return Receiving(registered or f"http://{host}", step.secret)
        if step.receiver is ReceiverKind.NONE:
            return Receiving(own or f"http://{host}", step.secret)
        if step.receiver is ReceiverKind.JUPYTER_SERVER:
            self._receiver = self._screen.callback(self._sign_in, step.secret, registered)
            return Receiving(self._receiver.redirect_uri, self._receiver.state)
        from nbauth.kernel.sign_in.receivers.loopback import Receiver as Listener

        listener = Listener(step.secret, redirect_uri=own, default_host=host)
        self._receiver = listener
        return Receiving(listener.redirect_uri, listener.state, forms=True)

    def _await_redirect(self) -> dict[str, str]:
        while self._answer is None:
            self.pause(1.0)
            if self._receiver is not None and self._receiver.answer.done():
                self._answer = self._receiver.answer.result()
                log.debug("the authorization response has arrived")
            elif self._answer is None:
                self._show_stray_refusal()
                self._time.check()
        self._sign_in.show(Asking("Asking the provider for tokens…"))
        return self._answer

    def _ask_password(self, step: AskPassword) -> Answer:
        answer = self._password.stored(step)
        if answer is None:
            self._time.begin()
            self._sign_in.show(self._password.open(step))
            while (answer := self._password.take()) is None:
                self._time.check()
                self.pause(1.0)
        self._sign_in.show(Asking("Asking the provider for tokens…"))
        return answer

    def _show_stray_refusal(self) -> None:
        """Show an error response without ``state``. Anyone can send one, so it ends nothing."""
        receiver, shown = self._receiver, self._sign_in.step
        if receiver is None or not receiver.stray.done() or not isinstance(shown, OpenBrowser):
            return
        if not shown.note:
            code = word(receiver.stray.result()["error"])
            refusal = error_from({"error": code})
            note = f"{refusal} That response has no state, so this sign-in continues."
            self._sign_in.show(replace(shown, note=note))

    def _apart(self, call: Callable[[], object]) -> object:
        """Run code that is not nbauth's and may never return; return its result.

        It runs in a thread of its own, which is abandoned when the sign-in ends or when the
        authorization response arrives first.
        """
        outcome: list[object] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                outcome.append(call())
            except BaseException as error:
                failed.append(error)
            finally:
                self.wake()

        thread = threading.Thread(
            target=contextvars.copy_context().run, args=(run,), name="nbauth-called", daemon=True
        )
        thread.start()
        while not (outcome or failed or self._has_come_back):
            self.pause(1.0)
            self._time.check()
        if failed:
            raise failed[0]
        return outcome[0] if outcome else None

    @property
    def _has_come_back(self) -> bool:
        """Whether the authorization response has arrived or was handed in."""
        receiver = self._receiver
        return self._answer is not None or (receiver is not None and receiver.answer.done())

    def _ask_web_ui(self, web_ui: WebUi, authorize_url: str) -> None:
        try:
            ended_at = self._apart(lambda: web_ui(authorize_url))
            if self._has_come_back:  # the person has handed it in meanwhile
                return
            if not isinstance(ended_at, str):
                raise TypeError(f"it returned {type(ended_at).__name__}")
            self.submit(ended_at)
        except NbAuthError:
            raise
        except Exception as error:
            log.debug("the web_ui callable failed: %s", trail(error))
            raise SignInError(
                f"The web_ui callable failed: {type(error).__name__}.",
                code="web_ui_failed",
                hint="It must take the address of the sign-in page, and return the address of the"
                " last page as a str.",
            ) from error

    def _check_stopped(self) -> None:
        if (error := self._sign_in.stopped()) is not None:
            raise error
