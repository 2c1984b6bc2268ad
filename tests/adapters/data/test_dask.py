"""Objects of the notebook in the tasks of a Dask cluster of two processes, with nothing changed.

Storage is Azurite; see ``tests.harness.azurite``. The tokens live for two seconds.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import dask.dataframe
import pandas
import pytest
from distributed import Client, LocalCluster

import nbauth
from nbauth.adapters import sql
from nbauth.adapters.bearer import token_provider
from nbauth.adapters.dask import serve
from tests.adapters.data.tenant import TenantBench
from tests.adapters.data.test_files import FRAME, LIFE, bench, container, options  # noqa: F401
from tests.harness.certificates import Certificates
from tests.oauth.servers import Seen, Server, reply


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


def fetched(url: str, session: Any) -> tuple[int, bool]:
    """The status, and whether the last request of the redirects had a token."""
    response = session.get(url)
    return response.status_code, "Authorization" in response.request.headers


def by_httpx(url: str, auth: Any, ca_file: str) -> int:
    import httpx

    with httpx.Client(auth=auth, verify=ssl.create_default_context(cafile=ca_file)) as client:
        return client.get(url).status_code


async def awaited(graph: Any) -> Any:
    return (await graph.get("me"))["seen"]


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def digest_by(credential: Any) -> str:
    return digest(credential.get_token("https://vault.azure.net/.default").token)


def digest_from(provider: Any) -> str:
    return digest(provider())


@pytest.fixture
def host(bench: TenantBench, certificates: Certificates) -> Iterator[Server]:  # noqa: F811
    """A host over TLS that checks tokens, and one that it sends some requests on to."""
    with Server(certificates) as other, Server(certificates) as made:

        def answer(request: Seen) -> bytes:
            if request.target == "/away":
                return reply(302, location=f"https://127.0.0.1:{other.port}/")
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            seen = {"seen": request.headers.get("x-run", "")}
            status = 200 if bench.tenant.accepts(token, "ada") else 401
            return reply(status, json.dumps(seen), content_type="application/json")

        made.answer = answer
        bench.session.configure(
            hosts={f"127.0.0.1:{made.port}": ["User.Read"]}, verify=str(certificates.ca_file)
        )
        yield made
        assert all("authorization" not in seen.headers for seen in other.seen)


def test_calls_in_tasks(
    bench: TenantBench,  # noqa: F811
    client: Client,
    host: Server,
    certificates: Certificates,
) -> None:
    address = f"https://127.0.0.1:{host.port}"
    session = nbauth.session()
    session.headers["X-Run"] = "17"
    graph = nbauth.Graph(base_url=address)
    bench.sign_in("bob")  # the objects keep their account

    def calls() -> list[Any]:
        urls = [f"{address}/{number}" for number in range(20)]
        some = [
            *client.map(fetched, [*urls, f"{address}/away"], session=session, pure=False),
            client.submit(by_httpx, address, session.auth, str(certificates.ca_file), pure=False),
            client.submit(awaited, graph.aio, pure=False),
            client.submit(lambda graph: graph.get("me")["seen"], graph, pure=False),
        ]
        found: list[Any] = client.gather(some)
        return found

    expected = [*[(200, True)] * 20, (200, False), 200, "", ""]
    assert calls() == expected
    time.sleep(LIFE + 0.1)
    assert calls() == expected
    runs = {seen.headers.get("x-run") for seen in host.seen}
    assert runs == {"17", None}


def test_other_objects_in_tasks(bench: TenantBench, client: Client) -> None:  # noqa: F811
    ada = nbauth.credential()
    provider = token_provider("https://vault.azure.net/.default")
    attributes = sql.attributes()
    bench.sign_in("bob")
    found = client.gather([client.submit(digest_by, ada), client.submit(digest_from, provider)])
    adas = {digest(text) for text, issued in bench.tenant.issued.items() if issued.user == "ada"}
    assert adas.issuperset(found)
    assert client.submit(lambda attributes: len(attributes()[1256]) > 100, attributes).result()
