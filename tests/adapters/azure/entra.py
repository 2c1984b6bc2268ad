"""A session at a tenant of Entra whose engine is a fake, and APIs that know its tokens."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nbauth.core.account import Account
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.challenge import claims_for
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import FakeEngine
from tests.kernel.conftest import Bench
from tests.oauth.servers import Seen, reply

TENANT = "11111111-aaaa-4444-8888-111111111111"
OTHER_TENANT = "22222222-bbbb-4444-8888-222222222222"
CLIENT = "33333333-cccc-4444-8888-333333333333"
VAULT = "https://vault.azure.net/.default"
CAE = {"access_token": {"nbf": {"essential": True, "value": "1700000000"}}}
CP1 = {"xms_cc": {"values": ["CP1"]}}


@dataclass(frozen=True)
class Issued:
    """One access token of the engine."""

    user: str
    scopes: tuple[str, ...]
    expires_on: float


class EntraEngine(FakeEngine):
    """Issues tokens of one tenant, and knows which of them are valid."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.issued: dict[str, Issued] = {}
        self.tenant = self.authority.tenant

    def response(
        self, scopes: Iterable[str], *, user: str | None = None, **changes: Any
    ) -> TokenResponse:
        made = super().response(scopes, user=user, **changes)
        who = made.id_token_claims["sub"]
        claims = {**made.id_token_claims, "tid": self.tenant, "oid": f"oid-{who}"}
        # The engine of another tenant counts its tokens alike.
        made = replace(made, access_token=SecretStr(f"{made.access_token}-{self.tenant[:8]}"))
        expires_on = made.received_at + made.expires_in
        self.issued[str(made.access_token)] = Issued(who, made.scopes, expires_on)
        return replace(made, id_token_claims=claims)

    def accepts(self, token: str) -> bool:
        """Whether it has issued the token, and the token has not expired."""
        known = self.issued.get(token)
        return known is not None and self._clock() < known.expires_on

    @property
    def newest(self) -> str:
        """The newest access token."""
        return [*self.issued][-1]

    @property
    def claims(self) -> list[Any]:
        """The claims requests of all refreshes as Entra gets them; ``None`` for one without."""
        asked = [call.arguments for call in self.calls if call.method == "refresh"]
        sent = [claims_for(one["scopes"], one["claims"]) for one in asked]
        return [claims and json.loads(claims)["access_token"] for claims in sent]


class EntraBench(Bench):
    """A session configured for the tenant; nobody is signed in."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.environ.clear()
        self.environ.update({"NBAUTH_TENANT": TENANT, "NBAUTH_CLIENT_ID": CLIENT})

    def _engine_for(self, authority: Any, client_id: str, **_: Any) -> FakeEngine:
        key = (authority.url, client_id)
        if key not in self.engines:
            self.engines[key] = EntraEngine(authority, client_id, clock=self.clock.time)
        return self.engines[key]

    @property
    def entra(self) -> EntraEngine:
        """The engine of the tenant."""
        made = self._engine_for(self.session.client().authority, CLIENT)
        assert isinstance(made, EntraEngine)
        return made

    def sign_in(self, *scopes: str, user: str = "ada", **options: Any) -> Account:
        self.engine = self._engine_for(self.session.client(**options).authority, CLIENT)
        return super().sign_in(*scopes, user=user, **options)


def claims_challenge(claims: Mapping[str, Any] = CAE) -> str:
    """The challenge of an API that requires other claims."""
    encoded = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
    return (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2'
        f'/authorize", error="insufficient_claims", claims="{encoded}"'
    )


@dataclass
class GuardedApi:
    """The answers of an API that accepts only valid tokens of the engine.

    Attributes:
        seen: the token of each request, ``""`` for none.
        challenges: of the next requests with a valid token.
        refusal: the challenge to all requests without one.
        body: the answer to the others.
        public: the answers at the paths that need no token.
    """

    engine: EntraEngine
    body: Callable[[Seen], Any] = lambda _: {}
    refusal: str = 'Bearer error="invalid_token"'
    challenges: deque[str] = field(default_factory=deque)
    seen: list[str] = field(default_factory=list)
    public: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, request: Seen) -> bytes:
        if request.target in self.public:
            return reply(
                200, json.dumps(self.public[request.target]), content_type="application/json"
            )
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.seen.append(token)
        valid = self.engine.accepts(token)
        if valid and not self.challenges:
            return reply(200, json.dumps(self.body(request)), content_type="application/json")
        challenge = self.challenges.popleft() if valid else self.refusal
        return reply(401, "{}", www_authenticate=challenge, content_type="application/json")

    @property
    def accepted(self) -> list[str]:
        """The tokens of the requests that had one."""
        return [token for token in self.seen if token]
