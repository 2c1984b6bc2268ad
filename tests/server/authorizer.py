"""An authorizer for a Jupyter server that refuses requests with a certain header."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.authorizer import Authorizer


class Refusing(Authorizer):
    """Refuses every request with the header ``X-Refuse``."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return "X-Refuse" not in handler.request.headers
