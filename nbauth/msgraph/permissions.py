"""Which permissions a request needs that Graph has refused, by Microsoft's documents."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from nbauth.kernel.calls.missing import Documented
from nbauth.msgraph.endpoints.endpoints import known
from nbauth.msgraph.errors import parsed, told

OTHER_CAUSES = frozenset(
    {
        "activityLimitReached",
        "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
        "Authentication_RequestFromUnsupportedUserRole",
        "Directory_QuotaExceeded",
        "quotaLimitReached",
    }
)
"""Codes of a 403 whose cause is a licence, a role or a quota."""
_PATH = re.compile(r"/(?:v1\.0|beta)/(.+)", re.I | re.S)


def permissions(method: str, url: str, body: bytes | None) -> Documented | None:
    """The documented permissions of a request; ``None`` if they are not known, if the response is
    not Graph's, or if its code names another cause."""
    code = told(parsed(body or b"")).code
    found = _PATH.match(urlsplit(url).path)
    if not code or code in OTHER_CAUSES or found is None:
        return None
    endpoint = known(method, found[1])
    return None if endpoint is None else Documented(endpoint.scopes, endpoint.roles)
