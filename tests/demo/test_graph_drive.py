"""The local Graph's files: content on another host, upload sessions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from nbauth.demo.drive import CAPACITY, SLICE_UNIT, Drives
from nbauth.demo.graph_answers import Refused
from nbauth.demo.servers import Demo

CONTENT = os.urandom(SLICE_UNIT * 2 + 1234)


@pytest.fixture
def root(demo: Demo) -> str:
    return f"{demo.graph_url}/me/drive/root"


@pytest.fixture
def storage(demo: Demo) -> Iterator[requests.Session]:
    """A client without a token."""
    with requests.Session() as session:
        session.verify = demo.ca_file
        yield session


def error(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def slice_of(first: int, end: int, total: int = len(CONTENT)) -> dict[str, Any]:
    headers = {"Content-Range": f"bytes {first}-{end - 1}/{total}"}
    return {"data": CONTENT[first:end], "headers": headers, "timeout": 10}


@pytest.mark.parametrize("name", ["plain.csv", "a folder/100% #1 +é 😀.txt", "O'Brien.parquet"])
def test_content(root: str, writer: requests.Session, storage: requests.Session, name: str) -> None:
    address = f"{root}:/{quote(name)}:"
    assert error(writer.get(address)) == (404, "itemNotFound")
    made = writer.put(f"{address}/content", data=b"first")
    assert made.status_code == 201 and made.json()["name"] == name.rpartition("/")[2]
    again = writer.put(f"{address}/content", data=b"second one")
    assert again.status_code == 200 and again.json()["id"] == made.json()["id"]
    assert again.json()["eTag"] != made.json()["eTag"]
    by_key = f"{root.removesuffix('root')}items/{made.json()['id']}"
    for where in (address, by_key):
        assert writer.get(where).json()["size"] == 10
        moved = writer.get(f"{where}/content", allow_redirects=False)
        assert moved.status_code == 302
        there, here = urlsplit(moved.headers["Location"]), urlsplit(root)
        assert there.hostname != here.hostname and there.port != here.port
        assert storage.get(moved.headers["Location"]).content == b"second one"
        assert error(writer.get(moved.headers["Location"])) == (401, "unauthenticated")
    listed = writer.get(f"{root}/children").json()["value"]
    assert name.partition("/")[0] in [row["name"] for row in listed]
    if "/" in name:
        inside = writer.get(f"{root}:/a folder:/children").json()["value"]
        assert [row["name"] for row in inside] == [name.partition("/")[2]]
    assert writer.delete(address).status_code == 204
    assert error(writer.get(f"{address}/content")) == (404, "itemNotFound")


def test_bad_names_and_folders(root: str, writer: requests.Session) -> None:
    for name in ("a*b.txt", "../x.txt", " "):
        refused = writer.put(f"{root}:/{quote(name, safe='')}:/content", data=b"")
        assert error(refused) == (400, "invalidRequest")
    assert error(writer.get(f"{root}:/nowhere:/children")) == (404, "itemNotFound")
    assert error(writer.get(f"{root}/nothing")) == (400, "BadRequest")


def test_ranges(root: str, writer: requests.Session, storage: requests.Session) -> None:
    writer.put(f"{root}:/ranges.bin:/content", data=CONTENT)
    item = writer.get(f"{root}:/ranges.bin:").json()
    address = item["@microsoft.graph.downloadUrl"]
    part = storage.get(address, headers={"Range": "bytes=1000-1999"})
    assert part.status_code == 206 and part.content == CONTENT[1000:2000]
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(CONTENT)}"
    rest = storage.get(address, headers={"Range": "bytes=5000-", "If-Range": item["eTag"]})
    assert rest.status_code == 206 and rest.content == CONTENT[5000:]
    other = storage.get(address, headers={"Range": "bytes=5000-", "If-Range": '"other"'})
    assert other.status_code == 200 and other.content == CONTENT
    beyond = storage.get(address, headers={"Range": f"bytes={len(CONTENT)}-"})
    assert beyond.status_code == 416
    assert error(storage.get(address + "x")) == (404, "itemNotFound")
    writer.delete(f"{root}:/ranges.bin:")


def test_upload_session(root: str, writer: requests.Session, storage: requests.Session) -> None:
    made = writer.post(f"{root}:/big.bin:/createUploadSession", json={"item": {}})
    assert made.status_code == 200
    url = made.json()["uploadUrl"]
    assert urlsplit(url).netloc != urlsplit(root).netloc and "expirationDateTime" in made.json()
    unit, total = SLICE_UNIT, len(CONTENT)
    assert error(writer.put(url, **slice_of(0, unit))) == (401, "unauthenticated")
    first = storage.put(url, **slice_of(0, unit))
    assert first.status_code == 202
    assert first.json()["nextExpectedRanges"] == [f"{unit}-{total - 1}"]
    assert error(storage.put(url, **slice_of(0, unit))) == (416, "invalidRange")
    assert error(storage.put(url, **slice_of(2 * unit, total))) == (416, "invalidRange")
    for bad in (slice_of(unit, unit + 1000), slice_of(unit, 2 * unit, total + 1)):
        assert error(storage.put(url, **bad)) == (400, "invalidRequest")
    assert error(storage.put(url, data=b"x")) == (400, "invalidRequest")
    assert storage.get(url).json()["nextExpectedRanges"] == [f"{unit}-{total - 1}"]
    assert storage.put(url, **slice_of(unit, 2 * unit)).status_code == 202
    last = storage.put(url, **slice_of(2 * unit, total))
    assert last.status_code == 201 and last.json()["size"] == total
    address = writer.get(f"{root}:/big.bin:").json()["@microsoft.graph.downloadUrl"]
    assert storage.get(address).content == CONTENT
    assert error(storage.get(url)) == (404, "itemNotFound")
    writer.delete(f"{root}:/big.bin:")


@pytest.mark.parametrize(
    ("behaviour", "status", "name"),
    [("fail", 409, ""), ("replace", 200, "same.txt"), ("rename", 201, "same 1.txt")],
)
def test_a_name_that_is_taken(
    root: str,
    writer: requests.Session,
    storage: requests.Session,
    behaviour: str,
    status: int,
    name: str,
) -> None:
    writer.put(f"{root}:/same.txt:/content", data=b"old")
    item = {"item": {"@microsoft.graph.conflictBehavior": behaviour}}
    made = writer.post(f"{root}:/same.txt:/createUploadSession", json=item)
    if status == 409:
        assert error(made) == (409, "nameAlreadyExists")
        return
    stored = storage.put(made.json()["uploadUrl"], **slice_of(0, 100, 100))
    assert stored.status_code == status and stored.json()["name"] == name
    for each in {"same.txt", name}:
        writer.delete(f"{root}:/{each}:")


def test_a_session_can_be_cancelled(
    root: str, writer: requests.Session, storage: requests.Session
) -> None:
    url = writer.post(f"{root}:/x.bin:/createUploadSession").json()["uploadUrl"]
    assert storage.delete(url).status_code == 204
    assert error(storage.put(url, **slice_of(0, 100))) == (404, "itemNotFound")


def test_files_and_uploads_are_bounded() -> None:
    drives, half = Drives(), bytes(CAPACITY // 2 + 1)
    drives.put("ada", "one", half, "replace")
    drives.put("ada", "one", half, "replace")
    with pytest.raises(Refused) as full:
        drives.put("grace", "two", half, "replace")
    assert full.value.answer.status == 507
    with pytest.raises(Refused) as full:
        drives.start_upload("grace", "two", "replace", len(half))
    assert full.value.answer.status == 507
    key = drives.start_upload("grace", "two", "replace", None)
    with pytest.raises(Refused) as full:
        drives.receive(key, f"bytes 0-{SLICE_UNIT - 1}/{len(half)}", bytes(SLICE_UNIT))
    assert full.value.answer.status == 507


def test_sessions_and_addresses_expire() -> None:
    now = datetime.now(UTC)
    drives = Drives(now=lambda: now)
    file, _ = drives.put("ada", "one", b"1", "replace")
    upload, address = drives.start_upload("ada", "two", "replace", None), drives.offer(file)
    assert drives.offered(address) is file and drives.upload(upload)
    now += timedelta(minutes=16)
    for ask in (lambda: drives.offered(address), lambda: drives.upload(upload)):
        with pytest.raises(Refused) as gone:
            ask()
        assert gone.value.answer.status == 404
