"""Reads the beginning of a response's body, which the caller can still read as a whole.

Only a short body of JSON is read, up to ``MOST_BODY`` bytes and for ``MOST_SECONDS`` at most.
"""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from nbauth.oauth.missing_scopes import MOST_BODY

MOST_SECONDS = 5.0


def _may_be_read(headers: Any, method: str | None) -> bool:
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if method == "HEAD" or not (kind == "application/json" or kind.endswith("+json")):
        return False
    length = headers.get("Content-Length", "")
    return not length.isdigit() or int(length) <= MOST_BODY


def _decoded(data: bytes, headers: Any) -> bytes | None:
    """The decoded body, if it is short; ``None`` for a content coding that is not read."""
    coding = headers.get("Content-Encoding", "").strip().lower()
    if coding in ("", "identity"):
        return data
    if coding not in ("gzip", "x-gzip"):
        return None
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, MOST_BODY + 1)
    except zlib.error:
        return None


# ── requests ────────────────────────────────────────────────────────────────────────────────


def peek(response: Any, *, stream: bool) -> bytes | None:
    """The short body of a response of requests.

    ``stream``: whether the caller reads the body itself; else requests reads all of it anyway.
    """
    if not _may_be_read(response.headers, response.request.method):
        return None
    if not stream or response._content_consumed:
        content: bytes = response.content
        return content if len(content) <= MOST_BODY else None
    from urllib3.response import HTTPResponse

    raw = response.raw
    if not isinstance(raw, HTTPResponse):
        return None
    parts, broken = _Parts(), None
    read = getattr(raw, "read1", raw.read)  # read1 returns what has arrived; urllib3 1 lacks it
    try:
        while part := read(MOST_BODY, decode_content=False):
            if not parts.take(part):
                break
        else:
            parts.whole = True
    except Exception as error:  # raised again when the caller reads so far
        broken = error
    first = b"".join(parts.read)
    response.raw = HTTPResponse(
        body=_Rest(first, raw, broken),
        headers=raw.headers,
        status=raw.status,
        version=raw.version,
        reason=raw.reason,
        preload_content=False,
        decode_content=raw.decode_content,
        original_response=getattr(raw, "_original_response", None),
        request_method=response.request.method,
    )
    return _decoded(first, response.headers) if parts.whole else None


class _Rest(io.RawIOBase):
    """The bytes that were read, then the others."""

    def __init__(self, first: bytes, raw: Any, broken: Exception | None) -> None:
        self._first = first
        self._raw = raw
        self._broken = broken

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            first, self._first = self._first, b""
            return first + self._next(None)
        if not self._first:
            return self._next(size)
        first, self._first = self._first[:size], self._first[size:]
        return first

    def read1(self, size: int | None = -1) -> bytes:
        """At most one read of the connection. urllib3 calls it, though a raw stream has none."""
        if self._first:
            return self.read(len(self._first) if size is None or size < 0 else size)
        return self._next(None if size is None or size < 0 else size, once=True)

    def _next(self, size: int | None, *, once: bool = False) -> bytes:
        if self._broken is not None:
            raise self._broken
        raw = self._raw
        read = getattr(raw, "read1", raw.read) if once else raw.read
        part: bytes = read(size, decode_content=False)
        return part

    def readinto(self, buffer: Any) -> int:
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._raw.close()
        self._raw.release_conn()
        super().close()


# ── httpx ───────────────────────────────────────────────────────────────────────────────────


def peek_httpx(response: Any) -> bytes | None:
    """The short body of a response of ``httpx.Client``."""
    if (known := _read_before(response)) is not None or not _is_short(response):
        return known
    parts, stream = _Parts(), response.stream
    rest = iter(stream)
    try:
        for part in rest:
            if not parts.take(part):
                break
        else:
            parts.whole = True
    except Exception as error:  # raised again when the caller reads so far
        rest = _raising(error)
    response.stream = _stream(stream, parts.read, rest)
    return _decoded(b"".join(parts.read), response.headers) if parts.whole else None


async def peek_httpx_async(response: Any) -> bytes | None:
    """The same for ``httpx.AsyncClient``."""
    if (known := _read_before(response)) is not None or not _is_short(response):
        return known
    parts, stream = _Parts(), response.stream
    rest = aiter(stream)
    try:
        async for part in rest:
            if not parts.take(part):
                break
        else:
            parts.whole = True
    except Exception as error:  # as above
        rest = _raising_async(error)
    response.stream = _async_stream(stream, parts.read, rest)
    return _decoded(b"".join(parts.read), response.headers) if parts.whole else None


def _is_short(response: Any) -> bool:
    return _may_be_read(response.headers, response.request.method)


def _read_before(response: Any) -> bytes | None:
    import httpx

    try:
        content: bytes = response.content
    except httpx.ResponseNotRead:
        return None
    return content if _is_short(response) and len(content) <= MOST_BODY else b""


class _Parts:
    """The parts that were read."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.whole = False
        self._until = time.monotonic() + MOST_SECONDS
        self._length = 0

    def take(self, part: bytes) -> bool:
        """Keep a part; ``False`` if no more may be read."""
        self.read.append(part)
        self._length += len(part)
        return self._length <= MOST_BODY and time.monotonic() < self._until


def _raising(error: Exception) -> Iterator[bytes]:
    raise error
    yield b""


async def _raising_async(error: Exception) -> AsyncIterator[bytes]:
    raise error
    yield b""


def _stream(stream: Any, first: list[bytes], rest: Iterator[bytes]) -> Any:
    import httpx

    class Whole(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from first
            yield from rest

        def close(self) -> None:
            stream.close()

    return Whole()


def _async_stream(stream: Any, first: list[bytes], rest: AsyncIterator[bytes]) -> Any:
    import httpx

    class Whole(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in first:
                yield part
            async for part in rest:
                yield part

        async def aclose(self) -> None:
            await stream.aclose()

    return Whole()
