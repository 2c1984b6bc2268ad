"""Imported in a kernel: from then on requests to graph.microsoft.com go to the demo's Graph."""

from __future__ import annotations

import os
from typing import Any

import httpx
import requests

GRAPH = httpx.URL(os.environ["NBAUTH_DEMO_GRAPH_URL"])
HOST = GRAPH.netloc.decode()
requests_send = requests.adapters.HTTPAdapter.send
httpx_send = httpx.HTTPTransport.handle_request


def send(adapter: Any, request: Any, *arguments: Any, **options: Any) -> Any:
    request.url = request.url.replace("https://graph.microsoft.com/", f"https://{HOST}/")
    return requests_send(adapter, request, *arguments, **options)


def handle_request(transport: Any, request: httpx.Request) -> httpx.Response:
    if request.url.host == "graph.microsoft.com":
        request.url = request.url.copy_with(host=GRAPH.host, port=GRAPH.port)
        request.headers["Host"] = HOST
    return httpx_send(transport, request)


requests.adapters.HTTPAdapter.send = send  # type: ignore[method-assign]
httpx.HTTPTransport.handle_request = handle_request  # type: ignore[method-assign]
