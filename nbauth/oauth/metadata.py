"""What a provider says of itself (OpenID Connect Discovery 1.0 §3 and §4.3, RFC 8414 §2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nbauth.core.errors import AuthorityUnreachable, ConfigurationError
from nbauth.oauth.http import Http

WELL_KNOWN = "/.well-known/openid-configuration"


class Metadata:
    """One discovery document, with the JWK set it points to, fetched when first needed."""

    def __init__(self, http: Http, document: Mapping[str, Any]) -> None:
        self._http = http
        self._document = document
        self._keys: Mapping[str, Any] | None = None

    @classmethod
    def discover(cls, http: Http, issuer: str) -> Metadata:
        """Fetch an issuer's document and hold it to its own ``issuer`` (§4.3).

        Raises ``ConfigurationError`` if there is none there, or it speaks for another issuer.
        """
        try:
            response = http.get(issuer.rstrip("/") + WELL_KNOWN)
        except AuthorityUnreachable as error:
            if error.code == "http_404":
                raise _no_provider(issuer, 404) from error
            raise
        document = response.json()
        if not response.ok or not isinstance(document, dict) or "issuer" not in document:
            raise _no_provider(issuer, response.status_code)
        if str(document["issuer"]).rstrip("/") != issuer.rstrip("/"):
            raise ConfigurationError(
                f"The metadata of the provider at {issuer} names another issuer.",
                code="issuer_mismatch",
                hint="Set authority to the issuer exactly as the provider writes it.",
            )
        return cls(http, document)

    @property
    def issuer(self) -> str:
        return str(self._document["issuer"])

    @property
    def requires_iss(self) -> bool:
        """Whether authorization responses carry ``iss`` (RFC 9207 §3)."""
        return self._document.get("authorization_response_iss_parameter_supported") is True

    @property
    def scopes_supported(self) -> frozenset[str]:
        """The scopes that it says it offers; ``openid`` where it says nothing (Core §3.1.2.1)."""
        told = self._document.get("scopes_supported")
        if isinstance(told, str):
            told = told.split()
        if not isinstance(told, list):
            return frozenset({"openid"})
        return frozenset(word for word in told if isinstance(word, str))

    def get(self, name: str) -> str | None:
        """An endpoint's address, or ``None``.

        Raises ``ConfigurationError`` for one that secrets would reach in the clear; only pages
        that the person's browser visits may be http, on loopback.
        """
        value = self._document.get(name)
        if value and name != "authorization_endpoint" and not str(value).startswith("https://"):
            raise ConfigurationError(
                f"The provider's {name} is not https; nothing was sent there.",
                code="not_https",
                hint="Its administrator has to publish https addresses.",
            )
        return str(value) if value else None

    @property
    def sign_out_url(self) -> str:
        """The page where the browser's own session ends, or ``""``; it gets no secret."""
        value = str(self._document.get("end_session_endpoint") or "")
        return value if value.startswith(("https://", "http://")) else ""

    def keys(self, anew: bool = False) -> Mapping[str, Any]:
        """The provider's JWK set (RFC 7517 §5)."""
        if self._keys is None or anew:
            keys = self._http.get(self.get("jwks_uri") or "").json()
            self._keys = keys if isinstance(keys, dict) else json.loads("{}")
        return self._keys


def _no_provider(issuer: str, status: int) -> ConfigurationError:
    return ConfigurationError(
        f"There is no OpenID Connect provider at {issuer} (HTTP {status}).",
        code="no_provider",
        hint=f"Its address plus {WELL_KNOWN} has to give its metadata.",
    )
