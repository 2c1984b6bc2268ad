"""Requests to Azure storage that need no token: public data, and signed addresses (SAS).

The hosts are built in. How the services answer a request without a token is in
"Common REST API error codes", "Authorize with Microsoft Entra ID" (bearer challenge) and "Configure
anonymous read access for containers and blobs" of their documentation.
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
    404: {"ResourceNotFound"},  # a container that is not public is said not to be there
    409: {"PublicAccessNotPermitted"},
}
"""By status: the error codes that ask for a token; ``None`` for any."""


def is_storage(url: str) -> bool:
    """Whether an address is a storage service's. It has to be one that a token may go to."""
    label, dot, suffix = (urlsplit(url).hostname or "").partition(".")
    return bool(label) and dot + suffix in SUFFIXES


def is_signed(url: str) -> bool:
    """Whether an address carries a shared access signature, beside which no token belongs."""
    query = url.partition("#")[0].partition("?")[2]
    signed = _SIGNATURE.search(query) is not None and _SIGNED.search(query) is not None
    return signed and is_storage(url)


def may_be_public(request: Any) -> bool:
    """Whether storage may answer a request without a token: GET and HEAD, with no body.

    Writing always needs a token; without one an upload would be sent for nothing.
    """
    reads = request.method in ("GET", "HEAD") and request.body is None
    return reads and is_storage(str(request.url))


def wants_token(response: Any) -> bool:
    """Whether the answer to a request that came without a token says that it needs one."""
    status = response.status_code
    if status not in _WANTED:
        return False
    codes = _WANTED[status]
    if codes is None or (status == 403 and "WWW-Authenticate" in response.headers):
        return True
    return response.headers.get("x-ms-error-code") in codes
