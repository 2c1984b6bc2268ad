"""What the person has typed into a panel, as it arrives from the browser.

It arrives as bytes beside the message: ipykernel and comm log the content of messages at DEBUG.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbauth.core.steps import AskPassword
from nbauth.kernel.sign_in.handed_in import check_pasted
from nbauth.kernel.sign_in.protocol import Pending


def hand_in(sign_in: Pending, content: dict[str, Any], buffers: Sequence[Any]) -> None:
    """Pass it on to the sign-in. Raises its errors, also those of ``check_pasted``.

    A password for another question is ignored: from a view that still shows an earlier question,
    or the question of another sign-in.
    """
    text = bytes(buffers[0]).decode(errors="replace")
    match content:
        case {"kind": "paste"}:
            check_pasted(text)
            sign_in.submit(text)
        case {"kind": "password", "username": str(name), "question": str(question)}:
            step = sign_in.step
            if isinstance(step, AskPassword) and step.id == question:
                sign_in.enter(name, text)
