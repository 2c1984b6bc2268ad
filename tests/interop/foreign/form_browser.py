"""A minimal browser for third-party providers: it fills in and posts their forms."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests

from tests.interop.foreign.provider import Foreign

NOTHING: Mapping[str, str] = {}


class FormBrowser:
    """One browser profile, which stays signed in. As a ``web_ui`` it returns the redirect."""

    def __init__(self, foreign: Foreign) -> None:
        self._foreign = foreign
        self._web = requests.Session()
        self._web.trust_env = False
        self._web.verify = foreign.ca_file

    def __call__(self, authorize_url: str) -> str:
        """Sign in and consent; return the redirect that a browser would follow."""
        return self._walk(authorize_url, "")

    def approve(self, verification_uri: str, user_code: str) -> None:
        """Type the code of a device flow on the provider's page, sign in, and approve."""
        self._walk(verification_uri, user_code)

    def decline(self, verification_uri: str, user_code: str) -> None:
        """Type the code of a device flow and refuse."""
        self._walk(verification_uri, user_code, {"action": "deny"})

    def _walk(self, start: str, user_code: str, instead: Mapping[str, str] = NOTHING) -> str:
        method, url, fields = "GET", start, {}
        posted: list[dict[str, str]] = []
        for _ in range(20):
            if urlsplit(url).netloc != urlsplit(start).netloc:
                return url
            told = {"Referer": url}  # some providers check it
            response = self._web.request(
                method, url, data=fields, headers=told, allow_redirects=False, timeout=20
            )
            if response.is_redirect:
                method, url, fields = "GET", urljoin(url, response.headers["Location"]), {}
                continue
            page = _Page(response.text)
            for action, found in page.forms:
                filled = self._foreign.fills(found, user_code)
                filled = filled and {**filled, **instead}
                if filled is not None and filled not in posted:
                    posted.append(filled)
                    method, url, fields = "POST", urljoin(url, action), filled
                    break
            else:
                if user_code and posted and response.ok:
                    return url
                raise AssertionError(f"{response.status_code} {url}: {response.text[:3000]}")
        raise AssertionError(f"no end at {url}")


class _Page(HTMLParser):
    """The forms of a page: where each goes, and its fields with their values."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        elif tag in {"input", "button"} and given.get("name") and self.forms:
            self.forms[-1][1].setdefault(given["name"], given.get("value", ""))
