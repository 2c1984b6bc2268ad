"""The calls of Graph, which block until they have a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

from requests.adapters import HTTPAdapter

from nbauth.core.person import say_to
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.authorised_session import session_with
from nbauth.kernel.calls.hosts import Hosts
from nbauth.msgraph.addresses import Path, Root
from nbauth.msgraph.files.file_operations import Files
from nbauth.msgraph.files.unfinished import Unfinished
from nbauth.msgraph.odata import Options, odata
from nbauth.msgraph.pages import NEXT_LINK, Rows
from nbauth.msgraph.permissions import permissions
from nbauth.msgraph.sender import Sender, content_of
from nbauth.msgraph.transport import Transport

if TYPE_CHECKING:
    from nbauth.kernel.session import Session
    from nbauth.msgraph.batch.items import BatchItems, BatchRequest, Requested
    from nbauth.msgraph.changes import Changes
    from nbauth.msgraph.collected import Partial

MOST_CONNECTIONS = 32


class Operations(Files):
    """The calls for one client and account.

    Attributes:
        bound: the client and account.
        root: the Graph's address and version.
        session: the ``requests.Session`` that sends the calls.
        partial: what the last interrupted or failed call that collects rows had read.

    Args:
        here: the session of this process.
        hosts: the hosts that get tokens, with their scopes.
    """

    #: Quotes values in OData text: ``graph.odata("surname eq {}", "O'Brien")``.
    odata = staticmethod(odata)

    def __init__(self, here: Session, bound: Bound, root: Root, hosts: Hosts) -> None:
        self.bound = bound
        self.root = root
        self.partial: Partial | Changes | None = None
        self.session = session_with(here.auth_at(bound, hosts, permissions))
        for adapter in self.session.adapters.values():
            assert isinstance(adapter, HTTPAdapter)
            adapter.init_poolmanager(MOST_CONNECTIONS, MOST_CONNECTIONS)
        self._here = here
        self._hosts = hosts
        self._sender = Sender(root, Transport(self.session, bound, root, here.pauses))
        self._unfinished = Unfinished()

    def with_bound(self, bound: Bound) -> Operations:
        """The same calls with another source of tokens; the connections are shared."""
        self.session.get_adapter(self.root.address)  # in a forked child: with new connections
        made = Operations(self._here, bound, self.root, self._hosts)
        for name in ("adapters", "headers", "cookies", "verify", "proxies", "cert", "trust_env"):
            setattr(made.session, name, getattr(self.session, name))
        made._unfinished = self._unfinished
        made._sender.told = self._sender.told
        return made

    # ── reading ─────────────────────────────────────────────────────────────────────────────

    def get(self, path: Path, **options: Unpack[Options]) -> Any:
        """One object, as a dict; other content as bytes, a ``$count`` as int.

        Raises ``GraphError``, ``ConfigurationError`` and the errors of :func:`nbauth.token`.
        """
        content = content_of(self._sender.send("GET", path, options))
        if isinstance(content, dict) and content.get(NEXT_LINK):
            say_to(
                self.bound.person,
                "This is the first page. There are more rows: use graph.list or graph.df.",
            )
        return content

    def request(
        self, method: str, path: Path, json: object = None, **options: Unpack[Options]
    ) -> Any:
        """One request with any method; returns what :meth:`get` returns, without a message."""
        return content_of(self._sender.send(method.upper(), path, options, json))

    def list(self, path: Path, *, limit: int | None = None, **options: Unpack[Options]) -> Rows:
        """An iterator over all rows of a list, which reads page by page.

        Without ``top``, a page has as many rows as Microsoft documents for the path. The rows are
        complete, or it raises ``GraphError``; see :class:`nbauth.msgraph.pages.Rows`.

        Args:
            limit: the most rows.
        """
        return self._sender.rows(path, limit, options)

    def df(
        self,
        path: Path,
        *,
        limit: int | None = None,
        progress: bool = True,
        to: Literal["pandas", "polars", "table"] | None = None,
        **options: Unpack[Options],
    ) -> Any:
        """All rows of a list as a pandas DataFrame; without pandas, as a plain table.

        Columns are in the order of ``select``, nested names have dots, and times are UTC. The
        ``@odata`` annotations are in ``df.attrs``. After an interrupt or an error,
        :attr:`partial` has the rows that were read.

        Args:
            limit: the most rows.
            progress: whether a progress bar appears after a second; needs tqdm.
            to: ``"pandas"``, ``"polars"`` or ``"table"``, a list of dicts.
        """
        from nbauth.msgraph.collected import Collected
        from nbauth.msgraph.frames.frame import frame, library_for

        if to is not None:
            library_for(to)  # whatever is missing is said before rows are read
        source = self._sender.rows(path, limit, options)
        collected = Collected(source, limit, progress)
        try:
            with collected:
                rows = collected.read()
                return frame(rows, select=source.select, to=to, attrs=source.annotations)
        except BaseException:
            self.partial = collected.partial
            raise

    def get_many(
        self,
        paths: Iterable[Path],
        width: int = 4,
        *,
        limit: int | None = None,
        progress: bool = True,
        **options: Unpack[Options],
    ) -> BatchItems:
        """Many objects by ``$batch``: the results in the order of the paths.

        Each result is a :class:`nbauth.BatchItem` with ``ok``, ``status``, ``body`` and ``error``.
        Errors of single requests are not raised. Refused requests are repeated after the time that
        the service asks for. A collection is complete: all its pages are read, in further batches;
        ``top`` sets their size. After an interrupt or an error, :attr:`partial` has in ``rows`` the
        results in order, with ``None`` for the paths without one.

        Args:
            width: how many batches of 20 are sent at once.
            limit: the most rows of each collection.
            progress: whether a progress bar appears after a second; needs tqdm.
            options: for all paths.
        """
        from nbauth.msgraph.batch.items import BatchRequest, several

        return self._batches(
            [BatchRequest("GET", path) for path in several(paths)], width, limit, progress, options
        )

    # ── changing ────────────────────────────────────────────────────────────────────────────

    def post(self, path: Path, json: object = None, **options: Unpack[Options]) -> Any:
        """``POST``; returns the created object, or ``None``. It is repeated only after 429.

        ``json`` may also be bytes, which are sent as they are; so in ``patch`` and ``put``.
        """
        return content_of(self._sender.send("POST", path, options, json))

    def patch(self, path: Path, json: object = None, **options: Unpack[Options]) -> Any:
        """``PATCH``; returns the object, or ``None``. It is repeated only after 429."""
        return content_of(self._sender.send("PATCH", path, options, json))

    def put(self, path: Path, json: object = None, **options: Unpack[Options]) -> Any:
        """``PUT``; returns the object, or ``None``."""
        return content_of(self._sender.send("PUT", path, options, json))

    def delete(self, path: Path, **options: Unpack[Options]) -> None:
        """``DELETE``."""
        self._sender.send("DELETE", path, options)

    def batch(
        self, requests: Iterable[Requested], width: int = 4, *, progress: bool = True
    ) -> BatchItems:
        """Many requests by ``$batch``: the results in their order, as of :meth:`get_many`.

        A request is a path, which is read, or a mapping or :class:`nbauth.BatchRequest` with
        ``method``, ``path``, ``json``, ``headers`` and ``depends_on``: positions, from 0, of
        earlier requests that have to succeed before. Requests that depend on each other are sent
        in one batch, so at most 20, as a chain or all with the same dependencies. If a connection
        is lost, the error of a ``POST`` or ``PATCH`` says that its outcome is unknown.
        """
        from nbauth.msgraph.batch.items import BatchRequest, several

        return self._batches(
            [BatchRequest.of(one) for one in several(requests)], width, None, progress, {}
        )

    def _batches(
        self,
        given: Sequence[BatchRequest],
        width: int,
        limit: int | None,
        progress: bool,
        options: Mapping[str, Any],
    ) -> BatchItems:
        from nbauth.msgraph.batch.batches import Batches

        batches = Batches(self._sender, given, width, options, limit=limit, progress=progress)
        try:
            return batches.read()
        except BaseException:
            self.partial = batches.partial
            raise
