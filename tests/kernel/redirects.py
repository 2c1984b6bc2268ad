"""A browser's answer and a wait, for tests and for programs that start without pytest."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit


def redirect(authorize_url: str, **changes: str) -> str:
    """Act as a browser that signs in; return its final address. A ``web_ui``."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(authorize_url).query).items()}
    answer = {"code": "c-1", "state": query["state"], **changes}
    return query["redirect_uri"] + "?" + "&".join(f"{name}={answer[name]}" for name in answer)


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until another thread has made the condition true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.002)
