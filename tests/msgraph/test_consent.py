"""Graph refuses a request because the token has too few scopes: consent, and the call goes on."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import pytest

from nbauth.core.errors import GraphError
from nbauth.core.interrupted import SignInInterrupted
from nbauth.kernel.calls.missing import includes
from nbauth.msgraph.client import Graph
from nbauth.msgraph.permissions import OTHER_CAUSES
from nbauth.testing.engine import refusal as refused_by_provider
from tests.harness.certificates import Certificates
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply, proxy_page, refusal
from tests.kernel.conftest import Bench
from tests.msgraph.permitting import DENIED, Permitting

MESSAGES = "/v1.0/me/messages"
FILE = "me/drive/root:/f.txt"


@pytest.fixture
def entra(bench: Bench, faulty_graph: FaultyGraph, certificates: Certificates) -> Permitting:
    return Permitting(bench, faulty_graph, certificates)


@pytest.fixture(params=["entra", "another issuer"])
def any_issuer(
    request: pytest.FixtureRequest,
    bench: Bench,
    faulty_graph: FaultyGraph,
    certificates: Certificates,
) -> Permitting:
    return Permitting(bench, faulty_graph, certificates, microsoft=request.param == "entra")


CALLS: dict[str, Any] = {
    "get": lambda graph: graph.get("me/messages")["value"],
    "list": lambda graph: list(graph.list("me/messages", top=20)),
    "df": lambda graph: graph.df("me/messages", to="table"),
    "of a full URL": lambda graph: graph.get(f"{graph.root.address}{MESSAGES}?$top=5")["value"],
    "aio": lambda graph: asyncio.run(graph.aio.get("me/messages"))["value"],
    "pickled": lambda graph: _again(graph).get("me/messages")["value"],
}


def _again(graph: Graph) -> Graph:
    """A copy that a pickled Graph makes, without the process's session."""
    return Graph.of(graph._here, graph.bound, graph.root, pickle.loads(pickle.dumps(graph._hosts)))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_person_consents_and_the_call_goes_on(any_issuer: Permitting, call: Any) -> None:
    """Graph names no scope. The host is that of base_url, which is in no setting."""
    any_issuer.needs("Mail.ReadBasic", MESSAGES)
    assert call(any_issuer.graph)
    (asked,) = any_issuer.asked
    assert asked - {"openid", "profile", "email", "offline_access"} == {
        "User.Read",
        "Mail.ReadBasic",
    }
    assert not any("refused" in line for line in any_issuer.bench.screen.said)
    assert len(any_issuer.local.faults[0].hits) == 1
    assert any_issuer.graph.get("me/messages")["value"]
    assert len(any_issuer.asked) == 1


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize("how", ["list", "df", "aio"])
def test_a_list_goes_on_after_a_refusal_of_any_page(entra: Permitting, page: int, how: str) -> None:
    screen, seen = entra.bench.screen, dict[bytes, int]()
    main = threading.main_thread()  # as in a notebook, other threads cannot ask
    screen.attended = lambda: threading.current_thread() is main  # type: ignore[method-assign]

    def is_late(request: Recorded) -> bool:
        return seen.setdefault(request.target, len(seen) + 1) >= page

    entra.needs("Mail.ReadBasic", MESSAGES, when=is_late)
    rows: list[Any]
    if how == "list":
        rows = list(entra.graph.list("me/messages", top=20))
    elif how == "df":
        rows = entra.graph.df("me/messages", top=20, to="table")
    else:
        rows = asyncio.run(_all(entra.graph))
    assert [row["id"] for row in rows] == list(entra.local.messages.rows)
    assert len(entra.asked) == 1


async def _all(graph: Graph) -> list[Any]:
    return [row async for row in graph.aio.list("me/messages", top=20)]


FILES: dict[str, tuple[str, str, Any]] = {
    "upload": ("PUT", "Files.ReadWrite", lambda graph: graph.upload(f"{FILE}:", b"content")),
    "session": (
        "POST",
        "Files.ReadWrite",
        lambda graph: graph.upload(f"{FILE}:", b"c" * 5_000_000, progress=False),
    ),
    "download": ("GET", "Files.Read", lambda graph: graph.download(f"{FILE}:")),
    "delta": ("GET", "User.ReadBasic.All", lambda graph: graph.delta("users/delta")),
}


@pytest.mark.parametrize(("method", "scope", "call"), FILES.values(), ids=FILES)
def test_files_and_changes_go_on(entra: Permitting, method: str, scope: str, call: Any) -> None:
    entra.graph.upload(f"{FILE}:", b"content")
    path = "/v1.0/me/drive/*" if "Files" in scope else "/v1.0/users/delta"
    entra.needs(scope, path, method=method)
    assert call(entra.graph)
    assert entra.asked == [{"User.Read", scope}]
    assert entra.local.leaks == []


@pytest.mark.parametrize(("method", "scope", "call"), FILES.values(), ids=FILES)
def test_without_a_consent_files_and_changes_say_so(
    entra: Permitting, method: str, scope: str, call: Any
) -> None:
    entra.graph.upload(f"{FILE}:", b"content")
    entra.needs(scope, "/v1.0/*", method=method)
    is_nobody(entra)
    with pytest.raises(GraphError) as caught:
        call(entra.graph)
    assert caught.value.status == 403
    assert f"lacks {scope}." in str(caught.value.hint)


def test_the_body_of_a_post_is_sent_again(entra: Permitting) -> None:
    entra.needs("Mail.Send", "/v1.0/me/sendMail", method="POST")
    mail = {"message": {"subject": "Hello"}}
    assert entra.graph.post("me/sendMail", mail) is None
    first, second = entra.local.requests
    assert first.body == second.body and first.token != second.token
    assert entra.asked == [{"User.Read", "Mail.Send"}]


def declines(entra: Permitting) -> None:
    entra.bench.engine.will("poll_device", *[refused_by_provider("access_denied")] * 9)


def cancels(entra: Permitting) -> None:
    entra.bench.engine.hold("poll_device")
    entra.bench.screen.person = lambda sign_in: sign_in.cancel()


def is_nobody(entra: Permitting) -> None:
    entra.bench.screen.is_attended = False


@pytest.mark.parametrize("person", [declines, cancels, is_nobody])
@pytest.mark.parametrize(
    "call", [CALLS["get"], CALLS["df"], CALLS["aio"]], ids=["get", "df", "aio"]
)
def test_without_a_consent_the_error_says_what_to_do_and_no_second_panel(
    entra: Permitting, person: Any, call: Any
) -> None:
    entra.needs("Mail.ReadBasic", MESSAGES)
    person(entra)
    for _ in range(2):
        with pytest.raises(GraphError) as caught:
            call(entra.graph)
        error = caught.value
        assert (error.status, error.code) == (403, "ErrorAccessDenied")
        assert error.hint == (
            "The token has User.Read. It probably lacks Mail.ReadBasic. Run %login Mail.ReadBasic,"
            " then this cell again."
        )
    assert len(entra.asked) == (person is not is_nobody)
    assert not any("lacks" in line for line in entra.bench.screen.said), "the error says it"


def test_after_the_login_of_the_hint_the_call_works(entra: Permitting) -> None:
    entra.needs("Mail.ReadBasic", MESSAGES)
    is_nobody(entra)
    with pytest.raises(GraphError):
        entra.graph.get("me/messages")
    entra.bench.engine.ungranted.clear()
    entra.bench.sign_in("Mail.ReadBasic")
    assert entra.graph.get("me/messages")["value"]


@pytest.mark.parametrize(
    "has", ["Mail.ReadWrite", "Mail.Read", "Mail.ReadBasic", "Mail.Read.Shared"]
)
def test_a_token_that_has_a_scope_is_not_widened(entra: Permitting, has: str) -> None:
    entra.local.fail("GET", MESSAGES, answer=DENIED)
    entra.bench.sign_in(has)
    with pytest.raises(GraphError) as caught:
        entra.client(has).get("me/messages")
    assert "The token has it: you may lack a role or a licence" in str(caught.value.hint)
    assert entra.asked == []


@pytest.mark.parametrize("path", ["me/unknownThings", "$batch", "x", "", "me/messages/1/what"])
def test_for_an_unknown_path_nothing_is_guessed(entra: Permitting, path: str) -> None:
    entra.local.fail("GET", "/v1.0/*", answer=DENIED)
    with pytest.raises(GraphError) as caught:
        entra.graph.get(path)
    hint = str(caught.value.hint)
    assert "The token has User.Read." in hint and "documentation of the API" in hint
    assert "lacks" not in hint
    assert entra.asked == []


NOT_GRAPHS: dict[str, Reply] = {
    "a page of a proxy": proxy_page(403),
    "no JSON": Reply(403, b"no"),
    "an array": Reply(403, []),
    "no code": Reply(403, {"error": {"message": "no"}}),
    "empty": Reply(403, b""),
    **{code: refusal(403, code, "No.") for code in sorted(OTHER_CAUSES)},
}


@pytest.mark.parametrize("answer", NOT_GRAPHS.values(), ids=NOT_GRAPHS)
def test_a_403_that_has_another_cause_offers_no_consent(entra: Permitting, answer: Reply) -> None:
    entra.local.fail("GET", MESSAGES, answer=answer)
    with pytest.raises(GraphError) as caught:
        entra.graph.get("me/messages")
    assert "lacks" not in str(caught.value.hint)
    assert entra.asked == []


@pytest.mark.parametrize("status", [400, 401, 404])
def test_only_a_403_offers_a_consent(entra: Permitting, status: int) -> None:
    entra.local.fail("GET", MESSAGES, answer=refusal(status, "ErrorAccessDenied", "No."))
    with pytest.raises(GraphError):
        entra.graph.get("me/messages")
    assert entra.asked == []


def test_what_the_response_names_counts_first(entra: Permitting) -> None:
    text = (
        "Missing scope permissions on the request. API requires one of 'Mail.Read, Mail.ReadWrite'"
    )
    entra.needs("Mail.Read", MESSAGES, refusal(403, "Forbidden", text))
    assert entra.graph.get("me/messages")["value"]
    assert entra.asked == [{"User.Read", "Mail.Read"}]


def test_the_host_of_base_url_cannot_choose_scopes(entra: Permitting) -> None:
    """The response names a scope that is not documented for the path."""
    text = "Missing scope permissions on the request. API requires one of 'Directory.ReadWrite.All'"
    entra.local.fail("GET", MESSAGES, answer=refusal(403, "Forbidden", text))
    with pytest.raises(GraphError) as caught:
        entra.graph.get("me/messages")
    assert entra.asked == []
    assert "setting hosts" in str(caught.value.hint)


def test_an_entry_of_the_setting_is_a_limit(entra: Permitting) -> None:
    entra.needs("Mail.ReadBasic", MESSAGES)
    entra.bench.session.configure(hosts={entra.graph.root.place: ["User.Read"]})
    with pytest.raises(GraphError) as caught:
        entra.client("User.Read").get("me/messages")
    assert entra.asked == []
    assert "setting hosts" in str(caught.value.hint)
    entra.bench.session.configure(hosts={entra.graph.root.place: ["User.Read", "Mail.ReadBasic"]})
    assert entra.client("User.Read").get("me/messages")


def test_a_service_identity_is_told_the_application_role(
    bench: Bench, faulty_graph: FaultyGraph, certificates: Certificates
) -> None:
    at = Permitting(bench, faulty_graph, certificates, microsoft=False)
    bench.session.logout(all=True)
    bench.environ["NBAUTH_CLIENT_SECRET"] = "s"
    bench.session.configure(flow="app", client_secret_from="environment")
    faulty_graph.fail("GET", MESSAGES, answer=DENIED)
    with pytest.raises(GraphError) as caught:
        at.client("User.Read").get("me/messages")
    assert "lacks Mail.ReadBasic.All. An administrator has to grant it" in str(caught.value.hint)
    assert at.asked == [] and bench.screen.said == []


def test_an_interrupt_during_the_consent_ends_the_call(entra: Permitting) -> None:
    entra.needs("Mail.ReadBasic", MESSAGES)
    entra.bench.engine.hold("poll_device")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    entra.bench.screen.wait = interrupt  # type: ignore[method-assign]
    with pytest.raises((KeyboardInterrupt, SignInInterrupted)):
        entra.graph.get("me/messages")
    assert len(entra.local.requests) == 1


def test_two_paths_have_two_consents_and_one_token(entra: Permitting) -> None:
    entra.needs("Mail.ReadBasic", MESSAGES)
    entra.needs("Calendars.ReadBasic", "/v1.0/me/events", method="GET")
    entra.local.fail("GET", "/v1.0/me/events", answer=Reply(200, {"value": []}))
    assert entra.graph.get("me/messages")["value"]
    assert entra.graph.get("me/events")["value"] == []
    assert entra.asked[1:] == [{"User.Read", "Mail.ReadBasic", "Calendars.ReadBasic"}]


def test_many_tasks_share_one_consent(entra: Permitting) -> None:
    entra.needs("Mail.ReadBasic", MESSAGES)

    async def many() -> list[Any]:
        return await asyncio.gather(*(entra.graph.aio.get("me/messages") for _ in range(5)))

    assert all(one["value"] for one in asyncio.run(many()))
    assert len(entra.asked) == 1


def test_many_tasks_share_one_refusal(entra: Permitting) -> None:
    """Also those that find out that they need the person when the panel has just been closed."""
    entra.needs("Mail.ReadBasic", MESSAGES)
    declines(entra)

    async def many() -> list[Any]:
        calls = [entra.graph.aio.get("me/messages") for _ in range(25)]
        batches = [entra.graph.aio.get_many(["me/messages", "me"]) for _ in range(25)]
        return await asyncio.gather(*calls, *batches, return_exceptions=True)

    found = asyncio.run(many())
    assert {error.status for error in found[:25]} == {403}
    assert {(first.status, second.status) for first, second in found[25:]} == {(403, 200)}
    assert len(entra.asked) == 1


# ── batches ─────────────────────────────────────────────────────────────────────────────────


def test_a_batch_has_one_consent_for_all_and_only_refused_members_are_sent_again(
    entra: Permitting,
) -> None:
    entra.needs("Mail.ReadBasic", MESSAGES)
    entra.needs("Calendars.ReadBasic", "/v1.0/me/events")
    entra.local.fail("GET", "/v1.0/me/events", answer=Reply(200, {"value": []}))
    paths = ["me", "me/messages", "me/events", "me/nothing", *["me/messages?$top=5"] * 40]
    items = entra.graph.get_many(paths, width=2)
    assert [item.status for item in items] == [200, 200, 200, 404, *[200] * 40]
    messages = list(entra.local.messages.rows)
    assert all([row["id"] for row in item.body["value"]] == messages for item in items[4:])
    assert entra.asked == [{"User.Read", "Mail.ReadBasic", "Calendars.ReadBasic"}]
    sent = [member.target for member in entra.local.members]
    assert sent.count(b"/v1.0/me") == sent.count(b"/v1.0/me/nothing") == 1
    assert sent.count(b"/v1.0/me/events") == 2
    assert not any("refused" in line for line in entra.bench.screen.said)


def test_what_depends_on_a_refused_member_is_sent_after_the_consent(entra: Permitting) -> None:
    entra.needs("Mail.ReadBasic", MESSAGES)
    path = "me/messages?$top=60"
    chain: list[Any] = [path, *({"path": "me", "depends_on": at} for at in range(3))]
    items = entra.graph.batch([*chain, "me"])
    assert [item.status for item in items] == [200] * 5
    assert [member.path for member in entra.local.members].count("/v1.0/me") == 4
    assert len(entra.asked) == 1


def test_a_refused_page_of_a_collection_goes_on(entra: Permitting) -> None:
    entra.needs("Mail.ReadBasic", MESSAGES, when=lambda one: b"skiptoken" in one.target)
    (item,) = entra.graph.get_many(["me/messages?$top=20"])
    assert [row["id"] for row in item.body["value"]] == list(entra.local.messages.rows)
    assert len(entra.asked) == 1


@pytest.mark.parametrize("person", [declines, cancels, is_nobody])
def test_without_a_consent_each_refused_member_has_the_error(
    entra: Permitting, person: Any
) -> None:
    entra.needs("Mail.ReadBasic", MESSAGES)
    person(entra)
    for _ in range(2):
        items = entra.graph.get_many(["me", *["me/messages"] * 30])
        assert [item.ok for item in items] == [True, *[False] * 30]
        for item in items[1:]:
            assert "lacks Mail.ReadBasic. Run %login Mail.ReadBasic" in str(item.error.hint)
    assert len(entra.asked) == (person is not is_nobody)
    assert len(entra.local.members) == 62


def test_members_that_stay_refused_are_sent_twice(entra: Permitting) -> None:
    entra.local.fail("GET", MESSAGES, answer=DENIED)
    items = entra.graph.get_many(["me/messages"] * 3)
    assert [item.status for item in items] == [403] * 3
    assert len(entra.local.members) == 6
    assert entra.asked == [], "it was consented to before"


def test_a_scope_that_includes_the_others_is_enough() -> None:
    assert includes("Mail.ReadWrite", "Mail.ReadBasic")
    assert includes("https://graph.microsoft.com/User.Read.All", "User.Read")
    for one, other in [
        ("Mail.ReadBasic", "Mail.Read"),
        ("User.Read", "User.Read.All"),
        ("Mail.Send", "Mail.Read"),
        ("Mail.Read", "Mail.Send"),
        ("Sites.Selected", "Sites.Read.All"),
        ("Files.ReadWrite", "Sites.ReadWrite"),
        ("openid", "profile"),
        ("Mail", "Mail.Read"),
    ]:
        assert not includes(one, other), (one, other)
