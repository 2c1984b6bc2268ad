"""Sends one request to Graph: token, repeats, errors."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3.exceptions as urllib3

from nbauth.core.errors import GraphError
from nbauth.core.log import place
from nbauth.core.secret import SecretStr
from nbauth.core.text import plain
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.authorised_session import AuthorisedSession
from nbauth.kernel.calls.pauses import Pauses
from nbauth.kernel.calls.sent import reasons
from nbauth.msgraph import errors, json_text
from nbauth.msgraph.addresses import Root
from nbauth.msgraph.later import check_stopped, pause
from nbauth.msgraph.throttle import SAFE, Patience, retry_after
from nbauth.oauth.unreachable import explained

log = logging.getLogger(__name__)

TIMEOUT = (10.0, 120.0)
"""Seconds to connect, and to wait for each part of a response."""
MOST_SECONDS = 600.0
"""Seconds for a whole response."""
CHUNK = 256 * 1024
LOST = frozenset({"no_connection", "connection_lost", "proxy_connection_lost"})
UNKNOWN = " It is unknown whether it was carried out."
MOST_LOST = 3
"""How often a request is sent whose connection is lost."""


@dataclass(frozen=True)
class Request:
    """One request. ``path`` is what messages show; ``service`` whose pauses count for it."""

    method: str
    url: str
    path: str
    service: Hashable = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Reply:
    """One response, with its whole body.

    Attributes:
        reason: why there is no token with more scopes, if the response is a 403.
        token: the text of the token that was sent.
    """

    request: Request
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    reason: str | None = None
    token: SecretStr = field(default=SecretStr(""), repr=False)

    def json(self) -> Any:
        """The body as JSON. Raises ``GraphError`` if it is not."""
        try:
            return json_text.loads(self.body)
        except (ValueError, RecursionError):
            raise GraphError(
                f"The response to {self.request.method} {plain(self.request.path)} is not JSON.",
                code="not_json",
                hint="A proxy or gateway may have sent it. Try again.",
                status=self.status,
                correlation_id=self.headers.get("request-id"),
            ) from None


class Transport:
    """Sends requests to one Graph with the tokens of one account.

    Args:
        session: adds the tokens.
        root: the Graph.
        bound: the client and account; its person is told of waits.
        pauses: of the services, shared by the kernel.
    """

    def __init__(
        self, session: AuthorisedSession, bound: Bound, root: Root, pauses: Pauses
    ) -> None:
        self.session = session
        self.root = root
        self.bound = bound
        self.pauses = pauses

    def send(self, request: Request) -> Reply:
        """Send a request, again where that is safe; return the response.

        Raises ``GraphError`` for a refusal, a lost connection and a redirect.
        """
        patience = Patience(self.bound.person, self.pauses, self.key(request), self.root.place)
        while True:
            patience.wait_for_others()
            check_stopped()
            reply = self._whole(request)
            if 200 <= reply.status < 300:
                return reply
            if 300 <= reply.status < 400:
                raise errors.redirected(request.method, request.path, reply.status, reply.headers)
            why = patience.refused(request.method, reply.status, reply.headers)
            if why is not None:
                raise self.refusal(reply, why)

    def refusal(self, reply: Reply, why: str = "") -> GraphError:
        """The error for a response."""
        error = errors.refusal(
            reply.request.method,
            reply.request.path,
            reply.status,
            errors.parsed(reply.body),
            request_id=reply.headers.get("request-id"),
            retry_after=retry_after(reply.headers),
            why=why,
            hint=reply.reason,
        )
        error.location = reply.headers.get("Location")
        return error

    def get_token(self) -> None:
        """Get a token for later requests in this thread, which may ask the person."""
        url = f"{self.root.address}/{self.root.version}/"
        requests.Request("GET", url, auth=self.session.auth).prepare()

    def key(self, request: Request) -> Hashable:
        """What the pauses of a request's service are noted under."""
        return self.root.place, self.bound.client.key, self.bound.key, request.service

    def _whole(self, request: Request) -> Reply:
        """Send a request, again if the connection is lost and that is safe."""
        for attempt in range(1, MOST_LOST + 1):
            try:
                return self.once(request)
            except GraphError as error:
                last = attempt == MOST_LOST or request.method not in SAFE
                if last or error.code not in LOST:
                    raise
                log.debug("%s: sent again (%s)", request.path, error.code)
                pause(0.2 * attempt)
        raise AssertionError  # the last attempt returns or raises

    def once(self, request: Request) -> Reply:
        """Send a request one time; return the response, whatever its status.

        Raises ``GraphError`` if there is none.
        """
        began = time.monotonic()
        try:
            with self.session.request(
                request.method,
                request.url,
                headers={
                    "Accept": "application/json",
                    "client-request-id": str(uuid.uuid4()),
                    **request.headers,
                },
                data=request.body,
                timeout=TIMEOUT,
                stream=True,
                allow_redirects=False,
            ) as response:
                body = _body_of(response, began + MOST_SECONDS)
        except (requests.RequestException, urllib3.HTTPError, OSError, ValueError) as error:
            raise self._unreachable(request, error) from error
        log.debug(
            "%s %s: %d, request-id %s, %.3f s",
            request.method,
            place(request.url),
            response.status_code,
            response.headers.get("request-id"),
            time.monotonic() - began,
        )
        sent = response.request
        token = sent.headers.get("Authorization", "").partition(" ")[2]
        reason = reasons.get(sent)
        made = request, response.status_code, response.headers, body
        return Reply(*made, reason, SecretStr(token))

    def _unreachable(self, request: Request, error: Exception) -> GraphError:
        found = explained(error, self.session, request.url)
        unknown = "" if request.method in SAFE else UNKNOWN
        return GraphError(f"{found}{unknown}", code=found.code, hint=found.hint)


class TooSlow(TimeoutError):
    """A response that did not end in time."""


def _body_of(response: Any, until: float) -> bytes:
    if response._content_consumed:  # the token's part has read it, to look for missing scopes
        return bytes(response.content)
    raw, parts = response.raw, []
    # read() waits for a whole chunk, however slowly it arrives; urllib3 1 has no read1().
    read = getattr(raw, "read1", raw.read)
    while part := read(CHUNK, decode_content=True):
        parts.append(part)
        if time.monotonic() > until:
            raise TooSlow("the response did not end in time")
    return b"".join(parts)
