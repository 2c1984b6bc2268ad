"""S5: tokens go to listed hosts only, each gets its own API's, and no listed host is left out.

Each library really prepares the requests; the last step records where it would connect.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import httpx
import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.response import HTTPResponse

from nbauth.core.errors import ConfigurationError, GraphError, NbAuthError
from nbauth.core.settings import resolve
from nbauth.kernel.calls.authorise import Auth
from nbauth.kernel.calls.hosts import listed_hosts, scopes_at
from nbauth.msgraph.client import current
from nbauth.oauth.authorities import parse
from nbauth.oauth.client import Client
from nbauth.oauth.clouds import CLOUDS
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import FakeEngine
from tests.faults.conftest import Figure
from tests.faults.mutated_urls import (
    BASES,
    EVIL,
    SETTING,
    Dialled,
    each_once,
    hostile_url,
    listed_url,
)
from tests.faults.sizes import size
from tests.kernel.conftest import Bench

ENTRA = "https://login.microsoftonline.com/contoso.com"
URLS = size(250, 10_000)
ROUNDS = size(60, 2_000)
WHOSE = {
    "https://graph.microsoft.com": "graph",
    "https://management.azure.com/": "management",
    "https://storage.azure.com": "storage",
    "https://vault.azure.net": "vault",
    "https://database.windows.net": "database",
    "api://app": "app",
    "api://other": "other",
    "api://six": "six",
}
CALLS: list[tuple[str, ...]] = [
    (),
    ("Mail.Read",),
    ("https://storage.azure.com/user_impersonation",),
    ("https://vault.azure.net/.default",),
    ("api://app/read",),
]
"""The scopes of the calls; all hosts of the list, or those of one API."""
CLAIMS = base64.b64encode(b'{"access_token":{"nbf":{"value":"1"}}}').decode()


class Seen(NamedTuple):
    """One request, as it leaves the library; ``whose`` token it carries."""

    method: str
    url: str
    to: Dialled
    whose: str | None


Answer = tuple[int, Mapping[str, str], bytes]
OK: Answer = (200, {}, b"{}")


class World:
    """A session of Microsoft's authority, four HTTP libraries, and a network that records.

    ``script``: the responses to the next requests; after them, 200.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.script: Iterator[Answer] = iter(())
        self.bench = Bench(FakeClock())
        engine = FakeEngine(parse(ENTRA), "notebooks")
        self.bench.engine = self.bench.engines[ENTRA, "notebooks"] = engine
        self.bench.session.configure(authority=ENTRA, hosts=SETTING, refresh_ahead=False)
        self.bench.sign_in("User.Read")
        self.bench.screen.is_attended = False
        self.loop = asyncio.new_event_loop()
        self.issued: dict[str, str] = {}

    def auth(self, scopes: tuple[str, ...]) -> Auth:
        return self.bench.session.authorise(*scopes)

    def takes(self, method: str, url: str, to: Dialled, header: str | None) -> Answer:
        self.seen.append(Seen(method, url, to, None if header is None else self._whose(header)))
        return next(self.script, OK)

    def callers(self, scopes: tuple[str, ...]) -> dict[str, Callable[[str, str], None]]:
        """A function for each library, which sends one request and follows its redirects."""
        auth = self.auth(scopes)
        session = self.bench.session.authorised_session(*scopes)
        plain = requests.Session()
        for one in (session, plain):
            one.trust_env = False
            one.mount("https://", Recording(self))
            one.mount("http://", Recording(self))
        transport = httpx.MockTransport(self._httpx)
        options: Any = {"transport": transport, "follow_redirects": True, "trust_env": False}
        client = httpx.Client(auth=auth, **options)
        tasks = httpx.AsyncClient(auth=auth, **options)
        return {
            "session": lambda method, url: session.request(method, url).close(),
            "requests": lambda method, url: plain.request(method, url, auth=auth).close(),
            "httpx": lambda method, url: client.request(method, url).close(),
            "httpx_async": lambda method, url: self.loop.run_until_complete(
                _closed(tasks, method, url)
            ),
        }

    def _httpx(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        port = url.port or {"https": 443, "http": 80}.get(url.scheme, 0)
        to = Dialled(url.scheme, url.raw_host.decode("ascii"), port)
        status, headers, body = self.takes(
            request.method, str(url), to, request.headers.get("Authorization")
        )
        return httpx.Response(status, headers=dict(headers), content=body)

    def _whose(self, header: str) -> str:
        text = header.removeprefix("Bearer ")
        if text not in self.issued:
            for token in list(self.bench.session.cache.tokens.values()):
                resource = token.asked.resource or ""
                self.issued[token.response.access_token] = WHOSE[resource]
        return self.issued[text]

    def wrong(self) -> list[Seen]:
        """The requests that carry a token which their host may not get."""
        return [one for one in self.seen if one.whose not in (None, one.to.whose)]


async def _closed(client: httpx.AsyncClient, method: str, url: str) -> None:
    await (await client.request(method, url)).aclose()


class Recording(HTTPAdapter):
    """Records where requests would connect."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def send(self, request: Any, **_: Any) -> requests.Response:  # type: ignore[override]
        parts, _tls = self.build_connection_pool_key_attributes(request, True)
        pool = self.poolmanager.connection_from_host(**parts)
        to = Dialled(pool.scheme or "", pool.host, pool.port or {"https": 443}.get(pool.scheme, 80))
        status, headers, body = self._world.takes(
            request.method, request.url, to, request.headers.get("Authorization")
        )
        raw = HTTPResponse(io.BytesIO(body), dict(headers), status, preload_content=False)
        return self.build_response(request, raw)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.loop.close()
    made.bench.session.rest()


NOT_SENT = (requests.RequestException, httpx.InvalidURL, httpx.HTTPError, ValueError, TypeError)
"""A library refuses the URL."""


def tried(call: Callable[[str, str], None], method: str, url: str) -> bool:
    """Whether the library accepts the URL. An error of nbauth fails the test."""
    try:
        call(method, url)
    except NbAuthError:
        raise
    except (*NOT_SENT, UnicodeError):
        return False
    return True


def test_mutated_urls(world: World, figure: Figure) -> None:
    source, sent, refused = random.Random(5), 0, 0
    for scopes in CALLS[: size(2, len(CALLS))]:
        callers = world.callers(scopes)
        urls = [] if scopes else each_once(source)
        urls += [hostile_url(source) for _ in range(URLS // len(CALLS))]
        for url in urls:
            method = source.choice(("GET", "HEAD", "POST", "PUT"))
            for call in callers.values():
                sent += 1
                refused += not tried(call, method, url)
    assert world.wrong() == []
    assert 0.1 < refused / sent < 0.9, "most URLs are sent, some are refused by the library"
    assert len(world.seen) > sent / 4
    unlisted = sum(one.to.whose is None for one in world.seen)
    assert unlisted > len(world.seen) / 3
    figure(
        "S5",
        "URLs that look like those of listed hosts, through requests and httpx",
        f"{sent:,} calls with mutated URLs, {unlisted:,} requests to other hosts",
        "0 tokens to unlisted hosts, 0 tokens of another API",
    )


def test_no_listed_host_is_left_out(world: World, figure: Figure) -> None:
    source, sent = random.Random(6), 0
    for name, call in world.callers(()).items():
        for _ in range(URLS):
            url = listed_url(source)
            world.seen.clear()
            if not tried(call, "POST", url):
                continue
            (one,) = world.seen
            assert one.to.whose is not None, (name, url, one)
            assert one.whose == one.to.whose, (name, url, one)
            sent += 1
    assert sent > 3 * URLS
    figure(
        "S5", "spellings of listed hosts: case, port, path, query", f"{sent:,} requests",
        "0 listed hosts without their token",
    )  # fmt: skip


def _redirect(source: random.Random) -> Answer:
    target = hostile_url(source) if source.random() < 0.6 else listed_url(source)
    location = source.choice((target, target, "/moved", f"//{EVIL}/", f"?x={EVIL}"))
    encoded = location.encode("utf-8").decode("latin-1").translate({10: None, 13: None, 0: None})
    return source.choice((301, 302, 303, 307, 308)), {"Location": encoded}, b""


def test_redirects_of_three_hops(world: World, figure: Figure) -> None:
    """With refusals between them, so that repeated requests are redirected too."""
    source, sent = random.Random(7), 0
    challenges = [
        {},
        {"WWW-Authenticate": f'Bearer error="insufficient_claims", claims="{CLAIMS}"'},
        {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="Mail.Read"'},
    ]
    for name, call in world.callers(()).items():
        for _ in range(ROUNDS):
            hops = [_redirect(source) for _ in range(3)]
            if source.random() < 0.3:
                status = source.choice((401, 403))
                at = source.randrange(len(hops) + 1)
                hops.insert(at, (status, source.choice(challenges), b"{}"))
            world.script = iter(hops)
            before = len(world.seen)
            tried(call, source.choice(("GET", "POST")), listed_url(source))
            sent += 1
            last = world.seen[-1]
            listed = last.url.partition("//")[2].split("/")[0].lower() in BASES
            if name == "session" and last.to.whose is not None and listed:
                assert last.whose is not None, world.seen[before:]
    assert world.wrong() == []
    hops_seen = len(world.seen)
    assert hops_seen > 2 * sent
    figure(
        "S5", "redirects to other hosts, ports and http, over three hops, with 401 and 403 between",
        f"{sent:,} calls, {hops_seen:,} requests", "0 tokens to unlisted hosts",
    )  # fmt: skip


def test_links_of_answers(world: World, figure: Figure) -> None:
    """A program follows what the answer names: pages, uploads, downloads, operations."""
    source, followed = random.Random(8), 0
    session = world.callers(())["session"]
    for _ in range(ROUNDS):
        names = ("@odata.nextLink", "@odata.deltaLink", "uploadUrl", "@microsoft.graph.downloadUrl")
        answer = {name: hostile_url(source) for name in names}
        answer["uploadUrl"] = source.choice((
            answer["uploadUrl"],
            f"https://sn3302.up.1drv.com/up/{source.random()}?tempauth=x",
            f"https://account1.blob.core.windows.net/c/b?sv=2024&sig=x&se={source.random()}",
        ))  # fmt: skip
        read = json.loads(json.dumps(answer))
        for name, method in zip(names, ("GET", "GET", "PUT", "GET"), strict=True):
            before = len(world.seen)
            tried(session, method, read[name])
            followed += 1
            if name == "uploadUrl" and "?" in read[name] and "tempauth" in read[name]:
                assert [one.whose for one in world.seen[before:]] == [None]
            if "sig=x" in read[name] and "account1" in read[name]:
                assert [one.whose for one in world.seen[before:]] == [None]
    assert world.wrong() == []
    figure("S5", "nextLink, deltaLink, uploadUrl, downloadUrl of an answer", f"{followed:,} links",
           "0 tokens to unlisted hosts, 0 to signed addresses")  # fmt: skip


def test_addresses_and_links_of_graph(world: World, figure: Figure) -> None:
    """``nbauth.graph`` sends requests to its own host only, whatever a caller or a page names."""
    source, sent = random.Random(9), 0
    graph = current(world.bench.session)
    for scheme in ("https://", "http://"):
        graph.session.mount(scheme, Recording(world))
    answered = json.dumps({"responses": [{"id": "0", "status": 200, "body": {}}]}).encode()
    for url in (url for _ in range(size(1, 50)) for url in each_once(source)):
        page = json.dumps({"value": [{"id": "1"}], "@odata.nextLink": url}).encode()
        for call, body in (
            (lambda url=url: graph.get(url), b"{}"),
            (lambda url=url: graph.get_many([url], progress=False), answered),
            (lambda: list(graph.list("users")), page),
        ):
            world.script = iter([(200, {"Content-Type": "application/json"}, body)])
            sent += 1
            with contextlib.suppress(ConfigurationError, GraphError):
                call()
    hosts = {(one.to.scheme, one.to.host.lower(), one.to.port) for one in world.seen}
    assert hosts == {("https", "graph.microsoft.com", 443)}
    assert {one.whose for one in world.seen} == {"graph"}
    figure("S5", "addresses, members of batches and next links of nbauth.graph", f"{sent:,} calls",
           "0 requests to another host")  # fmt: skip


def test_every_host_with_the_scopes_of_every_api(figure: Figure) -> None:
    """A host gets only a token of its own API, in its own cloud."""
    wrong, cells = [], 0
    for cloud, other in itertools.product(CLOUDS, CLOUDS):
        hosts = {**CLOUDS[cloud].hosts, "api.contoso.com": "api://app"}
        client = Client.from_settings(
            resolve({"client_id": "c", "cloud": cloud, "hosts": SETTING}, {}, {})
        )
        resources = {*CLOUDS[other].hosts.values(), "api://app", "api://nobody"}
        for resource, permission in itertools.product(resources, (".default", "read")):
            scopes = client.scopes((f"{resource}/{permission}",))
            try:
                listed = listed_hosts(client, scopes)
            except ConfigurationError:
                listed = {}
            for host, own in hosts.items():
                cells += 1
                url = f"https://{'x' if host.startswith('.') else ''}{host}/"
                given = scopes_at(url, listed)
                covered = own.rstrip("/") == resource.rstrip("/")
                if own == "api://app":
                    covered = covered and permission == "read"
                if (given is not None) != covered or (given or scopes) != scopes:
                    wrong.append((cloud, host, str(scopes), given))
    assert wrong == []
    figure("S5", "each host of each cloud with the scopes of each API", f"{cells:,} pairs",
           "0 tokens of another API, 0 hosts without their own")  # fmt: skip


def test_the_reader_of_addresses_is_not_nbauths() -> None:
    """Or else the tests above would prove nothing."""
    assert {Dialled("https", host, port).whose for host, port in [
        ("graph.microsoft.com", 8443), ("graph.microsoft.com.evil.example", 443), (EVIL, 443),
        ("a.b.blob.core.windows.net", 443), ("blob.core.windows.net", 443),
        ("", 443), ("other.contoso.com", 443), ("fd00::8", 443),
    ]} == {None}  # fmt: skip
    assert Dialled("http", "graph.microsoft.com", 443).whose is None
    assert Dialled("https", "GRAPH.microsoft.com", 443).whose == "graph"
    assert len(BASES) == len(WHOSE)
