"""A session of this process at a tenant of Entra whose engine issues JSON Web Tokens."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from nbauth.core.account import Account
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import TokenResponse
from nbauth.testing.engine import FakeEngine
from tests.kernel.conftest import Bench

TENANT = "11111111-aaaa-4444-8888-111111111111"
CLIENT = "33333333-cccc-4444-8888-333333333333"


@dataclass(frozen=True)
class Issued:
    """One access token of the engine."""

    user: str
    scopes: tuple[str, ...]
    expires_on: float


class TenantEngine(FakeEngine):
    """Issues tokens of one tenant, and knows which of them are valid."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.issued: dict[str, Issued] = {}

    def response(
        self, scopes: Iterable[str], *, user: str | None = None, **changes: Any
    ) -> TokenResponse:
        made = super().response(scopes, user=user, **changes)
        who = made.id_token_claims["sub"]
        expires_on = made.received_at + made.expires_in
        token = _access_token(who, made, expires_on)
        self.issued[token] = Issued(who, made.scopes, expires_on)
        claims = {**made.id_token_claims, "tid": TENANT, "oid": f"oid-{who}"}
        return replace(made, access_token=SecretStr(token), id_token_claims=claims)

    def accepts(self, token: str, user: str | None = None) -> bool:
        """Whether the token is one of the user's (``None``: anybody's), and has not expired."""
        known = self.issued.get(token)
        return known is not None and user in (None, known.user) and self._clock() < known.expires_on

    @property
    def newest(self) -> str:
        """The newest access token."""
        return [*self.issued][-1]


def _access_token(user: str, made: TokenResponse, expires_on: float) -> str:
    claims = {
        "iss": f"https://sts.windows.net/{TENANT}/",
        "aud": next(iter(made.scopes)).rpartition("/")[0],
        "nbf": int(made.received_at) - 5,
        "iat": int(made.received_at) - 5,
        "exp": expires_on,
        "sub": user,
        "jti": str(made.access_token),
    }
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().strip("=") for one in parts
    ]
    return ".".join((*encoded, "c2lnbmF0dXJl"))


class TenantBench(Bench):
    """A session configured for the tenant; nobody is signed in."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        super().__init__(self)  # type: ignore[arg-type]
        self.environ.clear()
        self.environ.update({"NBAUTH_TENANT": TENANT, "NBAUTH_CLIENT_ID": CLIENT})

    def time(self) -> float:
        return self.now()

    def _engine_for(self, authority: Any, client_id: str, **_: Any) -> FakeEngine:
        key = (authority.url, client_id)
        if key not in self.engines:
            self.engines[key] = TenantEngine(authority, client_id, clock=self.now)
        return self.engines[key]

    @property
    def tenant(self) -> TenantEngine:
        """The engine of the tenant."""
        made = self._engine_for(self.session.client().authority, CLIENT)
        assert isinstance(made, TenantEngine)
        return made

    def sign_in(self, *scopes: str, user: str = "ada", **options: Any) -> Account:
        self.engine = self.tenant
        return super().sign_in(*scopes, user=user, **options)
