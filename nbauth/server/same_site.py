"""Cookies that are ``SameSite=Strict``, for the page that a provider sends the browser to.

The browser does not send them with a request that a page of another site started, such as the
redirect of a provider. Server and hub then treat the person as not logged in.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from nbauth.core.pages import AGAIN


def asks_again(headers: Mapping[str, str], query: str) -> bool:
    """Whether a request without a login should be made once more by a page of this site.

    True for an authorization response, once. A browser that says that the request was started by
    this site, or by no site, has sent its cookies already.
    """
    try:
        given = parse_qs(query, max_num_fields=100)
    except ValueError:
        return False
    answer = bool(given.get("state")) and ("code" in given or "error" in given)
    elsewhere = headers.get("Sec-Fetch-Site", "cross-site") == "cross-site"
    by_person = headers.get("Sec-Fetch-Dest", "document") == "document"
    return answer and AGAIN not in given and elsewhere and by_person
