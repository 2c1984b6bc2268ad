"""The members of batches: what is sent, what came back, and which of them belong together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.text import plain
from nbauth.msgraph.addresses import Root
from nbauth.msgraph.arguments import checked_headers
from nbauth.msgraph.batch.checks import method_of, needs_of
from nbauth.msgraph.batch.items import BatchItem, BatchRequest, loop, not_a_list
from nbauth.msgraph.odata import repeatable
from nbauth.msgraph.pages import NEXT_LINK
from nbauth.msgraph.sender import Sender, headers_of
from nbauth.msgraph.throttle import Attempts
from nbauth.msgraph.transport import Request

LARGEST = 20
"""Members that Graph accepts in one batch."""
_AFTER_HOST = re.compile(r"https://[^/]+/(v1\.0|beta)(/.*)", re.I | re.S)


class Member:
    """One request, until it has its result.

    Attributes:
        at: its position among the requests.
        needs: the positions of the requests that have to succeed before.
        refusals: once it was refused.
        lost: how often there was no response; ``first_lost``: since when.
        due: when it may be sent, on the monotonic clock.
        satisfied: whether those that depend on it may be sent.
        item: the result, once it is known.
    """

    __slots__ = (
        "_merged", "_seen", "at", "due", "first_lost", "item", "lost", "needs", "refusals",
        "request", "satisfied", "url", "version",
    )  # fmt: skip

    def __init__(self, at: int, request: Request, needs: tuple[int, ...] = ()) -> None:
        self.at = at
        self.needs = needs
        self.refusals: Attempts | None = None
        self.lost = 0
        self.due = self.first_lost = 0.0
        self.satisfied = False
        self.item: BatchItem | None = None
        self._merged: dict[str, Any] | None = None
        self._seen: set[int] = set()
        self._set(request)

    def _set(self, request: Request) -> None:
        found = _AFTER_HOST.match(request.url)
        if found is None:
            raise ConfigurationError(
                f"A batch cannot contain {plain(request.path)[:200]}: its URL has no version.",
                code="bad_option",
                hint="Use a path, such as me/messages.",
            )
        self.request = request
        self.version, self.url = found[1].lower(), found[2]

    @property
    def failed(self) -> bool:
        """Whether those that depend on it cannot be sent any more."""
        return self.item is not None and not self.item.ok

    def fail(self, error: GraphError, body: Any = None) -> None:
        """Its result is an error."""
        if self._merged is not None:
            error.rows, error.next_link = self._merged["value"], self.request.url
        self.item = BatchItem(False, error.status, body, error)

    def succeed(self, status: int, body: Any, root: Root, limit: int | None) -> None:
        """Take a response. After a page of a collection, the next page is what is sent next."""
        self.satisfied = True
        link = body.get(NEXT_LINK) if isinstance(body, dict) else None
        if self._merged is None and (not link or self.request.method != "GET"):
            self.item = BatchItem(True, status, _cut(body, limit))
            return
        rows = body.get("value") if isinstance(body, dict) else None
        if not isinstance(rows, list):
            self.fail(not_a_list(self.request.path, status))
            return
        self._add(body, rows)
        assert self._merged is not None
        enough = limit is not None and len(self._merged["value"]) >= limit
        if not link or enough:
            self.item = BatchItem(True, status, _cut(self._merged, limit))
            return
        self._go_on(link, status, root)

    def _add(self, body: dict[str, Any], rows: list[Any]) -> None:
        if self._merged is None:
            self._merged = {name: value for name, value in body.items() if name != NEXT_LINK}
            self._seen.add(hash(self.request.url))
            return
        self._merged["value"] += rows
        for name, value in body.items():
            if name[:1] == "@" and name != NEXT_LINK:
                self._merged.setdefault(name, value)

    def _go_on(self, link: object, status: int, root: Root) -> None:
        request = self.request
        try:
            url = root.linked(link, request.url)
            if hash(url) in self._seen:
                raise loop(request.path)
            self._set(Request("GET", url, request.path, request.service, request.headers))
        except GraphError as error:
            error.status = status
            self.fail(error)
            return
        except ConfigurationError as error:
            self.fail(GraphError(str(error), code=error.code, status=status))
            return
        self._seen.add(hash(url))
        self.needs = ()
        self.refusals = None
        self.lost = 0
        self.due = 0.0


def _cut(body: Any, limit: int | None) -> Any:
    if limit is None or not isinstance(body, dict) or not isinstance(body.get("value"), list):
        return body
    return {**body, "value": body["value"][:limit]}


class Group(NamedTuple):
    """Members that have to be in one batch.

    Attributes:
        serial: whether each needs the one before; no others can be in that batch then.
    """

    members: list[Member]
    serial: bool

    @property
    def linked(self) -> bool:
        return len(self.members) > 1

    @property
    def due(self) -> float:
        return max(member.due for member in self.members)


def prepared(
    sender: Sender, requests: Iterable[BatchRequest], options: Mapping[str, Any]
) -> list[Member]:
    """The members for requests, with options for all. Raises ``ConfigurationError``."""
    members: list[Member] = []
    options = repeatable(options)
    common = headers_of(options)
    for request in requests:
        headers = {**common, **checked_headers(request.headers)}
        given = {**options, "headers": headers}
        made = sender.request(method_of(request), request.path, given, request.json)
        members.append(Member(len(members), made, needs_of(request, len(members))))
    return members


def grouped(members: Sequence[Member]) -> list[Group]:
    """Members, in order, as groups. What was satisfied before is no longer needed.

    Raises ``ConfigurationError`` for dependencies that Graph does not accept in a batch
    (document: json-batching).
    """
    by_position = {member.at: member for member in members}
    of: dict[int, list[Member]] = {}
    for member in members:
        member.needs = tuple(need for need in member.needs if need in by_position)
        own = [member]
        for other in {id(of[need]): of[need] for need in member.needs}.values():
            own = other + own if len(other) >= len(own) else own + other
        if len(own) > LARGEST:
            raise ConfigurationError(
                f"{len(own)} requests depend on each other; a batch has {LARGEST} at most.",
                code="bad_option",
                hint="Send the first ones in a call of their own.",
            )
        for one in own:
            of[one.at] = own
    found = {id(group): group for group in of.values()}.values()
    return [_group(sorted(group, key=lambda member: member.at)) for group in found]


def _group(members: list[Member]) -> Group:
    if len({member.version for member in members}) > 1:
        raise ConfigurationError(
            f"Request {members[-1].at} depends on one of another version of Graph.",
            code="bad_option",
            hint="A batch has one version: use the same one for all of them, or send the others in"
            " a second call.",
        )
    _reduce(members)
    needs = [member.needs for member in members]
    if len({need for need in needs if need}) <= 1:
        return Group(members, False)
    if needs == [(), *((member.at,) for member in members[:-1])]:
        return Group(members, True)
    raise ConfigurationError(
        f"Graph does not accept the dependencies of request {members[-1].at} in a batch.",
        code="bad_option",
        hint="Requests of a batch may form a chain, or all depend on the same ones. Send the others"
        " in a second call.",
    )


def _reduce(members: list[Member]) -> None:
    """Leave out what is needed already by another need."""
    before: dict[int, set[int]] = {}
    for member in members:
        farther = {far for need in member.needs for far in before[need]}
        before[member.at] = farther | {*member.needs}
        member.needs = tuple(need for need in member.needs if need not in farther)
