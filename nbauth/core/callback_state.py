"""The ``state`` of a sign-in whose callback goes through a Jupyter server: it names the kernel.

The form is ``<server name>.<kernel id>.<secret>``. A JupyterHub server name may hold any
characters, but a state holds visible ASCII only (RFC 6749 appendix A.5). So the name is encoded as
base64url without padding; the default server's name is empty.

Both messages carry their parameters as JSON in a binary buffer: at debug level, kernels and servers
log the content of messages, but not their buffers.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field

DELIVER = "nbauth_deliver"
"""Message type on a kernel's control channel: an authorization response. Reply: ``known``."""
OUTCOME = "nbauth_outcome"
"""Message type on the same channel that asks how that sign-in ended. Reply: ``known``,
``ended``, ``title``, ``text``."""

_STATE = re.compile(r"([\w-]{0,1400})\.([\w-]{1,100})\.([\w-]{43})", re.ASCII)


@dataclass(frozen=True)
class CallbackState:
    """The kernel that an authorization response is for, and the secret that authenticates it.

    Args:
        server_name: the named server on JupyterHub, ``""`` for the default server or without a hub.
        kernel_id: the Jupyter server's id of the kernel.
        secret: 256 bits as 43 characters of base64url, used once.

    Raises ``ValueError`` for an invalid part.
    """

    server_name: str
    kernel_id: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        name = self.server_name
        if "/" in name or "\\" in name or name in {".", ".."} or not name.isprintable():
            raise ValueError("not a valid server name")
        if not _STATE.fullmatch(str(self)):
            raise ValueError("not a valid state of a sign-in")

    def __str__(self) -> str:
        name = urlsafe_b64encode(self.server_name.encode()).decode().rstrip("=")
        return f"{name}.{self.kernel_id}.{self.secret}"

    @classmethod
    def parse(cls, text: str) -> CallbackState:
        """Parse the result of ``str(state)``. Raises ``ValueError`` for any other string."""
        parts = _STATE.fullmatch(text)
        if parts is None:
            raise ValueError("not a valid state of a sign-in")
        name, kernel_id, secret = parts.groups()
        padded = name + "=" * (-len(name) % 4)
        state = cls(urlsafe_b64decode(padded).decode(), kernel_id, secret)
        if str(state) != text:  # base64 can encode one name in several ways
            raise ValueError("not a valid state of a sign-in")
        return state
