"""Checks HTTP responses: which bodies are valid, and which redirects are followed."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from nbauth.core.addresses import is_secure, origin_of
from nbauth.core.errors import AuthorityUnreachable, ConfigurationError
from nbauth.core.log import place
from nbauth.core.text import plain
from nbauth.oauth import json_body
from nbauth.oauth.answers import Told, told_in

SOMETHING_BETWEEN = (
    "Check the authority's address. A proxy or a captive portal may also have sent this response:"
    " open a page in your browser to see."
)
_EMPTY = "empty"


def host_of(url: object) -> str:
    """Host and port, without user name and password, for messages."""
    try:
        return plain(urlsplit(str(url)).netloc.rpartition("@")[2]) or "The provider"
    except ValueError:
        return plain(str(url).partition("//")[2].partition("/")[0]) or "The provider"


def _shown(url: object) -> str:
    """Scheme, host and path; a query may hold a secret."""
    scheme, separator, _ = str(url).partition("://")
    return plain(f"{scheme}://{place(url)}" if separator else place(url))


def require_secure(url: object) -> None:
    """Raise ``ConfigurationError`` unless the address is https, or http on loopback."""
    if is_secure(url):
        return
    if str(url).startswith("https:"):
        raise ConfigurationError(
            f"{_shown(url)} is not a valid address; nothing was sent.",
            code="bad_address",
            hint="Check the authority's address.",
        )
    raise not_https(url)


def not_https(url: object) -> ConfigurationError:
    """The error for an address that no secret may be sent to."""
    return ConfigurationError(
        f"{_shown(url)} is not an https address; nothing was sent there.",
        code="not_https",
        hint="Check the authority; the provider's administrator must publish https addresses.",
    )


def target_of(response: requests.Response) -> str:
    """The target of a redirected GET, if it has the same origin (RFC 6454 §5).

    Raises ``AuthorityUnreachable`` for another origin, and for other methods.
    """
    where = response.headers["Location"].encode("latin-1").decode("utf-8", "replace")
    try:
        target = urljoin(str(response.url), where)
        same = origin_of(target) == origin_of(str(response.url)) and is_secure(target)
    except ValueError:
        target, same = where, False
    if response.request.method != "GET" or not same:
        response.close()
        raise redirected(response, f"to {_shown(target)}")
    return target


def redirected(response: requests.Response, where: str) -> AuthorityUnreachable:
    """The error for a redirect that is not followed."""
    body = response.request.body
    sent = body.decode("latin-1") if isinstance(body, bytes) else str(body or "")
    what = "the token request" if "grant_type=" in sent else "a request"
    return AuthorityUnreachable(
        f"{host_of(response.url)} redirected {what} {where} (HTTP {response.status_code}); nbauth"
        " does not follow such redirects.",
        code="redirected",
        hint="If the provider has moved, set authority to its new address.",
    )


def without_authorization(headers: Any) -> dict[str, str]:
    """The headers for a redirected request."""
    return {name: text for name, text in (headers or {}).items() if name.lower() != "authorization"}


def too_large(url: object) -> AuthorityUnreachable:
    """The error for a response that exceeds a limit."""
    return AuthorityUnreachable(
        f"{host_of(url)} sent a response that is too large: more than {json_body.LIMIT:,} bytes or"
        f" {json_body.MOST:,} elements. The rest was not read.",
        code="too_large",
        hint=SOMETHING_BETWEEN,
    )


def _said(response: requests.Response) -> str:
    """The page title or the error text of a rejected response, for the error message."""
    try:
        body = json_body.body_of(response)
        told = told_in(json_body.parse(body)) if b"<title" not in body.lower() else Told("", "")
    except Exception:  # the status alone is reported
        return ""
    text = json_body.title_of(body) or told.text or told.word
    return f": {text.removeprefix(f'{response.status_code} ')}" if text else ""


def read_into(response: requests.Response) -> None:
    """Read the body of a streamed response, and replace it by normalised JSON.

    Raises ``AuthorityUnreachable`` if it is invalid; its ``empty`` is true for a response without a
    body.
    """
    where, status = host_of(response.url), response.status_code
    if status == 429 or status >= 500:
        raise AuthorityUnreachable(
            f"{where} returned HTTP {status}{_said(response)}.",
            code=f"http_{status}",
        )
    why, body = "not JSON", b""
    try:
        body = json_body.body_of(response)
        if body.strip():
            body = json_body.written(json_body.parse(body))
        elif not (response.ok and response.request.method == "POST"):
            raise json_body.NotJson(_EMPTY)
        # The response of a revocation endpoint has no body (RFC 7009 §2.2).
    except json_body.NotJson as error:
        why = str(error)
    else:
        response._content = body
        response._content_consumed = True  # type: ignore[attr-defined]
        response.encoding = "utf-8"
        return
    title = json_body.title_of(body)
    page = f', the page "{title}"' if title else ""
    failure = AuthorityUnreachable(
        f"{where} sent an invalid response (HTTP {status}, {why}){page}.",
        code=f"http_{status}" if status >= 400 else "not_json",
        hint=SOMETHING_BETWEEN,
    )
    failure.empty = why == _EMPTY
    raise failure
