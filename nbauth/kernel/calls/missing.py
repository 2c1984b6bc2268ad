"""What nbauth may ask for when a host says that a token lacks scopes.

A host can name any scope, so the names are checked. The person is never asked for scopes of another
API, for ``.default``, for OpenID scopes, or for scopes that the host's entry does not cover.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from nbauth.core.errors import ConfigurationError
from nbauth.core.scopes import RESERVED, Scopes, resource_of
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.calls.hosts import Hosts, covers, entry_at, same_resource
from nbauth.kernel.calls.offers import Place
from nbauth.oauth.client import Client
from nbauth.oauth.missing_scopes import Named, named_in


class Documented(NamedTuple):
    """What an API documents of a request; the least privileged one comes first, one is enough.

    Attributes:
        scopes: delegated permissions.
        roles: permissions of an application.
    """

    scopes: tuple[str, ...]
    roles: tuple[str, ...]


Documents = Callable[[str, str, bytes | None], Documented | None]
"""What is documented of a method and URL, by the body of a 403. ``None`` if nothing is, or if the
body shows that the permission is not the cause. It is a function of a module: it is pickled."""


class Short(NamedTuple):
    """A response that says that a token is not enough.

    Attributes:
        method, url: of the request.
        host: name and port, for messages.
        place: where its wider token is remembered.
        scopes: of the token that was sent.
        text: of that token.
        header: ``WWW-Authenticate``.
        status: of the response.
        reasons: gets why there is no other token, if the caller reports that.
    """

    method: str
    url: str
    host: str
    place: Place
    scopes: Scopes
    text: SecretStr
    header: str
    status: int
    reasons: list[str] | None = None

    @property
    def named(self) -> bool:
        """Whether the header names scopes, so that the body need not be read."""
        return named_in(self.header, None, microsoft=False) is not None


class RefusedPart(NamedTuple):
    """A request that was refused as a part of another one, such as a member of a batch."""

    method: str
    url: str
    status: int
    body: bytes


class Lack(NamedTuple):
    """Scopes that a token lacks, and the scopes of the token that has them too."""

    missing: tuple[str, ...]
    wider: Scopes


def as_named(known: Documented, *, application: bool) -> Named:
    """What is documented, as if the response had named it."""
    names = known.roles if application else known.scopes
    return Named(names, one_is_enough=True, application=application, least_first=True)


def usable(
    client: Client, url: str, named: Named, given: Hosts | None = None
) -> tuple[Scopes, ...]:
    """The scopes that may be requested, best first: each entry is enough. Empty if there are none.

    At Microsoft's authorities these are the scopes of the API for which the host is listed; short
    names are that API's. ``given``: see ``entry_at``.
    """
    entry = entry_at(url, client, given)
    resource = None if entry is None else entry.resource
    words = [_full(word, client, resource) for word in named.scopes]
    if not named.one_is_enough:
        return () if None in words else tuple(_parsed(client, filter(None, words)))
    each = [word for word in words if word]
    if not named.least_first:
        each.sort(key=_privilege)
    return tuple(scopes for word in each for scopes in _parsed(client, [word]))


def is_covered(client: Client, url: str, scopes: Scopes, given: Hosts | None = None) -> bool:
    """Whether the entry of a host covers scopes."""
    entry = entry_at(url, client, given)
    return entry is not None and covers(entry, scopes, microsoft=client.authority.microsoft)


def lack(
    client: Client, sent: Scopes, missing: Scopes, token: AuthenticationResult | None = None
) -> Lack | None:
    """The scopes of a token that has the missing ones too; ``None`` if there can be none.

    ``token``: the one that was sent, if it is known.
    """
    present: Iterable[str] = sent
    if client.authority.microsoft:
        present = sent.resource_scopes
        if _is_default(sent):  # can't be combined with others
            present = _granted_by_default(client, sent, token)
    try:
        wider = client.just((*present, *missing.resource_scopes))
    except ConfigurationError:
        return None
    return Lack(missing.resource_scopes, wider.declaring() if sent.declares else wider)


def _granted_by_default(
    client: Client, sent: Scopes, token: AuthenticationResult | None
) -> tuple[str, ...]:
    """What a token for ``.default`` has and the next one has to request to have it too.

    At Microsoft's own hosts every token has all scopes of the API that were granted.
    """
    if client.authority.hosts or token is None:
        return ()
    return tuple(filter(None, (_full(scope, client, sent.resource) for scope in token.scopes)))


def joined(client: Client, first: Lack, all_of_them: Iterable[Lack]) -> Lack:
    """What is missing for several requests; without scopes that other ones include."""
    words = tuple(dict.fromkeys(word for one in all_of_them for word in one.missing))
    needed = tuple(
        word
        for word in words
        if not any(other != word and includes(other, word) for other in words)
    )
    rest = [scope for scope in first.wider if scope not in first.missing]
    wider = client.just((*rest, *needed))
    return Lack(needed, wider.declaring() if first.wider.declares else wider)


def is_documented(client: Client, url: str, scopes: Scopes, known: Documented) -> bool:
    """Whether scopes are documented for a request to a host that has no entry in the settings."""
    if entry_at(url, client) is not None:
        return False
    names = {name.lower() for name in known.scopes}
    return all(scope.rpartition("/")[2].lower() in names for scope in scopes.resource_scopes)


def is_granted(
    client: Client, token: AuthenticationResult | None, missing: Scopes, *, with_more: bool = False
) -> bool:
    """Whether a token has these scopes, by the response with which it came.

    ``with_more``: or scopes of Microsoft Graph that include them.
    """
    if token is None:
        return False
    if client.covers(token.scopes, missing):
        return True
    return with_more and all(
        any(includes(scope, one) for scope in token.scopes) for one in missing.resource_scopes
    )


def includes(scope: str, other: str) -> bool:
    """Whether a scope of Microsoft Graph includes another one, by its name: Mail.ReadWrite includes
    Mail.Read, User.Read.All includes User.Read."""
    (of, *first), (other_of, *second) = _parts(scope), _parts(other)
    if of != other_of or not first or not second:
        return False
    if first[0] != second[0] and _RANKS.get(first[0], -1) <= _RANKS.get(second[0], 9):
        return False
    return first[1:] == second[1:] or (not second[1:] and first[1:] in (["all"], ["shared"]))


_RANKS = {"readbasic": 0, "read": 1, "readwrite": 2, "manage": 3, "fullcontrol": 4}


def _parts(scope: str) -> list[str]:
    return scope.rpartition("/")[2].lower().split(".")


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
