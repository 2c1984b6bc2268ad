"""What a cell with ``%%auth`` leaves: no token in errors, histories and tracebacks.

Other code may have put its own classes, hooks and adapters into requests and httpx.
"""

from __future__ import annotations

import asyncio
import pickle
import re
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
import requests
from IPython.core.ultratb import VerboseTB
from requests.adapters import HTTPAdapter

import nbauth.kernel
from tests.kernel import test_authorised_calls as calls
from tests.kernel.lines import interrupted
from tests.kernel.test_authorised_calls import HTTPX, REQUESTS, WAYS, Web, sent
from tests.oauth.servers import Seen, reply

web = calls.web
nothing_is_left = calls.nothing_is_left
Failed = requests.RequestException, httpx.HTTPError


def all_of(outcome: Any) -> list[Any]:
    """Each request that a response or an error of the caller leads to."""
    found, others = {}, [outcome]
    while others:
        one = others.pop()
        if one is not None and id(one) not in found:
            found[id(one)] = one
            others += [getattr(one, "response", None), *getattr(one, "history", ())]
    return [one.request for one in found.values() if one.request is not None]


def refusing_the_first(then: bytes) -> Any:
    def answer(request: Seen) -> bytes:
        first = request.headers.get("authorization") == "Bearer token-1"
        return reply(401) if first else then

    return answer


def moving(then: bytes) -> Any:
    return lambda request: reply(302, Location="/moved") if request.target == "/" else then


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("way", [refusing_the_first, moving])
def test_an_error_of_a_later_request_has_no_token(web: Web, how: str, way: Any) -> None:
    web.api.answer = way(b"")
    web.old_client.follow_redirects = True
    with web.authorised(), pytest.raises(Failed) as failed:
        if how == "httpx_async":
            asyncio.run(following(web))
        else:
            web.ask(how, web.api.url, **({"follow_redirects": True} if how in HTTPX else {}))
    assert len(sent(web.api)) == 2
    assert failed.value.request is not None
    assert not any("Authorization" in each.headers for each in all_of(failed.value))


async def following(web: Web) -> None:
    async with httpx.AsyncClient(verify=web.context, follow_redirects=True) as client:
        await client.get(web.api.url)


@pytest.mark.parametrize("how", [*REQUESTS, "httpx_function"])
def test_too_many_redirects(web: Web, how: str) -> None:
    web.api.answer = reply(302, Location="/moved")
    with web.authorised(), pytest.raises(Failed) as failed:
        web.ask(how, web.api.url)
    requests_ = [*all_of(failed.value)]
    assert requests_
    assert not any("Authorization" in each.headers for each in requests_)


@pytest.mark.parametrize("how", REQUESTS)
def test_a_repeated_request_that_was_redirected(web: Web, how: str) -> None:
    web.api.answer = refusing_the_first(b"")
    again = web.api.answer
    web.api.answer = lambda request: again(request) or moving(reply())(request)
    with web.authorised():
        response = web.ask(how, web.api.url)
    kept = [*all_of(response)]
    assert len(kept) == 2
    assert not any("Authorization" in each.headers for each in kept)
    assert b"token-" not in pickle.dumps(response)


def raising(response: Any, *_: Any, **__: Any) -> None:
    """A hook as many packages use it."""
    response.raise_for_status()


def test_the_error_of_a_hook_has_no_token(web: Web) -> None:
    web.api.answer = reply(500)
    session = requests.Session()
    session.verify = web.ca
    session.hooks["response"] = [raising]
    client = httpx.Client(verify=web.context, event_hooks={"response": [raising]})
    with web.authorised(), session, client:
        for get in (session.get, client.get):
            with pytest.raises(Failed) as failed:
                get(web.api.url)
            assert not any("Authorization" in each.headers for each in all_of(failed.value))
    assert sent(web.api) == ["Bearer token-1"] * 2


def test_a_hook_that_raises_for_a_401_sees_the_last_response(web: Web) -> None:
    web.api.answer = refusing_the_first(reply())
    with web.authorised(), requests.Session() as session:
        session.verify = web.ca
        session.hooks["response"] = [raising]
        assert session.get(web.api.url).status_code == 200


@pytest.mark.parametrize("how", WAYS)
def test_a_verbose_traceback_shows_no_token(web: Web, how: str) -> None:
    web.api.answer = refusing_the_first(b"")
    with web.authorised():
        try:
            web.ask(how, web.api.url)
        except Failed:
            shown = "".join(VerboseTB().structured_traceback(*sys.exc_info(), tb_offset=0))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    of_tests = re.compile(r"Server\(|Web object")  # the server of the tests keeps what it has seen
    assert "Traceback" in shown
    assert not [
        line for line in shown.splitlines() if "token-" in line and not of_tests.search(line)
    ]


class Refusing(calls.Recording):
    """Refuses the first token, so that each request is repeated."""

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        response: Any = super().send(request)
        first = request.headers.get("Authorization") == "Bearer token-1"
        response.connection, response.status_code = self, 401 if first else 200
        return response


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_an_interrupt_at_any_line_leaves_no_token_in_a_request(library: str) -> None:
    """The caller has built the request and may send it again."""
    kept: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        first = request.headers.get("authorization") == "Bearer token-1"
        return httpx.Response(401 if first else 200)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", Refusing())
    url = "https://graph.microsoft.com/me"

    def act() -> None:
        if library == "httpx":
            kept[:] = [client.build_request("GET", url)]
        else:
            kept[:] = [session.prepare_request(requests.Request("GET", url))]
        with calls.authorised(calls.HOSTS, calls.Tokens()):
            kept.append((client if library == "httpx" else session).send(kept[0]).request)  # type: ignore[attr-defined]

    act()
    assert len(kept) == 2
    lines = 0
    for where in interrupted(act, str(Path(nbauth.kernel.__file__).parent)):
        lines += 1
        assert not any("Authorization" in each.headers for each in kept), where
        assert calls.methods() == calls.OWN, where
    assert lines > 200


# ── other code in the libraries ─────────────────────────────────────────────────────────────


def test_a_subclass_in_place_of_a_class(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """As packages do that cache or trace calls."""
    for library, name in ((requests, "Session"), (httpx, "Client"), (httpx, "AsyncClient")):
        own = getattr(library, name)
        monkeypatch.setattr(library, name, type(f"Traced{name}", (own,), {}))
    with web.authorised():
        for how in WAYS:
            web.ask(how, web.api.url)
        requests.Session().get(web.api.url, verify=web.ca)
        httpx.Client(verify=web.context).get(web.api.url)
    assert sent(web.api) == ["Bearer token-1"] * (len(WAYS) + 2)


def test_a_function_of_httpx_that_is_a_mock(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "request", mock.MagicMock())
    with web.authorised():
        web.old_client.get(web.api.url, auth=None)
        httpx.get(web.api.url, verify=web.context)
    assert sent(web.api) == [None, "Bearer token-1"]


class Twice(requests.Session):
    def send(self, request: Any, **options: Any) -> Any:
        return super().send(super().send(request, **options).request, **options)


class Again(HTTPAdapter):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def send(self, request: Any, **options: Any) -> Any:  # type: ignore[override]
        self.kept += [request, request.copy()]
        super().send(request, **options)
        return super().send(self.kept[-1], **options)


def test_sessions_and_adapters_that_send_twice(web: Web) -> None:
    adapter = Again()
    with web.authorised(), Twice() as twice, requests.Session() as other:
        other.mount("https://", adapter)
        responses = [each.get(web.api.url, verify=web.ca) for each in (twice, other)]
    assert sent(web.api) == ["Bearer token-1"] * 4
    kept = [*adapter.kept, *(each.request for each in responses)]
    assert not any("Authorization" in each.headers for each in kept)
