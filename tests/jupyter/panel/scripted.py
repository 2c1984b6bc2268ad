"""A scripted provider, and sign-ins at it. The same source runs in tests and in kernels."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from nbauth.core.secret import SecretStr
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.kernel.stored_password import StoredPasswords
from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines.protocol import AuthorizationPending, AuthorizationRequest, DeviceCode
from nbauth.oauth.offer import Offer
from nbauth.testing.screen import RecordingScreen

# In pieces, so that a notebook with this source does not contain them as text.
CODE = "-".join(["WDJB", "MJHT"])
ISSUER = "https://" + "id.example"
PAGE = ISSUER + "/device"
NAME = " ".join(["Ada", "Lovelace"])
USERNAME = "@".join(["ada", "example.com"])
OTHER = "@".join(["charles", "example.com"])
WAYS = ("browser", "device", "paste")


class ScriptedEngine:
    """A provider whose responses the test sets, without a network."""

    authority = Authority("oidc", ISSUER)
    client_id = "notebooks"
    issuer = ISSUER
    sign_out_url = ""

    def __init__(self, **device: Any) -> None:
        facts = {"user_code": CODE, "verification_uri": PAGE, "expires_in": 900.0, **device}
        self.device = DeviceCode(interval=1.0, **facts)
        self.answer: Any = AuthorizationPending()
        self.refusal: Exception | None = None
        self.redeemed: list[str] = []
        self.sent: list[tuple[str, str]] = []
        self.may_start = threading.Event()
        self.may_start.set()

    def start_device(self, request: AuthorizationRequest) -> DeviceCode:
        self.may_start.wait(300)
        if self.refusal is not None:
            raise self.refusal
        return self.device

    def poll_device(self, device: DeviceCode) -> TokenResponse:
        return self._answer()

    def authorize(self, request: AuthorizationRequest, receiving: Any) -> Any:
        state = receiving.state
        url = f"{ISSUER}/authorize?state={state}"
        return SimpleNamespace(
            authorize_url=url, state=state, issuer=self.issuer, requires_iss=False
        )

    def redeem(self, pending: Any, answer: Any) -> TokenResponse:
        self.redeemed.append(answer["code"])
        return self._answer()

    def offer(self) -> Offer:
        return Offer(ISSUER)

    def obtain(self, wanted: Any, request: AuthorizationRequest) -> TokenResponse:
        self.sent.append((wanted.username, str(wanted.password)))
        self.may_start.wait(300)
        return self._answer()

    def abort(self) -> None:
        self.may_start.set()

    def close(self) -> None:
        pass

    def _answer(self) -> TokenResponse:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def tokens(
    name: str = NAME,
    username: str = USERNAME,
    expires_in: float = 3600,
    scopes: tuple[str, ...] = ("openid", "profile"),
) -> TokenResponse:
    claims = {"sub": username, "preferred_username": username, "name": name}
    return TokenResponse(
        SecretStr("an-access" + "-token"),
        expires_in,
        scopes,
        refresh_token=SecretStr("a-refresh-token"),
        id_token_claims=claims,
    )


def session_with(engine: Any, ways: tuple[str, ...] = WAYS) -> Session:
    """A session at that provider, with a screen on which these flows work."""
    session = Session(
        SettingsReader({}),
        RecordingScreen(ways=ways, offers=True),
        lambda *given, **options: engine,
    )
    session._attempts._passwords = StoredPasswords(lambda *_: None)  # no keyring
    session.configure(authority=engine.issuer, client_id=engine.client_id, refresh_ahead=False)
    return session


class Starter:
    """Begins sign-ins as ``nbauth.panel`` does, with the first flow unless one is named.

    ``options`` are those of each sign-in.
    """

    def __init__(self, session: Session, *scopes: str, **options: Any) -> None:
        self.session = session
        self.options = options
        self.scopes = scopes or ("openid", "profile")

    def __call__(self, flow: str | None = None) -> SignIn:
        chosen = {**self.options, **({"flow": flow} if flow else {})}
        return self.session.start(*self.scopes, show=False, **chosen)


def ways_from(flow: str) -> tuple[str, ...]:
    """The usual flows, with the given one first."""
    return (flow, *(way for way in WAYS if way != flow))
