"""The ``state`` of a sign-in that comes back through a Jupyter server: it says to which kernel.

``<server name>.<kernel id>.<secret>``. The name of a JupyterHub server is whatever its owner
typed, but a state may hold visible ASCII only (RFC 6749 appendix A.5) and one name must have one
form, so it stands there as base64url without padding; the default server's is empty.

Both messages carry their parameters as JSON in a binary buffer: kernels and servers write the
content of messages into their logs when they are asked to tell more, but not the buffers.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field

DELIVER = "nbauth_deliver"
"""Message type on a kernel's control channel: an authorization response. Reply: ``known``."""
OUTCOME = "nbauth_outcome"
"""The same for the question how that sign-in ended. Reply: ``known``, ``ended``, ``title``,
``text``."""

_STATE = re.compile(r"([\w-]{0,1400})\.([\w-]{1,100})\.([\w-]{43})", re.ASCII)


@dataclass(frozen=True)
class CallbackState:
    """Where an authorization response belongs, and what proves that it was asked for.

    Args:
        server_name: of the named server on JupyterHub, ``""`` for the default one or no hub.
        kernel_id: as the Jupyter server knows it.
        secret: 256 bits as 43 characters of base64url, used once.

    Raises ``ValueError`` for a part that cannot stand in a state.
    """

    server_name: str
    kernel_id: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        name = self.server_name
        if "/" in name or "\\" in name or name in {".", ".."} or not name.isprintable():
            raise ValueError("that is no name of a server")
        if not _STATE.fullmatch(str(self)):
            raise ValueError("that is no state of a sign-in")

    def __str__(self) -> str:
        name = urlsafe_b64encode(self.server_name.encode()).decode().rstrip("=")
        return f"{name}.{self.kernel_id}.{self.secret}"

    @classmethod
    def parse(cls, text: str) -> CallbackState:
        """The state that ``str`` gave, and nothing else: ``ValueError`` for all other text."""
        parts = _STATE.fullmatch(text)
        if parts is None:
            raise ValueError("that is no state of a sign-in")
        name, kernel_id, secret = parts.groups()
        padded = name + "=" * (-len(name) % 4)
        state = cls(urlsafe_b64decode(padded).decode(), kernel_id, secret)
        if str(state) != text:  # base64 has many forms of one name
            raise ValueError("that is no state of a sign-in")
        return state
