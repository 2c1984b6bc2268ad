"""JSON of Graph. Pre-authorised addresses in it are secrets: whoever has one can use the file."""

from __future__ import annotations

import json
from typing import Any

from nbauth.core.secret import SecretStr

DOWNLOAD_URL = "@microsoft.graph.downloadUrl"
_SECRET = (DOWNLOAD_URL, "uploadUrl")
_IN_TEXT = tuple(f'"{name}"'.encode() for name in _SECRET)


def loads(body: bytes) -> Any:
    """A body as JSON, with the secret addresses as ``SecretStr``. Raises as ``json.loads``."""
    if any(name in body for name in _IN_TEXT):
        return json.loads(body, object_hook=_hidden)
    return json.loads(body)


def _hidden(found: dict[str, Any]) -> dict[str, Any]:
    for name in _SECRET:
        if isinstance(value := found.get(name), str):
            found[name] = SecretStr(value)
    return found
