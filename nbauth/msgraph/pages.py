"""All rows of a list, page by page: complete, or it raises (OData 4.01 protocol, §11.2.6.7)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nbauth.core.errors import GraphError, TokenError
from nbauth.core.secret import refuse_pickling
from nbauth.core.text import plain
from nbauth.msgraph.addresses import Root
from nbauth.msgraph.later import Later
from nbauth.msgraph.odata import decoded
from nbauth.msgraph.transport import Reply

_LINK = re.compile(rb'"@odata\.nextLink"\s*:\s*("(?:[^"\\]|\\.)*")')
NEXT_LINK = "@odata.nextLink"
DELTA_LINK = "@odata.deltaLink"


class Rows(Iterator[Any]):
    """The rows of a list, read while they are iterated; at the end they are complete.

    The next page is requested while the last one is used. An interrupt or an error does not end
    it: iterate it again to go on.

    Attributes:
        count: ``@odata.count`` of the first page, if it was requested.
        headers: of the first response.
        next_link: the link of the first page that was not read, ``None`` at the end. Another kernel
            can go on there: ``graph.list(link)``.
        annotations: the ``@odata`` annotations of the last page.
        select: the names of ``$select``, ``None`` without it.

    Args:
        fetch: sends the request for a URL.
        root: the Graph, which links may not leave.
        url: of the first page.
        limit: the most rows.
        look: gets each page that was read.
    """

    def __init__(
        self,
        fetch: Callable[[str], Reply],
        root: Root,
        url: str,
        limit: int | None = None,
        look: Callable[[Reply], None] = lambda _: None,
    ) -> None:
        self.count: int | None = None
        self.headers: Mapping[str, str] = {}
        self.annotations: dict[str, Any] = {}
        self.select = selected(url)
        self.next_link: str | None = url if limit is None or limit > 0 else None
        self._fetch = fetch
        self._url = url
        self._root = root
        self._limit = limit
        self._look = look
        self._seen = {hash(url)}
        self._page: Iterator[Any] = iter(())
        self._ahead: tuple[str, Later[Reply]] | None = None

    def __repr__(self) -> str:
        """Without the query, in which a link has its state."""
        more = "" if self.next_link is None else ", more pages follow"
        return f"<Rows of {plain(self._root.path_of(self._url))}{more}>"

    def __reduce__(self) -> Any:
        refuse_pickling(self, "pickle next_link, and go on with graph.list(link).")

    def __iter__(self) -> Rows:
        return self

    def __next__(self) -> Any:
        while True:
            for row in self._page:
                return row
            if self.next_link is None:
                raise StopIteration
            self._page = iter(self._read())

    def pages(self) -> Iterator[list[Any]]:
        """The same page by page, each a list of rows; empty pages are left out."""
        while rest := list(self._page) or self._next_rows():
            self._page = iter(())
            yield rest

    def _next_rows(self) -> list[Any]:
        while self.next_link is not None:
            if rows := self._read():
                return rows
        return []

    def _read(self) -> list[Any]:
        """The rows of the next page. The state changes at the end, so that it can be repeated."""
        url = self.next_link
        assert url is not None
        self._page = iter(())  # the memory of the last page
        reply = self._reply(url)
        ahead = self._expect(reply.body, url)
        page = reply.json()
        rows, link = self._checked(page, reply), self._link(page, url)
        if self._limit is not None:
            rows = rows[: self._limit]
            if len(rows) == self._limit:
                link = None
        if self.headers == {}:
            self.headers = reply.headers
            count = page.get("@odata.count")
            self.count = count if isinstance(count, int) else None
        if link is None:
            self._ahead = None
        elif ahead is None or ahead[0] != link:
            self._ahead = (link, Later(lambda: self._fetch(link)))
        else:
            self._ahead = ahead
        self.annotations = {name: value for name, value in page.items() if name[:1] == "@"}
        if self._limit is not None:
            self._limit -= len(rows)
        if link is not None:
            self._seen.add(hash(link))
        self.next_link = link
        self._look(reply)
        return rows

    def _reply(self, url: str) -> Reply:
        """The response for a URL, which may have been requested already."""
        ahead = self._ahead
        if ahead is None or ahead[0] != url:
            return self._fetch(url)
        self._ahead = None
        try:
            return ahead[1].result()
        except TokenError:  # that thread could not ask the person; this one may
            return self._fetch(url)
        except GraphError as error:
            if error.status != 403:
                raise
            return self._fetch(url)  # likewise for a consent
        except KeyboardInterrupt:
            self._ahead = ahead
            raise

    def _expect(self, body: bytes, url: str) -> tuple[str, Later[Reply]] | None:
        """Request the next page before this one is parsed, by the link as it stands in the text."""
        found = None if self._limit is not None else _LINK.search(body)
        if found is None:
            return None
        try:
            link = self._link({NEXT_LINK: json.loads(found[1])}, url)
        except (ValueError, GraphError):
            return None  # what is wrong with it is found again below
        return None if link is None else (link, Later(lambda: self._fetch(link)))

    def _link(self, page: Mapping[str, Any], url: str) -> str | None:
        link = page.get(NEXT_LINK)
        if not link:
            return None
        checked = self._root.linked(link, url)
        if hash(checked) in self._seen:
            raise GraphError(
                f"The pages of {plain(self._root.path_of(url))} form a loop: a next link leads to a"
                " page that was read before.",
                code="loop",
                hint="The rows read so far are not all. Report it to whoever runs this Graph.",
            )
        return checked

    def _checked(self, page: Any, reply: Reply) -> list[Any]:
        rows = page.get("value") if isinstance(page, dict) else None
        if isinstance(rows, list):
            return rows
        raise GraphError(
            f"{plain(reply.request.path)} is not a list.",
            code="not_a_list",
            hint="Use graph.get for one object.",
            status=reply.status,
        )


def selected(url: str) -> list[str] | None:
    """The names of ``$select`` in a URL, or ``None``."""
    names = decoded(url.partition("?")[2]).get("$select")
    return (names and [name.strip() for name in names.split(",")]) or None
