"""azure-kusto-data, sync and async, at a cluster on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.kusto.data import KustoClient, KustoConnectionStringBuilder
from azure.kusto.data._cloud_settings import CloudSettings
from azure.kusto.data.aio import KustoClient as AsyncKustoClient
from azure.kusto.data.exceptions import (
    KustoAuthenticationError,
    KustoClientInvalidConnectionStringException,
)

import nbauth
from nbauth.core.errors import ConsentRequired, NbAuthError
from nbauth.testing.engine import refusal
from tests.adapters.azure.conftest import Serve
from tests.adapters.azure.entra import EntraBench, GuardedApi
from tests.harness.certificates import Certificates
from tests.oauth.servers import Seen

KUSTO = "https://kusto.kusto.windows.net"
GRAPH = "https://graph.microsoft.com"
Cluster = Callable[..., tuple[str, GuardedApi]]
Build = Callable[[str], KustoConnectionStringBuilder]

METADATA = {
    "LoginEndpoint": "https://login.microsoftonline.com",
    "LoginMfaRequired": False,
    "KustoClientAppId": "db662dc1-0cfe-4e1c-a843-19a68e65be58",
    "KustoClientRedirectUri": "https://microsoft/kustoclient",
    "KustoServiceResourceId": KUSTO,
    "FirstPartyAuthorityUrl": "https://login.microsoftonline.com/f8cdef31-a31e-4b4a-93e4-5f571e91255a",
}
FRAMES = [
    {"FrameType": "DataSetHeader", "IsProgressive": False, "Version": "v2.0"},
    {
        "FrameType": "DataTable",
        "TableId": 0,
        "TableKind": "PrimaryResult",
        "TableName": "PrimaryResult",
        "Columns": [{"ColumnName": "n", "ColumnType": "long"}],
        "Rows": [[42]],
    },
    {"FrameType": "DataSetCompletion", "HasErrors": False, "Cancelled": False},
]


def rows(request: Seen) -> Any:
    assert (request.method, request.target) == ("POST", "/v2/rest/query")
    assert json.loads(request.body)["csl"] == "T | count"
    return FRAMES


@pytest.fixture
def cluster(
    serve: Serve, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[str, GuardedApi]]]:
    """Starts a cluster; the argument is the API of whose tokens it tells its clients."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.ca_file))

    def start(resource: str = KUSTO) -> tuple[str, GuardedApi]:
        its = {"AzureAD": {**METADATA, "KustoServiceResourceId": resource}}
        server, api = serve(body=rows, public={"/v1/rest/auth/metadata": its})
        return server.url, api

    yield start
    CloudSettings._cloud_cache.clear()


def with_credential(url: str) -> KustoConnectionStringBuilder:
    return KustoConnectionStringBuilder.with_azure_token_credential(url, nbauth.credential())


def with_provider(url: str) -> KustoConnectionStringBuilder:
    from nbauth.adapters.bearer import token_provider

    return KustoConnectionStringBuilder.with_token_provider(
        url, token_provider(f"{KUSTO}/.default")
    )


def with_async_credential(url: str) -> KustoConnectionStringBuilder:
    return KustoConnectionStringBuilder.with_azure_token_credential(url, nbauth.credential().aio)


def with_async_provider(url: str) -> KustoConnectionStringBuilder:
    from nbauth.adapters.bearer import token_provider

    return KustoConnectionStringBuilder.with_async_token_provider(
        url, token_provider(f"{KUSTO}/.default").aio
    )


def query_sync(build: Build, url: str, ca_file: str, pauses: list[Any]) -> list[int]:
    with KustoClient(build(url)) as client:
        return [_n((pause(), client.execute("db", "T | count"))[1]) for pause in pauses]


def query_async(build: Build, url: str, ca_file: str, pauses: list[Any]) -> list[int]:
    import ssl

    import aiohttp

    async def run() -> list[int]:
        async with AsyncKustoClient(build(url)) as client:
            await client._session.close()
            trusted = ssl.create_default_context(cafile=ca_file)
            client._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted))
            return [_n((pause(), await client.execute("db", "T | count"))[1]) for pause in pauses]

    return asyncio.run(run())


def _n(result: Any) -> int:
    (row,) = result.primary_results[0]
    return int(row["n"])


WAYS: dict[str, tuple[Any, Build]] = {
    "credential": (query_sync, with_credential),
    "provider": (query_sync, with_provider),
    "async credential": (query_async, with_async_credential),
    "async provider": (query_async, with_async_provider),
    "credential in async": (query_async, with_credential),
}


@pytest.fixture(params=WAYS)
def query(request: pytest.FixtureRequest, certificates: Certificates) -> Callable[..., list[int]]:
    """Query once for each pause, with one client; each pause is called before."""
    ask, build = WAYS[request.param]
    return lambda url, *pauses: ask(build, url, str(certificates.ca_file), [*pauses])


def now() -> None:
    """Do not wait."""


def test_a_token_expires_while_a_client_is_used(
    bench: EntraBench, cluster: Cluster, query: Callable[..., list[int]]
) -> None:
    bench.sign_in("User.Read")
    url, api = cluster()
    assert query(url, now, now, lambda: bench.clock.advance(4000)) == [42] * 3
    first, same, second = api.seen
    assert first == same != second == bench.entra.newest
    assert bench.entra.issued[second].scopes == (f"{KUSTO}/.default",)
    # The client has closed the credential, which signs nobody out.
    assert nbauth.acquire(f"{KUSTO}/.default").access_token == second


def test_an_error_stands_in_that_of_the_client(
    bench: EntraBench, cluster: Cluster, query: Callable[..., list[int]]
) -> None:
    """The client wraps it; the sentence, the hint and the error itself are kept."""
    bench.sign_in("User.Read")
    bench.screen.is_attended = False
    bench.entra.will("refresh", *[refusal("consent_required")] * 3)
    url, api = cluster()
    with pytest.raises(KustoAuthenticationError) as refused:
        query(url, now)
    inner = refused.value.exception
    assert isinstance(inner, ConsentRequired) and inner is refused.value.__context__
    assert str(inner) in str(refused.value)
    assert api.seen == []


def test_a_host_that_asks_for_a_token_of_another_api(
    bench: EntraBench, cluster: Cluster, certificates: Certificates
) -> None:
    """The cluster names the API of the token. A credential with scopes refuses others."""
    bench.sign_in("User.Read")
    url, api = cluster(GRAPH)
    own = nbauth.credential(f"{KUSTO}/.default")
    build = KustoConnectionStringBuilder.with_azure_token_credential(url, own)
    with pytest.raises(KustoAuthenticationError) as refused:
        query_sync(lambda _: build, url, str(certificates.ca_file), [now])
    assert isinstance(refused.value.exception, NbAuthError)
    assert refused.value.exception.code == "other_scopes"
    assert api.seen == []


def test_a_host_that_is_no_cluster_gets_no_token(bench: EntraBench) -> None:
    """The client has a list of its own."""
    bench.sign_in("User.Read")
    url = "https://kusto.example"
    CloudSettings.add_to_cache(url, CloudSettings.DEFAULT_CLOUD)
    with (
        KustoClient(with_credential(url)) as client,
        pytest.raises(KustoClientInvalidConnectionStringException, match="not trusted"),
    ):
        client.execute("db", "T | count")
    assert bench.refreshes == 0


def test_the_context_of_an_error_shows_no_token(bench: EntraBench) -> None:
    bench.sign_in(f"{KUSTO}/.default")
    error = KustoAuthenticationError("way", ValueError(), credential=nbauth.credential())
    assert "nbauth.Credential" in str(error)
    assert bench.entra.newest not in str(error)
