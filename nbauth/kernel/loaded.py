"""In a worker process: a session for each reference to a notebook's session that it has loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from nbauth.core.account import Asked
from nbauth.core.forks import no_fork
from nbauth.kernel.accounts.background import Background
from nbauth.kernel.answering.references import LoadedReference
from nbauth.kernel.asking.asking import Asking
from nbauth.kernel.asking.channel import gone
from nbauth.kernel.asking.reference import Names, Reference
from nbauth.kernel.bound import Bound
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.accounts.cache import TokenCache
    from nbauth.kernel.asking.channel import Channel
    from nbauth.kernel.asking.reference import ReferencesTo

_Where = tuple[str, str]
ROOM = 32
"""References that a worker keeps at least, although no object uses them and their tokens ended."""


class WorkerSession(Protocol):
    """A session in a worker that has one account, whose tokens the notebook's kernel gets."""

    cache: TokenCache

    def bind_for_worker(
        self,
        notebook: Asking,
        references: ReferencesTo,
        client: Client,
        asked: Asked | None,
        refresher: Background,
    ) -> Bound: ...
    def refresh_ahead(self) -> float | None: ...
    def rest(self) -> None: ...
    def forked(self) -> None: ...


@dataclass(eq=False)
class _Loaded:
    """What a worker has made for a reference to a client and account of ``notebook``, a session."""

    notebook: str
    session: WorkerSession
    asking: Asking
    bound: Bound

    def __post_init__(self) -> None:
        self.asking.keeps = self  # as long as an object uses the client and account

    @property
    def has_token(self) -> bool:
        """Whether it has a token that is still valid."""
        return any(token.valid for token in list(self.session.cache.tokens.values()))


class LoadedReferences:
    """The sessions of a worker that ask notebooks for tokens, one for each reference.

    Each is apart from the others, and from the worker's own sign-ins.

    Args:
        find_session: returns the session of any process that calls it.
        make_session: makes an empty session in this process that asks the notebook.
    """

    def __init__(
        self, find_session: Callable[[], Any], make_session: Callable[[], WorkerSession]
    ) -> None:
        self._find_session = find_session
        self._make_session = make_session
        self._channel: Channel | None = None
        self._loaded: WeakValueDictionary[_Where, _Loaded] = WeakValueDictionary()
        self._kept: dict[_Where, _Loaded] = {}
        self._refreshers: dict[str, Background] = {}
        self._room = ROOM

    @property
    def channel(self) -> Channel | None:
        """In a worker that its program has connected with the notebook.

        Otherwise a worker uses the pipe of the process that started it. If this changes, tokens
        that came another way are dropped: who answers now would not tell this worker to.
        """
        return self._channel

    @channel.setter
    def channel(self, channel: Channel | None) -> None:
        self._channel = channel
        for loaded in self._all():
            loaded.asking.forget()

    def bound_to(self, names: Names, client: Callable[[], Client]) -> Bound | None:
        """The client and account of a reference to a session of a notebook.

        ``None`` if this process cannot ask the notebook. ``client``: makes the client.
        """
        reference = names.reference
        where = reference.session, reference.name
        known = self._loaded.get(where)
        if known is None and self._channel_for(reference) is not None:
            # apart from other references, and from the worker's own sign-ins
            session = self._make_session()
            asking = Asking(lambda: self._known_channel(reference), reference, session.cache)
            again = LoadedReference(self._find_session, names)
            refresher = self._refresher_of(reference.session)
            bound = session.bind_for_worker(asking, again, client(), names.asked, refresher)
            made = _Loaded(reference.session, session, asking, bound)
            known = self._loaded[where] = self._kept.setdefault(where, made)  # one for all threads
        if known is None:
            return None
        self._keep(where, known)
        return known.bound

    def _keep(self, where: _Where, loaded: _Loaded) -> None:
        """Keep it for later tasks while it has a token, also if no object uses it meanwhile."""
        self._kept[where] = loaded
        if len(self._kept) > self._room:
            for one, other in list(self._kept.items()):
                if other is not loaded and not other.has_token:
                    self._kept.pop(one, None)
            self._room = max(ROOM, 2 * len(self._kept))

    def _channel_for(self, reference: Reference) -> Channel | None:
        if self.channel is not None or not reference.of_this_family:
            return self.channel
        with no_fork():
            from nbauth.kernel.asking.pipe import Pipe

        return Pipe(reference.pipe)

    def _known_channel(self, reference: Reference) -> Channel:
        if (channel := self._channel_for(reference)) is None:
            raise gone()
        return channel

    def forget(self, session: str) -> None:
        """Drop all tokens of a notebook's session."""
        for loaded in self._all():
            if loaded.notebook == session:
                loaded.asking.forget()

    def _all(self) -> list[_Loaded]:
        """What is loaded now. Iterating a weak dictionary fails if another thread adds to it."""
        found = (reference() for reference in self._loaded.valuerefs())
        return [loaded for loaded in found if loaded is not None]

    def _refresher_of(self, session: str) -> Background:
        """One thread refreshes ahead for all references to a notebook's session."""

        def tick() -> float | None:
            of = [loaded for loaded in self._all() if loaded.notebook == session]
            naps = [loaded.session.refresh_ahead() for loaded in of]
            return min((nap for nap in naps if nap is not None), default=None)

        return self._refreshers.setdefault(session, Background("nbauth-refresh", tick))

    def forked(self) -> None:
        """In a forked child: nothing is in progress."""
        self._refreshers = {}
        for loaded in self._all():
            loaded.session.forked()
            loaded.asking.forked()

    def stop(self) -> None:
        """The process ends, or the extension is unloaded: refresh nothing ahead."""
        for refresher in list(self._refreshers.values()):
            refresher.stop()
        for loaded in self._all():
            loaded.session.rest()
