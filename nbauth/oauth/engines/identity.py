"""Identifies the account, by the ID token, else by the userinfo endpoint.

OpenID Connect Core §5.3. A provider without OpenID Connect identifies the account by ``id``
(GitHub, Discord) or ``login`` in the response of the address that is set as ``userinfo_endpoint``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nbauth.core.errors import NbAuthError, SignInError
from nbauth.oauth.answers import told_in

DISPLAYED = frozenset({"preferred_username", "email"})
"""Claims for the account's display name; if all are missing, the userinfo endpoint is used."""
SIGNED_ONLY = frozenset(
    {"iss", "aud", "exp", "iat", "nbf", "nonce", "azp", "auth_time", "acr", "amr", "sid"}
    | {"at_hash", "c_hash", "oid", "tid"}
)
"""Claims that are taken from an ID token only."""


def named(claims: Mapping[str, Any], userinfo: Callable[[], object]) -> dict[str, Any]:
    """The claims that identify the account: the ID token's, with names from userinfo.

    Args:
        claims: of the checked ID token; empty if there was none.
        userinfo: requests the endpoint's JSON; returns ``None`` if the provider has no such
            endpoint. It may raise ``NbAuthError``, whose text then is in the error message.

    Raises:
        SignInError: ``no_identity``, if nothing identifies the account.
    """
    if claims and any(claims.get(name) for name in DISPLAYED):
        return dict(claims)
    try:
        told = userinfo()
        said = ": " + (told_in(told).text or told_in(told).word)
        why = f"its userinfo endpoint names no account{said.removesuffix(': ')}"
        why = "it has no userinfo endpoint" if told is None else why
    except NbAuthError as error:  # a missing display name must not fail the sign-in
        told, why = None, f"its userinfo endpoint failed: {error}"
    info = told if isinstance(told, Mapping) else {}
    subject = _subject(info)
    if claims:
        return {**_names(info), **claims} if subject == claims["sub"] else dict(claims)
    if not subject:
        raise no_identity(why)
    return {**_names(info), "sub": subject}


def _subject(info: Mapping[str, Any]) -> str:
    """The account's permanent identifier at its issuer: a string, or a number above 0."""
    for name in ("sub", "id", "login"):
        value = info.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return str(value)
    return ""


def _names(info: Mapping[str, Any]) -> dict[str, Any]:
    names = {name: value for name, value in info.items() if name not in SIGNED_ONLY}
    login = info.get("login") or info.get("username")
    return {"preferred_username": login, **names} if isinstance(login, str) and login else names


def no_identity(why: str) -> SignInError:
    """The error for a sign-in whose account is unknown."""
    return SignInError(
        "The provider did not identify the account: it sent no ID token, and"
        f" {why.rstrip('.')}. The sign-in was discarded.",
        code="no_identity",
        hint="Add openid to the scopes; for a provider without OpenID Connect, set"
        " userinfo_endpoint in the profile to the address that returns the account.",
    )
