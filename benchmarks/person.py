"""A person at the demo provider's pages, as a few form posts; they are not timed."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from html import unescape
from urllib.parse import urljoin, urlsplit

import requests

from nbauth.demo.servers import Demo
from nbauth.demo.tour import approve

HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)"')
ACTION = re.compile(r'<form method="post" action="([^"]*)"')
Redirect = tuple[str, str, dict[str, str]]
"""Method, URL and form of the request that returns the authorization response."""


class Person:
    """One browser profile in which the demo's user signs in."""

    def __init__(self, user: str, password: str) -> None:
        self._fields = {"username": user, "password": password}
        self._web = requests.Session()
        self._web.trust_env = False

    def approve(self, authorize_url: str) -> Redirect:
        """Sign in and consent; return the browser's next request without sending it."""
        redirect = self._walk(self._web.get(authorize_url, allow_redirects=False), authorize_url)
        assert redirect is not None
        return redirect

    def approve_device(self, verification_uri: str, user_code: str) -> None:
        """Type the code, sign in, accept."""
        page = self._web.post(verification_uri, data={"user_code": user_code})
        self._walk(page, verification_uri)

    def _walk(self, page: requests.Response, start: str) -> Redirect | None:
        for _ in range(5):
            if page.is_redirect:
                url = urljoin(page.url, page.headers["Location"])
                if urlsplit(url).netloc != urlsplit(start).netloc:
                    return "GET", url, {}
                page = self._web.get(url, allow_redirects=False)
                continue
            page.raise_for_status()
            action = ACTION.search(page.text)
            if action is None:  # the last page: the device is approved
                return None
            url = urljoin(page.url, unescape(action[1]))
            form = {unescape(name): unescape(value) for name, value in HIDDEN.findall(page.text)}
            if "interaction" not in form:
                return "POST", url, form
            asks_who = 'name="password"' in page.text
            form |= {"action": "sign-in", **self._fields} if asks_who else {"action": "accept"}
            page = self._web.post(url, data=form, allow_redirects=False)
        raise RuntimeError(f"no end at {page.url}")


@contextlib.contextmanager
def approving(demo: Demo) -> Iterator[None]:
    """Approve every device code while the block runs."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            for device in demo.provider.store.pending_devices():
                approve(demo, device)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
