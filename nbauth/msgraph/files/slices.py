"""Sends a content in slices to an upload session, and goes on where the session has stopped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nbauth.core.errors import GraphError
from nbauth.core.secret import SecretStr
from nbauth.msgraph.files.preauthorised import CUT, Answer, Storage
from nbauth.msgraph.files.sources import Slice, Source
from nbauth.msgraph.later import pause
from nbauth.msgraph.progress import Progress

GONE = frozenset({401, 404, 410})
"""Statuses of a session that has expired or ended."""
MOST_FRUITLESS = 4
"""Requests in a row that may not move the position."""
FIRST_WAIT = 0.2
_RANGE = re.compile(r"\s*([0-9]{1,18})\s*-")


class Slices:
    """The slices of one content.

    Attributes:
        session: the URL of a session that can be continued; ``None`` if there is none.
        ends: when it ends, in seconds since the epoch.
        position: how many bytes the session has.
    """

    def __init__(
        self, storage: Storage, content: Source, size: int, bar: Progress, conflict: str
    ) -> None:
        self.session: SecretStr | None = None
        self.ends = 0.0
        self.position = 0
        self._storage = storage
        self._content = content
        self._size = size
        self._bar = bar
        self._conflict = conflict
        self._shown = 0
        self._fruitless = 0
        self._all_sent = False

    def send(self, url: SecretStr, ends: float, *, is_new: bool) -> tuple[bool, Any]:
        """Send what the session lacks. Whether all is there, and the item if it is known.

        ``(False, None)``: the session has expired; a new one is needed.
        """
        self.session, self.ends = url, ends
        self.position, self._fruitless = 0, 0
        patience, certain = self._storage.patience(url), is_new
        while True:
            if self.position >= self._content.size and certain:
                self.session = None
                return True, None
            method, headers, body = self._request(certain)
            answer = self._answer(method, url, headers, body)
            if answer is None:
                certain = False
                continue
            if answer.status in (200, 201) and method == "PUT":
                self._move(self._content.size)
                self.session = None
                return True, answer.data or None
            if answer.status in GONE:
                return self._gone()
            if answer.status == 416:
                self._count("The session does not accept the slices")
                certain = False
            elif answer.status in (200, 202):
                before = self.position
                self._take(answer.data, method, len(body or ()))
                patience = self._storage.patience(url) if self.position > before else patience
                certain = True
            else:
                self._refused(method, answer, url, patience)
                certain = answer.status == 429

    def _request(self, certain: bool) -> tuple[str, Mapping[str, str], bytes | None]:
        """The next request: a slice, or the question what the session has."""
        if not certain:
            return "GET", {}, None
        total = self._content.size
        body = self._content.read(self.position, min(self._size, total - self.position))
        end = self.position + len(body)
        self._all_sent = self._all_sent or end == total
        return "PUT", {"Content-Range": f"bytes {self.position}-{end - 1}/{total}"}, body

    def _answer(
        self, method: str, url: SecretStr, headers: Mapping[str, str], body: bytes | None
    ) -> Answer | None:
        """The response; ``None`` if the connection was lost and the session has to be asked."""
        try:
            return self._storage.send(method, url, headers, None if body is None else Slice(body))
        except GraphError as error:
            self._fruitless += 1
            if error.code not in CUT or self._fruitless >= MOST_FRUITLESS:
                raise
        pause(FIRST_WAIT * self._fruitless)
        return None

    def _take(self, state: Mapping[str, Any], method: str, sent: int) -> None:
        """Note what the session has."""
        ranges = state.get("nextExpectedRanges")
        position = self.position + sent if method == "PUT" else 0
        if isinstance(ranges, list) and method == "GET" and not ranges:
            position = self._content.size
        elif isinstance(ranges, list) and ranges:
            found = [_RANGE.match(one) for one in ranges if isinstance(one, str)]
            starts = [int(one[1]) for one in found if one]
            position = min(starts, default=position)
        if position > self._content.size:
            self.session = None
            raise GraphError(
                "The upload session expects more than the content has.",
                code="bad_session",
                hint="Repeat the call.",
            )
        if position > self.position or method == "GET":
            self._fruitless = 0 if position > self._shown else self._fruitless
        else:
            self._count("The session does not take the slices")
        self._move(position)

    def _move(self, position: int) -> None:
        self.position = position
        if position > self._shown:
            self._bar.update(position - self._shown)
            self._shown = position

    def _count(self, what: str) -> None:
        self._fruitless += 1
        if self._fruitless >= MOST_FRUITLESS:
            self.session = None
            raise GraphError(f"{what}.", code="no_progress", hint="Repeat the call.")
        pause(FIRST_WAIT * (self._fruitless - 1))

    def _gone(self) -> tuple[bool, Any]:
        self.session = None
        if self._all_sent and self._conflict != "replace":
            raise GraphError(
                "The last response of the upload was lost. It is unknown whether the file is"
                " there.",
                code="uncertain",
                hint="Look whether the file is in the drive before the call is repeated.",
            )
        self._all_sent = False
        return False, None

    def _refused(self, method: str, answer: Answer, url: SecretStr, patience: Any) -> None:
        """Wait, or raise ``GraphError``."""
        why = patience.refused("PUT", answer.status, answer.headers)
        if why is None:
            return
        if not why and answer.status in (408, 500):
            self._fruitless += 1
            if self._fruitless < MOST_FRUITLESS:
                pause(FIRST_WAIT * self._fruitless)
                return
        if answer.status != 429 and answer.status < 500:
            self.session = None  # the next call would be refused too
        raise self._storage.refusal(method, answer, url, why)
