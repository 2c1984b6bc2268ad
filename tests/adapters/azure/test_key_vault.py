"""azure-keyvault-secrets, sync and async, at a vault on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets import aio as secrets_aio
from azure.keyvault.secrets._shared import HttpChallengeCache

import nbauth
from nbauth.adapters.azure_core import Credential
from nbauth.core.errors import ConfigurationError, ConsentRequired
from nbauth.testing.engine import refusal
from tests.adapters.azure.conftest import Serve
from tests.adapters.azure.entra import (
    CAE,
    CP1,
    OTHER_TENANT,
    TENANT,
    VAULT,
    EntraBench,
    claims_challenge,
)
from tests.harness.certificates import Certificates

Read = Callable[..., list[str]]
GRAPH = "https://graph.microsoft.com"


def challenge(tenant: str = TENANT, resource: str = "https://vault.azure.net") -> str:
    """What a vault answers to a request without a token."""
    return (
        f'Bearer authorization="https://login.microsoftonline.com/{tenant}", resource="{resource}"'
    )


def secret(request: Any) -> dict[str, Any]:
    return {"value": "the value", "id": f"https://{request.headers['host']}/secrets/one/1"}


@pytest.fixture(autouse=True)
def no_challenge_is_known() -> Iterator[None]:
    HttpChallengeCache.clear()
    yield
    HttpChallengeCache.clear()


def read_sync(url: str, credential: Credential, pauses: list[Any], options: Any) -> list[str]:
    with SecretClient(url, credential, **options) as client:
        return [str((pause(), client.get_secret("one").value)[1]) for pause in pauses]


def read_async(url: str, credential: Credential, pauses: list[Any], options: Any) -> list[str]:
    async def run() -> list[str]:
        async with secrets_aio.SecretClient(url, credential.aio, **options) as client:
            return [str((pause(), (await client.get_secret("one")).value)[1]) for pause in pauses]

    return asyncio.run(run())


@pytest.fixture(params=[read_sync, read_async], ids=["sync", "async"])
def read(request: pytest.FixtureRequest, certificates: Certificates) -> Read:
    """Read a secret once for each pause, with one client; each pause is called before."""
    options = {
        "connection_verify": str(certificates.ca_file),
        "verify_challenge_resource": False,  # the vault of the tests is not at *.vault.azure.net
        "retry_total": 0,
    }

    def call(url: str, *pauses: Any, **more: Any) -> list[str]:
        values: list[str] = request.param(
            url, more.pop("credential", nbauth.credential()), [*pauses], {**options, **more}
        )
        return values

    return call


def now() -> None:
    """Do not wait."""


def test_a_token_expires_while_a_client_is_used(
    bench: EntraBench, serve: Serve, read: Read
) -> None:
    bench.sign_in("User.Read")
    server, api = serve(body=secret, refusal=challenge())
    later = lambda: bench.clock.advance(4000)  # noqa: E731
    assert read(server.url, now, now, later) == ["the value"] * 3
    assert api.seen[0] == ""  # the client asks for the challenge first
    first, same, second = api.accepted
    assert first == same != second == bench.entra.newest
    assert set(bench.entra.issued[second].scopes) == {VAULT}
    assert bench.entra.claims == [CP1, CP1]


def test_a_claims_challenge(bench: EntraBench, serve: Serve, read: Read) -> None:
    bench.sign_in("User.Read")
    server, api = serve(body=secret, refusal=challenge())
    api.challenges.append(claims_challenge())
    assert read(server.url, now, now) == ["the value"] * 2
    assert bench.entra.claims == [CP1, {**CAE["access_token"], **CP1}]
    assert api.accepted[-1] == bench.entra.newest


def test_a_vault_of_another_tenant(bench: EntraBench, serve: Serve, read: Read) -> None:
    bench.sign_in("User.Read")
    server, api = serve(body=secret, refusal=challenge(OTHER_TENANT))
    with pytest.raises(ConfigurationError, match=OTHER_TENANT) as refused:
        read(server.url, now)
    assert refused.value.code == "other_tenant"
    assert api.accepted == []
    bench.sign_in("User.Read", tenant=OTHER_TENANT)
    HttpChallengeCache.clear()
    api.engine = bench.engine  # type: ignore[assignment]
    guest = nbauth.credential(tenant=OTHER_TENANT)
    assert read(server.url, now, credential=guest) == ["the value"]


def test_a_host_that_asks_for_a_token_of_another_api(
    bench: EntraBench, serve: Serve, read: Read
) -> None:
    """The client refuses it, unless told not to; a credential with scopes refuses it anyway."""
    bench.sign_in("User.Read")
    server, api = serve(body=secret, refusal=challenge(resource=GRAPH))
    with pytest.raises((ValueError, HttpResponseError)):
        read(server.url, now, verify_challenge_resource=True)
    with pytest.raises(ConfigurationError) as refused:
        read(server.url, now, credential=nbauth.credential(VAULT))
    assert refused.value.code == "other_scopes"
    assert api.accepted == []
    assert bench.refreshes == 0


def test_an_error_is_nbauths_own(bench: EntraBench, serve: Serve, read: Read) -> None:
    bench.sign_in("User.Read")
    bench.screen.is_attended = False
    server, api = serve(body=secret, refusal=challenge())
    bench.entra.will("refresh", *[refusal("consent_required")] * 3)
    with pytest.raises(ConsentRequired) as refused:
        read(server.url, now)
    assert len(refused.value._render_traceback_()) == 2
    assert api.accepted == []


def test_many_threads(bench: EntraBench, serve: Serve, certificates: Certificates) -> None:
    """One client in 32 threads, after its token has expired."""
    from concurrent.futures import ThreadPoolExecutor

    bench.sign_in("User.Read")
    server, api = serve(body=secret, refusal=challenge())
    options = {"connection_verify": str(certificates.ca_file), "verify_challenge_resource": False}
    with SecretClient(server.url, nbauth.credential(), **options) as client:
        client.get_secret("one")
        bench.clock.advance(4000)
        with ThreadPoolExecutor(32) as pool:
            values = [*pool.map(lambda _: client.get_secret("one").value, range(32))]
    assert values == ["the value"] * 32
    assert bench.refreshes == 2
    assert json.dumps(api.accepted).count(bench.entra.newest) == 32
