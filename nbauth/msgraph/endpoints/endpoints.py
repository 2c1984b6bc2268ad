"""What Microsoft documents of the paths of Graph: ``endpoints.toml``, read at the first use.

A look-up follows the segments of a path through a tree, whose nodes are literals and ids.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbauth.msgraph.endpoints import endpoint_file
from nbauth.msgraph.endpoints.segments import QUOTED, segments_of

UNKNOWN = "graph"
"""The service of a path that no service is known for."""
_ID = "{id}"
_USER = ("me", f"users/{_ID}")
_DRIVE = (
    "me/drive", f"users/{_ID}/drive", f"groups/{_ID}/drive", f"sites/{_ID}/drive", f"drives/{_ID}",
)  # fmt: skip
_PLACES = {"me": ("user", 1), "users": ("user", 2), "groups": ("group", 2), "sites": ("site", 2)}
_ITEM = ("root", f"items/{_ID}")
_TYPE = "microsoft.graph."
_ADVANCED = frozenset({"count", "filter", "orderby", "search"})
_SYSTEM = frozenset({"$count", "$value", "$ref", "$batch", "$metadata"})
_BESIDE = _SYSTEM | {"delta"}
"""Ends of a path that are not a page of a list."""
_OPERATOR = re.compile(r"(?<![\w/:.])(?:ne|not)(?=[\s(])|\bendswith\s*\(|/\$count\b", re.I)
_PROPERTY = re.compile(r"\s*([\w/]+)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is documented of a path.

    Attributes:
        service: the unit in which Graph throttles.
        largest_page: the largest ``$top`` of one page.
        scopes: delegated permissions, the least privileged one first; one is enough.
        roles: application permissions, likewise.
        path: the pattern, such as ``users/{id}/messages``.
    """

    service: str
    largest_page: int | None
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be added to a query of the directory.

    Attributes:
        header: ``ConsistencyLevel: eventual``.
        count: ``$count=true``.
    """

    header: bool
    count: bool


NOTHING = Needs(header=False, count=False)


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    ids: _Node | None = None
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    beside: dict[str, Endpoint] = field(default_factory=dict)
    pages_with: dict[str, int] = field(default_factory=dict)
    advanced: bool = False
    sorted_plainly: frozenset[str] = frozenset()


def known(method: str, path: str) -> Endpoint | None:
    """What is documented of a path below the version, or ``None``. A query is ignored.

    The path may be percent-encoded. The most literal pattern counts. ``$count``, ``$value``,
    ``$ref`` and ``delta`` mean the path before them, without a page size, unless they are
    documented themselves.
    """
    segments = segments_of(path)
    method = method.upper()
    found = _find(_root(), segments, 0, method)
    if found is not None:
        return found.endpoints[method]
    if segments and segments[-1].lower() in _BESIDE:
        found = _find(_root(), segments[:-1], 0, method)
        return None if found is None else found.beside[method]
    return None


def largest_page(path: str, query: Mapping[str, object]) -> int | None:
    """The largest documented ``$top`` of a list with this query."""
    endpoint = known("GET", path)
    if endpoint is None or endpoint.largest_page is None:
        return None
    node = _find(_root(), segments_of(path), 0, "GET")
    text = " ".join(_options(query).values()) if node and node.pages_with else ""
    sizes = [size for name, size in node.pages_with.items() if name in text] if node else []
    return min([endpoint.largest_page, *sizes])


def service_of(path: str) -> str:
    """The unit in which Graph throttles a path; ``"graph"`` if it is not known."""
    segments = [segment.lower() for segment in segments_of(path)]
    if not segments:
        return UNKNOWN
    services, first = _services(), segments[0]
    place, at = _PLACES.get(first, ("", 0))
    below = segments[at] if place and len(segments) > at else ""
    service = services.get(place, {}).get(below) or services["first"].get(first, UNKNOWN)
    if service == "files" and "workbook" in segments:
        return "excel"
    return service


def needs_eventual(path: str, query: Mapping[str, object]) -> Needs:
    """What an advanced query of the directory lacks; names in the query with or without ``$``."""
    options, lowered = _options(query), path.lower()
    if not _ADVANCED & {*options} and "$count" not in lowered and "transitive" not in lowered:
        return NOTHING
    segments = segments_of(path)
    counts = bool(segments) and segments[-1].lower() == "$count"
    node = _find(_root(), segments[:-1] if counts else segments, 0, "")
    if node is None:
        return NOTHING
    counted = options.get("count", "").strip().lower() == "true"
    if counts:
        return Needs(header=True, count=False)
    if _is_advanced(segments, options, node.sorted_plainly):
        return Needs(header=True, count=not counted)
    return Needs(header=counted or bool(options.get("search")), count=False)


@functools.cache
def common_paths() -> tuple[str, ...]:
    """Paths to complete: the common ones first, then all others that can be read."""
    paths = endpoint_file.head()["common"].split()
    for entry in endpoint_file.entries():
        if entry.get("method", "GET") == "GET":
            paths += [path for pattern in entry["paths"].split() for path in _expanded(pattern)]
    return tuple(dict.fromkeys(paths))


def _is_advanced(
    segments: Sequence[str], options: Mapping[str, str], plain: frozenset[str]
) -> bool:
    chosen, order = options.get("filter", ""), options.get("orderby", "")
    if chosen and (order or _OPERATOR.search(QUOTED.sub("''", chosen))):
        return True
    if order and any(
        not (name := _PROPERTY.match(one)) or name[1].lower() not in plain
        for one in order.split(",")
    ):
        return True
    return len(segments) > 1 and (
        segments[-1].lower().startswith(_TYPE) and segments[-2].lower().startswith("transitive")
    )


def _options(query: Mapping[str, object]) -> dict[str, str]:
    return {name.lstrip("$").lower(): str(value) for name, value in query.items()}


def _find(node: _Node, segments: Sequence[str], at: int, method: str) -> _Node | None:
    """The node of the most literal pattern that has the method, or advanced queries for ``""``."""
    while at < len(segments):
        segment = segments[at].lower()
        literal = node.literals.get(segment)
        if literal is None and segment.startswith(_TYPE):
            literal = node.literals.get(segment.rpartition(".")[2])
            if literal is None:
                at += 1
                continue
        at += 1
        if literal is not None and node.ids is not None:
            found = _find(literal, segments, at, method)
            if found is not None:
                return found
            literal = None
        following = literal or node.ids
        if following is None or (literal is None and segment in _SYSTEM):
            return None
        node = following
    has = method in node.endpoints if method else node.advanced
    return node if has else None


def _expanded(pattern: str) -> Iterator[str]:
    for mark, forms in (("{drive}", _DRIVE), ("{item}", _ITEM), ("{user}", _USER)):
        if mark in pattern:
            for form in forms:
                yield from _expanded(pattern.replace(mark, form))
            return
    yield pattern


@functools.cache
def _root() -> _Node:
    root = _Node()
    for entry in endpoint_file.entries():
        for path in (path for pattern in entry["paths"].split() for path in _expanded(pattern)):
            _add(_node(root, path), path, entry)
    advanced = endpoint_file.head()["advanced"]
    for path in (path for pattern in advanced["paths"].split() for path in _expanded(pattern)):
        _node(root, path).advanced = True
    for path, names in advanced["sorted_plainly"].items():
        _node(root, path).sorted_plainly = frozenset(map(str.lower, names))
    return root


def _add(node: _Node, path: str, entry: Mapping[str, Any]) -> None:
    own = entry.get("own_scopes", "") if path.partition("/")[0] == "me" else ""
    scopes = tuple(f"{own} {entry.get('scopes', '')}".split())
    roles = tuple(entry.get("roles", "").split())
    service, size = service_of(path), entry.get("largest_page")
    method = entry.get("method", "GET")
    node.endpoints[method] = Endpoint(service, size, scopes, roles, path)
    node.beside[method] = Endpoint(service, None, scopes, roles, path)
    node.pages_with.update(entry.get("largest_page_with", {}))


def _node(node: _Node, path: str) -> _Node:
    for segment in path.split("/"):
        if segment == _ID:
            node.ids = node.ids or _Node()
            node = node.ids
        else:
            node = node.literals.setdefault(segment.lower(), _Node())
    return node


@functools.cache
def _services() -> dict[str, dict[str, str]]:
    return {
        place: {one.lower(): name for name, text in services.items() for one in text.split()}
        for place, services in endpoint_file.head()["services"].items()
    }
