"""An administrator's own rules for a Jupyter server, which refuse whoever says so."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.authorizer import Authorizer


class Refusing(Authorizer):
    """Nobody may do anything in a request with the header ``X-Refuse``."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return "X-Refuse" not in handler.request.headers
