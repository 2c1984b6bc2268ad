"""A host refuses a token: one refresh, one repetition of that request, and no further refreshes."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from nbauth.core.errors import NbAuthError
from nbauth.kernel.calls import refusals
from nbauth.kernel.calls.refusals import PASS_ON
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import refusal, unreachable
from tests.harness.certificates import Certificates
from tests.kernel.calls import Caller
from tests.kernel.conftest import Bench, until
from tests.oauth.servers import Seen, Server, reply

MANY = 30
HOW = ["requests", "httpx", "httpx_async"]


class Api(Caller):
    """A listed host over TLS, and the session that calls it."""

    def __init__(self, bench: Bench, server: Server, certificates: Certificates) -> None:
        self.bench = bench
        self.server = server
        self.context = ssl.create_default_context(cafile=str(certificates.ca_file))
        self.host = f"127.0.0.1:{server.port}"
        bench.session.configure(
            hosts={self.host: ["read"]}, verify=str(certificates.ca_file), refresh_ahead=False
        )
        bench.sign_in("read", user="ada")
        self.session = bench.session.authorised_session("read")


@pytest.fixture
def api(bench: Bench, certificates: Certificates) -> Iterator[Api]:
    with ExitStack() as stack:
        yield Api(bench, stack.enter_context(Server(certificates)), certificates)


# ── if there is no other token ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("why", ["unreachable", "dead grant", "odd answer"])
def test_many_refusals_without_another_token_cost_one_attempt(
    api: Api, how: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them contacted the provider, or asked the person, again."""
    bench, clock = api.bench, FakeClock()
    monkeypatch.setattr(refusals, "time", clock)
    bench.screen.is_attended = False
    trouble = {
        "unreachable": unreachable(),
        "dead grant": refusal("invalid_grant"),
        "odd answer": refusal("invalid_request"),
    }[why]
    bench.engine.will("refresh", *[trouble] * MANY)
    api.server.answer = reply(401, "")
    codes = set()
    for _ in range(MANY):
        with pytest.raises(NbAuthError) as caught:
            api.call(how)
        codes.add(caught.value.code)
    assert len(codes) == 1
    assert bench.engine.count("refresh") == 1
    clock.advance(PASS_ON + 1)
    with pytest.raises(NbAuthError):
        api.call(how)
    assert bench.engine.count("refresh") == (1 if why == "dead grant" else 2), (
        "a dead grant is dead"
    )
    api.server.answer = reply(200, "")
    assert api.call(how).status_code == 200


@pytest.mark.parametrize("how", HOW)
def test_after_the_next_sign_in_it_is_tried_again(api: Api, how: str) -> None:
    """For a minute the error said that the sign-in is no longer valid."""
    bench = api.bench
    bench.screen.is_attended = False
    bench.engine.will("refresh", refusal("invalid_grant"))
    api.server.answer = reply(401, "")
    with pytest.raises(NbAuthError):
        api.call(how)
    bench.sign_in("read", "write", force=True)
    assert api.call(how).status_code == 401
    assert bench.engine.count("refresh") == 2


# ── limited refreshes ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", HOW)
def test_many_refusals_one_after_the_other_cost_one_refresh(api: Api, how: str) -> None:
    api.server.answer = reply(401, "{}")
    assert {api.call(how).status_code for _ in range(MANY)} == {401}
    assert api.bench.refreshes == 1
    assert len(api.server.seen) == MANY + 1


def test_many_refusals_at_once_cost_one_refresh(api: Api) -> None:
    api.server.answer = reply(401, "{}")
    with ThreadPoolExecutor(MANY) as pool:
        outcomes = list(pool.map(lambda _: api.call("httpx").status_code, range(MANY)))
    assert set(outcomes) == {401}
    assert api.bench.refreshes == 1


def test_after_a_minute_it_is_tried_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(refusals, "time", clock)
    api.server.answer = reply(401, "{}")
    for expected in (1, 2):
        for _ in range(5):
            assert api.call("requests").status_code == 401
        assert api.bench.refreshes == expected
        clock.advance(PASS_ON + 1)
    api.server.answer = reply(200, "{}")
    assert api.call("requests").status_code == 200


def test_a_host_that_accepted_the_new_token_may_refuse_again(api: Api) -> None:
    for expected in (1, 2, 3):
        refused = api.bench.read("read")

        def takes_another(request: Seen, refused: str = refused) -> bytes:
            return reply(401 if request.headers["authorization"].endswith(refused) else 200, "{}")

        api.server.answer = takes_another
        assert api.call("requests").status_code == 200
        assert api.bench.refreshes == expected


def test_one_hosts_refusal_does_not_concern_another(api: Api, certificates: Certificates) -> None:
    with Server(certificates) as other:
        hosts = {api.host: ["read"], f"127.0.0.1:{other.port}": ["read"]}
        api.bench.session.configure(hosts=hosts)
        session = api.bench.session.authorised_session("read")
        api.server.answer = other.answer = reply(401, "{}")
        for server in (api.server, other):
            for _ in range(3):
                session.get(f"https://127.0.0.1:{server.port}/")
        assert api.bench.refreshes == 2


@pytest.mark.parametrize("how", HOW)
def test_a_refusal_after_a_redirect_does_not_concern_the_first_host(api: Api, how: str) -> None:
    """The repeated request was redirected, so the new token had helped."""
    refused: set[str] = set()

    def answer(request: Seen) -> bytes:
        if request.headers["authorization"] in refused:
            return reply(401, "")
        return reply(302, "", Location=f"{other.url}/") if request.target == "/r" else reply()

    api.server.answer = answer
    with Server(answer=reply(401, "")) as other:
        for path, status in (("/r", 401), ("/", 200)):
            refused.add(f"Bearer {api.bench.read('read')}")
            assert api.call(how, path=path).status_code == status
    assert api.bench.refreshes == 2
    assert [seen.headers.get("authorization") for seen in other.seen] == [None]


# ── only the refused request is repeated ────────────────────────────────────────────────────


def moved_then(status: int, target: str = "/done") -> Any:
    """POST / gets a redirect; the target refuses the first token."""
    refused: list[str] = []

    def answer(request: Seen) -> bytes:
        if request.target == "/":
            return reply(status, "", Location=target)
        token = request.headers["authorization"]
        if not refused:
            refused.append(token)
        return reply(401 if token in refused else 200, "{}")

    return answer


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirected_post_is_not_sent_again(api: Api, how: str, status: int) -> None:
    api.server.answer = moved_then(status)
    body = {"data": b"x"} if how == "requests" else {"content": b"x"}
    assert api.call(how, "POST", **body).status_code == 200
    assert [(seen.method, seen.target) for seen in api.server.seen] == [
        ("POST", "/"),
        ("GET", "/done"),
        ("GET", "/done"),
    ]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("status", [307, 308])
def test_a_post_that_was_moved_is_repeated_where_it_was_refused(
    api: Api, how: str, status: int
) -> None:
    api.server.answer = moved_then(status)
    body = {"data": b"x"} if how == "requests" else {"content": b"x"}
    assert api.call(how, "POST", **body).status_code == 200
    sent = [(seen.method, seen.target, seen.body) for seen in api.server.seen]
    assert sent == [("POST", "/", b"x"), ("POST", "/done", b"x"), ("POST", "/done", b"x")]


@pytest.mark.parametrize("how", HOW)
def test_a_post_is_repeated_with_the_same_account(api: Api, how: str) -> None:
    """The current account changes before the first response arrives."""
    bench = api.bench

    def answer(request: Seen) -> bytes:
        if len(api.server.seen) > 1:
            return reply(200, "{}")
        bench.sign_in("read", user="bob", force=True)
        return reply(401, "{}")

    api.server.answer = answer
    body = {"data": b"x"} if how == "requests" else {"content": b"x"}
    assert api.call(how, "POST", **body).status_code == 200
    assert [seen.headers["authorization"].split("-")[1] for seen in api.server.seen] == ["ada"] * 2


# ── the event loop ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("when", ["before the request", "after a 401"])
def test_the_event_loop_goes_on_while_a_token_is_fetched(api: Api, when: str) -> None:
    bench, ticks = api.bench, 0
    if when == "before the request":
        bench.clock.advance(4000)
    else:
        seen: list[int] = []

        def answer(request: Seen) -> bytes:
            seen.append(1)
            return reply(401 if len(seen) == 1 else 200, "{}")

        api.server.answer = answer
    gate = bench.engine.hold("refresh")

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)

    async def ask() -> int:
        beside = asyncio.create_task(tick())
        async with api.client(httpx.AsyncClient) as here:
            asked = asyncio.create_task(here.get(f"https://{api.host}/"))
            while not gate.reached.is_set():
                await asyncio.sleep(0.005)
            before = ticks
            await asyncio.sleep(0.1)
            assert ticks > before + 3, "the event loop was blocked"
            gate.open()
            response = await asked
        beside.cancel()
        return response.status_code

    assert asyncio.run(ask()) == 200


def test_a_sign_in_is_awaited_too(bench: Bench, certificates: Certificates) -> None:
    with Server(certificates) as server:
        host = f"127.0.0.1:{server.port}"
        bench.session.configure(hosts={host: ["read"]})
        auth = bench.session.authorise("read")
        gate = bench.engine.hold("poll_device")
        context = ssl.create_default_context(cafile=str(certificates.ca_file))

        async def ask() -> int:
            async with httpx.AsyncClient(verify=context, auth=auth) as here:
                asked = asyncio.create_task(here.get(f"https://{host}/"))
                while not bench.screen.shown:
                    await asyncio.sleep(0.005)
                gate.open()
                return (await asked).status_code

        assert asyncio.run(ask()) == 200
        assert server.seen[0].headers["authorization"] == "Bearer access-ada-1"
        assert threading.active_count() < 50
        until(lambda: time.monotonic())
