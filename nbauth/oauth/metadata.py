"""A provider's metadata (OpenID Connect Discovery 1.0 §3 and §4.3, RFC 8414 §2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from nbauth.core.addresses import is_secure, same_issuer
from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.core.settings_values import ENDPOINTS
from nbauth.core.text import plain
from nbauth.oauth.authorities import Authority
from nbauth.oauth.authority_forms import WELL_KNOWN
from nbauth.oauth.discovery import Read, document, is_absent, oauth_places, read
from nbauth.oauth.http import Http
from nbauth.oauth.offer import Offer

BESIDE = ("device_authorization_endpoint", "revocation_endpoint")
"""Endpoints that some providers list in their RFC 8414 metadata only."""

ADDED = ("openid", "profile", "email", "offline_access")
"""The scopes for the account's claims (OpenID Connect Core §5.4) and a refresh token (§11)."""
NEEDLESS = frozenset({"not_json", "bad_metadata", "issuer_mismatch"})
"""Errors for a page that is not the metadata. The metadata may then be at another address, and is
not needed if the profile sets the endpoints."""


class Metadata:
    """A provider's document, the endpoints set by the profile, and the JWK set once it is needed.

    Args:
        written: endpoints of the profile, which override the document's.
        beside: addresses of the issuer's RFC 8414 document, read if an endpoint is missing.
        published: whether the provider publishes metadata; if not, only the profile is used.
    """

    def __init__(
        self,
        http: Http,
        found: Mapping[str, Any] | Read,
        *,
        written: Mapping[str, str] | None = None,
        beside: tuple[str, ...] = (),
        published: bool = True,
    ) -> None:
        self._http = http
        self._read = found if isinstance(found, Read) else Read(found)
        self._document = self._read.document
        self._written = written or {}
        self._beside = beside
        self.published = published
        self._keys: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, http: Http, authority: Authority) -> Metadata:
        """Fetch an authority's document and check its ``issuer`` (§4.3).

        Without a ``metadata_url`` this is the OpenID document, else the one of RFC 8414 §3 at the
        host or below the issuer. It may be missing if the profile sets enough endpoints.

        Raises ``ConfigurationError`` if it does not exist, or belongs to another issuer.
        """
        elsewhere, written = oauth_places(authority.url), dict(authority.endpoints)
        openid = authority.metadata_url or authority.url + WELL_KNOWN
        places = (openid,) if authority.metadata_url else (openid, *elsewhere)
        needless = frozenset() if authority.metadata_url else NEEDLESS
        first: NbAuthError | None = None
        for place in places:
            try:
                found = read(http, place, authority)
            except NbAuthError as error:
                if not is_absent(error) and error.code not in needless:
                    raise
                if first is None or (is_absent(first) and not is_absent(error)):
                    first = error  # an invalid document is reported rather than a missing one
            else:
                beside = elsewhere if place == openid else ()
                return cls(http, found, written=written, beside=beside)
        if first is not None and not authority.described:
            raise first
        return cls(http, {"issuer": authority.url}, written=written, published=False)

    @property
    def issuer(self) -> str:
        return str(self._document["issuer"])

    @property
    def requires_iss(self) -> bool:
        """Whether authorization responses contain ``iss`` (RFC 9207 §3)."""
        return self._document.get("authorization_response_iss_parameter_supported") is True

    @property
    def added(self) -> tuple[str, ...]:
        """The scopes that a sign-in adds to the requested ones: those of :data:`ADDED` on offer.

        If the metadata lists no scopes, ``openid`` (OpenID Connect Core §3.1.2.1); without
        metadata, none.
        """
        offered = self.words("scopes_supported")
        if offered is None:
            offered = ("openid",) if self.published else ()
        return tuple(word for word in ADDED if word in offered)

    def words(self, name: str) -> tuple[str, ...] | None:
        """A list of strings, such as ``scopes_supported``; ``None`` if it is missing."""
        value = self._document.get(name)
        if isinstance(value, str):
            value = value.split()
        if not isinstance(value, list):
            return None
        return tuple(word for word in value if isinstance(word, str))

    def get(self, name: str) -> str | None:
        """An endpoint's address, or ``None``.

        Raises ``ConfigurationError`` for an address that is neither https nor on loopback.
        """
        value = self._written.get(name) or self._document.get(name)
        if not value and name in BESIDE:
            value = self._from_beside(name)
        if value is None or value == "":
            return None
        if not is_secure(value):
            raise ConfigurationError(
                f"The {name} of {plain(self.issuer)} {_fault(value)}; nothing was sent there.",
                code="not_https",
                hint="The provider's administrator must publish an https address."
                + (f" The setting {name} can override it." if name in ENDPOINTS else ""),
            )
        return str(value)

    @property
    def sign_out_url(self) -> str:
        """The page that ends the browser's session, or ``""``; no secret is sent to it."""
        value = self._document.get("end_session_endpoint")
        return str(value) if is_secure(value) else ""

    def keys(self, anew: bool = False) -> Mapping[str, Any]:
        """The provider's JWK set (RFC 7517 §5); empty if it publishes none."""
        if self._keys is None or anew:
            address = self.get("jwks_uri")
            keys = self._http.get(address).json() if address else None
            self._keys = keys if isinstance(keys, dict) else {}
        return self._keys

    def offer(self) -> Offer:
        """What the provider offers; reads the RFC 8414 document too if endpoints are missing."""
        endpoints, faults = {}, []
        for name in (*ENDPOINTS, "jwks_uri", "end_session_endpoint"):
            try:
                address = self.get(name)
            except ConfigurationError as error:
                faults.append(str(error))
                continue
            if address:
                endpoints[name] = address
        return Offer(
            self.issuer,
            self._read.at,
            self.words("scopes_supported"),
            self.words("grant_types_supported"),
            self.added,
            endpoints,
            tuple(faults),
            self._read.ahead,
        )

    def _from_beside(self, name: str) -> object:
        while self._beside:
            try:
                other = document(self._http, self._beside[0]).document
            except NbAuthError as error:
                if not is_absent(error) and error.code != "not_json":
                    return None  # retried by the next call
                other = {}
            if same_issuer(other.get("issuer"), self.issuer):
                found = {one: other[one] for one in BESIDE if other.get(one)}
                self._document = {**found, **self._document}
                self._beside = ()
            self._beside = self._beside[1:]
        return self._document.get(name)


def _fault(value: object) -> str:
    """Why an address is rejected, for the error message."""
    if not isinstance(value, str):
        return f"is not a string but {type(value).__name__}"
    try:
        parts = urlsplit(value)
        where = f"{parts.scheme}://{parts.hostname}" if parts.hostname else value[:60]
    except ValueError:
        where = value[:60]
    return f"is not https ({plain(where)})"
