"""OpenAI's clients with a function that returns a token, at an endpoint that checks it."""

from __future__ import annotations

import asyncio
import json
import pickle
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cloudpickle
import httpx
import openai
import pytest
from azure.identity import get_bearer_token_provider

import nbauth
from nbauth.adapters.bearer import token_provider
from nbauth.core.errors import InteractionRequired
from nbauth.testing.clock import FakeClock
from tests.adapters.data.documented import run_examples
from tests.adapters.data.tenant import TenantBench
from tests.harness.certificates import Certificates
from tests.oauth.servers import Seen, Server, reply

COGNITIVE = "https://cognitiveservices.azure.com/.default"
HELLO: Any = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    ],
}


@pytest.fixture
def endpoint(bench: TenantBench, certificates: Certificates) -> Iterator[Server]:
    """An endpoint that accepts the tokens of the tenant for it; ada is signed in."""

    def answer(request: Seen) -> bytes:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not bench.tenant.accepts(token) or bench.tenant.issued[token].scopes != (COGNITIVE,):
            return reply(401, '{"error": {"code": "401", "message": "expired"}}')
        return reply(200, json.dumps(COMPLETION), content_type="application/json")

    bench.sign_in()
    with Server(certificates, answer=answer) as server:
        yield server


def tokens(endpoint: Server) -> list[str]:
    return [one.headers["authorization"].removeprefix("Bearer ") for one in endpoint.seen]


@pytest.fixture
def trusted(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.ca_file)


def azure_client(endpoint: Server, trusted: ssl.SSLContext, provider: Any) -> openai.OpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=endpoint.url,
        api_version="2024-10-21",
        azure_ad_token_provider=provider,
        max_retries=0,
        http_client=httpx.Client(verify=trusted),
    )


def plain_client(endpoint: Server, trusted: ssl.SSLContext, provider: Any) -> openai.OpenAI:
    """The client of Azure's newer endpoints, which takes the same as ``api_key``."""
    return openai.OpenAI(
        base_url=f"{endpoint.url}/openai/v1",
        api_key=provider,
        max_retries=0,
        http_client=httpx.Client(verify=trusted),
    )


@pytest.mark.parametrize("client_of", [azure_client, plain_client])
def test_a_client_gets_a_new_token_when_the_old_one_has_expired(
    endpoint: Server, trusted: ssl.SSLContext, bench: TenantBench, clock: FakeClock, client_of: Any
) -> None:
    with client_of(endpoint, trusted, token_provider(COGNITIVE)) as client:
        for _ in range(2):
            assert client.chat.completions.create(**HELLO).choices[0].message.content == "hi"
        clock.advance(3600)
        assert client.chat.completions.create(**HELLO).choices[0].message.content == "hi"
    first, second, third = tokens(endpoint)
    assert first == second != third
    assert bench.refreshes == 2
    with (
        client_of(endpoint, trusted, lambda: first) as stale,
        pytest.raises(openai.AuthenticationError),
    ):
        stale.chat.completions.create(**HELLO)


def test_an_async_client(
    endpoint: Server, trusted: ssl.SSLContext, bench: TenantBench, clock: FakeClock
) -> None:
    async def asked() -> None:
        async with openai.AsyncAzureOpenAI(
            azure_endpoint=endpoint.url,
            api_version="2024-10-21",
            azure_ad_token_provider=token_provider(COGNITIVE).aio,
            max_retries=0,
            http_client=httpx.AsyncClient(verify=trusted),
        ) as client:
            await asyncio.gather(*(client.chat.completions.create(**HELLO) for _ in range(8)))
            clock.advance(3600)
            await client.chat.completions.create(**HELLO)

    asyncio.run(asked())
    assert len(set(tokens(endpoint))) == 2
    assert bench.refreshes == 2


def test_32_threads_share_one_token(
    endpoint: Server, trusted: ssl.SSLContext, bench: TenantBench
) -> None:
    with (
        azure_client(endpoint, trusted, token_provider(COGNITIVE)) as client,
        ThreadPoolExecutor(32) as pool,
    ):
        done = pool.map(lambda _: client.chat.completions.create(**HELLO), range(32))
        assert len([*done]) == 32
    assert {*tokens(endpoint)} == {bench.tenant.newest}
    assert bench.refreshes == 1


def test_it_means_the_same_as_in_azure_identity(
    bench: TenantBench, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are functions without arguments that return a plain ``str`` for the same scopes."""
    monkeypatch.setattr("azure.core.pipeline.policies._authentication.time", clock)
    bench.sign_in()
    ours = token_provider(COGNITIVE)
    theirs = get_bearer_token_provider(nbauth.credential(), COGNITIVE)
    for _ in range(2):
        assert ours() == theirs() == bench.tenant.newest
        assert type(ours()) is type(theirs()) is str
        clock.advance(3600)
    bench.sign_in(user="bob", force=True)
    for provider in (ours, theirs):  # both keep their account
        assert bench.tenant.issued[provider()].user == "ada"


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_a_pickled_provider_is_a_name(bench: TenantBench, pickler: Any) -> None:
    bench.sign_in()
    provider = token_provider(COGNITIVE)
    token = provider()
    data = pickler.dumps((provider, provider.aio))
    assert not any(part.encode() in data for part in token.split("."))
    loaded, loaded_aio = pickle.loads(data)
    assert loaded() == asyncio.run(loaded_aio()) == token
    assert token not in repr(provider)


def test_nobody_is_signed_in(bench: TenantBench) -> None:
    provider = token_provider(COGNITIVE)
    bench.screen.is_attended = False
    with pytest.raises(InteractionRequired):
        provider()
    with pytest.raises(InteractionRequired):
        asyncio.run(provider.aio())


def test_the_documented_example(
    endpoint: Server, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run_examples("openai", {"https://name.openai.azure.com": endpoint.url})
    client = names["client"].with_options(http_client=httpx.Client(verify=trusted))
    with client:
        assert client.chat.completions.create(**HELLO).choices[0].message.content == "hi"
