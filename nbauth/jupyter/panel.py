"""The sign-in panel: one ``SignIn`` in the notebook, as a widget.

Whatever is private (the code, addresses, names) travels by message and in no synced trait, so
nothing of it is saved with the notebook. A view says that it is there and is told the state; so
all views, and the ones that come later, show the same.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget

from nbauth.core.accounts import Account
from nbauth.core.errors import NbAuthError, NotSignedIn, SignInError, SignInExpired
from nbauth.jupyter.display import complete_address, error_lines, web_address
from nbauth.jupyter.locality import LocalityProbe
from nbauth.oauth.error_catalogue import plain

if TYPE_CHECKING:
    from nbauth.kernel.session import Session
    from nbauth.kernel.sign_in import SignIn

STATIC_LINE = "nbauth sign-in panel (run the cell to use it)"
"""What a saved notebook shows in the panel's place."""
TURN = 0.05
log = logging.getLogger(__name__)


class SignInPanel(anywidget.AnyWidget):  # type: ignore[misc]
    """One sign-in, or the account it led to, or a button that begins one.

    Args:
        session: knows who is signed in, and signs out.
        start: begins a sign-in. It is called when the person presses a button, in whichever thread
            that reaches, so it has to come back soon and may not ask for the main thread.
        sign_in: one that has begun already.

    Attributes:
        ready: a ``threading.Event``, set once a browser shows the panel.
        comm_id: of the comm that its messages travel by.
        sign_in: the one it shows, or ``None``.
    """

    _esm = Path(__file__).with_name("panel.js")
    _css = Path(__file__).with_name("panel.css")

    def __init__(
        self, session: Session, start: Callable[[], SignIn], sign_in: SignIn | None = None
    ) -> None:
        self.ready = threading.Event()
        self.sign_in: SignIn | None = None
        self._session = session
        self._start = start
        self._refusal: list[str] = []
        self._question = _Question()
        self._sending = threading.Lock()
        super().__init__()
        self.comm_id: str = self.model_id
        _answer_where_the_front_end_asks(self.comm)
        self.on_msg(self._received)
        session.observe(self._send_state)
        if sign_in is not None:
            self._take(sign_in)

    def __repr__(self) -> str:
        return STATIC_LINE

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        data, metadata = bundle
        return {
            **data,
            "text/plain": STATIC_LINE,
            "text/html": f"<div>{STATIC_LINE}</div>",
        }, metadata

    def same_machine(self, timeout: float) -> bool:
        """Whether the browser that shows the panel runs on this machine.

        Opens a port on 127.0.0.1 for the time of the question. ``False`` after ``timeout`` seconds
        without an answer, and at once when the sign-in has ended.
        """
        end = time.monotonic() + timeout
        if not self._wait_for(self.ready, end):
            return False
        try:
            with LocalityProbe(timeout) as probe:
                self._question = question = _Question()
                self.send({"kind": "probe", "url": probe.url, "nonce": question.nonce})
                self._wait_for(question.answered, end)
                return hmac.compare_digest(question.text.encode(), probe.text.encode())
        except OSError:
            return False

    def close_quietly(self) -> None:
        """Take the panel off the page; the sign-in goes on."""
        self._session.unobserve(self._send_state)
        if self.sign_in is not None:
            self.sign_in.unobserve(self._send_state)
        with contextlib.suppress(Exception), self._sending:  # the front end may be gone
            self.close()

    def _wait_for(self, event: threading.Event, end: float) -> bool:
        while not event.is_set() and time.monotonic() < end:
            if self.sign_in is not None and self.sign_in.ended.is_set():
                break
            event.wait(TURN)
        return event.is_set()

    # ── from the browser ────────────────────────────────────────────────────────────────────

    def _received(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """In the main thread, a subshell's or another; so nothing in here waits."""
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "ready":
            self.ready.set()
            self._send_state()
        elif kind == "cancel" and self.sign_in is not None:
            self.sign_in.cancel()
        elif kind == "sign-in":
            self._begin()
        elif kind == "sign-out":
            self._sign_out()
        elif kind == "probe":
            self._question.answer(content)

    def _begin(self) -> None:
        if self.sign_in is None or self.sign_in.state != "waiting":
            try:
                self._take(self._start())
            except NbAuthError as error:
                self._refusal = [plain(error), plain(error.hint)]
            except Exception as error:
                log.debug("the panel's sign-in could not begin", exc_info=True)
                what = f"The sign-in could not begin: {type(error).__name__}."
                self._refusal = [what, SignInError.hint]
        self._send_state()

    def _take(self, sign_in: SignIn) -> None:
        if self.sign_in is not None:
            self.sign_in.unobserve(self._send_state)
        self._refusal = []
        self.sign_in = sign_in
        sign_in.observe(self._send_state)

    def _sign_out(self) -> None:
        account = self._account()
        if account is not None:
            with contextlib.suppress(NotSignedIn):  # another panel was faster
                self._session.logout(account)
        self._send_state()

    # ── to the browser ──────────────────────────────────────────────────────────────────────

    def _send_state(self, _sign_in: SignIn | None = None) -> None:
        """Tell all views. Two threads may: the lock keeps the older state from coming last."""
        try:
            with self._sending:
                self.send(self._state_message())
        except Exception as error:  # a front end that is gone must not end a sign-in
            log.debug("the panel's state did not reach the browser: %s", type(error).__name__)

    def _state_message(self) -> dict[str, Any]:
        sign_in, account = self.sign_in, self._account()
        message: dict[str, Any] = {"kind": "state", "account": None, "error": self._refusal}
        if self._refusal:
            return {**message, "state": "failed"}
        if sign_in is None or sign_in.state == "done":
            if account is None:
                return {**message, "state": "signed-out"}
            return {**message, "state": "done", "account": self._account_message(account)}
        if sign_in.state != "waiting":
            expired = isinstance(sign_in.error, SignInExpired)
            state = "expired" if expired else sign_in.state
            return {**message, "state": state, "error": error_lines(sign_in)}
        return {
            **message,
            "state": "waiting",
            "flow": sign_in.flow,
            "message": plain(sign_in.message),
            "user_code": plain(sign_in.user_code) if sign_in.user_code else None,
            "verification_uri": web_address(sign_in.verification_uri),
            "verification_uri_complete": complete_address(sign_in),
            "authorize_url": web_address(sign_in.authorize_url),
            "expires_in": sign_in.expires_in,
            "asks": {
                "client_id": plain(sign_in.engine.client_id),
                "authority": plain(sign_in.engine.authority.url),
                "scopes": [plain(scope) for scope in sign_in.request.scopes],
            },
        }

    def _account(self) -> Account | None:
        """The account that this panel's sign-in led to, else the current one; if signed in."""
        known = self._session.accounts()
        mine = self.sign_in.account if self.sign_in is not None else None
        if mine is not None:
            return mine if mine in known else None
        return known[0] if known else None

    def _account_message(self, account: Account) -> dict[str, Any]:
        cache = self._session.cache
        ends = [
            token.expires_on
            for key, record in list(cache.signed_in.items())
            if record.account == account
            for token in cache.tokens_of(key)
        ]
        return {
            "name": plain(account.name),
            "username": plain(account.username),
            "tenant": plain(account.tenant_id),
            "expires_in": max(0.0, max(ends) - time.time()) if ends else None,
        }


class _Question:
    """Whether the browser can read the probe's text; only the answer that names it counts."""

    def __init__(self) -> None:
        self.nonce = secrets.token_urlsafe(12)
        self.answered = threading.Event()
        self.text = ""

    def answer(self, content: dict[str, Any]) -> None:
        if content.get("nonce") == self.nonce and not self.answered.is_set():
            self.text = str(content.get("text") or "")
            self.answered.set()


def _answer_where_the_front_end_asks(comm: Any) -> None:
    """Let the panel answer during the next cell.

    ipykernel 7.4 hands a comm's message to the shell that used the comm last, which may be the one
    that a cell keeps busy. The subshell that the front end names is free; the name is private, so
    without it the panel answers after the cell.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default
