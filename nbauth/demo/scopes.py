"""The scopes that the local provider knows (RFC 6749 section 3.3, with Microsoft Graph's names)."""

from __future__ import annotations

from collections.abc import Iterable

from .protocol_errors import ProtocolError

GRAPH = "https://graph.microsoft.com/"
IDENTITY = ("openid", "profile", "email")
_DEFAULT = ("User.Read", "User.ReadBasic.All", "Mail.Read")
_KNOWN = {
    name.lower(): name
    for name in (
        *_DEFAULT,
        "User.Read.All",
        "Mail.ReadBasic",
        "User.ReadWrite",
        "User.ReadWrite.All",
        "Mail.ReadWrite",
        "Mail.Send",
        "Calendars.Read",
        "Chat.ReadBasic",
        "Chat.Read",
        "Chat.ReadWrite",
        "Files.Read",
        "Files.Read.All",
        "Files.ReadWrite",
        "Files.ReadWrite.All",
        "Group.Read.All",
        "Sites.Read.All",
        "Directory.Read.All",
    )
}


def parse_scopes(text: str) -> tuple[str, ...]:
    """Graph's scopes in full, then OpenID Connect's, each once.

    Raises ProtocolError (invalid_scope, AADSTS70011) for a name that isn't known.
    """
    identity: dict[str, None] = {}
    graph: dict[str, None] = {}
    for word in text.split():
        if word.lower() in (*IDENTITY, "offline_access"):
            identity[word.lower()] = None
            continue
        name = word[len(GRAPH) :].lstrip("/") if word.lower().startswith(GRAPH) else word
        if name.lower() == ".default":
            graph.update(dict.fromkeys(GRAPH + known for known in _DEFAULT))
        elif name.lower() in _KNOWN:
            graph[GRAPH + _KNOWN[name.lower()]] = None
        else:
            raise ProtocolError("invalid_scope", 70011, f"The scope {word} is not valid.")
    if not graph and not identity:
        raise ProtocolError("invalid_request", 900144, "The parameter 'scope' is missing.")
    return (*graph, *identity)


def is_default(text: str) -> bool:
    """Whether the scope `.default` is requested: at Microsoft's endpoints, all consented scopes."""
    return any(word.lower() == f"{GRAPH}.default" for word in text.split())


def graph_scopes(scopes: Iterable[str]) -> list[str]:
    """The short names of those that belong to Graph."""
    return [scope[len(GRAPH) :] for scope in scopes if scope.startswith(GRAPH)]


def granted_scope(scopes: Iterable[str]) -> str:
    """The `scope` member of a token response (RFC 6749 section 5.1), as Microsoft words it."""
    full = [scope for scope in scopes if scope.startswith(GRAPH)]
    return " ".join([*full, *IDENTITY])
