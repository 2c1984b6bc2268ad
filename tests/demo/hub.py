"""A hub between a person's browser and the demo's pages, similar to jupyter-server-proxy.

It removes its prefix from the path, keeps `Host` and sends the prefix in `X-Forwarded-Prefix`. The
tests also use it as the browser's forward proxy, so that the hub's name needs no DNS entry.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from nbauth.demo.servers import bind_loopback

PREFIX = "/user/ada/proxy"
PAGES_URL = f"http://hub.example{PREFIX}/{{port}}"


class _Proxy(RequestHandler):
    async def get(self, port: str, path: str) -> None:
        query = f"?{self.request.query}" if self.request.query else ""
        answer = await AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{port}{path}{query}",
            raise_error=False,
            method=self.request.method,
            headers={
                **{name: self.request.headers[name] for name in ("Host", "User-Agent")},
                **{
                    name: self.request.headers[name]
                    for name in ("Cookie", "Content-Type")
                    if name in self.request.headers
                },
                "X-Forwarded-Prefix": f"{PREFIX}/{port}",
            },
            body=self.request.body or None,
            follow_redirects=False,
            request_timeout=5,
        )
        self.set_status(answer.code)
        for name in ("Content-Type", "Content-Security-Policy", "Set-Cookie", "Location"):
            for value in answer.headers.get_list(name):
                self.add_header(name, value)
        self.finish(answer.body)

    post = get


@contextmanager
def running_hub() -> Iterator[str]:
    """Run the hub on a free port of 127.0.0.1. Yields its address for the proxies of requests."""
    listener = bind_loopback()
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        routes = [(rf"(?:http://hub\.example)?{PREFIX}/(\d+)(/.*)", _Proxy)]
        server = HTTPServer(Application(routes, log_function=lambda _: None))
        server.add_socket(listener)
        await stopping.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        loop.close()


class Form(HTMLParser):
    """The last form of a page, sent as a browser sends it."""

    def __init__(self, page: requests.Response) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self._address = page.url
        self.feed(page.text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.action, self.fields = urljoin(self._address, given["action"]), {}
        elif tag == "input":
            self.fields[given["name"]] = given["value"]

    def send(self, browser: requests.Session, **fields: str) -> requests.Response:
        data = {**self.fields, **fields}
        return browser.post(self.action, data=data, allow_redirects=False, timeout=5)
