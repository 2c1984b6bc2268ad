"""Changes of a normal response: the request has its effect, the response is wrong.

A change gets the normal response and the request, and returns the response to send.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply, dumps

Change = Callable[[Reply, Recorded], Reply]
NEXT, DELTA = "@odata.nextLink", "@odata.deltaLink"


def sent_as(**how: Any) -> Change:
    """The normal response with other attributes, such as ``gzipped=True`` or ``pace=1.0``."""
    return lambda normal, _: replace(normal, **how)


gzipped = sent_as(gzipped=True)
chunked = sent_as(chunked=True)
lost = sent_as(cut=-1)  # the request had its effect, its response does not arrive


def with_headers(**headers: str) -> Change:
    return lambda normal, _: normal.with_headers(**headers)


def with_bom(normal: Reply, _: Recorded) -> Reply:
    return replace(normal, body=b"\xef\xbb\xbf" + normal.content, content_type=normal.type)


def cut_at(share: float) -> Change:
    """The connection closes within the body."""
    return lambda normal, _: replace(normal, cut=int(len(normal.content) * share))


def truncated(share: float) -> Change:
    """A complete response whose body ends too early."""

    def change(normal: Reply, _: Recorded) -> Reply:
        body = normal.content
        return replace(normal, body=body[: int(len(body) * share)], content_type=normal.type)

    return change


def wrong_length(difference: int) -> Change:
    """Content-Length is larger (or smaller) than the body; then the connection closes."""

    def change(normal: Reply, _: Recorded) -> Reply:
        size = len(normal.content)
        return replace(normal, length=size + difference, cut=size)

    return change


def edited(edit: Callable[[dict[str, Any]], object]) -> Change:
    """*edit* changes the JSON object in place."""

    def change(normal: Reply, _: Recorded) -> Reply:
        data = normal.data
        edit(data)
        return normal.with_data(data)

    return change


def with_link(link: str | None, name: str = NEXT) -> Change:
    """A page with this next link instead of its own."""
    return edited(lambda page: page.__setitem__(name, link))


without_link = edited(lambda page: page.pop(NEXT, None))
without_value = edited(lambda page: page.pop("value", None))
null_value = edited(lambda page: page.__setitem__("value", None))
empty_page = edited(lambda page: page.__setitem__("value", []))


def self_link(normal: Reply, request: Recorded) -> Reply:
    """A page whose next link is its own address."""
    return with_link(request.url)(normal, request)


def changed_link(old: str, new: str) -> Change:
    """A page whose next link has *new* for the first *old*, such as ``https:`` → ``http:``."""

    def edit(page: dict[str, Any]) -> None:
        assert old in page[NEXT]
        page[NEXT] = page[NEXT].replace(old, new, 1)

    return edited(edit)


def relative_link(normal: Reply, request: Recorded) -> Reply:
    """A page whose next link has no scheme and no host."""
    page = normal.data
    page[NEXT] = "/" + page[NEXT].split("/", 3)[3]
    return normal.with_data(page)


def members(edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Change:
    """A batch whose list of members goes through *edit*."""
    return edited(lambda batch: batch.__setitem__("responses", edit(batch["responses"])))


reversed_members = members(lambda replies: replies[::-1])


def missing_member(ident: str) -> Change:
    return members(lambda replies: [one for one in replies if one["id"] != ident])


def duplicate_member(ident: str) -> Change:
    return members(lambda replies: replies + [one for one in replies if one["id"] == ident])


def unknown_member(ident: str) -> Change:
    """A batch with one more member, which nobody asked for."""
    return members(lambda replies: [*replies, {"id": ident, "status": 200, "body": {}}])


def base64_member(ident: str) -> Change:
    """A batch whose member has its JSON body as a base64 string, as some services send it."""

    def edit(replies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for one in replies:
            if one["id"] == ident:
                one["body"] = base64.b64encode(dumps(one["body"])).decode()
        return replies

    return members(edit)
