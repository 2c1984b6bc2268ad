"""Finds and reads a provider's metadata (OpenID Connect Discovery 1.0 §4, RFC 8414 §3)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from nbauth.core.addresses import same_issuer
from nbauth.core.errors import AuthorityUnreachable, ConfigurationError, NbAuthError
from nbauth.core.text import plain
from nbauth.oauth.authorities import Authority
from nbauth.oauth.authority_forms import OAUTH_WELL_KNOWN, WELL_KNOWN
from nbauth.oauth.http import Http


@dataclass(frozen=True)
class Read:
    """A document, its address, and the seconds by which our clock is ahead of its server's."""

    document: Mapping[str, Any]
    at: str = ""
    ahead: float | None = None

    @classmethod
    def of(cls, response: Any) -> Read:
        """Read a response; a body that is not a JSON object gives an empty document."""
        body = response.json()
        known = body if isinstance(body, dict) else {}
        return cls(known, str(response.url), _ahead(response.headers))


def oauth_places(issuer: str) -> tuple[str, ...]:
    """The address of an issuer's metadata by RFC 8414 §3, and the one that many providers use."""
    parts = urlsplit(issuer)
    inserted = parts._replace(path=OAUTH_WELL_KNOWN + parts.path.rstrip("/")).geturl()
    return tuple(dict.fromkeys((inserted, issuer.rstrip("/") + OAUTH_WELL_KNOWN)))


def read(http: Http, place: str, authority: Authority) -> Read:
    """Fetch an authority's document from an address, and check its ``issuer`` (Discovery §4.3).

    Raises ``ConfigurationError`` if it does not exist (see :func:`is_absent`), or belongs to
    another issuer.
    """
    try:
        found = document(http, place)
    except AuthorityUnreachable as error:
        status = error.code.removeprefix("http_")
        if is_absent(error) and status.isdecimal():
            raise _no_provider(authority, f"HTTP {status}") from error
        raise
    issuer = found.document.get("issuer")
    if not issuer or not isinstance(issuer, str):
        raise _no_provider(authority, "the response has no issuer", code="bad_metadata")
    if not same_issuer(issuer, authority.url):
        own = "" if authority.metadata_url else f', and metadata_url = "{place}"'
        raise ConfigurationError(
            f"The metadata at {place} belongs to the issuer {plain(issuer)},"
            f" not to {authority.url}.",
            code="issuer_mismatch",
            hint=f'To use that issuer, set authority = "{plain(issuer)}"{own}.',
        )
    return found


def document(http: Http, place: str) -> Read:
    """Fetch a document of any issuer. Raises ``AuthorityUnreachable``."""
    response = http.get(place)
    if not response.ok:
        raise AuthorityUnreachable(
            f"There is no metadata at {place} (HTTP {response.status_code}).",
            code=f"http_{response.status_code}",
        )
    return Read.of(response)


def is_absent(error: NbAuthError) -> bool:
    """Whether an error means that the metadata does not exist.

    This excludes an invalid document, and one that is temporarily unavailable.
    """
    return error.code == "no_provider" or (
        isinstance(error, AuthorityUnreachable)
        and error.code.startswith("http_4")
        and error.code not in {"http_407", "http_429"}
    )


def _ahead(headers: Mapping[str, str]) -> float | None:
    """Seconds by which our clock is ahead of the server's (RFC 9110 §6.6.1, RFC 9111 §5.1)."""
    try:
        sent = parsedate_to_datetime(headers.get("Date") or "").timestamp()
        return time.time() - sent - float(headers.get("Age") or 0)  # seconds in a cache
    except (ValueError, TypeError, OverflowError):
        return None


def _no_provider(authority: Authority, why: str, code: str = "no_provider") -> ConfigurationError:
    if authority.metadata_url:
        return ConfigurationError(
            f"There is no provider metadata at {authority.metadata_url} ({why}).",
            code=code,
            hint="Correct metadata_url, or remove it if the metadata is at the issuer.",
        )
    return ConfigurationError(
        f"There is no OpenID Connect provider at {authority.url} ({why}).",
        code=code,
        hint=f"The metadata is expected at that address plus {WELL_KNOWN}. If it is elsewhere, set"
        " metadata_url, or authorization_endpoint and token_endpoint.",
    )
