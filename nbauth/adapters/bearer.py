"""A function that returns an access token, for clients that call one before each request.

Such as OpenAI's ``azure_ad_token_provider``, Kusto's token provider and a PostgreSQL password.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbauth.core.scopes import Scopes
from nbauth.kernel.bound import Bound
from nbauth.process_session import the_session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Unpack

    from nbauth.core.account import Account, AccountKey
    from nbauth.core.options import CallOptions


class TokenProvider:
    """Calling it returns a valid access token as ``str``; see :func:`token_provider`.

    Pickling it stores names, and no token.
    """

    def __init__(self, bound: Bound, scopes: Scopes) -> None:
        self._bound = bound
        self._scopes = scopes

    def __call__(self) -> str:
        return str(self._bound.cached(self._scopes) or self._bound.get(self._scopes).access_token)

    @property
    def aio(self) -> Callable[[], Awaitable[str]]:
        """The same as a coroutine function, for async clients."""
        return self._get_async

    async def _get_async(self) -> str:
        return str((await self._bound.get_async(self._scopes)).access_token)

    def __dask_tokenize__(self) -> object:
        return "nbauth.token_provider", self._bound.names, sorted(self._scopes.key)

    def __repr__(self) -> str:
        return f"<nbauth.TokenProvider for {self._scopes} {self._bound.digest}>"


def token_provider(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    **options: Unpack[CallOptions],
) -> TokenProvider:
    """A function without arguments that returns a valid access token for the scopes.

    It keeps the client and account with which it is created. Calling it raises the errors of
    ``nbauth.token``.

    Raises:
        ConfigurationError: a setting or scope is invalid.
    """
    bound = the_session().bind(account, **options)
    return TokenProvider(bound, bound.client.scopes(scopes))
