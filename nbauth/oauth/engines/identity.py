"""Who signed in: the ID token says it, else the userinfo endpoint; nobody is no account.

OpenID Connect Core §5.3. A provider without OpenID Connect names the account by the ``id`` (GitHub,
Discord) or ``login`` of the address that serves there as userinfo endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nbauth.core.errors import NbAuthError, SignInError
from nbauth.oauth.answers import told_in

DISPLAYED = frozenset({"preferred_username", "email"})
"""With one of these a person knows the account; without, the userinfo endpoint is asked."""
SIGNED_ONLY = frozenset(
    {"iss", "aud", "exp", "iat", "nbf", "nonce", "azp", "auth_time", "acr", "amr", "sid"}
    | {"at_hash", "c_hash", "oid", "tid"}
)
"""Claims that are an ID token's alone: never taken from elsewhere."""


def named(claims: Mapping[str, Any], userinfo: Callable[[], object]) -> dict[str, Any]:
    """The claims by which the account is known: the ID token's, with names from userinfo.

    Args:
        claims: of the checked ID token; empty where none came.
        userinfo: asks that endpoint for its JSON; ``None`` where there is none. Raises
            ``NbAuthError``; its text is told.

    Raises:
        SignInError: ``no_identity``, where nothing names the account.
    """
    if claims and any(claims.get(name) for name in DISPLAYED):
        return dict(claims)
    try:
        told = userinfo()
        said = ": " + (told_in(told).text or told_in(told).word)
        why = f"its userinfo endpoint names nobody{said.removesuffix(': ')}"
        why = "it has no userinfo endpoint" if told is None else why
    except NbAuthError as error:  # no sign-in is lost for want of a display name
        told, why = None, f"its userinfo endpoint gave none: {error}"
    info = told if isinstance(told, Mapping) else {}
    subject = _subject(info)
    if claims:
        return {**_names(info), **claims} if subject == claims["sub"] else dict(claims)
    if not subject:
        raise no_identity(why)
    return {**_names(info), "sub": subject}


def _subject(info: Mapping[str, Any]) -> str:
    """What names the account at its issuer, for ever: a text or a number above 0."""
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
    """The error for a sign-in of which nobody knows whose it is."""
    return SignInError(
        f"The provider did not say who signed in: no ID token came, and {why.rstrip('.')}."
        " Nothing was kept.",
        code="no_identity",
        hint="Add openid to the scopes; at a provider without OpenID Connect, write the address"
        " that names the account into the profile (userinfo_endpoint).",
    )
