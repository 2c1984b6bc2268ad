"""The session and other processes: it answers its workers; in a worker, it asks the notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from nbauth.core.account import AccountKey, Asked
from nbauth.core.errors import TokenError
from nbauth.core.forks import no_fork
from nbauth.kernel.accounts.grants import Ask
from nbauth.kernel.answering.answering import Answering
from nbauth.kernel.answering.references import LoadedReference, References
from nbauth.kernel.asking.asking import Asking
from nbauth.kernel.asking.channel import gone
from nbauth.kernel.asking.reference import Names, Reference
from nbauth.kernel.bound import Bound
from nbauth.kernel.tokens import Tokens
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.accounts.cache import TokenCache
    from nbauth.kernel.answering.pipe import Answers
    from nbauth.kernel.asking.channel import Channel
    from nbauth.kernel.asking.reference import ReferencesTo


_Where = tuple[str, str]
ROOM = 32
"""References that a worker keeps at least, although no object uses them and their tokens ended."""


class WorkerSession(Protocol):
    """A session in a worker that has one account, whose tokens the notebook's kernel gets."""

    cache: TokenCache

    def bind_for_worker(
        self, notebook: Asking, references: ReferencesTo, client: Client, asked: Asked | None
    ) -> Bound: ...
    def rest(self) -> None: ...
    def forked(self) -> None: ...


@dataclass(eq=False)
class _Loaded:
    """What a worker has made for a reference."""

    session: WorkerSession
    asking: Asking
    bound: Bound

    def __post_init__(self) -> None:
        self.asking.keeps = self  # as long as an object uses the client and account

    @property
    def has_token(self) -> bool:
        """Whether it has a token that is still valid."""
        return any(token.valid for token in list(self.session.cache.tokens.values()))


class Workers:
    """What a session does for, and in, other processes.

    Args:
        find_session: returns the session of any process that calls it.
        tokens: of this session.
        make_session: makes an empty session in this process that asks the notebook.

    Attributes:
        serving: what answers the workers of a cluster, by the id of the cluster's client.
    """

    def __init__(
        self,
        find_session: Callable[[], Any],
        tokens: Tokens,
        make_session: Callable[[], WorkerSession],
    ) -> None:
        self._find_session = find_session
        self._tokens = tokens
        self._make_session = make_session
        self._channel: Channel | None = None
        self.serving: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self.references = References(find_session, self._address)
        self._answering = Answering(self.references, tokens)
        self._pipes: dict[None, Answers] = {}
        self._forked = False
        self._loaded: WeakValueDictionary[_Where, _Loaded] = WeakValueDictionary()
        self._kept: dict[_Where, _Loaded] = {}
        self._room = ROOM

    @property
    def id(self) -> str:
        """Names the session for other processes."""
        return self.references.session

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
        for loaded in list(self._loaded.values()):
            loaded.asking.forget()

    def answer(self, question: object) -> Mapping[str, Any]:
        """Answer a worker of another machine; see :meth:`Answering.answer`."""
        return self._answering.answer(question)

    def bound_to(self, names: Names, client: Callable[[], Client]) -> Bound | None:
        """The client and account of a reference to this session, or to the notebook's.

        ``None`` if this process cannot ask the notebook. ``client``: makes the client, in a worker.
        """
        reference = names.reference
        if reference.session == self.id:
            found = self.references.find(reference.name)
            if found is not None or not self._forked:
                return found
            # made in the parent since the fork, or without an account before it
        where = reference.session, reference.name
        known = self._loaded.get(where)
        if known is None and self._channel_for(reference) is not None:
            # apart from other references, and from the worker's own sign-ins
            session = self._make_session()
            asking = Asking(lambda: self._known_channel(reference), reference, session.cache)
            again = LoadedReference(self._find_session, names)
            bound = session.bind_for_worker(asking, again, client(), names.asked)
            made = _Loaded(session, asking, bound)
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
        """In a worker: drop all tokens of a notebook's session."""
        for (of, _), loaded in list(self._loaded.items()):
            if of == session:
                loaded.asking.forget()

    # ── hooks of the process ────────────────────────────────────────────────────────────────

    def before_fork(self) -> None:
        """Take the address at which a child can ask, if there is something to ask for."""
        if self._tokens.cache.signed_in:
            self._listening().listen()

    def after_fork(self) -> None:
        """In the parent: answer children."""
        for pipe in self._pipes.values():
            pipe.serve()

    def forked(self) -> None:
        """In a forked child: the parent answers, also for this process."""
        self._forked = True
        for pipe in self._pipes.values():
            pipe.forked()
        self.references.forked()
        for loaded in list(self._loaded.values()):
            loaded.session.forked()
            loaded.asking.forked()

    def ask_parent(self, account: AccountKey) -> Ask:
        """In a forked child: what asks the parent for tokens of an account."""
        # read now: a child whose parent does not listen may listen itself later
        address = "".join(pipe.known_address for pipe in self._pipes.values())
        record = self._tokens.cache.signed_in.get(account)
        if record is not None and record.store is not None and record.unsaved:
            address = ""  # the child holds the store's lock, which the parent needs to answer

        name = self.references.inherited(account)

        def ask(scopes: Any, required: Any, refused: str | None) -> Any:
            if not address:
                raise no_pipe()
            with no_fork():
                from nbauth.kernel.asking.messages import Question, read_answer
                from nbauth.kernel.asking.pipe import Pipe
            question = Question.of(name, scopes, refused, required, account)
            return read_answer(Pipe(address).ask(self.id, question.plain())).response

        return ask

    def stop(self) -> None:
        """The process ends, or the extension is unloaded: answer nobody."""
        for pipe in self._pipes.values():
            pipe.stop()
        for loaded in list(self._loaded.values()):
            loaded.session.rest()

    def _listening(self) -> Answers:
        if (known := self._pipes.get(None)) is not None:
            return known
        with no_fork():  # else a child forked by another thread would wait for this import
            from nbauth.kernel.answering.pipe import Answers

        made = Answers(self._answering.answer)
        return self._pipes.setdefault(None, made)

    def _address(self) -> str:
        return self._listening().address()


def no_pipe() -> TokenError:
    """The error for a forked child that cannot ask its parent."""
    return TokenError(
        "This process was forked from the notebook's kernel, and only the kernel can refresh its"
        " tokens.",
        code="forked_process",
        hint="Refresh the token in the notebook before the fork (%token --force-refresh), store"
        " the sign-in (persist), or use threads instead of processes.",
    )
