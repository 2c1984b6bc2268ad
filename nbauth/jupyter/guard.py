"""The output guard: masks the secrets of this process in what leaves the kernel.

It searches the packed messages, after everything that may format them. It knows no kernel;
``ipykernel/outgoing.py`` calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbauth.jupyter.secret_search import Needles, Search
    from nbauth.jupyter.split_output import Beginnings
    from nbauth.kernel.session import Session

NOTICE = (
    "nbauth masked a token in the output of this cell. Requests get it from nbauth.auth() or"
    " token.header. To show it, run: %config NbAuth.redact = False\n"
)


class Guard:
    """Masks what the session has issued.

    Args:
        session_if_made: returns the process's session, ``None`` before its first use.
    """

    def __init__(self, session_if_made: Callable[[], Session | None]) -> None:
        self._session_if_made = session_if_made
        self._needles: dict[str, Needles] = {}
        self._built: tuple[object, Search | None, Beginnings | None] = (None, None, None)

    @property
    def on(self) -> bool:
        """Whether there is something to mask, and the setting ``redact`` is not false."""
        session = self._session_if_made()
        return session is not None and bool(session.issued.texts) and session.reader.redacts()

    @property
    def beginnings(self) -> Beginnings | None:
        """The beginnings of the secrets; ``None`` if there are none."""
        return self._search()[1]

    def mask(self, data: bytes) -> bytes:
        """A packed message with masks; the same object if it contains no secret."""
        search, _ = self._search()
        if search is None:
            return data
        # JSON; the strings of other formats are preceded by their length, which must not change
        if data[:1] in (b"{", b"[", b'"'):
            shortened = self._shortened_masked(data, _dots)
            return self._if_on(data, search.masked(shortened, _dots, in_json=True))
        shortened = self._shortened_masked(data, _asterisks)
        return self._if_on(data, search.masked(shortened, _asterisks))

    def mask_buffer(self, data: bytes) -> bytes:
        """A binary buffer with masks of the same length."""
        search, _ = self._search()
        return data if search is None else self._if_on(data, search.masked(data, _asterisks))

    def _shortened_masked(self, data: bytes, fill: Callable[[int], bytes]) -> bytes:
        """Without both ends of tokens, as ``name?`` and ``%whos`` show them in small messages."""
        from nbauth.jupyter.secret_search import SMALL
        from nbauth.jupyter.written_forms import SHORTENED, packed, shortened_forms

        if len(data) > SMALL or not any(mark in data for mark in SHORTENED):
            return data
        done = data
        for secret in self._needles:
            for form in shortened_forms(secret):
                for needle in packed(form):
                    if needle in done:
                        done = done.replace(needle, fill(len(needle)))
        return done

    def _if_on(self, data: bytes, masked: bytes) -> bytes:
        return masked if masked is data or self.on else data

    def _search(self) -> tuple[Search | None, Beginnings | None]:
        session = self._session_if_made()
        if session is None:
            return None, None
        texts = session.issued.texts
        built = self._built
        if built[0] is not texts:
            built = self._built = (texts, *self._build(texts))
        return built[1], built[2]

    def _build(self, texts: Mapping[str, float]) -> tuple[Search | None, Beginnings | None]:
        # Imported here, so that %load_ext stays fast.
        from nbauth.jupyter.secret_search import Needles, Search
        from nbauth.jupyter.split_output import Beginnings

        known = self._needles
        self._needles = {text: known.get(text) or Needles.of(text) for text in texts}
        if not texts:
            return None, None
        search = Search(self._needles.values())
        return search, Beginnings(search.forms)


def _dots(_: int) -> bytes:
    from nbauth.core.secret import MASK

    return MASK.encode()


def _asterisks(length: int) -> bytes:
    return b"*" * length
