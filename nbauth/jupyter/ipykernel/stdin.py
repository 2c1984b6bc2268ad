"""Asks the front end for a line of text, and stops waiting for it when told so.

ipykernel's own ``input`` and ``getpass`` wait until the front end answers, however long that takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TURN = 50
"""Milliseconds after which it looks whether to go on waiting."""


def can_ask(kernel: Any) -> bool:
    """Whether the names are there that this uses; ipykernel promises none of them."""
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
    """What the person types, which the front end shows nowhere.

    Raises ``TimeoutError`` once ``given_up`` is true.
    """
    socket, session = kernel.stdin_socket, kernel.session
    while socket.poll(0):
        socket.recv_multipart()  # an answer to an earlier question, which nobody waits for any more
    content = {"prompt": prompt, "password": True}
    parent, ident = kernel.get_parent("shell"), kernel._parent_ident["shell"]
    session.send(socket, "input_request", content, parent, ident=ident)
    while not given_up():
        if not socket.poll(TURN):
            continue
        try:
            _, reply = session.recv(socket)
            return str(reply["content"]["value"])
        except (LookupError, TypeError, ValueError):  # not signed, or no answer
            kernel.log.debug("nbauth: a message on the stdin channel is no answer", exc_info=True)
    raise TimeoutError
