"""The session and other processes: it answers its workers; in a worker, it asks the notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from nbauth.core.account import AccountKey
from nbauth.core.errors import TokenError
from nbauth.core.forks import no_fork
from nbauth.kernel.accounts.grants import Ask
from nbauth.kernel.answering.answering import Answering
from nbauth.kernel.answering.references import References
from nbauth.kernel.asking.reference import Names
from nbauth.kernel.bound import Bound
from nbauth.kernel.loaded import LoadedReferences, WorkerSession
from nbauth.kernel.tokens import Tokens
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from nbauth.kernel.answering.pipe import Answers


class Workers:
    """What a session does for, and in, other processes.

    Args:
        find_session: returns the session of any process that calls it.
        tokens: of this session.
        make_session: makes an empty session in this process that asks the notebook.

    Attributes:
        loaded: what this process has loaded of other sessions, in a worker.
        serving: what answers the workers of a cluster, by the id of the cluster's client.
    """

    def __init__(
        self,
        find_session: Callable[[], Any],
        tokens: Tokens,
        make_session: Callable[[], WorkerSession],
    ) -> None:
        self._tokens = tokens
        self.serving: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self.references = References(find_session, self._address)
        self._answering = Answering(self.references, tokens)
        self._pipes: dict[None, Answers] = {}
        self._forked = False
        self.loaded = LoadedReferences(find_session, make_session)

    @property
    def id(self) -> str:
        """Names the session for other processes."""
        return self.references.session

    def answer(self, question: object) -> Mapping[str, Any]:
        """Answer a worker of another machine; see :meth:`Answering.answer`."""
        return self._answering.answer(question)

    def bound_to(self, names: Names, client: Callable[[], Client]) -> Bound | None:
        """The client and account of a reference to this session, or to the notebook's.

        ``None`` if this process cannot ask the notebook. ``client``: makes the client, in a worker.
        """
        if names.reference.session == self.id:
            found = self.references.find(names.reference.name)
            if found is not None or not self._forked:
                return found
            # made in the parent since the fork, or without an account before it
        return self.loaded.bound_to(names, client)

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
        self.loaded.forked()

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
        self.loaded.stop()

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
