"""A local Graph: the part of Microsoft Graph v1.0 that the tour and tests of clients need."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from .drive import Drives
from .grants import GrantStore
from .graph_answers import Answer, Call, Refused
from .graph_batch import batch
from .graph_drive import OneDrive
from .graph_mail import Mail
from .graph_query import Kind, page
from .graph_users import Directory

STEP_UP = {"access_token": {"acrs": {"essential": True, "value": "c1"}}}
_CHATS = Kind("chats", "chat", frozenset({"id"}), ("id",), 20, 50, ("BadRequest", "Not {}."))
_READ_ME = ("User.Read", "User.ReadWrite", "User.Read.All", "User.ReadWrite.All")
_READ_USERS = ("User.ReadBasic.All", "User.Read.All", "User.ReadWrite.All", "Directory.Read.All")
_WRITE_USERS = ("User.ReadWrite.All",)
_READ_MAIL, _WRITE_MAIL = ("Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"), ("Mail.ReadWrite",)
_CHAT = ("Chat.ReadBasic", "Chat.Read", "Chat.ReadWrite")
_WRITE_FILES = ("Files.ReadWrite", "Files.ReadWrite.All")
_READ_FILES = ("Files.Read", "Files.Read.All", *_WRITE_FILES)


@dataclass(frozen=True)
class Route:
    """What answers a path, and by method the scopes of which a token needs one."""

    answer: Callable[[Call], Answer]
    scopes: Mapping[str, tuple[str, ...]]


class LocalGraph:
    """Answers requests out of the made-up directory; tokens are looked up in the shared store.

    `storage` is the address of the host that sends and receives the contents of files.
    """

    def __init__(
        self, store: GrantStore, authorization_uri: str, drives: Drives, storage: str
    ) -> None:
        self._store = store
        self._authorization_uri = authorization_uri
        self._throttled: set[str] = set()
        self._directory = Directory()
        self._mail = Mail()
        self._drive = OneDrive(drives, storage)

    def answer(
        self,
        method: str,
        root: str,
        url: str,
        bearer: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Check the bearer token (RFC 6750 section 2.1), then do what `url` below `root` says.

        The names of `headers` are in lower case.
        """
        try:
            call = self._call(method, root, url, bearer, body, headers or {})
            if call.segments != ("$batch",):
                return self._single(call)
            if method != "POST":
                raise Refused(405, "Request_BadRequest", "Specified HTTP method is not allowed.")
            return batch(body, lambda *member: self._member(root, bearer, *member))
        except Refused as refused:
            return refused.answer

    def _member(
        self, root: str, bearer: str, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        try:
            return self._single(self._call(method, root, url, bearer, body, headers))
        except Refused as refused:
            return refused.answer

    def _call(
        self,
        method: str,
        root: str,
        url: str,
        bearer: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Call:
        token = self._store.find_access_token(bearer)
        if token is None:
            text = "Access token is empty." if not bearer else "Access token is not valid."
            challenge = f'Bearer realm="", authorization_uri="{self._authorization_uri}"'
            raise Refused(401, "InvalidAuthenticationToken", text, WWW_Authenticate=challenge)
        parts = urlsplit(url)
        segments = tuple(unquote(part) for part in parts.path.strip("/").split("/"))
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return Call(method, root, segments, query, token, bearer, headers, body)

    def _single(self, call: Call) -> Answer:
        route = self._route(call.segments)
        if route is None:
            text = f"Resource not found for the segment '{'/'.join(call.segments)}'."
            raise Refused(400, "BadRequest", text)
        if call.method not in route.scopes:
            raise Refused(405, "Request_BadRequest", "Specified HTTP method is not allowed.")
        scopes = route.scopes[call.method]
        if scopes and not call.token.scopes.intersection(scopes):
            raise _denied(call, scopes)
        return route.answer(call)

    def _route(self, segments: tuple[str, ...]) -> Route | None:
        users, mail = self._directory, self._mail
        match segments:
            case ("me",):
                own = ("User.ReadWrite", *_WRITE_USERS)
                return Route(users.me, {"GET": _READ_ME, "PATCH": own})
            case ("me", "messages") | ("me", "mailFolders", "inbox", "messages"):
                return Route(mail.messages, {"GET": _READ_MAIL})
            case ("me", "messages", _):
                return Route(mail.one, {"GET": _READ_MAIL, "PATCH": _WRITE_MAIL})
            case ("me", "sendMail"):
                return Route(mail.send, {"POST": ("Mail.Send",)})
            case ("me", "chats"):
                return Route(_chats, {"GET": _CHAT})
            case ("me", "drive", _, *_):
                writes = dict.fromkeys(("PUT", "POST", "DELETE"), _WRITE_FILES)
                return Route(self._drive.answer, {"GET": _READ_FILES, **writes})
            case ("users",):
                return Route(users.users, {"GET": _READ_USERS, "POST": _WRITE_USERS})
            case ("users", "$count"):
                return Route(users.count, {"GET": _READ_USERS})
            case ("users", "delta" | "delta()" | "microsoft.graph.delta()"):
                return Route(users.delta, {"GET": _READ_USERS})
            case ("users", _):
                changes = {"PATCH": _WRITE_USERS, "DELETE": _WRITE_USERS}
                return Route(users.user, {"GET": _READ_USERS, **changes})
            case ("throttled",):
                return Route(self._throttle, {"GET": ()})
            case ("stepup",):
                return Route(self._step_up, {"GET": ()})
        return None

    def _throttle(self, call: Call) -> Answer:
        """Refuse the first call with each token; answer the next one."""
        if call.text in self._throttled:
            return Answer(200, {"value": "served after waiting"})
        self._throttled.add(call.text)
        raise Refused(429, "TooManyRequests", "Too many requests.", Retry_After="1")

    def _step_up(self, call: Call) -> Answer:
        """The claims challenge of continuous access evaluation (similar to RFC 9470)."""
        asked = call.token.grant.request.claims.get("access_token")
        acrs = asked.get("acrs") if isinstance(asked, dict) else None
        if isinstance(acrs, dict) and "c1" in (acrs.get("value"), *acrs.get("values", ())):
            return Answer(200, {"value": "stepped up"})
        claims = base64.b64encode(json.dumps(STEP_UP).encode()).decode()
        challenge = (
            f'Bearer realm="", authorization_uri="{self._authorization_uri}", '
            f'error="insufficient_claims", claims="{claims}"'
        )
        raise Refused(
            401, "InvalidAuthenticationToken", "More is needed.", WWW_Authenticate=challenge
        )


def _chats(call: Call) -> Answer:
    return page(call, _CHATS, [], counts=True)


def _denied(call: Call, scopes: tuple[str, ...]) -> Refused:
    """Each service refuses in its own words; only that of Teams names what the token lacks."""
    if call.segments == ("me", "chats"):
        has = ", ".join(sorted(call.token.scopes))
        text = "Missing scope permissions on the request. API requires one of"
        return Refused(
            403, "Forbidden", f"{text} '{', '.join(scopes)}'. Scopes on the request '{has}'"
        )
    if call.segments[:2] == ("me", "drive"):
        return Refused(403, "accessDenied", "Access denied")
    if call.segments[1:2] in (("messages",), ("mailFolders",), ("sendMail",)):
        text = "Access is denied. Check credentials and try again."
        return Refused(403, "ErrorAccessDenied", text)
    text = "Insufficient privileges to complete the operation."
    return Refused(403, "Authorization_RequestDenied", text)
