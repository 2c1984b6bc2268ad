"""The client of Graph against the local Graph of the demo, as the tour uses it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from nbauth.core.errors import GraphError
from nbauth.demo.mailbox import COUNT
from nbauth.demo.servers import Demo
from nbauth.demo.tour import approve
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.msgraph.client import Graph, current
from tests.interop.peers import assert_plain, new_session, until

SCOPES = ("User.ReadWrite.All", "Mail.Read", "Files.ReadWrite")


@pytest.fixture
def session(demo: Demo) -> Iterator[Session]:
    host = urlsplit(demo.graph_url).netloc
    made = new_session(
        authority=demo.authority,
        client_id=demo.client_id,
        verify=demo.ca_file,
        graph_url=demo.environment()["NBAUTH_GRAPH_URL"],
        hosts={host: SCOPES},
    )
    sign_in = made.login(*SCOPES, flow="device", background=True)
    assert isinstance(sign_in, SignIn)
    store = demo.provider.store
    until(store.pending_devices)
    approve(demo, store.pending_devices()[0])
    sign_in.wait(10)
    yield made
    for pending in made.pending():
        pending.cancel()


@pytest.fixture
def graph(session: Session) -> Graph:
    return current(session)


def test_reading(graph: Graph, demo: Demo) -> None:
    assert graph.get("me")["userPrincipalName"] == demo.user
    names = [row["userPrincipalName"] for row in graph.list("users", top=60)]
    assert len(names) == len(set(names)) == 250
    frame = graph.df("me/messages", select=["receivedDateTime", "from"], top=100)
    assert len(frame) >= COUNT
    assert str(frame["receivedDateTime"].dt.tz) == "UTC"
    assert frame["from.emailAddress.name"].nunique() > 6
    newest = graph.df("users", select=["city", "createdDateTime"], orderby="createdDateTime desc")
    assert list(newest.columns) == ["city", "createdDateTime"]


def test_advanced_queries(graph: Graph) -> None:
    """The client adds what Graph requires, on every page."""
    assert graph.get("users/$count") == 250
    assert len(list(graph.list("users", filter="surname ne 'Demo'", top=50))) == 248
    assert len(list(graph.list("users", search='"displayName:ada"'))) == 1
    found = graph.list("users", filter="surname eq 'Demo'", orderby="displayName desc", top=1)
    assert [row["givenName"] for row in found] == ["Grace", "Ada"]


def test_changes(graph: Graph, demo: Demo) -> None:
    path = ["users", demo.second_user]
    city = graph.get(path, select=["city"])["city"]
    assert graph.patch(path, {"city": "Bergen"}) is None
    assert graph.get(path, select=["city"])["city"] == "Bergen"
    graph.patch(path, {"city": city})


def test_a_file(graph: Graph, http: requests.Session) -> None:
    """Its address of another host needs no token."""
    name = "100% é#1.bin"
    graph.put(["me", "drive", "root:", f"{name}:", "content"], b"\x00\x01 content")
    row = next(row for row in graph.list("me/drive/root/children") if row["name"] == name)
    assert http.get(row["@microsoft.graph.downloadUrl"], timeout=5).content == b"\x00\x01 content"
    graph.delete(["me", "drive", "items", row["id"]])


def test_errors(graph: Graph) -> None:
    for path, status, code in (
        ("users/nobody", 404, "Request_ResourceNotFound"),
        ("me/chats", 403, "Forbidden"),
        ("users?$filter=nothing eq 1", 400, "BadRequest"),
    ):
        with pytest.raises(GraphError) as refused:
            graph.get(path)
        assert (refused.value.status, refused.value.code) == (status, code)
        assert refused.value.correlation_id
        assert_plain(refused.value, 800)


def test_delta_upload_and_download(graph: Graph, demo: Demo) -> None:
    first = graph.delta("users/delta", select=["displayName", "city"])
    assert len(first.rows) == 250 and not first.reset
    city = graph.get(["users", demo.second_user], select=["city"])["city"]
    graph.patch(["users", demo.second_user], {"city": "Tromsø"})
    second = graph.delta("users/delta", first.state)
    assert [row.get("city") for row in second.rows] == ["Tromsø"] and second.removed == {}
    graph.patch(["users", demo.second_user], {"city": city})
    content = bytes(range(256)) * 4096 * 5
    for size in (0, 1000, len(content)):
        item = graph.upload("me/drive/root:/a b/ö#%.bin", content[:size], chunk=2**20)
        assert item["name"] == "ö#%.bin" and item["size"] == size
        assert graph.download("me/drive/root:/a b/ö#%.bin:") == content[:size]
        assert graph.download(f"me/drive/items/{item['id']}/content") == content[:size]
    graph.delete("me/drive/root:/a b/ö#%.bin:")
