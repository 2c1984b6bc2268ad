"""Paths of files in drives (Graph document: onedrive-addressing-driveitems)."""

from __future__ import annotations

import re

_TAIL = r"(?:/content|/createUploadSession)?"
_BY_PATH = re.compile(
    rf"(.*(?:/root|/items/[^/:]+|/special/[^/:]+):/.+?)(?::{_TAIL})?\Z", re.IGNORECASE
)
_BY_ID = re.compile(
    rf"(.*(?:/(?:drive|drives/[^/]+)/items/[^/:]+|/driveItem)){_TAIL}\Z", re.IGNORECASE
)


def item_of(url: str) -> str | None:
    """The URL of a file's item, to which ``/content`` can be added; ``None`` for other paths.

    The URL may lack the last colon, and may end in ``/content``. A query is ignored.
    """
    before = url.partition("?")[0]
    if found := _BY_PATH.match(before):
        return found[1] + ":"
    found = _BY_ID.match(before)
    return found[1] if found else None


def content_url(url: str) -> str:
    """The URL of the content: of a file's item, else the URL as it is."""
    item, mark, query = item_of(url), *url.partition("?")[1:]
    return url if item is None else f"{item}/content{mark}{query}"
