"""A screen that shows nothing and remembers all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from nbauth.kernel.sign_in import SignIn


class RecordingScreen:
    """See :class:`nbauth.kernel.screen.Screen`.

    Args:
        attended: whether somebody is there.
        same_machine: where their browser runs; decides what ``flow="auto"`` becomes.
        person: called with each sign-in that is shown, in a thread of its own, as the person who
            sits there would act on it.

    Attributes:
        shown: every sign-in, in order.
        said: every line.
        messages: every message that a shown sign-in had, in order.
    """

    def __init__(
        self,
        *,
        attended: bool = True,
        same_machine: bool = False,
        person: Callable[[SignIn], object] | None = None,
    ) -> None:
        self.is_attended = attended
        self.is_same_machine = same_machine
        self.person = person
        self.shown: list[SignIn] = []
        self.said: list[str] = []
        self.messages: list[str] = []

    def __call__(self) -> RecordingScreen:
        """A ``Session`` is given what makes the screen; this is that, too."""
        return self

    def attended(self) -> bool:
        return self.is_attended

    def show(self, sign_in: SignIn) -> None:
        self.shown.append(sign_in)
        sign_in.observe(lambda changed: self.messages.append(changed.message))
        if self.person is not None:
            threading.Thread(target=self.person, args=(sign_in,), daemon=True).start()

    def same_machine(self, sign_in: SignIn) -> bool:
        return self.is_same_machine

    def wait(self, sign_in: SignIn, timeout: float | None = None) -> None:
        sign_in.ended.wait(timeout)

    async def wait_async(self, sign_in: SignIn) -> None:
        while not sign_in.ended.is_set():
            await asyncio.sleep(0.01)

    def say(self, text: str) -> None:
        self.said.append(text)
