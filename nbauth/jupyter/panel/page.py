"""The page that shows a panel, as its browser describes it.

The data is not trusted: it only influences which flows are offered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

LONGEST = 500
"""The most characters of an accepted text."""
_PATH = re.compile(r"/(?:[\w.~!$&'()*+,;=:@%-]+/)*", re.ASCII)


@dataclass(frozen=True)
class Page:
    """A page of JupyterLab or Notebook.

    Attributes:
        origin: ``https://host[:port]``, as ``location.origin`` gives it.
        base_url: the path of the Jupyter server, with a slash at both ends.
        hub_host: the origin of the hub if it differs; else ``""``.
        hub_prefix: the path of the hub, with a slash at both ends; ``""`` without a hub.
        server_name: the name of a named server of the hub; ``""`` for the default one.
    """

    origin: str
    base_url: str
    hub_host: str = ""
    hub_prefix: str = ""
    server_name: str = ""

    @classmethod
    def parse(cls, told: Any) -> Page | None:
        """The page, if all values from the browser are valid; else ``None``."""
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


def _is_origin(text: str) -> bool:
    """Whether it is exactly ``scheme://host[:port]`` with valid characters."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for an invalid port
    except ValueError:
        return False
    bare = f"{parts.scheme}://{parts.netloc}" == text and "@" not in text
    sound = re.fullmatch(r"[\w.:\[\]-]+", parts.netloc, re.ASCII) is not None
    return parts.scheme in {"http", "https"} and bare and sound and bool(parts.hostname)


def _is_path(text: str) -> bool:
    return _PATH.fullmatch(text) is not None and not {".", ".."} & set(text.split("/"))
