"""The local Graph's directory: query options, changes and delta query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from nbauth.demo.servers import Demo

from .steps import tokens

EVENTUAL = {"ConsistencyLevel": "eventual"}


def users(demo: Demo, graph: requests.Session, headers: Any = None, **query: str) -> Any:
    params = {f"${name}": value for name, value in query.items()}
    return graph.get(f"{demo.graph_url}/users", params=params, headers=headers, timeout=5)


def error(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.fixture
def newcomer(demo: Demo, writer: requests.Session) -> Iterator[dict[str, Any]]:
    """A user who is gone after the test."""
    given = {
        "accountEnabled": True,
        "displayName": "New Comer",
        "mailNickname": "new",
        "userPrincipalName": "New.Comer@demo.example",
        "passwordProfile": {"forceChangePasswordNextSignIn": True},
    }
    made = writer.post(f"{demo.graph_url}/users", json=given, timeout=5)
    assert made.status_code == 201
    yield made.json()
    writer.delete(f"{demo.graph_url}/users/{made.json()['id']}", timeout=5)


def test_default_properties_and_select(demo: Demo, graph: requests.Session) -> None:
    row = users(demo, graph, top="1").json()["value"][0]
    assert "department" not in row and row["jobTitle"]
    names = "department,city,country,accountEnabled,createdDateTime"
    row = users(demo, graph, top="1", select=names).json()["value"][0]
    assert list(row) == names.split(",") and None not in row.values()
    assert error(users(demo, graph, select="nothing")) == (400, "BadRequest")
    assert error(users(demo, graph, expand="manager")) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("surname eq 'demo'", 2),
        ("startswith(displayName,'Ada')", 1),
        ("startswith(surname,'A') and department eq 'Finance'", 3),
        ("surname eq 'Demo' or surname eq 'Abara'", 18),
        ("givenName in ('Ada','Grace')", 2),
        ("surname eq 'O''Brien'", 0),
        ("mobilePhone eq null", 250),
        ("createdDateTime lt 2016-01-01", 0),
        ("(surname eq 'Demo') and (accountEnabled eq true)", 2),
    ],
)
def test_filter(demo: Demo, graph: requests.Session, expression: str, count: int) -> None:
    assert len(users(demo, graph, filter=expression, top="999").json()["value"]) == count


@pytest.mark.parametrize(
    "expression",
    ["surname", "surname is 'Demo'", "nothing eq 1", "(surname eq 'Demo'", "size(mail) eq 1", "''"],
)
def test_a_malformed_filter(demo: Demo, graph: requests.Session, expression: str) -> None:
    assert error(users(demo, graph, filter=expression)) == (400, "BadRequest")


def test_a_text_without_quotation_marks(demo: Demo, graph: requests.Session) -> None:
    said = users(demo, graph, filter="surname eq Abara").json()["error"]["message"]
    assert said.endswith("'Abara' is not a literal. Texts are between single quotes.")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"filter": "surname ne 'Demo'"}, 248),
        ({"filter": "not startswith(surname,'Demo')"}, 248),
        ({"filter": "endswith(mail,'demo@demo.example')"}, 2),
        ({"filter": "surname eq 'Demo'", "orderby": "displayName desc"}, 2),
    ],
)
def test_an_advanced_query_needs_header_and_count(
    demo: Demo, graph: requests.Session, query: dict[str, str], count: int
) -> None:
    unsupported = (400, "Request_UnsupportedQuery")
    assert error(users(demo, graph, **query)) == unsupported
    assert error(users(demo, graph, EVENTUAL, **query)) == unsupported
    assert error(users(demo, graph, count="true", **query)) == unsupported
    body = users(demo, graph, EVENTUAL, count="true", **query).json()
    assert body["@odata.count"] == count
    if "orderby" in query:
        assert [row["givenName"] for row in body["value"]] == ["Grace", "Ada"]


def test_the_header_is_needed_on_every_page(demo: Demo, graph: requests.Session) -> None:
    query = {"search": '"displayName:a"', "top": "5"}
    refused = users(demo, graph, **query)
    assert error(refused) == (400, "Request_UnsupportedQuery")
    assert "ConsistencyLevel: eventual" in refused.json()["error"]["message"]
    first = users(demo, graph, EVENTUAL, **query).json()
    assert "@odata.count" not in first
    link = first["@odata.nextLink"]
    assert error(graph.get(link, timeout=5)) == (400, "Request_UnsupportedQuery")
    second = graph.get(link, headers=EVENTUAL, timeout=5).json()["value"]
    assert len(second) == 5 and second[0] not in first["value"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('"displayName:ada"', 1),
        ('"displayName:demo"', 2),
        ('"displayName:demo" AND "givenName:gr"', 1),
        ('"displayName:ada" OR "mail:grace"', 2),
        ('"displayName:nobody"', 0),
    ],
)
def test_search(demo: Demo, graph: requests.Session, text: str, count: int) -> None:
    body = users(demo, graph, EVENTUAL, search=text, count="true").json()
    assert body["@odata.count"] == len(body["value"]) == count


def test_a_malformed_search(demo: Demo, graph: requests.Session) -> None:
    assert error(users(demo, graph, EVENTUAL, search="ada")) == (400, "Request_BadRequest")


def test_count(demo: Demo, graph: requests.Session) -> None:
    """Without the header the option is ignored, and the path segment is an error."""
    assert "@odata.count" not in users(demo, graph, count="true").json()
    first = users(demo, graph, EVENTUAL, count="true").json()
    assert first["@odata.count"] == 250
    assert "@odata.count" not in graph.get(first["@odata.nextLink"], headers=EVENTUAL).json()
    address = f"{demo.graph_url}/users/$count"
    assert error(graph.get(address)) == (400, "Request_BadRequest")
    counted = graph.get(address, headers=EVENTUAL)
    assert counted.text == "250" and counted.headers["Content-Type"].startswith("text/plain")
    few = graph.get(address, headers=EVENTUAL, params={"$filter": "surname ne 'Demo'"})
    assert few.text == "248"


def test_order(demo: Demo, graph: requests.Session) -> None:
    rows = users(demo, graph, orderby="surname desc,givenName", top="999").json()["value"]
    names = [(row["surname"], row["givenName"]) for row in rows]
    assert names == sorted(sorted(names, key=lambda n: n[1]), key=lambda n: n[0], reverse=True)


def test_changes_of_a_user(demo: Demo, writer: requests.Session, newcomer: dict[str, Any]) -> None:
    address = f"{demo.graph_url}/users/{newcomer['id']}"
    assert writer.patch(address, json={"city": "Oslo"}).status_code == 204
    assert writer.get(f"{address}?$select=city").json()["city"] == "Oslo"
    for changes in ({"id": "x"}, {"nothing": 1}):
        assert error(writer.patch(address, json=changes)) == (400, "Request_BadRequest")
    assert error(writer.patch(address, data=b"[]")) == (400, "BadRequest")
    again = {**newcomer, "accountEnabled": True, "mailNickname": "n", "passwordProfile": {}}
    again = {k: v for k, v in again.items() if k not in ("id", "@odata.context")}
    assert error(writer.post(f"{demo.graph_url}/users", json=again)) == (400, "Request_BadRequest")
    assert error(writer.post(f"{demo.graph_url}/users", json={})) == (400, "Request_BadRequest")
    assert writer.delete(address).status_code == 204
    assert error(writer.get(address)) == (404, "Request_ResourceNotFound")


def test_people_who_sign_in_cannot_be_removed(demo: Demo, writer: requests.Session) -> None:
    refused = writer.delete(f"{demo.graph_url}/users/{demo.user}")
    assert error(refused) == (403, "Authorization_RequestDenied")


def test_reading_scopes_change_nothing(demo: Demo, graph: requests.Session) -> None:
    for response in (
        graph.patch(f"{demo.graph_url}/users/{demo.user}", json={"city": "Oslo"}),
        graph.patch(f"{demo.graph_url}/me", json={"city": "Oslo"}),
        graph.post(f"{demo.graph_url}/users", json={}),
        graph.delete(f"{demo.graph_url}/users/{demo.user}"),
    ):
        assert error(response) == (403, "Authorization_RequestDenied")
        assert "User." not in response.text
    assert graph.put(f"{demo.graph_url}/me", json={}).status_code == 405


def round_of(graph: requests.Session, url: str) -> tuple[list[dict[str, Any]], str]:
    """All rows of one round of delta query, and the link to the next round."""
    rows: list[dict[str, Any]] = []
    while True:
        body = graph.get(url, timeout=5).json()
        rows += body["value"]
        if "@odata.deltaLink" in body:
            return rows, body["@odata.deltaLink"]
        url = body["@odata.nextLink"]


def test_delta(demo: Demo, writer: requests.Session, newcomer: dict[str, Any]) -> None:
    whole, link = round_of(writer, f"{demo.graph_url}/users/delta?$select=displayName,city")
    assert len(whole) == 251 and set(whole[0]) == {"displayName", "city", "id"}
    nothing, link = round_of(writer, link)
    assert nothing == []
    address = f"{demo.graph_url}/users/{newcomer['id']}"
    writer.patch(address, json={"jobTitle": "Painter"})  # not among the selected properties
    assert round_of(writer, link)[0] == []
    writer.patch(address, json={"city": "Oslo"})
    writer.patch(address, json={"city": "Bergen"})
    changed, after = round_of(writer, link)
    row = {"displayName": "New Comer", "city": "Bergen", "id": newcomer["id"]}
    assert changed == [row]
    assert round_of(writer, link)[0] == [row]  # a link may be used again
    writer.delete(address)
    removed = {"id": newcomer["id"], "@removed": {"reason": "changed"}}
    assert round_of(writer, after)[0] == [removed]


def test_delta_from_now_on(demo: Demo, writer: requests.Session) -> None:
    url = f"{demo.graph_url}/users/delta?$deltatoken=latest"
    rows, link = round_of(writer, url)
    assert rows == [] and round_of(writer, link)[0] == []
    paged = writer.get(f"{demo.graph_url}/users/delta?$top=7").json()
    assert len(paged["value"]) == 7 and "@odata.deltaLink" not in paged
    assert len(writer.get(paged["@odata.nextLink"]).json()["value"]) == 7


@pytest.mark.parametrize("state", ["unknown", "WzFd", "WyJvdGhlciIsIDAsICIiLCAwXQ=="])
def test_an_unknown_state(demo: Demo, graph: requests.Session, state: str) -> None:
    gone = graph.get(f"{demo.graph_url}/users/delta?$deltatoken={state}")
    assert error(gone) == (410, "syncStateNotFound")
    whole, _ = round_of(graph, gone.headers["Location"])
    assert len(whole) == 250


def test_delta_refuses_other_options(demo: Demo, graph: requests.Session) -> None:
    refused = graph.get(f"{demo.graph_url}/users/delta?$orderby=displayName")
    assert error(refused) == (400, "Request_UnsupportedQuery")


def test_own_profile(demo: Demo, http: requests.Session) -> None:
    http.headers["Authorization"] = f"Bearer {tokens(demo, http, 'User.ReadWrite')['access_token']}"
    for phone in ("+1 555 0100", None):
        changed = http.patch(f"{demo.graph_url}/me", json={"mobilePhone": phone})
        assert changed.status_code == 204
        assert http.get(f"{demo.graph_url}/me").json()["mobilePhone"] == phone
