"""A provider with one modified response, and an engine that is driven through all requests."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from nbauth.core.errors import NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.steps import Receiving
from nbauth.oauth.authorities import parse
from nbauth.oauth.engines import engine_for
from nbauth.oauth.engines.protocol import AuthorizationPending, AuthorizationRequest, Engine
from tests.harness.certificates import Certificates
from tests.oauth.servers import Seen, Server, reply

TENANT = "11111111-2222-3333-4444-555555555555"
SUCCESSOR = "the-new-refresh-token"
ENGINES = ("oidc", "microsoft")
WALKS = {
    "discovery": ("issuer", "authorize", "start_device", "revoke"),
    "keys": ("authorize", "redeem"),
    "code": ("authorize", "redeem"),
    "device": ("start_device",),
    "poll": ("start_device", "poll_device"),
    "refresh": ("refresh",),
    "userinfo": ("start_device", "poll_device"),
    "revocation": ("revoke",),
}
"""The calls of an engine that lead to each response."""
NOT_ASKED = {"microsoft": {"userinfo", "revocation"}, "oidc": set[str]()}
"""Responses that an engine never requests."""
PAIRS = [(name, one) for name in ENGINES for one in WALKS if one not in NOT_ASKED[name]]

Bend = Callable[[dict[str, Any]], bytes]
"""Converts a valid response to the one that is sent."""


def sent(body: Any, status: int = 200, **headers: str) -> bytes:
    return reply(status, json.dumps(body), content_type="application/json", **headers)


@cache
def _key() -> RSAKey:
    return RSAKey.generate_key(2048)


@dataclass
class Bent:
    """``bend`` modifies the response of ``where``, one of ``WALKS``; all others are valid."""

    certificates: Certificates
    where: str = ""
    bend: Bend = sent
    name: str = "oidc"
    asked: list[str] = field(default_factory=list)
    nonce: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Values that replace those of the metadata in every case."""

    def __enter__(self) -> Bent:
        self._server = Server(self.certificates, answer=self._answer)
        self._server.__enter__()
        self.base = f"https://127.0.0.1:{self._server.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def issuer(self) -> str:
        return self.base if self.name == "oidc" else f"{self.base}/{TENANT}/v2.0"

    def engine(self) -> Engine:
        address = self.base if self.name == "oidc" else f"{self.base}/{TENANT}"
        verify = str(self.certificates.ca_file)
        return engine_for(parse(address), "notebooks", verify=verify, proxies={})

    def _answer(self, seen: Seen) -> bytes:
        where, body = self._sound(seen)
        self.asked.append(where)
        return self.bend(body) if where == self.where else sent(body)

    def _sound(self, seen: Seen) -> tuple[str, dict[str, Any]]:
        path = urlsplit(seen.target).path
        if path.endswith("/.well-known/openid-configuration"):
            return "discovery", self._metadata()
        if path == "/token":
            grant = parse_qs(seen.body.decode()).get("grant_type", [""])[0]
            kinds = {"authorization_code": "code", "refresh_token": "refresh"}
            where = kinds.get(grant, "poll")
            return where, self._tokens(named=self.where != "userinfo")
        bodies: dict[str, dict[str, Any]] = {
            "keys": {"keys": [_key().as_dict(private=False, use="sig", kid="one", alg="RS256")]},
            "device": self._device(),
            "userinfo": {"sub": "ada", "name": "Ada", "email": "ada@example.org"},
            "revocation": {},
        }
        where = path.strip("/")
        return where, bodies.get(where, {"error": "not_found"})

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.base}/authorize",
            "token_endpoint": f"{self.base}/token",
            "device_authorization_endpoint": f"{self.base}/device",
            "jwks_uri": f"{self.base}/keys",
            "userinfo_endpoint": f"{self.base}/userinfo",
            "revocation_endpoint": f"{self.base}/revocation",
            "end_session_endpoint": f"{self.base}/logout",
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": False,
            "token_endpoint_auth_methods_supported": ["none"],
            **self.metadata,
        }

    def _device(self) -> dict[str, Any]:
        return {
            "device_code": "d",
            "user_code": "ABCD-EFGH",
            "verification_uri": f"{self.base}/device-page",
            "verification_uri_complete": f"{self.base}/device-page?c=ABCD-EFGH",
            "message": "Open the page",
            "expires_in": 600,
            "interval": 1,
        }

    def _tokens(self, named: bool) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": "notebooks", "sub": "ada", "iat": now, "exp": now + 3600,
            "tid": TENANT, "oid": "ada", "nonce": self.nonce,
            **({"preferred_username": "ada@example.org"} if named else {}),
        }  # fmt: skip
        info = json.dumps({"uid": "ada", "utid": TENANT}).encode()
        return {
            "access_token": "an-access-token",
            "refresh_token": SUCCESSOR,
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_expires_in": 7200,
            "scope": "openid read",
            "id_token": jwt.encode({"alg": "RS256", "kid": "one"}, claims, _key()),
            "client_info": base64.urlsafe_b64encode(info).decode(),
        }


@dataclass
class Met:
    """The result of driving an engine through the steps of one walk."""

    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, NbAuthError] = field(default_factory=dict)
    others: dict[str, BaseException] = field(default_factory=dict)
    """Exceptions that are not nbauth's."""

    def faults(self) -> list[str]:
        """Other exceptions, and messages that are not plain sentences."""
        found = [f"{step}: {type(one).__name__}: {one}" for step, one in self.others.items()]
        for step, error in self.errors.items():
            lines = error.lines()
            plain = len(lines) == 2 and all(line.isprintable() for line in lines)
            if not plain or len(lines[0]) > 700 or len(lines[1]) < 10 or not str(error).strip():
                found.append(f"{step}: no plain sentence: {lines!r:.300}")
        return found

    def keeps_the_new_refresh_token(self) -> bool:
        if "refresh" in self.values:
            return bool(self.values["refresh"].refresh_token == SUCCESSOR)
        return bool(self.errors["refresh"].rotated == SUCCESSOR)


def walk(provider: Bent, engine: Engine | None = None, once: bool = False) -> Met:
    """Drive an engine to the modified response; ``once``: stop after its request."""
    engine, met = engine or provider.engine(), Met()
    request = AuthorizationRequest(Scopes.parse(["read"], microsoft=provider.name != "oidc"))
    receiving = Receiving("http://127.0.0.1:1/", "state", forms=False)

    def authorize() -> Any:
        pending = engine.authorize(request, receiving)
        with suppress(ValueError):
            provider.nonce = parse_qs(urlsplit(pending.authorize_url).query).get("nonce", [""])[0]
        return pending

    steps: dict[str, Callable[[], Any]] = {
        "issuer": lambda: (engine.issuer, engine.sign_out_url),
        "authorize": authorize,
        "redeem": lambda: engine.redeem(met.values["authorize"], {"code": "c", "state": "state"}),
        "start_device": lambda: engine.start_device(request),
        "poll_device": lambda: engine.poll_device(met.values["start_device"]),
        "refresh": lambda: engine.refresh("the-old-one", request.scopes),
        "revoke": lambda: engine.revoke("the-old-one"),
    }
    needs = {"redeem": "authorize", "poll_device": "start_device"}
    for step in WALKS[provider.where]:
        if once and provider.where in provider.asked:
            break
        if needs.get(step, step) in (*met.errors, *met.others):
            continue
        try:
            met.values[step] = steps[step]()
        except NbAuthError as error:
            met.errors[step] = error
        except AuthorizationPending:
            met.values[step] = None
        except Exception as error:
            met.others[step] = error
    engine.close()
    return met


_watching: list[list[tuple[Any, ...]]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in ("socket.connect", "socket.getaddrinfo"):
        place = arguments[1] if event == "socket.connect" else arguments[:2]
        _watching[-1].append(tuple(place[:2]))


@cache
def _hooked() -> None:
    sys.addaudithook(_hook)  # PEP 578: there is no way to remove one


@contextmanager
def places() -> Iterator[list[tuple[Any, ...]]]:
    """Collect every host and port that is resolved or connected to."""
    _hooked()
    _watching.append([])
    try:
        yield _watching[-1]
    finally:
        _watching.pop()
