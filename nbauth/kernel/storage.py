"""Storage that may be public, or that a request brings its own key to.

Of Azure's storage services, whose hosts are built in. What they say to who brings no token is in
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
"""The error codes, by status, by which a token is asked for."""


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
    """Whether a request may be answered without a token: a reading one, with no body.

    Nobody but its owner writes to storage, so that no upload is begun in vain.
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
