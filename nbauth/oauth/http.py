"""Sends all requests to providers, with limits on addresses, time and responses."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3.exceptions as urllib3

from nbauth.core.errors import NbAuthError
from nbauth.core.log import place, word
from nbauth.oauth import json_body
from nbauth.oauth.answered import (
    read_into,
    redirected,
    require_secure,
    target_of,
    too_large,
    without_authorization,
)
from nbauth.oauth.network import VerifiedSession
from nbauth.oauth.sockets import AbortableAdapter
from nbauth.oauth.trust import Trust
from nbauth.oauth.unreachable import explained

log = logging.getLogger(__name__)
TIMEOUT = (5.0, 15.0)
"""Seconds to connect, and to wait for each part of a response."""
LONGEST = 20.0
"""Seconds for a whole request with its redirects: the time-out above never ends a response that
arrives byte by byte. A refresh may need two requests, and the lock around it ends after 60 s."""
MOST_REDIRECTS = 3
Read = Callable[[requests.Response], None]
CORRELATION_IDS = ("client-request-id", "x-ms-request-id", "x-correlation-id", "x-request-id")


class Http(VerifiedSession):
    """Sends requests and returns the responses, including error responses of the protocol.

    Raises ``AuthorityUnreachable`` for a broken connection, a time-out, an untrusted certificate, a
    redirect that is not followed, a response over a limit, a status of 429 or of 500 and above, and
    a body that is not JSON.

    Raises ``ConfigurationError``, without sending anything, for an address that is neither https
    nor on loopback.
    """

    def __init__(
        self, verify: bool | str | None = None, proxies: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(verify, proxies)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # stores no cookies
        self.headers["Accept-Encoding"] = json_body.ACCEPTED
        self._hearing = threading.local()
        self._adapter = AbortableAdapter(verify)
        self.mount("https://", self._adapter)
        self.mount("http://", self._adapter)

    def request(
        self, method: Any, url: Any, *args: Any, read: Read = read_into, **options: Any
    ) -> requests.Response:
        """Send a request. ``read`` reads the body, by default JSON; see :mod:`.answered`."""
        options["timeout"] = options.get("timeout") or TIMEOUT
        # Without auth=, requests would use credentials from ~/.netrc or from the address.
        options["auth"] = options.get("auth") or _as_it_is
        options |= {"stream": True, "allow_redirects": False}
        with _told(method, url, options.get("headers")) as answer:
            require_secure(url)
            self._ask(answer, read, method, url, *args, **options)
        if (heard := getattr(self._hearing, "answers", None)) is not None:
            heard.append(answer[0])
        return answer[0]

    @contextlib.contextmanager
    def hearing(self) -> Iterator[list[requests.Response]]:
        """Collect the responses to this thread's requests, including those a library rejects."""
        answers: list[requests.Response] = []
        self._hearing.answers = answers
        try:
            yield answers
        finally:
            self._hearing.answers = None

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a prepared request, after checking its final address."""
        require_secure(request.url)
        if str(request.url).startswith("http:"):  # loopback: not through a proxy
            options["proxies"] = {}
        options.setdefault("proxies", self._proxies_to(request.url))
        options["verify"] = self._trusted(None)
        return super().send(request, **options)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None  # otherwise requests would read the whole body of the redirect

    def _ask(
        self,
        answer: list[requests.Response],
        read: Read,
        method: Any,
        url: Any,
        *args: Any,
        **options: Any,
    ) -> None:
        """Send, and append the response to the list, even if its body is then rejected."""
        try:
            if str(url).startswith("https:"):
                Trust.of(self._setting).check()
            with self._adapter.within(LONGEST):
                answer.append(self._last_hop(method, url, *args, **options))
                read(answer[0])
        except json_body.TooLarge:
            raise too_large(url) from None
        # ValueError: an invalid address.
        except (requests.RequestException, urllib3.HTTPError, OSError, ValueError) as error:
            raise explained(error, self, url) from error
        finally:
            for response in answer:
                response.close()

    def _last_hop(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """Send the request, and follow redirects of a GET within its origin."""
        response = super().request(method, url, *args, **options)
        for _ in range(MOST_REDIRECTS):
            if not response.is_redirect:
                return response
            response.close()
            url = target_of(response)
            options["headers"] = without_authorization(options.get("headers"))
            options["params"] = None
            response = super().request(method, url, *args, **options)
        if response.is_redirect:
            response.close()
            raise redirected(response, f"more than {MOST_REDIRECTS} times")
        return response

    def abort(self) -> None:
        """Abort requests of other threads; these raise ``AuthorityUnreachable``."""
        self._adapter.abort()


def _as_it_is(request: Any) -> Any:
    return request


@contextlib.contextmanager
def _told(method: object, url: object, headers: Any) -> Iterator[list[requests.Response]]:
    """Log a request; the caller appends the response to the list."""
    began = time.monotonic()
    answer: list[requests.Response] = []
    outcome = ""
    try:
        yield answer
    except NbAuthError as error:
        outcome = f" ({word(error.code)})"
        raise
    finally:
        if log.isEnabledFor(logging.DEBUG):
            status = answer[0].status_code if answer else "no response"
            trace = _correlation_id(headers, answer[0].headers if answer else None)
            seconds = time.monotonic() - began
            log.debug(
                "%s %s: %s%s, %.3f s, correlation id %s",
                method, place(url), status, outcome, seconds, trace,
            )  # fmt: skip


def _correlation_id(*headers: Mapping[str, str] | None) -> str:
    """The id of the request or its response in the provider's log."""
    for some in headers:
        for name in CORRELATION_IDS:
            if some and some.get(name):
                return word(f"id-{some[name]}").removeprefix("id-")
    return "none"
