"""A real PostgreSQL whose passwords are access tokens, with the drivers and pools of the field."""

from __future__ import annotations

import asyncio
import pickle
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import asyncpg
import psycopg
import psycopg_pool
import pytest
import requests
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

import nbauth.process_session
from nbauth.adapters import sql
from nbauth.adapters.bearer import token_provider
from nbauth.adapters.sql import use_tokens
from nbauth.core.errors import ConfigurationError
from nbauth.testing.clock import FakeClock
from tests.adapters.data.documented import run_examples
from tests.adapters.data.postgresql import ADMIN, Postgresql, running_postgresql
from tests.adapters.data.tenant import TenantBench
from tests.harness.certificates import Certificates
from tests.harness.panva import Panva
from tests.interop.peers import new_session, peer_of, screen_of
from tests.interop.scripted_browser import ScriptedBrowser

DATABASE = "https://ossrdbms-aad.database.windows.net/.default"
WHO = "SELECT current_user"


@pytest.fixture(scope="module")
def server(certificates: Certificates) -> Iterator[Postgresql]:
    with running_postgresql(certificates) as server:
        yield server


@pytest.fixture
def postgresql(server: Postgresql, bench: TenantBench) -> Postgresql:
    """The server, which accepts the tokens of the tenant; ada is signed in."""
    server.logins.clear()
    server.accepts = lambda user, token: (
        bench.tenant.accepts(token, user) and bench.tenant.issued[token].scopes == (DATABASE,)
    )
    bench.sign_in()
    return server


def url(postgresql: Postgresql, driver: str = "psycopg", **query: str) -> sqlalchemy.URL:
    return sqlalchemy.URL.create(
        f"postgresql+{driver}", "ada", None, "localhost", postgresql.port, ADMIN, query
    )


def verified(postgresql: Postgresql) -> dict[str, str]:
    """What libpq needs to check the server's certificate."""
    return {"sslmode": "verify-full", "sslrootcert": str(postgresql.ca_file)}


def who_am_i(**arguments: Any) -> str:
    with psycopg.connect(**arguments) as connection:
        row = connection.execute(WHO).fetchone()
    assert row is not None
    return str(row[0])


def test_psycopg_gets_a_new_token_when_the_old_one_has_expired(
    postgresql: Postgresql, bench: TenantBench, clock: FakeClock
) -> None:
    password = token_provider(DATABASE)
    assert who_am_i(**postgresql.encrypted, password=password()) == "ada"
    old = bench.tenant.newest
    clock.advance(3600)
    with pytest.raises(psycopg.OperationalError):
        who_am_i(**postgresql.encrypted, password=old)
    assert who_am_i(**postgresql.encrypted, password=password()) == "ada"
    assert postgresql.logins == [old, old, bench.tenant.newest]


def test_a_pool_asks_for_the_token_of_each_new_connection(
    postgresql: Postgresql, bench: TenantBench, clock: FakeClock
) -> None:
    password = token_provider(DATABASE)
    arguments = postgresql.encrypted
    pool = psycopg_pool.ConnectionPool(
        kwargs=lambda: {**arguments, "password": password()}, min_size=1, max_size=1, timeout=10
    )
    with pool:
        with pool.connection() as first:
            clock.advance(3600)
            assert first.execute(WHO).fetchone() == ("ada",)  # an open connection stays open
            first.close()  # so the pool opens another one
        with pool.connection() as second:
            assert second.execute(WHO).fetchone() == ("ada",)
    assert len(set(postgresql.logins)) == 2
    assert bench.refreshes == 2


def test_asyncpg_awaits_the_token_itself(
    postgresql: Postgresql, bench: TenantBench, clock: FakeClock
) -> None:
    password = token_provider(DATABASE)

    async def connections() -> None:
        pool = asyncpg.create_pool(
            url(postgresql, **verified(postgresql)).render_as_string().replace("+psycopg", ""),
            password=password.aio,
            min_size=1,
            max_size=2,
        )
        async with pool, pool.acquire() as first:
            clock.advance(3600)
            async with pool.acquire() as second:
                assert await first.fetchval(WHO) == await second.fetchval(WHO) == "ada"

    asyncio.run(connections())
    assert len(set(postgresql.logins)) == 2
    assert bench.refreshes == 2


def test_an_engine_of_sqlalchemy_signs_in_with_tokens(
    postgresql: Postgresql, bench: TenantBench, clock: FakeClock
) -> None:
    engine = sqlalchemy.create_engine(url(postgresql, **verified(postgresql)))
    use_tokens(engine)
    with engine.connect() as first:
        clock.advance(3600)
        with engine.connect() as second:
            for connection in (first, second):
                assert connection.scalar(sqlalchemy.text(WHO)) == "ada"
    with engine.connect() as again:  # from the pool
        assert again.scalar(sqlalchemy.text(WHO)) == "ada"
    engine.dispose()
    assert len(set(postgresql.logins)) == len(postgresql.logins) == 2
    assert bench.refreshes == 2


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_an_async_engine_does_not_block_its_loop(
    postgresql: Postgresql, bench: TenantBench, driver: str
) -> None:
    ssl = {"ssl": "require"} if driver == "asyncpg" else verified(postgresql)
    engine = create_async_engine(url(postgresql, driver, **ssl))
    use_tokens(engine)
    gate = bench.tenant.hold("refresh")

    async def connected() -> Any:
        async with engine.connect() as connection:
            name = await connection.scalar(sqlalchemy.text(WHO))
        await engine.dispose()
        return name

    async def who() -> Any:
        connecting = asyncio.create_task(connected())
        assert await asyncio.to_thread(gate.reached.wait, 5)
        gate.open()
        return await connecting

    assert asyncio.run(who()) == "ada"
    assert postgresql.logins == [bench.tenant.newest]


def test_an_engine_keeps_its_account(postgresql: Postgresql, bench: TenantBench) -> None:
    engine = sqlalchemy.create_engine(url(postgresql, **verified(postgresql)))
    use_tokens(engine)
    bench.sign_in(user="bob", force=True)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text(WHO)) == "ada"
    engine.dispose()


@pytest.mark.parametrize("create", [sqlalchemy.create_engine, create_async_engine])
def test_a_further_call_replaces_the_account(bench: TenantBench, create: Any) -> None:
    """And what a driver gets is masked, since tracebacks show arguments."""
    bench.sign_in()
    engine = create("postgresql+psycopg://ada@localhost/x")
    given: list[dict[str, Any]] = []
    for user in ("ada", "bob"):
        bench.sign_in(user=user, force=True)
        use_tokens(engine)
    target = getattr(engine, "sync_engine", engine)

    def connecting(*arguments: Any) -> None:
        given.append(arguments[-1])
        raise InterruptedError

    sqlalchemy.event.listen(target, "do_connect", connecting)

    async def connect_async() -> None:
        async with engine.connect():
            pass

    with pytest.raises(InterruptedError):
        engine.connect() if target is engine else asyncio.run(connect_async())
    assert bench.tenant.issued[given[0]["password"]].user == "bob"
    assert "eyJ" not in repr(given)


def test_a_pool_gives_nobody_the_connection_of_another_account(
    postgresql: Postgresql, bench: TenantBench
) -> None:
    engine = sqlalchemy.create_engine(url(postgresql, **verified(postgresql)))
    use_tokens(engine)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text(WHO)) == "ada"
    bench.sign_in(user="bob", force=True)
    use_tokens(engine)
    with pytest.raises(sqlalchemy.exc.OperationalError, match="failed for user"):
        engine.connect()  # the URL names ada
    assert bench.tenant.issued[postgresql.logins[-1]].user == "bob"


def test_32_threads_share_one_token(postgresql: Postgresql, bench: TenantBench) -> None:
    password = token_provider(DATABASE)
    with ThreadPoolExecutor(32) as pool:
        calls = [
            pool.submit(lambda: who_am_i(**postgresql.encrypted, password=password()))
            for _ in range(32)
        ]
    assert {call.result() for call in calls} == {"ada"}
    assert {*postgresql.logins} == {bench.tenant.newest}
    assert bench.refreshes == 1


@pytest.mark.parametrize(
    ("query", "secure"),
    [
        ({}, False),
        ({"sslmode": "prefer"}, False),
        ({"sslmode": "allow"}, False),
        ({"sslmode": "require"}, True),
        ({"sslmode": "verify-full"}, True),
        ({"sslrootcert": "system"}, False),  # libpq before 16 reads a file of that name
    ],
)
def test_a_token_leaves_the_computer_only_over_tls(
    postgresql: Postgresql, query: dict[str, str], secure: bool
) -> None:
    # An address of this computer that nbauth does not recognise as one.
    engine = sqlalchemy.create_engine(url(postgresql, **query).set(host="127.1"))
    use_tokens(engine)
    error: Exception | None = None
    try:
        engine.connect().close()
    except (ConfigurationError, sqlalchemy.exc.OperationalError) as refused:
        error = refused
    assert isinstance(error, ConfigurationError) is not secure
    if isinstance(error, ConfigurationError):
        assert error.code == "insecure_connection"
        assert postgresql.logins == []
    engine.dispose()


REMOTE = "203.0.113.5"


@pytest.mark.parametrize(
    ("driver", "arguments", "environment", "secure"),
    [
        ("psycopg", {}, {}, True),
        ("psycopg", {"hostaddr": REMOTE}, {}, False),  # libpq connects to it, not to the host
        ("psycopg", {"hostaddr": "127.0.0.1"}, {}, True),
        ("psycopg", {}, {"PGHOSTADDR": REMOTE}, False),
        ("psycopg", {"conninfo": f"host={REMOTE}"}, {}, False),
        ("psycopg2", {"dsn": f"host={REMOTE}"}, {}, False),
        ("asyncpg", {"dsn": f"postgresql://{REMOTE}"}, {}, False),
        ("asyncpg", {"host": REMOTE}, {"PGSSLMODE": "require"}, True),
        ("asyncpg", {"host": REMOTE, "ssl": False}, {"PGSSLMODE": "require"}, False),
        ("psycopg", {"host": REMOTE}, {"PGSSLMODE": "require"}, True),
        ("psycopg", {"host": REMOTE, "sslmode": ""}, {"PGSSLMODE": "require"}, False),
        ("psycopg", {"host": REMOTE, "ssl": True}, {}, False),
        ("psycopg", {"host": REMOTE, "sslrootcert": "system", "sslmode": "disable"}, {}, False),
        ("pg8000", {"host": REMOTE}, {"PGSSLMODE": "require"}, False),  # it does not read that
        ("pg8000", {"host": REMOTE, "sslmode": "require"}, {}, False),
        ("pg8000", {"host": REMOTE, "ssl_context": True}, {}, True),
    ],
)
def test_each_driver_by_its_own_arguments(
    monkeypatch: pytest.MonkeyPatch,
    driver: str,
    arguments: dict[str, Any],
    environment: dict[str, str],
    secure: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    login = sql._PostgresqlLogin(Any, Any)  # type: ignore[arg-type]
    expected = nullcontext() if secure else pytest.raises(ConfigurationError, match="encrypted")
    with expected:
        login.check(driver, [], {"host": "localhost", **arguments})


@pytest.mark.parametrize("wrong", [None, "postgresql://h/x", sqlalchemy.create_mock_engine])
def test_what_is_no_engine_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="engine of SQLAlchemy") as error:
        use_tokens(wrong)
    assert "create_engine" in error.value.hint


def test_a_connection_is_no_engine() -> None:
    with (
        sqlalchemy.create_engine("sqlite://").connect() as connection,
        pytest.raises(ConfigurationError, match="engine of SQLAlchemy"),
    ):
        use_tokens(connection)  # type: ignore[arg-type]


def test_sqlalchemy_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ConfigurationError, match="needs the package sqlalchemy") as error:
        use_tokens(None)  # type: ignore[arg-type]
    assert error.value.hint == "%pip install sqlalchemy"


def test_a_url_with_a_password_is_refused(postgresql: Postgresql) -> None:
    engine = sqlalchemy.create_engine(url(postgresql).set(password="secret"))
    use_tokens(engine)
    with pytest.raises(ConfigurationError, match="contains a password"):
        engine.connect()


def test_a_pickled_provider_is_a_name(postgresql: Postgresql, bench: TenantBench) -> None:
    password = token_provider(DATABASE)
    assert who_am_i(**postgresql.encrypted, password=password()) == "ada"
    data = pickle.dumps(password)
    assert not any(token.encode() in data for token in bench.tenant.issued)
    assert who_am_i(**postgresql.encrypted, password=pickle.loads(data)()) == "ada"


def test_tokens_of_a_real_provider(
    server: Postgresql, panva: Panva, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database accepts what the provider's API accepts; a token lives for two seconds."""
    panva.control(access_ttl=2)
    peer = peer_of(panva, "oidc")

    def accepts(user: str, token: str) -> bool:
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(peer.api_url, headers=headers, verify=panva.ca_file, timeout=5)
        return answer.ok and answer.json()["sub"] == user

    server.accepts = accepts
    session = new_session(**peer.settings)
    monkeypatch.setattr(nbauth.process_session, "_session", session)
    session.login(peer.first, web_ui=ScriptedBrowser(panva.ca_file))
    screen_of(session).there = False
    password = token_provider(peer.first)
    first = password()
    assert who_am_i(**server.encrypted, password=first) == "ada"
    time.sleep(2.1)
    with pytest.raises(psycopg.OperationalError):
        who_am_i(**server.encrypted, password=first)
    assert who_am_i(**server.encrypted, password=password()) == "ada"
    session.rest()


def test_the_documented_examples(postgresql: Postgresql, bench: TenantBench) -> None:
    address = f"localhost:{postgresql.port}/{ADMIN}"
    names = run_examples(
        "postgresql",
        {
            '"host": "name.postgres.database.azure.com"': (
                f'"host": "localhost", "port": {postgresql.port}'
            ),
            "name.postgres.database.azure.com/sales": address,
            "ada%40contoso.com": "ada",
            "ada@contoso.com": "ada",
            '"dbname": "sales"': f'"dbname": "{ADMIN}"',
            '"sslrootcert": "system"': f'"sslrootcert": "{postgresql.ca_file}"',
            "sslrootcert=system": f"sslrootcert={postgresql.ca_file}",
        },
    )
    with names["connection"] as connection:
        assert connection.execute(WHO).fetchone() == ("ada",)
    with names["pool"] as pool, pool.connection() as connection:
        assert connection.execute(WHO).fetchone() == ("ada",)
    with names["engine"].connect() as connection:
        assert connection.scalar(sqlalchemy.text(WHO)) == "ada"
    names["engine"].dispose()
    assert {*postgresql.logins} == {bench.tenant.newest}
