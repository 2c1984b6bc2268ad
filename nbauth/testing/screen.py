"""A screen that shows nothing and records everything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from nbauth.core.flow_names import DEVICE
from nbauth.core.person import NOBODY, Obstacle
from nbauth.kernel.sign_in.no_screen import no_callback
from nbauth.kernel.sign_in.protocol import Pending, Receiver


class RecordingScreen:
    """See :class:`nbauth.kernel.sign_in.protocol.Screen`.

    Args:
        attended: whether a person is there.
        ways: the flows that work there, best first; the first is used for ``flow="auto"``.
        offers: whether the person can choose another flow while a sign-in waits.
        person: called with each shown sign-in, in a new thread, to act as the person.

    Attributes:
        shown: every sign-in, in order.
        said: every line.
        messages: every message of a shown sign-in, in order.
    """

    def __init__(
        self,
        *,
        attended: bool = True,
        ways: tuple[str, ...] = (DEVICE,),
        offers: bool = False,
        person: Callable[[Pending], object] | None = None,
    ) -> None:
        self.is_attended = attended
        self.known_ways = ways
        self.has_choice = offers
        self.person = person
        self.secret = "a passphrase"
        self.shown: list[Pending] = []
        self.said: list[str] = []
        self.messages: list[str] = []

    def attended(self) -> bool:
        return self.is_attended

    def obstacle(self) -> Obstacle | None:
        return None if self.attended() else NOBODY

    def show(self, sign_in: Pending) -> None:
        self.shown.append(sign_in)
        sign_in.changed.connect(lambda changed: self.messages.append(changed.message))
        if self.person is not None:
            threading.Thread(target=self.person, args=(sign_in,), daemon=True).start()

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        return self.known_ways

    def offers(self, sign_in: Pending) -> bool:
        return self.has_choice

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        no_callback()

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        sign_in.ended.wait(timeout)

    async def wait_async(self, sign_in: Pending) -> None:
        while not sign_in.ended.is_set():
            await asyncio.sleep(0.01)

    def ask(self, prompt: str) -> str:
        self.said.append(prompt)
        return self.secret

    def say(self, text: str) -> None:
        self.said.append(text)
