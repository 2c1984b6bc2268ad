"""The headers of ``%token --header --into``: a mapping that reads the current token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import NoReturn

from nbauth.core.secret import MASK, refuse_pickling
from nbauth.core.tokens import Token

AUTHORIZATION = "Authorization"


class LiveHeader(MutableMapping[str, str]):
    """Headers of a request, with ``Authorization`` from a live token (RFC 6750 §2.1).

    Other headers can be added. HTTP libraries copy the headers at each request, and then read the
    current token. After sign-out a read raises ``NotSignedIn``.
    """

    __slots__ = ("_others", "_token")

    def __init__(self, token: Token) -> None:
        self._token: Token | None = token
        self._others: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if self._token is not None and _is_authorization(name):
            return self._token.header[AUTHORIZATION]
        return self._others[name]

    def __setitem__(self, name: str, value: str) -> None:
        if _is_authorization(name):
            self._token = None
        self._others[name] = value

    def __delitem__(self, name: str) -> None:
        if self._token is not None and _is_authorization(name):
            self._token = None
        else:
            del self._others[name]

    def __iter__(self) -> Iterator[str]:
        if self._token is not None:
            yield AUTHORIZATION
        yield from list(self._others)

    def __len__(self) -> int:
        return len(self._others) + (self._token is not None)

    def __contains__(self, name: object) -> bool:  # without a read of the token
        return name in self._others or (self._token is not None and _is_authorization(name))

    def copy(self) -> LiveHeader:
        """Another mapping of the same token. urllib3 copies the headers of a request with this."""
        other = LiveHeader.__new__(LiveHeader)
        other._token, other._others = self._token, dict(self._others)
        return other

    def __or__(self, other: Mapping[str, str]) -> dict[str, str]:
        return {**self, **other} if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Mapping[str, str]) -> dict[str, str]:
        return {**other, **self} if isinstance(other, Mapping) else NotImplemented

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = [f"{AUTHORIZATION!r}: {MASK}"] if self._token is not None else []
        shown += [f"{name!r}: {value!r}" for name, value in self._others.items()]
        return f"{{{', '.join(shown)}}}"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, "call nbauth.token().header in the other process.")

    def __copy__(self) -> LiveHeader:
        return self

    def __deepcopy__(self, memo: object) -> LiveHeader:
        return self


def _is_authorization(name: object) -> bool:
    return isinstance(name, str) and name.lower() == AUTHORIZATION.lower()
