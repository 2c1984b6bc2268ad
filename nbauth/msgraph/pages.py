"""All rows of a list, page by page: complete, or it raises (OData 4.01 protocol, §11.2.6.7)."""

from __future__ import annotations

import contextvars
import json
import re
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any, NamedTuple

from nbauth.core.errors import GraphError, TokenError
from nbauth.core.secret import refuse_pickling
from nbauth.core.text import plain
from nbauth.msgraph.addresses import Root
from nbauth.msgraph.later import Later, OwnersFlag, stopped
from nbauth.msgraph.odata import decoded
from nbauth.msgraph.transport import Reply

_LINK = re.compile(rb'"@odata\.nextLink"\s*:\s*("(?:[^"\\]|\\.)*")')
NEXT_LINK = "@odata.nextLink"
DELTA_LINK = "@odata.deltaLink"


class _Place(NamedTuple):
    """How far a list was read. It changes at once, so an interrupt loses no page.

    Attributes:
        page: the rows of the last page that are left.
        next_link: of the first page that was not read.
        limit: how many more rows may be read.
    """

    page: Iterator[Any]
    next_link: str | None
    limit: int | None


class Rows(Iterator[Any]):
    """The rows of a list, read while they are iterated; at the end they are complete.

    The next page is requested while the last one is used. An interrupt or an error does not end
    it: iterate it again to go on. If several threads iterate it, each row goes to one of them.

    Attributes:
        count: ``@odata.count`` of the first page, if it was requested.
        headers: of the first response.
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
        self._place = _Place(iter(()), None if limit == 0 else url, limit)
        self._fetch = fetch
        self._url = url
        self._root = root
        self._look = look
        self._seen = {hash(url)}
        self._ahead: tuple[str, Later[Reply]] | None = None
        self._closed = OwnersFlag(self)

    def __repr__(self) -> str:
        """Without the query, in which a link has its state."""
        more = "" if self.next_link is None else ", more pages follow"
        return f"<Rows of {plain(self._root.path_of(self._url))}{more}>"

    def __reduce__(self) -> Any:
        refuse_pickling(self, "pickle next_link, and go on with graph.list(link).")

    @property
    def next_link(self) -> str | None:
        """The link of the first page that was not read, ``None`` at the end.

        Another kernel can go on there: ``graph.list(link)``.
        """
        return self._place.next_link

    def close(self) -> None:
        """Stop the thread that requests the next page. The rows can be read on nevertheless."""
        self._closed.set()
        self._ahead, self._closed = None, OwnersFlag(self)

    def __iter__(self) -> Rows:
        return self

    def __next__(self) -> Any:
        while True:
            place = self._place
            for row in place.page:
                return row
            if not self._read(place):
                raise StopIteration

    def pages(self) -> Iterator[list[Any]]:
        """The same page by page, each a list of rows; empty pages are left out.

        It is for one thread.
        """
        while rest := self._rest():
            self._place = self._place._replace(page=iter(()))
            yield rest

    def _rest(self) -> list[Any]:
        """The rows of the current page that are left, or those of the next page that has some."""
        while True:
            place = self._place
            if rest := list(copy(place.page)):
                return rest
            if not self._read(place):
                return []

    def _read(self, place: _Place) -> bool:
        """Read the page after this place; return whether there is one.

        The state changes at the end, so that it can be repeated. If another thread has read the
        page meanwhile, that page counts.
        """
        url, limit = place.next_link, place.limit
        if url is None:
            return self._place is not place
        reply = self._reply(url)
        ahead = self._expect(reply.body, url) if limit is None else None
        page = reply.json()
        rows, link = self._checked(page, reply), self._link(page, url)
        if limit is not None:
            rows = rows[:limit]
            limit -= len(rows)
            link = link if limit else None
        if self.headers == {}:
            count = page.get("@odata.count")
            self.count = count if isinstance(count, int) else None
            self.headers = reply.headers
        if link is None:
            ahead = None
        elif ahead is None or ahead[0] != link:
            ahead = self._begin(link)
        annotations = {name: value for name, value in page.items() if name[:1] == "@"}
        reached = _Place(iter(rows), link, limit)
        if self._place is place:
            self._place = reached
            self._ahead, self.annotations = ahead, annotations
            if link is not None:
                self._seen.add(hash(link))
            self._look(reply)
        return True

    def _reply(self, url: str) -> Reply:
        """The response for a URL, which may have been requested already."""
        ahead = self._ahead
        if ahead is None or ahead[0] != url:
            return self._fetch(url)
        try:
            return ahead[1].result()
        except TokenError:  # that thread could not ask the person; this one may
            self._ahead = None
            return self._fetch(url)
        except GraphError as error:
            self._ahead = None
            if error.status != 403:
                raise
            return self._fetch(url)  # likewise for a consent
        except Exception:
            self._ahead = None
            raise

    def _begin(self, link: str) -> tuple[str, Later[Reply]] | None:
        """Request a page in another thread, until these rows are closed or dropped.

        ``None`` if there can be no more threads. The page is requested when it is needed then.
        """
        fetch = self._fetch
        context = contextvars.copy_context()
        if stopped.get() is None:
            context.run(stopped.set, self._closed)
        try:
            return link, context.run(Later, lambda: fetch(link))
        except RuntimeError:
            return None

    def _expect(self, body: bytes, url: str) -> tuple[str, Later[Reply]] | None:
        """Request the next page before this one is parsed, by the link as it stands in the text."""
        found = _LINK.search(body)
        if found is None:
            return None
        try:
            link = self._link({NEXT_LINK: json.loads(found[1])}, url)
        except (ValueError, GraphError):
            return None  # what is wrong with it is found again below
        return None if link is None else self._begin(link)

    def _link(self, page: Mapping[str, Any], url: str) -> str | None:
        link = page.get(NEXT_LINK)
        if not link:
            return None
        checked = self._root.linked(link, url)
        if hash(checked) in self._seen and self.next_link == url:  # else a thread was faster
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
