"""Uploads and downloads of the local Graph of these tests."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

import pytest
import requests

from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes
from tests.harness.graph.files import UNIT
from tests.msgraph.conftest import Call

CONTENT = bytes(range(251)) * (4 * UNIT // 251)
PATH = "/me/drive/root:/a%20%23.bin:"


def put(plain_session: requests.Session, url: str, start: int, size: int, **headers: str) -> int:
    part = CONTENT[start : start + size]
    span = f"bytes {start}-{start + len(part) - 1}/{len(CONTENT)}"
    headers = {"Content-Range": span, **headers}
    return plain_session.put(url, data=part, headers=headers, timeout=10).status_code


def test_upload_session(
    faulty_graph: FaultyGraph, plain_call: Call, plain_session: requests.Session
) -> None:
    url = plain_call(PATH + "/createUploadSession", "POST").json()["uploadUrl"]
    assert put(plain_session, url, 0, UNIT - 1) == 400
    assert put(plain_session, url, UNIT, UNIT) == 416
    assert put(plain_session, url, 0, UNIT) == 202
    assert put(plain_session, url, 0, UNIT) == 416
    assert put(plain_session, url, UNIT, UNIT, Authorization="Bearer x") == 401
    assert faulty_graph.leaks
    total = {"Content-Range": f"bytes {UNIT}-{2 * UNIT - 1}/9999999"}
    part = plain_session.put(url, data=CONTENT[UNIT : 2 * UNIT], headers=total, timeout=5)
    assert part.status_code == 400
    faulty_graph.drive.cut_uploads_at = 0.37
    with pytest.raises(requests.ConnectionError):
        put(plain_session, url, UNIT, 2 * UNIT)
    assert plain_session.get(url, timeout=5).json()["nextExpectedRanges"] == [f"{UNIT}-"]
    assert put(plain_session, url, UNIT, 2 * UNIT) == 202
    assert put(plain_session, url, 3 * UNIT, UNIT) == 201
    kept = faulty_graph.drive.files["a #.bin"]
    assert kept.content == CONTENT
    assert plain_call(PATH + "/createUploadSession", "POST").status_code == 409
    again = plain_call("/me/drive/root:/b:/createUploadSession", "POST").json()["uploadUrl"]
    faulty_graph.drive.expire()
    assert put(plain_session, again, 0, UNIT) == 404
    assert plain_call("/me/drive/root:/c:/content", "PUT", data=b"c").status_code == 201
    assert plain_call("/me/drive/root:/c:/content", "PUT", data=b"d").status_code == 200


def test_download(
    faulty_graph: FaultyGraph, plain_call: Call, plain_session: requests.Session
) -> None:
    file = faulty_graph.drive.put("d/a b.bin", CONTENT)
    answer = plain_call(f"/me/drive/items/{quote(file.ident, safe='')}/content")
    assert answer.status_code == 302
    url = answer.headers["Location"]
    assert url.startswith(faulty_graph.storage.root)
    assert plain_call(url).status_code == 401 and faulty_graph.leaks
    faulty_graph.fail("GET", "/download/*", on=2, answer=changes.cut_at(0.5))
    whole = plain_session.get(url, timeout=10)
    assert whole.content == CONTENT
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        _ = plain_session.get(url, timeout=10).content
    asked = {"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}
    rest = plain_session.get(url, headers=asked, timeout=10)
    assert rest.status_code == 206 and rest.content == CONTENT[100:]
    changed = plain_session.get(url, headers={**asked, "If-Range": '"x"'}, timeout=10)
    assert changed.status_code == 200 and changed.content == CONTENT
    beyond = plain_session.get(url, headers={"Range": "bytes=99999999-"}, timeout=10)
    assert beyond.status_code == 416
    item = plain_call("/me/drive/root:/d/a%20b.bin").json()
    assert item["file"]["hashes"]["sha256Hash"] == hashlib.sha256(CONTENT).hexdigest().upper()
