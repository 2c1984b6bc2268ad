"""Begins sign-ins and joins requests for the same sign-in."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from nbauth.core.account import Account, ClientKey, is_account
from nbauth.core.errors import InteractionRequired
from nbauth.core.flow_names import AUTO
from nbauth.core.forks import no_fork
from nbauth.core.person import NOBODY
from nbauth.core.signal import Signal
from nbauth.kernel.sign_in.seats import Seat, seated, seated_async
from nbauth.kernel.unattended import check_client_id, is_service, named_flow
from nbauth.oauth.client import Engines

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.attempt import SignIn
    from nbauth.kernel.sign_in.protocol import Destination, Passwords, Screen
    from nbauth.kernel.sign_in.request import Request
    from nbauth.oauth.flows.record import Flow

log = logging.getLogger(__name__)
MOST_UNTOLD = 20
"""Failures not reported to a caller yet that are remembered; the oldest are dropped first."""
AT_ITS_END = 1.0
"""Seconds to wait for the end of a sign-in that can't be joined any more."""


def checked_flow(request: Request) -> Flow | None:
    """The flow that a request names; ``None`` if it depends on the front end.

    Raises ``FlowUnavailable`` and ``ConfigurationError`` for one that cannot work.
    """
    if request.first_flow == AUTO:
        return None
    from nbauth.oauth.flows import flow_named

    flow = flow_named(request.first_flow)
    flow.check(request.client.authority, request.authorization)
    return flow


class Attempts:
    """The sign-ins in progress, and background failures that no caller has seen yet.

    Args:
        engines: makes the engine of each.
        screen: shows them.
        destination: takes their tokens.
        passwords: those that the person has stored.

    Attributes:
        began: a ``Signal``, emitted when one has begun.
    """

    def __init__(
        self, engines: Engines, screen: Screen, destination: Destination, passwords: Passwords
    ) -> None:
        self.began = Signal()
        self._engines = engines
        self._screen = screen
        self._destination = destination
        self._passwords = passwords
        self._known: list[SignIn] = []
        self._lock = threading.Lock()

    def sign_in(self, request: Request) -> Account:
        """Sign in, or wait for the sign-in in progress for the same request, which is shown here.

        If the request names another flow, the sign-in in progress switches to it. Raises
        ``FlowUnavailable``, ``InteractionRequired``, and the error of the sign-in.
        """
        return seated(lambda seat: self._begun(request, seat).wait_for(seat, request))

    async def sign_in_async(self, request: Request) -> Account:
        """The same, awaited."""
        return await seated_async(
            lambda seat: self._begun(request, seat).wait_for_async(seat, request)
        )

    def join(self, sign_in: SignIn, timeout: float | None) -> None:
        """Wait up to ``timeout`` seconds for a sign-in in progress, unless it is about to end."""
        seated(lambda seat: sign_in.join(seat, timeout))

    async def join_async(self, sign_in: SignIn, timeout: float | None) -> None:
        """The same, awaited."""
        await seated_async(lambda seat: sign_in.join_async(seat, timeout))

    def begin(self, request: Request, *, show: bool = True) -> SignIn:
        """Begin a sign-in that continues even if no caller waits, or join one in progress.

        ``show``: whether to show it; a caller that shows it itself, such as a panel, says no.
        Raises as :meth:`sign_in` does.
        """

        def hold(seat: Seat) -> SignIn:
            sign_in = self._begun(request, seat, show=show, waits=False)
            sign_in.hold()
            return sign_in

        return seated(hold)

    def _begun(
        self, request: Request, seat: Seat, *, show: bool = True, waits: bool = True
    ) -> SignIn:
        attended = self._screen.attended()
        request = self._unattended(request, attended)
        service = is_service(request.first_flow)
        check_client_id(request.client, request.first_flow)
        checked_flow(request)
        shown = show and request.web_ui is None and not service
        obstacle = None if attended or not shown else self._screen.obstacle() or NOBODY
        if obstacle is not None and not (self._under_way(request) or self.needs_nobody(request)):
            raise InteractionRequired(
                f"Signing in needs a person. {obstacle.what}",
                code=obstacle.code,
                hint=obstacle.hint,
            )
        self._destination.prepare(request)
        made = self._made(request)
        made.obstacle = obstacle
        attempt = None
        try:
            attempt = self._join_or_register(made, seat)
            while attempt is not made and not attempt.joined(request):
                attempt.ended.wait(AT_ITS_END)
                seat.leave()
                attempt = self._join_or_register(made, seat)
            if attempt is not made and obstacle is None:
                attempt.obstacle = None
            if shown and attended and (attempt is made or waits):
                self._screen.show(attempt)
            attempt.start()
        finally:
            if attempt is not made:
                made.engine.close()
        log.debug("a sign-in is %s", "begun" if attempt is made else "joined")
        if attempt is made:
            self.began.emit()
        return attempt

    def _unattended(self, request: Request, attended: bool) -> Request:
        """The request with the service identity that the environment names, if nobody is there."""
        if attended or request.first_flow != AUTO or request.asked is not None:
            return request
        flow = named_flow(request.client)
        return replace(request, flow=flow, unasked=True) if flow else request

    def needs_nobody(self, request: Request) -> bool:
        """Whether the flow signs a person in without asking, or the keyring has the password.

        Raises as :func:`checked_flow` and ``StoredPasswords.of`` do.
        """
        flow = checked_flow(request)
        if flow is None or not flow.asks_password:
            return flow is not None and not flow.interactive
        username = request.authorization.login_hint or ""
        return self._passwords.of(request.client.settings, username) is not None

    def _made(self, request: Request) -> SignIn:
        # The modules of a sign-in are loaded by the first one, not by %load_ext.
        # A fork waits for this import, the first time only.
        first = "nbauth.kernel.sign_in.attempt" not in sys.modules
        with no_fork() if first else contextlib.nullcontext():
            from nbauth.kernel.sign_in.attempt import SignIn

        engine = self._engines.for_sign_in(request.client)
        return SignIn(request, engine, self._screen, self._destination, self, self._passwords)

    def _join_or_register(self, made: SignIn, seat: Seat) -> SignIn:
        with self._lock:
            known = self._under_way(made.request)
            if known is not None and seat.take(known):
                return known
            seat.take(made)
            self._register(made)
            return made

    def _register(self, made: SignIn) -> None:
        others = [o for o in self._known if not o.request.is_same(made.request)]
        failed = [other for other in others if other.untold][-MOST_UNTOLD:]
        waiting = [other for other in others if other.state == "waiting"]
        self._known = [*failed, *waiting, made]

    def _under_way(self, request: Request) -> SignIn | None:
        for known in self._known:
            if known.state == "waiting" and known.request.is_same(request):
                return known
        return None

    def waiting(self, client: ClientKey | None = None) -> list[SignIn]:
        """The sign-ins in progress, of one client or all."""
        return [known for known in self._of(client) if known.state == "waiting"]

    def untold(self, client: ClientKey) -> list[SignIn]:
        """A client's failed sign-ins whose error no caller has seen yet."""
        return [known for known in self._of(client) if known.untold]

    def raise_if_refused(self, request: Request, since: float) -> None:
        """Raise the error of the same sign-in, if it has ended without success since a moment."""
        for known in self._of(request.client.key):
            if known.ended_at >= since and known.error and known.request.is_same(request):
                known.result()

    def arrived(self, sign_in: SignIn, account: Account) -> None:
        """A sign-in has got tokens: mark earlier failures of the same account as reported."""
        for failed in self.untold(sign_in.request.client.key):
            asked = failed.request.asked
            if failed is not sign_in and (asked is None or is_account(account, asked)):
                failed.settle()

    def cancel(self, which: Callable[[SignIn], bool] = lambda _: True) -> list[SignIn]:
        """End and forget the selected sign-ins; return those that were in progress."""
        meant = [known for known in self._of(None) if which(known)]
        waited = [known for known in meant if known.state == "waiting"]
        for known in meant:
            known.cancel()
        with self._lock:
            self._forget(meant)
        return waited

    def _forget(self, ended: list[SignIn]) -> None:
        self._known = [known for known in self._known if known not in ended]

    def forked(self) -> None:
        """In a forked child: sign-ins continue in the parent, and nobody waits for them here."""
        self._lock = threading.Lock()
        self.began = Signal()
        known, self._known = self._known, []
        for attempt in known:
            attempt.forked()

    def _of(self, client: ClientKey | None) -> list[SignIn]:
        with self._lock:
            known = self._known.copy()
        return [each for each in known if client in (None, each.request.client.key)]
