"""S22: responses of hostile providers, at every endpoint, for both engines."""

from __future__ import annotations

import gc
import gzip
import json
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count, cycle
from typing import Any

import pytest

from nbauth.core.addresses import is_secure
from nbauth.oauth import http
from nbauth.oauth.json_body import LIMIT
from tests.faults.bending import ENGINES, NOT_ASKED, PAIRS, Bent, places, sent, walk
from tests.faults.conftest import Figure
from tests.faults.sizes import FULL, size
from tests.harness.certificates import Certificates
from tests.oauth.servers import Server, reply

GROWTH = 10_000_000
MISSING = object()
PAGES = ("verification_uri", "verification_uri_complete")
SCHEMES = (
    "http://evil.example/", "HTTP://evil.example/", "http://evil.example\\@localhost/",
    "ftp://evil.example/", "file:///etc/passwd", "javascript:alert(1)//", "data:text/html,x",
    "//evil.example/", "evil.example", "vbscript:x", "ms-settings:x", "search-ms:query=x",
    "smb://evil.example/x", "https:evil.example", "https://evil.example:x/", "https://[evil/",
    "http://127.0.0.1.evil.example/", "\thttp://evil.example", "https://evil.example/\r\nX: y", "",
)  # fmt: skip
ENDPOINTS = (
    "authorization_endpoint", "token_endpoint", "jwks_uri", "device_authorization_endpoint",
    "userinfo_endpoint", "revocation_endpoint", "end_session_endpoint",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    MISSING, None, True, False, 0, -1, 1.5, 10**400, float("nan"), float("inf"), "", "x", "1" * 400,
    "\x1b]0;x\x07\u202e\r\n\x00\x9bX", "\ud800", "w" * 10_000, [], {}, ["x"], [[None]], [{}],
    [True, "x", 5], {"a": {"b": []}}, {"x": "y"}, "http://evil.example/", "javascript:alert(1)",
)  # fmt: skip
BODIES: tuple[Any, ...] = (None, True, 0, 1.5, "x", "", [], {}, ["x"], [{}], [[]], {"error": None})
ERRORS: tuple[Any, ...] = (
    "invalid_grant", "\x1b[2J\u202e", "w" * 5_000, None, True, 5, [], ["x"], {},
    {"code": 5, "message": ["x"]},
)  # fmt: skip
STATUSES = (200, 400, 401, 403, 404, 500)


def outside(seen: list[tuple[Any, ...]], provider: Bent) -> list[tuple[Any, ...]]:
    """Resolved or connected addresses that are not the provider's."""
    return [place for place in seen if place != ("127.0.0.1", provider.port)]


def bent(name: str, value: Any) -> Callable[[dict[str, Any]], bytes]:
    """One field has that value, or is missing; a key's fields are written ``keys.kty``."""

    def bend(body: dict[str, Any]) -> bytes:
        inside = body["keys"][0] if name.startswith("keys.") else body
        field = name.removeprefix("keys.")
        if value is MISSING:
            inside.pop(field)
        else:
            inside[field] = value
        return sent(body)

    return bend


def fields_of(where: str, certificates: Certificates) -> list[str]:
    """The names in a valid response."""
    names: list[str] = []

    def look(body: dict[str, Any]) -> bytes:
        names[:] = body
        if where == "keys":
            names.extend(f"keys.{name}" for name in body["keys"][0])
        return sent(body)

    with Bent(certificates, where, look) as provider:
        walk(provider)
    return names


# ── fields and bodies ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "where"), PAIRS)
def test_wrong_types_in_every_field(
    name: str, where: str, certificates: Certificates, figure: Figure
) -> None:
    """One message each, no request to another host, and a received refresh token is kept."""
    found: list[str] = []
    turns = cycle(VALUES)
    tried, fields = 0, fields_of(where, certificates)
    for field in fields:
        for _ in range(size(2, len(VALUES))):
            value = next(turns)
            with Bent(certificates, where, bent(field, value), name) as provider, places() as seen:
                met = walk(provider)
            tried += 1
            told = f"{field}={'missing' if value is MISSING else value!r:.60}"
            found += [f"{told}: {fault}" for fault in met.faults()]
            found += [f"{told}: went to {place}" for place in outside(seen, provider)]
            if where == "refresh" and field != "refresh_token" and not spoils(field, value):
                found += [] if met.keeps_the_new_refresh_token() else [f"{told}: lost"]
    assert found == []
    given = f"{len(VALUES)} values in each field of every answer"
    shown = "a sentence each, 0 requests elsewhere, 0 new refresh tokens lost"
    figure("S22", f"wrong types, control characters ({name})", given, shown)


def spoils(field: str, value: Any) -> bool:
    """Whether a refresh response with this value is an error response (RFC 6749 §5.2)."""
    return field == "error" and bool(value)


@pytest.mark.parametrize(("name", "where"), PAIRS)
def test_bodies_of_every_kind(
    name: str, where: str, certificates: Certificates, figure: Figure
) -> None:
    found: list[str] = []
    pairs = [(body, status) for body in BODIES for status in STATUSES]
    for body, status in pairs[:: size(7, 1)]:
        with Bent(certificates, where, lambda _, b=body, s=status: sent(b, s), name) as provider:
            found += [f"{status} {body!r}: {fault}" for fault in walk(provider).faults()]
    assert found == []
    given = f"{len(BODIES)} bodies with {len(STATUSES)} statuses for every answer"
    figure("S22", f"other bodies ({name})", given, "a sentence each")


@pytest.mark.parametrize(("name", "where"), PAIRS)
def test_errors_of_every_form(
    name: str, where: str, certificates: Certificates, figure: Figure
) -> None:
    found: list[str] = []
    names = ("error", "error_description", "error_codes", "correlation_id", "message", "errorCode")
    pairs = [(field, value) for field in names for value in ERRORS]
    for number, (field, value) in enumerate(pairs[:: size(9, 1)]):
        body = {"error": "invalid_request", field: value}
        status = STATUSES[number % len(STATUSES)]
        with Bent(certificates, where, lambda _, b=body, s=status: sent(b, s), name) as provider:
            found += [f"{status} {body!r:.80}: {fault}" for fault in walk(provider).faults()]
    assert found == []
    given = f"{len(ERRORS)} values in {len(names)} fields of every error"
    figure("S22", f"errors ({name})", given, "a sentence each")


# ── addresses ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_endpoint_with_another_scheme_is_used(
    name: str, endpoint: str, certificates: Certificates, figure: Figure
) -> None:
    """Only https and loopback addresses are resolved, connected to, or opened in a browser."""
    found: list[str] = []
    for address in SCHEMES[:: size(3, 1)]:
        for where in size(("discovery",), ("discovery", "keys", "poll", "userinfo", "revocation")):
            if where in NOT_ASKED[name]:
                continue
            provider = Bent(certificates, where, name=name, metadata={endpoint: address})
            with provider, places() as seen:
                met = walk(provider)
            opened = [met.values["authorize"].authorize_url] if "authorize" in met.values else []
            opened += [met.values["issuer"][1]] if met.values.get("issuer", [0, ""])[1] else []
            found += [f"{address!r}: {fault}" for fault in met.faults()]
            found += [f"{address!r}: went to {place}" for place in outside(seen, provider)]
            found += [f"opened {one!r}" for one in opened if not is_secure(one)]
    assert found == []
    given = f"{len(SCHEMES)} addresses as each of {len(ENDPOINTS)} endpoints"
    figure("S22", f"other schemes ({name})", given, "0 requests, 0 addresses opened")


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("field", PAGES)
def test_no_verification_uri_with_another_scheme_is_shown(
    name: str, field: str, certificates: Certificates, figure: Figure
) -> None:
    opened: list[str] = []
    for address in SCHEMES:
        with Bent(certificates, "device", bent(field, address), name) as provider:
            met = walk(provider)
        assert met.faults() == []
        device = met.values.get("start_device")
        opened += [str(getattr(device, field))] if device and getattr(device, field) else []
    assert [one for one in opened if not is_secure(one)] == []
    figure("S22", f"other schemes ({name})", f"{len(SCHEMES)} addresses as {field}", "0 shown")


@pytest.mark.parametrize(("name", "where"), PAIRS)
def test_no_redirect_to_another_origin_is_followed(
    name: str, where: str, certificates: Certificates, figure: Figure
) -> None:
    found: list[str] = []
    with Server(certificates) as elsewhere:
        plain = elsewhere.url.replace("https:", "http:")
        targets = [
            elsewhere.url,
            plain,
            "http://evil.example/",
            "https://evil.example/",
            "file:///",
        ]
        posted = where in ("code", "device", "poll", "refresh", "revocation")
        targets += ["/token", "?again"] if posted else []
        number = count()
        for status in (301, 302, 303, 307, 308):
            for target in targets:
                if next(number) % size(7, 1):
                    continue
                headers = {"Location": target}
                bend = lambda _, s=status, h=headers: sent({"a": 1}, s, **h)  # noqa: E731
                with Bent(certificates, where, bend, name) as provider, places() as seen:
                    met = walk(provider, once=True)
                told = f"{status} to {target}"
                found += [f"{told}: {fault}" for fault in met.faults()]
                found += [f"{told}: went to {place}" for place in outside(seen, provider)]
                found += [f"{told}: asked again"] * (provider.asked.count(where) != 1)
                codes = {error.code for error in met.errors.values()}
                found += (
                    [] if "redirected" in codes or where == "userinfo" else [f"{told}: {codes}"]
                )
        assert elsewhere.seen == []
    assert found == []
    given = "up to 7 targets, 5 statuses, for every answer"
    figure("S22", f"redirects ({name})", given, "0 followed, said to where")


# ── size ────────────────────────────────────────────────────────────────────────────────────


def _packed(pack: Callable[[bytes], bytes], encoding: str) -> bytes:
    return reply(200, pack(bytes(300_000_000 if FULL else 60_000_000)), Content_Encoding=encoding)


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: _packed(lambda data: gzip.compress(data, 1), "gzip"),
    "deflate": lambda: _packed(lambda data: zlib.compress(data, 1), "deflate"),
    "br": lambda: reply(200, b"\x1b" * 100, Content_Encoding="br"),
    "zstd": lambda: reply(200, b"\x28\xb5\x2f\xfd" * 100, Content_Encoding="zstd"),
    "twice": lambda: reply(200, b"x", Content_Encoding="gzip, gzip"),
    "deep": lambda: reply(200, '{"a":' * 15_000 + "0" + "}" * 15_000),
    "deep lists": lambda: reply(200, "[" * 15_000 + "]" * 15_000),
    "many": lambda: reply(200, "[" + "[]," * (LIMIT // 3 - 1) + "0]"),
    "many names": lambda: reply(200, json.dumps({f"{n:06}": n + 0.5 for n in range(19_000)})),
    "long number": lambda: reply(200, '{"expires_in":' + "9" * 400_000 + "}"),
    "wide": lambda: reply(200, '{"access_token":"' + "a" * (LIMIT - 100) + '\U0001f600"}'),
    "endless": lambda: b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 30_000_000,
    "endless head": lambda: b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 30_000_000,
    "many headers": lambda: b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"a" * 60_000 + b"\r\n") * 99,
    "chunk": lambda: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 30_000_000,
    "continue": lambda: b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000,
}


@pytest.mark.timing
@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_stays_small(bomb: str, certificates: Certificates, figure: Figure) -> None:
    answer, grown, found = BOMBS[bomb](), [0], []
    pairs = size([("oidc", "refresh"), ("microsoft", "keys")], PAIRS)
    for name, where in pairs:
        with Bent(
            certificates, where, sent, name
        ) as sound:  # imports and caches are not counted as growth
            walk(sound)
        gc.collect()  # an object that is finalised deep in a recursion fails to report anything
        with Bent(certificates, where, lambda _: answer, name) as provider:
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            began = time.monotonic()
            met = walk(provider, once=True)
            took = time.monotonic() - began
            grown.append(tracemalloc.get_traced_memory()[1] - before)
            tracemalloc.stop()
        found += [f"{name}, {where}: {fault}" for fault in met.faults()]
        found += [f"{name}, {where}: {took:.0f} s"] * (took > http.LONGEST)
    assert found == []
    assert max(grown) < GROWTH
    shown = f"a sentence each, {max(grown) / 1e6:.1f} MB growth at most"
    figure("S22", f"answers that grow ({bomb})", f"{len(pairs)} answers of both engines", shown)


# ── time ────────────────────────────────────────────────────────────────────────────────────


class Dripping(Bent):
    """Its modified response arrives byte by byte, in the head or in the body."""

    every = 1.0
    in_head = False

    def __enter__(self) -> Dripping:
        super().__enter__()
        self.over = threading.Event()
        self._server._serve = self._slowly  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        super().__exit__()

    def _slowly(self, raw: socket.socket) -> None:
        assert self._server._context
        try:
            sock = self._server._context.wrap_socket(raw, server_side=True)
        except (OSError, ssl.SSLError):
            return
        self._server._open.append(sock)
        with sock, sock.makefile("rb") as stream:
            try:
                self._talk(sock, stream)
            except OSError:
                return

    def _talk(self, sock: ssl.SSLSocket, stream: Any) -> None:
        from tests.oauth.servers import Seen

        line = stream.readline().decode().split(" ", 2)
        headers = {}
        while text := stream.readline().strip():
            key, _, value = text.decode().partition(":")
            headers[key.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        answer = self._answer(Seen(line[0], line[1], headers, body))
        if self.asked[-1] != self.where:
            sock.sendall(answer)
            return
        head, _, content = answer.partition(b"\r\n\r\n")
        slow = head + b"\r\n\r\n" + content if self.in_head else content
        if not self.in_head:
            sock.sendall(head + b"\r\n\r\n")
        for byte in slow:
            if self.over.wait(self.every):
                return
            sock.sendall(bytes([byte]))


def padded(body: dict[str, Any]) -> bytes:
    return reply(200, json.dumps(body) + " " * 1000)


def dripped(pair: tuple[str, str], in_head: bool, certificates: Certificates) -> tuple[float, Any]:
    provider = Dripping(certificates, pair[1], padded, pair[0])
    provider.in_head, provider.every = in_head, size(0.05, 1.0)
    with provider:
        engine = provider.engine()
        _ = engine.issuer if pair[1] != "discovery" else None
        began = time.monotonic()
        met = walk(provider, engine, once=True)
        return time.monotonic() - began, met


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> float:
    seconds = size(0.5, http.LONGEST)
    monkeypatch.setattr(http, "LONGEST", seconds)
    return seconds


@pytest.mark.timing
@pytest.mark.parametrize("in_head", [True, False], ids=["head", "body"])
def test_one_byte_a_second(
    in_head: bool, longest: float, certificates: Certificates, figure: Figure
) -> None:
    """Each response has one deadline, whatever arrives meanwhile; all run at once."""
    with ThreadPoolExecutor(len(PAIRS)) as pool:
        ends = list(pool.map(lambda pair: dripped(pair, in_head, certificates), PAIRS))
    for (_name, where), (took, met) in zip(PAIRS, ends, strict=True):
        assert met.faults() == []
        codes = {error.code for error in met.errors.values()}
        assert codes == ({"timeout"} if where != "userinfo" else set()), (where, codes)
        assert took < longest + size(3, 5), where
    worst = max(took for (_, where), (took, _) in zip(PAIRS, ends, strict=True))
    what = f"1 byte a second in the {'head' if in_head else 'body'}"
    figure(
        "S22", what, f"{len(PAIRS)} answers, both engines", f"{worst:.1f} s at most for a request"
    )
