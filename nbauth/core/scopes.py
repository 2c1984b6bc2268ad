"""What is asked for: scopes, read once, checked, frozen.

At Microsoft's authorities a scope is ``<resource>/<permission>``: short names belong to Graph,
one request may name one resource, case does not matter. Anywhere else a scope is an opaque word
(RFC 6749 §3.3) and nothing is read into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nbauth.core.errors import ConfigurationError

RESERVED = frozenset({"openid", "profile", "email", "offline_access"})
GRAPH = "https://graph.microsoft.com"
_GRAPH_HOSTS = frozenset(
    {
        "graph.microsoft.com",
        "graph.microsoft.us",
        "dod-graph.microsoft.us",
        "microsoftgraph.chinacloudapi.cn",
    }
)
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_covered(wanted: frozenset[str], granted: frozenset[str]) -> bool:
    """Whether enough was granted, and for the same APIs; both in the form of ``Scopes.key``.

    What only makes a sign-in last or names its account is not asked of an access token.
    """
    return wanted - RESERVED <= granted and _targets(wanted) == _targets(granted)


def plain_scopes(key: frozenset[str]) -> frozenset[str]:
    """The scopes of a ``Scopes.key``, without the APIs that ``Client.targets`` adds to it."""
    return key - _targets(key)


def _targets(key: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in key if " " in word)  # which no scope has


def resource_of(scope: str) -> str:
    """The resource part of a full scope: all before its last slash.

    The double slash of Azure Resource Manager belongs to the resource:
    ``https://management.core.windows.net//user_impersonation`` →
    ``https://management.core.windows.net/``.
    """
    return scope.rpartition("/")[0]


def application_name(client_id: str) -> str:
    """What people may know an application by: its id, unless that is a GUID."""
    return "" if _GUID.fullmatch(client_id) else client_id


def short_names(scopes: Iterable[str]) -> list[str]:
    """Scopes as a person reads them: ``User.Read`` for Graph's, ``read (api.contoso.com)`` else."""
    return list(_unique(_short_name(scope) for scope in scopes))


def _short_name(scope: str) -> str:
    resource, _, permission = scope.rpartition("/")
    address = resource.partition("://")[2] or (resource if _GUID.fullmatch(resource) else "")
    host = address.partition("/")[0]
    if not host:
        return scope  # an opaque word
    if not permission:
        return host
    if host in _GRAPH_HOSTS or _GUID.fullmatch(host):
        return permission
    return f"{permission} ({host})"


@dataclass(frozen=True)
class Scopes:
    """A checked request for scopes. ``key`` is what two equal requests share."""

    resource_scopes: tuple[str, ...]
    reserved: tuple[str, ...]
    key: frozenset[str]

    def __iter__(self) -> Iterator[str]:
        return iter(self.resource_scopes + self.reserved)

    def __str__(self) -> str:
        return " ".join(self.resource_scopes + self.reserved)

    @classmethod
    def parse(
        cls, words: Iterable[str], *, microsoft: bool, graph: str = GRAPH, client_id: str = ""
    ) -> Scopes:
        """Read scopes as a user writes them; ``microsoft`` says whose grammar holds.

        Raises ``ConfigurationError`` for a word that is no scope, and for two resources in one
        request (with the split that would work).
        """
        plain = _words(words)
        if not microsoft:
            reserved = tuple(word for word in plain if word in RESERVED)
            rest = tuple(word for word in plain if word not in RESERVED)
            return cls(rest, reserved, frozenset(plain))
        reserved = tuple(word.lower() for word in plain if word.lower() in RESERVED)
        full = _unique(
            _full_name(word, graph, client_id) for word in plain if word.lower() not in RESERVED
        )
        _one_resource(full)
        # Which reserved names are asked for makes no difference to a Microsoft access token.
        key = frozenset(scope.lower() for scope in full) or frozenset(reserved)
        return cls(full, reserved, key)

    @property
    def resource(self) -> str | None:
        """The one resource asked for (Microsoft's grammar), or ``None``."""
        return resource_of(self.resource_scopes[0]) if self.resource_scopes else None


def _words(words: Iterable[str]) -> tuple[str, ...]:
    if isinstance(words, str):
        words = words.split()
    if not isinstance(words, Iterable):
        words = [words]
    plain: list[str] = []
    for word in words:
        if not isinstance(word, str):
            raise ConfigurationError(
                f"A scope is a word, not {type(word).__name__}.",
                code="invalid_scope",
                hint='Write them as words: nbauth.token("User.Read", "Mail.Read").',
            )
        plain.extend(word.replace(",", " ").split())
    for word in plain:
        if not _SCOPE_TOKEN.fullmatch(word):
            raise ConfigurationError(
                f"{word!r} is not a scope: quotes, backslashes and control characters are not"
                " allowed (RFC 6749 §3.3).",
                code="invalid_scope",
            )
    return _unique(plain)


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _full_name(scope: str, graph: str, client_id: str) -> str:
    if "/" not in scope:
        if client_id and scope.lower() == client_id.lower():
            return f"{scope}/.default"  # an application asking for a token to itself
        if _GUID.fullmatch(scope):
            raise ConfigurationError(
                f"{scope} names an application but no permission of it.",
                code="invalid_scope",
                hint=f"Write {scope}/.default or {scope}/<permission>.",
            )
        return f"{graph}/{scope}"
    if scope.endswith("/") or ("://" in scope and scope.count("/") == 2):
        raise ConfigurationError(
            f"{scope} names a resource but no permission of it.",
            code="invalid_scope",
            hint=f"Write {scope.rstrip('/')}/.default for all that is registered.",
        )
    return scope


def _one_resource(scopes: tuple[str, ...]) -> None:
    by_resource: dict[str, list[str]] = {}
    for scope in scopes:
        by_resource.setdefault(resource_of(scope).lower(), []).append(scope)
    if len(by_resource) > 1:
        split = "; then ".join("%token " + " ".join(group) for group in by_resource.values())
        raise ConfigurationError(
            f"One request can ask for one resource, this asks for {len(by_resource)}.",
            code="mixed_resources",
            hint=f"Ask one by one: {split}. (%login one, --consent-also the other.)",
        )
    for group in by_resource.values():
        if len(group) > 1 and any(scope.lower().endswith("/.default") for scope in group):
            raise ConfigurationError(
                ".default stands for everything registered and goes with no other scope.",
                code="mixed_default",
                hint="Ask for .default alone, or name the permissions without it.",
            )
