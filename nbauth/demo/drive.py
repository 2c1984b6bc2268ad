"""Files in memory: each person's drive, upload sessions and pre-authorised addresses."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from .graph_answers import Refused, Row, stamp

CAPACITY = 64 * 2**20
"""Bytes that all files and unfinished uploads may hold together."""
SLICE_UNIT = 320 * 1024
LARGEST_SLICE = 60 * 2**20
_MOST_FILES = 1000
_MOST_ADDRESSES = 200
_LIFE = timedelta(minutes=15)


@dataclass
class File:
    """One file of a drive."""

    name: str
    content: bytes
    key: str = field(default_factory=lambda: uuid.uuid4().hex.upper())
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))
    version: int = 1

    @property
    def etag(self) -> str:
        return f'"{{{self.key}}},{self.version}"'


@dataclass
class Upload:
    """An upload session; slices arrive in order."""

    owner: str
    path: str
    conflict: str
    expires: datetime
    total: int | None = None
    received: bytearray = field(default_factory=bytearray)

    def state(self) -> Row:
        end = self.total - 1 if self.total is not None else ""
        return {
            "expirationDateTime": stamp(self.expires),
            "nextExpectedRanges": [f"{len(self.received)}-{end}"],
        }


class Drives:
    """All drives, upload sessions and download addresses of the demo."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._files: dict[str, dict[str, File]] = {}
        self._uploads: dict[str, Upload] = {}
        self._downloads: dict[str, tuple[File, datetime]] = {}

    def files(self, owner: str) -> dict[str, File]:
        """One person's files, by path."""
        return self._files.setdefault(owner, {})

    def put(self, owner: str, path: str, content: bytes, conflict: str) -> tuple[File, bool]:
        """Store a file; also whether it is new. Raises Refused (409, 507)."""
        files = self.files(owner)
        old = files.get(path)
        if old is not None and conflict == "fail":
            raise Refused(409, "nameAlreadyExists", "An item with the same name already exists.")
        if old is not None and conflict == "rename":
            path, old = _free_name(path, files), None
        self._require_room(len(content) - (len(old.content) if old else 0))
        if old is not None:
            old.content, old.modified, old.version = content, self._now(), old.version + 1
            return old, False
        if len(files) >= _MOST_FILES:
            raise _full()
        files[path] = File(path.rpartition("/")[2], content)
        return files[path], True

    def start_upload(self, owner: str, path: str, conflict: str, size: int | None) -> str:
        """A new session's key. Raises Refused (409, 507)."""
        if conflict == "fail" and path in self.files(owner):
            raise Refused(409, "nameAlreadyExists", "An item with the same name already exists.")
        self._drop_expired()
        self._require_room(size or 0)
        key = secrets.token_urlsafe(24)
        self._uploads[key] = Upload(owner, path, conflict, self._now() + _LIFE)
        while len(self._uploads) > _MOST_ADDRESSES:
            del self._uploads[next(iter(self._uploads))]
        return key

    def upload(self, key: str) -> Upload:
        """Raises Refused (404) for an unknown or expired session."""
        self._drop_expired()
        if key not in self._uploads:
            raise Refused(404, "itemNotFound", "The upload session was not found.")
        return self._uploads[key]

    def cancel(self, key: str) -> None:
        self.upload(key)
        del self._uploads[key]

    def receive(self, key: str, content_range: str, content: bytes) -> tuple[File, bool] | None:
        """Add one slice; the file and whether it is new once it is complete.

        Raises Refused: 400 for a bad range, 413, 416 for bytes that are there or not due yet, 507.
        """
        upload = self.upload(key)
        found = re.fullmatch(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", content_range)
        first, last, total = map(int, found.groups()) if found else (0, 0, 0)
        if not found or last - first + 1 != len(content) or last >= total:
            raise Refused(400, "invalidRequest", "The Content-Range header is missing or invalid.")
        if upload.total not in (None, total):
            raise Refused(400, "invalidRequest", "The total length differs from earlier slices.")
        if len(content) >= LARGEST_SLICE:
            raise Refused(413, "invalidRequest", "The slice is larger than 60 MiB.")
        if first != len(upload.received):
            raise Refused(416, "invalidRange", "The range is already there or is not expected yet.")
        if last + 1 < total and len(content) % SLICE_UNIT:
            raise Refused(400, "invalidRequest", "The slice is not a multiple of 320 KiB.")
        self._require_room(total - len(upload.received))
        upload.total = total
        upload.received += content
        if len(upload.received) < total:
            return None
        del self._uploads[key]
        return self.put(upload.owner, upload.path, bytes(upload.received), upload.conflict)

    def offer(self, file: File) -> str:
        """The key of a pre-authorised address for a file, as it is now."""
        key = secrets.token_urlsafe(24)
        self._downloads[key] = (file, self._now() + _LIFE)
        while len(self._downloads) > _MOST_ADDRESSES:
            del self._downloads[next(iter(self._downloads))]
        return key

    def offered(self, key: str) -> File:
        """Raises Refused (404) for an unknown or expired address."""
        file, expires = self._downloads.get(key, (None, self._now()))
        if file is None or expires <= self._now():
            raise Refused(404, "itemNotFound", "The address is not known or has expired.")
        return file

    def _drop_expired(self) -> None:
        now = self._now()
        self._uploads = {k: u for k, u in self._uploads.items() if u.expires > now}

    def _require_room(self, more: int) -> None:
        held = sum(len(f.content) for files in self._files.values() for f in files.values())
        held += sum(len(upload.received) for upload in self._uploads.values())
        if held + more > CAPACITY:
            raise _full()


def _full() -> Refused:
    return Refused(507, "quotaLimitReached", "The drive of the demo has no room left.")


def _free_name(path: str, files: dict[str, File]) -> str:
    stem, dot, ending = path.rpartition(".") if "." in path else (path, "", "")
    number = 1
    while f"{stem} {number}{dot}{ending}" in files:
        number += 1
    return f"{stem} {number}{dot}{ending}"
