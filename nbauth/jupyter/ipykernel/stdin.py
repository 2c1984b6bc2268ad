"""Reads a line of text from the front end. The caller can end the wait.

ipykernel's own ``input`` and ``getpass`` wait without a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TURN = 50
"""Milliseconds between two calls of ``given_up``."""


def can_ask(kernel: Any) -> bool:
    """Whether the kernel has the names that this module uses. They are private in ipykernel."""
    try:
        usable = (
            callable(kernel.stdin_socket.poll)
            and callable(kernel.session.send)
            and callable(kernel.session.recv)
            and kernel._parent_ident["shell"] is not None
            and kernel.get_parent("shell") is not None
        )
    except (AttributeError, LookupError, TypeError):
        return False
    return bool(usable)


def ask(kernel: Any, prompt: str, given_up: Callable[[], bool]) -> str:
    """The text that the person types. The front end does not show it.

    Raises ``TimeoutError`` once ``given_up`` is true.
    """
    socket, session = kernel.stdin_socket, kernel.session
    while socket.poll(0):
        socket.recv_multipart()  # an answer to an earlier prompt that has ended
    content = {"prompt": prompt, "password": True}
    parent, ident = kernel.get_parent("shell"), kernel._parent_ident["shell"]
    session.send(socket, "input_request", content, parent, ident=ident)
    while not given_up():
        if not socket.poll(TURN):
            continue
        try:
            _, reply = session.recv(socket)
            return str(reply["content"]["value"])
        except (LookupError, TypeError, ValueError):  # not signed, or not an answer
            kernel.log.debug("nbauth: a message on the stdin channel is no answer", exc_info=True)
    raise TimeoutError
