"""A local Graph: the part of Microsoft Graph v1.0 that the tour and tests of clients need."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from .contents import DIRECTORY, messages_of
from .grants import AccessToken, GrantStore

BATCH_LIMIT = 20
STEP_UP = {"access_token": {"acrs": {"essential": True, "value": "c1"}}}


@dataclass(frozen=True)
class Answer:
    """One reply, on its own or inside a batch."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One authorized request: `segments` is the path below the version, `query` its options."""

    method: str
    root: str  # https://127.0.0.1:PORT/v1.0
    segments: tuple[str, ...]
    query: Mapping[str, str]
    token: AccessToken
    text: str  # the bearer token itself, to tell one from another


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    """Microsoft Graph's error resource."""
    inner = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": str(uuid.uuid4()),
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"error": {"code": code, "message": message, "innerError": inner}}, named)


class LocalGraph:
    """Answers requests out of the made-up directory; tokens are looked up in the shared store."""

    def __init__(self, store: GrantStore, authorization_uri: str) -> None:
        self._store = store
        self._authorization_uri = authorization_uri
        self._throttled: set[str] = set()

    def answer(self, method: str, root: str, url: str, bearer: str, body: bytes = b"") -> Answer:
        """Check the bearer token (RFC 6750 section 2.1), then do what `url` below `root` says."""
        token = self._store.find_access_token(bearer)
        if token is None:
            text = "Access token is empty." if not bearer else "Access token is not valid."
            challenge = f'Bearer realm="", authorization_uri="{self._authorization_uri}"'
            return refusal(401, "InvalidAuthenticationToken", text, WWW_Authenticate=challenge)
        parts = urlsplit(url)
        segments = tuple(unquote(part) for part in parts.path.strip("/").split("/"))
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if segments == ("$batch",):
            if method != "POST":
                return refusal(405, "Request_BadRequest", "Specified HTTP method is not allowed.")
            return self._batch(root, bearer, body)
        return self._single(Call(method, root, segments, query, token, bearer))

    def _single(self, call: Call) -> Answer:
        route, scopes = self._route(call)
        if route is None:
            return refusal(400, "BadRequest", f"Resource not found: '{'/'.join(call.segments)}'.")
        if call.method != "GET":
            return refusal(405, "Request_BadRequest", "Specified HTTP method is not allowed.")
        if scopes and not call.token.scopes.intersection(scopes):
            if call.segments == ("me", "chats"):
                return _names_scopes(call, scopes)
            return refusal(
                403,
                "Authorization_RequestDenied",
                "Insufficient privileges to complete the operation.",
            )
        return route(call)

    def _route(self, call: Call) -> tuple[Callable[[Call], Answer] | None, Sequence[str]]:
        match call.segments:
            case ("me",):
                return self._me, ("User.Read", "User.ReadWrite", "User.Read.All")
            case ("me", "messages"):
                return self._messages, ("Mail.Read", "Mail.ReadWrite")
            case ("me", "chats"):
                return self._chats, ("Chat.ReadBasic", "Chat.Read", "Chat.ReadWrite")
            case ("users",) | ("users", _):
                scopes = ("User.ReadBasic.All", "User.Read.All", "Directory.Read.All")
                return (self._users if len(call.segments) == 1 else self._user), scopes
            case ("throttled",):
                return self._throttle, ()
            case ("stepup",):
                return self._step_up, ()
        return None, ()

    def _me(self, call: Call) -> Answer:
        return _entity(call, "users/$entity", call.token.grant.person.as_graph())

    def _user(self, call: Call) -> Answer:
        wanted = call.segments[1].lower()
        for person in DIRECTORY:
            if wanted in (person.oid, person.username):
                return _entity(call, "users/$entity", person.as_graph())
        return refusal(
            404, "Request_ResourceNotFound", f"Resource '{wanted}' does not exist or is gone."
        )

    def _users(self, call: Call) -> Answer:
        return _page(call, "users", [person.as_graph() for person in DIRECTORY], 100, 999)

    def _messages(self, call: Call) -> Answer:
        return _page(call, "messages", messages_of(call.token.grant.person), 10, 1000)

    def _chats(self, call: Call) -> Answer:
        return _page(call, "chats", [], 20, 50)

    def _throttle(self, call: Call) -> Answer:
        """Refuse the first call with each token; answer the next one."""
        if call.text in self._throttled:
            return Answer(200, {"value": "served after waiting"})
        self._throttled.add(call.text)
        return refusal(429, "TooManyRequests", "Too many requests.", Retry_After="1")

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
        return refusal(
            401, "InvalidAuthenticationToken", "More is needed.", WWW_Authenticate=challenge
        )

    def _batch(self, root: str, bearer: str, body: bytes) -> Answer:
        """JSON batching: up to 20 requests; the answers come back in another order on purpose."""
        try:
            requests = json.loads(body)["requests"]
            ids = [item["id"] for item in requests]
            urls = [(str(item["method"]).upper(), str(item["url"])) for item in requests]
        except (ValueError, TypeError, KeyError):
            return refusal(400, "BadRequest", "Invalid batch payload format.")
        if len(ids) > BATCH_LIMIT:
            return refusal(400, "BadRequest", f"A batch holds {BATCH_LIMIT} requests at most.")
        if len(set(map(str, ids))) != len(ids) or not all(isinstance(i, str) for i in ids):
            return refusal(400, "BadRequest", "Each request needs an id of its own, a string.")
        answers: dict[str, Answer] = {}
        for item, (method, url) in zip(requests, urls, strict=True):
            needed = [answers.get(other) for other in item.get("dependsOn", ())]
            if any(other is None or other.status >= 400 for other in needed):
                answers[item["id"]] = refusal(424, "FailedDependency", "A request before failed.")
            else:
                answers[item["id"]] = self.answer(method, root, url, bearer)
        responses = [
            {
                "id": key,
                "status": answer.status,
                "headers": {"Content-Type": "application/json", **answer.headers},
                "body": answer.body,
            }
            for key, answer in reversed(answers.items())
        ]
        return Answer(200, {"responses": responses})


def _names_scopes(call: Call, scopes: Sequence[str]) -> Answer:
    """The refusal of the services of Teams, which names what the token lacks."""
    has = ", ".join(sorted(call.token.scopes))
    return refusal(
        403,
        "Forbidden",
        "Missing scope permissions on the request. API requires one of"
        f" '{', '.join(scopes)}'. Scopes on the request '{has}'",
    )


def _entity(call: Call, context: str, row: Mapping[str, Any]) -> Answer:
    head = {"@odata.context": f"{call.root}/$metadata#{context}"}
    return Answer(200, head | _selected(call, row))


def _page(
    call: Call, context: str, rows: Sequence[Mapping[str, Any]], default: int, limit: int
) -> Answer:
    """One page, and an opaque link to the next (OData 4.01 protocol, section 11.2.6.7)."""
    unknown = set(call.query) - {"$top", "$select", "$count", "$skiptoken"}
    if unknown:
        return refusal(400, "BadRequest", f"Not offered by the local Graph: {sorted(unknown)}.")
    try:
        top = int(call.query.get("$top", default))
        token = call.query.get("$skiptoken", "")
        start = int(base64.urlsafe_b64decode(token.encode()).split(b":")[1]) if token else 0
    except (ValueError, IndexError):
        return refusal(400, "BadRequest", "Invalid value for $top or $skiptoken.")
    if not 0 < top <= limit:
        return refusal(400, "BadRequest", f"$top must lie between 1 and {limit}.")
    body: dict[str, Any] = {"@odata.context": f"{call.root}/$metadata#{context}"}
    if call.query.get("$count") == "true" and not start:
        body["@odata.count"] = len(rows)
    end = start + top
    if end < len(rows):
        token = base64.urlsafe_b64encode(f"page:{end}".encode()).decode()
        query = {**call.query, "$skiptoken": token}
        path = "/".join(quote(segment) for segment in call.segments)
        body["@odata.nextLink"] = f"{call.root}/{path}?{urlencode(query, safe='$,')}"
    body["value"] = [_selected(call, row) for row in rows[start:end]]
    return Answer(200, body)


def _selected(call: Call, row: Mapping[str, Any]) -> dict[str, Any]:
    names = call.query.get("$select", "")
    wanted = {name.strip() for name in names.split(",")} if names else set(row)
    return {name: value for name, value in row.items() if name in wanted}
