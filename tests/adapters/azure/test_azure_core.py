"""The credential with azure-core's own policies, at an API on loopback."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from azure.core import AsyncPipelineClient, PipelineClient
from azure.core.credentials import AccessToken, AccessTokenInfo, SupportsTokenInfo, TokenCredential
from azure.core.credentials_async import AsyncSupportsTokenInfo, AsyncTokenCredential
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    BearerTokenCredentialPolicy,
)
from azure.core.rest import HttpRequest

import nbauth
from nbauth.adapters.azure_core import Credential
from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
)
from nbauth.testing.engine import refusal, unreachable
from tests.adapters.azure.conftest import Serve
from tests.adapters.azure.entra import CAE, CP1, VAULT, EntraBench, claims_challenge
from tests.harness.certificates import Certificates
from tests.kernel.conftest import at_once

API = "https://vault.azure.net/.default"
Get = Callable[..., list[int]]


def get_sync(credential: Credential, urls: list[str], options: dict[str, Any]) -> list[int]:
    policy = BearerTokenCredentialPolicy(credential, API, enable_cae=options.pop("cae", False))
    pause = options.pop("pause", lambda: None)
    with PipelineClient("", policies=[policy], **options) as client:
        return [_first(client.send_request(HttpRequest("GET", url)), pause) for url in urls]


def get_async(credential: Credential, urls: list[str], options: dict[str, Any]) -> list[int]:
    cae, pause = options.pop("cae", False), options.pop("pause", lambda: None)

    async def run() -> list[int]:
        policy = AsyncBearerTokenCredentialPolicy(credential.aio, API, enable_cae=cae)
        async with AsyncPipelineClient("", policies=[policy], **options) as client:
            return [
                _first(await client.send_request(HttpRequest("GET", url)), pause) for url in urls
            ]

    return asyncio.run(run())


def _first(response: Any, pause: Callable[[], object]) -> int:
    pause()
    return int(response.status_code)


@pytest.fixture(params=[get_sync, get_async], ids=["sync", "async"])
def get(request: pytest.FixtureRequest, certificates: Certificates) -> Get:
    """Get the URLs with one client, one after the other; ``pause`` is called after each."""

    def all_of(credential: Credential, *urls: str, **options: Any) -> list[int]:
        options["connection_verify"] = str(certificates.ca_file)
        answers: list[int] = request.param(credential, [*urls], options)
        return answers

    return all_of


def test_it_has_azure_cores_protocols(bench: EntraBench) -> None:
    made = nbauth.credential()
    assert isinstance(made, TokenCredential) and isinstance(made, SupportsTokenInfo)
    assert isinstance(made.aio, AsyncTokenCredential)
    assert isinstance(made.aio, AsyncSupportsTokenInfo)


def test_what_it_returns(bench: EntraBench) -> None:
    bench.sign_in(API)
    result = nbauth.acquire(API)
    with nbauth.credential() as made:
        token, info = made.get_token(API), made.get_token_info(API, options={})
    assert isinstance(token, AccessToken) and isinstance(info, AccessTokenInfo)
    assert token.token == info.token == bench.entra.newest
    for shown in (repr(token), repr(info), repr(token.token), str(token), str(info), f"{info}"):
        assert bench.entra.newest not in shown  # IPython shows the last value of a cell
    assert f"Bearer {token.token}" == f"Bearer {bench.entra.newest}"
    assert token.expires_on == info.expires_on == int(result.expires_on)
    assert (info.token_type, info.refresh_on) == ("Bearer", None)


@pytest.mark.parametrize("lifetime", [3600, 120])
def test_a_token_that_expires_while_a_client_is_used(
    bench: EntraBench, serve: Serve, get: Get, lifetime: float
) -> None:
    """azure-core keeps a token of more than five minutes itself, and always asks for another."""
    bench.sign_in(API)
    bench.entra.lifetime = lifetime
    nbauth.acquire(API, force_refresh=True)
    server, api = serve()
    answers = get(
        nbauth.credential(), *[server.url] * 4, pause=lambda: bench.clock.advance(lifetime * 0.4)
    )
    assert answers == [200] * 4
    assert len(set(api.seen)) == bench.refreshes == 2
    assert api.seen[-1] == bench.entra.newest


def test_a_claims_challenge(bench: EntraBench, serve: Serve, get: Get) -> None:
    bench.sign_in(API)
    server, api = serve()
    assert get(nbauth.credential(), server.url) == [200]
    api.challenges.append(claims_challenge())
    assert get(nbauth.credential(), server.url, server.url, cae=True) == [200, 200]
    # A token that declares the capability, then one with the claims; that one is kept.
    assert bench.entra.claims == [CP1, {**CAE["access_token"], **CP1}]
    assert api.seen[-1] == api.seen[-2] == bench.entra.newest
    assert get(nbauth.credential(), server.url, cae=True) == [200]
    assert len(bench.entra.claims) == 2


def test_a_client_that_declares_no_capability_gets_a_token_without_it(bench: EntraBench) -> None:
    bench.sign_in(API)
    made = nbauth.credential()
    plain, declared = made.get_token(API), made.get_token(API, enable_cae=True)
    assert plain.token != declared.token
    assert made.get_token_info(API, options={"enable_cae": True}).token == declared.token
    assert made.get_token(API, claims="").token == plain.token  # as azure-identity reads it
    assert bench.entra.claims == [CP1]


@pytest.mark.parametrize("claims", ["{", "[]", "7", "x" * 5000])
def test_claims_that_are_none(bench: EntraBench, claims: str) -> None:
    bench.sign_in(API)
    for call in (nbauth.credential().get_token, nbauth.credential().get_token_info):
        with pytest.raises(ConfigurationError):
            call(API, claims=claims) if call.__name__ == "get_token" else call(
                API, options={"claims": claims}
            )
    assert bench.refreshes == 0


def test_one_refresh_for_many_threads(bench: EntraBench) -> None:
    bench.sign_in(API)
    made = nbauth.credential()
    bench.clock.advance(3500)
    gate = bench.entra.hold("refresh")
    outcomes = at_once(32, lambda: made.get_token(API).token, bench.flights, gate.open)
    assert set(outcomes) == {bench.entra.newest}
    assert bench.refreshes == 1


def test_many_coroutines_in_loops_that_end(bench: EntraBench) -> None:
    """The async credential belongs to no event loop."""
    bench.sign_in(API)
    made = nbauth.credential().aio

    async def many() -> set[str]:
        async with made:
            tokens = await asyncio.gather(*[made.get_token(API) for _ in range(32)])
        await made.close()
        return {token.token for token in tokens}

    for refreshes in (1, 2):
        bench.clock.advance(3500)
        assert asyncio.run(many()) == {bench.entra.newest}
        assert bench.refreshes == refreshes


def test_nbauth_run_in_a_running_loop(bench: EntraBench) -> None:
    bench.sign_in(API)
    bench.clock.advance(3500)
    made = nbauth.credential().aio

    async def cell() -> str:
        return nbauth.run(made.get_token(API)).token

    assert asyncio.run(cell()) == bench.entra.newest


def test_closing_it_signs_nobody_out(bench: EntraBench) -> None:
    bench.sign_in(API)
    made = nbauth.credential()
    with made:
        pass
    made.close()
    assert made.get_token(API).token == nbauth.credential().get_token(API).token


@pytest.mark.parametrize("make", [nbauth.credential, lambda: nbauth.credential().aio])
def test_nothing_of_it_contains_a_token(bench: EntraBench, make: Callable[[], Any]) -> None:
    bench.sign_in(API)
    nbauth.acquire(VAULT)
    made = make()
    secrets = [*bench.entra.issued, *bench.entra.live]
    texts = [repr(made), str(made), f"{made}", *map(str, vars(made).values())]
    data = [pickle.dumps(made, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    assert secrets
    for secret in secrets:
        assert not any(secret in text for text in texts)
        assert not any(secret.encode() in one for one in data)
    assert repr(pickle.loads(data[-1])) == repr(made) == repr(copy.deepcopy(made))


FAILURES: dict[str, tuple[Any, type[NbAuthError]]] = {
    "the refresh is refused": (refusal("invalid_grant"), InteractionRequired),
    "consent is needed": (refusal("consent_required"), ConsentRequired),
    "no network": (unreachable(), AuthorityUnreachable),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_errors_pass_through_a_client(
    bench: EntraBench, serve: Serve, get: Get, failure: str
) -> None:
    outcome, kind = FAILURES[failure]
    bench.sign_in("User.Read")
    bench.screen.is_attended = False
    bench.entra.will("refresh", *[outcome] * 3)
    server, api = serve()
    with pytest.raises(kind) as raised:
        get(nbauth.credential(), server.url)
    assert len(raised.value._render_traceback_()) == 2
    assert raised.value.hint in raised.value._render_traceback_()[1]
    assert api.seen == []


def test_errors_of_an_answer_to_a_challenge_pass_through_a_client(
    bench: EntraBench, serve: Serve, get: Get
) -> None:
    bench.sign_in(API)
    bench.screen.is_attended = False
    server, api = serve()
    api.challenges.append(claims_challenge())
    bench.entra.will("refresh", None, refusal("interaction_required"))
    with pytest.raises(InteractionRequired) as raised:
        get(nbauth.credential(), server.url, cae=True)
    assert "--claims" in raised.value.hint
    assert len(api.seen) == 1


def test_nobody_is_signed_in(bench: EntraBench, serve: Serve, get: Get) -> None:
    bench.screen.is_attended = False
    server, api = serve()
    made = nbauth.credential()
    with pytest.raises(InteractionRequired, match="Nobody is signed in here yet"):
        get(made, server.url)
    ada = bench.sign_in(API)
    assert get(made, server.url) == [200]
    nbauth.logout(ada)
    with pytest.raises(NotSignedIn):
        get(made, server.url)
    assert len(api.seen) == 1


def test_http_gets_no_token(bench: EntraBench, get: Get) -> None:
    """azure-core itself refuses; nbauth is not asked."""
    bench.sign_in(API)
    with pytest.raises(Exception, match="not permitted for non-TLS"):
        get(nbauth.credential(), "http://127.0.0.1:9/")
    assert bench.refreshes == 0
