"""Finds out whether the browser and this kernel run on the same machine.

A listener on a loopback port has a secret text at a secret path. It sends this text once, to a page
with a loopback origin. A browser that can read the text is on this machine, or on one that shares
its loopback ports. In both cases the redirect of a sign-in reaches this kernel.
"""

from __future__ import annotations

import secrets
from types import TracebackType
from urllib.parse import urlsplit

from nbauth.kernel.sign_in.receivers.http_server import (
    LoopbackReply,
    LoopbackRequest,
    LoopbackServer,
)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
LONGEST_LIFE = 30.0
"""Seconds after which the port closes in any case."""


class LocalityProbe:
    """The listener. Open from construction until :meth:`close`; also a context manager.

    Args:
        life: seconds after which it closes by itself.

    Attributes:
        url: the address that the browser must read.
        text: the secret text that is served there once. It is not part of ``url``.

    Raises ``OSError`` if this process cannot listen.
    """

    def __init__(self, life: float = LONGEST_LIFE) -> None:
        self.text = secrets.token_urlsafe(24)
        self._path = f"/{secrets.token_urlsafe(24)}"
        self._told = False
        self._server = LoopbackServer(
            self._respond, life=min(life, LONGEST_LIFE), name="nbauth-locality"
        )
        self.url = f"http://127.0.0.1:{self._server.port}{self._path}"

    def __enter__(self) -> LocalityProbe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the port and end the thread."""
        self._server.close()

    async def _respond(self, request: LoopbackRequest) -> LoopbackReply:
        """Send the text, once, to a page with a loopback origin that requests the secret path.

        OPTIONS is the preflight request that some browsers send before a private address.
        """
        origin = request.headers.get("origin", "")
        common = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
        asked = request.method == "OPTIONS" or (request.method == "GET" and not self._told)
        ours = secrets.compare_digest(request.target.encode(), self._path.encode())
        if not (asked and ours and _host(origin) in LOOPBACK_NAMES):
            return LoopbackReply(404, common)
        headers = [
            *common,
            ("Access-Control-Allow-Origin", origin),
            ("Vary", "Origin"),
            ("Access-Control-Allow-Methods", "GET"),
            ("Access-Control-Allow-Private-Network", "true"),
        ]
        if request.method == "OPTIONS":
            return LoopbackReply(204, headers)
        self._told = True
        headers.append(("Content-Type", "text/plain; charset=utf-8"))
        return LoopbackReply(200, headers, self.text.encode())


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
