"""Delta queries: what has changed since an earlier call (Graph document: delta-query-overview).

Rows may come repeatedly and in any order. The last version of each counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.interrupted import GraphInterrupted
from nbauth.core.person import say_to
from nbauth.core.text import plain
from nbauth.msgraph.addresses import Path
from nbauth.msgraph.changes import Changes, id_of, merged, removal
from nbauth.msgraph.endpoints.segments import segments_of
from nbauth.msgraph.odata import repeatable
from nbauth.msgraph.pages import DELTA_LINK
from nbauth.msgraph.progress import Progress
from nbauth.msgraph.sender import Sender

LOST_STATE = frozenset(
    {
        "syncstatenotfound",
        "syncstateinvalid",
        "resyncrequired",
        "resyncchangesapplydifferences",
        "resyncchangesuploaddifferences",
    }
)
"""Codes in lower case with which a service says that the state is of no use."""


class Delta:
    """One delta query.

    Args:
        sender: of Graph's requests.
        path: ends in ``delta``.
        state: a delta link or a next link of an earlier call.
        options: of the first call.
    """

    def __init__(
        self, sender: Sender, path: Path, state: str | None, options: Mapping[str, Any]
    ) -> None:
        options = repeatable(options)
        self._sender = sender
        self._first = sender.root.url(path, _query(options))
        self._path = path
        self._options = options
        self._is_delta()
        self._link = self._first if state is None else self._checked(state)
        self._is_first = state is None
        self._rows: dict[str, Any] = {}
        self._unnamed: list[Any] = []
        self._removed: dict[str, str] = {}
        self._reset = False
        self._complete = False

    @property
    def changes(self) -> Changes:
        """What was read so far."""
        rows = [*self._rows.values(), *self._unnamed]
        return Changes(
            rows, self._link, self._removed, reset=self._reset, is_complete=self._complete
        )

    def read(self, progress: bool) -> Changes:
        """Read all pages."""
        with Progress(unit="rows", enabled=progress) as bar:
            try:
                try:
                    self._run(bar)
                except GraphError as error:
                    if not _is_lost(error):
                        raise
                    self._start_again(error)
                    self._run(bar)
            except KeyboardInterrupt:
                raise GraphInterrupted(
                    self.changes.rows,
                    self._link,
                    goes_on="graph.delta(path, graph.partial.next_link)",
                ) from None
            except GraphError as error:
                error.rows, error.next_link = self.changes.rows, self._link
                raise
        return self.changes

    def _run(self, bar: Progress) -> None:
        """Read from the link on. After each page the link is moved, so that none is left out."""
        if self._is_first:
            request = self._sender.request("GET", self._path, self._options)
            self._link, headers = request.url, request.headers
        else:
            headers = dict(self._options.get("headers") or {})
        rows = self._sender.rows_from(self._link, headers)
        for page in rows.pages():
            for row in page:
                self._take(row)
            bar.update(len(page))
            if rows.next_link is not None:
                self._link, self._is_first = rows.next_link, False
        self._link = self._delta_link(rows.annotations.get(DELTA_LINK))
        self._complete = True

    def _take(self, row: Any) -> None:
        ident = id_of(row)
        if ident is None:
            self._unnamed.append(row)
            return
        if (reason := removal(row)) is not None:
            self._removed[ident] = reason
            self._rows.pop(ident, None)
            return
        self._removed.pop(ident, None)
        before = self._rows.pop(ident, None)
        self._rows[ident] = row if before is None else merged(before, row)

    def _start_again(self, error: GraphError) -> None:
        """Begin with all rows, at the address that the service names or with the first request."""
        say_to(
            self._sender.transport.bound.person,
            f"The service has dropped the state of {plain(self._shown)} ({plain(error.code)}). All"
            " rows are read again.",
        )
        self._rows, self._unnamed, self._removed, self._reset = {}, [], {}, True
        self._is_first = error.location is None
        if error.location is not None:
            self._link = self._sender.root.linked(error.location, self._first)

    def _delta_link(self, link: object) -> str:
        if link:
            return self._sender.root.linked(link, self._first)
        raise GraphError(
            f"The last page of {plain(self._shown)} has no delta link.",
            code="no_delta_link",
            hint="The rows are there, but there is no state for a next call. Report it to whoever"
            " runs this Graph.",
        )

    @property
    def _shown(self) -> str:
        return self._sender.root.path_of(self._first)

    def _is_delta(self) -> None:
        if segments_of(self._shown)[-1:] == ("delta",):
            return
        raise ConfigurationError(
            f"{plain(self._shown)} is not the path of a delta query. Nothing was sent.",
            code="bad_path",
            hint="It ends in delta, for example users/delta or me/drive/root/delta.",
        )

    def _checked(self, state: object) -> str:
        """A state as a link. Ids in its path may differ: services write them in other ways."""
        if not isinstance(state, str) or not state.strip():
            raise ConfigurationError(
                "The state is not one of an earlier call. Nothing was sent.",
                code="bad_state",
                hint="Pass the state as graph.delta has returned it, or None for all rows.",
            )
        link = state.strip()
        root = self._sender.root
        link = root.url(link)  # raises for another host
        if self._kind(link) == self._kind(self._first):
            return link
        raise ConfigurationError(
            f"The state is of {plain(root.path_of(link))}, not of {plain(self._shown)}. Nothing was"
            " sent.",
            code="bad_state",
            hint="Pass the state as graph.delta has returned it for this path.",
        )

    def _kind(self, link: str) -> tuple[str, str]:
        """The version and the collection of a link: ``v1.0``, ``messages``."""
        version = link.removeprefix(self._sender.root.address).strip("/").partition("/")[0]
        names = [name.lower() for name in segments_of(self._sender.root.path_of(link))]
        is_drive = {"drive", "drives"} & {*names}  # folders are named by path or by id
        return version.lower(), "drive" if is_drive else "/".join(names[-2:-1])


def _query(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "headers"}


def _is_lost(error: GraphError) -> bool:
    return error.status == 410 or (error.status in (400, 404) and error.code.lower() in LOST_STATE)
