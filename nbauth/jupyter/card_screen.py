"""The screen of a notebook whose kernel is not ipykernel (xeus-python): a card of plain HTML.

nbauth cannot read the messages of such a kernel while a cell runs. So the buttons of a panel would
have no effect, and a Jupyter server could not pass on the authorization response. Device codes and
pasted addresses need neither.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nbauth.core.errors import FlowUnavailable
from nbauth.core.flow_names import BROWSER, DEVICE, PASTE
from nbauth.core.output import fitting
from nbauth.core.steps import OpenBrowser
from nbauth.jupyter.places.obstacles import in_kernel
from nbauth.jupyter.terminal import address_wanted, ask_for_address, ask_for_secret

if TYPE_CHECKING:
    from nbauth.core.person import Obstacle
    from nbauth.kernel.session import Session
    from nbauth.kernel.sign_in.protocol import Pending, Receiver

TURN = 0.1
"""Seconds between two checks of a waiting cell."""


class CardScreen:
    """See :class:`nbauth.kernel.sign_in.protocol.Screen`."""

    def __init__(self, session: Session, running: Any) -> None:
        self._session = session
        self._kernel = running

    def attended(self) -> bool:
        return self.obstacle() is None

    def obstacle(self) -> Obstacle | None:
        return in_kernel(self._kernel, self._session.settings().attended)

    def show(self, sign_in: Pending) -> None:
        card = _Card()
        sign_in.changed.connect(card.show)
        card.show(sign_in)

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        from nbauth.jupyter.places.environment import place
        from nbauth.oauth.flows import FLOWS, flows_for

        works = flows_for([])
        return tuple(w for w in dict.fromkeys((BROWSER, *place().ways, *FLOWS)) if w in works)

    def offers(self, sign_in: Pending) -> bool:
        return False

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        raise FlowUnavailable(
            "This kernel reads no messages while a cell runs, so a Jupyter server cannot pass the"
            " provider's response to it.",
            hint=f"Use %login --flow {DEVICE} or %login --flow {PASTE}, or a kernel that uses"
            " ipykernel.",
            suggested_flow=DEVICE,
        )

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        end = math.inf if timeout is None else time.monotonic() + timeout
        asked: set[OpenBrowser] = set()
        while not sign_in.ended.is_set() and (left := end - time.monotonic()) > 0:
            sign_in.ended.wait(min(TURN, left))
            wanted = address_wanted(sign_in)
            if wanted is None or wanted in asked or sign_in.ended.is_set():
                continue
            if ask_for_address(sign_in, _print, until=end):
                asked.add(wanted)

    async def wait_async(self, sign_in: Pending) -> None:
        while not sign_in.ended.is_set():
            await asyncio.sleep(TURN / 2)

    def say(self, text: str) -> None:
        _print([text])

    def ask(self, prompt: str) -> str:
        return ask_for_secret(prompt, self._session.settings().timeout)


class _Card:
    """One output that is updated. After the sign-in it contains no code."""

    def __init__(self) -> None:
        self._shown: Any = None

    def show(self, sign_in: Pending) -> None:
        from IPython.display import display

        from nbauth.jupyter.display import html_for, lines_for

        card = {"text/html": html_for(sign_in), "text/plain": "\n".join(lines_for(sign_in))}
        if self._shown is None:
            self._shown = display(card, raw=True, display_id=True)
        else:
            self._shown.update(card, raw=True)


def _print(lines: Iterable[str]) -> None:
    print(fitting("\n".join(lines)))
