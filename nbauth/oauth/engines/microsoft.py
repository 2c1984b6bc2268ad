"""The engine for Entra, External ID, Azure AD B2C and AD FS, which uses MSAL.

MSAL stores nothing: its token cache and its HTTP cache (which would repeat an error for 60 s) are
replaced by empty ones. Its exceptions are converted to errors of nbauth.
"""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    FlowUnavailable,
    NbAuthError,
)
from nbauth.core.flow_names import BROWSER
from nbauth.core.scopes import Scopes
from nbauth.core.steps import Receiving
from nbauth.core.tokens import TokenResponse
from nbauth.oauth import id_token
from nbauth.oauth.answers import access_token_in, tokens_in
from nbauth.oauth.authorities import Authority
from nbauth.oauth.challenge import claims_for
from nbauth.oauth.credentials import ClientCredential
from nbauth.oauth.engines import broker, managed_identity, microsoft_federated, microsoft_tokens
from nbauth.oauth.engines.device_answer import device_code_in, polling
from nbauth.oauth.engines.library_errors import library_errors, renewing
from nbauth.oauth.engines.msal_parts import ForgetfulDict, ForgetfulTokenCache, MsalHttp
from nbauth.oauth.engines.protocol import (
    UNSET,
    AuthorizationRequest,
    DeviceCode,
    PendingAuthorization,
    extra_parameters,
    with_extra_parameters,
)
from nbauth.oauth.engines.token_requests import Broker, ManagedIdentity, TokenRequest
from nbauth.oauth.error_catalogue import error_from, not_understood
from nbauth.oauth.issuers import check_issuer
from nbauth.oauth.metadata import Metadata
from nbauth.oauth.offer import Offer

USED = ("authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "jwks_uri")
"""The parts of the metadata that MSAL and nbauth use."""


class MicrosoftEngine:
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
        self._http = MsalHttp(verify, proxies)
        self._ready: tuple[Any, Metadata] | None = None

    @property
    def issuer(self) -> str:
        return self._connect()[1].issuer

    @property
    def sign_out_url(self) -> str:
        return self._ready[1].sign_out_url if self._ready else ""

    def as_client(
        self, client_id: str, authority: Authority, credential: ClientCredential
    ) -> MicrosoftEngine:
        verify, proxies = self._network
        return MicrosoftEngine(
            authority, client_id, verify=verify, proxies=proxies, credential=credential
        )

    def offer(self) -> Offer:
        return self._connect()[1].offer()

    def _connect(self) -> tuple[Any, Metadata]:
        """A public client's application and the metadata; a credential is not read."""
        # MSAL's constructor requests the metadata, so the application is created on first use.
        if self._ready is None:
            app = self._application(None)
            self._ready = app, self._checked()
            self._http.keep = True
        return self._ready

    def _client(self) -> tuple[Any, Metadata]:
        """The application with its credential, which is read now, and the metadata."""
        app, metadata = self._connect()
        if self.credential is not None:
            app = self._application(self.credential)
        return app, metadata

    @library_errors()
    def _application(
        self, credential: ClientCredential | None, make: Callable[..., Any] | None = None
    ) -> Any:
        make = make or microsoft_tokens.application(credential)
        try:
            return make(
                self.client_id,
                authority=self.authority.url,
                instance_discovery=False,
                http_client=self._http,
                http_cache=ForgetfulDict(),
                token_cache=ForgetfulTokenCache(),
            )
        except (ValueError, KeyError):
            if self._http.read.document.get("issuer"):
                self._checked()
            raise self._bad_authority() from None
        except AuthorityUnreachable as error:
            if error.code == "http_404":
                raise self._bad_authority() from error
            raise

    def _checked(self) -> Metadata:
        """Check the metadata that MSAL has read, before any of its endpoints is used."""
        check_issuer(self.authority, self._http.read.document.get("issuer"))
        metadata = Metadata(self._http, self._http.read)
        for name in USED:
            if not metadata.get(name) and name in USED[:2]:  # MSAL would use an empty address
                raise self._bad_authority()
        return metadata

    def _bad_authority(self) -> NbAuthError:
        if self._http.read.document.get("error_description"):  # Entra's own error text
            return error_from(self._http.read.document)
        return ConfigurationError(
            f"There is no Microsoft authority at {self.authority.url}.",
            code="no_provider",
            hint="Check tenant and cloud. For another OpenID provider set authority to its issuer.",
        )

    def authorize(
        self, request: AuthorizationRequest, receiving: Receiving
    ) -> PendingAuthorization:
        app, metadata = self._client()
        metadata.keys()  # fetched before the browser opens, so that it fails early
        prompt = None if request.prompt == UNSET else request.prompt
        self.authority.refuse_prompt(prompt)
        with library_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MSAL warns about response_mode
            flow = app.initiate_auth_code_flow(
                [*request.scopes.resource_scopes, *request.consent_also],
                redirect_uri=receiving.redirect_uri,
                state=receiving.state,
                prompt=prompt,
                login_hint=request.login_hint,
                domain_hint=request.domain_hint,
                max_age=request.max_age,
                claims_challenge=claims_for(request.scopes, request.claims),
                response_mode="form_post" if receiving.forms else "query",
            )
        url = with_extra_parameters(flow["auth_uri"], request)
        return PendingAuthorization(
            url, receiving.state, metadata.issuer, metadata.requires_iss, (flow, request)
        )

    def redeem(self, pending: PendingAuthorization, answer: Mapping[str, str]) -> TokenResponse:
        app, metadata = self._client()
        flow, request = pending.private
        with library_errors():
            try:
                result = app.acquire_token_by_auth_code_flow(
                    flow,
                    dict(answer),
                    scopes=list(request.scopes.resource_scopes),
                    data=extra_parameters(request),
                )
            except RuntimeError as error:  # MSAL's checks of nonce and max_age
                if "auth_time" in str(error):
                    raise id_token.refused(*id_token.TOO_OLD) from None
                raise id_token.refused("nonce", "belongs to another sign-in") from None
        return self._response(result, request.scopes, keys=metadata.keys, max_age=request.max_age)

    def start_device(self, request: AuthorizationRequest) -> DeviceCode:
        if self.credential is not None:
            raise _no_device_codes("Device codes are for public clients, and this one is not.")
        app, _ = self._client()
        with library_errors():
            try:
                flow = app.initiate_device_flow(
                    list(request.scopes.resource_scopes),
                    claims_challenge=claims_for(request.scopes, request.claims),
                    params=extra_parameters(request),  # MSAL sets data= itself
                )
            except ValueError:
                what = "This authority does not support device codes."
                raise _no_device_codes(what) from None
        return device_code_in(flow, request)

    def poll_device(self, device: DeviceCode) -> TokenResponse:
        app, _ = self._client()
        flow, request = device.private
        with polling(), library_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MSAL warns about polling too soon, by the wall clock
            result = app.acquire_token_by_device_flow(
                {**flow, "interval": 1, "latest_attempt_at": 0},
                claims_challenge=claims_for(request.scopes, request.claims),
                exit_condition=lambda _: True,
                data=extra_parameters(request),
            )
        return self._response(result, request.scopes)

    def obtain(self, wanted: TokenRequest, request: AuthorizationRequest) -> TokenResponse:
        if isinstance(wanted, ManagedIdentity):
            with library_errors():
                if managed_identity.is_cloud_shell():
                    app, _ = self._connect()
                    return managed_identity.token_in_cloud_shell(app, wanted, request.scopes)
                return managed_identity.token_of(wanted, request.scopes, request.claims)
        request = replace(request, claims=claims_for(request.scopes, request.claims))
        if isinstance(wanted, Broker):
            return self._by_broker(wanted, request)
        microsoft_federated.check(self.authority, wanted)
        app, metadata = self._client()
        with microsoft_federated.consent_page(metadata, self.client_id, request):
            with library_errors():
                result = microsoft_tokens.obtain(
                    app, self._http, self.authority, self.credential, wanted, request
                )
            return self._response(result, request.scopes, keys=metadata.keys)

    def _by_broker(self, wanted: Broker, request: AuthorizationRequest) -> TokenResponse:
        if self.authority.kind not in {"entra", "external-id"} or self.credential is not None:
            raise broker.unavailable("only public clients at Entra ID can use one")
        broker.check_available()
        self._connect()  # checks the metadata
        app = self._application(None, broker.application)
        with library_errors(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._response(broker.answer_of(app, wanted, request), request.scopes)

    def refresh(
        self,
        refresh_token: str,
        scopes: Scopes,
        claims: str | None = None,
        *,
        granted: Iterable[str] = (),
    ) -> TokenResponse:
        app, _ = self._client()
        claims = claims_for(scopes, claims)
        with renewing(self._http, str(refresh_token)), library_errors():
            result = app.acquire_token_by_refresh_token(
                str(refresh_token),
                list(scopes.resource_scopes),
                data={"claims": claims} if claims else {},
            )
            return self._response(result, scopes, renewing=True)

    def revoke(self, refresh_token: str) -> bool:
        return False  # Entra has no revocation endpoint

    def abort(self) -> None:
        self._http.abort()

    def close(self) -> None:
        self._http.close()

    @library_errors()
    def _response(
        self,
        result: Mapping[str, Any],
        scopes: Scopes,
        *,
        keys: Any = None,
        max_age: int | None = None,
        renewing: bool = False,
    ) -> TokenResponse:
        if "error" in result:  # from the authorization response, or from MSAL
            raise error_from(result)
        if not access_token_in(result):
            raise not_understood("access_token is missing or invalid")
        _, metadata = self._connect()
        token = result.get("id_token")
        claims = (
            id_token.check(
                token,
                issuer=metadata.issuer,
                client_id=self.client_id,
                tenant=self.authority.tenant,
                keys=keys,
                max_age=max_age,
                renewing=renewing,
            )
            if token
            else {}
        )
        return tokens_in(result, scopes, claims, _client_info(result.get("client_info")))


def _no_device_codes(what: str) -> FlowUnavailable:
    return FlowUnavailable(
        what,
        hint=f"Sign in with a browser: %login --flow {BROWSER}.",
        suggested_flow=BROWSER,
    )


def _client_info(encoded: object) -> Mapping[str, Any]:
    """``uid`` and ``utid`` of Microsoft's ``client_info`` (base64url JSON)."""
    if not isinstance(encoded, str):
        return {}
    try:
        info = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except ValueError:
        return {}
    return info if isinstance(info, dict) else {}
