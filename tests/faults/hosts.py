"""Simulated hosts: they check the received tokens, and refuse or redirect requests."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import requests
from requests.adapters import BaseAdapter

from nbauth.kernel.calls.authorise import Auth
from nbauth.kernel.calls.authorised_session import AuthorisedSession
from tests.faults.equal_names import PROVIDERS

WORDS = ("read", "write")
UNLISTED = "elsewhere.example"
ALL = [f"{word}.{name}-api.example" for name in PROVIDERS for word in WORDS] + [UNLISTED]

Check = Callable[..., None]


class Hosts:
    """All hosts; ``check`` is called with every received token."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def reads(self, kind: str, auth: Auth, provider: str) -> Callable[[], object]:
        """A function that calls hosts with it, some of them listed for the provider."""
        adapter = _Adapter(self, auth, provider)
        if kind == "httpx":
            return adapter.get_with_httpx
        session = AuthorisedSession(auth, None, None)
        if kind == "auth":
            plain = requests.Session()
            plain.auth = auth
            plain.trust_env = False
            plain.mount("https://", adapter)
            return lambda: _get(plain)
        session.trust_env = False
        session.mount("https://", adapter)
        return lambda: _get(session)

    def takes(self, url: str, header: str | None, auth: Auth, provider: str) -> int | str:
        """The status of a host's response, or the target of its redirect."""
        host = str(urlsplit(url).hostname)
        word, _, rest = host.partition(".")
        if header is not None:
            text = header.removeprefix("Bearer ")
            if rest != f"{provider}-api.example":
                raise AssertionError(f"{host} got a token of {provider}")
            self._check(f"at {host}", text, auth.bound.key, frozenset({word}))
        chance = random.random()
        if chance < 0.15 and header is not None:
            return 401
        return f"https://{random.choice(ALL)}/moved" if chance < 0.3 else 200


def _get(session: requests.Session) -> None:
    session.get(f"https://{random.choice(ALL)}/", timeout=5).close()


class _Adapter(BaseAdapter):
    def __init__(self, hosts: Hosts, auth: Auth, provider: str) -> None:
        super().__init__()
        self._hosts = hosts
        self._auth = auth
        self._provider = provider

    def _answer(self, url: str, header: str | None) -> tuple[int, dict[str, str]]:
        answer = self._hosts.takes(url, header, self._auth, self._provider)
        return (302, {"Location": answer}) if isinstance(answer, str) else (answer, {})

    def send(self, request: Any, **_: Any) -> requests.Response:
        response = requests.Response()
        url, header = request.url, request.headers.get("Authorization")
        response.status_code, headers = self._answer(url, header)
        response.headers.update(headers)
        response.url, response.request = url, request
        response.connection = self  # type: ignore[attr-defined]
        response.raw = SimpleNamespace(close=lambda: None, release_conn=lambda: None)
        response._content, response._content_consumed = b"{}", True  # type: ignore[attr-defined]
        return response

    def close(self) -> None:
        pass

    def get_with_httpx(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            status, headers = self._answer(str(request.url), request.headers.get("Authorization"))
            return httpx.Response(status, headers=headers, json={})

        transport = httpx.MockTransport(answer)
        with httpx.Client(
            transport=transport, auth=self._auth, follow_redirects=True, trust_env=False
        ) as client:
            client.get(f"https://{random.choice(ALL)}/")
