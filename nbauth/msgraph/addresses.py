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
from nbauth.msgraph.odata import encoded, pairs_of, params_of, query_of

VERSIONS = ("v1.0", "beta")
_VERSION = re.compile(r"/?(v1\.0|beta)(?=/|\Z)", re.I)
_IN_PATHS = "/$,:()'@;=*!~&+"
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LITERAL = re.compile(r"'[^']*'")
_AUTHORITY = re.compile(r"[^:]*://[^/?#]*")
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
        extra = params_of(options.pop("params", None))
        try:
            text = _joined(path)
            if _SCHEME.match(text):
                text = self._checked(text)
                before, _, query = text.partition("?")
                if not (options or extra):
                    return text
            else:
                before, _, query = text.partition("?")
                before, query = self._full(before), query.replace("+", "%2B")
            given = pairs_of(query)
            for name, value in (*query_of(options).items(), *extra.items()):
                if any(name == known for known, _ in given):
                    raise ConfigurationError(
                        f"The option {plain(name)} is given twice.", code="bad_option"
                    )
                given.append((name, value))
            return f"{before}?{encoded(given)}" if given else before
        except UnicodeEncodeError:
            raise ConfigurationError(
                "A path or an option contains half of a surrogate pair. UTF-8 cannot express it.",
                code="bad_option",
            ) from None

    def path_of(self, url: str) -> str:
        """The decoded path of a URL below the version: ``users/{id}``."""
        path = unquote(url.removeprefix(self.address).partition("?")[0])
        return _VERSION.sub("", path, count=1).strip("/")

    def linked(self, link: object, page: str) -> str:
        """The checked next link of a page. Raises ``GraphError``; nothing is sent then."""
        if isinstance(link, str) and (own := self._own(link)):
            return own
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
        rest = (path[found.end() :] if found else path).lstrip("/")
        _check_segments(rest)
        escaped = quote(_ESCAPE.sub("%25", rest), safe=_IN_PATHS + "%")
        return f"{self.address}/{version}/{escaped}"

    def _checked(self, url: str) -> str:
        if not (own := self._own(url)):
            place = place_of(url)
            if place == self.place:
                raise ConfigurationError(
                    "The address contains a control character. Nothing was sent.",
                    code="bad_option",
                )
            raise ConfigurationError(
                f"{plain(place or 'The address')} is not {self.place}, to which this Graph"
                " object sends requests. Nothing was sent.",
                code="other_host",
                hint="Use a path, such as me/messages, or nbauth.Graph(cloud=...) of that cloud.",
            )
        _check_dots(own.removeprefix(self.address).partition("?")[0])
        return own

    def _own(self, url: str) -> str:
        """A URL of this Graph in one form: its address in this spelling, no fragment, no blanks.

        ``""`` for other URLs.
        """
        url = url.partition("#")[0].replace(" ", "%20")
        place = place_of(url)
        if not place or place != self.place or any(ord(one) <= 32 for one in url):
            return ""
        return self.address + url[_AUTHORITY.match(url).end() :]  # type: ignore[union-attr]


def _joined(path: Path) -> str:
    if isinstance(path, str):
        return _checked_text(path.strip())
    if isinstance(path, bytes | bytearray | Mapping) or not isinstance(path, Iterable):
        raise ConfigurationError(
            f"The path is a {type(path).__name__}.",
            code="bad_option",
            hint='Use a text, or a list of segments: ["users", name].',
        )
    segments = ["" if segment is None else str(segment) for segment in path]
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


def _check_segments(path: str) -> None:
    """Refuse what would make a path mean another resource: ``users//messages``, ``users/../x``."""
    inner = _LITERAL.sub("", path).strip("/").split("/")
    if len(inner) > 1 and not all(inner):
        raise ConfigurationError(
            f"The path {plain(path)} has an empty segment. Nothing was sent.",
            code="bad_option",
            hint="Perhaps a variable in it is empty.",
        )
    _check_dots(path)


def _check_dots(path: str) -> None:
    if any(unquote(segment) in (".", "..") for segment in path.split("/")):
        raise ConfigurationError(
            f"The path {plain(path)} has a segment of dots. Nothing was sent.", code="bad_option"
        )


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
