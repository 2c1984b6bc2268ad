"""Downloads: the content is streamed, and the token stays at Graph.

Graph answers with the content, or with a redirect to a pre-authorised URL of another host
(document: driveitem-get-content).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urljoin

import requests

from nbauth.core.errors import GraphError
from nbauth.core.interrupted import TransferInterrupted
from nbauth.core.secret import SecretStr
from nbauth.core.text import plain
from nbauth.kernel.calls.hosts import place_of
from nbauth.msgraph.files.file_paths import item_of
from nbauth.msgraph.files.preauthorised import CUT, Storage
from nbauth.msgraph.files.targets import Target, To, name_of, target_of
from nbauth.msgraph.later import pause
from nbauth.msgraph.progress import Progress
from nbauth.msgraph.throttle import Patience
from nbauth.msgraph.transport import CHUNK, MOST_LOST, Request, Transport

MOST_REDIRECTS = 5
MOST_RESTARTS = 3
"""How often a download begins again because the content has changed."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18})\Z")


@dataclass(frozen=True)
class Version:
    """What tells whether two responses are of the same content."""

    etag: str
    total: int | None

    @property
    def strong(self) -> bool:
        """Whether a range of it can be requested (RFC 9110 §13.1.5)."""
        return self.etag.startswith('"') and self.total is not None


class Download:
    """One download.

    Args:
        transport: of Graph's requests.
        request: the ``GET`` of the content.
    """

    def __init__(self, transport: Transport, request: Request) -> None:
        self._transport = transport
        self._request = request
        self._storage = Storage(transport, request.path)
        self._version = Version("", None)
        self._read = self._shown = 0
        self._lost = self._restarts = 0
        self._name: str | None = None

    def to(self, target: Target, bar: Progress) -> Any:
        """Download; return what the target is."""
        try:
            while not self._attempt(target, bar):
                pass
            return target.finish(self._name)
        except KeyboardInterrupt:  # its traceback may show the secret URL
            pass
        finally:
            self._storage.close()
        what = plain(self._request.path)
        raise TransferInterrupted(f"{self._read:,} bytes of {what} were read.")

    def _attempt(self, target: Target, bar: Progress) -> bool:
        """Read the content, or the rest of it. False: it was cut, and can go on."""
        before = self._read
        try:
            response, url = self._opened()
            with response:
                self._receive(response, url, target, bar)
        except GraphError as error:
            self._lost = 1 if self._read - before >= CHUNK else self._lost + 1
            if error.code not in CUT or self._lost >= MOST_LOST:
                raise
        else:
            return True
        pause(0.2 * self._lost)
        return False

    def _receive(
        self, response: requests.Response, url: SecretStr, target: Target, bar: Progress
    ) -> None:
        encoded = response.headers.get("Content-Encoding", "identity").lower() != "identity"
        length = _number(response.headers.get("Content-Length"))
        self._begin(response, target, None if encoded else length)
        if self._version.total is not None:
            bar.total = self._version.total
        self._name = name_of(response.headers.get("Content-Disposition", "")) or self._name
        for part in self._storage.parts(response, url):
            target.write(part)
            self._read += len(part)
            bar.update(max(self._read - self._shown, 0))
            self._shown = max(self._read, self._shown)
        arrived = response.raw.tell()
        total = self._version.total
        if (length is not None and arrived != length) or (
            total is not None and self._read != total
        ):
            raise GraphError(
                f"The content of {plain(self._request.path)} is not complete.",
                code="connection_lost",
                hint="Try again.",
            )

    def _begin(self, response: requests.Response, target: Target, length: int | None) -> None:
        """Go on where the content was cut, if the response is a part of the same content."""
        found = _RANGE.match(response.headers.get("Content-Range", ""))
        etag = response.headers.get("ETag", "")
        if response.status_code == 206 and found:
            same = etag in ("", self._version.etag) and int(found[2]) == self._version.total
            if same and int(found[1]) == self._read and length is not None:
                return
            self._version = Version("", None)  # the next attempt asks for all of it
            raise GraphError(
                "The response is a part of another content.", code="connection_lost", hint=""
            )
        if response.status_code == 206:
            raise GraphError("The response is a part that was not requested.", code="bad_range")
        if self._read:
            self._restart(target)
        self._version = Version(etag, length)

    def _restart(self, target: Target) -> None:
        self._restarts += 1
        if self._restarts > MOST_RESTARTS or not target.restart():
            raise GraphError(
                f"The download of {plain(self._request.path)} was cut and cannot go on.",
                code="content_changed",
                hint="Repeat the call, with the path of a file as the target.",
            )
        self._read = 0

    @property
    def _headers(self) -> dict[str, str]:
        """A range is one of the bytes as they are sent, so compression is not wanted."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if self._read and self._version.strong:
            headers["Range"] = f"bytes={self._read}-"
            headers["If-Range"] = self._version.etag
        return headers

    def _opened(self) -> tuple[requests.Response, SecretStr]:
        """The response with content, after redirects and waits."""
        own: Patience | None = None
        others: dict[str, Patience] = {}
        fresh = 0
        while True:
            response, url = self._redirected()
            if 200 <= response.status_code < 300:
                return response, url
            at_graph = place_of(url) == self._transport.root.place
            answer = self._storage.short(response, url)
            if answer.status == 416 and self._read:
                self._version = Version("", None)
                continue
            if not at_graph and answer.status in (401, 403, 404, 410) and fresh < 1:
                fresh += 1  # the pre-authorised URL has expired: Graph names another one
                continue
            if at_graph:
                patience = own = own or self._patience()
            else:
                patience = others.setdefault(place_of(url), self._storage.patience(url))
            why = patience.refused("GET", answer.status, answer.headers)
            if why is not None:
                raise self._storage.refusal("GET", answer, url, why)

    def _redirected(self) -> tuple[requests.Response, SecretStr]:
        url, at_graph = SecretStr(self._request.url), True
        for _ in range(MOST_REDIRECTS + 1):
            if at_graph:
                headers: Mapping[str, str] = {**self._request.headers, **self._headers}
                response = self._storage.open("GET", url, headers, by=self._transport.session)
            else:
                response = self._storage.open("GET", url, self._headers)
            if response.status_code not in (301, 302, 303, 307, 308):
                return response, url
            with response:
                url = self._storage.checked(urljoin(url, response.headers.get("Location", "")))
            # A host that Graph has sent us to gets no token to spend at Graph.
            at_graph = at_graph and place_of(url) == self._transport.root.place
        raise GraphError(
            f"{plain(self._request.path)} leads to more than {MOST_REDIRECTS} redirects.",
            code="redirected",
            hint="Try again; report it to whoever runs this Graph.",
        )

    def _patience(self) -> Patience:
        graph, request = self._transport, self._request
        patience = Patience(graph.bound.person, graph.pauses, graph.key(request), graph.root.place)
        patience.wait_for_others()
        return patience


def download(transport: Transport, request: Request, to: To | None, progress: bool) -> Any:
    """Download the content of a request for an item or a content."""
    target = target_of(to, _file_name(request.url))
    try:
        with Progress(None, "B", progress) as bar:
            return Download(transport, request).to(target, bar)
    finally:
        target.drop()


def _file_name(url: str) -> str | None:
    """The name in the path of a file, if it is there."""
    item = item_of(url)
    return unquote(item[:-1].rpartition("/")[2]) if item and item.endswith(":") else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
