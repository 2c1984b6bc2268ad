"""What nbauth may ask for when a host says that a token lacks scopes.

A host can name any scope, so the names are checked. The person is never asked for scopes of another
API, for ``.default``, for OpenID scopes, or for scopes that the host's entry does not cover.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from nbauth.core.errors import ConfigurationError
from nbauth.core.scopes import RESERVED, Scopes, resource_of
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.calls.hosts import covers, entry_at, same_resource
from nbauth.kernel.calls.offers import Place
from nbauth.oauth.client import Client
from nbauth.oauth.missing_scopes import Named, named_in


class Short(NamedTuple):
    """A response that says that a token is not enough.

    Attributes:
        url: of the request.
        host: name and port, for messages.
        place: where its wider token is remembered.
        scopes: of the token that was sent.
        text: of that token.
        header: ``WWW-Authenticate``.
        status: of the response.
    """

    url: str
    host: str
    place: Place
    scopes: Scopes
    text: SecretStr
    header: str
    status: int

    @property
    def named(self) -> bool:
        """Whether the header names scopes, so that the body need not be read."""
        return named_in(self.header, None, microsoft=False) is not None


class Lack(NamedTuple):
    """Scopes that a token lacks, and the scopes of the token that has them too."""

    missing: tuple[str, ...]
    wider: Scopes


def usable(client: Client, url: str, named: Named) -> tuple[Scopes, ...]:
    """The scopes that may be requested, best first: each entry is enough. Empty if there are none.

    At Microsoft's authorities these are the scopes of the API for which the host is listed; short
    names are that API's.
    """
    entry = entry_at(url, client)
    resource = None if entry is None else entry.resource
    words = [_full(word, client, resource) for word in named.scopes]
    if not named.one_is_enough:
        return () if None in words else tuple(_parsed(client, filter(None, words)))
    each = sorted((word for word in words if word), key=_privilege)
    return tuple(scopes for word in each for scopes in _parsed(client, [word]))


def is_covered(client: Client, url: str, scopes: Scopes) -> bool:
    """Whether the entry of a host covers scopes."""
    entry = entry_at(url, client)
    return entry is not None and covers(entry, scopes, microsoft=client.authority.microsoft)


def lack(client: Client, sent: Scopes, missing: Scopes) -> Lack | None:
    """The scopes of a token that has the missing ones too; ``None`` if there can be none."""
    present: Iterable[str] = sent
    if client.authority.microsoft:
        # .default can't be combined. A token there has all scopes of the API that were granted.
        present = [] if _is_default(sent) else sent.resource_scopes
    try:
        wider = client.just((*present, *missing.resource_scopes))
    except ConfigurationError:
        return None
    return Lack(missing.resource_scopes, wider.declaring() if sent.declares else wider)


def is_granted(client: Client, token: AuthenticationResult | None, missing: Scopes) -> bool:
    """Whether a token has these scopes, by the response with which it came."""
    return token is not None and client.covers(token.scopes, missing)


def _full(word: str, client: Client, resource: str | None) -> str | None:
    """A scope as nbauth requests it; ``None`` if the host may not ask for it."""
    if word.lower() in RESERVED or word.lower().rpartition("/")[2] == ".default":
        return None
    if not client.authority.microsoft or not resource:
        return word
    if "/" not in word:
        return f"{resource}/{word}"
    return word if same_resource(resource_of(word), resource) else None


def _parsed(client: Client, words: Iterable[str]) -> list[Scopes]:
    try:
        return [scopes] if (scopes := client.just(tuple(words))).resource_scopes else []
    except ConfigurationError:
        return []


def _is_default(scopes: Scopes) -> bool:
    return any(scope.lower().endswith("/.default") for scope in scopes.resource_scopes)


def _privilege(scope: str) -> tuple[bool, bool]:
    """For sorting: reading before writing, one's own data before everybody's."""
    name = scope.rpartition("/")[2].lower()
    return "write" in name, name.endswith(".all")
