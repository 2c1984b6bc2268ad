"""Microsoft Graph from a notebook: one object with a fixed client and account."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.secret import refuse_pickling
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.hosts import Hosts, listed_hosts, named
from nbauth.msgraph.addresses import Root, root_of
from nbauth.msgraph.operations import Operations

if TYPE_CHECKING:
    from nbauth.core.account import Account, AccountKey
    from nbauth.core.options import CallOptions
    from nbauth.kernel.session import Session
    from nbauth.msgraph.aio import AsyncGraph

OWN = frozenset({"bound", "root", "partial", "session", "_hosts", "_sender", "_unfinished"})
"""The attributes that a Graph object has of its own, besides the session."""
MOST_KEPT = 16
"""Objects of ``nbauth.graph`` that are kept for the next use."""


class Graph(Operations):
    """Calls Microsoft Graph with the tokens of one account.

    It keeps the client and the account with which it is made; the default is the current account.
    If nobody is signed in yet, the first call signs in. Paths are relative (``me/messages``), of
    another version (``beta/me``), or full URLs of the same cloud.

    Args:
        version: of paths without one: ``"v1.0"`` or ``"beta"``.
        base_url: another Graph, as https, host and port. Its host gets tokens from this object.
        scopes: of the tokens; default: what the setting ``hosts`` lists for the host, else the
            profile's scopes.
        cloud: a national cloud: ``"usgov"``, ``"dod"`` or ``"china"``.
        profile, account, and other settings: as in :func:`nbauth.session`.

    Attributes:
        partial: what the last interrupted or failed call that collects rows had read.
        session: the ``requests.Session`` that sends the calls.

    Raises:
        ConfigurationError: an argument is invalid, or the host is not listed.
    """

    def __init__(
        self,
        *,
        version: str = "v1.0",
        base_url: str | None = None,
        scopes: Iterable[str] | str | None = None,
        account: Account | AccountKey | str | None = None,
        **options: Unpack[CallOptions],
    ) -> None:
        from nbauth.process_session import the_session

        here = the_session()
        bound = here.bind(account, **options)
        words = (scopes,) if isinstance(scopes, str) else tuple(scopes or ())
        wanted = bound.client.scopes(words) if words else None
        super().__init__(here, bound, *_where(bound, wanted, base_url, version))

    @classmethod
    def of(cls, here: Session, bound: Bound, root: Root, hosts: Hosts) -> Graph:
        """The Graph of a client and account of a session. ``hosts`` get tokens."""
        made = cls.__new__(cls)
        Operations.__init__(made, here, bound, root, hosts)
        return made

    def __repr__(self) -> str:
        digest = self.session.own_auth.digest
        return f"<nbauth.Graph {self.root.address}/{self.root.version} {digest}>"

    def __dask_tokenize__(self) -> object:
        where = f"{self.root.address}/{self.root.version}"
        return "nbauth.Graph", self.bound.names, where, named(self._hosts)

    def __reduce__(self) -> Any:
        """Names; no token."""
        workers = self._here.workers
        if workers is None:
            refuse_pickling(self, "its session is not the one of this process.")
        return _graph_again, (workers.references.find_session, self.bound, self.root, self._hosts)

    def __copy__(self) -> Graph:
        return self

    def __deepcopy__(self, memo: object) -> Graph:
        return self

    def is_for(self, bound: Bound, root: Root, hosts: Hosts) -> bool:
        """Whether it sends the calls of this client and account to this Graph."""
        own = self.bound
        same = own.key == bound.key and own.client.key == bound.client.key
        settings = own.client.settings == bound.client.settings
        return same and settings and (self.root, self._hosts) == (root, hosts)

    @cached_property
    def aio(self) -> AsyncGraph:
        """The same methods for ``await``."""
        from nbauth.msgraph.aio import AsyncGraph

        return AsyncGraph(self)


def _where(
    bound: Bound, wanted: Scopes | None, base_url: str | None, version: str
) -> tuple[Root, Hosts]:
    """The Graph of a client, or the given one, and the hosts that get its tokens."""
    client = bound.client
    if base_url is not None:
        root = root_of(base_url, version)
        return root, {root.place: wanted or client.scopes(())}
    microsoft = client.authority.graph if client.authority.microsoft else ""
    if not (address := client.settings.graph_url or microsoft):
        raise ConfigurationError(
            "Tokens of this authority are not for Microsoft Graph.",
            code="no_graph",
            hint='Set graph_url and hosts, or use nbauth.Graph(base_url="https://...").',
        )
    root = root_of(address, version)
    return root, listed_hosts(client, wanted, [root.place])


def _graph_again(find_session: Callable[[], Session], *of: Any) -> Graph:
    """What a pickled :class:`Graph` calls when it is loaded."""
    return Graph.of(find_session(), *of)


class _Unconfigured(Graph):
    # What nbauth.graph is if it cannot be made. It is made, or the error raised, at its use. So
    # help(nbauth), hasattr and completion work before anything is configured.
    __doc__ = Graph.__doc__

    def __init__(self, here: Session) -> None:
        self._here = here

    def __repr__(self) -> str:
        return "<nbauth.Graph, not configured yet>"

    def __reduce__(self) -> Any:
        _ = self.bound  # makes it a Graph, or raises the error
        return self.__reduce__()

    def __getattr__(self, name: str) -> Any:
        if name not in OWN:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        made = graph_for(self._here)
        self.__class__ = Graph  # type: ignore[assignment]
        self.__dict__.update(made.__dict__)
        return getattr(self, name)


def current(here: Session) -> Graph:
    """The Graph of the current client and account; one object as long as these stay."""
    try:
        return graph_for(here)
    except NbAuthError:
        return _Unconfigured(here)


def graph_for(
    here: Session,
    version: str = "v1.0",
    account: Account | AccountKey | str | None = None,
    **options: Unpack[CallOptions],
) -> Graph:
    """The Graph of an account and of settings; one object as long as these stay."""
    bound = here.bind(account, **options)
    root, hosts = _where(bound, None, None, version)
    for known in list(here.graphs):
        if isinstance(known, Graph) and known.is_for(bound, root, hosts):
            return known
    made = Graph.of(here, bound, root, hosts)
    here.graphs[:] = [*here.graphs[1 - MOST_KEPT :], made]
    return made
