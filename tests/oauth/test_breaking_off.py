"""Time limit and abort end a request at every stage, and no other request."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from nbauth.core.errors import AuthorityUnreachable
from nbauth.oauth import sockets
from nbauth.oauth.http import Http
from nbauth.oauth.sockets import AbortableAdapter
from nbauth.testing.clock import FakeClock
from tests.harness.certificates import Certificates
from tests.oauth.servers import Server, reply

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nX-Slow: "
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
CONNECT = b"HTTP/1.1 200 OK\r\nX-Slow: "
HANDSHAKE = b"\x16\x03\x03\x40\x00"
"""The beginning of a TLS record whose rest arrives slowly."""
GIVES_UP = 4.0
"""Seconds after which a server of these tests closes the connection."""


class Web:
    """Servers on loopback, with one thread per connection."""

    def __init__(self, certificates: Certificates) -> None:
        self.over = threading.Event()
        self.reached = threading.Event()
        self.ca = str(certificates.ca_file)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.cert_file, certificates.key_file)
        self._open: list[socket.socket] = []

    def serve(self, each: Callable[[socket.socket], None], secure: bool = False) -> str:
        """Start a server that handles each connection like this; return its ``localhost:port``."""
        listening = socket.create_server(("127.0.0.1", 0))
        self._open.append(listening)

        def talk(sock: socket.socket) -> None:
            with contextlib.suppress(OSError):
                if secure:
                    sock = self._context.wrap_socket(sock, server_side=True)
                    self._open.append(sock)
                each(sock)
            sock.close()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listening.accept()
                    self._open.append(sock)
                    threading.Thread(target=talk, args=(sock,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"localhost:{listening.getsockname()[1]}"

    def dripping(self, first: bytes, secure: bool = False) -> str:
        """A server that sends the first bytes at once, then byte by byte."""

        def drip(sock: socket.socket) -> None:
            sock.recv(4096)
            sock.sendall(first)
            self.reached.set()
            began = time.monotonic()
            while not self.over.wait(0.01) and time.monotonic() < began + GIVES_UP:
                sock.sendall(b"1")

        return self.serve(drip, secure)

    def tunnel(self, to: str) -> str:
        """An https proxy."""
        port = int(to.rpartition(":")[2])

        def pump(source: socket.socket, sink: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(4096):
                    sink.sendall(data)
            sink.close()

        def connect(sock: socket.socket) -> None:
            sock.recv(4096)
            beyond = socket.create_connection(("127.0.0.1", port))
            self._open.append(beyond)
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=pump, args=(sock, beyond), daemon=True).start()
            pump(beyond, sock)

        return self.serve(connect, secure=True)

    def close(self) -> None:
        self.over.set()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture
def web(certificates: Certificates) -> Iterator[Web]:
    made = Web(certificates)
    yield made
    made.close()


def moved(web: Web) -> str:
    """A server that redirects within its origin to a slow response."""

    def talk(sock: socket.socket) -> None:
        asked = sock.recv(4096).partition(b"\r\n")[0]
        if not asked:
            return
        if b" / " in asked:
            sock.sendall(b"HTTP/1.1 302 X\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n")
            return
        sock.sendall(BODY)
        web.reached.set()
        web.over.wait(GIVES_UP)

    return web.serve(talk)


Stage = Callable[[Web], tuple[str, dict[str, str] | None]]
"""An address with a slow response, and the proxies to reach it."""
STAGES: dict[str, Stage] = {
    "head": lambda web: (f"http://{web.dripping(HEAD)}", None),
    "body": lambda web: (f"http://{web.dripping(BODY)}", None),
    "body over TLS": lambda web: (f"https://{web.dripping(BODY, secure=True)}", None),
    "handshake": lambda web: (f"https://{web.dripping(HANDSHAKE)}", None),
    "next hop": lambda web: (f"http://{moved(web)}", None),
    "CONNECT": lambda web: ("https://id.example", {"https": f"http://{web.dripping(CONNECT)}"}),
    "CONNECT to an https proxy": lambda web: (
        "https://id.example",
        {"https": f"https://{web.dripping(CONNECT, secure=True)}"},
    ),
    "handshake with a proxy": lambda web: (
        "https://id.example",
        {"https": f"https://{web.dripping(HANDSHAKE)}"},
    ),
    "handshake through a proxy": lambda web: through_tls(web, web.dripping(HANDSHAKE)),
    "head through a proxy": lambda web: through_tls(web, web.dripping(HEAD, secure=True)),
    "body through a proxy": lambda web: through_tls(web, web.dripping(BODY, secure=True)),
}


def through_tls(web: Web, place: str) -> tuple[str, dict[str, str]]:
    """TLS within TLS."""
    return f"https://{place}", {"https": f"https://{web.tunnel(place)}"}


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call().status_code
    except AuthorityUnreachable as error:
        return error.code


@pytest.mark.timing
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize("how", ["time limit", "abort"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_request_ends_at_every_stage(
    web: Web, stage: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbauth.oauth.http.LONGEST", 0.2 if how == "time limit" else 60.0)
    url, proxies = STAGES[stage](web)
    http = Http(web.ca, proxies)

    def abort() -> None:
        assert web.reached.wait(5)
        time.sleep(0.05)
        http.abort()

    if how == "abort":
        threading.Thread(target=abort).start()
    began = time.monotonic()
    assert outcome(lambda: http.get(url)) == ("timeout" if how == "time limit" else "broken_off")
    assert time.monotonic() - began < GIVES_UP / 2


class SlowToConnect:
    """Blocks the nth connect to one address until it is released."""

    def __init__(self, place: str, monkeypatch: pytest.MonkeyPatch, after: int = 0) -> None:
        self.reached, self.let = threading.Event(), threading.Event()
        self.times = 0
        connect = socket.socket.connect

        def slow(sock: socket.socket, address: Any) -> None:
            self.times += address[1] == int(place.rpartition(":")[2])
            if self.times > after:
                self.reached.set()
                assert self.let.wait(5)
            connect(sock, address)

        monkeypatch.setattr(socket.socket, "connect", slow)


@pytest.mark.timing
def test_the_time_limit_applies_while_a_redirect_connects(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbauth.oauth.http.LONGEST", 0.3)
    place, outcomes = moved(web), []
    slow = SlowToConnect(place, monkeypatch, after=1)
    thread = threading.Thread(
        target=lambda: outcomes.append(outcome(lambda: Http().get(f"http://{place}/")))
    )
    thread.start()
    assert slow.reached.wait(5)
    time.sleep(0.4)
    slow.let.set()
    began = time.monotonic()
    thread.join(GIVES_UP)
    assert time.monotonic() - began < 1
    assert outcomes == ["timeout"]
    assert not web.reached.is_set(), "it was sent"


@pytest.mark.timing
def test_a_request_aborted_while_connecting_is_not_sent(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[bytes] = []
    place = web.serve(lambda sock: received.append(sock.recv(4096)))
    slow = SlowToConnect(place, monkeypatch)
    http, outcomes = Http(), []
    thread = threading.Thread(
        target=lambda: outcomes.append(outcome(lambda: http.post(f"http://{place}/")))
    )
    thread.start()
    assert slow.reached.wait(5)
    http.abort()
    slow.let.set()
    thread.join(5)
    assert outcomes == ["broken_off"]
    assert received in ([], [b""])


@pytest.mark.timing
def test_after_the_time_limit_no_other_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host may have sixteen addresses, and a firewall may drop each for five seconds."""
    tried: list[Any] = []

    def swallow(_: socket.socket, address: Any) -> None:
        tried.append(address)
        time.sleep(0.1)
        raise TimeoutError("timed out")

    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 9))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 16)
    monkeypatch.setattr(socket.socket, "connect", swallow)
    monkeypatch.setattr("nbauth.oauth.http.LONGEST", 0.2)
    assert outcome(lambda: Http().get("https://id.example/")) == "timeout"
    assert len(tried) < 5


@pytest.mark.timing
def test_an_aborted_response_is_not_accepted_as_complete(web: Web) -> None:
    """A response without length ends with its connection: an aborted revocation looked complete."""

    def half(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        web.reached.set()
        web.over.wait(GIVES_UP)

    place, http, outcomes = web.serve(half), Http(), []
    thread = threading.Thread(
        target=lambda: outcomes.append(outcome(lambda: http.post(f"http://{place}/")))
    )
    thread.start()
    assert web.reached.wait(5)
    time.sleep(0.05)
    http.abort()
    thread.join(5)
    assert outcomes == ["broken_off"]


def test_a_complete_response_is_returned_although_an_abort_follows() -> None:
    """A code can be redeemed only once."""
    adapter, session = AbortableAdapter(), requests.Session()
    session.mount("http://", adapter)
    with Server() as server, adapter.within(60):
        answer = session.get(server.url)
        adapter.abort()
    assert answer.ok


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_an_abort_in_a_forked_child_does_not_abort_requests_of_its_parent() -> None:
    gate = threading.Event()

    def slow(_: object) -> bytes:
        assert gate.wait(5)
        return reply(200, "{}")

    http, outcomes = Http(), []
    with Server(answer=slow) as server:
        thread = threading.Thread(
            target=lambda: outcomes.append(outcome(lambda: http.get(server.url)))
        )
        thread.start()
        assert server.asked.wait(5)
        child = os.fork()
        if child == 0:
            http.abort()
            os._exit(0)
        os.waitpid(child, 0)
        gate.set()
        thread.join(5)
    assert outcomes == [200]


def test_an_idle_connection_is_not_reused(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(sockets, "time", clock)
    connections: list[str] = []

    def keep_alive(name: str) -> str:
        def talk(sock: socket.socket) -> None:
            connections.append(name)
            while sock.recv(4096):
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        return web.serve(talk)

    places, http = {name: keep_alive(name) for name in "ab"}, Http()
    for name in "aba":
        assert http.get(f"http://{places[name]}/").ok
        clock.advance(sockets.IDLE * 0.6)
    assert connections == ["a", "b", "a"]
    assert http.get(f"http://{places['a']}/").ok
    assert connections == ["a", "b", "a"], "a connection that was not idle is reused"
