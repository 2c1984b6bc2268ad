"""Responses of the local Graph, and responses that are faults by themselves."""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

JSON_TYPE = "application/json;odata.metadata=minimal;odata.streaming=true;charset=utf-8"
CODES = {
    400: "BadRequest",
    401: "InvalidAuthenticationToken",
    403: "Authorization_RequestDenied",
    404: "Request_ResourceNotFound",
    405: "Request_BadRequest",
    409: "nameAlreadyExists",
    410: "resyncRequired",
    416: "invalidRange",
    424: "FailedDependency",
    429: "TooManyRequests",
    500: "InternalServerError",
    502: "BadGateway",
    503: "ServiceNotAvailable",
    504: "GatewayTimeout",
}
MESSAGES = {
    401: "Access token is empty.",
    403: "Insufficient privileges to complete the operation.",
    404: "Resource does not exist.",
    429: "Too many requests.",
    503: "The service is temporarily unavailable.",
}


@dataclass(frozen=True)
class Reply:
    """One response, and how it is sent.

    Attributes:
        body: bytes, text, a value that becomes JSON, or None for Graph's error of that status.
        content_type: of the body; JSON, unless the body is text or bytes.
        gzipped: compresses the body.
        chunked: sends the body in chunks, without Content-Length.
        cut: closes the connection after this many bytes of the body; -1: before the headers.
        pace: seconds before each byte of the body.
        delay: seconds before the response.
        length: the Content-Length to send instead of the true one.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None
    gzipped: bool = False
    chunked: bool = False
    cut: int | None = None
    pace: float = 0.0
    delay: float = 0.0
    length: int | None = None

    @property
    def type(self) -> str:
        if self.content_type is not None:
            return self.content_type
        if isinstance(self.body, bytes):
            return "application/octet-stream"
        return "text/plain" if isinstance(self.body, str) else JSON_TYPE

    @property
    def content(self) -> bytes:
        """The body's bytes, before compression."""
        body = self.body
        if body is None and self.status >= 400:
            body = error_body(self.status)
        if body is None or self.status == 204:
            return b""
        if isinstance(body, bytes):
            return body
        return body.encode() if isinstance(body, str) else dumps(body)

    @property
    def data(self) -> Any:
        """The body's JSON value."""
        return json.loads(self.content)

    def with_data(self, data: Any) -> Reply:
        return replace(self, body=dumps(data), content_type=JSON_TYPE)

    def with_headers(self, **headers: str) -> Reply:
        """With more headers; ``_`` in a name stands for ``-``."""
        added = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **added})

    def rendered(self, request_id: str, *, head_only: bool = False) -> tuple[bytes, bytes]:
        """The response's head and its body, as sent."""
        body = self.content
        lines = [
            f"HTTP/1.1 {self.status} X",
            f"Date: {formatdate(usegmt=True)}",
            f"request-id: {request_id}",
        ]
        if body or self.body is not None:
            lines += [f"Content-Type: {self.type}", "OData-Version: 4.0"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.gzipped:
            body = gzip.compress(body, 1)
            lines.append("Content-Encoding: gzip")
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            body = in_chunks(body)
        elif self.status != 204:
            lines.append(f"Content-Length: {len(body) if self.length is None else self.length}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1"), b"" if head_only else body


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def in_chunks(body: bytes, size: int = 1000) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def error_body(status: int, code: str = "", message: str = "") -> dict[str, Any]:
    """Graph's error body."""
    return {
        "error": {
            "code": code or CODES.get(status, "UnknownError"),
            "message": message or MESSAGES.get(status, "The request failed."),
            "innerError": {
                "date": "2026-01-02T03:04:05",
                "request-id": str(uuid.uuid4()),
                "client-request-id": str(uuid.uuid4()),
            },
        }
    }


def refusal(status: int, code: str = "", message: str = "", **headers: str) -> Reply:
    """Graph's error of a status."""
    reply = Reply(status, error_body(status, code, message))
    return reply.with_headers(**headers)


class Refused(Exception):
    """Ends the handling of a request with an error."""

    def __init__(self, status: int, code: str = "", message: str = "", **headers: str) -> None:
        super().__init__(message)
        self.reply = refusal(status, code, message, **headers)


def throttled(retry_after: str | float | None = None, status: int = 429) -> Reply:
    """429 (or another status) with ``Retry-After`` as given; None: without it."""
    reply = refusal(status)
    return reply if retry_after is None else reply.with_headers(Retry_After=str(retry_after))


def seconds_of(reply: Reply, now: float) -> float:
    """The wait that ``Retry-After`` of a response asks for; 0 if it has no sense."""
    text = reply.headers.get("Retry-After", "")
    try:
        return float(text) if text[-1:].isdigit() else parsedate_to_datetime(text).timestamp() - now
    except ValueError:
        return 0.0


def at_date(seconds: float, now: float) -> str:
    """``Retry-After`` as an HTTP date, *seconds* after *now*."""
    return formatdate(now + seconds, usegmt=True)


def cut() -> Reply:
    """The connection closes before the headers; the request has no effect."""
    return Reply(cut=-1)


def proxy_page(status: int = 502) -> Reply:
    """The HTML page of a proxy between the client and Graph."""
    page = "<!DOCTYPE html><html><head><title>Error</title></head><body>Proxy error</body></html>"
    return Reply(status, page, content_type="text/html; charset=utf-8")


def redirect(url: str, status: int = 302) -> Reply:
    return Reply(status, b"", {"Location": url})


def claims_challenge(claims: str, *, padded: bool = True) -> Reply:
    """401 of continuous access evaluation; *claims* is the JSON text."""
    text = base64.b64encode(claims.encode()).decode()
    text = text if padded else text.rstrip("=")
    parts = [
        'realm=""',
        'authorization_uri="https://login.microsoftonline.com/common/oauth2/v2.0/authorize"',
        'error="insufficient_claims"',
        f'claims="{text}"',
    ]
    message = "Continuous access evaluation resulted in challenge."
    return refusal(401, "", message, WWW_Authenticate="Bearer " + ", ".join(parts))


def forbidden(*scopes: str) -> Reply:
    """403; with scopes, its message names them as a few services do."""
    if not scopes:
        return refusal(403)
    message = f"Missing scope permissions on the request. API requires one of '{', '.join(scopes)}'"
    return refusal(403, "Forbidden", message)


def gone(location: str) -> Reply:
    """410 of a delta query whose state is too old."""
    return refusal(410, "resyncRequired", "Resync required.", Location=location)


def lost_state(code: str = "syncStateNotFound") -> Reply:
    """400 of a delta query whose state the service does not know."""
    return refusal(400, code, "The sync state generation is not found.")
