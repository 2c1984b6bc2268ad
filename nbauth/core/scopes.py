"""Scopes: parsed once, checked and frozen.

At Microsoft's authorities a scope is ``<resource>/<permission>``: short names belong to Graph,
one request may name only one resource, and case is ignored. At any other issuer a scope is an
opaque string (RFC 6749 §3.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from nbauth.core.errors import ConfigurationError
from nbauth.core.magic_word import as_word

RESERVED = frozenset({"openid", "profile", "email", "offline_access"})
GRAPH = "https://graph.microsoft.com"
CAPABLE = "capability CP1"
"""A part of the ``Scopes.key`` of a token that declares a client capability; see ``declaring``."""
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
    """Whether ``granted`` covers ``wanted``, for the same APIs; both are a ``Scopes.key``.

    The OpenID scopes in ``RESERVED`` are ignored, since an access token does not need them.
    """
    return wanted - RESERVED <= granted and _targets(wanted) == _targets(granted)


def plain_scopes(key: frozenset[str]) -> frozenset[str]:
    """The scopes in a ``Scopes.key``, without the APIs that ``Client.targets`` adds."""
    return key - _targets(key)


def undeclared(key: frozenset[str]) -> frozenset[str]:
    """A ``Scopes.key`` without the client capability, which a grant does not depend on."""
    return key - {CAPABLE}


def _targets(key: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in key if " " in word)  # a scope contains no space


def resource_of(scope: str) -> str:
    """The resource part of a full scope: everything before its last slash.

    With the double slash of Azure Resource Manager, the first slash belongs to the resource:
    ``https://management.core.windows.net//user_impersonation`` →
    ``https://management.core.windows.net/``.
    """
    return scope.rpartition("/")[0]


def application_name(client_id: str) -> str:
    """The name of an application for display: its client_id, ``""`` if that is a GUID."""
    return "" if _GUID.fullmatch(client_id) else client_id


def short_names(scopes: Iterable[str]) -> list[str]:
    """A scope for display: ``User.Read`` for Graph, else ``read (api.contoso.com)``."""
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
    """The checked scopes of one request. Equal requests have the same ``key``."""

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
        """Parse scopes as a user writes them; ``microsoft`` selects Microsoft's grammar.

        ``graph``: the resource of short names; ``""`` at an authority without Graph, where a short
        name is sent as it is.

        Raises ``ConfigurationError`` for an invalid scope, and for two resources in one request
        (the hint then shows how to split it).
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
        # The reserved scopes do not change a Microsoft access token.
        key = frozenset(scope.lower() for scope in full) or frozenset(reserved)
        return cls(full, reserved, key)

    def declaring(self) -> Scopes:
        """The same scopes, for a token that declares that its user answers claims challenges.

        Such a token lives longer, and a host may refuse it at any time. Its key differs, so it is
        stored apart, and only nbauth's own calls get it.
        """
        return replace(self, key=self.key | {CAPABLE})

    def undeclared(self) -> Scopes:
        """The reverse of :meth:`declaring`."""
        return replace(self, key=undeclared(self.key))

    @property
    def declares(self) -> bool:
        """Whether they are the scopes of such a token."""
        return CAPABLE in self.key

    @property
    def resource(self) -> str | None:
        """The resource of the scopes (Microsoft's grammar), or ``None``."""
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
                f"A scope must be a string, not {type(word).__name__}.",
                code="invalid_scope",
                hint='Write scopes as strings: nbauth.token("User.Read", "Mail.Read").',
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
        if not graph and not (_GUID.fullmatch(scope) and scope.lower() != client_id.lower()):
            return scope
        if client_id and scope.lower() == client_id.lower():
            return f"{scope}/.default"  # a token for the application itself
        if _GUID.fullmatch(scope):
            raise ConfigurationError(
                f"{scope} names an application but no permission.",
                code="invalid_scope",
                hint=f"Write {scope}/.default or {scope}/<permission>.",
            )
        return f"{graph}/{scope}"
    if scope.endswith("/") or ("://" in scope and scope.count("/") == 2):
        raise ConfigurationError(
            f"{scope} names a resource but no permission.",
            code="invalid_scope",
            hint=f"Write {scope.rstrip('/')}/.default for all registered permissions.",
        )
    return scope


def _one_resource(scopes: tuple[str, ...]) -> None:
    by_resource: dict[str, list[str]] = {}
    for scope in scopes:
        by_resource.setdefault(resource_of(scope).lower(), []).append(scope)
    named = [resource for resource in by_resource if resource]  # "" for an opaque word
    if len(named) > 1:
        split = "; then ".join(
            " ".join(["%token", *map(as_word, group)]) for group in by_resource.values()
        )
        raise ConfigurationError(
            f"One request can name scopes of one resource; this one names {len(named)}.",
            code="mixed_resources",
            hint=f"Request them separately: {split}. To consent to all of them in one sign-in, run"
            " %login with the scopes of one resource, and name the others with --consent-also.",
        )
    for group in by_resource.values():
        if len(group) > 1 and any(scope.lower().endswith("/.default") for scope in group):
            raise ConfigurationError(
                ".default means all registered permissions and cannot be combined with another"
                " scope.",
                code="mixed_default",
                hint="Request .default alone, or name the permissions without it.",
            )
