"""A drive: small uploads, upload sessions, downloads from pre-authorised addresses."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.harness.graph.listener import Recorded
from tests.harness.graph.lists import decoded, query_of
from tests.harness.graph.replies import Refused, Reply, refusal

UNIT = 320 * 1024
LARGEST_SLICE = 60 * 1024 * 1024
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")
_ASKED = re.compile(r"bytes=(\d+)-(\d*)$")
CONFLICT = "@microsoft.graph.conflictBehavior"


@dataclass
class File:
    name: str
    content: bytes
    ident: str = field(default_factory=lambda: f"{uuid.uuid4().hex[:16].upper()}!101")

    @property
    def etag(self) -> str:
        return f'"{{{hashlib.sha256(self.content).hexdigest()[:20]}}},1"'

    def item(self) -> dict[str, Any]:
        digest = hashlib.sha256(self.content).hexdigest().upper()
        return {
            "id": self.ident,
            "name": self.name.rpartition("/")[2],
            "size": len(self.content),
            "eTag": self.etag,
            "file": {"mimeType": "application/octet-stream", "hashes": {"sha256Hash": digest}},
        }


@dataclass
class Upload:
    """An upload session."""

    name: str
    conflict: str
    received: bytearray = field(default_factory=bytearray)
    total: int | None = None
    expired: bool = False

    def state(self) -> dict[str, Any]:
        return {
            "expirationDateTime": "2099-01-29T09:21:55.523Z",
            "nextExpectedRanges": [f"{len(self.received)}-"],
        }


class Drive:
    """The files of one drive, by name.

    Attributes:
        root: the address of the storage host.
        largest_put: the largest body of a small upload.
        uploads: the upload sessions by their key.
        cut_uploads_at: closes the connection once at this share of a file, within a slice.
    """

    def __init__(self) -> None:
        self.root = ""
        self.clear()

    def clear(self) -> None:
        self.files: dict[str, File] = {}
        self.uploads: dict[str, Upload] = {}
        self._downloads: dict[str, File] = {}
        self.largest_put = 250 * 1024 * 1024
        self.cut_uploads_at: float | None = None

    def put(self, name: str, content: bytes) -> File:
        """A file, as if it were uploaded before."""
        known = self.files.get(name)
        self.files[name] = made = File(name, content)
        if known is not None:
            made.ident = known.ident
        return made

    def expire(self) -> None:
        """All upload sessions and download addresses expire."""
        for upload in self.uploads.values():
            upload.expired = True
        self._downloads.clear()

    # --- at Graph ---

    def answer(self, request: Recorded, tail: str) -> Reply | None:
        """Answer ``root:/NAME:/…`` and ``items/ID…`` of a drive; None: no such address."""
        if match := re.match(r"root:/(.+?)(?::(/[\w$]+)?)?$", tail):
            name, action = decoded(match[1]), match[2] or ""
            found = self.files.get(name)
        elif match := re.match(r"items/([^/:]+)(?::/([^:]+):)?(/[\w$]+)?$", tail):
            ident, action = decoded(match[1]), match[3] or ""
            found = next((one for one in self.files.values() if one.ident == ident), None)
            name = decoded(match[2]) if match[2] else (found.name if found else "")
            found = self.files.get(name) if match[2] else found
            if not name:
                raise Refused(404, "itemNotFound", "The resource could not be found.")
        else:
            return None
        if request.method == "POST" and action == "/createUploadSession":
            return self._open(request, name)
        if request.method == "PUT" and action == "/content":
            return self._put_small(request, name)
        if found is None:
            raise Refused(404, "itemNotFound", "The resource could not be found.")
        if request.method in ("GET", "HEAD") and action == "/content":
            return Reply(302, b"", {"Location": self.download_url(found)})
        if request.method == "GET" and not action:
            url = {"@microsoft.graph.downloadUrl": self.download_url(found)}
            return Reply(200, {**found.item(), **url})
        if request.method == "DELETE" and not action:
            del self.files[found.name]
            return Reply(204)
        return Reply(405)

    def download_url(self, file: File) -> str:
        ticket = uuid.uuid4().hex
        self._downloads[ticket] = file
        return f"{self.root}/download/{ticket}?tempauth=v1.{ticket[::-1]}%2B%3D"

    def _open(self, request: Recorded, name: str) -> Reply:
        try:
            item = (json.loads(request.body) if request.body else {}).get("item", {})
        except ValueError:
            raise Refused(400, "invalidRequest", "The body is not JSON.") from None
        conflict = item.get(CONFLICT, "fail")
        if conflict == "fail" and name in self.files:
            raise Refused(409, "nameAlreadyExists", "The item's name already exists.")
        key = uuid.uuid4().hex
        self.uploads[key] = upload = Upload(name, conflict)
        url = f"{self.root}/upload/{key}?guid=%27{key[:8]}%27&overwrite=True&tempauth={key[::-1]}"
        return Reply(200, {"uploadUrl": url, **upload.state()})

    def _put_small(self, request: Recorded, name: str) -> Reply:
        if len(request.body) > self.largest_put:
            raise Refused(413, "invalidRequest", "The request is larger than allowed.")
        conflict = dict(query_of(request)).get(CONFLICT, "replace")
        return self._keep(name, request.body, conflict)

    def _keep(self, name: str, content: bytes, conflict: str) -> Reply:
        exists = name in self.files
        if exists and conflict == "fail":
            raise Refused(409, "nameAlreadyExists", "The item's name already exists.")
        if exists and conflict == "rename":
            stem, dot, suffix = name.rpartition(".")
            name = f"{stem} 1{dot}{suffix}" if dot else f"{name} 1"
        made = self.put(name, content)
        return Reply(200 if exists and conflict == "replace" else 201, made.item())

    # --- at the storage host ---

    def storage(self, request: Recorded) -> Reply:
        """Answer at a pre-authorised address."""
        if "authorization" in request.headers:
            return refusal(401, "unauthenticated", "The address is pre-authorised.")
        kind, _, key = request.raw_path.lstrip("/").partition("/")
        try:
            if kind == "upload":
                return self._upload(request, key)
            if kind == "download" and request.method in ("GET", "HEAD"):
                return self._download(request, key)
        except Refused as refused:
            return refused.reply
        return Reply(404)

    def body_limit(self, request: Recorded) -> int | None:
        """How much of a slice to read before the cut that ``cut_uploads_at`` asks for."""
        match = _RANGE.match(request.headers.get("content-range", ""))
        if self.cut_uploads_at is None or not match:
            return None
        first, last, total = map(int, match.groups())
        point = int(total * self.cut_uploads_at)
        if not first <= point <= last:
            return None
        self.cut_uploads_at = None
        return point - first

    def _upload(self, request: Recorded, key: str) -> Reply:
        upload = self.uploads.get(key)
        if upload is None or upload.expired:
            raise Refused(404, "itemNotFound", "The upload session was not found.")
        if request.method == "GET":
            return Reply(200, upload.state())
        if request.method == "DELETE":
            del self.uploads[key]
            return Reply(204)
        if request.method != "PUT":
            return Reply(405)
        self._check_slice(request, upload)
        upload.received += request.body
        if len(upload.received) < (upload.total or 0):
            return Reply(202, upload.state())
        reply = self._keep(upload.name, bytes(upload.received), upload.conflict)
        del self.uploads[key]
        return reply

    def _check_slice(self, request: Recorded, upload: Upload) -> None:
        if "content-length" not in request.headers:
            raise Refused(411, "invalidRequest", "Content-Length is required.")
        match = _RANGE.match(request.headers.get("content-range", ""))
        if not match:
            raise Refused(400, "invalidRequest", "Invalid Content-Range header value.")
        first, last, total = map(int, match.groups())
        size = len(request.body)
        if last - first + 1 != size or last >= total:
            raise Refused(400, "invalidRequest", "Declared content length does not match.")
        if size >= LARGEST_SLICE:
            raise Refused(413, "invalidRequest", "The slice is larger than 60 MiB.")
        if last + 1 < total and size % UNIT:
            raise Refused(400, "invalidRequest", "The slice is no multiple of 320 KiB.")
        if upload.total not in (None, total):
            raise Refused(400, "invalidRequest", "The total size differs from earlier slices.")
        if first != len(upload.received):
            raise Refused(416, "invalidRange", "Optimistic concurrency failure.")
        upload.total = total

    def _download(self, request: Recorded, ticket: str) -> Reply:
        file = self._downloads.get(ticket)
        if file is None:
            raise Refused(401, "unauthenticated", "The download address expired.")
        headers = {"ETag": file.etag, "Accept-Ranges": "bytes"}
        size = len(file.content)
        match = _ASKED.match(request.headers.get("range", ""))
        if not match or request.headers.get("if-range", file.etag) != file.etag:
            return Reply(200, file.content, headers)
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
        if first >= size:
            return refusal(416, "invalidRange").with_headers(Content_Range=f"bytes */{size}")
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        return Reply(206, file.content[first : last + 1], headers)
