"""Access tokens for databases: SQL Server's drivers, and SQLAlchemy for SQL Server and PostgreSQL.

A token is needed to open a connection. An open connection stays open after its token has expired.
"""

from __future__ import annotations

import re
import struct
from os import environ
from typing import TYPE_CHECKING, Any, NoReturn

from nbauth.core.errors import ConfigurationError, TokenError
from nbauth.core.scopes import Scopes
from nbauth.core.secret import MASK, refuse_pickling
from nbauth.kernel.bound import Bound
from nbauth.process_session import the_session

if TYPE_CHECKING:
    from typing import Unpack

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from nbauth.core.account import Account, AccountKey
    from nbauth.core.options import CallOptions
    from nbauth.oauth.client import Client

ACCESS_TOKEN = 1256
"""``SQL_COPT_SS_ACCESS_TOKEN``, the connection attribute of Microsoft's ODBC driver."""
_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What a bearer token consists of (RFC 6750 §2.1)."""
_OTHER_SIGN_IN = re.compile(
    r"(?:^|;)\s*(UID|User|User ID|PWD|Password|Authentication|Trusted_Connection)\s*=", re.I
)
_WEAK = re.compile(r"(?:^|;)\s*Encrypt\s*=(?!\s*\{?\s*(?:yes|mandatory|strict|true|1)\b)", re.I)
_SQL_SERVER_DRIVERS = ("pyodbc", "mssqlpython", "aioodbc")
_ENCRYPTED = ("require", "verify-ca", "verify-full")
_SERVER_NAMES = ("host", "hostaddr")
"""libpq connects to ``hostaddr`` if both are given."""
_NAMED_ELSEWHERE = ("service", "conninfo", "dsn")
"""Arguments of drivers that may name a server in a form of their own."""
_LOOPBACK = ("", "localhost", "127.0.0.1", "::1")


class AccessTokenStruct(bytes):
    """An access token as Microsoft's ODBC driver needs it; its ``repr`` is masked.

    A length of 4 bytes, then the token in UTF-16-LE without a final zero: the structure
    ``ACCESSTOKEN`` in Microsoft's document "Using Microsoft Entra ID with the ODBC Driver".
    """

    def __new__(cls, token: str) -> AccessTokenStruct:
        if not _B64TOKEN.fullmatch(token):  # the driver would crash with some of these
            raise TokenError(
                "The access token contains characters that no bearer token may have.",
                code="malformed_token",
                hint="Request another one: %token --force-refresh.",
            )
        data = token.encode("utf-16-le")
        return super().__new__(cls, struct.pack("<I", len(data)) + data)

    def __repr__(self) -> str:
        return f"<access token {MASK}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        refuse_pickling(self, "pickle what sql.attributes() returns.")


class TokenAttributes:
    """Calling it returns ``attrs_before`` with a valid token; see :func:`attributes`.

    Pickling it stores names, and no token.
    """

    def __init__(self, bound: Bound, scopes: Scopes) -> None:
        self._bound = bound
        self._scopes = scopes

    def __call__(self) -> dict[int, bytes]:
        return {ACCESS_TOKEN: AccessTokenStruct(str(self._bound.get(self._scopes).access_token))}

    def __dask_tokenize__(self) -> object:
        return "nbauth.sql.attributes", self._bound.names, sorted(self._scopes.key)

    def __repr__(self) -> str:
        return f"<nbauth.TokenAttributes for {self._scopes} {self._bound.digest}>"


def attributes(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    **options: Unpack[CallOptions],
) -> TokenAttributes:
    """What pyodbc and mssql-python take as ``attrs_before``, from a function without arguments.

    It keeps the client and account with which it is created. Calling it raises the errors of
    ``nbauth.token``. The connection string may not contain ``UID``, ``PWD``, ``Authentication`` or
    ``Trusted_Connection``. Default for ``scopes``: Azure SQL in the account's cloud.

    Raises:
        ConfigurationError: a setting or scope is invalid.
    """
    bound = the_session().bind(account, **options)
    return TokenAttributes(bound, _scopes(bound.client, scopes, ""))


def use_tokens(
    engine: Engine | AsyncEngine,
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    **options: Unpack[CallOptions],
) -> None:
    """Let an engine of SQLAlchemy sign in with tokens: each new connection gets a valid one.

    For SQL Server (pyodbc, mssql-python, aioodbc), the token is a connection attribute; for
    PostgreSQL (every driver), it is the password. The engine keeps the client and account with
    which this is called; a further call replaces them. Opening a connection raises the errors of
    ``nbauth.token``. Default for ``scopes``: the database service of Azure in the account's cloud.

    Raises:
        ConfigurationError: the database takes no tokens. Opening a connection raises it if the
            URL names another way to sign in, or if a connection of PostgreSQL to another computer
            would not be encrypted.
    """
    event, target = _engine(engine)
    bound = the_session().bind(account, **options)
    dialect = target.dialect
    if dialect.name == "postgresql":
        login: _Login = _PostgresqlLogin(bound, _scopes(bound.client, scopes, "ossrdbms-aad"))
    elif dialect.name == "mssql" and dialect.driver in _SQL_SERVER_DRIVERS:
        kind = _SqlServerLogin if dialect.driver == "mssqlpython" else _OdbcLogin
        login = kind(bound, _scopes(bound.client, scopes, ""))
    else:
        raise ConfigurationError(
            f"nbauth has no tokens for {dialect.name} with the driver {dialect.driver}.",
            code="bad_setting",
            hint="It has some for postgresql, and for mssql with the drivers"
            f" {', '.join(_SQL_SERVER_DRIVERS)}.",
        )
    for listener in [*dialect.dispatch.do_connect]:  # a cell may run again
        if isinstance(former := getattr(listener, "__self__", None), _Login):
            event.remove(target, "do_connect", former.connecting)
    event.listen(target, "do_connect", login.connecting)
    target.dispose(close=not dialect.is_async)  # its pool may have connections of another account


def _engine(engine: object) -> tuple[Any, Engine]:
    """SQLAlchemy's events, and the engine that has them; ``ConfigurationError`` without one."""
    try:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
    except ImportError:
        raise ConfigurationError(
            "use_tokens needs the package sqlalchemy, which is not installed.",
            code="missing_package",
            hint="%pip install sqlalchemy",
        ) from None
    target = getattr(engine, "sync_engine", engine)
    if not isinstance(target, Engine):
        raise ConfigurationError(
            f"use_tokens needs an engine of SQLAlchemy, not {type(engine).__name__}.",
            code="bad_setting",
            hint="Pass what sqlalchemy.create_engine or create_async_engine returns.",
        )
    return event, target


class _Login:
    """Listens to the event ``do_connect`` of one engine."""

    def __init__(self, bound: Bound, scopes: Scopes) -> None:
        self._bound = bound
        self._scopes = scopes

    def connecting(self, dialect: Any, record: Any, cargs: list[Any], cparams: Any) -> None:
        """SQLAlchemy is about to open a connection: add a token to the arguments of the driver.

        The arguments are copies for this connection, so the engine keeps no token.
        """
        self.check(dialect.driver, cargs, cparams)
        if dialect.is_async:
            from sqlalchemy.util import await_only

            result = await_only(self._bound.get_async(self._scopes))
        else:
            result = self._bound.get(self._scopes)
        self._add(result.access_token, cargs, cparams)

    def check(self, driver: str, cargs: list[Any], cparams: dict[str, Any]) -> None:
        """Raise ``ConfigurationError`` if the driver would not use a token, or would reveal it."""
        raise NotImplementedError

    def _add(self, token: str, cargs: list[Any], cparams: dict[str, Any]) -> None:
        raise NotImplementedError


class _SqlServerLogin(_Login):
    def check(self, driver: str, cargs: list[Any], cparams: dict[str, Any]) -> None:
        arguments, name = _connection_string(cargs, cparams)
        # SQLAlchemy adds this to URLs without a user.
        arguments[name] = arguments[name].replace(";Trusted_Connection=Yes", "")
        added = [f";{key}={value}" for key, value in cparams.items() if key != name]
        text = "".join((arguments[name], *added))  # drivers add their other arguments to it
        if _WEAK.search(text):
            raise ConfigurationError(
                "The connection to the database might not be encrypted.",
                code="insecure_connection",
                hint="Remove Encrypt from the connection string, or use Encrypt=yes or strict.",
            )
        other = _OTHER_SIGN_IN.search(text)
        if other is not None:
            raise ConfigurationError(
                f"The connection string contains {other[1]}. The driver would not use the token.",
                code="bad_setting",
                hint="Name only the server and the database: mssql+pyodbc://@server/database",
            )

    def _add(self, token: str, cargs: list[Any], cparams: dict[str, Any]) -> None:
        given = cparams.get("attrs_before") or {}
        cparams["attrs_before"] = {**given, ACCESS_TOKEN: AccessTokenStruct(token)}


class _OdbcLogin(_SqlServerLogin):
    """By a driver manager of ODBC, which may keep connections open for further use.

    It selects one by the text of the connection string, whatever the token is. So this text has to
    differ for each account. Of a keyword that occurs twice, the first one counts.
    """

    def _add(self, token: str, cargs: list[Any], cparams: dict[str, Any]) -> None:
        super()._add(token, cargs, cparams)
        arguments, name = _connection_string(cargs, cparams)
        arguments[name] += f";APP=nbauth-{self._bound.digest}"


def _connection_string(cargs: list[Any], cparams: dict[str, Any]) -> tuple[Any, Any]:
    """Where it is; aioodbc gets it by name."""
    return (cparams, "dsn") if "dsn" in cparams else (cargs, 0)


class _PostgresqlLogin(_Login):
    def check(self, driver: str, cargs: list[Any], cparams: dict[str, Any]) -> None:
        if cparams.get("password") is not None:
            raise ConfigurationError(
                "The URL of the database contains a password, and the token is the password.",
                code="bad_setting",
                hint="Remove the password from the URL; keep the user.",
            )
        if _stays_here(cargs, cparams) or _encrypted(driver, cparams):
            return
        raise ConfigurationError(
            "The connection to the database might not be encrypted, and the token is the password.",
            code="insecure_connection",
            hint="Add ?sslmode=verify-full&sslrootcert=system to the URL; asyncpg: ?ssl=require.",
        )

    def _add(self, token: str, cargs: list[Any], cparams: dict[str, Any]) -> None:
        cparams["password"] = token


def _stays_here(cargs: list[Any], cparams: dict[str, Any]) -> bool:
    """Whether the database is on this computer. No host means a socket of this computer."""
    if any(cargs) or any(cparams.get(name) for name in _NAMED_ELSEWHERE) or "PGSERVICE" in environ:
        return False
    hosts = [
        str(cparams.get(name) or environ.get(f"PG{name.upper()}", "")) for name in _SERVER_NAMES
    ]
    return all(host in _LOOPBACK or host.startswith("/") for host in ",".join(hosts).split(","))


def _encrypted(driver: str, cparams: dict[str, Any]) -> bool:
    """Whether a driver of PostgreSQL must use TLS, by its own arguments."""
    if driver == "pg8000":
        return bool(cparams.get("ssl_context"))
    asked = cparams.get("ssl" if driver == "asyncpg" else "sslmode")
    asked = environ.get("PGSSLMODE", "") if asked is None else asked
    return asked in _ENCRYPTED if isinstance(asked, str) else bool(asked)


def _scopes(client: Client, scopes: tuple[str, ...], service: str) -> Scopes:
    """The scopes of a call; by default, those of a database service of the account's cloud.

    Azure Database for PostgreSQL has the resource ``https://ossrdbms-aad.database.windows.net`` in
    the public cloud, and Azure SQL ``https://database.windows.net``.
    """
    suffixes = [host for host in client.authority.hosts if host.startswith(".database.")]
    if scopes or not suffixes:
        return client.scopes(scopes)
    host = f"{service}{suffixes[0]}".removeprefix(".")
    return client.scopes((f"https://{host}/.default",))
