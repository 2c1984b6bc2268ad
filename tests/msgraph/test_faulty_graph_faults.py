"""The faults of the local Graph of these tests, and its batches."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest
import requests

from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.listener import Recorded
from tests.harness.graph.quota import PERCENTAGE, Quota
from tests.harness.graph.replies import Reply
from tests.msgraph.conftest import Call

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
    faulty_graph: FaultyGraph, plain_call: Call, answer: Any, status: int, holds: Any
) -> None:
    fault = faulty_graph.fail("GET", "/v1.0/users", on=2, answer=answer)
    assert plain_call("/users").json()["value"]
    wrong = plain_call("/users")
    assert wrong.status_code == status and holds(wrong)
    assert plain_call("/users").json()["value"]
    assert len(fault.hits) == 1


@pytest.mark.parametrize(
    "answer",
    [replies.cut(), changes.lost, changes.cut_at(0.5), changes.wrong_length(9)],
)
def test_cut_connections(faulty_graph: FaultyGraph, plain_call: Call, answer: Any) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=1, answer=answer)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        plain_call("/me")
    assert plain_call("/me").status_code == 200


@pytest.mark.parametrize(("answer", "effect"), [(replies.cut(), False), (changes.lost, True)])
def test_a_lost_response_may_have_an_effect(
    faulty_graph: FaultyGraph, plain_call: Call, answer: Any, effect: bool
) -> None:
    faulty_graph.fail("PATCH", "/v1.0/me", answer=answer)
    with pytest.raises(requests.ConnectionError):
        plain_call("/me", "PATCH", json={"jobTitle": "changed"})
    assert (plain_call("/me").json()["jobTitle"] == "changed") == effect


def test_slow_body(faulty_graph: FaultyGraph, plain_call: Call) -> None:
    faulty_graph.fail("GET", "/v1.0/me", answer=changes.sent_as(pace=1.0))
    with pytest.raises(requests.ConnectionError):  # a read timeout within the body
        plain_call("/me", timeout=0.1)


@pytest.mark.parametrize("padded", [True, False])
def test_claims_challenge(faulty_graph: FaultyGraph, plain_call: Call, padded: bool) -> None:
    claims = '{"access_token":{"nbf":{"essential":true}}}!'
    faulty_graph.fail("GET", "/v1.0/me", answer=replies.claims_challenge(claims, padded=padded))
    header = plain_call("/me").headers["WWW-Authenticate"]
    sent = re.search(r'claims="([^"]+)"', header)
    assert sent and sent[1].endswith("=") == padded
    assert base64.b64decode(sent[1] + "==") == claims.encode()


def test_too_early_repeats_are_noted(faulty_graph: FaultyGraph, plain_call: Call) -> None:
    waits: tuple[str | float, ...] = (replies.at_date(60, time.time()), 60, 0.05, 0)
    for number, wait in enumerate(waits, 1):
        faulty_graph.fail("GET", "/v1.0/me", on=number, answer=replies.throttled(wait))
    for _ in range(3):
        plain_call("/me")
    time.sleep(0.06)
    plain_call("/me")
    plain_call("/me")
    assert faulty_graph.early == faulty_graph.requests[1:3]


def test_a_loop_of_two_links(faulty_graph: FaultyGraph, plain_call: Call) -> None:
    first = f"{faulty_graph.root}/v1.0/users"
    faulty_graph.fail("GET", "/v1.0/users", on=(2, 4), answer=changes.with_link(first))
    second = plain_call(first).json()[changes.NEXT]
    assert plain_call(second).json()[changes.NEXT] == first
    assert plain_call(first).json()[changes.NEXT] == second


def test_each_address_is_refused_once(faulty_graph: FaultyGraph, plain_call: Call) -> None:
    faulty_graph.fail("GET", "/v1.0/users/*", on=1, each=True, answer=replies.throttled(0))
    paths = [f"/users/{ident}" for ident in list(faulty_graph.users.rows)[:2]]
    assert [plain_call(path).status_code for path in paths * 2] == [429, 429, 200, 200]


def test_a_quota(faulty_graph: FaultyGraph, plain_call: Call) -> None:
    faulty_graph.quota = Quota(5, 60)
    answers = [plain_call("/users"), plain_call("/users"), plain_call("/users?$select=id&$top=5")]
    assert [answer.headers.get(PERCENTAGE) for answer in answers] == [None, "0.80", "1.00"]
    refused = plain_call("/me")
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) <= 60
    assert faulty_graph.quota.refused == 1


def test_a_quota_has_a_sliding_window() -> None:
    quota = Quota(2, 10)
    moments = (0, 4, 9.5, 11, 21)
    refused = [quota.spend(Recorded("GET", b"/v1.0/me", at=at))[0] for at in moments]
    assert [reply and reply.headers["Retry-After"] for reply in refused] == [
        None, None, "1", "3", None
    ]  # fmt: skip


def members(*urls: str, **more: Any) -> dict[str, Any]:
    made = [{"id": str(at), "method": "GET", "url": url} for at, url in enumerate(urls, 1)]
    return {"requests": [{**one, **more} for one in made]}


def test_batch(faulty_graph: FaultyGraph, plain_call: Call) -> None:
    faulty_graph.fail("GET", "/v1.0/me", on=2, answer=replies.throttled(2))
    faulty_graph.fail("POST", "/v1.0/$batch", answer=changes.reversed_members)
    body = members("/me", "/me", "/users/nobody", "/users?$top=1", "/me/photo/$value")
    found = plain_call("/$batch", "POST", json=body).json()["responses"]
    assert [(one["id"], one["status"]) for one in found] == [
        ("5", 200), ("4", 200), ("3", 404), ("2", 429), ("1", 200)
    ]  # fmt: skip
    assert found[3]["headers"]["Retry-After"] == "2"
    assert changes.NEXT in found[1]["body"]
    assert base64.b64decode(found[0]["body"])
    assert len(faulty_graph.members) == 5 and len(faulty_graph.requests) == 1


def test_failed_dependencies(plain_call: Call) -> None:
    body = members("/me", "/users/nobody", "/me")
    for one, need in zip(body["requests"][1:], ("1", "2"), strict=True):
        one["dependsOn"] = [need]
    found = plain_call("/$batch", "POST", json=body).json()["responses"]
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
def test_wrong_batches_are_refused(plain_call: Call, body: Any) -> None:
    assert plain_call("/$batch", "POST", json=body).status_code == 400
    assert plain_call("/$batch", "POST", data=json.dumps(members("/me"))).status_code == 400


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
    faulty_graph: FaultyGraph, plain_call: Call, change: Any, ids: str
) -> None:
    faulty_graph.fail("POST", "/v1.0/$batch", answer=change)
    found = plain_call("/$batch", "POST", json=members("/me", "/me")).json()["responses"]
    assert "".join(one["id"] for one in found) == ids
    assert isinstance(found[0]["body"], str) == (ids == "12")


def test_a_wrong_script_is_an_error_of_the_test(
    faulty_graph: FaultyGraph, plain_call: Call
) -> None:
    faulty_graph.fail("GET", "/v1.0/me", answer=changes.relative_link)  # it has no next link
    answer = plain_call("/me")
    assert answer.status_code == 500 and "KeyError" in answer.text
    assert [type(error) for error in faulty_graph.errors] == [KeyError]
    faulty_graph.reset()
