"""Do the browser and this kernel run on one machine? A number only this machine can tell.

A listener on loopback holds one secret text at a secret path, hands it out once, to a page of a
loopback origin, and closes. A browser that can read it is on this machine, or on one that shares
its loopback ports, which comes to the same: a sign-in's redirect will arrive.
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
"""Seconds after which the port closes even if nobody closes it."""


class LocalityProbe:
    """The listener, open from construction until :meth:`close`; also a context manager.

    Args:
        life: seconds after which it closes by itself.

    Attributes:
        url: where the browser has to look.
        text: what it finds there, once. Not part of ``url``, so that only reading it tells it.

    Raises ``OSError`` where this process may not listen.
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
        """Give port and thread back."""
        self._server.close()

    async def _respond(self, request: LoopbackRequest) -> LoopbackReply:
        """The text, once, to a page of a loopback origin that asks for our path.

        OPTIONS is the question that a browser asks first where private addresses are guarded.
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
