"""azure-storage-blob, sync and async, at Azurite with tokens of a real provider.

See ``tests.harness.azurite`` for what Azurite checks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import BlobServiceClient
from azure.storage.blob import aio as blob_aio

import nbauth
import nbauth.process_session
from nbauth.adapters.azure_core import Credential
from nbauth.core.errors import InteractionRequired
from nbauth.kernel.session import Session
from tests.harness.panva import Panva
from tests.interop.peers import assert_plain, new_session, peer_of, screen_of
from tests.interop.scripted_browser import ScriptedBrowser

SCOPE = "https://storage.azure.com/user_impersonation"
LIFE = 2
"""Seconds until the first token expires; Azurite refuses it then. Later ones live longer."""

Copy = Callable[..., list[bytes]]


@pytest.fixture
def session(panva: Panva, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The process's session, signed in at the issuer of Microsoft's shape."""
    made = new_session(**peer_of(panva, "microsoft").settings)
    monkeypatch.setattr(nbauth.process_session, "_session", made)
    panva.control(entra_tokens=True, access_ttl=LIFE)
    made.login(SCOPE, web_ui=ScriptedBrowser(panva.ca_file))
    screen_of(made).there = False
    return made


def copy_sync(url: str, credential: Credential, pauses: list[Any], options: Any) -> list[bytes]:
    with BlobServiceClient(url, credential, **options) as service:
        container = service.create_container(f"c{uuid4().hex}")
        container.upload_blob("one", b"the data")
        read = [(pause(), container.download_blob("one").readall())[1] for pause in pauses]
        assert [blob.name for blob in container.list_blobs()] == ["one"]
        return read


def copy_async(url: str, credential: Credential, pauses: list[Any], options: Any) -> list[bytes]:
    async def run() -> list[bytes]:
        async with blob_aio.BlobServiceClient(url, credential.aio, **options) as service:
            container = await service.create_container(f"c{uuid4().hex}")
            await container.upload_blob("one", b"the data")
            read = []
            for pause in pauses:
                pause()
                read.append(await (await container.download_blob("one")).readall())
            assert [blob.name async for blob in container.list_blobs()] == ["one"]
            return read

    return asyncio.run(run())


@pytest.fixture(params=[copy_sync, copy_async], ids=["sync", "async"])
def copy(request: pytest.FixtureRequest, account_url: str, panva: Panva) -> Copy:
    """Upload a blob, and read it once for each pause; each pause is called before."""

    def run(credential: Credential, *pauses: Any, **more: Any) -> list[bytes]:
        options = {"connection_verify": panva.ca_file, "retry_total": 0, **more}
        read: list[bytes] = request.param(account_url, credential, [*pauses], options)
        return read

    return run


def test_a_token_expires_while_a_client_is_used(session: Session, panva: Panva, copy: Copy) -> None:
    before = str(session.acquire(SCOPE).access_token)

    def later() -> None:
        panva.control(access_ttl=600)
        time.sleep(LIFE + 0.1)

    assert copy(nbauth.credential(SCOPE), time.time, later) == [b"the data"] * 2
    assert str(session.acquire(SCOPE).access_token) != before
    assert 1 <= panva.token_requests("refresh_token") <= 2  # 2 if the machine is slow


def test_azurite_refuses_the_token_that_has_expired(
    session: Session, panva: Panva, account_url: str
) -> None:
    """So the test above would fail with a token that is not renewed."""
    expired = nbauth.credential(SCOPE).get_token(SCOPE)
    time.sleep(LIFE + 0.1)

    class Stale:
        def get_token(self, *scopes: str, **options: Any) -> Any:
            return expired

    with (
        BlobServiceClient(
            account_url, Stale(), connection_verify=panva.ca_file, retry_total=0
        ) as service,
        pytest.raises(ClientAuthenticationError, match="expired"),
    ):
        service.create_container("never")


def test_the_scope_that_the_client_requests(session: Session, panva: Panva, copy: Copy) -> None:
    """Without scopes of its own, the credential requests ``.default``."""
    panva.control(access_ttl=600)
    default = "https://storage.azure.com/.default"
    session.login(default, web_ui=ScriptedBrowser(panva.ca_file), force=True)
    session.acquire(SCOPE, force_refresh=True)
    assert copy(nbauth.credential(), time.time) == [b"the data"]
    assert default in [one["scope"].split()[0] for one in panva.requests("token") if one["scope"]]


def test_a_token_for_another_api_is_refused(session: Session, panva: Panva, copy: Copy) -> None:
    panva.control(access_ttl=600)
    session.login("User.Read", web_ui=ScriptedBrowser(panva.ca_file), force=True)
    graph = str(session.acquire("User.Read").access_token)

    class OfGraph:
        def get_token(self, *scopes: str, **options: Any) -> Any:
            from azure.core.credentials import AccessToken

            return AccessToken(graph, int(time.time()) + 600)

        @property
        def aio(self) -> Any:
            return OfGraphAsync()

    class OfGraphAsync:
        async def get_token(self, *scopes: str, **options: Any) -> Any:
            return OfGraph().get_token()

    with pytest.raises(ClientAuthenticationError, match="audience"):
        copy(OfGraph(), time.time)


def test_32_threads_with_one_client(session: Session, panva: Panva, account_url: str) -> None:
    with BlobServiceClient(
        account_url, nbauth.credential(SCOPE), connection_verify=panva.ca_file
    ) as service:
        container = service.create_container(f"c{uuid4().hex}")
        panva.control(access_ttl=600)
        time.sleep(LIFE)
        before = panva.token_requests("refresh_token")
        with ThreadPoolExecutor(32) as pool:
            done = [*pool.map(lambda n: container.upload_blob(f"b{n}", b"x"), range(32))]
        assert len(done) == len([*container.list_blob_names()]) == 32
    assert panva.token_requests("refresh_token") == before + 1


def test_a_sign_in_that_was_revoked(session: Session, panva: Panva, copy: Copy) -> None:
    panva.revoke()
    time.sleep(LIFE)
    with pytest.raises(InteractionRequired) as dead:
        copy(nbauth.credential(SCOPE), time.time)
    assert_plain(dead.value)
