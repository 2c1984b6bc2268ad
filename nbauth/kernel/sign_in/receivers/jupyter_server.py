"""Receives the authorization response through the person's Jupyter server.

The server (``nbauth.server``) passes the response to this kernel on the control channel, which is
read while a cell runs. A process that can write there can already run code here, but it does not
know the state. The code is redeemed here, with a PKCE verifier that never leaves the kernel.
"""

from __future__ import annotations

import hmac
import json
import re
import threading
from concurrent.futures import Future
from pathlib import PurePath
from typing import Any

from nbauth.core.callback_state import DELIVER, OUTCOME, CallbackState
from nbauth.core.errors import FlowUnavailable
from nbauth.core.flow_names import DEVICE, PASTE
from nbauth.core.interrupts import Flag

LAST_WORDS = 1.5
"""Seconds for the waiting page to ask how the sign-in ended."""
_doors = threading.Lock()


class CallbackReceiver:
    """Receives the response of one sign-in in the running kernel, until :meth:`finish`.

    Args:
        kernel: the running ipykernel.
        secret: 256 bits as 43 characters of base64url (RFC 6749 §10.12).
        redirect_uri, server_name: as returned by ``callback_address.callback_address``.

    Attributes:
        redirect_uri: the address to give to the provider.
        state: the ``state`` of the genuine response.
        answer: a future of the genuine response's parameters; it is set once.
        stray: never set: a response without ``state`` names no kernel, so it reaches none.

    Raises ``FlowUnavailable`` for a kernel that no server can reach in this way.
    """

    def __init__(
        self, kernel: Any, secret: str, *, redirect_uri: str, server_name: str = ""
    ) -> None:
        self.redirect_uri = redirect_uri
        self.answer: Future[dict[str, str]] = Future()
        self.stray: Future[dict[str, str]] = Future()
        try:
            self.state = str(CallbackState(server_name, _kernel_id(kernel), secret))
        except ValueError as error:
            raise _unreachable() from error
        self.outcome: tuple[str, str, str] | None = None
        self.told = Flag()
        self._desk = _Desk.of(kernel)
        self._desk.enter(self)

    def free(self, title: str, text: str, own: str = "") -> None:
        """Nothing to free. See ``protocol.Receiver``."""

    def finish(self, title: str, text: str, own: str = "") -> None:
        """Tell the waiting page how the sign-in ended, and remove the handlers."""
        self.outcome = title, text, own
        if self.answer.done():
            self.told.wait(LAST_WORDS)
        self._desk.leave(self)

    def forked(self) -> None:
        """Nothing to close: the response arrives in the kernel's own messages.

        See ``protocol.Receiver``.
        """


class _Desk:
    """A kernel's handlers for nbauth's two messages, installed while a sign-in waits.

    They run in the kernel's control thread and return at once: while that thread is blocked, the
    kernel can't be interrupted.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._receivers: list[CallbackReceiver] = []

    @classmethod
    def of(cls, kernel: Any) -> _Desk:
        handlers = getattr(kernel, "control_handlers", None)
        if handlers is None or getattr(kernel, "control_thread", None) is None:
            raise _unreachable()
        present = getattr(handlers.get(DELIVER), "__self__", None)
        return present if isinstance(present, cls) else cls(kernel)

    def enter(self, receiver: CallbackReceiver) -> None:
        with _doors:
            self._receivers.append(receiver)
            self._kernel.control_handlers |= {DELIVER: self.deliver, OUTCOME: self.tell}

    def leave(self, receiver: CallbackReceiver) -> None:
        with _doors:
            self._receivers.remove(receiver)
            if not self._receivers:
                for kind in (DELIVER, OUTCOME):
                    self._kernel.control_handlers.pop(kind, None)

    def deliver(self, stream: Any, idents: Any, message: Any) -> None:
        """Take a response, if a sign-in waits for it."""
        receiver, answer = self._addressee(message)
        known = receiver is not None and receiver.outcome is None and not receiver.answer.done()
        self._reply(stream, idents, message, known=known)
        if known and receiver is not None:
            receiver.answer.set_result(answer)

    def tell(self, stream: Any, idents: Any, message: Any) -> None:
        """Reply how a sign-in ended, if it has."""
        receiver, _ = self._addressee(message)
        if receiver is None or receiver.outcome is None:
            self._reply(stream, idents, message, known=receiver is not None, ended=False)
            return
        title, text, own = receiver.outcome
        self._reply(stream, idents, message, ended=True, title=title, text=text, own=own)
        receiver.told.set()

    def _addressee(self, message: Any) -> tuple[CallbackReceiver | None, dict[str, str]]:
        try:
            given = json.loads(bytes(message["buffers"][0]))
            answer = {str(name): str(value) for name, value in given.items()}
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            return None, {}
        state = answer.get("state", "").encode(errors="replace")
        found = [r for r in list(self._receivers) if hmac.compare_digest(r.state.encode(), state)]
        return (found[0] if found else None), answer

    def _reply(self, stream: Any, idents: Any, message: Any, **content: Any) -> None:
        kind = f"{message['header']['msg_type']}_reply"
        content["status"] = "ok"
        self._kernel.session.send(stream, kind, content, parent=message, ident=idents)


def _kernel_id(kernel: Any) -> str:
    """The server's id of the kernel: its connection file is ``kernel-<id>.json``."""
    connection_file = getattr(getattr(kernel, "parent", None), "connection_file", "")
    named = re.fullmatch(r"kernel-(.+)\.json", PurePath(str(connection_file)).name)
    if named is None:
        raise _unreachable()
    return named[1]


def _unreachable() -> FlowUnavailable:
    return FlowUnavailable(
        "No Jupyter server can pass a response to this kernel.",
        hint=f"Choose another way: %login --flow {DEVICE} or %login --flow {PASTE}.",
        suggested_flow=DEVICE,
    )
