"""The local Graph of these tests: what it serves, refuses, records and does wrong on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.harness.certificates import Certificates
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.files import UNIT
from tests.harness.graph.replies import Reply

Call = Callable[..., requests.Response]
EVENTUAL = {"ConsistencyLevel": "eventual"}
NAMES = ["O'Brien", "100%", "#", "a+b", "🙂", "x/y", "é ü", "%2F", "?&=", "..;"]


@pytest.fixture
def session(certificates: Certificates) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.verify = str(certificates.ca_file)
        yield made


@pytest.fixture
def call(faulty_graph: FaultyGraph, session: requests.Session) -> Call:
    """Call the local Graph with a token, at a path of v1.0 or at a full address."""

    def send(path: str, method: str = "GET", **options: Any) -> requests.Response:
        url = path if path.startswith("https:") else f"{faulty_graph.root}/v1.0{path}"
        headers = {"Authorization": "Bearer any", **options.pop("headers", {})}
        options = {"timeout": 10, "allow_redirects": False, **options}
        return session.request(method, url, headers=headers, **options)

    return send


def rows(call: Call, path: str, **options: Any) -> list[dict[str, Any]]:
    """All rows, as a careful client reads them."""
    found, link = [], path
    while link:
        page = call(link, **options).json()
        found += page["value"]
        link = page.get("@odata.nextLink")
    return found


def test_pages_are_complete_and_their_tokens_opaque(call: Call, faulty_graph: FaultyGraph) -> None:
    found = rows(call, "/users?$top=99&$select=id,displayName")
    assert [row["id"] for row in found] == list(faulty_graph.users.rows)
    assert set(found[0]) == {"id", "displayName"}
    assert len(rows(call, "/me/messages")) == 60
    assert len(rows(call, "/users?$filter=surname eq 'O''Brien'")) == 42
    link = call("/users").json()["@odata.nextLink"]
    assert len(call("/users").json()["value"][0]) == 11
    assert call(link.replace("%2B", "+")).status_code == 400
    assert call(link + "&$skiptoken=x").status_code == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/users?$top=1000", 400),
        ("/users?$top=0", 400),
        ("/users?$tpo=1", 400),
        ("/users?$search=\"displayName:Ada\"", 400),
        ("/users?$filter=surname ne 'Hopper'", 400),
        ("/users/$count", 400),
        ("/users/nobody", 404),
        ("/nothing", 404),
        ("/users/user3@contoso.example", 200),
        ("/me/messages?$top=1000", 200),
    ],
)  # fmt: skip
def test_refuses_what_graph_refuses(call: Call, path: str, status: int) -> None:
    answer = call(path)
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["code"]


def test_top_may_be_capped_or_ignored(call: Call, faulty_graph: FaultyGraph) -> None:
    for oversize, size in (("cap", 999), ("ignore", 100)):
        faulty_graph.fill(users=1200)
        faulty_graph.users.oversize = oversize
        assert len(call("/users?$top=5000").json()["value"]) == size


def test_consistency_level_is_needed_on_each_page(call: Call) -> None:
    page = call("/users?$count=true&$top=10", headers=EVENTUAL).json()
    assert page["@odata.count"] == 250
    assert call(page["@odata.nextLink"]).status_code == 400
    second = call(page["@odata.nextLink"], headers=EVENTUAL).json()
    assert len(second["value"]) == 10 and "@odata.count" not in second
    assert call("/users/$count", headers=EVENTUAL).text == "250"
    assert rows(call, '/users?$search="displayName:ada"&$top=9', headers=EVENTUAL)


@pytest.mark.parametrize("name", NAMES)
def test_echo_tells_what_arrived(call: Call, name: str, faulty_graph: FaultyGraph) -> None:
    encoded = quote(name, safe="")
    answer = call(f"/echo/{encoded}/tail?$filter={encoded}").json()
    assert answer["segments"] == [name, "tail"]
    assert answer["query"] == [["$filter", name]]
    assert faulty_graph.requests[0].target.startswith(f"/v1.0/echo/{encoded}/".encode())


def test_tokens(faulty_graph: FaultyGraph, call: Call, session: requests.Session) -> None:
    faulty_graph.tokens = {"good"}
    url = f"{faulty_graph.root}/v1.0/me"
    assert session.get(url, timeout=5).status_code == 401
    assert call("/me").json()["error"]["code"] == "InvalidAuthenticationToken"
    assert call("/me", headers={"Authorization": "Bearer good"}).status_code == 200
    assert not faulty_graph.leaks
    session.get(f"{faulty_graph.elsewhere.root}/?t=good", timeout=5)
    session.get(f"{faulty_graph.insecure.root}/", headers={"Authorization": "x"}, timeout=5)
    assert len(faulty_graph.leaks) == 2


RESPONSES = [
    (replies.throttled("1.5"), 429, lambda a: a.headers["Retry-After"] == "1.5"),
    (replies.throttled(status=503), 503, lambda a: "Retry-After" not in a.headers),
    (replies.proxy_page(200), 200, lambda a: a.text.startswith("<!DOCTYPE")),
    (Reply(200, b""), 200, lambda a: a.content == b""),
    (Reply(204), 204, lambda a: a.content == b"" and "Content-Length" not in a.headers),
    (replies.forbidden("User.Read.All"), 403, lambda a: "User.Read.All" in a.text),
    (replies.redirect("https://x.example/"), 302, lambda a: a.headers["Location"]),
    (changes.gzipped, 200, lambda a: a.headers["Content-Encoding"] and len(a.json()["value"])),
    (changes.chunked, 200, lambda a: a.headers["Transfer-Encoding"] and a.json()["value"]),
    (changes.with_bom, 200, lambda a: a.content[:3] == b"\xef\xbb\xbf"),
    (changes.truncated(0.5), 200, lambda a: a.content[-1:] != b"}"),
    (changes.null_value, 200, lambda a: a.json()["value"] is None),
    (changes.without_value, 200, lambda a: "value" not in a.json()),
    (changes.empty_page, 200, lambda a: a.json()["value"] == [] and changes.NEXT in a.json()),
    (changes.without_link, 200, lambda a: changes.NEXT not in a.json()),
    (changes.with_link(None), 200, lambda a: a.json()[changes.NEXT] is None),
    (changes.self_link, 200, lambda a: a.json()[changes.NEXT] == a.url),
    (changes.relative_link, 200, lambda a: a.json()[changes.NEXT].startswith("/v1.0/users?")),
    (changes.changed_link("https:", "http:"), 200, lambda a: "http://" in a.text),
]


@pytest.mark.parametrize(("answer", "status", "holds"), RESPONSES)
def test_faults(
    faulty_graph: FaultyGraph, call: Call, answer: Any, status: int, holds: Any
) -> None:
    fault = faulty_graph.fail("GET", "/v1.0/users", on=2, answer=answer)
    assert call("/users").json()["value"]
    wrong = call("/users")
    assert wrong.status_code == status and holds(wrong)
    assert call("/users").json()["value"]
    assert len(fault.hits) == 1


@pytest.mark.parametrize(
    "answer",
    [replies.cut(), changes.lost, changes.cut_at(0.5), changes.wrong_length(9)],
)
def test_cut_connections(faulty_graph: FaultyGraph, call: Call, answer: Any) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=1, answer=answer)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        call("/me")
    assert call("/me").status_code == 200


@pytest.mark.parametrize(("answer", "effect"), [(replies.cut(), False), (changes.lost, True)])
def test_a_lost_response_may_have_an_effect(
    faulty_graph: FaultyGraph, call: Call, answer: Any, effect: bool
) -> None:
    faulty_graph.fail("PATCH", "/v1.0/me", answer=answer)
    with pytest.raises(requests.ConnectionError):
        call("/me", "PATCH", json={"jobTitle": "changed"})
    assert (call("/me").json()["jobTitle"] == "changed") == effect


def test_slow_body(faulty_graph: FaultyGraph, call: Call) -> None:
    faulty_graph.fail("GET", "/v1.0/me", answer=changes.sent_as(pace=1.0))
    begun = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        call("/me", timeout=0.1)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("padded", [True, False])
def test_claims_challenge(faulty_graph: FaultyGraph, call: Call, padded: bool) -> None:
    claims = '{"access_token":{"nbf":{"essential":true}}}!'
    faulty_graph.fail("GET", "/v1.0/me", answer=replies.claims_challenge(claims, padded=padded))
    header = call("/me").headers["WWW-Authenticate"]
    sent = re.search(r'claims="([^"]+)"', header)
    assert sent and sent[1].endswith("=") == padded
    assert base64.b64decode(sent[1] + "==") == claims.encode()


def test_too_early_repeats_are_noted(faulty_graph: FaultyGraph, call: Call) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=(1, 2), answer=replies.throttled(0.2))
    for wait in (0, 0, 0.25):
        time.sleep(wait)
        call("/me")
    assert faulty_graph.early == [faulty_graph.requests[1]]


def members(*urls: str, **more: Any) -> dict[str, Any]:
    made = [{"id": str(at), "method": "GET", "url": url} for at, url in enumerate(urls, 1)]
    return {"requests": [{**one, **more} for one in made]}


def test_batch(faulty_graph: FaultyGraph, call: Call) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=2, answer=replies.throttled(2))
    faulty_graph.fail("POST", "/v1.0/$batch", answer=changes.reversed_members)
    body = members("/me", "/me", "/users/nobody", "/users?$top=1", "/me/photo/$value")
    found = call("/$batch", "POST", json=body).json()["responses"]
    assert [(one["id"], one["status"]) for one in found] == [
        ("5", 200), ("4", 200), ("3", 404), ("2", 429), ("1", 200)
    ]  # fmt: skip
    assert found[3]["headers"]["Retry-After"] == "2"
    assert changes.NEXT in found[1]["body"]
    assert base64.b64decode(found[0]["body"])
    assert len(faulty_graph.members) == 5 and len(faulty_graph.requests) == 1


def test_failed_dependencies(call: Call) -> None:
    body = members("/me", "/users/nobody", "/me")
    for one, need in zip(body["requests"][1:], ("1", "2"), strict=True):
        one["dependsOn"] = [need]
    found = call("/$batch", "POST", json=body).json()["responses"]
    assert [one["status"] for one in found] == [200, 404, 424]


@pytest.mark.parametrize(
    "body",
    [
        members(*["/me"] * 21),
        members("/me", "/me", id="1"),
        members("/me", id=1),
        members(""),
        members("https://graph.microsoft.com/v1.0/me"),
        members("/me", method="POST", body={}),
        members("/me", dependsOn=["9"]),
        members(),
        {"requests": None},
    ],
)
def test_wrong_batches_are_refused(call: Call, body: Any) -> None:
    assert call("/$batch", "POST", json=body).status_code == 400
    assert call("/$batch", "POST", data=json.dumps(members("/me"))).status_code == 400


@pytest.mark.parametrize(
    ("change", "ids"),
    [
        (changes.missing_member("1"), "2"),
        (changes.duplicate_member("1"), "121"),
        (changes.unknown_member("7"), "127"),
        (changes.base64_member("1"), "12"),
    ],
)
def test_wrong_batch_responses(
    faulty_graph: FaultyGraph, call: Call, change: Any, ids: str
) -> None:
    faulty_graph.fail("POST", "/v1.0/$batch", answer=change)
    found = call("/$batch", "POST", json=members("/me", "/me")).json()["responses"]
    assert "".join(one["id"] for one in found) == ids
    assert isinstance(found[0]["body"], str) == (ids == "12")


def changes_since(call: Call, link: str) -> tuple[list[dict[str, Any]], str]:
    found = []
    while True:
        page = call(link).json()
        found += page["value"]
        if changes.DELTA in page:
            return found, page[changes.DELTA]
        link = page[changes.NEXT]


def test_delta(faulty_graph: FaultyGraph, call: Call) -> None:
    users = faulty_graph.users
    users.replay = True
    found, link = changes_since(call, "/users/delta?$select=displayName")
    assert len(found) == 252 and set(found[0]) == {"id", "displayName"}
    one, two, *_ = users.rows
    users.change(one, displayName="New")
    users.remove(two)
    found, link = changes_since(call, link)
    assert found == [
        {"displayName": "New", "id": one},
        {"id": two, "@removed": {"reason": "deleted"}},
    ]
    assert changes_since(call, link)[0] == []
    fresh = f"{faulty_graph.root}/v1.0/users/delta"
    faulty_graph.fail("GET", "/v1.0/users/delta", on=1, answer=replies.gone(fresh))
    faulty_graph.fail("GET", "/v1.0/users/delta", on=1, answer=replies.lost_state())
    assert (call(link).status_code, call(link).status_code) == (410, 400)
    assert call(link.replace("/users/delta", "/me/messages/delta")).status_code == 400


CONTENT = bytes(range(251)) * (4 * UNIT // 251)
PATH = "/me/drive/root:/a%20%23.bin:"


def put(session: requests.Session, url: str, start: int, size: int, **headers: str) -> int:
    part = CONTENT[start : start + size]
    span = f"bytes {start}-{start + len(part) - 1}/{len(CONTENT)}"
    headers = {"Content-Range": span, **headers}
    return session.put(url, data=part, headers=headers, timeout=10).status_code


def test_upload_session(faulty_graph: FaultyGraph, call: Call, session: requests.Session) -> None:
    url = call(PATH + "/createUploadSession", "POST").json()["uploadUrl"]
    assert put(session, url, 0, UNIT - 1) == 400
    assert put(session, url, UNIT, UNIT) == 416
    assert put(session, url, 0, UNIT) == 202
    assert put(session, url, 0, UNIT) == 416
    assert put(session, url, UNIT, UNIT, Authorization="Bearer x") == 401
    assert faulty_graph.leaks
    total = {"Content-Range": f"bytes {UNIT}-{2 * UNIT - 1}/9999999"}
    part = session.put(url, data=CONTENT[UNIT : 2 * UNIT], headers=total, timeout=5)
    assert part.status_code == 400
    faulty_graph.drive.cut_uploads_at = 0.37
    with pytest.raises(requests.ConnectionError):
        put(session, url, UNIT, 2 * UNIT)
    assert session.get(url, timeout=5).json()["nextExpectedRanges"] == [f"{UNIT}-"]
    assert put(session, url, UNIT, 2 * UNIT) == 202
    assert put(session, url, 3 * UNIT, UNIT) == 201
    kept = faulty_graph.drive.files["a #.bin"]
    assert kept.content == CONTENT
    assert call(PATH + "/createUploadSession", "POST").status_code == 409
    again = call("/me/drive/root:/b:/createUploadSession", "POST").json()["uploadUrl"]
    faulty_graph.drive.expire()
    assert put(session, again, 0, UNIT) == 404
    assert call("/me/drive/root:/c:/content", "PUT", data=b"c").status_code == 201
    assert call("/me/drive/root:/c:/content", "PUT", data=b"d").status_code == 200


def test_download(faulty_graph: FaultyGraph, call: Call, session: requests.Session) -> None:
    file = faulty_graph.drive.put("d/a b.bin", CONTENT)
    answer = call(f"/me/drive/items/{quote(file.ident, safe='')}/content")
    assert answer.status_code == 302
    url = answer.headers["Location"]
    assert url.startswith(faulty_graph.storage.root)
    assert call(url).status_code == 401 and faulty_graph.leaks
    faulty_graph.fail("GET", "/download/*", on=2, answer=changes.cut_at(0.5))
    whole = session.get(url, timeout=10)
    assert whole.content == CONTENT
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        _ = session.get(url, timeout=10).content
    asked = {"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}
    rest = session.get(url, headers=asked, timeout=10)
    assert rest.status_code == 206 and rest.content == CONTENT[100:]
    changed = session.get(url, headers={**asked, "If-Range": '"x"'}, timeout=10)
    assert changed.status_code == 200 and changed.content == CONTENT
    beyond = session.get(url, headers={"Range": "bytes=99999999-"}, timeout=10)
    assert beyond.status_code == 416
    item = call("/me/drive/root:/d/a%20b.bin").json()
    assert item["file"]["hashes"]["sha256Hash"] == hashlib.sha256(CONTENT).hexdigest().upper()


def test_a_process_for_benchmarks() -> None:
    command = [sys.executable, "-m", "tests.harness.faulty_graph", "--plain", "--users", "9"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdin
        url = json.loads(process.stdout.readline())["url"]
        headers = {"Authorization": "Bearer any"}
        assert (
            len(requests.get(url + "/v1.0/users", headers=headers, timeout=5).json()["value"]) == 9
        )
        process.stdin.close()
        assert process.wait(10) == 0
