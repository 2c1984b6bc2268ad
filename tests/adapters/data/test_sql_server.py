"""Access tokens in Microsoft's drivers for SQL Server, and in SQLAlchemy.

The drivers are the real ones. The server speaks the part of the protocol that a login needs.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

import nbauth
from nbauth.adapters.sql import ACCESS_TOKEN, AccessTokenStruct, attributes, use_tokens
from nbauth.core.errors import ConfigurationError, InteractionRequired, TokenError
from nbauth.testing.clock import FakeClock
from tests.adapters.data.documented import run_examples
from tests.adapters.data.odbc import odbc_driver
from tests.adapters.data.tds_server import SqlServer, running_sql_server
from tests.adapters.data.tenant import TenantBench
from tests.docs.blocks import ROOT
from tests.harness.certificates import Certificates

DATABASE = "https://database.windows.net/.default"
QUERY = "SELECT 42 AS n"


@pytest.fixture
def server(certificates: Certificates, bench: TenantBench) -> Iterator[SqlServer]:
    """A server that accepts the tokens of the tenant for it; ada is signed in."""

    def accepts(token: str) -> bool:
        return bench.tenant.accepts(token) and bench.tenant.issued[token].scopes == (DATABASE,)

    bench.sign_in()
    with running_sql_server(certificates, accepts) as server:
        yield server


def pyodbc_connect(server: SqlServer, **options: Any) -> Any:
    import pyodbc

    pyodbc.pooling = False
    return pyodbc.connect(
        f"Driver={odbc_driver()};{server.connection_string}", timeout=5, **options
    )


def mssql_python_connect(server: SqlServer, **options: Any) -> Any:
    import mssql_python

    mssql_python.pooling(enabled=False)
    return mssql_python.connect(server.connection_string, timeout=5, **options)


Connect = Callable[..., Any]
DRIVERS = pytest.mark.parametrize("connect", [pyodbc_connect, mssql_python_connect])


def selected(connection: Any) -> int:
    row = connection.cursor().execute(QUERY).fetchone()
    connection.close()
    return int(row[0])


@pytest.fixture(autouse=True)
def libraries() -> None:
    odbc_driver()


# ── the structure ───────────────────────────────────────────────────────────────────────────────


def test_the_structure_is_the_published_one() -> None:
    """As in the C program of Microsoft's document: a length, then each byte followed by zero."""
    token = "eyJ0.abc-_~+/."
    expanded = b"".join(bytes([byte, 0]) for byte in token.encode())
    assert AccessTokenStruct(token) == struct.pack("<I", len(expanded)) + expanded
    assert AccessTokenStruct("ab") == b"\x04\x00\x00\x00a\x00b\x00"


@pytest.mark.parametrize(
    "token", ["", " ", "a b", "a\nb", "a\0", "é", "😀", "a=b", '"a"', "=", "a;b"]
)
def test_a_malformed_token_does_not_reach_a_driver(token: str) -> None:
    with pytest.raises(TokenError) as refused:
        AccessTokenStruct(token)
    assert refused.value.code == "malformed_token"
    assert not token.strip() or token not in "".join(refused.value.lines())


def test_the_structure_is_masked(bench: TenantBench) -> None:
    bench.sign_in()
    made = attributes()()
    assert "eyJ" not in repr(made)
    assert b"eyJ" not in repr(made).encode("utf-16-le")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(made)


@pytest.mark.parametrize(
    ("cloud", "resource"),
    [
        ("public", "https://database.windows.net"),
        ("usgov", "https://database.usgovcloudapi.net"),
        ("china", "https://database.chinacloudapi.cn"),
    ],
)
def test_the_default_scope_is_of_the_cloud(bench: TenantBench, cloud: str, resource: str) -> None:
    assert f"{resource}/.default" in repr(attributes(cloud=cloud))


# ── the drivers ─────────────────────────────────────────────────────────────────────────────────


@DRIVERS
def test_a_driver_gets_a_new_token_when_the_old_one_has_expired(
    connect: Connect, server: SqlServer, bench: TenantBench, clock: FakeClock
) -> None:
    attrs_before = attributes()
    old = attrs_before()
    assert selected(connect(server, attrs_before=old)) == 42
    clock.advance(3600)
    with pytest.raises(Exception, match="Login failed"):
        connect(server, attrs_before=old)
    assert selected(connect(server, attrs_before=attrs_before())) == 42
    first, refused, last = server.tokens
    assert first == refused != last == bench.tenant.newest
    assert server.refused == 1


def test_mssql_python_takes_a_credential(
    server: SqlServer, bench: TenantBench, clock: FakeClock
) -> None:
    credential = nbauth.credential()
    for _ in range(2):
        assert selected(mssql_python_connect(server, token_provider=credential)) == 42
        clock.advance(3600)
    assert len(set(server.tokens)) == 2


@DRIVERS
def test_32_threads_share_one_token(
    connect: Connect, server: SqlServer, bench: TenantBench
) -> None:
    attrs_before = attributes()
    with ThreadPoolExecutor(32) as pool:
        numbers = pool.map(
            lambda _: selected(connect(server, attrs_before=attrs_before())), range(32)
        )
        assert {*numbers} == {42}
    assert {*server.tokens} == {bench.tenant.newest}
    assert bench.refreshes == 1


@DRIVERS
def test_a_pickled_object_is_a_name(
    connect: Connect, server: SqlServer, bench: TenantBench
) -> None:
    attrs_before = attributes()
    assert selected(connect(server, attrs_before=attrs_before())) == 42
    data = pickle.dumps(attrs_before)
    assert not any(part.encode() in data for part in bench.tenant.newest.split("."))
    assert selected(connect(server, attrs_before=pickle.loads(data)())) == 42


# ── SQLAlchemy ──────────────────────────────────────────────────────────────────────────────────


def engine_of(server: SqlServer, driver: str, create: Any = sqlalchemy.create_engine) -> Any:
    query = {"Encrypt": "strict", "ServerCertificate": str(server.certificate)}
    if driver != "mssqlpython":
        query["driver"] = odbc_driver()
    url = sqlalchemy.URL.create(
        f"mssql+{driver}", None, None, "127.0.0.1", server.port, "master", query
    )
    return create(url, connect_args={"timeout": 5})


@pytest.fixture
def no_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLAlchemy asks nothing of the server on its first connection."""
    from sqlalchemy.dialects.mssql.base import MSDialect

    monkeypatch.setattr(MSDialect, "initialize", lambda self, connection: None)


@pytest.mark.usefixtures("no_questions")
def test_an_async_engine(server: SqlServer, bench: TenantBench) -> None:
    engine = engine_of(server, "aioodbc", create_async_engine)
    use_tokens(engine)

    async def number() -> Any:
        async with engine.connect() as connection:
            row = (await connection.exec_driver_sql(QUERY)).scalar()
        await engine.dispose()
        return row

    assert asyncio.run(number()) == 42
    assert server.tokens == [bench.tenant.newest]


@pytest.mark.usefixtures("no_questions")
@pytest.mark.parametrize("driver", ["pyodbc", "mssqlpython"])
def test_an_engine_signs_in_with_tokens(
    driver: str, server: SqlServer, bench: TenantBench, clock: FakeClock
) -> None:
    engine = engine_of(server, driver)
    use_tokens(engine)
    with engine.connect() as first:
        clock.advance(3600)
        with engine.connect() as second:
            for connection in (first, second):
                assert connection.exec_driver_sql(QUERY).scalar() == 42
    with engine.connect() as again:  # from the pool
        assert again.exec_driver_sql(QUERY).scalar() == 42
    engine.dispose()
    assert len(server.tokens) == len(set(server.tokens)) == 2
    assert server.tokens[-1] == bench.tenant.newest


Calls = list[tuple[list[Any], dict[str, Any]]]


def recorded(engine: Any) -> Calls:
    """Let the engine record what its driver is called with; no connection is opened."""
    calls: Calls = []

    def connect(*arguments: Any, **options: Any) -> Any:
        calls.append(([*arguments], options))
        raise InterruptedError

    engine.dialect.connect = connect
    return calls


def test_what_the_driver_gets(bench: TenantBench) -> None:
    bench.sign_in()
    engine = sqlalchemy.create_engine(
        "mssql+pyodbc://@sql.example/sales?driver=ODBC+Driver+18+for+SQL+Server",
        connect_args={"attrs_before": {103: 5}, "autocommit": True},
    )
    calls = recorded(engine)
    use_tokens(engine)
    with pytest.raises(InterruptedError):
        engine.connect()
    (arguments, given) = calls[0]
    start, _, app = arguments[0].rpartition(";")
    assert start == "DRIVER={ODBC Driver 18 for SQL Server};Server=sql.example;Database=sales"
    assert app.startswith("APP=nbauth-")
    assert "eyJ" not in repr(given)
    assert given == {
        "attrs_before": {103: 5, ACCESS_TOKEN: AccessTokenStruct(bench.tenant.newest)},
        "autocommit": True,
    }


POOLED = """
import sys
from tests.adapters.data.odbc import odbc_driver
odbc_driver()
import pyodbc
from nbauth.adapters.sql import AccessTokenStruct
start, *rest = sys.argv[1:]
for end, token in zip(rest[::2], rest[1::2]):
    attrs_before = {1256: AccessTokenStruct(token)}
    connection = pyodbc.connect(start + end, attrs_before=attrs_before, timeout=5)
    connection.cursor().execute("SELECT 42 AS n").fetchall()
    connection.close()
"""


@pytest.mark.parametrize("own", ["", ";APP=report"])
def test_accounts_do_not_share_pooled_connections(
    server: SqlServer, bench: TenantBench, tmp_path: Path, own: str
) -> None:
    """The driver manager pools connections by the text of the connection string only."""
    ends: list[str] = []
    for user in ("ada", "bob"):
        bench.sign_in(user=user, force=True)
        engine = sqlalchemy.create_engine("mssql+pyodbc://@h/d?driver=D")
        calls = recorded(engine)
        use_tokens(engine)
        with pytest.raises(InterruptedError):
            engine.connect()
        ends += [own + ";" + calls[0][0][0].rpartition(";")[2], bench.tenant.newest]
    assert len({*ends}) == 4
    drivers = f"[ODBC]\nPooling=Yes\n[D]\nDriver={odbc_driver()}\nCPTimeout=60\n"
    (tmp_path / "odbcinst.ini").write_text(drivers)
    start = f"Driver={{D}};{server.connection_string}"
    environment = {**os.environ, "ODBCSYSINI": str(tmp_path), "ODBCINSTINI": "odbcinst.ini"}

    def connect(*arguments: str) -> list[str]:
        server.tokens.clear()
        command = [sys.executable, "-c", POOLED, start, *arguments]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, timeout=30)
        return server.tokens

    ada, bob = ends[:2], ends[2:]
    assert connect(*ada, *ada, *bob, *bob) == [ada[1], bob[1]]
    assert connect(own, ada[1], own, bob[1]) == [ada[1]]  # so it does pool, and bob was ada


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mssql+pyodbc://ada:secret@sql.example/sales?driver=D", "UID"),
        ("mssql+pyodbc://ada@sql.example/sales?driver=D", "UID"),
        ("mssql+mssqlpython://ada:secret@sql.example/sales", "UID"),
        (
            "mssql+pyodbc://@h/d?driver=D&authentication=ActiveDirectoryInteractive",
            "Authentication",
        ),
        ("mssql+pyodbc://?odbc_connect=Server%3Dh%3Bpwd+%3D+secret", "pwd"),
        (
            "mssql+pyodbc://?odbc_connect=Trusted_Connection%3Dyes%3BServer%3Dh",
            "Trusted_Connection",
        ),
    ],
)
def test_another_way_to_sign_in_is_refused(bench: TenantBench, url: str, word: str) -> None:
    bench.sign_in()
    engine = sqlalchemy.create_engine(url)
    calls = recorded(engine)
    use_tokens(engine)
    with pytest.raises(ConfigurationError, match=f"contains {word}") as refused:
        engine.connect()
    assert "secret" not in "".join(refused.value.lines())
    assert calls == []
    assert bench.refreshes == 0


@pytest.mark.parametrize(
    ("query", "more", "code"),
    [
        ("Encrypt=no", {}, "insecure_connection"),
        ("encrypt=Optional", {}, "insecure_connection"),
        ("Encrypt=%7Bno%7D", {}, "insecure_connection"),
        ("Encrypt=yes&Database=x", {"Encrypt": "no"}, "insecure_connection"),
        ("Encrypt=yes", {}, ""),
        ("Encrypt=Mandatory", {}, ""),
        ("Encrypt=strict", {"timeout": 5}, ""),
        ("", {}, ""),
        ("", {"PWD": "secret"}, "bad_setting"),  # drivers add these to the connection string
        ("", {"user": "ada"}, "bad_setting"),
    ],
)
@pytest.mark.parametrize("driver", ["pyodbc", "mssqlpython"])
def test_a_driver_that_might_send_the_token_in_clear_is_refused(
    bench: TenantBench, driver: str, query: str, more: dict[str, Any], code: str
) -> None:
    """With ``Encrypt=no`` it does so if the server says that it has no encryption."""
    bench.sign_in()
    url = f"mssql+{driver}://@sql.example/sales?driver=D&{query}"
    engine = sqlalchemy.create_engine(url, connect_args=more)
    calls = recorded(engine)
    use_tokens(engine)
    with pytest.raises(ConfigurationError if code else InterruptedError) as refused:
        engine.connect()
    assert getattr(refused.value, "code", "") == code
    assert len(calls) == (not code)


@pytest.mark.parametrize("url", ["sqlite://", "mssql+pymssql://@h/d"])
def test_a_database_without_tokens_is_refused(bench: TenantBench, url: str) -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    engine.dialect = sqlalchemy.make_url(url).get_dialect()()
    with pytest.raises(ConfigurationError, match="nbauth has no tokens for"):
        use_tokens(engine)


def test_nobody_is_signed_in(bench: TenantBench) -> None:
    bench.screen.is_attended = False
    engine = sqlalchemy.create_engine("mssql+pyodbc://@h/d?driver=D")
    use_tokens(engine)
    with pytest.raises(InteractionRequired):
        engine.connect()


@pytest.mark.usefixtures("no_questions")
def test_the_documented_examples(server: SqlServer, bench: TenantBench) -> None:
    import pyodbc

    pyodbc.pooling = False
    example = "mssql+pyodbc://@name.database.windows.net/sales?driver=ODBC+Driver+18+for+SQL+Server"
    names = run_examples(
        "sql-server",
        {
            "{ODBC Driver 18 for SQL Server}": odbc_driver(),
            "Server=name.database.windows.net;Database=sales": server.connection_string,
            example: engine_of(server, "pyodbc").url.render_as_string(),
        },
    )
    assert selected(names["connection"]) == 42
    with names["engine"].connect() as connection:
        assert connection.exec_driver_sql(QUERY).scalar() == 42
    names["engine"].dispose()
    assert server.tokens == [bench.tenant.newest] * 2
