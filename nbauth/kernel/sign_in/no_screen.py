"""The screen of a process without a front end."""

from __future__ import annotations

import sys
from typing import NoReturn

from nbauth.core.errors import FlowUnavailable
from nbauth.core.flow_names import DEVICE, PASTE
from nbauth.core.output import fitting
from nbauth.core.person import NOBODY, Obstacle
from nbauth.kernel.sign_in.protocol import Pending, Receiver


def no_callback() -> NoReturn:
    """Raise the error of a screen without a Jupyter server for the flow that needs one."""
    raise FlowUnavailable(
        "There is no Jupyter server here to which the browser could return.",
        hint=f"Choose another way: %login --flow {DEVICE} or %login --flow {PASTE}.",
        suggested_flow=DEVICE,
    )


class NoScreen:
    """Nobody is there. See :class:`nbauth.kernel.sign_in.protocol.Screen`.

    Args:
        obstacle: why.
    """

    _obstacle = NOBODY

    def __init__(self, obstacle: Obstacle = NOBODY) -> None:
        self._obstacle = obstacle

    def attended(self) -> bool:
        return False

    def obstacle(self) -> Obstacle:
        return self._obstacle

    def show(self, sign_in: Pending) -> None:
        pass

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        return (DEVICE,)

    def offers(self, sign_in: Pending) -> bool:
        return False

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        no_callback()

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        sign_in.ended.wait(timeout)

    async def wait_async(self, sign_in: Pending) -> None:
        import asyncio

        while not sign_in.ended.is_set():
            await asyncio.sleep(0.05)

    def say(self, text: str) -> None:
        """Write to stderr, such as the log of a forked child."""
        print(fitting(f"nbauth: {text}", sys.stderr), file=sys.stderr)

    def ask(self, prompt: str) -> str:
        return ""
