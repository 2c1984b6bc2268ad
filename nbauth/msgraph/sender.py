"""Paths and options as requests, with what Graph requires for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.person import Notices
from nbauth.core.text import plain
from nbauth.msgraph import odata
from nbauth.msgraph.addresses import Path, Root
from nbauth.msgraph.arguments import as_json, checked_headers, checked_limit
from nbauth.msgraph.endpoints.endpoints import largest_page, needs_eventual, service_of
from nbauth.msgraph.pages import Rows
from nbauth.msgraph.transport import Reply, Request, Transport

EVENTUAL = "ConsistencyLevel"
_CUT = re.compile(rb'"([^"@\\]+)@odata\.nextLink"')

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
"""RFC 9110 §5.5."""
_OF_THE_CONNECTION = frozenset(
    {
        "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip


class Sender:
    """Sends the calls of one :class:`nbauth.msgraph.client.Graph`.

    Attributes:
        root: the Graph.
        transport: sends the requests.
        told: what the person was told; each sentence once.
    """

    def __init__(self, root: Root, transport: Transport) -> None:
        self.root = root
        self.transport = transport
        self.told = Notices(transport.bound.person)

    def send(
        self, method: str, path: Path, options: Mapping[str, Any], body: object = None
    ) -> Reply:
        """Send one request; ``body`` is JSON, or bytes that are sent as they are."""
        reply = self.transport.send(self.request(method, path, options, body))
        self._tell_of_cut_lists(reply)
        return reply

    def request(
        self,
        method: str,
        path: Path,
        options: Mapping[str, Any],
        body: object = None,
    ) -> Request:
        """The request for a path and options; see :meth:`send`."""
        url = self.root.url(path, _query(options))
        url, headers = self._advanced(url, headers_of(options))
        if body is None:
            return self._request(method, url, headers)
        content, kind = _content(body)
        return self._request(method, url, {"Content-Type": kind, **headers}, content)

    def rows(self, path: Path, limit: int | None, options: Mapping[str, Any]) -> Rows:
        """All rows of a list. The headers are repeated with each page."""
        limit = checked_limit(limit)
        request = self.request("GET", path, options)
        headers = request.headers
        size = self._page_size(request.url, limit)
        first = request.url if size is None else self.root.url(request.url, {"top": size})

        def fetch(url: str) -> Reply:
            try:
                return self.transport.send(self._request("GET", url, headers))
            except GraphError as error:
                if url == request.url or url != first or error.status != 400:
                    raise
                # This Graph may have a smaller largest page than Microsoft documents.
                return self.transport.send(request)

        return Rows(fetch, self.root, first, limit, self._tell_of_cut_lists)

    def _tell_of_cut_lists(self, reply: Reply) -> None:
        """Say that an expanded list within a row has only its first rows."""
        if found := _CUT.search(reply.body):
            name = found[1].decode("utf-8", "replace")
            self.told.tell(
                f"Graph sent only the first rows of the expanded list {plain(name)}. Read the list"
                " with a call of its own if you need all."
            )

    def rows_from(self, link: str, headers: Mapping[str, str]) -> Rows:
        """All rows from a checked link on, which has a query of its own."""
        return Rows(
            lambda url: self.transport.send(self._request("GET", url, headers)), self.root, link
        )

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Request:
        path = self.root.path_of(url)
        return Request(method, url, path, service_of(path), headers, body)

    def _advanced(self, url: str, headers: Mapping[str, str] | None) -> tuple[str, dict[str, str]]:
        """Add what an advanced query of the directory needs (document: aad-advanced-queries)."""
        given = dict(headers or {})
        query = odata.decoded(url.partition("?")[2])
        needs = needs_eventual(self.root.path_of(url), query)
        if not needs.header or any(name.lower() == EVENTUAL.lower() for name in given):
            return url, given
        given[EVENTUAL] = "eventual"
        added = f"{EVENTUAL}: eventual"
        if needs.count and "$count" not in query:
            url = self.root.url(url, {"count": True})
            added += " and $count=true"
        self.told.tell(
            f"Added {added}, which this query of the directory needs. The result may lack changes"
            " of the last minutes."
        )
        return url, given

    def _page_size(self, url: str, limit: int | None) -> int | None:
        """The largest page that is documented, unless the query has a size or is a link."""
        query = odata.decoded(url.partition("?")[2])
        if any(name.lower() in ("$top", "$skiptoken", "$deltatoken") for name in query):
            return None
        size = largest_page(self.root.path_of(url), query)
        return size if size is None or not limit else min(limit, size)


def content_of(reply: Reply) -> Any:
    """What a response contains: JSON, ``None``, the int of a ``$count``, else bytes."""
    if not reply.body:
        return None
    kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_content = reply.request.path.lower().endswith(("content", "$value"))
    of_a_proxy = kind == "text/html" and not is_content
    if kind == "application/json" or kind.endswith("+json") or of_a_proxy:
        return reply.json()
    number = reply.body.strip(b"\xef\xbb\xbf \r\n")
    if reply.request.path.endswith("$count") and number.isdigit():
        return int(number)
    return reply.body


def _content(body: object) -> tuple[bytes, str]:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body), "application/octet-stream"
    return as_json(body), "application/json"


def headers_of(options: Mapping[str, Any]) -> Mapping[str, str]:
    """The headers of a call. Raises ``ConfigurationError`` for those that cannot be sent."""
    given = checked_headers(options.get("headers"))
    for name, value in given.items():
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise ConfigurationError("A header has an invalid name.", code="bad_option")
        if name.lower() in _OF_THE_CONNECTION:
            raise ConfigurationError(
                f"The header {name} belongs to the connection; a call cannot set it.",
                code="bad_option",
            )
        if not (isinstance(value, str) and _VALUE.fullmatch(value)):
            raise ConfigurationError(f"The header {name} has an invalid value.", code="bad_option")
    return given


def _query(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "headers"}
