"""A minimal browser that posts the provider's forms, for tests without a real browser."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

import requests


class ScriptedBrowser:
    """Signs a user in at the provider as a person with a browser would, much faster.

    One object is one browser profile: it stays signed in.
    """

    def __init__(self, ca_file: str, user: str = "ada") -> None:
        self.user = user
        self._web = requests.Session()
        self._web.trust_env = False
        self._web.verify = ca_file

    def __call__(self, authorize_url: str) -> str:
        """Sign in and consent; return the redirect that a browser would follow.

        The fields of a form post are returned as a query.
        """
        return self._walk(authorize_url)

    def decline(self, authorize_url: str) -> str:
        """The same, but click the provider's cancel link."""
        return self._walk(authorize_url, decline=True)

    def approve(self, verification_uri: str, user_code: str) -> None:
        """Type the code of a device flow, confirm it, sign in, consent."""
        self._walk(verification_uri, user_code)

    def refuse(self, verification_uri: str, user_code: str) -> None:
        """Type the code, then abort."""
        self._walk(verification_uri, user_code, decline=True)

    def _walk(self, start: str, user_code: str = "", *, decline: bool = False) -> str:
        method, url, fields = "GET", start, {}
        for _ in range(20):
            if urlsplit(url).netloc != urlsplit(start).netloc:
                return f"{url}?{urlencode(fields)}" if fields else url
            response = self._web.request(method, url, data=fields, allow_redirects=False)
            if response.is_redirect:
                method, url, fields = "GET", urljoin(url, response.headers["Location"]), {}
                continue
            page = _Page(response.text)
            if page.title == "Sign-in Success" or "interrupted" in response.text:
                return url
            if page.action is None:
                raise AssertionError(f"{response.status_code} {page.title!r}: {response.text}")
            if decline and page.cancel:
                method, url, fields = "GET", urljoin(url, page.cancel), {}
                continue
            method, url, fields = "POST", urljoin(url, page.action), dict(page.fields)
            if "login" in fields:
                fields.update(login=self.user, password="any password")
            elif "user_code" in fields and "confirm" not in fields:
                fields["user_code"] = user_code
            elif "confirm" in fields and decline:
                fields["abort"] = "yes"
        raise AssertionError(f"no end at {url}")


class _Page(HTMLParser):
    """The form of one of the provider's pages."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title = ""
        self.action: str | None = None
        self.cancel: str | None = None
        self.fields: dict[str, str] = {}
        self._in_title = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._in_title = tag == "title"
        if tag == "form":
            self.action = given["action"]
        elif tag == "input" and given.get("name"):
            self.fields[given["name"]] = given.get("value", "")
        elif tag == "a" and given.get("href", "").endswith("/abort"):
            self.cancel = given["href"]

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
