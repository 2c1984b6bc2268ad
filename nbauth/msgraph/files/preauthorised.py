"""Requests to the pre-authorised URLs of uploads and downloads.

Whoever knows such a URL can read or write the file. It is a secret: it is in no message and no log,
and no exception of requests, which contains it, is chained. No token is sent there.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import requests
import urllib3.exceptions as urllib3

from nbauth.core.errors import GraphError
from nbauth.core.secret import MASK, SecretStr
from nbauth.core.text import plain
from nbauth.kernel.calls.hosts import place_of
from nbauth.kernel.calls.sent import reasons
from nbauth.msgraph import errors
from nbauth.msgraph.later import check_stopped
from nbauth.msgraph.throttle import Patience, retry_after
from nbauth.msgraph.transport import CHUNK, LOST, MOST_SECONDS, TIMEOUT, Transport
from nbauth.oauth.network import VerifiedSession
from nbauth.oauth.unreachable import explained

log = logging.getLogger(__name__)

SLOWEST = 16 * 1024
"""Bytes a second; a response or request that is slower in the long run is ended."""
MOST_ANSWER = 1024 * 1024
"""Bytes of a response that is not the content of a file."""
SHORTEST = 8
"""Characters of a part of a secret address that is hidden in messages."""
CUT = LOST | {"timeout", "connect_timeout", "too_slow"}
"""Codes of errors after which a transfer can go on."""
_FAILURES = (requests.RequestException, urllib3.HTTPError, OSError, ValueError)


@dataclass(frozen=True)
class Answer:
    """A short response of a storage, or of Graph.

    Attributes:
        reason: why there is no token with more scopes, if the response is a 403 of Graph.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    reason: str | None = None

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object; empty if it is none."""
        found = errors.parsed(self.body)
        return found if isinstance(found, dict) else {}


class Storage:
    """Sends requests without a token, with the client's certificates and proxies.

    Args:
        transport: of the Graph that names the URLs.
        path: what messages show.
    """

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport = transport
        self._path = path
        settings, own = transport.bound.client.settings, transport.session
        self.session = VerifiedSession(settings.verify, settings.proxies)
        self.session.verify = own.verify
        self.session.proxies.update(own.proxies)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def checked(self, url: Any) -> SecretStr:
        """A URL of a response as a secret. Raises ``GraphError`` if it is not https."""
        url = SecretStr(url if isinstance(url, str) else "")
        if place_of(url) and url.isprintable() and " " not in url:
            return SecretStr(url)
        raise GraphError(
            f"Graph named an address for {self._shown} that is not https. nbauth does not use it.",
            code="foreign_link",
            hint="Report it to whoever runs this Graph.",
        )

    def patience(self, url: SecretStr) -> Patience:
        """The waits of one call at the host of a URL."""
        place, graph = place_of(url), self._transport
        return Patience(graph.bound.person, graph.pauses, place, plain(place))

    def open(
        self,
        method: str,
        url: SecretStr,
        headers: Mapping[str, str],
        body: Any = None,
        by: VerifiedSession | None = None,
    ) -> requests.Response:
        """Send a request; return the response, whose body was not read. Redirects are responses.

        Args:
            by: a session that adds a token; for Graph only.
        """
        check_stopped()
        try:
            with _unlogged():
                response = (by or self.session).request(
                    method,
                    url,
                    headers={"Accept": "*/*", **headers},
                    data=body,
                    timeout=TIMEOUT,
                    stream=True,
                    allow_redirects=False,
                )
        except _FAILURES as error:
            failed = self._lost(error, url)
        else:
            log.debug("%s at %s: %d", method, place_of(url), response.status_code)
            return response
        raise failed

    def parts(self, response: requests.Response, url: SecretStr) -> Iterator[bytes]:
        """The body of a response, decoded, as it arrives. Raises ``GraphError`` if it is cut."""
        if response._content_consumed:  # type: ignore[attr-defined]  # as in transport
            yield response.content
            return
        until = time.monotonic() + MOST_SECONDS
        while part := self._part(response, url):
            yield part
            check_stopped()
            until += len(part) / SLOWEST
            if time.monotonic() > until:
                raise GraphError(
                    f"{plain(place_of(url))} sends {self._shown} too slowly.",
                    code="too_slow",
                    hint="Try again later.",
                )

    def send(
        self, method: str, url: SecretStr, headers: Mapping[str, str], body: Any = None
    ) -> Answer:
        """Send a request and read the short response."""
        return self.short(self.open(method, url, headers, body), url)

    def short(self, response: requests.Response, url: SecretStr) -> Answer:
        """Read a short response; a longer one is not read to its end."""
        read = b""
        with response:
            for part in self.parts(response, url):
                read += part
                if len(read) > MOST_ANSWER:
                    break
        reason = reasons.get(response.request)
        return Answer(response.status_code, response.headers, read, reason)

    def refusal(self, method: str, answer: Answer, url: SecretStr, why: str = "") -> GraphError:
        """The error for a response."""
        return errors.refusal(
            method,
            self._path,
            answer.status,
            _masked(errors.parsed(answer.body), _secrets_of(url)),
            request_id=answer.headers.get("request-id"),
            retry_after=retry_after(answer.headers),
            why=why,
            hint=answer.reason,
        )

    @property
    def _shown(self) -> str:
        return plain(self._path)[: errors.MOST_PATH]

    def _part(self, response: requests.Response, url: SecretStr) -> bytes:
        raw: Any = response.raw
        try:
            # read() waits for a whole chunk, however slowly it arrives.
            part: bytes = getattr(raw, "read1", raw.read)(CHUNK, decode_content=True)
        except _FAILURES as error:
            failed = self._lost(error, url)
        else:
            return part
        raise failed

    def _lost(self, error: Exception, url: SecretStr) -> GraphError:
        """The error for an exception of requests; it names the host only."""
        found = explained(error, self.session, url)
        return GraphError(str(found), code=found.code, hint=found.hint)


class _Secrecy(threading.local):
    """Whether this thread requests a secret address."""

    on = False


_secrecy = _Secrecy()


def _is_public(_: logging.LogRecord) -> bool:
    return not _secrecy.on


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """urllib3 writes the whole address of each request to its log, at DEBUG.

    The filter stays: while one is removed, a logger in another thread may skip the next one.
    """
    logging.getLogger("urllib3.connectionpool").addFilter(_is_public)
    _secrecy.on = True
    try:
        yield
    finally:
        _secrecy.on = False


def _masked(value: Any, secrets: Iterable[str]) -> Any:
    """JSON without some texts."""
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret, MASK)
        case dict():
            return {name: _masked(each, secrets) for name, each in value.items()}
        case list():
            return [_masked(each, secrets) for each in value]
    return value


def _secrets_of(url: str) -> list[str]:
    """The parts of an address that a response may repeat, as they are and decoded."""
    where = urlsplit(url)
    own = f"{where.path}?{where.query}"
    values = [value for _, value in parse_qsl(where.query)]
    parts = [url, own, where.query, where.path, *(quote(one, safe="") for one in values), *values]
    texts = [text for part in parts for text in (part, unquote(part))]
    return sorted({text for text in texts if len(text) >= SHORTEST}, key=len, reverse=True)
