"""What the browser that shows a panel says of itself and of the page it is in.

All of it is a browser's word: it may choose which way of signing in is offered, and nothing else.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from nbauth.core.interrupts import Flag

LONGEST = 500
"""Characters of a text that is taken seriously."""
_PATH = re.compile(r"/(?:[\w.~!$&'()*+,;=:@%-]+/)*", re.ASCII)


@dataclass(frozen=True)
class Page:
    """A page of JupyterLab or Notebook.

    Attributes:
        origin: ``https://host[:port]``, as ``location.origin`` gives it.
        base_url: the Jupyter server's path there, with a slash at both ends.
        hub_host: the hub's origin, where it has another one; else ``""``.
        hub_prefix: the hub's path, with a slash at both ends; ``""`` where there is no hub.
        server_name: of a named server of the hub's; ``""`` for the default one.
    """

    origin: str
    base_url: str
    hub_host: str = ""
    hub_prefix: str = ""
    server_name: str = ""

    @classmethod
    def parse(cls, told: Any) -> Page | None:
        """The page, if all that the browser told has the form it should have."""
        if not isinstance(told, dict):
            return None
        texts = [told.get(name, "") for name in cls.__dataclass_fields__]
        if not all(isinstance(text, str) and len(text) <= LONGEST for text in texts):
            return None
        page = cls(*texts)
        sound = (
            _is_origin(page.origin)
            and _is_path(page.base_url)
            and (not page.hub_host or _is_origin(page.hub_host))
            and (not page.hub_prefix or _is_path(page.hub_prefix))
            and page.server_name.isprintable()
            and "/" not in page.server_name
        )
        return page if sound else None


@dataclass(frozen=True)
class Seen:
    """What the browser found when it was asked to look.

    Attributes:
        same_machine: it reads a loopback port of the kernel's, so it can come back to one.
        callback: its Jupyter server answers at ``{base_url}nbauth/callback``.
    """

    same_machine: bool = False
    callback: bool = False


class Question:
    """One look that the browser was asked for; only the answer that names it counts, once."""

    def __init__(self) -> None:
        self.nonce = secrets.token_urlsafe(12)
        self.answered = Flag()
        self.text = ""
        self.callback = False

    def answer(self, content: dict[str, Any]) -> None:
        """Take in what the browser has found, if it was asked this."""
        if content.get("nonce") == self.nonce and not self.answered.is_set():
            self.text = str(content.get("text") or "")
            self.callback = content.get("callback") is True
            self.answered.set()


def _is_origin(text: str) -> bool:
    """Whether it is ``scheme://host[:port]`` and no more, in the letters of such a name."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for one that is no number
    except ValueError:
        return False
    bare = f"{parts.scheme}://{parts.netloc}" == text and "@" not in text
    sound = re.fullmatch(r"[\w.:\[\]-]+", parts.netloc, re.ASCII) is not None
    return parts.scheme in {"http", "https"} and bare and sound and bool(parts.hostname)


def _is_path(text: str) -> bool:
    return _PATH.fullmatch(text) is not None and not {".", ".."} & set(text.split("/"))
