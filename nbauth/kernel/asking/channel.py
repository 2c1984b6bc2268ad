"""How a worker reaches the notebook's kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from nbauth.core.errors import AuthorityUnreachable, TokenError

SILENCE = 4.5
"""Seconds without a sign of life after which a worker gives up."""
BEAT = 1.0
"""Seconds between signs of life while the kernel waits for a provider."""


class Channel(Protocol):
    """Carries questions to the notebook's kernel."""

    def ask(self, session: str, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer of a session to a question, see :mod:`.messages`.

        Callable from any thread, but not from a running event loop.

        Raises ``AuthorityUnreachable`` if the kernel is silent for :data:`SILENCE`, ``TokenError``
        if it is no longer there.
        """


def silent(where: str = "this worker process") -> AuthorityUnreachable:
    """The error for a kernel that does not answer."""
    return AuthorityUnreachable(
        f"The notebook's kernel has not answered for {SILENCE:g} s, so {where} has no token.",
        code="kernel_silent",
        hint="If the kernel is suspended or its machine is busy, repeat the call when it runs"
        " again.",
    )


def gone(where: str = "this worker process", hint: str = "") -> TokenError:
    """The error for a kernel that has ended or is no longer connected.

    ``hint``: instead of the one for a kernel that has ended.
    """
    return TokenError(
        "The notebook that signed in is no longer connected, and only its kernel gets tokens for"
        f" {where}.",
        code="kernel_gone",
        hint=hint or "Sign in again in a notebook, and start the work from there.",
    )
