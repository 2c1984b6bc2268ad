"""emulate, a Microsoft Graph that others wrote: what it serves, and the client against it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.kernel.session import Session
from nbauth.msgraph.client import Graph, current
from tests.harness.certificates import Certificates
from tests.interop.foreign.emulate import GRACE, running_emulate
from tests.interop.foreign.form_browser import FormBrowser
from tests.interop.foreign.provider import Foreign
from tests.interop.foreign.suite import forms, session
from tests.interop.peers import assert_plain

__all__ = ["forms", "session"]
pytestmark = pytest.mark.node
NAME = "Grace O'Brien-Müller"
ODD = "a/b#c?d %&+é😀'"


@pytest.fixture(scope="module")
def foreign(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Foreign]:
    with running_emulate(certificates, tmp_path_factory.mktemp("emulate")) as made:
        yield made


@pytest.fixture
def root(foreign: Foreign) -> str:
    return foreign.front.url


@pytest.fixture
def graph(session: Session, foreign: Foreign, forms: FormBrowser, root: str) -> Graph:
    """The client, signed in at the same emulator."""
    session.configure(graph_url=root, hosts={urlsplit(root).netloc: ["User.Read"]})
    session.login("User.Read", web_ui=forms)
    return current(session)


def test_what_it_serves(foreign: Foreign, root: str) -> None:
    """Requests without the client: two resources of Graph, and Graph's error bodies for these."""
    with requests.Session() as http:
        http.verify, http.trust_env = foreign.ca_file, False

        def get(path: str) -> tuple[int, str]:
            answer = http.get(f"{root}/v1.0/{path}", timeout=10)
            return answer.status_code, answer.json().get("error", {}).get("code", "")

        assert get("me") == (401, "InvalidAuthenticationToken")
        assert get("users/nobody") == (404, "Request_ResourceNotFound")
        for path in ("users", "me/messages", "me/drive/root/children"):
            assert get(path) == (404, "")
        batch = http.post(f"{root}/v1.0/$batch", json={"requests": []}, timeout=10)
        assert batch.status_code == 404


def test_get(graph: Graph, root: str) -> None:
    me = graph.get("me")
    assert (me["displayName"], me["mail"]) == (NAME, GRACE)
    assert me["@odata.context"] == f"{root}/v1.0/$metadata#users/$entity"
    for path in (f"users/{me['id']}", ["users", me["id"]], f"{root}/v1.0/users/{me['id']}"):
        assert graph.get(path)["displayName"] == NAME
    assert graph.session.get(f"{root}/v1.0/me", timeout=10).json() == me
    assert graph.get("me", select=["displayName", "mail"]) == me  # it ignores query options


def test_await(graph: Graph) -> None:
    assert asyncio.run(graph.aio.get("me"))["displayName"] == NAME


def test_a_segment_arrives_exactly(graph: Graph) -> None:
    """The emulator repeats the decoded id."""
    with pytest.raises(GraphError) as refused:
        graph.get(["users", ODD])
    error = refused.value
    assert (error.status, error.code) == (404, "Request_ResourceNotFound")
    assert f"Resource '{ODD}' does not exist" in str(error)
    assert_plain(error)


def test_lists_that_are_not_there(graph: Graph) -> None:
    """Its error body for other paths is not Graph's; no rows are given as if all were well."""
    for read in (lambda: list(graph.list("users")), lambda: graph.df("me/messages")):
        with pytest.raises(GraphError) as refused:
            read()
        assert (refused.value.status, refused.value.code) == (404, "http_404")
        assert_plain(refused.value)
    with pytest.raises(GraphError) as one:
        graph.df("me")
    assert one.value.code == "not_a_list"
    assert_plain(one.value)


def test_changes_that_are_not_there(graph: Graph) -> None:
    with pytest.raises(GraphError) as refused:
        graph.post("me/sendMail", {"message": {}})
    assert refused.value.status == 404
    assert_plain(refused.value)


def test_the_token_goes_to_the_emulator_only(graph: Graph, foreign: Foreign) -> None:
    port = urlsplit(foreign.front.url).port
    for other in (f"https://localhost:{port}/v1.0/me", f"http://127.0.0.1:{port}/v1.0/me"):
        with pytest.raises(ConfigurationError):
            graph.get(other)


def test_a_token_is_kept_and_can_be_renewed(
    graph: Graph, session: Session, foreign: Foreign
) -> None:
    assert graph.get("me")["displayName"] == NAME
    before = len(foreign.refreshes())
    assert graph.get("me")["displayName"] == NAME
    assert len(foreign.refreshes()) == before
    session.acquire("User.Read", force_refresh=True, interactive=False)
    assert graph.get("me")["displayName"] == NAME
    assert len(foreign.refreshes()) == before + 1
