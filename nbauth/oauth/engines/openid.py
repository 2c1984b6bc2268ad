"""The engine for all issuers that are not Microsoft's, which uses Authlib."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from authlib.integrations.base_client import OAuthError
from authlib.oauth2.client import OAuth2Client

from nbauth.core.errors import FlowUnavailable
from nbauth.core.flow_names import BROWSER, DEVICE
from nbauth.core.scopes import Scopes
from nbauth.core.steps import Receiving
from nbauth.core.tokens import TokenResponse
from nbauth.oauth import id_token
from nbauth.oauth.answers import access_token_in, json_in, tokens_in
from nbauth.oauth.authorities import Authority
from nbauth.oauth.client_authentication import ClientAuthentication
from nbauth.oauth.credentials import ClientCredential, no_credential
from nbauth.oauth.engines import identity
from nbauth.oauth.engines.device_answer import device_code_in, polling
from nbauth.oauth.engines.legible import legible
from nbauth.oauth.engines.library_errors import library_errors, renewing
from nbauth.oauth.engines.openid_tokens import is_for_a_person, parameters_of
from nbauth.oauth.engines.protocol import (
    UNSET,
    AuthorizationRequest,
    DeviceCode,
    PendingAuthorization,
    extra_parameters,
    with_extra_parameters,
)
from nbauth.oauth.engines.token_requests import ClientCredentials, TokenRequest
from nbauth.oauth.error_catalogue import error_from, not_understood, refusal
from nbauth.oauth.http import Http
from nbauth.oauth.metadata import Metadata
from nbauth.oauth.offer import Offer, check_grant

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@contextmanager
def _authlib_errors() -> Iterator[None]:
    """Convert Authlib's exceptions; error responses get their text from the catalogue."""
    with library_errors():
        try:
            yield
        except OAuthError as error:
            answer = {"error": error.error, "error_description": error.description}
            raise error_from(answer) from None


def _required(request: AuthorizationRequest) -> dict[str, str | None]:
    """The parameters that ask for more than a token (OpenID Connect Core §3.1.2.1)."""
    max_age = None if request.max_age is None else str(request.max_age)
    return {"max_age": max_age, "claims": request.claims, "acr_values": request.acr_values}


class _Client(OAuth2Client):  # type: ignore[misc]
    oauth_error_class = OAuthError


class OpenIDEngine:
    """See :class:`nbauth.oauth.engines.protocol.Engine`."""

    def __init__(
        self,
        authority: Authority,
        client_id: str,
        *,
        verify: bool | str | None = None,
        proxies: Mapping[str, str] | None = None,
        credential: ClientCredential | None = None,
    ) -> None:
        self.authority = authority
        self.client_id = client_id
        self.credential = credential
        self._network = (verify, proxies)
        self._http = Http(verify, proxies)
        self._http.headers["Accept"] = "application/json"  # otherwise some send form encoding
        self._metadata: Metadata | None = None

    @property
    def issuer(self) -> str:
        return self._discovered().issuer

    @property
    def sign_out_url(self) -> str:
        return self._metadata.sign_out_url if self._metadata else ""

    def _discovered(self) -> Metadata:
        if self._metadata is None:  # two threads may fetch it at once, with the same result
            self._metadata = Metadata.of(self._http, self.authority)
        return self._metadata

    def as_client(
        self, client_id: str, authority: Authority, credential: ClientCredential
    ) -> OpenIDEngine:
        verify, proxies = self._network
        return OpenIDEngine(
            authority, client_id, verify=verify, proxies=proxies, credential=credential
        )

    def offer(self) -> Offer:
        return self._discovered().offer()

    def _asked(
        self, request: AuthorizationRequest, *, at_authorize: bool = True
    ) -> tuple[str, ...]:
        """The scopes that a sign-in sends: the requested ones and ``Metadata.added``. Some
        providers reject scopes that they do not offer."""
        asked = dict.fromkeys([*request.scopes, *(request.consent_also if at_authorize else ())])
        if not request.exact_scopes:
            asked |= dict.fromkeys(self._discovered().added)
        return tuple(asked)

    def _client(self) -> Any:
        # An Authlib client stores the last token, so each request gets a new client.
        client = _Client(self._http, client_id=self.client_id, code_challenge_method="S256")
        authentication = self._authentication()
        client.client_auth = lambda _: authentication
        client.register_compliance_hook("access_token_response", legible)
        return client

    def _authentication(self) -> ClientAuthentication:
        """The client's authentication; the credential is read each time it is used."""
        if self.credential is None:
            return ClientAuthentication(self.client_id)
        return ClientAuthentication.of(self.client_id, self.credential, self._discovered())

    def _keys(self) -> Callable[[bool], Mapping[str, Any]] | None:
        """The keys to check signatures with, ``None`` if the provider publishes no metadata: its ID
        tokens come from its token endpoint over TLS (OpenID Connect Core §3.1.3.7)."""
        metadata = self._discovered()
        return metadata.keys if metadata.published else None

    def _endpoint(self, name: str, what: str, instead: str) -> str:
        address = self._discovered().get(name)
        if not address:
            raise FlowUnavailable(
                f"This provider does not offer {what}.",
                hint=f"Use another flow: %login --flow {instead}.",
                suggested_flow=instead,
            )
        return address

    def authorize(
        self, request: AuthorizationRequest, receiving: Receiving
    ) -> PendingAuthorization:
        endpoint = self._endpoint("authorization_endpoint", "sign-in by browser", DEVICE)
        metadata = self._discovered()
        metadata.keys()  # fetched before the browser opens, so that it fails early
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(32)
        asked = self._asked(request)
        prompt = request.prompt
        if prompt is None and "offline_access" in asked:
            prompt = "consent"  # no refresh token otherwise (OpenID Connect Core §11)
        optional = {
            "prompt": None if prompt == UNSET else prompt,
            "login_hint": request.login_hint,
            "domain_hint": request.domain_hint,
            **_required(request),
        }
        url, _ = self._client().create_authorization_url(
            endpoint,
            state=receiving.state,
            code_verifier=verifier,
            redirect_uri=receiving.redirect_uri,
            nonce=nonce,
            **({"scope": " ".join(asked)} if asked else {}),
            **{name: value for name, value in optional.items() if value is not None},
        )
        return PendingAuthorization(
            with_extra_parameters(url, request),
            receiving.state,
            metadata.issuer,
            metadata.requires_iss,
            (request, asked, verifier, nonce, receiving.redirect_uri),
        )

    def redeem(self, pending: PendingAuthorization, answer: Mapping[str, str]) -> TokenResponse:
        request, asked, verifier, nonce, redirect_uri = pending.private
        if "code" not in answer:
            raise error_from(answer)
        token = self._token(
            grant_type="authorization_code",
            code=answer["code"],
            code_verifier=verifier,
            redirect_uri=redirect_uri,
            body=urlencode(extra_parameters(request)),
        )
        return self._response(
            token,
            asked,
            nonce=nonce,
            keys=self._keys(),
            max_age=request.max_age,
        )

    def start_device(self, request: AuthorizationRequest) -> DeviceCode:
        endpoint = self._endpoint("device_authorization_endpoint", "device codes", BROWSER)
        asked = self._asked(request, at_authorize=False)
        response = self._http.post(
            endpoint,
            data={
                **extra_parameters(request),
                "client_id": self.client_id,
                **({"scope": " ".join(asked)} if asked else {}),
                **{name: value for name, value in _required(request).items() if value},
            },
            auth=self._authentication(),
            headers={"Accept": "application/json"},  # otherwise GitHub sends form encoding
        )
        if refused := refusal(response):
            raise refused
        return device_code_in(json_in(response), request, asked)

    def poll_device(self, device: DeviceCode) -> TokenResponse:
        answer, request, asked = device.private
        with polling():
            token = self._token(
                grant_type=DEVICE_GRANT,
                device_code=str(answer["device_code"]),
                body=urlencode(extra_parameters(request)),
            )
        return self._response(token, asked)

    def obtain(self, wanted: TokenRequest, request: AuthorizationRequest) -> TokenResponse:
        if isinstance(wanted, ClientCredentials) and self.credential is None:
            raise no_credential()
        grant_type, parameters = parameters_of(wanted)
        personal = is_for_a_person(wanted)
        if personal:
            check_grant(self._discovered().words("grant_types_supported"), grant_type)
        asked = (
            self._asked(request, at_authorize=False) if personal else request.scopes.resource_scopes
        )
        token = self._token(
            grant_type=grant_type,
            **({"scope": " ".join(asked)} if asked else {}),
            **parameters,
            body=urlencode(extra_parameters(request)),
        )
        return self._response(token, asked, identified=personal)

    def refresh(
        self,
        refresh_token: str,
        scopes: Scopes,
        claims: str | None = None,
        *,
        granted: Iterable[str] = (),
    ) -> TokenResponse:
        options = {"claims": claims} if claims else {}
        self._discovered()  # outside renewing(): its errors do not concern the refresh token
        with renewing(self._http, str(refresh_token), any_word=claims is None):
            token = self._token(
                grant_type="refresh_token", refresh_token=str(refresh_token), **options
            )
            return self._response(token, tuple(granted) or tuple(scopes), renewing=True)

    def revoke(self, refresh_token: str) -> bool:
        endpoint = self._discovered().get("revocation_endpoint")
        if not endpoint:
            return False
        with _authlib_errors():
            response = self._client().revoke_token(
                endpoint, token=str(refresh_token), token_type_hint="refresh_token"
            )
            if not response.ok:
                raise error_from(json_in(response), response.status_code)
        return True

    def abort(self) -> None:
        self._http.abort()

    def close(self) -> None:
        self._http.close()

    def _token(self, **parameters: str) -> Mapping[str, Any]:
        endpoint = self._endpoint("token_endpoint", "tokens", BROWSER)
        with _authlib_errors():
            answer: Mapping[str, Any] = self._client().fetch_token(endpoint, **parameters)
        return answer

    @_authlib_errors()
    def _response(
        self,
        token: Mapping[str, Any],
        asked: Iterable[str],
        *,
        nonce: str | None = None,
        keys: Any = None,
        max_age: int | None = None,
        renewing: bool = False,
        identified: bool = True,
    ) -> TokenResponse:
        if not access_token_in(token):
            raise not_understood("access_token is missing or invalid")
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
                renewing=renewing,
            )
        if identified and not renewing:
            claims = identity.named(claims, lambda: self._userinfo(token["access_token"]))
        return tokens_in(token, asked, claims)

    def _userinfo(self, access_token: str) -> Any:
        """The userinfo response (OpenID Connect Core §5.3); ``None`` without that endpoint."""
        endpoint = self._discovered().get("userinfo_endpoint")
        if not endpoint:
            return None
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        response = self._http.get(endpoint, headers=headers)
        if not response.ok:
            raise error_from(json_in(response), response.status_code)
        return json_in(response)
