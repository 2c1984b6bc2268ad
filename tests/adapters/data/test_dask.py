"""Objects of the notebook in the tasks of a Dask cluster of two processes, with nothing changed.

Storage is Azurite; see ``tests.harness.azurite``. The tokens live for two seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import dask.dataframe
import pandas
import pytest
from distributed import Client, LocalCluster

from nbauth.adapters.dask import serve
from tests.adapters.data.tenant import TenantBench
from tests.adapters.data.test_files import FRAME, LIFE, bench, container, options  # noqa: F401
from tests.harness.certificates import Certificates


@pytest.fixture(scope="module")
def cluster(certificates: Certificates) -> Iterator[LocalCluster]:
    """Two worker processes, which trust the run's certificate authority."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        env={"SSL_CERT_FILE": str(certificates.ca_file)},
    ) as made:
        yield made


@pytest.fixture
def client(cluster: LocalCluster, bench: TenantBench) -> Iterator[Client]:  # noqa: F811
    with Client(cluster) as made:
        serve(made)
        yield made


def test_a_data_frame_is_read_by_workers(
    bench: TenantBench,  # noqa: F811
    client: Client,
    container: str,  # noqa: F811
    options: dict[str, Any],  # noqa: F811
) -> None:
    for number in range(4):
        FRAME.assign(part=number).to_parquet(
            f"{container}/t/{number}.parquet", storage_options=options
        )
    frame = dask.dataframe.read_parquet(f"{container}/t", storage_options=options)
    assert frame.npartitions == 4
    found = frame.compute()
    assert sorted(found["part"].unique()) == [0, 1, 2, 3]
    assert len(found) == 4 * len(FRAME)
    time.sleep(LIFE + 0.1)
    assert frame["n"].sum().compute() == 4 * FRAME["n"].sum()
    frame.to_parquet(f"{container}/copy", storage_options=options)
    copied = pandas.read_parquet(f"{container}/copy", storage_options=options)
    assert len(copied) == len(found)
