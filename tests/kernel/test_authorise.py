"""Which host gets which token."""

from __future__ import annotations

import ast
import asyncio
import io
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
import urllib3

from nbauth.core.errors import ConfigurationError, NotSignedIn
from nbauth.core.scopes import Scopes
from nbauth.core.settings import resolve
from nbauth.kernel.calls.authorise import Auth
from nbauth.kernel.calls.authorised_session import AuthorisedSession
from nbauth.kernel.calls.hosts import listed_hosts, place_of, scopes_at
from nbauth.kernel.calls.refusals import Refusals
from nbauth.oauth.client import Client
from nbauth.testing.screen import RecordingScreen
from tests.harness.certificates import Certificates
from tests.oauth.servers import Seen, Server, reply

GRAPH = "https://graph.microsoft.com"


def scope(*words: str) -> Scopes:
    return Scopes.parse(words, microsoft=False)


HOSTS = {
    "graph.microsoft.com": scope("graph"),
    "api.contoso.com": scope("api"),
    "other.contoso.com:8443": scope("other"),
    ".blob.core.windows.net": scope("storage"),
}


class Tokens:
    """Replaces ``Bound``: gives ``token-1``, then ``token-2`` after a refusal."""

    changes = 0
    name = "token"

    key = None
    is_service = may_ask = interactive = False

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], bool]] = []
        self.number = 1
        self.client = client(authority="https://id.example")
        self.person = RecordingScreen(attended=False)

    def present(self, scopes: Scopes) -> None:
        return None

    def cached(self, scopes: Scopes) -> None:
        return None

    def get(self, scopes: Scopes, refused: str | None = None, required: Any = None) -> Any:
        self.asked.append((tuple(scopes), refused is not None))
        self.number += refused is not None
        return SimpleNamespace(access_token=f"{self.name}-{self.number}")

    async def get_async(
        self, scopes: Scopes, refused: str | None = None, required: Any = None
    ) -> Any:
        return self.get(scopes, refused)


class Bobs(Tokens):
    name = "bob"


class NoTokens(Tokens):
    def get(self, scopes: Scopes, refused: str | None = None, required: Any = None) -> Any:
        raise AssertionError("a token was asked for")


def auth_for(hosts: dict[str, Scopes], tokens: Any = None) -> Auth:
    return Auth(tokens or NoTokens(), hosts, Refusals())


# ── the decision ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://graph.microsoft.com/v1.0/me", "graph"),
        ("https://graph.microsoft.com", "graph"),
        ("https://graph.microsoft.com:443/me", "graph"),
        ("https://GRAPH.Microsoft.COM/me", "graph"),
        ("https://graph.microsoft.com/me?x=https://evil.example/", "graph"),
        ("https://graph.microsoft.com/a@b", "graph"),
        ("https://graph.microsoft.com/users/a@b.example?q=@", "graph"),
        ("https://api.contoso.com/#x", "api"),
        ("https://other.contoso.com:8443/x", "other"),
        ("https://account1.blob.core.windows.net/container", "storage"),
    ],
)
def test_a_listed_host_gets_its_own_token(url: str, name: str) -> None:
    assert auth_for(HOSTS).scopes_for(url) == scope(name)


@pytest.mark.parametrize(
    "url",
    [
        "https://API.Example/",
        "https://api.example:443/x",
        "https://api.example:0443",
        "https://api.example:",
    ],
)
def test_all_spellings_of_a_host_are_one_place(url: str) -> None:
    assert place_of(url) == "api.example"
    assert place_of("https://[::1]:0444/") == "[::1]:444"


UNLISTED = [
    "http://graph.microsoft.com/me",
    "ftp://graph.microsoft.com/",
    "//graph.microsoft.com/",
    "graph.microsoft.com",
    "",
    "https://",
    "https:///graph.microsoft.com",
    "https://graph.microsoft.com.evil.example/",
    "https://evilgraph.microsoft.com/",
    "https://notgraph.microsoft.com/",
    "https://x.graph.microsoft.com/",
    "https://microsoft.com/",
    "https://graph.microsoft.com./me",
    "https://graph.microsoft.com../me",
    "https://.graph.microsoft.com/me",
    "https://graph.microsoft.com:8443/",
    "https://graph.microsoft.com:80/",
    "https://graph.microsoft.com:0/",
    "https://graph.microsoft.com:99999/",
    "https://graph.microsoft.com:x/",
    "https://graph.microsoft.com@evil.example/",
    "https://evil.example@graph.microsoft.com/",
    "https://user:pw@graph.microsoft.com/",
    "https://@graph.microsoft.com/",
    "https://graph.microsoft.com%40evil.example/",
    "https://graph.microsoft.com\\@evil.example/",
    "https://evil.example\\@graph.microsoft.com/",
    "https:\\\\graph.microsoft.com/",
    "https://graph.microsoft.com\\.evil.example/",
    "https://graph.microsoft.com/me\\..\\x",
    "https://evil.example#@graph.microsoft.com/",
    "https://evil.example?@graph.microsoft.com/",
    "https://evil.example/graph.microsoft.com",
    "https://graph%2emicrosoft%2ecom/",
    "https://graph.microsoft%2ecom/",
    "https://graph.microsoft.com%00.evil.example/",
    "https://graph.microsoft.com%2f.evil.example/",
    "https://graph.microsoft.com\x00.evil.example/",
    "https://graph.microsoft.com .evil.example/",
    "https://graph.microsoft.com\t.evil.example/",
    "https://ｇraph.microsoft.com/",
    "https://graph。microsoft。com/",
    "https://gr\u0430ph.microsoft.com/",
    "https://graph.microsoft.com\u2044.evil.example/",
    "https://graph.micro\u00adsoft.com/",
    "https://[graph.microsoft.com]/",
    "https://[graph.microsoft.com/",
    "https://other.contoso.com/",
    "https://other.contoso.com:443/",
    "https://other.contoso.com:8444/",
    "http://other.contoso.com:8443/",
    "https://blob.core.windows.net/",
    "https://.blob.core.windows.net/",
    "https://a.b.blob.core.windows.net/",
    "https://account1.blob.core.windows.net.evil.example/",
    "https://account1blob.core.windows.net/",
    "https://account1.blob.core.windows.net:8443/",
    "https://evil.example%2f.blob.core.windows.net/",
    "https://evil.example/.blob.core.windows.net",
]


@pytest.mark.parametrize("url", UNLISTED)
def test_other_urls_get_no_token(url: str) -> None:
    assert auth_for(HOSTS).scopes_for(url) is None


@pytest.mark.parametrize("url", UNLISTED)
def test_a_prepared_request_to_such_a_url_carries_no_token(url: str) -> None:
    """The URL as requests prepares it decides, since that one is requested."""
    try:
        prepared = requests.Request("GET", url, auth=auth_for(HOSTS, Tokens())).prepare()
    except (requests.exceptions.RequestException, ValueError):
        return
    sent = prepared.headers.get("Authorization")
    dialled = requests.adapters.parse_url(prepared.url)
    assert sent is None or (dialled.scheme, dialled.host, dialled.port) == (
        "https",
        "graph.microsoft.com",
        None,
    )


def test_a_letter_that_case_folds_to_a_listed_hosts_name_is_another_host() -> None:
    auth = auth_for({"kusto.example": scope("kusto")})
    assert auth.scopes_for("https://KUSTO.example/") == scope("kusto")
    assert auth.scopes_for("https://\N{KELVIN SIGN}usto.example/") is None
    assert auth.scopes_for("https://ku\N{LATIN SMALL LETTER LONG S}to.example/") is None


def test_an_ipv6_host_is_listed_as_written_in_a_url() -> None:
    auth = auth_for({"[::1]:8443": scope("six"), "[fe80::1]": scope("plain")})
    assert auth.scopes_for("https://[::1]:8443/x") == scope("six")
    assert auth.scopes_for("https://[fe80::1]/x") == scope("plain")
    assert auth.scopes_for("https://[::1]/x") is None


# ── the list of hosts ───────────────────────────────────────────────────────────────────────


def client(**settings: Any) -> Client:
    return Client.from_settings(resolve({"client_id": "c", **settings}, {}, {}))


def test_the_clouds_hosts_are_built_in_with_their_audiences() -> None:
    hosts = {host: tuple(scopes or ()) for host, scopes in listed_hosts(client(), None).items()}
    assert hosts["graph.microsoft.com"] == (f"{GRAPH}/User.Read",)
    assert hosts["management.azure.com"] == ("https://management.azure.com//.default",)
    assert hosts[".blob.core.windows.net"] == ("https://storage.azure.com/.default",)
    assert hosts[".vault.azure.net"] == ("https://vault.azure.net/.default",)
    assert not [host for host in hosts if host.endswith((".us", ".cn"))]


@pytest.mark.parametrize("cloud", ["usgov", "dod", "china"])
def test_another_cloud_lists_no_host_of_the_public_one(cloud: str) -> None:
    public = set(listed_hosts(client(), None))
    assert public.isdisjoint(listed_hosts(client(cloud=cloud), None))


@pytest.mark.parametrize(
    ("scopes", "hosts"),
    [
        (["Mail.Read"], {"graph.microsoft.com"}),
        (["https://vault.azure.net/.default"], {".vault.azure.net"}),
        (["https://management.azure.com//user_impersonation"], {"management.azure.com"}),
        (["api://app/read"], {"api.contoso.com"}),
        (["openid", "api://app/read"], {"api.contoso.com"}),
        (["api://all/read"], {"all.contoso.com"}),
        (
            ["https://storage.azure.com/user_impersonation"],
            {f".{kind}.core.windows.net" for kind in ("blob", "dfs", "queue", "table", "file")},
        ),
    ],
)
def test_a_token_goes_only_to_hosts_of_its_audience(scopes: list[str], hosts: set[str]) -> None:
    listed = {"api.contoso.com": ["api://app/read"], "all.contoso.com": ["api://all/.default"]}
    here = client(hosts=listed)
    assert given(listed_hosts(here, here.scopes(tuple(scopes)))) == hosts


def given(hosts: dict[str, Scopes | None]) -> set[str]:
    """The hosts that get a token."""
    return {host for host, scopes in hosts.items() if scopes is not None}


@pytest.mark.parametrize(
    "scopes",
    [
        ["https://reports.example/admin"],
        ["https://reports.example/x", "https://payroll.example/admin"],
        ["https://payroll.example/admin", "https://reports.example/.default"],
    ],
)
def test_scopes_of_an_openid_issuer_are_not_interpreted(scopes: list[str]) -> None:
    """``…/.default`` has no special meaning there, and one token may be for several hosts."""
    listed = {"reports.example": ["https://reports.example/.default"]}
    here = client(authority="https://id.example", hosts=listed)
    with pytest.raises(ConfigurationError, match="No host is listed"):
        listed_hosts(here, here.scopes(tuple(scopes)))


@pytest.mark.parametrize(
    ("host", "narrow", "asked", "url"),
    [
        ("graph.microsoft.com", "User.Read", "Mail.Send", "https://graph.microsoft.com/me"),
        ("GRAPH.microsoft.com:443", "User.Read", "Mail.Send", "https://graph.microsoft.com/me"),
        (
            "own.blob.core.windows.net",
            "https://storage.azure.com/user_impersonation",
            "https://storage.azure.com/other",
            "https://own.blob.core.windows.net/c",
        ),
    ],
)
def test_a_setting_overrides_a_built_in_host(host: str, narrow: str, asked: str, url: str) -> None:
    here = client(hosts={host: [narrow], "else.example": [asked]})
    hosts = listed_hosts(here, here.scopes((asked,)))
    assert scopes_at(url, hosts) is None
    assert scopes_at("https://else.example/", hosts) == here.scopes((asked,))
    with pytest.raises(ConfigurationError, match="is listed, but not for these scopes"):
        listed_hosts(here, here.scopes((asked,)), [urlsplit(url).netloc])
    assert scopes_at(url, listed_hosts(here, here.scopes((narrow,)))) == here.scopes((narrow,))


def test_the_call_in_a_hint_keeps_the_entries_that_are_there() -> None:
    """``configure`` sets the whole setting: without them, it would remove these hosts."""
    here = client(authority="https://id.example", hosts={"api.example": ["read"]})
    with pytest.raises(ConfigurationError) as caught:
        listed_hosts(here, here.scopes(("write",)))
    call = caught.value.hint.partition(": nbauth.configure(hosts=")[2].removesuffix(").")
    listed = ast.literal_eval(call)
    assert listed == {"api.example": ["read"], "api.example.com": ["write"]}
    assert listed_hosts(
        client(authority="https://id.example", hosts=listed), here.scopes(("write",))
    )


def test_a_built_in_host_is_not_offered_for_the_scopes_of_another_api() -> None:
    here = client(hosts={"api.contoso.com": ["api://app/read"]})
    with pytest.raises(ConfigurationError, match="is listed, but not for these") as caught:
        listed_hosts(here, here.scopes(("api://app/read",)), ["graph.microsoft.com"])
    hint = "Correct the scopes. Tokens for this host have scopes of https://graph.microsoft.com."
    assert caught.value.hint == hint


@pytest.mark.parametrize(("others", "called"), [(0, True), (3, True), (4, False)])
def test_a_hint_repeats_only_a_few_entries(others: int, called: bool) -> None:
    listed = {f"{number}.example": ["read"] for number in range(others)}
    here = client(authority="https://id.example", hosts=listed)
    with pytest.raises(ConfigurationError, match="is not a listed host") as caught:
        listed_hosts(here, None, ["evil.example"])
    assert ("nbauth.configure(" in caught.value.hint) == called
    assert all((host in caught.value.hint) == called for host in listed)


def test_other_issuers_have_no_built_in_hosts() -> None:
    here = client(authority="https://id.example", hosts={"API.example:8443": ["read"]})
    assert listed_hosts(here, None) == {"api.example:8443": scope("read")}
    assert listed_hosts(client(authority="https://id.example"), None) == {}


def test_hosts_of_a_call_narrow_the_list() -> None:
    here = client(hosts={"api.contoso.com": ["api://app/read"]})
    narrowed = listed_hosts(here, None, ["API.contoso.com"])
    assert narrowed == {"api.contoso.com": here.scopes(("api://app/read",))}
    assert listed_hosts(here, None, ["api.contoso.com:443"]) == narrowed
    assert listed_hosts(here, None, "api.contoso.com") == narrowed
    (account,) = listed_hosts(here, None, ["mine.blob.core.windows.net"])
    assert account == "mine.blob.core.windows.net"
    assert listed_hosts(here, None, []) == {}


@pytest.mark.parametrize(
    "host", ["evil.example", "a.b.blob.core.windows.net", "api.contoso.com:8443", "*", ""]
)
def test_hosts_of_a_call_do_not_widen_the_list(host: str) -> None:
    here = client(hosts={"api.contoso.com": ["api://app/read"]})
    with pytest.raises(ConfigurationError) as caught:
        listed_hosts(here, None, [host])
    assert caught.value.code == "unlisted_host"
    assert "hosts" in caught.value.hint


@pytest.mark.parametrize(
    "hosts",
    [
        [".vault.azure.net"],
        ["*.vault.azure.net"],
        ["https://kv.vault.azure.net"],
        ["kv.vault.azure.net/"],
        ["kv.vault.azure.net."],
        ["ada@kv.vault.azure.net"],
        [443],
        [None],
        5,
    ],
)
def test_hosts_of_a_call_are_exact_names(hosts: Any) -> None:
    """A suffix opened every host below it, and another spelling silently authorised nothing."""
    with pytest.raises(ConfigurationError):
        listed_hosts(client(), None, hosts)


@pytest.mark.parametrize("host", ["KV.vault.azure.net", "kv.vault.azure.net:443"])
def test_a_host_of_a_call_is_read_like_the_setting(host: str) -> None:
    assert list(listed_hosts(client(), None, [host])) == ["kv.vault.azure.net"]


# ── with real servers ───────────────────────────────────────────────────────────────────────


class Web:
    """Listed servers and an unlisted one; each records the requests it gets."""

    def __init__(self, stack: ExitStack, certificates: Certificates) -> None:
        self.certificates = certificates
        self.api = stack.enter_context(Server(certificates))
        self.other = stack.enter_context(Server(certificates))
        self.evil = stack.enter_context(Server(certificates))
        self.clear = stack.enter_context(Server())
        self.tokens = Tokens()
        self.hosts = {
            f"127.0.0.1:{self.api.port}": scope("api"),
            f"127.0.0.1:{self.other.port}": scope("other"),
        }
        self.auth = auth_for(self.hosts, self.tokens)
        self.session = AuthorisedSession(self.auth, str(certificates.ca_file), None)

    def plain_requests(self, method: str, url: str, **options: Any) -> requests.Response:
        return requests.request(
            method, url, auth=self.auth, verify=str(self.certificates.ca_file), **options
        )

    def httpx(self, method: str, url: str, **options: Any) -> httpx.Response:
        import ssl

        context = ssl.create_default_context(cafile=str(self.certificates.ca_file))
        with httpx.Client(verify=context, auth=self.auth, follow_redirects=True) as here:
            return here.request(method, url, **options)

    def httpx_async(self, method: str, url: str, **options: Any) -> httpx.Response:
        import ssl

        async def ask() -> httpx.Response:
            context = ssl.create_default_context(cafile=str(self.certificates.ca_file))
            async with httpx.AsyncClient(
                verify=context, auth=self.auth, follow_redirects=True
            ) as here:
                return await here.request(method, url, **options)

        return asyncio.run(ask())

    def ask(self, how: str, method: str, url: str, **options: Any) -> Any:
        call: Callable[..., Any] = self.session.request if how == "session" else getattr(self, how)
        return call(method, url, **options)


@pytest.fixture
def web(certificates: Certificates) -> Iterator[Web]:
    with ExitStack() as stack:
        yield Web(stack, certificates)


def sent(server: Server) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.seen]


WAYS = ["session", "plain_requests", "httpx", "httpx_async"]


@pytest.mark.parametrize("how", WAYS)
def test_a_listed_host_is_sent_a_token_and_another_is_not(web: Web, how: str) -> None:
    assert web.ask(how, "GET", web.api.url).status_code == 200
    assert web.ask(how, "GET", web.evil.url).status_code == 200
    assert sent(web.api) == ["Bearer token-1"]
    assert sent(web.evil) == [None]
    assert web.tokens.asked == [(("api",), False)]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("target", ["evil", "clear"])
def test_a_redirect_elsewhere_carries_no_token(
    web: Web, how: str, status: int, target: str
) -> None:
    server: Server = getattr(web, target)
    web.api.answer = reply(status, "", Location=f"{server.url}/next")
    assert web.ask(how, "GET", web.api.url).status_code == 200
    assert sent(web.api) == ["Bearer token-1"]
    assert sent(server) == [None]


def test_a_redirect_over_three_hops_carries_tokens_on_the_listed_ones_only(web: Web) -> None:
    web.api.answer = reply(302, "", Location=web.evil.url)
    web.evil.answer = reply(302, "", Location=web.other.url)
    assert web.session.get(web.api.url).status_code == 200
    assert sent(web.api) == ["Bearer token-1"]
    assert sent(web.evil) == [None]
    assert sent(web.other) == ["Bearer token-1"]
    assert set(web.tokens.asked) == {(("api",), False), (("other",), False)}


def only_new_tokens(request: Seen) -> bytes:
    return reply(200 if request.headers["authorization"] == "Bearer token-2" else 401, "{}")


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("method", "body"), [("GET", None), ("POST", b"data"), ("POST", "text"), ("PUT", b"x" * 99_999)]
)
def test_a_401_is_answered_once_with_a_token_fetched_anew(
    web: Web, how: str, method: str, body: bytes | str | None
) -> None:
    web.api.answer = only_new_tokens
    options = {} if body is None else {"content" if "httpx" in how else "data": body}
    assert web.ask(how, method, web.api.url, **options).status_code == 200
    assert sent(web.api) == ["Bearer token-1", "Bearer token-2"]
    assert web.tokens.asked == [(("api",), False), (("api",), True)]
    assert web.api.seen[0].body == web.api.seen[1].body


@pytest.mark.parametrize("how", WAYS)
def test_a_401_is_never_answered_twice(web: Web, how: str) -> None:
    web.api.answer = reply(401, "{}")
    assert web.ask(how, "GET", web.api.url).status_code == 401
    assert sent(web.api) == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize("how", ["session", "plain_requests"])
def test_a_401_after_a_redirect_is_never_answered_twice(web: Web, how: str) -> None:
    def moved(request: Seen) -> bytes:
        if request.target == "/":
            return reply(302, "", Location=f"{web.api.url}/moved")
        return reply(401, "{}")

    web.api.answer = moved
    assert web.ask(how, "GET", web.api.url).status_code == 401
    assert [request.target for request in web.api.seen] == ["/", "/moved", "/moved"]
    assert len([anew for _, anew in web.tokens.asked if anew]) == 1


@pytest.mark.parametrize("how", WAYS)
def test_a_401_of_an_unlisted_host_is_passed_on(web: Web, how: str) -> None:
    web.evil.answer = reply(401, "{}")
    assert web.ask(how, "GET", web.evil.url).status_code == 401
    assert sent(web.evil) == [None]
    assert web.tokens.asked == []


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_other_errors_are_not_repeated(web: Web, how: str, status: int) -> None:
    web.api.answer = reply(status, "{}")
    assert web.ask(how, "GET", web.api.url).status_code == status
    assert len(web.api.seen) == 1


@pytest.mark.parametrize("how", WAYS)
def test_a_stream_is_not_sent_twice(web: Web, how: str) -> None:
    def parts() -> Iterator[bytes]:
        yield b"da"
        yield b"ta"

    async def parts_async() -> Any:
        for part in parts():
            yield part

    web.api.answer = reply(401, "{}")
    name = "content" if "httpx" in how else "data"
    stream = parts_async() if how == "httpx_async" else parts()
    assert web.ask(how, "POST", web.api.url, **{name: stream}).status_code == 401
    assert [request.body for request in web.api.seen] == [b"data"]


def test_a_reused_request_does_not_send_a_stream_twice(web: Web) -> None:
    """The GET after the redirect shares its hooks."""
    web.api.answer = lambda request: (
        reply(303, "", Location="/done") if request.method == "POST" else reply(200, "")
    )
    request = requests.Request("POST", web.api.url, data=iter([b"data"]))
    prepared = web.session.prepare_request(request)
    assert web.session.send(prepared).status_code == 200
    web.api.answer = reply(401, "")
    prepared.body = iter([b"more"])
    assert web.session.send(prepared).status_code == 401
    assert [request.body for request in web.api.seen] == [b"data", b"", b"more"]


def test_a_reused_request_is_repeated_after_each_401(web: Web) -> None:
    prepared = web.session.prepare_request(requests.Request("GET", web.api.url))
    for number in (1, 2):
        refused = f"Bearer token-{number}"
        web.api.answer = lambda request, refused=refused: reply(
            401 if request.headers["authorization"] in {"Bearer token-1", refused} else 200, "{}"
        )
        assert web.session.send(prepared).status_code == 200
    assert sent(web.api) == ["Bearer token-1", "Bearer token-2", "Bearer token-1", "Bearer token-3"]


@pytest.mark.parametrize("anew", [True, False], ids=["another token", "no other token"])
def test_the_refused_response_is_closed_before_another_token_is_fetched(
    web: Web, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    """Its connection goes back to the pool, also if the caller streams responses."""
    closed: list[int] = []
    close, get = requests.Response.close, web.tokens.get

    def closes(response: requests.Response) -> None:
        closed.append(response.status_code)
        close(response)

    def fetch(scopes: Scopes, refused: str | None = None, required: Any = None) -> Any:
        if refused is not None:
            assert closed == [401]
            if not anew:
                raise NotSignedIn("That account has been signed out.")
        return get(scopes, refused)

    monkeypatch.setattr(requests.Response, "close", closes)
    monkeypatch.setattr(web.tokens, "get", fetch)
    web.api.answer = only_new_tokens
    session = web.session
    if anew:
        assert session.get(web.api.url, stream=True).status_code == 200
    else:
        with pytest.raises(NotSignedIn):
            session.get(web.api.url, stream=True)


def test_the_first_response_is_kept_in_the_history(web: Web) -> None:
    web.api.answer = only_new_tokens
    response = web.session.get(web.api.url)
    assert [earlier.status_code for earlier in response.history] == [401]
    assert response.request.headers["Authorization"] == "Bearer token-2"


def test_hooks_of_the_caller_still_run(web: Web) -> None:
    web.api.answer = only_new_tokens
    seen: list[int] = []
    web.session.get(
        web.api.url, hooks={"response": lambda response, **_: seen.append(response.status_code)}
    )
    assert seen[-1] == 200


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("own", ["Bearer mine", "Basic bTpw", "SharedKey a:b", ""])
def test_the_callers_own_header_is_kept_and_not_sent_to_another_host(
    web: Web, how: str, own: str
) -> None:
    """No token is fetched, and none replaces the header, whatever the response."""
    web.api.answer = reply(302, "", Location=web.evil.url)
    web.ask(how, "GET", web.api.url, headers={"authorization": own})
    web.api.answer = reply(401, "")
    assert web.ask(how, "POST", web.api.url, headers={"Authorization": own}).status_code == 401
    assert sent(web.api) == [own, own]
    assert sent(web.evil) == [None]
    assert web.tokens.asked == []


def test_after_a_redirect_another_listed_host_gets_its_token_not_the_callers_header(
    web: Web,
) -> None:
    def moved(request: Seen) -> bytes:
        there = web.other.url if request.target == "/moved" else f"{web.api.url}/moved"
        return reply(302, "", Location=there)

    web.api.answer = moved
    web.session.get(web.api.url, headers={"Authorization": "Bearer mine"})
    assert sent(web.api) == ["Bearer mine", "Bearer mine"]
    assert sent(web.other) == ["Bearer token-1"]


def test_a_sessions_own_header_and_a_calls_own_auth_are_kept(web: Web) -> None:
    web.session.get(web.api.url, auth=("m", "p"))
    web.session.headers["Authorization"] = "Bearer mine"
    web.session.get(web.api.url)
    web.session.get(web.api.url, headers={"Authorization": None})
    assert sent(web.api) == ["Basic bTpw", "Bearer mine", "Bearer token-1"]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_reused_httpx_request_gets_the_current_token(web: Web, how: str) -> None:
    """The header of the first time is nbauth's, not the caller's own."""
    import ssl

    context = ssl.create_default_context(cafile=str(web.certificates.ca_file))

    async def twice() -> None:
        async with httpx.AsyncClient(verify=context, auth=web.auth) as here:
            request = here.build_request("GET", web.api.url)
            await here.send(request)
            web.tokens.number = 7
            await here.send(request)

    if how == "async":
        asyncio.run(twice())
    else:
        with httpx.Client(verify=context, auth=web.auth) as here:
            request = here.build_request("GET", web.api.url)
            here.send(request)
            web.tokens.number = 7
            here.send(request)
    assert sent(web.api) == ["Bearer token-1", "Bearer token-7"]


def test_httpx_is_imported_when_its_user_does() -> None:
    """httpx takes 60 ms; it sends an object of another class through ``__call__``."""
    code = (
        "import sys; from nbauth.kernel.calls.authorised_session import Auth, AuthorisedSession\n"
        "auth = Auth.__new__(Auth)\n"
        "assert isinstance(auth, Auth) and 'httpx' not in sys.modules\n"
        "import httpx; assert isinstance(auth, httpx.Auth) and isinstance(auth, Auth)\n"
        "assert httpx.Client(auth=auth).auth is auth"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_environments_netrc_and_bundles_are_not_used(
    web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login l password p\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    web.api.answer = reply(302, "", Location=web.evil.url)
    web.session.get(web.api.url)
    assert sent(web.evil) == [None]


def test_thousands_of_mutated_urls_get_no_token() -> None:
    auth = auth_for(HOSTS)
    pieces = ["", ".", "@", ":", "/", "\\", "%2e", "%00", "\t", "#", "?", "evil.example", ":443"]
    host = "graph.microsoft.com"
    for first, second, place in itertools.product(pieces, pieces, range(len(host) + 1)):
        url = f"https://{host[:place]}{first}{second}{host[place:]}/me"
        if auth.scopes_for(url) is None:
            continue
        prepared = requests.Request("GET", url).prepare()
        dialled = requests.adapters.parse_url(prepared.url)
        assert (dialled.scheme, dialled.host, dialled.port or 443) == ("https", host, 443), url
        assert dialled.auth is None, url


# ── a session and a request with its own auth ───────────────────────────────────────────────


def test_the_requests_own_auth_decides_at_every_hop(web: Web) -> None:
    """The first request went out as bob, the next ones as the session's ada."""
    bobs = auth_for(web.hosts, Bobs())
    web.api.answer = reply(302, "", Location=web.other.url)
    web.session.get(web.api.url, auth=bobs)
    assert [sent(web.api), sent(web.other)] == [["Bearer bob-1"], ["Bearer bob-1"]]
    web.other.answer = reply(401, "")
    web.session.get(web.api.url, auth=bobs)
    assert all(str(text).startswith("Bearer bob") for text in sent(web.other))
    web.session.get(web.api.url)
    assert str(sent(web.other)[-1]).startswith("Bearer token"), "the session's own token is used"


@pytest.mark.parametrize("auth", [("u", "p"), None])
def test_another_auth_is_handled_by_requests_at_a_redirect(web: Web, auth: Any) -> None:
    web.evil.answer = lambda request: (
        reply(200, "") if request.target == "/b" else reply(302, "", Location="/b")
    )
    if auth is None:
        web.session.auth = None  # type: ignore[assignment]
    web.session.get(f"{web.evil.url}/a", auth=auth)
    basic = "Basic dTpw" if auth else None
    assert sent(web.evil) == [basic, basic]


def test_a_redirect_after_a_refused_token_keeps_the_requests_auth(web: Web) -> None:
    answers = iter([reply(401, ""), reply(302, "", Location=web.other.url)])
    web.api.answer = lambda _: next(answers)
    web.session.get(web.api.url, auth=auth_for(web.hosts, Bobs()))
    assert all(str(text).startswith("Bearer bob") for text in sent(web.api) + sent(web.other))
    assert len(sent(web.other)) == 1


def test_a_separately_prepared_request_keeps_its_auth_at_a_redirect(web: Web) -> None:
    web.api.answer = reply(302, "", Location=web.other.url)
    request = requests.Request("GET", web.api.url, auth=auth_for(web.hosts, Bobs()))
    web.session.send(request.prepare())
    assert [sent(web.api), sent(web.other)] == [["Bearer bob-1"], ["Bearer bob-1"]]


class RefusesAndRedirects(requests.adapters.HTTPAdapter):
    """Refuses each request, redirects its repetition, and accepts that."""

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        status = 200 if request.url.endswith("/done") else 401
        if status == 401 and not request.hooks["response"]:
            status = 302
        headers = {"Location": "https://api.contoso.com/done"} if status == 302 else {}
        raw = urllib3.HTTPResponse(
            io.BytesIO(b""), status=status, headers=headers, preload_content=False
        )
        return self.build_response(request, raw)  # type: ignore[no-untyped-call]


def test_threads_share_a_session_whose_requests_are_refused_and_then_redirected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The auth of a request was searched for in a dictionary that other threads were changing."""
    monkeypatch.setattr(Refusals, "pass_on", lambda *_: False)
    session = AuthorisedSession(auth_for(HOSTS, Tokens()), None, None)
    session.mount("https://", RefusesAndRedirects())
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(session.get, "https://api.contoso.com/x") for _ in range(800)]
        assert {one.result().status_code for one in asked} == {200}
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize(
    "authority",
    [
        "https://127.0.0.1:8443/11111111-2222-3333-4444-555555555555",
        "https://id.example/common",
        "https://login.microsoftonline.com.evil.example/common",
    ],
)
def test_an_authority_that_only_looks_like_entra_lists_no_host_of_microsofts(
    authority: str,
) -> None:
    """Otherwise a private server's token would be sent to graph.microsoft.com."""
    here = client(authority=authority)
    assert listed_hosts(here, None) == {}
    with pytest.raises(ConfigurationError):
        listed_hosts(here, here.scopes(("User.Read",)))
    assert listed_hosts(client(tenant="contoso.com"), None)
