"""Which account's token goes to which host, while accounts, settings and processes change."""

from __future__ import annotations

import asyncio
import base64
import copy
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    GraphError,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
)
from nbauth.msgraph.client import Graph, current
from nbauth.testing.engine import FakeEngine, unreachable
from nbauth.testing.engine import refusal as refused_by_provider
from tests.harness.certificates import Certificates
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply, refusal
from tests.kernel.conftest import Bench, in_a_thread, until
from tests.msgraph.permitting import Permitting

MESSAGES = "/v1.0/me/messages"


def users(graph: FaultyGraph) -> set[str]:
    """Whose tokens arrived; the fake engine writes the user into them."""
    return {str(request.token).split("-")[1] for request in graph.requests}


def ids(rows: Any) -> list[str]:
    return [row["id"] for row in rows]


@pytest.fixture
def all_ids(faulty_graph: FaultyGraph) -> list[str]:
    return list(faulty_graph.users.rows)


async def listed(graph: Graph, meanwhile: Callable[[], object]) -> list[str]:
    found: list[str] = []
    async for row in graph.aio.list("users", top=10):
        found.append(row["id"])
        if len(found) == 15:
            meanwhile()
    return found


def in_halves(graph: Graph, meanwhile: Callable[[], object]) -> list[str]:
    rows = graph.list("users", top=10)
    found = [next(rows)["id"] for _ in range(15)]
    meanwhile()
    return found + ids(rows)


WAYS: dict[str, Callable[[Graph, Callable[[], object]], list[str]]] = {
    "list": in_halves,
    "aio": lambda graph, meanwhile: asyncio.run(listed(graph, meanwhile)),
}


# ── accounts ────────────────────────────────────────────────────────────────────────────────


def signs_in(bench: Bench) -> None:
    bench.sign_in("read", user="bob")


def switches(bench: Bench) -> None:
    bench.sign_in("read", user="bob")
    bench.session.use("ada@example.com")
    bench.session.use("bob@example.com")


def signs_in_again(bench: Bench) -> None:
    bench.session.logout()
    bench.sign_in("read", user="ada")


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("change", [signs_in, switches, signs_in_again])
def test_an_object_keeps_its_account_in_the_middle_of_a_list(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench, all_ids: list[str], way: Any, change: Any
) -> None:
    assert way(graph, lambda: change(bench)) == all_ids
    graph.get("me")
    assert users(faulty_graph) == {"ada"}


def test_nbauth_graph_is_of_the_current_account(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench
) -> None:
    bench.session.configure(graph_url=faulty_graph.root, hosts={graph.root.place: ["read"]})
    ada = current(bench.session)
    assert current(bench.session) is ada
    bench.sign_in("read", user="bob")
    bob = current(bench.session)
    assert bob is not ada
    for one in (ada, bob, ada):
        one.get("me")
    assert [str(one.token).split("-")[1] for one in faulty_graph.requests] == ["ada", "bob", "ada"]
    bench.session.use("ada@example.com")
    assert current(bench.session) is ada


def test_two_accounts_of_one_name_at_two_clients(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench
) -> None:
    other = FakeEngine(bench.engine.authority, "other", clock=bench.clock.time)
    other._numbers = itertools.count(1000)
    bench.engines[bench.engine.authority.url, "other"] = other
    bench.sign_in("read", client_id="other")
    second = bench.session.bind(client_id="other")
    theirs = Graph.of(bench.session, second, graph.root, graph._hosts)
    one, two = graph.list("users", top=50), theirs.list("users", top=50)
    for rows in (one, two, one, two):
        for _ in range(60):
            next(rows)
        until(lambda: not any(t.name == "nbauth-graph" for t in threading.enumerate()))
        tokens = {str(request.token) for request in faulty_graph.requests}
        assert len(tokens) == 1
        assert (int(tokens.pop().split("-")[2]) >= 1000) == (rows is two)
        faulty_graph.graph.clear()
    bench.session.logout(client_id="other")
    assert len(ids(one)) == 130
    with pytest.raises(NotSignedIn):
        ids(two)


@pytest.mark.parametrize("how", ["list", "df", "aio"])
def test_a_sign_out_in_the_middle_keeps_the_rows(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench, all_ids: list[str], how: str
) -> None:
    bench.screen.is_attended = False

    def leave(reply: Reply, _: Recorded) -> Reply:
        if bench.session.accounts():
            bench.session.logout()
        return reply

    faulty_graph.fail("GET", "/v1.0/users", on=3, answer=leave)
    rows = graph.list("users", top=10)
    found: list[str] = []
    with pytest.raises((NotSignedIn, InteractionRequired)):
        if how == "list":
            for row in rows:
                found.append(row["id"])
        elif how == "df":
            graph.df("users", top=10, to="table")
        else:
            asyncio.run(graph.aio.df("users", top=10, to="table"))
    if how != "list":
        assert graph.partial is not None
        found = ids(graph.partial.rows)
    assert found == all_ids[: len(found)] and len(found) in (30, 40)
    bench.screen.is_attended = True
    bench.sign_in("read")
    rest = rows if how == "list" else graph.list(str(graph.partial and graph.partial.next_link))
    assert found + ids(rest) == all_ids, "it goes on after the sign-in"


# ── the token's life ────────────────────────────────────────────────────────────────────────


def test_a_list_of_25_pages_outlives_many_tokens(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench, all_ids: list[str]
) -> None:
    """Each life: one refresh."""

    def later(reply: Reply, _: Recorded) -> Reply:
        bench.clock.advance(1000)
        return reply

    faulty_graph.fail("GET", "/v1.0/users", each=False, answer=later)
    before = bench.refreshes
    assert ids(graph.list("users", top=10)) == all_ids
    renewed = bench.refreshes - before
    assert 25 * 1000 // 3600 <= renewed <= 25 * 1000 // 3000 + 1
    assert len({request.token for request in faulty_graph.requests}) == renewed + 1


@pytest.mark.parametrize("how", ["df", "aio"])
def test_a_provider_that_cannot_be_reached_keeps_the_rows(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench, all_ids: list[str], how: str
) -> None:
    def later(reply: Reply, _: Recorded) -> Reply:
        bench.clock.advance(4000)
        return reply

    faulty_graph.fail("GET", "/v1.0/users", on=3, answer=later)
    bench.engine.will("refresh", *[unreachable()] * 8)
    with pytest.raises(AuthorityUnreachable):
        if how == "df":
            graph.df("users", top=10, to="table")
        else:
            asyncio.run(graph.aio.df("users", top=10, to="table"))
    assert graph.partial is not None
    found = ids(graph.partial.rows)
    assert found == all_ids[: len(found)] and len(found) in (20, 30)
    bench.engine._script.clear()
    assert found + ids(graph.list(str(graph.partial.next_link))) == all_ids


CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("call", ["get", "list", "get_many", "aio"])
def test_claims_twice_are_two_calls_then_the_person(
    bench: Bench,
    faulty_graph: FaultyGraph,
    certificates: Certificates,
    padded: bool,
    call: str,
) -> None:
    """insufficient_claims twice: the second token does not help either."""
    graph = Permitting(bench, faulty_graph, certificates).graph
    graph.get("me")
    encoded = base64.b64encode(CLAIMS.encode()).decode()
    assert encoded.endswith("=")
    named = encoded if padded else encoded.rstrip("=")
    header = f'Bearer realm="", error="insufficient_claims", claims="{named}"'
    answer = refusal(401, "InvalidAuthenticationToken", "No.", WWW_Authenticate=header)
    method = "POST" if call == "get_many" else "GET"
    fault = faulty_graph.fail(method, "/v1.0/*", answer=answer)
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: graph.get("me"),
        "list": lambda: list(graph.list("users")),
        "get_many": lambda: graph.get_many(["me"]),
        "aio": lambda: asyncio.run(graph.aio.get("me")),
    }
    refreshes = bench.refreshes
    with pytest.raises(NbAuthError) as caught:
        calls[call]()
    assert isinstance(caught.value, GraphError) and caught.value.status == 401
    assert len(fault.hits) == 2
    assert bench.refreshes == refreshes + 1
    assert bench.engine.calls[-1].arguments["claims"] == CLAIMS
    assert "%login" in str(caught.value.hint)


def only_the_main_thread_can_ask(bench: Bench) -> None:
    main = threading.main_thread()
    bench.screen.attended = lambda: threading.current_thread() is main  # type: ignore[method-assign]


@pytest.mark.parametrize("how", ["list", "df", "aio"])
@pytest.mark.parametrize("on", [1, 2, 3])
def test_a_sign_in_that_has_ended_is_renewed_by_the_person_in_the_middle(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench, all_ids: list[str], how: str, on: int
) -> None:
    """The thread that reads ahead cannot ask; the caller's thread does."""
    only_the_main_thread_can_ask(bench)

    def ends(reply: Reply, _: Recorded) -> Reply:
        bench.clock.advance(4000)
        bench.engine.live.clear()
        return reply

    faulty_graph.fail("GET", "/v1.0/users", on=on, answer=ends)
    if how == "list":
        found = ids(graph.list("users", top=50))
    elif how == "df":
        found = ids(graph.df("users", top=50, to="table"))
    else:
        found = ids(asyncio.run(graph.aio.df("users", top=50, to="table")))
    assert found == all_ids
    assert len(dict.fromkeys(bench.screen.shown)) == 1


@pytest.mark.parametrize("call", ["get", "list", "get_many", "aio"])
def test_claims_that_need_the_person(
    bench: Bench, faulty_graph: FaultyGraph, certificates: Certificates, call: str
) -> None:
    graph = Permitting(bench, faulty_graph, certificates).graph
    graph.get("me")
    only_the_main_thread_can_ask(bench)
    encoded = base64.b64encode(CLAIMS.encode()).decode().rstrip("=")
    header = f'Bearer realm="", error="insufficient_claims", claims="{encoded}"'
    answer = refusal(401, "InvalidAuthenticationToken", "No.", WWW_Authenticate=header)
    first = {request.token for request in faulty_graph.requests}
    faulty_graph.fail("*", "/v1.0/*", answer=answer, when=lambda one: one.token in first)
    bench.engine.will("refresh", *[refused_by_provider("interaction_required")] * 4)
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: graph.get("me"),
        "list": lambda: list(graph.list("users")),
        "get_many": lambda: graph.get_many(["me"])[0].body,
        "aio": lambda: asyncio.run(graph.aio.get("me")),
    }
    assert calls[call]()
    shown: list[Any] = list(dict.fromkeys(bench.screen.shown))
    assert [one.request.authorization.claims for one in shown] == [CLAIMS]


# ── settings ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "settings",
    [
        {"graph_url": "https://other.example"},
        {"hosts": {"other.example": ["read"]}},
        {"verify": True},
        {"proxies": {"https": "http://127.0.0.1:1"}},
        {"authority": "https://other.example", "client_id": "x"},
    ],
    ids=str,
)
def test_settings_that_change_in_the_middle_are_for_new_objects(
    graph: Graph, bench: Bench, all_ids: list[str], way: Any, settings: Any
) -> None:
    def change() -> None:
        bench.session.configure(**settings)
        bench.session.new_cell()

    assert way(graph, change) == all_ids


# ── processes and copies ────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("state", ["half read", "a request in flight", "a pause", "an aio task"])
def test_a_forked_child_reads_on(
    graph: Graph, faulty_graph: FaultyGraph, all_ids: list[str], state: str
) -> None:
    opened = threading.Event()

    def hold(reply: Reply, _: Recorded) -> Reply:
        opened.wait(5)
        return reply

    if state == "a request in flight":
        faulty_graph.fail("GET", "/v1.0/users", on=2, answer=hold)
    elif state == "a pause":
        faulty_graph.fail("GET", "/v1.0/users", on=2, answer=replies.throttled(0.3))
    rows = graph.list("users", top=50)
    found = [next(rows)["id"]]
    until(lambda: len(faulty_graph.requests) == 2)

    def child() -> list[str]:
        if state == "an aio task":
            return asyncio.run(listed(graph, lambda: None))
        return found + ids(rows)

    assert _forked(child) == all_ids
    opened.set()
    assert found + ids(rows) == all_ids, "the parent's own list goes on too"


def _forked(call: Callable[[], list[str]]) -> list[str]:
    """The result in a forked child, which is killed after some seconds."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            text = "\n".join(call())
        except BaseException as error:
            text = repr(error)
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    timer = threading.Timer(8, os.kill, (child, signal.SIGKILL))
    timer.start()
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    timer.cancel()
    return text.split("\n")


def test_copies_are_the_same_object(graph: Graph) -> None:
    assert copy.copy(graph) is copy.deepcopy(graph) is graph


# ── hosts ───────────────────────────────────────────────────────────────────────────────────


def _other_spellings(host: str, port: int, other: str) -> Iterator[str]:
    place = f"{host}:{port}"
    yield from (
        f"http://{place}/v1.0/users",
        f"HTTP://{place}/v1.0/users",
        f"https://{other}/v1.0/users",
        f"https://user@{place}/v1.0/users",
        f"https://user:pw@{place}/v1.0/users",
        f"https://{place}@{other}/v1.0/users",
        f"https://{other}\\@{place}/v1.0/users",
        f"https://{place}\\@{other}/v1.0/users",
        f"https://{other}#@{place}/v1.0/users",
        f"https://{other}?@{place}/v1.0/users",
        f"https://{host}:{port + 1}/v1.0/users",
        f"https://{host}/v1.0/users",
        f"https://{host}.:{port}/v1.0/users",
        f"https://{host.replace('.', '%2e')}:{port}/v1.0/users",
        f"https://{host.replace('.', '。')}:{port}/v1.0/users",
        f"https://{host.replace('1', '１')}:{port}/v1.0/users",
        f"https:/{place}/v1.0/users",
        f"https:{place}/v1.0/users",
        f"https:///{place}/v1.0/users",
        f"//{other}/v1.0/users",
        f"///{other}/v1.0/users",
        f"\\\\{other}/v1.0/users",
        f"/\\{other}/v1.0/users",
        f"ftp://{place}/v1.0/users",
        f"file://{place}/v1.0/users",
        f"https://{place} /v1.0/users",
        f"https://{place}\t/v1.0/users",
        f"https://{place}\r\nHost: {other}/v1.0/users",
        f"javascript://{place}/v1.0/users",
    )


@pytest.mark.parametrize("at", range(29))
def test_no_other_spelling_of_an_address_gets_a_token(
    graph: Graph, faulty_graph: FaultyGraph, at: int
) -> None:
    """As a path of a call it goes to this Graph or nowhere; as a link it is refused."""
    host, _, port = graph.root.place.partition(":")
    other = faulty_graph.elsewhere.root.removeprefix("https://")
    url = list(_other_spellings(host, int(port), other))[at]
    faulty_graph.tokens = {graph.bound.get(graph._hosts[graph.root.place]).access_token}  # type: ignore[arg-type]
    for call in (graph.get, lambda url: list(graph.list(url)), lambda url: graph.post(url, {})):
        with pytest.raises((ConfigurationError, GraphError)):
            call(url)
    item = None
    with pytest.raises(ConfigurationError) if "://" in url else _nothing():
        (item,) = graph.get_many([url])
    assert item is None or not item.ok
    faulty_graph.fail("GET", "/v1.0/users", answer=changes.with_link(url))
    with pytest.raises(GraphError) as caught:
        list(graph.list("users"))
    assert caught.value.code == "foreign_link"
    for one in (faulty_graph.elsewhere, faulty_graph.insecure, faulty_graph.storage):
        assert one.requests == [] and one.connections == 0
    assert faulty_graph.leaks == []


class _nothing:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


CALLS: dict[str, Callable[[Graph], Any]] = {
    "get": lambda graph: graph.get("me"),
    "list": lambda graph: list(graph.list("me")),
    "df": lambda graph: graph.df("me", to="table"),
    "post": lambda graph: graph.post("me", {}),
    "patch": lambda graph: graph.patch("me", {}),
    "put": lambda graph: graph.put("me", {}),
    "delete": lambda graph: graph.delete("me"),
    "aio": lambda graph: asyncio.run(graph.aio.get("me")),
    "member": lambda graph: _raised(graph.get_many(["me"])[0].error),
    "batch": lambda graph: graph.get_many(["me"]),
}


def _raised(error: BaseException | None) -> None:
    assert error is not None
    raise error


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("call", CALLS)
def test_no_redirect_is_followed(
    graph: Graph, faulty_graph: FaultyGraph, call: str, status: int
) -> None:
    to = faulty_graph.elsewhere.root
    path = "/v1.0/$batch" if call == "batch" else "/v1.0/me"
    fault = faulty_graph.fail("*", path, answer=replies.redirect(f"{to}/v1.0/me", status))
    with pytest.raises(GraphError) as caught:
        CALLS[call](graph)
    assert (caught.value.code, caught.value.status) == ("redirected", status)
    assert to.removeprefix("https://") in str(caught.value)
    assert len(fault.hits) == 1
    assert faulty_graph.elsewhere.connections == 0


# ── headers of the user ─────────────────────────────────────────────────────────────────────


def test_an_own_authorization_header_is_sent_as_it_is(
    graph: Graph, faulty_graph: FaultyGraph, bench: Bench
) -> None:
    """As with nbauth.session(). A 401 causes no refresh then."""
    mine = {"Authorization": "Bearer my-own"}
    list(graph.list("users", top=100, headers=mine))
    faulty_graph.fail("GET", "/v1.0/me", answer=Reply(401))
    with pytest.raises(GraphError):
        graph.get("me", headers=mine)
    assert {request.token for request in faulty_graph.requests} == {"my-own"}
    assert bench.refreshes == 0


REFUSED = [
    "Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade",
    "Proxy-Authorization", "Expect", "TE", "Trailer",
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_headers_of_the_connection_are_refused(
    graph: Graph, faulty_graph: FaultyGraph, name: str
) -> None:
    given = {name: "evil.example"}
    for call in (
        lambda: graph.get("me", headers=given),
        lambda: graph.list("users", headers=given),
        lambda: graph.post("me", {}, headers=given),
        lambda: graph.get_many(["me"], headers=given),
    ):
        with pytest.raises(ConfigurationError, match=name):
            call()
    assert faulty_graph.requests == []


@pytest.mark.parametrize(
    "given",
    [
        {"X-A": "a\r\nHost: evil"},
        {"X-A\r\nB": "a"},
        {"X A": "b"},
        {"": "b"},
        {"X-A": 5},
        {"X": "\u2028"},
    ],
    ids=repr,
)
def test_headers_that_are_none_are_refused(
    graph: Graph, faulty_graph: FaultyGraph, given: Any
) -> None:
    with pytest.raises(ConfigurationError):
        graph.get("me", headers=given)
    with pytest.raises(ConfigurationError):
        graph.get_many(["me"], headers=given)
    assert faulty_graph.requests == []


def test_threads_of_two_accounts(graph: Graph, faulty_graph: FaultyGraph, bench: Bench) -> None:
    """Each with its own token, while others sign in and out."""
    bench.sign_in("read", user="bob")
    bob = Graph.of(bench.session, bench.session.bind(), graph.root, graph._hosts)
    assert bob.bound.key != graph.bound.key
    wrong: list[Any] = []

    def check(reply: Reply, request: Recorded) -> Reply:
        if request.headers["x-who"] != str(request.token).split("-")[1]:
            wrong.append(request)
        return reply

    faulty_graph.fail("GET", "/v1.0/me", answer=check)

    def calls(one: Graph, who: str) -> int:
        return len([one.get("me", headers={"X-Who": who}) for _ in range(20)])

    started = [in_a_thread(lambda: calls(graph, "ada")) for _ in range(2)]
    started += [in_a_thread(lambda: calls(bob, "bob")) for _ in range(2)]
    for name in ("eve", "ada", "bob", "eve"):
        bench.sign_in("read", user=name)
        time.sleep(0.01)
    for thread, outcome in started:
        thread.join(10)
        assert outcome == [20]
    assert wrong == []
