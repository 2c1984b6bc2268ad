"""Uploads: in one request, or in slices to a pre-authorised URL (document: createUploadSession)."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Literal

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.interrupted import TransferInterrupted
from nbauth.core.text import plain
from nbauth.msgraph.files.file_paths import item_of
from nbauth.msgraph.files.preauthorised import Storage
from nbauth.msgraph.files.slices import Slices
from nbauth.msgraph.files.sources import File, Source
from nbauth.msgraph.files.unfinished import SHORT_LIFE, Kept, Unfinished
from nbauth.msgraph.later import pause
from nbauth.msgraph.progress import Progress
from nbauth.msgraph.sender import Sender, content_of
from nbauth.msgraph.throttle import BUSY
from nbauth.msgraph.transport import LOST, MOST_LOST

Conflict = Literal["replace", "rename", "fail"]
CONFLICT = "@microsoft.graph.conflictBehavior"
SMALL = 4 * 1024 * 1024
"""Bytes that are uploaded in one request."""
UNIT = 320 * 1024
"""Slices are multiples of it."""
LARGEST = 60 * 1024 * 1024
"""Bytes that a slice has to be smaller than."""
MOST_SESSIONS = 3
"""Upload sessions of one call, if they expire."""
_FULL = frozenset({"insufficientStorage", "quotaLimitReached", "accountQuotaExceeded"})


def slice_size(chunk: int) -> int:
    """The size of slices; raises ``ConfigurationError`` if it is not allowed."""
    if isinstance(chunk, int) and UNIT <= chunk < LARGEST:
        return chunk - chunk % UNIT
    raise ConfigurationError(
        "The size of a chunk is not allowed.",
        code="bad_option",
        hint="It is from 320 KiB to less than 60 MiB; nbauth rounds it to a multiple of 320 KiB.",
    )


class Upload:
    """The upload of one file.

    Args:
        sender: of Graph's requests.
        unfinished: the sessions of earlier calls.
        url: of the file, with or without ``/content``.
        chunk: the most bytes of a slice.
    """

    def __init__(
        self, sender: Sender, unfinished: Unfinished, url: str, conflict: Conflict, chunk: int
    ) -> None:
        self._sender = sender
        self._unfinished = unfinished
        self._conflict = conflict
        self._slice = slice_size(chunk)
        self._item = _file_at(url)
        self._path = sender.root.path_of(self._item)
        if conflict not in ("replace", "rename", "fail"):
            raise ConfigurationError(
                "The option conflict is unknown.",
                code="bad_option",
                hint='It is "replace", "rename" or "fail".',
            )

    def send(self, file: File, progress: bool) -> Any:
        """Upload; return the drive item."""
        content, sent = Source(file), False
        try:
            with Progress(content.size, "B", progress) as bar:
                item = self._sent(content, bar)
            sent = True
        except GraphError as error:
            raise _explained(error) from None
        finally:
            content.close(sent)
        return item

    def _sent(self, content: Source, bar: Progress) -> Any:
        # The file of a request whose response was lost would be in the way of the repeated request.
        if content.size == 0 or (content.size <= SMALL and self._conflict == "replace"):
            body = content.read(0, content.size)
            url = f"{self._item}/content?{CONFLICT}={self._conflict}"
            item = content_of(self._sender.send("PUT", url, {}, body))
            bar.update(content.size)
            return item
        return self._in_slices(content, bar)

    def _in_slices(self, content: Source, bar: Progress) -> Any:
        key = content.identity and (self._item, self._conflict, content.identity)
        kept = self._unfinished.take(key) if key else None
        if kept is not None:  # slices need no token, but the account may have signed out
            self._sender.transport.get_token()
        storage = Storage(self._sender.transport, self._path)
        slices = Slices(storage, content, self._slice, bar, self._conflict)
        interrupted = None
        try:
            item = self._through_sessions(kept, storage, slices)
        except KeyboardInterrupt:  # its traceback may show the secret URL
            interrupted = TransferInterrupted(self._how_far(slices, content, key))
        finally:
            unfinished = slices.session
            if key and unfinished is not None:
                self._unfinished.keep(key, Kept(unfinished, slices.ends))
            storage.close()
        if interrupted is not None:
            raise interrupted
        return item if item is not None else content_of(self._sender.send("GET", self._item, {}))

    def _through_sessions(self, kept: Kept | None, storage: Storage, slices: Slices) -> Any:
        """Send all slices. The item; ``None`` if Graph has to be asked for it."""
        for attempt in range(MOST_SESSIONS + 1):
            if kept is not None:
                done, item = slices.send(kept.url, kept.ends, is_new=False)
            elif attempt < MOST_SESSIONS:
                new = self._created(storage)
                done, item = slices.send(new.url, new.ends, is_new=True)
            else:
                break
            if done:
                return item
            kept = None
        raise GraphError(
            f"The upload sessions of {plain(self._path)} expired {MOST_SESSIONS} times.",
            code="session_expired",
            hint="Try again later.",
        )

    def _created(self, storage: Storage) -> Kept:
        """A new session. It may be requested again: sessions that are not used expire."""
        body = {"item": {CONFLICT: self._conflict}}
        for attempt in range(1, MOST_LOST + 1):
            try:
                url = f"{self._item}/createUploadSession"
                reply = self._sender.send("POST", url, {}, body)
                break
            except GraphError as error:
                passing = error.code in LOST or error.status in BUSY
                wait = error.retry_after or 0.2 * attempt
                if not passing or attempt == MOST_LOST or wait > SHORT_LIFE:
                    raise
                pause(wait)
        data = reply.json()
        data = data if isinstance(data, dict) else {}
        return Kept(storage.checked(data.pop("uploadUrl", None)), ends_at(data))

    def _how_far(self, slices: Slices, content: Source, key: object) -> str:
        return (
            f"{slices.position:,} of {content.size:,} bytes of {plain(self._path)} were uploaded."
            + (" The same call goes on from there." if key else "")
        )


def ends_at(state: dict[str, Any]) -> float:
    """When a session ends; a day from now if it does not say so."""
    try:
        return datetime.fromisoformat(state["expirationDateTime"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return time.time() + 86_400


def _file_at(url: str) -> str:
    item = item_of(url)
    if item is None or "?" in url:
        raise ConfigurationError(
            "The path is not that of a file in a drive. Nothing was sent.",
            code="bad_path",
            hint="For example me/drive/root:/folder/name.txt: or drives/{id}/items/{id}.",
        )
    return item


def _explained(error: GraphError) -> GraphError:
    """An error of an upload with what to do next."""
    if error.code == "nameAlreadyExists":
        hint = 'Use conflict="replace" or conflict="rename", or another name.'
    elif error.status == 507 or error.code in _FULL:
        hint = "The drive is full: delete files, or ask for more space."
    elif error.status == 413:
        hint = "The service does not accept a file of this size."
    elif error.status == 423:
        hint = "Somebody has opened the file: close it, or use another name."
    else:
        return error
    made = GraphError(
        str(error),
        code=error.code,
        hint=hint,
        status=error.status,
        retry_after=error.retry_after,
        correlation_id=error.correlation_id,
        timestamp=error.timestamp,
    )
    return made.with_traceback(error.__traceback__)
