"""The local Graph: paging, batches, throttling, errors and claims challenges."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
import requests

from nbauth.demo.servers import Demo

from .steps import tokens


def everything(graph: requests.Session, url: str) -> tuple[list[dict[str, Any]], int]:
    rows, pages = [], 0
    while url:
        body = graph.get(url, timeout=5).json()
        rows += body["value"]
        pages += 1
        url = body.get("@odata.nextLink", "")
    return rows, pages


def test_me(demo: Demo, graph: requests.Session) -> None:
    for version in ("v1.0", "beta"):
        url = f"{demo.graph_url.removesuffix('v1.0')}{version}/me"
        assert graph.get(url).json()["displayName"] == "Ada Demo"
    picked = graph.get(f"{demo.graph_url}/me?$select=id,mail").json()
    assert set(picked) == {"@odata.context", "id", "mail"}


def test_paging_is_complete(demo: Demo, graph: requests.Session) -> None:
    rows, pages = everything(graph, f"{demo.graph_url}/users?$top=60&$select=id,mail")
    assert pages == 5 and len(rows) == len({row["id"] for row in rows}) == 250
    assert all(set(row) == {"id", "mail"} for row in rows)
    first = graph.get(f"{demo.graph_url}/users").json()
    assert len(first["value"]) == 100
    assert "@odata.nextLink" not in graph.get(f"{demo.graph_url}/users?$top=250").json()


def test_one_user(demo: Demo, graph: requests.Session) -> None:
    by_name = graph.get(f"{demo.graph_url}/users/grace.demo@demo.example").json()
    assert graph.get(f"{demo.graph_url}/users/{by_name['id']}").json() == by_name
    missing = graph.get(f"{demo.graph_url}/users/nobody")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "Request_ResourceNotFound"
    odd = graph.get(f"{demo.graph_url}/users/a%2Fb%23c%3Fd%25")
    assert odd.status_code == 404 and "'a/b#c?d%'" in odd.json()["error"]["message"]


@pytest.mark.parametrize("path", ["users?$top=0", "users?$top=1000", "users?$top=x", "nothing"])
def test_bad_requests(demo: Demo, graph: requests.Session, path: str) -> None:
    assert graph.get(f"{demo.graph_url}/{path}").status_code == 400


def test_bearer_and_scope(demo: Demo, http: requests.Session) -> None:
    for headers in ({}, {"Authorization": "Bearer made-up"}, {"Authorization": "Basic eDp5"}):
        response = http.get(f"{demo.graph_url}/me", headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "InvalidAuthenticationToken"
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    http.headers["Authorization"] = f"Bearer {tokens(demo, http)['access_token']}"
    assert http.get(f"{demo.graph_url}/me").status_code == 200
    assert http.get(f"{demo.graph_url}/me/messages").status_code == 403
    assert http.get(f"{demo.graph_url}/users").status_code == 403


def test_batch(demo: Demo, graph: requests.Session) -> None:
    items: list[dict[str, Any]] = [
        {"id": "a", "method": "GET", "url": "/me"},
        {"id": "b", "method": "GET", "url": "/users/nobody"},
        {"id": "c", "method": "GET", "url": "/me", "dependsOn": ["b"]},
        {"id": "d", "method": "GET", "url": "users?$top=2"},
        {"id": "e", "method": "GET", "url": "/throttled"},
    ]
    envelope = graph.post(f"{demo.graph_url}/$batch", json={"requests": items})
    assert envelope.status_code == 200
    responses = envelope.json()["responses"]
    assert [item["id"] for item in responses] != [item["id"] for item in items]
    found = {item["id"]: item for item in responses}
    assert {key: item["status"] for key, item in found.items()} == {
        "a": 200,
        "b": 404,
        "c": 424,
        "d": 200,
        "e": 429,
    }
    assert found["e"]["headers"]["Retry-After"] == "1"
    follow = graph.get(found["d"]["body"]["@odata.nextLink"]).json()
    assert len(follow["value"]) == 2


def test_batch_limits(demo: Demo, graph: requests.Session) -> None:
    def post(ids: list[Any]) -> int:
        items = [{"id": key, "method": "GET", "url": "/me"} for key in ids]
        return graph.post(f"{demo.graph_url}/$batch", json={"requests": items}).status_code

    assert post([str(n) for n in range(20)]) == 200
    assert post([str(n) for n in range(21)]) == 400
    assert post(["1", "1"]) == 400
    assert post([1]) == 400
    assert graph.post(f"{demo.graph_url}/$batch", data=b"{").status_code == 400


@pytest.mark.parametrize(
    "member",
    [
        {"id": "1", "method": "GET", "url": "https://graph.example/v1.0/me"},
        {"id": "1", "method": "POST", "url": "/me/sendMail", "body": {}},
        {"id": "1", "method": "GET", "url": "/me", "dependsOn": ["2"]},
        {"id": "1", "url": "/me"},
    ],
    ids=["full URL", "no Content-Type", "unknown dependency", "no method"],
)
def test_a_batch_that_is_refused_as_a_whole(
    demo: Demo, graph: requests.Session, member: dict[str, Any]
) -> None:
    refused = graph.post(f"{demo.graph_url}/$batch", json={"requests": [member]})
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "BadRequest"


def test_batch_members_of_other_kinds(demo: Demo, writer: requests.Session) -> None:
    """Headers and bodies of their own, replies without a body, redirects."""
    writer.put(f"{demo.graph_url}/me/drive/root:/in a batch.txt:/content", data=b"hello")
    first = writer.get(f"{demo.graph_url}/me/messages?$top=1").json()["value"][0]["id"]
    eventual = {"ConsistencyLevel": "eventual"}
    json_type = {"Content-Type": "application/json"}
    items: list[dict[str, Any]] = [
        {"id": "a", "method": "GET", "url": "/users/$count", "headers": eventual},
        {"id": "b", "method": "GET", "url": "/users/$count"},
        {"id": "c", "method": "PATCH", "url": f"/me/messages/{first}", "headers": json_type},
        {"id": "d", "method": "GET", "url": "/me/drive/root:/in%20a%20batch.txt:/content"},
        {"id": "e", "method": "POST", "url": "/$batch", "headers": json_type, "body": {}},
        {"id": "f", "method": "POST", "url": "/me/sendMail", "headers": json_type},
    ]
    items[2]["body"] = {"isRead": True}
    items[5]["body"] = {"message": {"toRecipients": [{"emailAddress": {"address": "x@y.z"}}]}}
    answer = writer.post(f"{demo.graph_url}/$batch", json={"requests": items}).json()
    found = {item["id"]: item for item in answer["responses"]}
    statuses = [found[key]["status"] for key in "abcdef"]
    assert statuses == [200, 400, 200, 302, 400, 202]
    assert found["a"]["body"] == "250" and found["c"]["body"]["isRead"] is True
    assert "body" not in found["d"] and "body" not in found["f"]
    with requests.Session() as plain:
        plain.verify = demo.ca_file
        assert plain.get(found["d"]["headers"]["Location"]).content == b"hello"


def test_throttled_once_a_token(demo: Demo, graph: requests.Session) -> None:
    first = graph.get(f"{demo.graph_url}/throttled")
    assert first.status_code == 429 and first.headers["Retry-After"] == "1"
    assert graph.get(f"{demo.graph_url}/throttled").status_code == 200
    graph.headers["Authorization"] = f"Bearer {tokens(demo, graph)['access_token']}"
    assert graph.get(f"{demo.graph_url}/throttled").status_code == 429


def test_a_refusal_that_names_scopes(demo: Demo, graph: requests.Session) -> None:
    refused = graph.get(f"{demo.graph_url}/me/chats")
    assert refused.status_code == 403
    named = "API requires one of 'Chat.ReadBasic, Chat.Read, Chat.ReadWrite'. Scopes on the request"
    assert named in refused.json()["error"]["message"]
    assert "User.Read" in refused.json()["error"]["message"]


def test_claims_challenge(demo: Demo, graph: requests.Session) -> None:
    refused = graph.get(f"{demo.graph_url}/stepup")
    challenge = refused.headers["WWW-Authenticate"]
    assert refused.status_code == 401 and 'error="insufficient_claims"' in challenge
    encoded = re.search(r'claims="([^"]+)"', challenge)
    assert encoded
    claims = base64.b64decode(encoded[1]).decode()
    assert json.loads(claims)["access_token"]["acrs"]["value"] == "c1"
    capability = json.dumps({"access_token": {"xms_cc": {"values": ["CP1"]}}})
    for asked, status in ((capability, 401), (claims, 200)):
        token = tokens(demo, graph, claims=asked)["access_token"]
        graph.headers["Authorization"] = f"Bearer {token}"
        assert graph.get(f"{demo.graph_url}/stepup").status_code == status
