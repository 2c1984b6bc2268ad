"""Where a sign-in shows itself: a notebook, a terminal, nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nbauth.kernel.sign_in import SignIn


class Screen(Protocol):
    """What a session needs of the place it runs in."""

    def attended(self) -> bool:
        """Whether somebody is there to answer, and may be asked by the calling thread."""

    def show(self, sign_in: SignIn) -> None:
        """Show a sign-in and keep showing what becomes of it."""

    def same_machine(self, sign_in: SignIn) -> bool:
        """Whether the person's browser runs on this machine. May wait a few seconds."""

    def wait(self, sign_in: SignIn, timeout: float | None = None) -> None:
        """Return when the sign-in has ended, or after ``timeout`` seconds; stay responsive."""

    async def wait_async(self, sign_in: SignIn) -> None:
        """The same, awaited."""

    def say(self, text: str) -> None:
        """One line to the person."""


class NoScreen:
    """Nobody is there."""

    def attended(self) -> bool:
        return False

    def show(self, sign_in: SignIn) -> None:
        pass

    def same_machine(self, sign_in: SignIn) -> bool:
        return False

    def wait(self, sign_in: SignIn, timeout: float | None = None) -> None:
        sign_in.ended.wait(timeout)

    async def wait_async(self, sign_in: SignIn) -> None:
        import asyncio

        while not sign_in.ended.is_set():
            await asyncio.sleep(0.05)

    def say(self, text: str) -> None:
        pass
