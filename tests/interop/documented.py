"""Two providers on loopback that behave as Google and GitHub document.

Google: "OAuth 2.0 for Desktop Apps", "OAuth 2.0 for TV and Limited-Input Device", "OpenID
Connect" (developers.google.com/identity). GitHub: "Authorizing OAuth apps", "Refreshing user access
tokens" (docs.github.com/apps). An authorization request is redirected at once, without a page.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.harness.certificates import Certificates
from tests.oauth.servers import Seen, Server, reply

CLIENT_ID, CLIENT_SECRET = "notebooks.apps.example", "GOCSPX-s3cr%t/+"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True)
class Asked:
    """One parsed request."""

    path: str
    fields: Mapping[str, str]
    headers: Mapping[str, str]

    @classmethod
    def of(cls, seen: Seen) -> Asked:
        parts = urlsplit(seen.target)
        pairs = parse_qsl(parts.query) + parse_qsl(seen.body.decode())
        assert len(dict(pairs)) == len(pairs), "a parameter twice (RFC 6749 §3.2)"
        return cls(parts.path, dict(pairs), seen.headers)

    def credentials(self) -> tuple[str | None, str | None]:
        """Client id and secret, sent by one of the two methods of RFC 6749 §2.3.1."""
        basic = self.headers.get("authorization", "").removeprefix("Basic ")
        if basic:
            assert "client_secret" not in self.fields
            name, _, secret = b64decode(basic).decode().partition(":")
            return unquote_plus(name), unquote_plus(secret)
        return self.fields.get("client_id"), self.fields.get("client_secret")


def as_json(body: Any, status: int = 200) -> bytes:
    return reply(status, json.dumps(body), Content_Type="application/json; charset=utf-8")


def as_form(body: Mapping[str, Any]) -> bytes:
    return reply(200, urlencode(body), Content_Type="application/x-www-form-urlencoded")


def as_page(status: int, text: str) -> bytes:
    return reply(status, f"<html><title>{text}</title></html>", Content_Type="text/html")


@dataclass
class Documented:
    """The common part: codes with PKCE, device codes, grants. ``asked``: all requests, in order."""

    server: Server
    asked: list[Asked] = field(default_factory=list)
    codes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    grants: dict[str, str] = field(default_factory=dict)
    access: dict[str, str] = field(default_factory=dict)
    methods: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.server.answer = self._answer

    @property
    def url(self) -> str:
        return self.server.url

    def approve(self) -> None:
        """Approve the code, as if the person had typed it."""
        for device in self.devices.values():
            device["approved"] = True

    def to(self, path: str) -> list[Asked]:
        return [one for one in self.asked if one.path == path]

    def _pages(self) -> Mapping[str, Callable[[Asked], bytes]]:
        raise NotImplementedError

    def _answer(self, seen: Seen) -> bytes:
        asked = Asked.of(seen)
        self.asked.append(asked)
        page = self._pages().get(asked.path)
        return page(asked) if page else as_page(404, "Not Found")

    def _redirect_with_code(self, asked: Asked) -> bytes:
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked.fields
        back = urlencode({"code": code, "state": asked.fields["state"]})
        return reply(302, "", Location=f"{asked.fields['redirect_uri']}?{back}")

    def _redeemed(self, asked: Asked) -> Mapping[str, str] | None:
        """The request of this code, if the code exists and the verifier matches."""
        given = self.codes.pop(asked.fields.get("code", ""), None)
        digest = sha256(asked.fields.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).decode().rstrip("=")
        if given is None or given["code_challenge"] != challenge:
            return None
        return given if given["redirect_uri"] == asked.fields.get("redirect_uri") else None

    def _is_client(self, asked: Asked) -> bool:
        self.methods.add("basic" if "authorization" in asked.headers else "post")
        return asked.credentials() == (CLIENT_ID, CLIENT_SECRET)

    def _issued(self, scope: str, prefix: str) -> str:
        token = prefix + secrets.token_urlsafe(24)
        self.access[token] = scope
        return token


class Google(Documented):
    """Refuses unknown scopes; ``access_type=offline`` gives a refresh token."""

    SCOPES = ("openid", "email", "profile")
    DRIVE = "https://www.googleapis.com/auth/drive.readonly"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})

    def _pages(self) -> Mapping[str, Callable[[Asked], bytes]]:
        return {
            "/.well-known/openid-configuration": self._metadata,
            "/o/oauth2/v2/auth": self._authorize,
            "/token": self._token,
            "/device/code": self._device,
            "/revoke": self._revoke,
            "/oauth2/v3/certs": lambda _: as_json({"keys": [self.key.as_dict(private=False)]}),
            "/v1/userinfo": lambda _: as_json({"sub": "10769150350006150715113082367"}),
        }

    def _metadata(self, _: Asked) -> bytes:
        return as_json(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/o/oauth2/v2/auth",
                "device_authorization_endpoint": f"{self.url}/device/code",
                "token_endpoint": f"{self.url}/token",
                "userinfo_endpoint": f"{self.url}/v1/userinfo",
                "revocation_endpoint": f"{self.url}/revoke",
                "jwks_uri": f"{self.url}/oauth2/v3/certs",
                "response_types_supported": ["code", "token", "id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": list(self.SCOPES),
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "client_secret_basic",
                ],
                "code_challenge_methods_supported": ["plain", "S256"],
                "grant_types_supported": [
                    "authorization_code",
                    "refresh_token",
                    DEVICE_GRANT,
                    "urn:ietf:params:oauth:grant-type:jwt-bearer",
                ],
            }
        )

    def _knows(self, scope: str) -> bool:
        return bool(scope) and set(scope.split()) <= {*self.SCOPES, self.DRIVE}

    def _authorize(self, asked: Asked) -> bytes:
        if not self._knows(asked.fields.get("scope", "")):
            return as_page(400, "Error 400: invalid_scope")
        return self._redirect_with_code(asked)

    def _device(self, asked: Asked) -> bytes:
        if asked.fields.get("client_id") != CLIENT_ID:
            return as_json({"error": "invalid_client", "error_description": "not found"}, 401)
        if not self._knows(asked.fields.get("scope", "")):
            return as_json({"error": "invalid_scope", "error_description": "unknown"}, 400)
        code = f"4/{secrets.token_urlsafe(16)}"
        self.devices[code] = {"approved": False, "scope": asked.fields["scope"]}
        return as_json(
            {
                "device_code": code,
                "user_code": "GQVQ-JKEC",
                "verification_url": f"{self.url}/device",
                "expires_in": 1800,
                "interval": 1,
            }
        )

    def _token(self, asked: Asked) -> bytes:
        if not self._is_client(asked):
            said = "client_secret is missing."
            return as_json({"error": "invalid_request", "error_description": said}, 400)
        match asked.fields.get("grant_type"):
            case "authorization_code":
                given = self._redeemed(asked)
                if given is None:
                    return as_json({"error": "invalid_grant", "error_description": "Bad"}, 400)
                lasts = given.get("access_type") == "offline"
                return self._tokens(given["scope"], given.get("nonce"), lasts=lasts)
            case "refresh_token":
                scope = self.grants.get(asked.fields["refresh_token"])
                if scope is None:
                    said = "Token has been expired or revoked."
                    return as_json({"error": "invalid_grant", "error_description": said}, 400)
                return self._tokens(scope, None, lasts=False)
        device = self.devices.get(asked.fields.get("device_code", ""))
        if device is None:
            return as_json({"error": "invalid_grant", "error_description": "Malformed"}, 400)
        if not device["approved"]:
            said = "Precondition Required"
            return as_json({"error": "authorization_pending", "error_description": said}, 428)
        return self._tokens(device["scope"], None, lasts=True)

    def _tokens(self, scope: str, nonce: str | None, *, lasts: bool) -> bytes:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "azp": CLIENT_ID,
            "aud": CLIENT_ID,
            "sub": "10769150350006150715113082367",
            "email": "ada@example.org",
            "email_verified": True,
            "name": "Ada Lovelace",
            "iat": now,
            "exp": now + 3600,
            **({"nonce": nonce} if nonce else {}),
        }
        granted = scope.replace("email", "https://www.googleapis.com/auth/userinfo.email")
        answer = {
            "access_token": self._issued(scope, "ya29."),
            "expires_in": 3599,
            "scope": granted,
            "token_type": "Bearer",
            "id_token": jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key),
        }
        if lasts:
            token = f"1//{secrets.token_urlsafe(24)}"
            self.grants[token] = scope
            answer["refresh_token"] = token
        return as_json(answer)

    def _revoke(self, asked: Asked) -> bytes:
        known = self.grants.pop(asked.fields.get("token", ""), None)
        return as_json({}) if known else as_json({"error": "invalid_token"}, 400)


class GitHub(Documented):
    """No metadata, no ID token; form encoding unless JSON is requested; errors with HTTP 200.

    Tokens expire after eight hours and can be refreshed, like those of a GitHub App.
    """

    def _pages(self) -> Mapping[str, Callable[[Asked], bytes]]:
        return {
            "/login/oauth/authorize": self._redirect_with_code,
            "/login/oauth/access_token": self._token,
            "/login/device/code": self._device,
            "/api/user": self._user,
        }

    def settings(self) -> dict[str, str]:
        return {
            "authority": self.url,
            "authorization_endpoint": f"{self.url}/login/oauth/authorize",
            "token_endpoint": f"{self.url}/login/oauth/access_token",
            "device_authorization_endpoint": f"{self.url}/login/device/code",
            "userinfo_endpoint": f"{self.url}/api/user",
        }

    def _said(self, asked: Asked, body: Mapping[str, Any]) -> bytes:
        wanted = asked.headers.get("accept", "")
        return as_json(body) if "application/json" in wanted else as_form(body)

    def _error(self, asked: Asked, error: str, text: str) -> bytes:
        uri = "https://docs.github.com/apps"
        return self._said(asked, {"error": error, "error_description": text, "error_uri": uri})

    def _device(self, asked: Asked) -> bytes:
        if asked.fields.get("client_id") != CLIENT_ID:
            return as_page(404, "Not Found")
        code = secrets.token_hex(20)
        self.devices[code] = {"approved": False, "scope": asked.fields.get("scope", "")}
        return self._said(
            asked,
            {
                "device_code": code,
                "user_code": "WDJB-MJHT",
                "verification_uri": f"{self.url}/login/device",
                "expires_in": 900,
                "interval": 1,
            },
        )

    def _token(self, asked: Asked) -> bytes:
        grant_type = asked.fields.get("grant_type")
        if grant_type == DEVICE_GRANT:
            if asked.credentials()[0] != CLIENT_ID:
                text = "The client_id is not valid."
                return self._error(asked, "incorrect_client_credentials", text)
            device = self.devices.get(asked.fields["device_code"])
            if device is None:
                return self._error(asked, "incorrect_device_code", "The device_code is not valid.")
            if not device["approved"]:
                return self._error(asked, "authorization_pending", "The request is still pending.")
            return self._tokens(asked, device["scope"])
        if not self._is_client(asked):
            text = "The client_id and/or client_secret passed are incorrect."
            return self._error(asked, "incorrect_client_credentials", text)
        if grant_type == "refresh_token":
            scope = self.grants.pop(asked.fields["refresh_token"], None)
            if scope is None:
                text = "The refresh token passed is incorrect or expired."
                return self._error(asked, "bad_refresh_token", text)
            return self._tokens(asked, scope)
        given = self._redeemed(asked)
        if given is None:
            text = "The code passed is incorrect or expired."
            return self._error(asked, "bad_verification_code", text)
        return self._tokens(asked, given.get("scope", ""))

    def _tokens(self, asked: Asked, scope: str) -> bytes:
        refresh = f"ghr_{secrets.token_hex(20)}"
        self.grants[refresh] = scope
        return self._said(
            asked,
            {
                "access_token": self._issued(scope, "ghu_"),
                "expires_in": 28800,
                "refresh_token": refresh,
                "refresh_token_expires_in": 15897600,
                "scope": ",".join(scope.split()),
                "token_type": "bearer",
            },
        )

    def _user(self, asked: Asked) -> bytes:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.access:
            return as_json({"message": "Bad credentials", "status": "401"}, 401)
        return as_json({"login": "octocat", "id": 583231, "name": "Ada", "email": None})


@contextmanager
def serving(kind: type[Documented], certificates: Certificates | None) -> Iterator[Any]:
    """Start one of them: at https if certificates are given, else at http."""
    with Server(certificates) as server:
        yield kind(server)


def followed(ca_file: str) -> Callable[[str], str]:
    """A ``web_ui`` that follows the authorize address; an error page raises."""

    def visit(address: str) -> str:
        with requests.Session() as web:
            web.trust_env = False
            answer = web.get(address, verify=ca_file, allow_redirects=False, timeout=10)
        assert answer.is_redirect, answer.text
        return str(answer.headers["Location"])

    return visit
