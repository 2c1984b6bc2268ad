"""Paths, full URLs and next links as checked URLs.

A URL of another host, scheme or port is refused before anything is sent. The links of a response
may not leave the Graph that sent them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.text import plain
from nbauth.kernel.calls.hosts import place_of
from nbauth.msgraph.odata import decoded, encoded, query_of

VERSIONS = ("v1.0", "beta")
_VERSION = re.compile(r"/?(v1\.0|beta)(?=/|\Z)", re.I)
_IN_PATHS = "/$,:()'@;=*!~&+"
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

Path = str | Sequence[object]
"""A path: a text, or its segments, which are then quoted: ``["users", "a/b"]``."""


@dataclass(frozen=True)
class Root:
    """A Graph: its address without a path, and the version that paths without one mean."""

    address: str
    version: str = "v1.0"

    @cached_property
    def place(self) -> str:
        """Its host, with the port if that is not 443."""
        return place_of(self.address)

    def url(self, path: Path, options: Mapping[str, Any] | None = None) -> str:
        """The URL of a path with query options; a path may have a query too.

        Raises ``ConfigurationError`` for another host, and for an option that is there twice.
        """
        options = dict(options or {})
        extra = options.pop("params", None) or {}
        text = _joined(path)
        if _SCHEME.match(text):
            self._check_own(text)
            before, _, query = text.partition("?")
            given = decoded(query) if options or extra else None
        else:
            before, _, query = text.partition("?")
            before, given = self._full(before), decoded(query.replace("+", "%2B"))
        if given is None:
            return text
        for name, value in {**query_of(options), **extra}.items():
            if name in given:
                raise ConfigurationError(f"The option {name} is given twice.", code="bad_option")
            given[name] = str(value)
        return f"{before}?{encoded(given)}" if given else before

    def path_of(self, url: str) -> str:
        """The decoded path of a URL below the version: ``users/{id}``."""
        path = unquote(url.removeprefix(self.address).partition("?")[0])
        return _VERSION.sub("", path, count=1).strip("/")

    def linked(self, link: object, page: str) -> str:
        """The checked next link of a page. Raises ``GraphError``; nothing is sent then."""
        if isinstance(link, str) and self._is_own(link):
            return link
        where = place_of(link) if isinstance(link, str) else ""
        target = f"to {plain(where)}" if where else "that is not a URL of https"
        raise GraphError(
            f"{self.place} sent a link {target} as the next page of {plain(self.path_of(page))}."
            " nbauth does not follow it.",
            code="foreign_link",
            hint="The rows read so far are not all. Report it to whoever runs this Graph.",
        )

    def _full(self, path: str) -> str:
        found = _VERSION.match(path)
        version = found[1].lower() if found else self.version
        rest = path[found.end() :] if found else path
        escaped = quote(_ESCAPE.sub("%25", rest.lstrip("/")), safe=_IN_PATHS + "%")
        return f"{self.address}/{version}/{escaped}"

    def _check_own(self, url: str) -> None:
        if not self._is_own(url):
            raise ConfigurationError(
                f"{plain(place_of(url) or 'The address')} is not {self.place}, to which this Graph"
                " object sends requests. Nothing was sent.",
                code="other_host",
                hint="Use a path, such as me/messages, or nbauth.Graph(cloud=...) of that cloud.",
            )

    def _is_own(self, url: str) -> bool:
        place = place_of(url)
        return bool(place) and place == self.place and not any(ord(one) <= 32 for one in url)


def _joined(path: Path) -> str:
    if isinstance(path, str):
        return _checked_text(path.strip())
    if isinstance(path, bytes) or not isinstance(path, Iterable):
        raise ConfigurationError(
            "The path is not a text or a list of segments.",
            code="bad_option",
            hint='For example "me/messages" or ["users", name].',
        )
    segments = [str(segment) for segment in path]
    if not segments or not all(segments) or {".", ".."} & {*segments}:
        raise ConfigurationError("A segment of the path is empty or dots.", code="bad_option")
    return "/".join(quote(_checked_text(segment), safe="$@:") for segment in segments)


def _checked_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            "The path has a character that cannot be encoded.", code="bad_option"
        ) from None
    return text


def root_of(address: str, version: str) -> Root:
    """The Graph at an address such as ``https://graph.microsoft.com``.

    Raises ``ConfigurationError`` for an address that is not https, and an unknown version.
    """
    place = place_of(address)
    rest = address.lower().removeprefix("https://").rstrip("/")
    if not place or rest not in (place, f"{place}:443"):
        raise ConfigurationError(
            "The address of a Graph has to be https, a host and perhaps a port, without a path.",
            code="bad_setting",
            hint='For example base_url="https://graph.contoso.com".',
        )
    if version not in VERSIONS:
        raise ConfigurationError(
            f"Graph has no version {plain(version)}.",
            code="bad_setting",
            hint=f"The versions are {' and '.join(VERSIONS)}.",
        )
    return Root(f"https://{place}", version)
