"""The one HTTP door to providers: time-outs, proxies, certificates, what counts as an answer."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from nbauth.core.errors import AuthorityUnreachable
from nbauth.core.log import place, word
from nbauth.oauth.sockets import AbortableAdapter

log = logging.getLogger(__name__)
TIMEOUT = (5.0, 15.0)
"""Seconds to connect, and to wait for an answer."""
LONGEST = 60.0
"""Seconds for a whole request: an answer that comes byte by byte never times out by itself."""
CORRELATION_IDS = ("client-request-id", "x-ms-request-id", "x-correlation-id", "x-request-id")


class VerifiedSession(requests.Session):
    """A ``requests.Session`` whose ``verify`` and ``proxies`` are what the settings say.

    Args:
        verify: ``None`` leaves it to requests and the environment's bundle variables; ``True`` or
            a CA file beats them.
        proxies: as requests takes them; ``None`` leaves them to the environment.
    """

    def __init__(
        self, verify: bool | str | None = None, proxies: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._explicit_verify = verify
        if verify is not None:
            self.verify = verify  # of a prepared request, which no environment is merged into
        self._process = os.getpid()
        if proxies:
            self.proxies.update(proxies)

    def get_adapter(self, url: Any) -> Any:
        if self._process != os.getpid():  # forked: two processes on one TLS connection break it
            self._process = os.getpid()
            for adapter in self.adapters.values():
                if isinstance(adapter, HTTPAdapter):  # as unpickling does: with pools anew
                    adapter.__setstate__(adapter.__getstate__())  # type: ignore[attr-defined]
        return super().get_adapter(url)

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if self._explicit_verify is not None:
            # requests lets REQUESTS_CA_BUNDLE beat Session.verify; a setting of ours beats both.
            settings["verify"] = self._explicit_verify
        return settings


class Http(VerifiedSession):
    """Raises ``AuthorityUnreachable`` for all that is no answer.

    No answer is: a broken connection, a time-out, a certificate nobody vouches for, a status of
    429 or 500 and above, and a body that is not JSON. Everything else, errors in the protocol's
    own form included, is returned.
    """

    def __init__(
        self, verify: bool | str | None = None, proxies: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(verify, proxies)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # of nobody else
        self._hearing = threading.local()
        self._adapter = AbortableAdapter()
        self.mount("https://", self._adapter)
        self.mount("http://", self._adapter)

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or TIMEOUT
        # Without one requests would add what ~/.netrc has for the host, in place of a Bearer too.
        options["auth"] = options.get("auth") or _as_it_is
        if str(method).upper() != "GET":
            options["allow_redirects"] = False  # codes and refresh tokens go where they are sent
        with _told(method, url, options.get("headers")) as answer:
            answer.append(self._answer(method, url, *args, **options))
            _require_answer(answer[0])
        if (heard := getattr(self._hearing, "answers", None)) is not None:
            heard.append(answer[0])
        return answer[0]

    @contextlib.contextmanager
    def hearing(self) -> Iterator[list[requests.Response]]:
        """Gives the answers that come to this thread meanwhile: a library may refuse one before
        anybody has seen it."""
        answers: list[requests.Response] = []
        self._hearing.answers = answers
        try:
            yield answers
        finally:
            self._hearing.answers = None

    def _answer(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        try:
            with self._adapter.within(LONGEST):
                return super().request(method, url, *args, **options)
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                raise AuthorityUnreachable(
                    f"No secure connection to {_host(url)} came about.", code="tls"
                ) from error
            raise AuthorityUnreachable(
                f"The certificate of {_host(url)} is not trusted here.",
                code="certificate",
                hint="If your organisation has its own CA, name its file in the setting verify.",
            ) from error
        except requests.exceptions.Timeout as error:
            raise AuthorityUnreachable(
                f"{_host(url)} did not answer in time.", code="timeout"
            ) from error
        # ValueError: an address that is none, the setting's or one that a redirect names.
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            raise AuthorityUnreachable(
                f"{_host(url)} cannot be reached.", code="no_connection"
            ) from error

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """At a redirect an Authorization header stays at its host; ~/.netrc adds none."""
        headers = prepared_request.headers
        before, now = response.request.url, prepared_request.url
        if "Authorization" in headers and self.should_strip_auth(before, now):  # type: ignore[no-untyped-call]
            del headers["Authorization"]

    def abort(self) -> None:
        """Break off requests in flight in other threads; they raise ``AuthorityUnreachable``."""
        self._adapter.abort()


def _as_it_is(request: Any) -> Any:
    return request


@contextlib.contextmanager
def _told(method: object, url: object, headers: Any) -> Iterator[list[requests.Response]]:
    """Tell the log of a request; the answer goes into the list."""
    began = time.monotonic()
    answer: list[requests.Response] = []
    outcome = ""
    try:
        yield answer
    except AuthorityUnreachable as error:
        outcome = f" ({word(error.code)})"
        raise
    finally:
        if log.isEnabledFor(logging.DEBUG):
            status = answer[0].status_code if answer else "no answer"
            trace = _correlation_id(headers, answer[0].headers if answer else None)
            seconds = time.monotonic() - began
            log.debug(
                "%s %s: %s%s, %.3f s, correlation id %s",
                method, place(url), status, outcome, seconds, trace,
            )  # fmt: skip


def _correlation_id(*headers: Mapping[str, str] | None) -> str:
    """What the request or its answer is known by in the provider's log."""
    for some in headers:
        for name in CORRELATION_IDS:
            if some and some.get(name):
                return word(f"id-{some[name]}").removeprefix("id-")
    return "none"


def _host(url: object) -> str:
    return str(url).split("/")[2] if "//" in str(url) else "The provider"


def _require_answer(response: requests.Response) -> None:
    where, status = _host(response.url), response.status_code
    if status == 429 or status >= 500:
        raise AuthorityUnreachable(
            f"{where} is out of order or busy (HTTP {status}).", code=f"http_{status}"
        )
    if response.is_redirect:
        raise AuthorityUnreachable(
            f"{where} redirected a request that carries secrets; nbauth does not follow such"
            f" redirects (HTTP {status}).",
            code=f"http_{status}",
        )
    if response.ok and not response.content and response.request.method == "POST":
        return  # a revocation endpoint has nothing to say (RFC 7009 §2.2)
    try:
        response.json()
    except (ValueError, RecursionError):
        raise AuthorityUnreachable(
            f"{where} did not answer in its protocol (HTTP {status}, not JSON).",
            code=f"http_{status}" if status >= 400 else "not_json",
            hint="Something between here and the provider answers for it: a proxy, a captive"
            " portal, or a wrong authority address.",
        ) from None
