"""Flows that use an identity from outside nbauth: one record for each, made from the identity."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from nbauth.core.addresses import same_issuer
from nbauth.core.errors import ConfigurationError, FlowUnavailable, NbAuthError, TokenError
from nbauth.core.log import trail
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr, no_frames, without_tokens
from nbauth.core.text import plain
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.authorities import Authority
from nbauth.oauth.clouds import LOGIN_HOSTS, aliases
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine
from nbauth.oauth.flows.record import Flow, service_flow
from nbauth.oauth.identities.azure_cli import AzureCli
from nbauth.oauth.identities.azure_developer_cli import AzureDeveloperCli
from nbauth.oauth.identities.colab import Colab
from nbauth.oauth.identities.databricks import Databricks
from nbauth.oauth.identities.fabric import Fabric
from nbauth.oauth.identities.hub import Hub
from nbauth.oauth.identities.protocol import ENTRA, Explains, Identity, IdentityToken
from nbauth.oauth.service_identity import of_resource

log = logging.getLogger(__name__)
UNTOLD = 60.0
"""The assumed lifetime in seconds, if the source does not say when its token expires. Such sources
have a cache, so a new request is cheap."""
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ANY_TENANT = ("common", "organizations", "consumers")


def flow_of(identity: Identity) -> Flow:
    """The record of the flow that uses an identity."""

    def get(engine: Engine, request: AuthorizationRequest) -> TokenResponse:
        return token_of(identity, engine.authority, request)

    return service_flow(identity.name, get, detail=identity.detail)


def token_of(
    identity: Identity, authority: Authority, request: AuthorizationRequest
) -> TokenResponse:
    """A token of an identity, for a profile with this authority.

    Raises ``ConfigurationError`` for an authority whose tokens the identity does not give,
    ``FlowUnavailable`` where there is no such identity, and ``TokenError``.
    """
    scopes = request.scopes
    if authority.microsoft:
        scopes = of_resource(authority, scopes)
    answer = asked(identity, authority, scopes, request.claims)
    if authority.microsoft and answer.scopes:
        scopes = _of_same_resource(identity, answer, scopes, authority)
    elif answer.scopes:
        scopes = Scopes.parse(answer.scopes, microsoft=False)
    now = time.time()
    left = UNTOLD if answer.expires_on is None else answer.expires_on - now
    if left <= 0:
        raise TokenError(
            f"The token that {identity.name} gave has expired.",
            code="expired_token",
            hint="Check the clock of this machine, then run the cell again.",
        )
    return TokenResponse(
        SecretStr(answer.token),
        left,
        tuple(scopes),
        received_at=now,
        principal=replace(answer.who, id=f"{identity.name}:{answer.who.id}"),
    )


@no_frames
def asked(
    identity: Identity, authority: Authority, scopes: Scopes, claims: str | None
) -> IdentityToken:
    """The identity's answer, after the checks of :func:`token_of`."""
    tenant = authority.tenant if authority.microsoft else ""
    try:
        if not identity.available():
            raise _missing(identity)
        _check_issuer(identity.name, identity.issuers, authority)
        given = scopes.resource_scopes or tuple(scopes)
        answer = identity.get(given, "" if tenant in _ANY_TENANT else tenant, claims)
    except NbAuthError as error:
        log.debug("%s: %s", identity.name, trail(error))
        raise
    except Exception as error:  # code of other packages may raise anything
        log.debug("%s: %s", identity.name, trail(error))
        told = plain(without_tokens(str(error))) or type(error).__name__
        raise TokenError(
            f"{identity.name} gave no token: {told.rstrip('.')}.",
            code="identity_failed",
            hint="Correct the cause there, or choose another flow.",
        ) from error
    if not isinstance(answer.token, str) or not answer.token:
        raise TokenError(f"{identity.name} gave no token.", code="identity_failed")
    if answer.issuer:
        _check_issuer(identity.name, [answer.issuer], authority)
    return answer._replace(token=SecretStr(answer.token))


def _missing(identity: Identity) -> NbAuthError:
    if isinstance(identity, Explains):
        return identity.missing()
    return FlowUnavailable(
        f"The flow {identity.name} cannot be used here, because this is missing:"
        f" {plain(identity.detail)}.",
        code="no_identity",
        hint="Choose another flow; %login --doctor shows which flows work here.",
    )


def _check_issuer(name: str, issuers: Sequence[str], authority: Authority) -> None:
    if issuers and not any(_is_of(one, authority) for one in issuers):
        known = ["Microsoft Entra ID" if one == ENTRA else plain(one) for one in issuers]
        raise ConfigurationError(
            f"{name} gives tokens of {' or '.join(known)}, and the profile's authority is"
            f" {authority.url}.",
            code="wrong_authority",
            hint="Choose another profile or flow. The token was not used.",
        )


def _is_of(issuer: str, authority: Authority) -> bool:
    """Whether tokens of an issuer are those of an authority.

    Entra's issuer contains the tenant's GUID; the authority may have its domain instead.
    """
    if authority.kind != "entra" or issuer == ENTRA:
        return same_issuer(issuer, authority.url) or (issuer, authority.kind) == (ENTRA, "entra")
    return _has_host_of(issuer, authority) and _may_be_tenant(issuer, authority)


def _has_host_of(issuer: str, authority: Authority) -> bool:
    """Tokens of Entra's version 1 have the issuer ``sts.windows.net``, in China
    ``sts.chinacloudapi.cn``, and not the login host."""
    host, own = (urlsplit(one).netloc.lower() for one in (issuer, authority.url))
    cloud = LOGIN_HOSTS.get(own)
    if host == "sts.windows.net":
        return cloud in {"public", "usgov"}
    return host in aliases(own) or (host == "sts.chinacloudapi.cn" and cloud == "china")


def _may_be_tenant(issuer: str, authority: Authority) -> bool:
    """Whether the tenant of an issuer may be the authority's, which may be named by its domain."""
    tenants = [urlsplit(issuer).path.strip("/").partition("/")[0], authority.tenant]
    guids = {tenant.lower() for tenant in tenants if _GUID.fullmatch(tenant)}
    return len(guids) < 2


def _of_same_resource(
    identity: Identity, answer: IdentityToken, wanted: Scopes, authority: Authority
) -> Scopes:
    """The granted scopes at Microsoft's authorities, where a token is for one API."""
    granted = Scopes.parse(answer.scopes, microsoft=True, graph=authority.graph)
    if granted.resource is not None and granted.resource != wanted.resource:
        raise TokenError(
            f"The token of {identity.name} is for {plain(granted.resource)}, and not for"
            f" {wanted.resource}.",
            code="other_resource",
            hint="Use --flow obo, which exchanges it for a token for another API.",
        )
    return granted


IDENTITIES: tuple[Identity, ...] = (
    AzureCli(),
    AzureDeveloperCli(),
    Fabric(),
    Databricks(),
    Colab(),
    Hub(),
)
FLOWS = tuple(flow_of(identity) for identity in IDENTITIES)
