"""Calls of a protected host with each HTTP library."""

from __future__ import annotations

import asyncio
from ssl import SSLContext
from typing import Any

import httpx


class Caller:
    """Calls a host through a session's ``auth``.

    Attributes:
        host: name and port.
        context: trusts the host's certificate.
        session: the authorised session; httpx uses its ``auth``.
    """

    host: str
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

    def client(self, kind: Any) -> Any:
        return kind(verify=self.context, auth=self.session.auth, follow_redirects=True)
