"""The source of a held ``Token``."""

from __future__ import annotations

import logging

from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.accounts.token_table import TokenKey
from nbauth.kernel.bound import Bound
from nbauth.kernel.tokens import Tokens

log = logging.getLogger(__name__)


class LiveToken:
    """What a ``Token`` reads from; see ``core.tokens.TokenSource``.

    Args:
        bound: the client and account; the account is fixed.
        scopes: of the token.
    """

    __slots__ = ("_bound", "_scopes", "_tokens", "_where", "owner")

    def __init__(self, tokens: Tokens, bound: Bound, scopes: Scopes) -> None:
        assert bound.key is not None
        self.owner = bound.key
        self._bound = bound
        self._scopes = scopes
        self._where = TokenKey(bound.key, scopes.key)
        self._tokens = tokens.cache.tokens

    def read(self) -> SecretStr:
        cached = self._tokens.get(self._where)
        if cached is not None and cached.fresh:
            cached.used = True
            log.debug("%s: from the cache", self._scopes)
            return cached.response.access_token
        return self._bound.get(self._scopes).access_token

    def result(self) -> AuthenticationResult:
        return self._bound.get(self._scopes)
