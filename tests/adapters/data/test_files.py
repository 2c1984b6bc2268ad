"""pandas, pyarrow, fsspec and Polars read Azure Storage with nbauth's credential, at Azurite.

See ``tests.harness.azurite`` for what Azurite checks. The tokens live for two seconds.
"""

from __future__ import annotations

import pickle
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import adlfs
import cloudpickle
import fsspec
import pandas
import polars
import pyarrow.dataset
import pyarrow.parquet
import pytest
from azure.core.credentials import AccessToken

import nbauth
from nbauth.core.errors import InteractionRequired
from tests.adapters.data.documented import run_examples
from tests.adapters.data.tenant import TenantBench
from tests.harness.azurite import ACCOUNT
from tests.harness.certificates import Certificates

STORAGE = "https://storage.azure.com/.default"
LIFE = 2
"""Seconds from issue to expiry; Azurite refuses an expired token."""
FRAME = pandas.DataFrame({"n": [1, 2, 3], "who": ["ada", "bob", "eve"]})


@pytest.fixture
def bench(
    real_time: TenantBench, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TenantBench]:
    """The process's session, with ada signed in; adlfs trusts the run's certificate authority."""
    trusting = ssl.create_default_context(cafile=certificates.ca_file)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    real_time.sign_in()
    real_time.tenant.lifetime = LIFE
    yield real_time
    adlfs.AzureBlobFileSystem.clear_instance_cache()


@pytest.fixture
def options(account_url: str, bench: TenantBench) -> dict[str, Any]:
    """What a user writes, and the address of Azurite."""
    return {
        "account_name": ACCOUNT,
        "account_host": account_url.removeprefix("https://"),
        "credential": nbauth.credential().aio,
    }


@pytest.fixture
def container(options: dict[str, Any]) -> str:
    """A new container with ``abfs://``."""
    name = f"c{uuid4().hex}"
    adlfs.AzureBlobFileSystem(**options).mkdir(name)
    return f"abfs://{name}"


class Stale:
    """A credential that never renews its token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 600)

    async def close(self) -> None:
        """adlfs calls this."""


def test_pandas_reads_on_after_the_token_has_expired(
    bench: TenantBench, container: str, options: dict[str, Any]
) -> None:
    for name, write in (("csv", FRAME.to_csv), ("parquet", FRAME.to_parquet)):
        write(f"{container}/a.{name}", index=False, storage_options=options)
    old = bench.tenant.newest
    stale = {**options, "credential": Stale(old)}
    time.sleep(LIFE + 0.1)
    with pytest.raises(Exception, match="failed to authenticate"):
        pandas.read_csv(f"{container}/a.csv", storage_options=stale)
    read = (
        pandas.read_csv(f"{container}/a.csv", storage_options=options),
        pandas.read_parquet(f"{container}/a.parquet", storage_options=options),
    )
    for frame in read:
        assert frame.to_dict("list") == FRAME.to_dict("list")
    assert bench.tenant.newest != old


def test_a_file_that_is_open_when_the_token_expires(
    bench: TenantBench, container: str, options: dict[str, Any]
) -> None:
    filesystem = fsspec.filesystem("abfs", **options)
    data = bytes(range(256)) * 64
    filesystem.pipe(f"{container}/big", data)
    with filesystem.open(f"{container}/big", block_size=4096, cache_type="none") as file:
        parts = [file.read(4096)]
        old = bench.tenant.newest
        time.sleep(LIFE + 0.1)
        parts += iter(lambda: file.read(4096), b"")
    assert b"".join(parts) == data
    assert not bench.tenant.accepts(old)


def test_pyarrow_reads_through_fsspec(
    bench: TenantBench, container: str, options: dict[str, Any]
) -> None:
    filesystem = fsspec.filesystem("abfs", **options)
    path = container.removeprefix("abfs://")
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pandas(FRAME), f"{path}/t.parquet", filesystem=filesystem
    )
    table = pyarrow.parquet.read_table(f"{path}/t.parquet", filesystem=filesystem)
    found = pyarrow.dataset.dataset(path, filesystem=filesystem, format="parquet")
    assert table.num_rows == found.count_rows() == 3


def test_polars_reads_on_after_the_token_has_expired(
    bench: TenantBench, container: str, account_url: str, options: dict[str, Any]
) -> None:
    FRAME.to_parquet(f"{container}/p.parquet", storage_options=options)
    scan = polars.scan_parquet(
        container.replace("abfs://", "az://") + "/p.parquet",
        storage_options={
            "account_name": ACCOUNT,
            "endpoint": account_url,
            "allow_invalid_certificates": "true",
        },
        credential_provider=polars.CredentialProviderAzure(credential=nbauth.credential()),
    )
    total = scan.select(polars.col("n").sum())
    assert total.collect().item() == 6
    old = bench.tenant.newest
    time.sleep(LIFE + 0.1)
    assert not bench.tenant.accepts(old)
    assert total.collect().item() == 6
    assert bench.tenant.newest != old


def test_two_accounts_have_two_filesystems(bench: TenantBench, options: dict[str, Any]) -> None:
    """fsspec keeps filesystems by the text of their arguments."""

    def filesystem() -> Any:
        return fsspec.filesystem("abfs", **{**options, "credential": nbauth.credential().aio})

    ada = filesystem()
    assert filesystem() is ada
    bench.sign_in(user="bob", force=True)
    bob = filesystem()
    assert bob is not ada
    bench.session.use("ada@example.com")
    assert filesystem() is ada


def test_two_accounts_in_polars(
    bench: TenantBench, container: str, account_url: str, options: dict[str, Any]
) -> None:
    """Polars keeps its connections to a storage account."""
    FRAME.to_parquet(f"{container}/p.parquet", storage_options=options)

    def read() -> None:
        polars.read_parquet(
            container.replace("abfs://", "az://") + "/p.parquet",
            storage_options={
                "account_name": ACCOUNT,
                "endpoint": account_url,
                "allow_invalid_certificates": "true",
            },
            credential_provider=polars.CredentialProviderAzure(credential=nbauth.credential()),
        )

    for user in ("ada", "bob"):
        bench.sign_in(user=user, force=True)
        read()
        assert user in {one.user for one in bench.tenant.issued.values() if STORAGE in one.scopes}


def test_closing_a_filesystem_does_not_sign_out(
    bench: TenantBench, container: str, options: dict[str, Any]
) -> None:
    first = adlfs.AzureBlobFileSystem(**options, skip_instance_cache=True)
    first.ls(container)
    del first  # its finalizer closes the credential
    assert adlfs.AzureBlobFileSystem(**options).ls(container) == []


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_pickled_options_and_filesystems_are_names(
    bench: TenantBench, container: str, options: dict[str, Any], pickler: Any
) -> None:
    filesystem = fsspec.filesystem("abfs", **options)
    filesystem.pipe(f"{container}/x", b"data")
    provider = polars.CredentialProviderAzure(credential=nbauth.credential())
    assert provider()[0]["bearer_token"] == bench.tenant.newest
    data = pickler.dumps((options, filesystem, provider))
    assert not any(token.encode() in data for token in bench.tenant.issued)
    assert b"eyJ" not in data
    loaded, again, provider_again = pickle.loads(data)
    assert again is filesystem
    assert fsspec.filesystem("abfs", **loaded).cat(f"{container}/x") == b"data"
    assert provider_again()[0]["bearer_token"] == bench.tenant.newest


def test_32_threads_share_one_token(
    bench: TenantBench, container: str, options: dict[str, Any]
) -> None:
    adlfs.AzureBlobFileSystem(**options).pipe(f"{container}/x", b"data")
    bench.tenant.lifetime = 3600
    bench.session.acquire(STORAGE, force_refresh=True)
    before = bench.refreshes
    with ThreadPoolExecutor(32) as pool:
        read = pool.map(
            lambda _: fsspec.filesystem("abfs", **options).cat(f"{container}/x"), range(32)
        )
        assert [*read] == [b"data"] * 32
    assert bench.refreshes == before


def test_nobody_is_signed_in(
    bench: TenantBench, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage client does not repeat the request, as it does after azure-core's errors."""
    repeated: list[object] = []
    retry = "azure.storage.blob._shared.policies_async.ExponentialRetry.get_backoff_time"
    monkeypatch.setattr(retry, lambda *_: repeated.append(1) or 0)
    bench.session.logout(all=True)
    bench.screen.is_attended = False
    given = {**options, "credential": nbauth.credential().aio}
    with pytest.raises(InteractionRequired):
        fsspec.filesystem("abfs", **given).ls("abfs://c")
    assert not repeated


def test_the_documented_examples(
    bench: TenantBench,
    container: str,
    account_url: str,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = {"account_host": options["account_host"]}
    monkeypatch.setitem(fsspec.config.conf, "abfs", host)
    FRAME.to_csv(f"{container}/sales.csv", index=False, storage_options=options)
    here = f'{{"endpoint": "{account_url}", "allow_invalid_certificates": "true", "account_name": '
    names = run_examples(
        "storage",
        {
            'storage_options={"account_name": ': f"storage_options={here}",
            '"account"': f'"{ACCOUNT}"',
            "//container": container.removeprefix("abfs:"),
            '"container/': f'"{container.removeprefix("abfs://")}/',
        },
    )
    assert names["table"].num_rows == 3
    assert names["sales"].collect().to_dict(as_series=False) == FRAME.to_dict("list")


def test_object_store_takes_the_text_of_a_token(
    bench: TenantBench, container: str, account_url: str, options: dict[str, Any]
) -> None:
    """As delta-rs does, by the same library."""
    FRAME.to_parquet(f"{container}/p.parquet", storage_options=options)
    scan = polars.scan_parquet(
        container.replace("abfs://", "az://") + "/p.parquet",
        storage_options={
            "account_name": ACCOUNT,
            "endpoint": account_url,
            "allow_invalid_certificates": "true",
            "bearer_token": str(nbauth.token(STORAGE)),
        },
        credential_provider=None,
    )
    assert scan.select(polars.col("n").sum()).collect().item() == 6
