"""The sign-in that a panel shows, and the state of the panel as a message."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from nbauth.core.account import Account, AccountKey, ClientKey
from nbauth.core.errors import NbAuthError
from nbauth.core.flow_names import AUTO, DEVICE, PASTE
from nbauth.core.signal import Signal
from nbauth.jupyter.panel import messages
from nbauth.jupyter.panel.shown_account import ShownAccount

if TYPE_CHECKING:
    from nbauth.kernel.session import Session
    from nbauth.kernel.sign_in.protocol import Pending

DEFAULT_WAYS = (AUTO, DEVICE, PASTE)
"""The flows that are offered before it is known which ones work here. The first finds that out."""


class ShownSignIn:
    """Selects the sign-in that one panel shows, and follows its changes.

    Args:
        session: has the signed-in accounts and the pending sign-ins.
        accounts: finds the account that the panel shows.
        client: the client of the panel, if it has one.

    Attributes:
        sign_in: the sign-in that is shown, or ``None``.
        changed: a ``Signal``, emitted after each change of that sign-in.
        stopped: whether the cell that waited for the sign-in has failed or has been stopped.
    """

    def __init__(
        self, session: Session, accounts: ShownAccount, client: ClientKey | None = None
    ) -> None:
        self.sign_in: Pending | None = None
        self.changed = Signal()
        self.stopped = False
        self._session = session
        self._accounts = accounts
        self._client = client
        self._followed = False
        self._start_error: NbAuthError | None = None
        self._ended_at = 0.0
        self._lock = threading.Lock()
        self.closed = False

    def show(self, sign_in: Pending, *, followed: bool = False) -> None:
        """Show this sign-in. ``followed``: another panel or cell has begun it."""
        with self._lock:  # for calls from two threads: exactly one sign-in stays connected
            if self.sign_in is not None:
                self.sign_in.changed.disconnect(self.changed.emit)
            self._start_error, self._followed = None, followed
            self.sign_in = sign_in
            if not self.closed:
                sign_in.changed.connect(self.changed.emit)

    def follow(self) -> None:
        """Show the newest pending sign-in of this client, unless a pending one is shown."""
        if self.sign_in is None or self.sign_in.state != "waiting":
            for pending in reversed(self._session.pending()):
                if self.client in (None, pending.request.client.key):
                    self.show(pending, followed=True)
                    break

    def not_started(self, error: NbAuthError) -> None:
        """Show why a sign-in could not be started."""
        self._start_error, self._ended_at = error, time.time()

    def close(self) -> None:
        """Follow no changes any more. The sign-in continues."""
        with self._lock:
            self.closed = True
            if self.sign_in is not None:
                self.sign_in.changed.disconnect(self.changed.emit)

    @property
    def client(self) -> ClientKey | None:
        """The client whose sign-ins and accounts are shown; ``None`` for any."""
        return self._client or (self.sign_in and self.sign_in.request.client.key) or None

    def account(self) -> tuple[AccountKey, Account] | None:
        """The current account of the panel's client; without a client, any current account."""
        signed_in = self.sign_in is not None and self.sign_in.state == "done"
        return self._accounts.current(self.client if signed_in else self._client)

    def message(self) -> messages.Message:
        """The state of the panel."""
        sign_in, shown = self.sign_in, self.account()
        if self._start_error is not None:
            return {
                **messages.failure(self._start_error, self._ended_at),
                "ways": messages.flows(self._offered()),
            }
        if sign_in is not None and sign_in.state == "waiting":
            self._ended_at = 0.0
            return messages.waiting(sign_in)
        if sign_in is not None and sign_in.state != "done" and not (self._followed and shown):
            self._ended_at = self._ended_at or time.time()
            return messages.ended(sign_in, self._ended_at)
        if shown is None:
            return messages.signed_out(self._offered())
        key, account = shown
        named = self._accounts.number(account), account
        others = self._accounts.others(key)
        return messages.done(self._session.cache, key, named, others, stopped=self.stopped)

    def _offered(self) -> list[str]:
        return list((self.sign_in and self.sign_in.ways) or DEFAULT_WAYS)
