"""Authlib behind the engine protocol: any OpenID Connect issuer that is not Microsoft's."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client.oauth2_session import OAuth2ClientAuth
from authlib.oauth2.client import OAuth2Client

from nbauth.core.errors import (
    AuthorityUnreachable,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
)
from nbauth.core.flow_names import BROWSER, DEVICE
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.steps import Receiving
from nbauth.core.text import plain
from nbauth.core.tokens import TokenResponse
from nbauth.oauth import id_token
from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines.door import door, keeping_rotated
from nbauth.oauth.engines.protocol import (
    AuthorizationPending,
    AuthorizationRequest,
    DeviceCode,
    PendingAuthorization,
    expires_in,
    granted_scopes,
    refresh_expires_in,
    with_extra_parameters,
)
from nbauth.oauth.error_catalogue import error_from
from nbauth.oauth.http import Http
from nbauth.oauth.metadata import Metadata

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@contextmanager
def _door() -> Iterator[None]:
    """What Authlib raises for an error response is read from the catalogue."""
    with door():
        try:
            yield
        except OAuthError as error:
            answer = {"error": error.error, "error_description": error.description}
            raise error_from(answer) from None


class _Client(OAuth2Client):  # type: ignore[misc]
    client_auth_class = OAuth2ClientAuth
    oauth_error_class = OAuthError


def _with_a_life(response: requests.Response) -> requests.Response:
    """Authlib reads when a token ends, and fails where that is no number."""
    body = response.json()
    if isinstance(body, dict) and "access_token" in body:
        told = {name: value for name, value in body.items() if name != "expires_at"}
        response._content = json.dumps({**told, "expires_in": expires_in(body)}).encode()
    return response


class OpenIDEngine:
    """See :class:`nbauth.oauth.engines.protocol.Engine`."""

    def __init__(
        self,
        authority: Authority,
        client_id: str,
        *,
        verify: bool | str | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        self.authority = authority
        self.client_id = client_id
        self._http = Http(verify, proxies)
        self._metadata: Metadata | None = None

    @property
    def issuer(self) -> str:
        return self._discovered().issuer

    @property
    def sign_out_url(self) -> str:
        return self._metadata.sign_out_url if self._metadata else ""

    def _discovered(self) -> Metadata:
        if self._metadata is None:  # two threads may ask at once; both answers are the same
            self._metadata = Metadata.discover(self._http, self.authority.url)
        return self._metadata

    def _client(self) -> Any:
        # Authlib keeps the last token in its client, so each request has one of its own.
        client = _Client(self._http, client_id=self.client_id, code_challenge_method="S256")
        client.register_compliance_hook("access_token_response", _with_a_life)
        return client

    def _endpoint(self, name: str, what: str, instead: str) -> str:
        address = self._discovered().get(name)
        if not address:
            raise FlowUnavailable(
                f"This provider does not offer {what}.",
                hint=f"Sign in another way: %login --flow {instead}.",
                suggested_flow=instead,
            )
        return address

    def authorize(
        self, request: AuthorizationRequest, receiving: Receiving
    ) -> PendingAuthorization:
        endpoint = self._endpoint("authorization_endpoint", "sign-in by browser", DEVICE)
        metadata = self._discovered()
        metadata.keys()  # fetched before the person is sent away, not after they return
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(32)
        prompt = request.prompt
        if prompt is None and "offline_access" in request.scopes.reserved:
            prompt = "consent"  # no refresh token otherwise (OpenID Connect Core §11)
        optional = {
            "prompt": prompt,
            "login_hint": request.login_hint,
            "domain_hint": request.domain_hint,
            "max_age": None if request.max_age is None else str(request.max_age),
            "claims": request.claims,
        }
        url, _ = self._client().create_authorization_url(
            endpoint,
            state=receiving.state,
            code_verifier=verifier,
            redirect_uri=receiving.redirect_uri,
            scope=" ".join([*request.scopes, *request.consent_also]),
            nonce=nonce,
            **{name: value for name, value in optional.items() if value is not None},
        )
        return PendingAuthorization(
            with_extra_parameters(url, request),
            receiving.state,
            metadata.issuer,
            metadata.requires_iss,
            (request, verifier, nonce, receiving.redirect_uri),
        )

    def redeem(self, pending: PendingAuthorization, answer: Mapping[str, str]) -> TokenResponse:
        request, verifier, nonce, redirect_uri = pending.private
        if "code" not in answer:
            raise error_from(answer)
        token = self._token(
            grant_type="authorization_code",
            code=answer["code"],
            code_verifier=verifier,
            redirect_uri=redirect_uri,
        )
        return self._response(
            token,
            request.scopes,
            nonce=nonce,
            keys=self._discovered().keys,
            max_age=request.max_age,
            ask_userinfo=True,
        )

    def start_device(self, request: AuthorizationRequest) -> DeviceCode:
        endpoint = self._endpoint("device_authorization_endpoint", "device codes", BROWSER)
        answer = self._http.post(
            endpoint,
            data={
                **request.extra_parameters,
                "client_id": self.client_id,
                "scope": str(request.scopes),
                **({"claims": request.claims} if request.claims else {}),
            },
        ).json()
        if not isinstance(answer, dict) or "device_code" not in answer:
            raise error_from(answer if isinstance(answer, dict) else {})
        return DeviceCode(
            user_code=plain(answer["user_code"]),
            verification_uri=plain(answer["verification_uri"]),
            verification_uri_complete=answer.get("verification_uri_complete"),
            expires_in=float(answer.get("expires_in", 600)),
            interval=float(answer.get("interval", 5)),
            private=(SecretStr(answer["device_code"]), request),
        )

    def poll_device(self, device: DeviceCode) -> TokenResponse:
        device_code, request = device.private
        try:
            token = self._token(grant_type=DEVICE_GRANT, device_code=str(device_code))
        except NbAuthError as error:
            if error.code in {"authorization_pending", "slow_down"}:
                raise AuthorizationPending(slow_down=error.code == "slow_down") from None
            raise
        return self._response(token, request.scopes, ask_userinfo=True)

    def refresh(
        self, refresh_token: str, scopes: Scopes, claims: str | None = None
    ) -> TokenResponse:
        options = {"claims": claims} if claims else {}
        with keeping_rotated(self._http):
            try:
                token = self._token(
                    grant_type="refresh_token",
                    refresh_token=str(refresh_token),
                    scope=str(scopes),
                    **options,
                )
            except AuthorityUnreachable as error:
                if error.code in {"http_400", "http_401"}:  # some say "no" with an empty page
                    raise InteractionRequired(
                        "The sign-in is no longer valid.", hint="Sign in again: %login."
                    ) from error
                raise
            return self._response(token, scopes)

    def revoke(self, refresh_token: str) -> bool:
        endpoint = self._discovered().get("revocation_endpoint")
        if not endpoint:
            return False
        with _door():
            response = self._client().revoke_token(
                endpoint, token=str(refresh_token), token_type_hint="refresh_token"
            )
            if not response.ok:
                raise error_from(response.json() if response.content else {})
        return True

    def abort(self) -> None:
        self._http.abort()

    def close(self) -> None:
        self._http.close()

    def _token(self, **parameters: str) -> Mapping[str, Any]:
        endpoint = self._endpoint("token_endpoint", "tokens", BROWSER)
        with _door():
            answer: Mapping[str, Any] = self._client().fetch_token(endpoint, **parameters)
        return answer

    @_door()
    def _response(
        self,
        token: Mapping[str, Any],
        scopes: Scopes,
        *,
        nonce: str | None = None,
        keys: Any = None,
        max_age: int | None = None,
        ask_userinfo: bool = False,
    ) -> TokenResponse:
        if not token.get("access_token") or not isinstance(token["access_token"], str):
            raise ValueError("no access token")
        encoded = token.get("id_token")
        claims: dict[str, Any] = {}
        if encoded:
            claims = id_token.check(
                encoded,
                issuer=self.issuer,
                client_id=self.client_id,
                nonce=nonce,
                keys=keys,
                max_age=max_age,
            )
            if ask_userinfo and not {"preferred_username", "email"} & claims.keys():
                claims = {**self._userinfo(token["access_token"], claims["sub"]), **claims}
        return TokenResponse(
            access_token=SecretStr(token["access_token"]),
            token_type=str(token.get("token_type", "Bearer")),
            expires_in=expires_in(token),
            received_at=time.time(),
            scopes=granted_scopes(token, scopes),
            refresh_token=SecretStr(rt) if (rt := token.get("refresh_token")) else None,
            refresh_expires_in=refresh_expires_in(token),
            id_token=SecretStr(encoded) if encoded else None,
            id_token_claims=claims,
        )

    def _userinfo(self, access_token: str, subject: str) -> dict[str, Any]:
        """A name for the account, from where a provider keeps it (OpenID Connect Core §5.3)."""
        try:
            endpoint = self._discovered().get("userinfo_endpoint")
            if not endpoint:
                return {}
            response = self._http.get(endpoint, headers={"Authorization": f"Bearer {access_token}"})
            claims = response.json()
        except (NbAuthError, ValueError):
            return {}  # a sign-in does not fail for want of a display name
        same = response.ok and isinstance(claims, dict) and claims.get("sub") == subject
        return claims if same else {}
