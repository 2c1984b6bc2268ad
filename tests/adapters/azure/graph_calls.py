"""Run as a script: Microsoft's Graph SDK with ``nbauth.credential()``; prints a report as JSON.

Its arguments are the folder of the SDK, and the address of the demo's page with its user and
password. Requests to graph.microsoft.com go to the demo's Graph; nothing else is changed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from html import unescape
from re import findall
from typing import Any
from urllib.parse import urlencode

import httpx
import requests

sys.path.append(sys.argv[1])
ORIGIN, USER, PASSWORD, LIFE = sys.argv[2:6]
GRAPH = httpx.URL(os.environ["NBAUTH_DEMO_GRAPH_URL"])
sent: list[str] = []
"""The tokens of the requests to Graph."""
handle = httpx.AsyncHTTPTransport.handle_async_request


async def rerouted(transport: Any, request: httpx.Request) -> httpx.Response:
    if request.url.host == "graph.microsoft.com":
        request.url = request.url.copy_with(host=GRAPH.host, port=GRAPH.port)
        request.headers["Host"] = GRAPH.netloc.decode()
        sent.append(request.headers["Authorization"].removeprefix("Bearer "))
    else:
        sent.append("elsewhere")
    return await handle(transport, request)


httpx.AsyncHTTPTransport.handle_async_request = rerouted  # type: ignore[method-assign]

import nbauth  # noqa: E402
from nbauth.core.errors import NbAuthError  # noqa: E402
from nbauth.demo.tour import interaction_in  # noqa: E402


def person(address: str) -> str:
    """A person at the provider's pages. Gives the address of the last page."""
    with requests.Session() as browser:
        page = browser.get(address, timeout=5)
        for fields in (
            {"action": "sign-in", "username": USER, "password": PASSWORD},
            {"action": "accept"},
        ):
            form = {"interaction": interaction_in(page.text), **fields}
            page = browser.post(
                f"{ORIGIN}/interaction", data=form, allow_redirects=False, timeout=5
            )
    if "Location" in page.headers:
        return page.headers["Location"]
    pairs = findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page.text)
    return "http://localhost/?" + urlencode([(unescape(name), unescape(v)) for name, v in pairs])


async def calls(credential: Any) -> list[str]:
    """The user's name, before and after the token has expired; one client."""
    from msgraph.graph_service_client import GraphServiceClient

    client = GraphServiceClient(credential)
    first = await client.me.get()
    await asyncio.sleep(float(LIFE) + 0.1)
    second = await client.me.get()
    assert first and second
    return [str(first.display_name), str(second.display_name)]


async def failed(credential: Any, base_url: str = "") -> dict[str, str]:
    """The error of a call."""
    from msgraph.graph_service_client import GraphServiceClient

    client = GraphServiceClient(credential)
    if base_url:
        client.request_adapter.base_url = base_url
    try:
        await client.me.get()
    except NbAuthError as error:
        return {"type": type(error).__name__, "code": error.code, "hint": error.hint}
    return {"type": "none"}


nbauth.configure(refresh_ahead=False)
nbauth.login("User.Read", web_ui=person)
report: dict[str, Any] = {}
for way in ("sync", "async"):
    sent.clear()
    made = nbauth.credential("User.Read")
    started = time.monotonic()
    names = asyncio.run(calls(made if way == "sync" else made.aio))
    report[way] = {"names": names, "different": len({*sent}), "requests": len(sent)}
    report[way]["seconds"] = round(time.monotonic() - started, 2)
sent.clear()
report["wrong host"] = asyncio.run(failed(nbauth.credential("User.Read"), str(GRAPH)))
report["no consent"] = asyncio.run(failed(nbauth.credential("Mail.Send")))
report["sent"] = len(sent)
print(json.dumps(report))
