"""Where a sign-in shows itself: a notebook, a terminal, nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

from nbauth.core.errors import FlowUnavailable

if TYPE_CHECKING:
    from nbauth.kernel.driver import Receiver
    from nbauth.kernel.sign_in import SignIn


class Screen(Protocol):
    """What a session needs of the place it runs in."""

    def attended(self) -> bool:
        """Whether somebody is there to answer, and may be asked by the calling thread."""

    def show(self, sign_in: SignIn) -> None:
        """Show a sign-in and keep showing what becomes of it."""

    def ways(self, sign_in: SignIn) -> tuple[str, ...]:
        """The flows that work for the person there, best first. May wait a few seconds."""

    def offers(self, sign_in: SignIn) -> bool:
        """Whether the person can choose another of them while the sign-in waits."""

    def callback(self, sign_in: SignIn, secret: str, redirect_uri: str | None) -> Receiver:
        """Open the person's own Jupyter server to an answer whose ``state`` carries ``secret``.

        ``redirect_uri`` is the setting. Raises ``FlowUnavailable`` where there is no such place.
        """

    def wait(self, sign_in: SignIn, timeout: float | None = None) -> None:
        """Return when the sign-in has ended, or after ``timeout`` seconds; stay responsive."""

    async def wait_async(self, sign_in: SignIn) -> None:
        """The same, awaited."""

    def say(self, text: str) -> None:
        """One line to the person."""

    def ask(self, prompt: str) -> str:
        """A secret of the person's, typed unseen and kept nowhere. Only while attended."""


def no_callback() -> NoReturn:
    """Raise what a screen without a Jupyter server has to say of ``--flow callback``."""
    raise FlowUnavailable(
        "There is no Jupyter server here that a browser could come back to.",
        hint="Choose another way: %login --flow device or %login --flow paste.",
        suggested_flow="device",
    )


class NoScreen:
    """Nobody is there."""

    def attended(self) -> bool:
        return False

    def show(self, sign_in: SignIn) -> None:
        pass

    def ways(self, sign_in: SignIn) -> tuple[str, ...]:
        return ("device",)

    def offers(self, sign_in: SignIn) -> bool:
        return False

    def callback(self, sign_in: SignIn, secret: str, redirect_uri: str | None) -> Receiver:
        no_callback()

    def wait(self, sign_in: SignIn, timeout: float | None = None) -> None:
        sign_in.ended.wait(timeout)

    async def wait_async(self, sign_in: SignIn) -> None:
        import asyncio

        while not sign_in.ended.is_set():
            await asyncio.sleep(0.05)

    def say(self, text: str) -> None:
        pass

    def ask(self, prompt: str) -> str:
        return ""
