"""The local Graph of these tests: what it serves, refuses and records."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.harness.certificates import Certificates
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.msgraph.conftest import Call

EVENTUAL = {"ConsistencyLevel": "eventual"}
NAMES = ["O'Brien", "100%", "#", "a+b", "🙂", "x/y", "é ü", "%2F", "?&=", "..;"]


def rows(plain_call: Call, path: str, **options: Any) -> list[dict[str, Any]]:
    """All rows, as a careful client reads them."""
    found, link = [], path
    while link:
        page = plain_call(link, **options).json()
        found += page["value"]
        link = page.get("@odata.nextLink")
    return found


def test_pages_are_complete_and_their_tokens_opaque(
    plain_call: Call, faulty_graph: FaultyGraph
) -> None:
    found = rows(plain_call, "/users?$top=99&$select=id,displayName")
    assert [row["id"] for row in found] == list(faulty_graph.users.rows)
    assert set(found[0]) == {"id", "displayName"}
    assert len(rows(plain_call, "/me/messages")) == 60
    assert len(rows(plain_call, "/users?$filter=surname eq 'O''Brien'")) == 42
    link = plain_call("/users").json()["@odata.nextLink"]
    assert len(plain_call("/users").json()["value"][0]) == 11
    assert plain_call(link.replace("%2B", "+")).status_code == 400
    assert plain_call(link + "&$skiptoken=x").status_code == 400


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
def test_refuses_what_graph_refuses(plain_call: Call, path: str, status: int) -> None:
    answer = plain_call(path)
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["code"]


def test_top_may_be_capped_or_ignored(plain_call: Call, faulty_graph: FaultyGraph) -> None:
    for oversize, size in (("cap", 999), ("ignore", 100)):
        faulty_graph.fill(users=1200)
        faulty_graph.users.oversize = oversize
        assert len(plain_call("/users?$top=5000").json()["value"]) == size


def test_consistency_level_is_needed_on_each_page(plain_call: Call) -> None:
    page = plain_call("/users?$count=true&$top=10", headers=EVENTUAL).json()
    assert page["@odata.count"] == 250
    assert plain_call(page["@odata.nextLink"]).status_code == 400
    second = plain_call(page["@odata.nextLink"], headers=EVENTUAL).json()
    assert len(second["value"]) == 10 and "@odata.count" not in second
    assert plain_call("/users/$count", headers=EVENTUAL).text == "250"
    assert rows(plain_call, '/users?$search="displayName:ada"&$top=9', headers=EVENTUAL)


@pytest.mark.parametrize("name", NAMES)
def test_echo_tells_what_arrived(plain_call: Call, name: str, faulty_graph: FaultyGraph) -> None:
    encoded = quote(name, safe="")
    answer = plain_call(f"/echo/{encoded}/tail?$filter={encoded}").json()
    assert answer["segments"] == [name, "tail"]
    assert answer["query"] == [["$filter", name]]
    assert faulty_graph.requests[0].target.startswith(f"/v1.0/echo/{encoded}/".encode())


def test_tokens(
    faulty_graph: FaultyGraph, plain_call: Call, plain_session: requests.Session
) -> None:
    faulty_graph.tokens = {"good"}
    url = f"{faulty_graph.root}/v1.0/me"
    assert plain_session.get(url, timeout=5).status_code == 401
    assert plain_call("/me").json()["error"]["code"] == "InvalidAuthenticationToken"
    assert plain_call("/me", headers={"Authorization": "Bearer good"}).status_code == 200
    assert not faulty_graph.leaks
    plain_session.get(f"{faulty_graph.elsewhere.root}/?t=good", timeout=5)
    plain_session.get(f"{faulty_graph.insecure.root}/", headers={"Authorization": "x"}, timeout=5)
    assert len(faulty_graph.leaks) == 2


def changes_since(plain_call: Call, link: str) -> tuple[list[dict[str, Any]], str]:
    found = []
    while True:
        page = plain_call(link).json()
        found += page["value"]
        if changes.DELTA in page:
            return found, page[changes.DELTA]
        link = page[changes.NEXT]


def test_delta(faulty_graph: FaultyGraph, plain_call: Call) -> None:
    users = faulty_graph.users
    users.replay = True
    found, link = changes_since(plain_call, "/users/delta?$select=displayName")
    assert len(found) == 252 and set(found[0]) == {"id", "displayName"}
    one, two, *_ = users.rows
    users.change(one, displayName="New")
    users.remove(two)
    found, link = changes_since(plain_call, link)
    assert found == [
        {"displayName": "New", "id": one},
        {"id": two, "@removed": {"reason": "deleted"}},
    ]
    assert changes_since(plain_call, link)[0] == []
    fresh = f"{faulty_graph.root}/v1.0/users/delta"
    faulty_graph.fail("GET", "/v1.0/users/delta", on=1, answer=replies.gone(fresh))
    faulty_graph.fail("GET", "/v1.0/users/delta", on=2, answer=replies.lost_state())
    assert (plain_call(link).status_code, plain_call(link).status_code) == (410, 400)
    assert plain_call(link.replace("/users/delta", "/me/messages/delta")).status_code == 400


def test_it_stops(certificates: Certificates) -> None:
    made = FaultyGraph(certificates, users=1)
    with socket.create_connection(("127.0.0.1", made.graph.port), 5):
        made.stop()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", made.graph.port), 5)


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
