"""The running demo: provider, pages and Graph in a thread of their own, on 127.0.0.1 only."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tornado.httpserver import HTTPServer
from tornado.web import Application

from .certificates import make_certificates
from .contents import ADA, GRACE
from .drive import Drives
from .endpoint import Provider
from .grants import GrantStore
from .graph import LocalGraph
from .graph_endpoint import make_graph_application, make_storage_application
from .identity_provider import make_page_application, make_protocol_application, make_provider
from .outside import pages_address
from .scopes import GRAPH

_LOOPBACK = "127.0.0.1"
Parts = list[tuple[Application, ssl.SSLContext | None]]
"""Applications with what they answer https by; ``None`` is http."""


@dataclass
class Demo:
    """The running provider and Graph; leave the `with` block, or call `stop`, to end them.

    Both users have the one password.
    """

    issuer: str
    authority: str
    graph_url: str
    client_id: str
    user: str
    second_user: str
    password: str = field(repr=False)
    ca_file: str
    folder: Path
    provider: Provider
    _servers: _Servers = field(repr=False)

    def as_json(self) -> str:
        """The one line that `nbauth demo --idp-only --json` prints."""
        names = ("issuer", "authority", "graph_url", "client_id", "user", "password", "ca_file")
        return json.dumps({name: getattr(self, name) for name in names})

    def environment(self) -> dict[str, str]:
        """The settings that make nbauth use this provider and this Graph."""
        host = self.graph_url.split("/")[2]
        settings = {
            "NBAUTH_AUTHORITY": self.authority,
            "NBAUTH_CLIENT_ID": self.client_id,
            "NBAUTH_SCOPES": "User.Read",
            "NBAUTH_VERIFY": self.ca_file,
            "NBAUTH_HOSTS": json.dumps({host: [f"{GRAPH}.default"]}),
            # The provider has new keys at every start, so a kept account would be useless later.
            "NBAUTH_PERSIST": "memory",
            "NBAUTH_GRAPH_URL": f"https://{host}",
            "NBAUTH_DEMO_GRAPH_URL": self.graph_url,
        }
        # A browser elsewhere can't be redirected to this computer's loopback.
        return settings if self.provider.is_local else {**settings, "NBAUTH_FLOW": "device"}

    def stop(self) -> None:
        """Close the servers, join their thread, remove the folder; a second call does nothing."""
        self._servers.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _Servers:
    """Applications, each with its listener, in a thread of their own."""

    def __init__(self, parts: Parts, listeners: list[socket.socket]) -> None:
        self._parts = parts
        self._listeners = listeners
        self._loop, self._stopping = asyncio.new_event_loop(), asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nbauth-demo", daemon=True)

    def start(self) -> None:
        """Raises ``RuntimeError`` if they do not answer within ten seconds."""
        self._thread.start()
        if not self._ready.wait(timeout=10):
            raise RuntimeError("the local servers did not start within ten seconds")

    def stop(self) -> None:
        """Close them and join their thread; a second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(timeout=10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        running = [HTTPServer(part, ssl_options=context) for part, context in self._parts]
        for server, listener in zip(running, self._listeners, strict=True):
            server.add_socket(listener)
        self._ready.set()
        await self._stopping.wait()
        for server in running:
            server.stop()
            await server.close_all_connections()


def bind_loopback(port: int = 0, address: str = _LOOPBACK) -> socket.socket:
    """A listening socket on 127.0.0.1. Raises ValueError for any other address."""
    if address != _LOOPBACK:
        raise ValueError(f"the local demo listens on {_LOOPBACK} only, not on {address}")
    listener = socket.create_server((address, port), backlog=128)
    listener.setblocking(False)
    return listener


def start(
    *,
    access_ttl: int = 3600,
    device_ttl: int = 900,
    device_interval: int = 1,
    pages_url: str | None = None,
) -> Demo:
    """Start provider and Graph on free ports of 127.0.0.1; life-times and interval in seconds.

    `pages_url` is the outside address of the pages, `{port}` standing for their port. Raises
    ValueError for one that no browser could open.
    """
    folder = Path(tempfile.mkdtemp(prefix="nbauth-demo-"))  # mode 0700
    listeners: list[socket.socket] = []
    try:
        certificates = make_certificates(folder)
        for _ in range(4):
            listeners.append(bind_loopback())
        ports = [listener.getsockname()[1] for listener in listeners]
        store = GrantStore(access_ttl, device_ttl, device_interval)
        origin, page_origin = f"https://{_LOOPBACK}:{ports[0]}", f"http://{_LOOPBACK}:{ports[1]}"
        outside = None if pages_url is None else pages_address(pages_url, ports[1])
        provider = make_provider(origin, page_origin, store, outside)
        # Another name than Graph's, as OneDrive's contents are on another host than Graph.
        drives, storage = Drives(), f"https://localhost:{ports[3]}"
        graph = LocalGraph(
            store, f"{provider.pages_url}/common/oauth2/v2.0/authorize", drives, storage
        )
        parts: Parts = [
            (make_protocol_application(provider), certificates.server),
            (make_page_application(provider), None),
            (make_graph_application(graph), certificates.server),
            (make_storage_application(drives), certificates.server),
        ]
        servers = _Servers(parts, listeners)
        servers.start()
    except BaseException:
        for listener in listeners:
            listener.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Demo(
        issuer=provider.issuer,
        authority=provider.authority,
        graph_url=f"https://{_LOOPBACK}:{ports[2]}/v1.0",
        client_id=provider.client_id,
        user=ADA.username,
        second_user=GRACE.username,
        password=provider.password,
        ca_file=str(certificates.ca_file),
        folder=folder,
        provider=provider,
        _servers=servers,
    )
