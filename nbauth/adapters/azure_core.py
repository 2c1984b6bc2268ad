"""A credential for the Azure SDKs and for all libraries that accept one.

It has the methods of azure-core's ``TokenCredential``, ``SupportsTokenInfo`` and their async twins.
azure-core is imported when a token is requested.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nbauth.core.errors import ConfigurationError, NotSignedIn, TokenError
from nbauth.core.forks import no_fork
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.hosts import narrowed
from nbauth.oauth.authority_forms import GUID
from nbauth.oauth.challenge import Requirement

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo


class _Wanted(NamedTuple):
    """What a library requests."""

    scopes: Scopes
    required: Requirement | None
    tenant: str | None


class _OfAccount:
    """What both credentials have in common.

    Args:
        bound: the client and account.
        own: the only scopes of its tokens; ``None`` for those that a library requests.
    """

    def __init__(self, bound: Bound, own: Scopes | None = None) -> None:
        self._bound = bound
        self._own = own

    def __repr__(self) -> str:
        # fsspec and Dask recognise equal arguments by this text. So it differs for each account.
        own = "" if self._own is None else f" for {self._own}"
        return f"<nbauth.{type(self).__name__}{own} {self._bound.digest}>"

    def __dask_tokenize__(self) -> object:
        return type(self).__name__, self._bound.names, self._own and sorted(self._own.key)

    def _wanted(self, scopes: tuple[str, ...], options: Mapping[str, Any]) -> _Wanted:
        client, claims = self._bound.client, options.get("claims") or None
        wanted = client.scopes(scopes) if self._own is None else narrowed(client, self._own, scopes)
        if options.get("enable_cae"):
            wanted = client.for_calls(wanted)
        if claims is not None:
            from nbauth.kernel.sign_in.request import check_claims

            check_claims(claims)
        required = None if claims is None else Requirement(claims)
        return _Wanted(wanted, required, options.get("tenant_id"))

    def _got(self, wanted: _Wanted) -> AuthenticationResult:
        with _unavailable_if_not_signed_in():
            result = self._bound.get(wanted.scopes, None, wanted.required)
        return self._of_tenant(result, wanted.tenant)

    async def _got_async(self, wanted: _Wanted) -> AuthenticationResult:
        with _unavailable_if_not_signed_in():
            result = await self._bound.get_async(wanted.scopes, None, wanted.required)
        return self._of_tenant(result, wanted.tenant)

    def _of_tenant(self, result: AuthenticationResult, tenant: str | None) -> AuthenticationResult:
        """The result. Raises ``ConfigurationError`` if its tenant is not the service's.

        Only GUIDs are compared: a tenant has several domains, and ``organizations`` is an alias.
        """
        here = result.tenant_id or self._bound.client.authority.tenant
        guids = tenant and all(re.fullmatch(GUID, name or "") for name in (tenant, here))
        if tenant and guids and tenant.lower() != here.lower():
            raise ConfigurationError(
                f"This service accepts tokens of the tenant {tenant}; the token is from the tenant"
                f" {here}.",
                code="other_tenant",
                hint=f"Sign in to that tenant with %login --tenant {tenant}, and use"
                f' nbauth.credential(tenant="{tenant}").',
            )
        return result


class Credential(_OfAccount):
    """A credential for the Azure SDKs; see ``nbauth.credential``.

    It raises the errors of ``nbauth.acquire``. Pickling it stores names, and no token.
    """

    @property
    def aio(self) -> AsyncCredential:
        """A new credential of the same account for async clients. A client may close it."""
        return AsyncCredential(self._bound, self._own)

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A valid access token; ``expires_on`` is in epoch seconds.

        ``options``: ``claims``, a claims challenge (JSON); ``tenant_id``, the service's tenant,
        which has to be the account's; ``enable_cae``, whether the caller answers claims
        challenges. Others are ignored.
        """
        _check_azure_core()
        return _token(self._got(self._wanted(scopes, options)))

    def get_token_info(
        self, *scopes: str, options: Mapping[str, Any] | None = None
    ) -> AccessTokenInfo:
        """The same with the token's type.

        It does not say when to request the next token (``refresh_on``): clients then request one
        for each call of the last five minutes, and nbauth renews it in time.
        """
        _check_azure_core()
        return _info(self._got(self._wanted(scopes, options or {})))

    def close(self) -> None:
        """Does nothing, because the sign-in belongs to the session."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Does nothing; see :meth:`close`."""


class AsyncCredential(_OfAccount):
    """The same for the async clients of the Azure SDKs, and for adlfs."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """As :meth:`Credential.get_token`; the event loop is not blocked."""
        _check_azure_core()
        return _token(await self._got_async(self._wanted(scopes, options)))

    async def get_token_info(
        self, *scopes: str, options: Mapping[str, Any] | None = None
    ) -> AccessTokenInfo:
        """As :meth:`Credential.get_token_info`."""
        _check_azure_core()
        return _info(await self._got_async(self._wanted(scopes, options or {})))

    async def close(self) -> None:
        """Does nothing, because the sign-in belongs to the session."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Does nothing; see :meth:`close`."""


@cache
def _check_azure_core() -> None:
    """Raise ``ConfigurationError`` if azure-core is missing, before a sign-in begins."""
    try:
        with no_fork():  # else a child forked by another thread would wait for this import
            import azure.core.credentials  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "nbauth.credential() needs the package azure-core, which is not installed.",
            code="missing_package",
            hint="%pip install azure-core",
        ) from None


@contextmanager
def _unavailable_if_not_signed_in() -> Iterator[None]:
    """Let azure-identity's ``ChainedTokenCredential`` go on if no account is signed in.

    It does so only after its own ``CredentialUnavailableError``, so nbauth's error is that one too.
    After any other error the chain ends: another identity must not act instead of an account whose
    token was refused. If a client calls without a chain, nbauth's error is none of azure-core's:
    after these, the storage clients repeat the request for more than a minute.
    """
    try:
        yield
    except TokenError as error:
        unavailable = getattr(sys.modules.get("azure.identity"), "CredentialUnavailableError", None)
        absent = isinstance(error, NotSignedIn) or isinstance(error.__cause__, NotSignedIn)
        if unavailable is None or not absent or _caller().startswith("azure.core.pipeline"):
            raise
        raise _as_both(error, unavailable) from error.__cause__


def _caller() -> str:
    """The module that requests the token."""
    frame = sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__") in (__name__, "contextlib"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))


def _as_both(error: TokenError, unavailable: type[Exception]) -> TokenError:
    both = _class_of_both(type(error), unavailable)
    made: TokenError = both.__new__(both, *error.args)  # azure-core's __init__ would keep frames
    made.__dict__.update(error.__dict__)
    return made


def _class_of_both(kind: type[TokenError], unavailable: type[Exception]) -> Any:
    """A class of errors that azure-identity recognises. Pickled, they are of the kind alone."""
    members = {
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "__reduce__": lambda self: (kind, self.args, self.__dict__),
        "message": property(lambda self: f"{self} {self.hint}"),  # what chains report
        **dict.fromkeys(_OF_AZURE_CORE),
    }
    return type(kind.__name__, (kind, unavailable), members)


_OF_AZURE_CORE = (
    "response", "status_code", "reason", "model", "error", "inner_exception", "continuation_token",
    "exc_type", "exc_value", "exc_traceback", "exc_msg",
)  # fmt: skip
"""What azure-core's errors tell of a response; here there is none."""


def _token(result: AuthenticationResult) -> AccessToken:
    from azure.core.credentials import AccessToken

    return AccessToken(result.access_token, int(result.expires_on))


def _info(result: AuthenticationResult) -> AccessTokenInfo:
    return _masked_info()(result.access_token, int(result.expires_on), token_type=result.token_type)


@cache
def _masked_info() -> type[AccessTokenInfo]:
    """azure-core's class, whose ``repr`` would show the token."""
    from azure.core.credentials import AccessTokenInfo

    class Masked(AccessTokenInfo):
        def __repr__(self) -> str:
            return f"AccessTokenInfo(token={self.token!r}, expires_on={self.expires_on})"

    return Masked
