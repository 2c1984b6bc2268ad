"""The ``auth`` of one execution; see :mod:`nbauth.kernel.calls.authorised_calls`."""

from __future__ import annotations

from typing import Any

from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr, refuse_pickling
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.bound import Bound
from nbauth.kernel.calls.authorise import Auth
from nbauth.kernel.calls.execution import NOTHING, Execution, belonging_to


class AuthOfExecution(Auth):
    """As ``Auth``, but adds no token once the execution has ended.

    Args:
        auth: chooses the tokens.
        execution: the execution whose calls it authorises.
    """

    def __init__(self, auth: Auth, execution: Execution) -> None:
        apart: Any = _Apart(auth.bound)
        super().__init__(apart, auth._hosts, auth._refusals, public_first=True)
        self._execution = execution

    def scopes_for(self, url: str) -> Scopes | None:
        return super().scopes_for(url) if self._execution.authorised is self._execution else None

    def __reduce__(self) -> Any:
        refuse_pickling(self, "it is valid in the running cell only.")


class _Apart:
    """A ``Bound`` whose own requests, and a sign-in that it starts, belong to no execution.

    Otherwise such a request to a listed host would need the token that it is about to get.
    """

    def __init__(self, bound: Bound) -> None:
        self._bound = bound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bound, name)

    def get(self, *asked: Any) -> AuthenticationResult:
        with belonging_to(NOTHING):
            return self._bound.get(*asked)

    def get_wider(self, *asked: Any) -> AuthenticationResult:
        with belonging_to(NOTHING):
            return self._bound.get_wider(*asked)

    def silent(self, scopes: Scopes) -> SecretStr:
        with belonging_to(NOTHING):
            return self._bound.silent(scopes)

    async def get_async(self, *asked: Any) -> AuthenticationResult:
        with belonging_to(NOTHING):
            return await self._bound.get_async(*asked)

    async def get_wider_async(self, *asked: Any) -> AuthenticationResult:
        with belonging_to(NOTHING):
            return await self._bound.get_wider_async(*asked)

    async def silent_async(self, scopes: Scopes) -> SecretStr:
        with belonging_to(NOTHING):
            return await self._bound.silent_async(scopes)
