"""Calls of a protected host with each HTTP library."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from ssl import SSLContext
from typing import Any

import httpx

from tests.oauth.servers import Seen, Server


class Caller:
    """Calls a host through a session's ``auth``.

    Attributes:
        host: name and port.
        server: the host.
        context: trusts the host's certificate.
        session: the authorised session; httpx uses its ``auth``.
    """

    host: str
    server: Server
    context: SSLContext
    session: Any

    def call(self, how: str, method: str = "GET", path: str = "/", **options: Any) -> Any:
        url = f"https://{self.host}{path}"
        if how == "requests":
            return self.session.request(method, url, **options)
        if how == "httpx":
            with self.client(httpx.Client) as here:
                return here.request(method, url, **options)

        async def ask() -> Any:
            async with self.client(httpx.AsyncClient) as here:
                return await here.request(method, url, **options)

        return asyncio.run(ask())

    def answer(self, request: Seen) -> bytes:
        """The host's response."""
        raise NotImplementedError

    def call_during_another(self) -> tuple[int, int]:
        """Call while an earlier call waits for its response; the statuses of both."""
        late, sent = threading.Event(), threading.Event()

        def answer(request: Seen) -> bytes:
            if request.target == "/late" and not sent.is_set():
                sent.set()
                assert late.wait(10)
            return self.answer(request)

        self.server.answer = answer
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(lambda: self.call("httpx", path="/late").status_code)
            assert sent.wait(10)
            status = self.call("requests").status_code
            late.set()
            return status, slow.result()

    def client(self, kind: Any) -> Any:
        return kind(verify=self.context, auth=self.session.auth, follow_redirects=True)
