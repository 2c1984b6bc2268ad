"""The token that JupyterHub got when the person logged in at the hub (its ``auth_state``).

It is read by the hub's own API at each renewal, since the hub refreshes it: "Refreshing user
authentication" in the documentation of OAuthenticator.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from nbauth.core.errors import AuthorityUnreachable, FlowUnavailable, TokenError
from nbauth.core.flow_names import HUB
from nbauth.core.text import plain
from nbauth.core.tokens import Principal
from nbauth.oauth.answers import text_in
from nbauth.oauth.identities.protocol import IdentityToken

URL, TOKEN, USER = "JUPYTERHUB_API_URL", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_USER"
TLS = ("JUPYTERHUB_SSL_CLIENT_CA", "JUPYTERHUB_SSL_CERTFILE", "JUPYTERHUB_SSL_KEYFILE")
"""Set by JupyterHub's ``internal_ssl``."""
TIMEOUT = (5.0, 15.0)
"""Seconds to connect and to read. The hub may ask the provider for a new token meanwhile."""
LONGEST = 20.0
"""Seconds for the whole response."""
SCOPE = "admin:auth_state!user"
PAGE = "docs/jupyterhub.md, The hub's own token"


class Hub:
    """See :class:`.protocol.Identity`."""

    name = HUB
    detail = "the token in the auth_state of JupyterHub, by the hub's API"
    issuers: Sequence[str] = ()

    def available(self) -> bool:
        return all(os.environ.get(name) for name in (URL, TOKEN, USER))

    def missing(self) -> FlowUnavailable:
        unset = [name for name in (URL, TOKEN, USER) if not os.environ.get(name)]
        return FlowUnavailable(
            f"This kernel was not started by JupyterHub: {', '.join(unset)}"
            f" {'are' if len(unset) > 1 else 'is'} not set.",
            code="no_hub",
            hint="A kernel behind a kernel gateway does not get these variables: sign in with"
            " another flow, such as %login --flow device.",
        )

    def get(self, scopes: Sequence[str], tenant: str, claims: str | None) -> IdentityToken:
        if not self.available():
            raise self.missing()
        user = os.environ[USER]
        state = _auth_state(user)
        told = state.get("token_response")
        told = told if isinstance(told, dict) else {}
        token = state.get("access_token") or told.get("access_token")
        if not isinstance(token, str) or not token:
            raise _administrator(
                "The hub's auth_state has no access_token.",
                "no_upstream_token",
                "use an authenticator of the package OAuthenticator, which stores it",
            )
        return IdentityToken(
            token,
            _expires_on(state, told),
            Principal(user, user, tenant),
            _scopes(state.get("scope") or told.get("scope")),
            _issuer(state.get("id_token") or told.get("id_token")),
        )


def _auth_state(user: str) -> Mapping[str, Any]:
    import requests
    from urllib3.exceptions import HTTPError

    from nbauth.oauth import json_body
    from nbauth.oauth.json_body import TooLarge
    from nbauth.oauth.network import OwnSession
    from nbauth.oauth.sockets import AbortableAdapter

    url = f"{os.environ[URL].rstrip('/')}/users/{quote(user, safe='')}"
    ca, *pair = (os.environ.get(name) for name in TLS)
    adapter = AbortableAdapter()
    with OwnSession() as http:
        http.trust_env = False  # the hub is in the same network, behind no proxy
        http.headers["Accept-Encoding"] = json_body.ACCEPTED
        http.mount(url, adapter)
        try:
            with adapter.within(LONGEST):
                response = http.get(
                    url,
                    headers={"Authorization": f"token {os.environ[TOKEN]}"},
                    timeout=TIMEOUT,
                    allow_redirects=False,
                    stream=True,
                    verify=ca or True,
                    cert=(str(pair[0]), str(pair[1])) if all(pair) else None,
                )
                model = {}
                with contextlib.closing(response):
                    if response.status_code == 200:
                        model = json_body.parse(json_body.body_of(response))
        except (requests.RequestException, HTTPError, OSError, ValueError, TooLarge) as error:
            raise _unreachable(type(error).__name__) from None
    status = response.status_code
    if status >= 500 or status == 429:
        raise _unreachable(f"HTTP {status}")
    if status in (401, 403, 404):
        raise _administrator(
            f"The hub's API refused the request for your account (HTTP {status}).",
            "hub_refused",
            f"give the server's token the scope {SCOPE}, then restart your server from the hub's"
            " control panel",
        )
    if status != 200 or not isinstance(model, dict):
        raise _unreachable(f"HTTP {status}")
    if "auth_state" not in model:
        raise _administrator(
            "The hub does not give auth_state to this server.",
            "no_auth_state_scope",
            f"give the roles user and server the scope {SCOPE}, then restart your server from the"
            " hub's control panel",
        )
    state = model["auth_state"]
    if not isinstance(state, dict):
        raise _administrator(
            "The hub stores no auth_state for you.",
            "no_auth_state",
            "set c.Authenticator.enable_auth_state = True and JUPYTERHUB_CRYPT_KEY; then log out"
            " at the hub and log in again",
        )
    return state


def _expires_on(state: Mapping[str, Any], told: Mapping[str, Any]) -> float | None:
    """``expires_at``, which some authenticators store. ``expires_in`` counts from an unknown time.

    Raises ``TokenError`` for a time that is over.
    """
    import time

    value = state.get("expires_at") or told.get("expires_at")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if value <= time.time():
        raise _administrator(
            "The token that the hub stores has expired.",
            "upstream_token_expired",
            "set c.Authenticator.auth_refresh_age to less than the lifetime of the provider's"
            " tokens, and let the hub get a refresh token. Logging out at the hub and in again"
            " gives a new token",
            TokenError,
        )
    return float(value)


def _scopes(told: object) -> tuple[str, ...]:
    words = told.split() if isinstance(told, str) else told if isinstance(told, list) else []
    return tuple(plain(word) for word in words if isinstance(word, str) and word.strip())


def _issuer(id_token: object) -> str:
    """The ``iss`` of the ID token that the hub has checked at its login, ``""`` without one."""
    with contextlib.suppress(ValueError, IndexError):
        part = str(id_token or "").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return text_in(claims, "iss") if isinstance(claims, dict) else ""
    return ""


def _administrator(
    what: str, code: str, todo: str, kind: type[FlowUnavailable | TokenError] = FlowUnavailable
) -> FlowUnavailable | TokenError:
    return kind(what, code=code, hint=f"For the administrator of the hub: {todo} ({PAGE}).")


def _unreachable(why: str) -> AuthorityUnreachable:
    return AuthorityUnreachable(
        f"The hub's API did not answer: {why}.",
        code="hub_unreachable",
        hint="Try again in a minute; if it happens again, tell the administrator of the hub.",
    )
