"""What the screens of all kernels share: the obstacle, the flows, messages and passwords."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from nbauth.core.output import fitting
from nbauth.core.steps import ReceiverKind
from nbauth.jupyter.places.obstacles import in_kernel

if TYPE_CHECKING:
    from nbauth.core.person import Obstacle
    from nbauth.kernel.session import Session


class KernelScreen:
    """The base of ``NotebookScreen`` and ``CardScreen``.

    Args:
        session: the session whose sign-ins are shown.
        running: the kernel of this process.
    """

    def __init__(self, session: Session, running: Any) -> None:
        self._session = session
        self._kernel = running

    def attended(self) -> bool:
        return self.obstacle() is None

    def obstacle(self) -> Obstacle | None:
        return in_kernel(self._kernel, self._session.settings().attended)

    def say(self, text: str) -> None:
        print_lines([text])

    def ask(self, prompt: str) -> str:
        from nbauth.jupyter.terminal import ask_for_secret

        return ask_for_secret(prompt, self._session.settings().timeout)


def flows_here(reached: Collection[ReceiverKind]) -> tuple[str, ...]:
    """The flows that work with these receivers, in the order of the place."""
    from nbauth.core.flow_names import BROWSER
    from nbauth.jupyter.places.environment import place
    from nbauth.oauth.flows import flows_for, offered

    works = flows_for(reached)
    return tuple(way for way in dict.fromkeys((BROWSER, *place().ways, *offered())) if way in works)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines in the output of the cell."""
    print(fitting("\n".join(lines)))
