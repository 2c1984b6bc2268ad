"""Allowed addresses of requests, and limits of responses."""

from __future__ import annotations

import gzip
import json
import math
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
import requests

from nbauth.core.errors import AuthorityUnreachable, ConfigurationError
from nbauth.oauth.http import MOST_REDIRECTS, Http
from nbauth.oauth.json_body import DEEPEST, LIMIT, MOST
from nbauth.oauth.network import VerifiedSession
from tests.harness.certificates import Certificates
from tests.oauth.proxies import Proxy
from tests.oauth.servers import Seen, Server, reply


def error_of(answer: bytes, method: str = "GET") -> AuthorityUnreachable:
    with Server(answer=answer) as server, pytest.raises(AuthorityUnreachable) as caught:
        Http().request(method, server.url)
    return caught.value


def value_of(body: bytes | str, **headers: str) -> Any:
    with Server(answer=reply(200, body, **headers)) as server:
        return Http().get(server.url).json()


# ── addresses ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "address",
    [
        "http://id.example/", "HTTP://id.example/", "ftp://id.example/", "file:///etc/passwd",
        "javascript:alert(1)", "//id.example/", "id.example", "", None, 5, b"https://id.example/",
        "http+unix://%2Frun%2Fx/", "https:id.example", "http://127.0.0.1@id.example/",
        "http://id.example\\@127.0.0.1/", " http://id.example/", "https://id.example/\r\nX: y",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_https_and_loopback_http_are_sent(
    address: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(ConfigurationError) as caught:
            Http().request(method, address, data={"code": "secret"})
        assert proxy.asked == []
    assert caught.value.code in {"not_https", "bad_address"}
    assert "nothing was sent" in str(caught.value)


def test_a_prepared_request_is_checked_too() -> None:
    with pytest.raises(ConfigurationError):
        Http().send(requests.Request("GET", "http://id.example/").prepare())


# ── redirects ───────────────────────────────────────────────────────────────────────────────

STATUSES = [301, 302, 303, 307, 308]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("where", ["/new", "elsewhere"])
def test_codes_and_refresh_tokens_are_not_redirected(status: int, where: str) -> None:
    with Server() as elsewhere, Server() as server:
        location = elsewhere.url if where == "elsewhere" else where
        server.answer = reply(status, "{}", Location=f"{location}?secret=canary")
        with pytest.raises(AuthorityUnreachable) as caught:
            Http().post(server.url, data={"grant_type": "refresh_token", "refresh_token": "r"})
        assert (elsewhere.seen, len(server.seen)) == ([], 1)
    said = str(caught.value)
    assert caught.value.code == "redirected"
    assert said.startswith(f"127.0.0.1:{server.port} redirected the token request to http://127.")
    assert "does not follow" in said and "canary" not in said and "127.0.0.1" in said


@pytest.mark.parametrize("status", STATUSES)
def test_a_get_is_redirected_within_its_origin(status: int) -> None:
    def moved(seen: Seen) -> bytes:
        return reply(200, '{"a": 1}') if seen.target == "/new" else reply(status, Location="new")

    with Server(answer=moved) as server:
        assert Http().get(server.url, params={"a": "b"}).json() == {"a": 1}
        assert [seen.target for seen in server.seen] == ["/?a=b", "/new"]


LOCATIONS = [
    "http://127.0.0.1:{other}/", "http://localhost:{port}/", "http://evil.example/",
    "http://127.0.0.1:{port}@evil.example/", "https://127.0.0.1:{port}/", "file:///etc/passwd",
    "javascript:alert(1)", "http://127.0.0.1:{port}\\@evil.example/", "http://[bad", "http://x:y/",
    "//evil.example", "data:application/json,{{}}", "https://\u00e9\u202e.example/",
]  # fmt: skip


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_get_is_not_redirected_to_another_origin(
    location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy, Server() as other, Server() as server:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        where = location.format(port=server.port, other=other.port)
        server.answer = reply(302, "", Location=where)
        with pytest.raises(AuthorityUnreachable) as caught:
            Http().get(server.url, headers={"Authorization": "Bearer secret"})
        assert (len(server.seen), other.seen, proxy.asked) == (1, [], [])
    assert caught.value.code == "redirected"
    assert str(caught.value).isprintable()


def test_redirects_are_limited() -> None:
    with Server(answer=reply(302, "", Location="/again")) as server:
        with pytest.raises(AuthorityUnreachable, match="more than 3 times"):
            Http().get(server.url)
        assert len(server.seen) == MOST_REDIRECTS + 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_body_of_a_redirect_is_not_read(method: str) -> None:
    """requests would decompress all of it."""
    bomb = gzip.compress(bytes(30_000_000))
    answer = reply(302, bomb, Location="https://id.example/", Content_Encoding="gzip")
    tracemalloc.start()
    error = error_of(answer, method)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.code == "redirected"
    assert peak < 5_000_000


# ── size ────────────────────────────────────────────────────────────────────────────────────


def test_accepted_encodings() -> None:
    with Server() as server:
        Http().get(server.url)
    assert server.seen[0].headers["accept-encoding"] == "gzip, deflate"


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED = [
    ("gzip", gzip.compress), ("GZip", gzip.compress), ("x-gzip", gzip.compress),
    ("deflate", zlib.compress), ("deflate", deflated), ("identity", bytes),
    ("gzip", lambda data: gzip.compress(data[:3]) + gzip.compress(data[3:])),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "pack"), PACKED)
def test_compressed_responses_are_read(encoding: str, pack: Any) -> None:
    assert value_of(pack(b'{"a": "b"}'), Content_Encoding=encoding) == {"a": "b"}


@pytest.mark.parametrize(("encoding", "pack"), PACKED[:5])
def test_compressed_responses_have_a_limit(encoding: str, pack: Any) -> None:
    error = error_of(reply(200, pack(b" " * (LIMIT + 1)), Content_Encoding=encoding))
    assert error.code == "too_large"
    assert value_of(pack(b"{}" + b" " * (LIMIT - 2)), Content_Encoding=encoding) == {}


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "x\u202e"])
@pytest.mark.parametrize("status", [200, 400])
def test_an_encoding_that_was_not_requested_is_rejected(encoding: str, status: int) -> None:
    error = error_of(reply(status, "{}", Content_Encoding=encoding), "POST")
    assert "compressed" in str(error) and not error.empty
    assert str(error).isprintable()


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b'{"a": 1}', mtime=0)[:-9], b"\x1f\x8bno", b"{}"],
    ids=["cut off", "broken", "none"],
)
def test_invalid_compressed_data_is_rejected(body: bytes) -> None:
    error = error_of(reply(400, body, Content_Encoding="gzip"), "POST")
    assert (error.code, error.empty) == ("http_400", False)


@pytest.mark.parametrize("how", ["length", "chunks", "no length", "head", "continue", "trailers"])
def test_a_response_has_a_limit(how: str) -> None:
    much = b"a" * (LIMIT + 300_000)
    head = b"HTTP/1.1 200 OK\r\n"
    answers = {
        "length": reply(200, much),
        "no length": head + b"\r\n" + much,
        "chunks": head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(much) + much,
        "head": head + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 60_000) for n in range(90)),
        "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000,
        "trailers": head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 200_000,
    }
    error = error_of(answers[how])
    assert error.code == "too_large"
    assert "127.0.0.1" in str(error) and f"{LIMIT:,}" in str(error)


def test_large_responses_are_read() -> None:
    """Tokens with a thousand groups, a hundred keys with certificates."""
    keys = [{"kty": "RSA", "kid": str(n), "n": "n" * 342, "x5c": ["c" * 2000]} for n in range(100)]
    assert len(value_of(json.dumps({"keys": keys}))["keys"]) == 100


def test_elements_have_a_limit() -> None:
    assert error_of(reply(200, "[" + "[]," * MOST + "0]")).code == "too_large"


# ── JSON ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a": "\xc3\xa9"}', {"a": "é"}),
        ('{"a": "é"}'.encode("utf-16"), {"a": "é"}),
        ('{"a": "é"}'.encode("utf-16-le"), {"a": "é"}),
        ('{"a": "é"}'.encode("utf-32"), {"a": "é"}),
        ('{"a": "é"}'.encode("latin-1"), {"a": "é"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": NaN, "b": -Infinity, "c": 1e999}', {"a": None, "b": None, "c": None}),
        (b'{"a": ' + b"9" * 5_000 + b"}", {"a": None}),
        (b'{"a": -' + b"9" * 400 + b"}", {"a": None}),
        (b'{"a": 12345678901234567890}', {"a": 12345678901234567890}),
        (b'{"a": "\\ud800"}', {"a": "?"}),
        (b'  {"a": "\\u0000\\u202e"}\n', {"a": "\0\u202e"}),
        (b"null", None),
        (b'"text"', "text"),
    ],
)
def test_tolerant_parsing(body: bytes, value: Any) -> None:
    """nbauth and the libraries read the same value, since the JSON is serialised again."""
    with Server(answer=reply(200, body, Content_Type="text/plain; charset=utf-7")) as server:
        response = Http().get(server.url)
    assert response.json() == json.loads(response.text) == value
    for number in value.values() if isinstance(value, dict) else ():
        assert not isinstance(number, int | float) or math.isfinite(float(number))


@pytest.mark.parametrize(("open", "close"), ["[]", ('{"a":', "}")])
@pytest.mark.parametrize("depth", [DEEPEST + 1, 5_000])
def test_depth_has_a_limit(open: str, close: str, depth: int) -> None:
    error = error_of(reply(200, open * depth + "0" + close * depth))
    assert error.code == "not_json"
    assert "nested" in str(error)
    assert value_of(open * (DEEPEST - 1) + "0" + close * (DEEPEST - 1))


@pytest.mark.parametrize("body", ["", "{", '{"a"}', "[1,]", "{'a': 1}", "\0", "{}{}", "﻿<html>"])
def test_invalid_json_is_rejected(body: str) -> None:
    error = error_of(reply(200, body))
    assert (error.code, error.empty) == ("not_json", body == "")


# ── a session for data ──────────────────────────────────────────────────────────────────────


def test_netrc_is_ignored_for_prepared_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Server() as server:
        VerifiedSession().get(server.url)
    assert "authorization" not in server.seen[0].headers


BOTH = [
    (setting, way) for setting in ("proxies", "none", "unset", "changed") for way in (True, False)
]


@pytest.mark.parametrize(("setting", "prepared"), [*BOTH, ("call", False)])
def test_proxies_of_a_session(
    setting: str, prepared: bool, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(certificates) as server, Proxy() as named, Proxy() as environment:
        monkeypatch.setenv("HTTPS_PROXY", environment.url)
        given = {"proxies": {"https": named.url}, "none": {}}.get(setting)
        session = VerifiedSession(str(certificates.ca_file), given)
        if setting == "changed":
            session.proxies = {"https": named.url}
        if prepared:
            session.send(requests.Request("GET", server.url).prepare())
        elif setting == "call":
            session.get(server.url, proxies={"https": named.url})
        else:
            session.get(server.url)
        asked = (len(named.asked), len(environment.asked))
    assert asked == {"none": (0, 0), "unset": (0, 1)}.get(setting, (1, 0))


def test_a_redirect_to_another_host_uses_its_proxy(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(certificates) as end, Server(certificates, host="localhost") as start:
        start.answer = reply(302, "", Location=end.url)
        with Proxy() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            session = VerifiedSession(str(certificates.ca_file))
            assert session.get(start.url).ok
            assert [head.split()[1] for head in proxy.asked] == [f"localhost:{start.port}"]
