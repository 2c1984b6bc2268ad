"""Lets the browser of a panel probe this machine and its Jupyter server."""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nbauth.core.interrupts import Flag
from nbauth.jupyter.panel.same_machine import LocalityProbe

if TYPE_CHECKING:
    from nbauth.kernel.sign_in.protocol import Pending

TURN = 0.05
"""Seconds between two checks whether the sign-in has ended."""


@dataclass(frozen=True)
class ProbeResult:
    """The result of a probe by the browser.

    Attributes:
        same_machine: whether it can read a loopback port of the kernel's machine.
        callback: whether its Jupyter server serves ``{base_url}nbauth/callback``.
    """

    same_machine: bool = False
    callback: bool = False


class Panel(Protocol):
    """The part of ``panel.SignInPanel`` that a probe uses."""

    ready: Flag

    @property
    def sign_in(self) -> Pending | None: ...
    def send(self, content: dict[str, Any]) -> None: ...


class BrowserProbe:
    """The probes of one panel.

    Args:
        panel: sends the requests.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._request = _Request()

    def run(self, timeout: float) -> ProbeResult:
        """Whether the browser reaches a loopback port of this machine, and the callback page.

        Opens a port on 127.0.0.1 until the browser answers. The result is negative if there is no
        answer within ``timeout`` seconds or if the sign-in has ended.
        """
        end = time.monotonic() + timeout
        if not self._wait_for(self._panel.ready, end):
            return ProbeResult()
        try:
            with LocalityProbe(timeout) as listener:
                return self._ask(listener.url, listener.text, end)
        except OSError:  # no port can be opened here, so no redirect can reach one
            return self._ask(None, "", end)

    def answer(self, content: dict[str, Any]) -> None:
        """Take the answer of the browser to the last request."""
        self._request.answer(content)

    def _ask(self, url: str | None, expected: str, end: float) -> ProbeResult:
        self._request = request = _Request()
        self._panel.send({"kind": "probe", "url": url, "nonce": request.nonce})
        self._wait_for(request.answered, end)
        read = bool(expected) and hmac.compare_digest(request.text.encode(), expected.encode())
        return ProbeResult(same_machine=read, callback=request.callback)

    def _wait_for(self, event: Flag, end: float) -> bool:
        while not event.is_set() and time.monotonic() < end:
            sign_in = self._panel.sign_in
            if sign_in is not None and sign_in.ended.is_set():
                break
            event.wait(TURN)
        return event.is_set()


class _Request:
    """One request to the browser. Only the first answer with its nonce is accepted."""

    def __init__(self) -> None:
        self.nonce = secrets.token_urlsafe(12)
        self.answered = Flag()
        self.text = ""
        self.callback = False

    def answer(self, content: dict[str, Any]) -> None:
        """Store the result of the browser if the nonce is correct."""
        if content.get("nonce") == self.nonce and not self.answered.is_set():
            self.text = str(content.get("text") or "")
            self.callback = content.get("callback") is True
            self.answered.set()
