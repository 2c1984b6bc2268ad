"""One attempt to sign in. One thread runs it; callers block on it, await it, or check it later."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import math
import threading
import time
from dataclasses import replace
from typing import NoReturn

from nbauth.core.errors import (
    ConfigurationError,
    NbAuthError,
    SignInCancelled,
    SignInError,
)
from nbauth.core.flow_names import AUTO
from nbauth.core.interrupts import Flag, join, true_interrupts
from nbauth.core.log import place, trail, word
from nbauth.core.person import Obstacle
from nbauth.core.secret import refuse_pickling
from nbauth.core.signal import Signal
from nbauth.core.steps import (
    Cancelled,
    Done,
    End,
    Failed,
    Shown,
)
from nbauth.core.text import plain
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.sign_in.protocol import Begins, Destination, Passwords, Pending, Screen
from nbauth.kernel.sign_in.request import Request
from nbauth.kernel.sign_in.seats import Seats
from nbauth.kernel.sign_in.waited import Waited
from nbauth.kernel.sign_in.walk import Walk
from nbauth.oauth.engines.protocol import Engine

ABORT_AFTER = 0.2
"""Seconds that a cancelled flow has to end by itself before its requests are aborted."""
log = logging.getLogger(__name__)


class SignIn(Waited):
    """One attempt to sign in, shared by every panel and caller that joined it.

    Its visible state is in :class:`~nbauth.kernel.sign_in.seen.Seen`; its waiting callers are in
    :class:`~nbauth.kernel.sign_in.waited.Waited`.

    Attributes:
        engine: talks to the provider.
        makes_current: whether the account becomes current, because one of the callers wants that.
        passwords: those that the person has stored.
        obstacle: why nobody can answer its questions; ``None`` if somebody can.
        ended_at: when it ended, on the monotonic clock.
    """

    def __init__(
        self,
        request: Request,
        engine: Engine,
        screen: Screen,
        destination: Destination,
        attempts: Begins,
        passwords: Passwords,
    ) -> None:
        super().__init__(request, screen)
        self.passwords = passwords
        self.obstacle: Obstacle | None = None
        self.engine = engine
        self.makes_current = request.makes_current
        self.ended_at = -math.inf
        self._destination = destination
        self._attempts = attempts
        self._ticket = destination.ticket()
        self._arriving = self._withdrawing = False  # under the lock
        self._starting = threading.Lock()
        self._walk = Walk(engine, screen, self)
        # With its own context; otherwise this thread's output appears under a later cell.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._run,),
            name="nbauth-sign-in",
            daemon=True,
        )

    def __repr__(self) -> str:
        return f"<SignIn {self.flow}: {self.state}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, "sign in in the other process.")

    # ── its state ───────────────────────────────────────────────────────────────────────────

    @property
    def flow(self) -> str:
        """The name of the flow; ``"auto"`` until a flow is chosen."""
        return self._walk.flow

    @property
    def ways(self) -> tuple[str, ...]:
        """The flows that the person can choose from, best first; ``()`` until known."""
        return self._walk.ways

    # ── actions ─────────────────────────────────────────────────────────────────────────────

    def start(self) -> SignIn:
        """Start the thread, unless it was started.

        Every caller that joins calls this, so the sign-in runs even if its first caller was
        interrupted before this line.
        """
        failure = None
        with self._starting:
            if self._thread.ident is None and not self.ended.is_set():
                try:
                    with true_interrupts():
                        self._thread.start()
                except RuntimeError as error:
                    failure = SignInError(f"The sign-in could not start: {error}.")
        if failure is not None:
            self._end(Failed(failure))
            self.engine.close()
        return self

    def again(self, flow: str | None = None) -> Pending:
        """Begin a new attempt with the same request, for a panel that shows this one."""
        request = replace(self.request, makes_current=self.makes_current)
        if flow:
            request = replace(request, flow=flow)
        return self._attempts.begin(request, show=False)

    def wanted(self) -> None:
        """Note that a caller wants it now: an earlier sign-out does not refuse its tokens."""
        self._ticket = self._destination.ticket()

    def joined(self, request: Request) -> bool:
        """Serve this request too; ``False`` if the sign-in has ended, or is about to."""
        self.makes_current = self.makes_current or request.makes_current
        self.wanted()
        if not self.give(request.client.settings.timeout):
            return False
        flow = request.first_flow
        if flow not in {AUTO, self.flow}:
            self.time.keep_turn()
            try:
                self.switch(flow)
            except ConfigurationError:
                return False
        return self.state != "cancelled"

    def cancel(self) -> None:
        """Cancel the sign-in. Its thread, port and requests end within a second.

        After the provider's tokens have arrived, it can't be cancelled and ends as done.
        """
        with self._lock:
            arriving = self._arriving
        if not arriving:
            self._end(Cancelled(SignInCancelled("The sign-in was cancelled.")))
        self._walk.driver.wake()
        if self._thread.ident is None:  # it never began
            self.engine.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            join(self._thread, ABORT_AFTER)
            if self._thread.is_alive() and not (arriving or self._withdrawing):
                self.engine.abort()

    def forked(self) -> None:
        """In a forked child: it continues in the parent, which owns its thread and lock."""
        self._lock, self._starting = threading.Lock(), threading.Lock()
        self.changed, self.ended, self.seats = Signal(), Flag(), Seats()
        self._walk.driver.forked()
        if isinstance(self.step, End):
            self.ended.set()
        else:
            text = "This process was forked, and this sign-in continues in the parent process."
            self._end(Cancelled(SignInCancelled(text)))

    def switch(self, flow: str) -> None:
        """Stop the current flow and continue with another; waiting callers go on waiting.

        Raises ``FlowUnavailable`` for a flow that does not work here, ``ConfigurationError`` if the
        sign-in has ended.
        """
        if self.ended.is_set():
            raise ConfigurationError("This sign-in has already ended.", code="not_waiting")
        if not self._walk.choose(flow, ABORT_AFTER) and not self._walk.driver.has_answer:
            self.engine.abort()  # not while a code is being redeemed: it works only once

    def submit(self, address_or_code: str) -> None:
        """Accept the address of the last page, the query of this address, or only the code.

        Raises ``ConfigurationError`` for anything else, and for the address of another sign-in.
        """
        self._walk.driver.submit(address_or_code)

    def enter(self, username: str, password: str) -> None:
        """Accept the user name and the password, while the flow ``password`` asks for them.

        Raises ``ConfigurationError`` if one is missing, or the sign-in does not ask for them.
        """
        self._walk.driver.enter(username, password)

    # ── in its own thread ───────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        self.calls_from_here()
        try:
            log.debug("a sign-in begins at %s", place(self.request.client.authority.url))
            self._arrive(self._walk.obtain())
        except BaseException as error:  # also a SystemExit of a web_ui
            log.debug("%s: ended by %s", self.flow, trail(error))
            self._end(Failed(_as_sign_in_error(error)))
        finally:
            self._walk.driver.finish(self.step)
            self.engine.close()

    def stopped(self) -> NbAuthError | None:
        """For the driver: why to stop, because the sign-in has ended or another flow was chosen."""
        if self._walk.chosen is not None:
            return SignInCancelled("Another flow was chosen.")
        return self.error

    def show(self, step: Shown) -> None:
        """For the driver: show this step to the person, unless the sign-in has ended."""
        with self._lock:
            if isinstance(self.step, End):
                return
            self.step = step
        log.debug("%s: %s", self.flow, type(step).__name__)
        self.changed.emit(self)

    def _arrive(self, response: TokenResponse) -> None:
        """Hand the tokens over, without a lock; from here on it can't be cancelled."""
        with self._lock:
            self._arriving = not isinstance(self.step, End)
            self._withdrawing = not self._arriving
        if self._withdrawing:
            self._withdraw(response)
            return
        log.debug("%s: tokens have arrived for %s", self.flow, " ".join(self.request.scopes))
        sign_out_url = self.engine.sign_out_url
        try:
            request = replace(self.request, makes_current=self.makes_current, flow=self._walk.flow)
            account = self._destination.accept(request, response, sign_out_url, self._ticket)
        except SignInCancelled as error:
            self._withdrawing = True
            self._end(Cancelled(error))
            self._withdraw(response)
        else:
            self._attempts.arrived(self, account)
            self._end(Done(account))

    def _withdraw(self, response: TokenResponse) -> None:
        """Revoke tokens that nobody will use, if the provider supports that."""
        if response.refresh_token is not None:
            with contextlib.suppress(NbAuthError):
                self.engine.revoke(response.refresh_token)

    def _end(self, step: End) -> None:
        """Set the final step. The port is free before the waiting callers go on."""
        first = False
        try:
            with self._lock:
                first = not isinstance(self.step, End)
                if first:
                    self.step, self.ended_at = step, time.monotonic()
            self._walk.driver.free(self.step)
        finally:  # otherwise an interrupt here leaves the callers waiting
            if isinstance(self.step, End):
                self.ended.set()
        if not first:
            return
        if isinstance(step, Done):
            log.debug("%s: done", self.flow)
        else:
            log.debug("%s: %s (%s)", self.flow, self.state, word(step.error.code))
        self.changed.emit(self)


def _as_sign_in_error(error: BaseException) -> NbAuthError:
    if isinstance(error, NbAuthError):
        return error
    failure = SignInError(f"The sign-in failed: {plain(error) or type(error).__name__}.")
    failure.__cause__ = error
    return failure
