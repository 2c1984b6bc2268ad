"""Requests to Azure storage that need no token: public data, and URLs with a signature (SAS).

The hosts are built in. The services' responses to requests without a token are documented in
"Common REST API error codes", "Authorize with Microsoft Entra ID" (bearer challenge) and "Configure
anonymous read access for containers and blobs".
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from nbauth.oauth.clouds import CLOUDS

RESOURCE = "https://storage.azure.com"
SUFFIXES = frozenset(
    host for cloud in CLOUDS.values() for host, of in cloud.hosts.items() if of == RESOURCE
)
"""Each stands for exactly one label before it, the storage account."""

_SIGNATURE = re.compile(r"(?:\A|&)sig=[^&]", re.I | re.A)
_SIGNED = re.compile(r"(?:\A|&)(?:sv|se|si|sr)=[^&]", re.I | re.A)
_WANTED = {
    401: None,  # always
    403: {"AuthenticationFailed", "NoAuthenticationInformation", "InvalidAuthenticationInfo"},
    404: {"ResourceNotFound"},  # reported for a container that is not public
    409: {"PublicAccessNotPermitted"},
}
"""For each status, the error codes that ask for a token; ``None`` for any code."""


def is_storage(url: str) -> bool:
    """Whether a URL is a storage service's. Call it only for URLs that may get a token."""
    if ".core." not in url.lower():  # it is in each suffix, and faster than to split the URL
        return False
    label, dot, suffix = (urlsplit(url).hostname or "").partition(".")
    return bool(label) and dot + suffix in SUFFIXES


def is_signed(url: str) -> bool:
    """Whether a URL has a shared access signature, which excludes a token."""
    query = url.partition("#")[0].partition("?")[2]
    signed = _SIGNATURE.search(query) is not None and _SIGNED.search(query) is not None
    return signed and is_storage(url)


def may_be_public(request: Any) -> bool:
    """Whether storage may serve a request without a token: GET and HEAD without a body.

    Writing always needs a token; an upload without one would be sent in vain.
    """
    reads = request.method in ("GET", "HEAD") and request.body is None
    return reads and is_storage(str(request.url))


def wants_token(response: Any) -> bool:
    """Whether the response to a request without a token asks for one."""
    status = response.status_code
    if status not in _WANTED:
        return False
    codes = _WANTED[status]
    if codes is None or (status == 403 and "WWW-Authenticate" in response.headers):
        return True
    return response.headers.get("x-ms-error-code") in codes
