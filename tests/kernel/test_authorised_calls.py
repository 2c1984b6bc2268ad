"""Plain calls get tokens while an execution is authorised; other calls and times get none."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import requests
from requests.adapters import BaseAdapter

import nbauth.kernel
from nbauth.core.scopes import Scopes
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls import authorised_calls
from nbauth.kernel.calls.auth_of_execution import _Apart
from nbauth.kernel.calls.execution import Execution, present
from tests.harness.certificates import Certificates
from tests.kernel.lines import interrupted
from tests.kernel.test_authorise import HOSTS, UNLISTED, Bobs, Tokens, auth_for, scope
from tests.oauth.servers import Seen, Server, reply

REPLACED = [
    (threading.Thread, "start"),
    (ThreadPoolExecutor, "submit"),
    (requests.Session, "prepare_request"),
    (requests.Session, "send"),
    (httpx.Client, "send"),
    (httpx.AsyncClient, "send"),
]
OWN = [vars(owner)[name] for owner, name in REPLACED]


def methods() -> list[Any]:
    return [vars(owner)[name] for owner, name in REPLACED]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert methods() == OWN
    assert present() is None


@contextmanager
def authorised(hosts: dict[str, Scopes], tokens: Any = None) -> Iterator[Execution]:
    execution = Execution()
    try:
        authorised_calls.begin(execution, auth_for(hosts, tokens or Tokens()))
        yield execution
    finally:
        try:
            authorised_calls.end(execution)
        except KeyboardInterrupt:
            authorised_calls.end(execution)


class Logging(requests.Session):
    """A subclass that overrides ``send``, as many packages do."""

    def send(self, request: Any, **options: Any) -> Any:
        self.sent = request.url
        return super().send(request, **options)


class Web:
    """Two listed hosts and an unlisted one, and each way to call them without ``auth``."""

    def __init__(self, stack: ExitStack, certificates: Certificates) -> None:
        self.ca = str(certificates.ca_file)
        self.context = ssl.create_default_context(cafile=self.ca)
        self.api = stack.enter_context(Server(certificates))
        self.other = stack.enter_context(Server(certificates))
        self.evil = stack.enter_context(Server(certificates))
        self.tokens = Tokens()
        self.hosts = {
            f"127.0.0.1:{self.api.port}": scope("api"),
            f"127.0.0.1:{self.other.port}": scope("other"),
        }
        self.old = stack.enter_context(requests.Session())
        self.logging = stack.enter_context(Logging())
        self.old_client = stack.enter_context(httpx.Client(verify=self.context))

    def authorised(self, tokens: Any = None) -> Any:
        return authorised(self.hosts, tokens or self.tokens)

    def ask(self, how: str, url: str, method: str = "GET", **options: Any) -> Any:
        return getattr(self, how)(method, url, **options)

    def function(self, method: str, url: str, **options: Any) -> Any:
        return requests.request(method, url, verify=self.ca, **options)

    def session(self, method: str, url: str, **options: Any) -> Any:
        return self.old.request(method, url, verify=self.ca, **options)

    def subclass(self, method: str, url: str, **options: Any) -> Any:
        return self.logging.request(method, url, verify=self.ca, **options)

    def prepared(self, method: str, url: str, **options: Any) -> Any:
        request = requests.Request(method, url, **options).prepare()
        return self.old.send(request, verify=self.ca)

    def httpx_function(self, method: str, url: str, **options: Any) -> Any:
        options.setdefault("follow_redirects", True)
        return httpx.request(method, url, verify=self.context, **options)

    def httpx_stream(self, method: str, url: str, **options: Any) -> Any:
        with httpx.stream(method, url, verify=self.context, **options) as response:
            response.read()
            return response

    def httpx_client(self, method: str, url: str, **options: Any) -> Any:
        return self.old_client.request(method, url, **options)

    def httpx_async(self, method: str, url: str, **options: Any) -> Any:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(verify=self.context) as client:
                return await client.request(method, url, **options)

        return asyncio.run(ask())


@pytest.fixture
def web(certificates: Certificates) -> Iterator[Web]:
    with ExitStack() as stack:
        yield Web(stack, certificates)


REQUESTS = ["function", "session", "subclass", "prepared"]
HTTPX = ["httpx_function", "httpx_stream", "httpx_client", "httpx_async"]
WAYS = [*REQUESTS, *HTTPX]


def sent(server: Server) -> list[str | None]:
    """The ``Authorization`` headers that a server got since it was asked last."""
    headers = [request.headers.get("authorization") for request in server.seen]
    server.seen.clear()
    return headers


# ── which calls ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", WAYS)
def test_a_listed_host_gets_its_token_meanwhile_and_no_other_host(web: Web, how: str) -> None:
    web.ask(how, web.api.url)
    with web.authorised() as execution:
        for server in (web.api, web.other, web.evil):
            assert web.ask(how, server.url).status_code == 200
    web.ask(how, web.api.url)
    assert sent(web.api) == [None, "Bearer token-1", None]
    assert sent(web.other) == ["Bearer token-1"]
    assert sent(web.evil) == [None]
    assert web.tokens.asked == [(("api",), False), (("other",), False)]
    assert execution.sent
    assert list(execution.unlisted) == [f"127.0.0.1:{web.evil.port}"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("body", [None, b"data", b"x" * 70_000])
def test_what_an_unlisted_host_gets_is_the_same_to_the_byte(
    web: Web, how: str, body: bytes | None
) -> None:
    name = "content" if how in HTTPX else "data"
    options = {} if body is None else {name: body}
    headers = {"X-Last": "1", "accept": "text/plain"}
    method = "GET" if body is None else "POST"
    web.ask(how, web.evil.url + "/a?b=c", method, headers=headers, **options)
    with web.authorised():
        web.ask(how, web.evil.url + "/a?b=c", method, headers=headers, **options)
    before, after = web.evil.seen
    assert (after.head, after.body) == (before.head, before.body)


@pytest.mark.parametrize("how", WAYS)
def test_a_listed_host_gets_the_same_request_and_the_header(web: Web, how: str) -> None:
    web.ask(how, web.api.url, headers={"X-Last": "1"})
    with web.authorised():
        web.ask(how, web.api.url, headers={"X-Last": "1"})
    before, after = (request.headers for request in web.api.seen)
    assert after == {**before, "authorization": "Bearer token-1"}


@pytest.mark.parametrize("how", WAYS)
def test_a_401_is_answered_once_with_a_new_token(web: Web, how: str) -> None:
    def refuse(request: Seen) -> bytes:
        return reply(401 if request.headers["authorization"] == "Bearer token-1" else 200)

    web.api.answer = refuse
    with web.authorised():
        response = web.ask(how, web.api.url)
    assert response.status_code == 200
    assert sent(web.api) == ["Bearer token-1", "Bearer token-2"]
    assert "Authorization" not in response.request.headers
    assert all("Authorization" not in each.request.headers for each in response.history)


class InHeader(requests.auth.AuthBase):
    def __call__(self, request: Any) -> Any:
        request.headers["X-Key"] = "key"
        return request


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (("user", "word"), "Basic dXNlcjp3b3Jk"),  # nbauth: allow
        (requests.auth.HTTPDigestAuth("user", "word"), None),
        (InHeader(), None),
        (lambda request: request, None),
    ],
)
@pytest.mark.parametrize("at", ["request", "session"])
def test_requests_with_auth_of_their_own_are_left_alone(
    web: Web, auth: Any, header: str | None, at: str
) -> None:
    web.api.answer = lambda request: (
        reply(302, Location="/moved") if request.target == "/" else reply()
    )
    with web.authorised(), requests.Session() as session:
        session.verify, session.trust_env = web.ca, False
        if at == "session":
            session.auth, auth = auth, None
        session.get(web.api.url, auth=auth)
    assert sent(web.api) == [header, header]
    assert web.tokens.asked == []


@pytest.mark.parametrize("how", WAYS)
def test_a_header_of_the_caller_is_kept(web: Web, how: str) -> None:
    with web.authorised():
        web.ask(how, web.api.url, headers={"authorization": "Token mine"})
    assert sent(web.api) == ["Token mine"]


@pytest.mark.parametrize("how", HTTPX)
def test_httpx_calls_with_auth_of_their_own_are_left_alone(web: Web, how: str) -> None:
    with web.authorised():
        web.ask(how, web.api.url, auth=("user", "word"))
        web.ask(how, web.api.url, auth=httpx.Auth())
        web.ask(how, web.api.url.replace("//", "//u:p@"))
    assert sent(web.api) == ["Basic dXNlcjp3b3Jk", None, "Basic dTpw"]  # nbauth: allow


def test_none_as_auth_of_a_client_disables_it(web: Web) -> None:
    with web.authorised():
        web.old_client.get(web.api.url, auth=None)
        with httpx.Client(verify=web.context, auth=("user", "word")) as client:
            client.get(web.api.url)
        httpx.get(web.api.url, verify=web.context)
    assert sent(web.api) == [None, "Basic dXNlcjp3b3Jk", "Bearer token-1"]  # nbauth: allow


def test_an_auth_for_other_hosts_is_the_callers_own(web: Web) -> None:
    only = auth_for({f"127.0.0.1:{web.other.port}": scope("other")}, Bobs())
    with web.authorised():
        requests.get(web.api.url, auth=only, verify=web.ca)
        requests.get(web.other.url, auth=only, verify=web.ca)
    assert sent(web.api) == [None]
    assert sent(web.other) == ["Bearer bob-1"]


def test_netrc_is_for_unlisted_hosts(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    web.api.answer = lambda request: (
        reply(302, Location=web.evil.url if request.target == "/away" else "/away")
        if request.target != "/end"
        else reply()
    )
    with web.authorised():
        requests.get(web.evil.url, verify=web.ca)
        requests.get(f"{web.api.url}/end", verify=web.ca)
        requests.get(web.api.url, verify=web.ca)
    assert sent(web.evil) == ["Basic dXNlcjp3b3Jk"] * 2  # nbauth: allow
    assert sent(web.api) == ["Bearer token-1"] * 3


# ── redirects ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["function", "session", "subclass", "prepared", "httpx_function"])
def test_a_redirect_to_another_host_carries_no_token(web: Web, how: str) -> None:
    web.api.answer = reply(302, Location=web.evil.url)
    with web.authorised():
        web.ask(how, web.api.url)
    assert sent(web.api) == ["Bearer token-1"]
    assert sent(web.evil) == [None]


@pytest.mark.parametrize("how", REQUESTS)
def test_each_hop_of_requests_gets_the_token_of_its_host(web: Web, how: str) -> None:
    def moved(request: Seen) -> bytes:
        return reply() if request.target == "/end" else reply(302, Location="/end")

    web.evil.answer = reply(302, Location=web.api.url)
    web.api.answer = reply(302, Location=web.other.url)
    web.other.answer = moved
    with web.authorised():
        response = web.ask(how, web.evil.url)
    assert sent(web.evil) == [None]
    assert sent(web.api) == ["Bearer token-1"]
    assert sent(web.other) == ["Bearer token-1", "Bearer token-1"]
    for each in (response, *response.history):
        assert "Authorization" not in each.request.headers


# ── afterwards ──────────────────────────────────────────────────────────────────────────────


def test_requests_that_the_caller_keeps_have_no_token_afterwards(web: Web) -> None:
    web.api.answer = lambda request: (
        reply(302, Location="/moved") if request.target == "/" else reply()
    )
    prepared = web.old.prepare_request(requests.Request("GET", web.api.url))
    built = web.old_client.build_request("GET", web.api.url)
    with web.authorised():
        first = web.old.send(prepared, verify=web.ca, allow_redirects=False)
        second = web.old_client.send(built)
        web.old.send(prepared, verify=web.ca)
        third = web.old_client.send(built)
    assert sent(web.api) == ["Bearer token-1"] * 5
    for kept in (prepared, first.request, first.next):
        web.old.send(kept, verify=web.ca)
    for kept in (built, second.request, second.next_request, third.request):
        web.old_client.send(kept)
    assert set(sent(web.api)) == {None}
    again = pickle.dumps(first)
    assert b"token-1" not in again
    assert pickle.loads(again).status_code == 302


def test_a_call_that_fails_leaves_no_token_in_its_error(web: Web) -> None:
    web.api.answer = b""
    with web.authorised():
        with pytest.raises(requests.ConnectionError) as failed:
            requests.get(web.api.url, verify=web.ca)
        with pytest.raises(httpx.TransportError) as also:
            httpx.get(web.api.url, verify=web.context)
    assert sent(web.api) == ["Bearer token-1"] * 2
    for error in (failed.value, also.value):
        assert error.request is not None
        assert "Authorization" not in error.request.headers


def test_the_methods_are_the_original_ones_after_an_error_and_between_nested_ones() -> None:
    with pytest.raises(SystemExit), authorised(HOSTS):
        assert all(new is not old for new, old in zip(methods(), OWN, strict=True))
        with authorised(HOSTS):
            pass
        assert all(new is not old for new, old in zip(methods(), OWN, strict=True))
        raise SystemExit
    assert methods() == OWN


def test_a_replacement_by_other_code_stays_and_works(web: Web) -> None:
    seen: list[str] = []
    with web.authorised():
        below = requests.Session.send

        def traced(session: Any, request: Any, **options: Any) -> Any:
            seen.append(request.url)
            return below(session, request, **options)

        requests.Session.send = traced  # type: ignore[method-assign]
        requests.get(web.api.url, verify=web.ca)
    assert requests.Session.send is traced
    requests.get(web.api.url, verify=web.ca)
    with web.authorised():
        requests.get(web.api.url, verify=web.ca)
    assert requests.Session.send is traced
    assert sent(web.api) == ["Bearer token-1", None, "Bearer token-1"]
    assert len(seen) == 3
    requests.Session.send = below  # as such code undoes it
    requests.get(web.api.url, verify=web.ca)
    with web.authorised():
        pass
    assert requests.Session.send is OWN[3]
    assert sent(web.api) == [None]


def test_an_interrupt_at_any_line_leaves_nothing_behind() -> None:
    def act() -> None:
        with authorised(HOSTS):
            pass

    lines = []
    for where in interrupted(act, str(Path(nbauth.kernel.__file__).parent)):
        lines.append(where)
        assert methods() == OWN, where
        assert present() is None, where
        with authorised(HOSTS):
            assert all(new is not old for new, old in zip(methods(), OWN, strict=True)), where
        assert methods() == OWN, where
    assert len(lines) > 50


# ── threads, tasks, processes ───────────────────────────────────────────────────────────────


def in_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(10)


@pytest.mark.parametrize("how", WAYS)
def test_threads_that_it_starts_are_included(web: Web, how: str) -> None:
    with web.authorised():
        in_thread(lambda: in_thread(lambda: web.ask(how, web.api.url)))
        with ThreadPool(1) as pool:
            pool.apply(web.ask, (how, web.api.url))
    assert sent(web.api) == ["Bearer token-1"] * 2


def test_workers_of_a_thread_pool_of_before_are_not(web: Web) -> None:
    with ThreadPool(1) as pool:
        with web.authorised():
            pool.apply(web.function, ("GET", web.api.url))
        assert sent(web.api) == [None]


def test_threads_of_before_are_not_and_those_that_go_on_are_no_longer(web: Web) -> None:
    go, going = threading.Event(), threading.Event()

    def wait_and_ask() -> None:
        going.set()
        go.wait(10)
        web.function("GET", web.api.url)

    old = threading.Thread(target=wait_and_ask)
    old.start()
    with web.authorised():
        going.wait(10)
        go.set()
        old.join(10)
        go.clear()
        new = threading.Thread(target=wait_and_ask)
        new.start()
    with web.authorised(Bobs()):
        go.set()
        new.join(10)
    assert sent(web.api) == [None, None]


def test_the_jobs_of_a_pool_belong_to_the_code_that_submits_them(web: Web) -> None:
    def ask() -> None:
        web.function("GET", web.api.url)

    with ThreadPoolExecutor(1) as old:
        old.submit(int).result()
        with web.authorised():
            old.submit(ask).result()
            list(old.map(web.function, ["GET"], [web.api.url]))
            new = ThreadPoolExecutor(1)
            new.submit(ask).result()
            outside = threading.Thread(target=lambda: new.submit(ask).result())
            authorised_calls_start(outside)
            outside.join(10)
        old.submit(ask).result()
        new.submit(ask).result()
        with web.authorised(Bobs()):
            new.submit(ask).result()
        new.shutdown()
    expected = [*["Bearer token-1"] * 3, None, None, None, "Bearer bob-1"]
    assert sent(web.api) == expected


def authorised_calls_start(thread: threading.Thread) -> None:
    """Start it as a thread that the execution did not start."""
    OWN[0](thread)


def test_tasks_are_included_until_the_end(web: Web) -> None:
    def ask() -> None:
        web.function("GET", web.api.url)

    async def late(client: httpx.AsyncClient, go: asyncio.Event) -> None:
        await go.wait()
        await client.get(web.api.url)
        await asyncio.to_thread(ask)

    async def cells() -> None:
        async with httpx.AsyncClient(verify=web.context) as client:
            go = asyncio.Event()
            of_before = asyncio.create_task(late(client, go))
            await asyncio.sleep(0)
            with web.authorised():
                await client.get(web.api.url)
                await asyncio.gather(client.get(web.api.url), asyncio.to_thread(ask))
                await asyncio.get_running_loop().run_in_executor(None, ask)
                assert sent(web.api) == ["Bearer token-1"] * 4
                go.set()
                await of_before
                assert sent(web.api) == [None] * 2
                go.clear()
                goes_on = asyncio.create_task(late(client, go))
                await asyncio.sleep(0)
            with web.authorised(Bobs()):
                go.set()
                await goes_on
                assert sent(web.api) == [None] * 2
                await asyncio.get_running_loop().run_in_executor(None, ask)
                assert sent(web.api) == ["Bearer bob-1"]

    asyncio.run(cells())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_gets_no_token(web: Web) -> None:
    with web.authorised():
        child = os.fork()
        if not child:
            try:
                web.function("GET", web.api.url)
                in_thread(lambda: web.httpx_function("GET", web.api.url))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        web.function("GET", web.api.url)
    assert sent(web.api) == [None, None, "Bearer token-1"]


def test_two_at_once_get_their_own_tokens(web: Web) -> None:
    both = threading.Barrier(2, timeout=10)
    ended = threading.Event()

    def cell(tokens: Tokens, first: bool) -> None:
        with web.authorised(tokens):
            both.wait()
            web.function("GET", f"{web.api.url}/{tokens.name}")
            in_thread(lambda: web.httpx_function("GET", f"{web.api.url}/{tokens.name}"))
            both.wait()
            if not first:
                ended.wait(10)
                web.function("GET", f"{web.api.url}/{tokens.name}")
        if first:
            ended.set()

    threads = [threading.Thread(target=cell, args=(Tokens(), True))]
    threads += [threading.Thread(target=cell, args=(Bobs(), False))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    got = sorted((request.target, request.headers["authorization"]) for request in web.api.seen)
    assert got == [("/bob", "Bearer bob-1")] * 3 + [("/token", "Bearer token-1")] * 2


# ── what nbauth itself does meanwhile ───────────────────────────────────────────────────────


@pytest.mark.parametrize("how", WAYS)
def test_calls_that_get_the_token_get_no_token(web: Web, how: str) -> None:
    """A provider may be a listed host, and a flow of others may call it with plain requests."""

    class Calling(Tokens):
        def get(self, *asked: Any) -> Any:
            web.function("GET", f"{web.api.url}/token")
            in_thread(lambda: web.httpx_function("GET", f"{web.api.url}/token"))
            return super().get(*asked)

    with web.authorised(Calling()):
        web.ask(how, web.api.url)
    assert sent(web.api) == [None, None, "Bearer token-1"]


def test_all_methods_that_get_tokens_do_so_outside_of_the_execution() -> None:
    waiting = {
        name
        for name, method in vars(Bound).items()
        if name.startswith(("get", "silent")) and callable(method)
    }
    assert waiting == {name for name in vars(_Apart) if name.startswith(("get", "silent"))}


# ── wrong hosts ─────────────────────────────────────────────────────────────────────────────


class Recording(BaseAdapter):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str | None]] = []

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        self.seen.append((request.url, request.headers.get("Authorization")))
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response._content = b""
        response.raw = SimpleNamespace(close=lambda: None)
        return response

    def close(self) -> None: ...


def bent(count: int) -> Iterator[str]:
    """Addresses of a listed host with random mistakes."""
    chance = random.Random(11)
    pieces = (
        *("@", ".", "\\", "/", "%2e", "%00", "\t", ":8443", ":", "#", "?", ".evil.example", "x"),
        *("\u3002", "evil.example", "[", "]", "%40", "\u00ad", "\uff47", "http:", "//", " "),
    )
    for _ in range(count):
        url = "https://graph.microsoft.com/v1.0/me"
        for _ in range(chance.randint(1, 3)):
            at, length = chance.randrange(len(url)), chance.choice((0, 0, 1, 3))
            url = url[:at] + chance.choice(pieces) + url[at + length :]
        yield url


def test_no_wrong_address_gets_a_token() -> None:
    adapter, asked = Recording(), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url, request.headers.get("authorization")))
        return httpx.Response(200)

    with (
        authorised(HOSTS),
        requests.Session() as session,
        httpx.Client(transport=httpx.MockTransport(answer)) as client,
    ):
        for prefix in ("https://", "http://", ""):
            session.mount(prefix, adapter)
        for url in [*UNLISTED, *bent(700), "https://graph.microsoft.com/me"]:
            for get in (session.get, client.get):
                try:
                    get(url)
                except (requests.RequestException, httpx.InvalidURL, ValueError):
                    continue
    assert len(adapter.seen) > 300
    assert len(asked) > 300
    with_requests = [url for url, header in adapter.seen if str(header).startswith("Bearer")]
    with_httpx = [url for url, header in asked if str(header).startswith("Bearer")]
    assert len(with_requests) > 20
    assert len(with_httpx) > 20
    for url in [*map(requests.adapters.parse_url, with_requests), *with_httpx]:
        assert (url.scheme, url.host, url.port) == ("https", "graph.microsoft.com", None)


def test_it_works_without_httpx(certificates: Certificates) -> None:
    code = """
import sys
from importlib.abc import MetaPathFinder

class NoHttpx(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "httpx":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoHttpx())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "httpx" else find_spec(name, *a)
from types import SimpleNamespace
import requests
from nbauth.core.scopes import Scopes
from nbauth.kernel.calls import authorised_calls
from nbauth.kernel.calls.auth_of_execution import _Apart
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.authorise import Auth
from nbauth.kernel.calls.execution import Execution
from nbauth.kernel.calls.refusals import Refusals
tokens = SimpleNamespace(key=None, changes=0, cached=lambda scopes: "token-1")
host = sys.argv[1].removeprefix("https://")
auth = Auth(tokens, {host: Scopes.parse(["api"], microsoft=False)}, Refusals())
before, execution = requests.Session.send, Execution()
authorised_calls.begin(execution, auth)
requests.get(sys.argv[1], verify=sys.argv[2])
authorised_calls.end(execution)
assert requests.Session.send is before and "httpx" not in sys.modules
"""
    with Server(certificates) as api:
        ran = subprocess.run(
            [sys.executable, "-c", code, api.url, str(certificates.ca_file)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert sent(api) == ["Bearer token-1"]
