"""The sign-in panel: a widget that shows one ``SignIn`` in the notebook.

Private data (the code, addresses, names) is sent in messages and is in no synced trait, so it is
not saved with the notebook. Each new view announces itself and receives the state. So all views
show the same state.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import anywidget

from nbauth.core.account import ClientKey
from nbauth.core.errors import NbAuthError, NotSignedIn, SignInError
from nbauth.core.flow_names import AUTO
from nbauth.core.interrupts import Flag
from nbauth.core.log import trail, word
from nbauth.core.secret import refuse_pickling
from nbauth.jupyter.ipykernel.comms import answer_in_named_subshell
from nbauth.jupyter.ipykernel.requests import running_request
from nbauth.jupyter.panel import messages
from nbauth.jupyter.panel.page import Page
from nbauth.jupyter.panel.probe import BrowserProbe, ProbeResult
from nbauth.jupyter.panel.shown_account import ShownAccount
from nbauth.jupyter.panel.shown_sign_in import ShownSignIn
from nbauth.jupyter.panel.typed_text import hand_in
from nbauth.jupyter.places.environment import kernel

if TYPE_CHECKING:
    from nbauth.kernel.session import Session
    from nbauth.kernel.sign_in.protocol import Pending

STATIC_LINE = "nbauth sign-in panel (run the cell to use it)"
"""What a saved notebook shows instead of the panel. ``panel_words.js`` has the same text."""
SCRIPTS = ("panel_words.js", "panel_elements.js", "panel_views.js", "panel.js")
"""The scripts, in the order in which they are joined into one module."""
log = logging.getLogger(__name__)


class SignInPanel(anywidget.AnyWidget):  # type: ignore[misc]
    """Shows a sign-in, the account that signed in, or a button that begins a sign-in.

    It also shows a sign-in for the same client that another panel or cell has begun.

    Args:
        session: has the signed-in accounts.
        start: begins a sign-in, optionally with a named flow. It is called when the person presses
            a button, in any thread. So it must return soon and must not need the main thread.
        sign_in: a sign-in that has already begun.
        client: the client whose account is shown, if the call names one.

    Attributes:
        ready: a ``Flag``, set when a browser shows the panel.
        unseen_since: the ``time.monotonic`` at which the browser removed the last view.
        shown_under: the ids of the requests (usually of cells) that have displayed it.
        waited_for: whether the cell that displayed it waits, or waited, for its sign-in.
        page: the page that shows it, from that browser; ``None`` outside Jupyter's own pages.
        comm_id: the id of the comm that carries its messages.
    """

    _esm = "\n".join(Path(__file__).with_name(name).read_text("utf-8") for name in SCRIPTS)
    # As text, because anywidget would watch a file for each panel and keep the panels in memory.
    _css = Path(__file__).with_name("panel.css").read_text("utf-8")

    def __init__(
        self,
        session: Session,
        start: Callable[..., Pending],
        sign_in: Pending | None = None,
        *,
        client: ClientKey | None = None,
    ) -> None:
        self.ready = Flag()
        self.unseen_since: float | None = None
        self.shown_under: set[str] = set()
        self.waited_for = False
        self.page: Page | None = None
        self._session = session
        self._start = start
        self._accounts = ShownAccount(session)
        self._shown = ShownSignIn(session, self._accounts, client)
        self._probe = BrowserProbe(self)
        self._sending = threading.Lock()
        super().__init__()
        self.comm_id: str = self.model_id
        answer_in_named_subshell(self.comm)
        self.on_msg(self._received)
        session.changed.connect(self._session_changed)
        self._shown.changed.connect(self._send_state)
        if sign_in is not None:
            self._shown.show(sign_in)
        else:
            self._shown.follow()

    def __repr__(self) -> str:
        return STATIC_LINE

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, "call nbauth.panel() where it is shown.")

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        if (request := running_request(kernel())) is not None:
            self.shown_under.add(request.msg_id)
        data, metadata = bundle
        return {
            **data,
            "text/plain": STATIC_LINE,
            "text/html": f"<div>{STATIC_LINE}</div>",
        }, metadata

    def probe(self, timeout: float) -> ProbeResult:
        """Let the browser probe this machine and its server; see :class:`probe.BrowserProbe`."""
        return self._probe.run(timeout)

    @property
    def sign_in(self) -> Pending | None:
        """The sign-in that it shows, or ``None``."""
        return self._shown.sign_in

    @property
    def is_idle(self) -> bool:
        """Whether its sign-in has ended."""
        return self.sign_in is None or self.sign_in.ended.is_set()

    @property
    def closed(self) -> bool:
        """Whether it was removed from the page, e.g. by ``Widget.close_all()``."""
        return self._shown.closed

    def cell_stopped(self) -> None:
        """Note that its cell stopped waiting although the sign-in continues."""
        self._shown.stopped = True

    def close(self) -> None:
        """Remove the panel from the page and disconnect it. The sign-in continues."""
        self._session.changed.disconnect(self._session_changed)
        self._shown.close()
        super().close()

    def close_quietly(self) -> None:
        """The same without errors, such as those of a disconnected front end."""
        with contextlib.suppress(Exception), self._sending:
            self.close()

    # ── from the browser ────────────────────────────────────────────────────────────────────

    def _received(self, _widget: Any, content: Any, buffers: Any) -> None:
        """Handle a message. Runs in any thread, so it must not wait."""
        match content:
            case {"kind": "ready"}:
                self.unseen_since = None
                self.page = Page.parse(content.get("page")) or self.page
                self.ready.set()
                self._send_state()
            case {"kind": "unseen"}:
                self.unseen_since = time.monotonic()
                self._broadcast({"kind": "report-views"})  # another browser may have a view
            case {"kind": "probe"}:
                self._probe.answer(content)
            case {"kind": "sign-in"}:
                flow = content.get("flow")
                self._begin(flow if isinstance(flow, str) and flow != AUTO else None)
            case {"kind": "switch", "flow": str(flow)}:
                self._switch(flow)
            case {"kind": "paste" | "password"} if buffers:
                self._hand_in(content, buffers)
            case {"kind": "cancel"} if self.sign_in is not None:
                self.sign_in.cancel()
            case {"kind": "use", "account": int(number)} if number >= 0:
                self._use(number)
            case {"kind": "sign-out", "account": int(number)} if number >= 0:
                self._sign_out(number)

    def _begin(self, flow: str | None) -> None:
        state = self.sign_in.state if self.sign_in is not None else None
        if state in {"failed", "cancelled"} and self.waited_for:
            self._shown.stopped = True  # the waiting cell has raised an error
        if state != "waiting":
            try:
                self._shown.show(self._start(flow) if flow else self._start())
            except NbAuthError as error:
                self._shown.not_started(error)
            except Exception as error:
                log.debug("the panel's sign-in could not begin: %s", trail(error))
                what = f"The sign-in could not begin: {type(error).__name__}."
                self._shown.not_started(SignInError(what))
        self._send_state()

    def _switch(self, flow: str) -> None:
        try:
            if self.sign_in is not None:
                self.sign_in.switch(flow)
        except NbAuthError as error:
            log.debug("the panel's sign-in could not change its flow: %s", word(error.code))
        self._send_state()

    def _hand_in(self, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        try:
            if self.sign_in is not None:
                hand_in(self.sign_in, content, buffers)
        except NbAuthError as error:
            self._broadcast({"kind": "input-refused", "error": messages.two_lines(error)})

    def _use(self, number: int) -> None:
        with contextlib.suppress(NotSignedIn, IndexError):  # signed out a moment ago
            account = self._accounts.numbered(number)
            self._session.asking_nobody(lambda: self._session.use(account))
        self._send_state()

    def _sign_out(self, number: int) -> None:
        """Sign out the account that the panel showed, even if another one is current now."""
        with contextlib.suppress(NotSignedIn, IndexError):  # another panel has signed it out
            account = self._accounts.numbered(number)
            self._session.asking_nobody(lambda: self._session.logout(account))
        self._send_state()

    # ── to the browser ──────────────────────────────────────────────────────────────────────

    def _session_changed(self) -> None:
        self._shown.follow()
        self._send_state()

    def _send_state(self, _sign_in: Pending | None = None) -> None:
        self._broadcast()

    def _broadcast(self, message: dict[str, Any] | None = None) -> None:
        """Send a message, or the state, to all views. The lock keeps states in order."""
        try:
            with self._sending:
                state = {"kind": "state", "id": self.comm_id}
                self.send(message or {**state, **self._shown.message()})
        except Exception as error:  # a disconnected front end must not end a sign-in
            log.debug("the panel's state did not reach the browser: %s", type(error).__name__)
