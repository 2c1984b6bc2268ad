from __future__ import annotations

import base64
import gzip
import html
import itertools
import json
import zlib
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode

import pytest

from nbauth.testing.canary import find, make_canary, scan

SECRET = make_canary()
RAW = SECRET.encode()


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("raw", f"a {SECRET} b"),
        ("raw", b"\xff" + RAW),
        ("url", quote(SECRET, safe="")),
        ("url", quote_plus(SECRET)),
        ("url", urlencode({"code": SECRET})),
        ("url", "".join(f"%{byte:02X}" for byte in RAW)),
        ("json", json.dumps({"cell": f"x = {SECRET}!"})),
        ("json", json.dumps({"cell": SECRET}, ensure_ascii=False)),
        ("json", json.dumps(json.dumps(SECRET))),
        ("repr", repr({"content": f"x {SECRET} y"})),
        ("repr", ascii([SECRET])),
        ("repr", str({"buffer": RAW})),
        ("html", html.escape(f"<{SECRET}>")),
        ("hex", RAW.hex()),
        ("hex", RAW.hex().upper()),
        ("utf-16", SECRET.encode("utf-16")),
        *(("base64", base64.b64encode(b"x" * n + RAW + b"tail")) for n in range(6)),
        *(("base64", base64.urlsafe_b64encode(b"x" * n + RAW)) for n in range(3)),
        ("gzip:raw", b"head" + gzip.compress(RAW * 3) + b"tail"),
        ("gzip:raw", zlib.compress(RAW)),
        ("gzip:gzip:raw", gzip.compress(gzip.compress(b"y" * 50 + RAW))),
        ("gzip:base64", gzip.compress(b"data:" + base64.b64encode(b"zz" + RAW))),
    ],
    ids=itertools.count(),  # each worker has another secret, but test names must be the same
)
def test_a_secret_is_found_in_every_encoding(form: str, data: bytes | str) -> None:
    assert form in find(SECRET, data)


@pytest.mark.parametrize(
    "data",
    ["", "nothing", SECRET[:-1], SECRET[1:], make_canary(), b"\x1f\x8b\x08", gzip.compress(b"no")],
    ids=itertools.count(),
)
def test_an_absent_secret_is_not_found(data: bytes | str) -> None:
    assert find(SECRET, data) == []


def test_base64_of_other_text_is_not_found() -> None:
    assert find(SECRET, base64.b64encode(make_canary().encode())) == []


def test_a_short_secret_is_rejected() -> None:
    with pytest.raises(ValueError, match="by accident"):
        find("abc", "abc")


def test_folders_are_searched_without_repeating_the_secret(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "leak.ipynb").write_text(json.dumps({"x": SECRET}))
    (tmp_path / "clean.txt").write_text("clean")
    (line,) = scan([make_canary(), SECRET], [tmp_path])
    assert "leak.ipynb: secret 1 as json" in line
    assert SECRET not in line
