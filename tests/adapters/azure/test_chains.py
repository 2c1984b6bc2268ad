"""The credential as a member of azure-identity's chains."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import azure.identity.aio
import azure.storage.blob.aio
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.transport import AsyncHttpTransport, HttpTransport
from azure.identity import ChainedTokenCredential, CredentialUnavailableError
from azure.storage.blob import BlobServiceClient

import nbauth
from nbauth.core.errors import InteractionRequired, NotSignedIn, TokenError
from nbauth.testing.engine import refusal, unreachable
from tests.adapters.azure.entra import TENANT, EntraBench

API = "https://vault.azure.net/.default"


class Next:
    """The next member of a chain."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("of the next one", 2**31)


class NextAsync:
    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("of the next one", 2**31)


def in_sync() -> str:
    return ChainedTokenCredential(nbauth.credential(), Next()).get_token(API).token


def in_async() -> str:
    chain = azure.identity.aio.ChainedTokenCredential(nbauth.credential().aio, NextAsync())

    async def get() -> str:
        return (await chain.get_token(API)).token

    return asyncio.run(get())


@pytest.fixture(params=[in_sync, in_async], autouse=True)
def in_chain(request: pytest.FixtureRequest, bench: EntraBench) -> Callable[[], str]:
    bench.screen.is_attended = False
    get: Callable[[], str] = request.param
    return get


def test_it_is_used_if_an_account_is_signed_in(
    bench: EntraBench, in_chain: Callable[[], str]
) -> None:
    bench.sign_in(API)
    assert in_chain() == bench.entra.newest


def test_the_chain_goes_on_if_nobody_is_signed_in(in_chain: Callable[[], str]) -> None:
    assert in_chain() == "of the next one"


@pytest.mark.parametrize(
    "outcome", [refusal("invalid_grant"), refusal("consent_required"), unreachable()]
)
def test_the_chain_ends_if_the_account_gets_no_token(
    bench: EntraBench, in_chain: Callable[[], str], outcome: Any
) -> None:
    bench.sign_in("User.Read")
    bench.entra.will("refresh", *[outcome] * 3)
    with pytest.raises(ClientAuthenticationError, match="redential: ") as ended:
        in_chain()
    assert "of the next one" not in str(ended.value)


def test_a_chain_that_ends_without_a_token_says_what_to_do() -> None:
    with pytest.raises(ClientAuthenticationError) as ended:
        ChainedTokenCredential(nbauth.credential()).get_token(API)
    with pytest.raises(InteractionRequired) as alone:
        nbauth.credential().get_token(API)
    assert f"Credential: {alone.value} {alone.value.hint}" in str(ended.value)


def test_the_error_is_nbauths_own_too(bench: EntraBench) -> None:
    nobody = bench.session
    with pytest.raises(InteractionRequired) as raised:
        nbauth.credential().get_token(API)
    with pytest.raises(InteractionRequired) as plain:
        nobody.acquire(API)
    assert isinstance(raised.value, CredentialUnavailableError)
    assert raised.value._render_traceback_() == plain.value._render_traceback_()
    assert raised.value.code == plain.value.code == "not_signed_in"
    assert isinstance(raised.value.__cause__, NotSignedIn)
    assert str(raised.value) == str(plain.value)


class Sent(Exception):
    """A client has sent a request."""


class Wire(HttpTransport):  # type: ignore[type-arg]
    """What a client sends and how often it waits; there are no responses."""

    def __init__(self) -> None:
        self.waits = 0

    def send(self, request: Any, **options: Any) -> Any:
        raise Sent(request.headers["Authorization"])

    def sleep(self, duration: float) -> None:
        self.waits += 1

    def open(self) -> None: ...
    def close(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


class AsyncWire(AsyncHttpTransport):  # type: ignore[type-arg]
    """The same for async clients."""

    def __init__(self) -> None:
        self.waits = 0

    async def send(self, request: Any, **options: Any) -> Any:
        raise Sent(request.headers["Authorization"])

    async def sleep(self, duration: float) -> None:
        self.waits += 1

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


ACCOUNT = "https://account.blob.core.windows.net"


def ask_sync(credential: Any, wire: Wire) -> None:
    BlobServiceClient(ACCOUNT, credential, transport=wire).get_account_information()


def ask_async(credential: Any, wire: AsyncWire) -> None:
    client = azure.storage.blob.aio.BlobServiceClient(ACCOUNT, credential, transport=wire)
    asyncio.run(client.get_account_information())


def test_a_client_without_a_chain_repeats_nothing() -> None:
    """The storage clients repeat a request after each error of azure-core, with long waits."""
    for wire, ask in ((Wire(), ask_sync), (AsyncWire(), ask_async)):
        credential = nbauth.credential()
        with pytest.raises(InteractionRequired) as raised:
            ask(credential.aio if ask is ask_async else credential, wire)
        assert raised.value.code == "not_signed_in"
        assert wire.waits == 0


class Own:
    """A chain that somebody wrote."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        try:
            return nbauth.credential().get_token(*scopes, **options)
        except CredentialUnavailableError:
            return Next().get_token(*scopes)


class OwnAsync:
    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        try:
            return await nbauth.credential().aio.get_token(*scopes, **options)
        except CredentialUnavailableError:
            return await NextAsync().get_token(*scopes)

    async def close(self) -> None: ...


def test_any_chain_goes_on_within_a_client() -> None:
    for chain in (Own(), ChainedTokenCredential(nbauth.credential(), Next())):
        with pytest.raises(Sent, match=r"^Bearer of the next one$"):
            ask_sync(chain, Wire())
    aio: Any = azure.identity.aio.ChainedTokenCredential(nbauth.credential().aio, NextAsync())
    for chain in (OwnAsync(), aio):
        with pytest.raises(Sent, match=r"^Bearer of the next one$"):
            ask_async(chain, AsyncWire())


def test_an_account_that_has_signed_out(bench: EntraBench) -> None:
    bench.sign_in(API)
    made = nbauth.credential()
    nbauth.logout()
    with pytest.raises(NotSignedIn) as raised:
        made.get_token(API)
    assert isinstance(raised.value, CredentialUnavailableError)


WITHOUT = """
import sys
import nbauth
from nbauth.core.errors import InteractionRequired
try:
    nbauth.credential().get_token("User.Read")
except InteractionRequired as error:
    assert type(error) is InteractionRequired, type(error)
assert "azure.identity" not in sys.modules and "azure.core" in sys.modules
"""


def test_without_azure_identity_it_is_not_imported() -> None:
    environment = {"NBAUTH_TENANT": TENANT, "NBAUTH_CLIENT_ID": "x", "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_an_error_that_is_both_can_be_logged_and_pickled() -> None:
    with pytest.raises(TokenError) as raised:
        nbauth.credential().get_token(API)
    error: Any = raised.value
    assert error.__notes__ == [f"→ {error.hint}"]
    assert (error.response, error.status_code, error.error) == (None, None, None)
    assert error.hint in error.message
    loaded = pickle.loads(pickle.dumps(error))
    assert type(loaded) is InteractionRequired
    assert (str(loaded), loaded.hint, loaded.code) == (str(error), error.hint, error.code)
    assert "InteractionRequired" in repr(error)
