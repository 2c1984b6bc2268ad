"""A fixed ``redirect_uri``: its port is free when a sign-in returns, and sign-ins can share it."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from nbauth.core.errors import ConfigurationError, NbAuthError, SignInCancelled, SignInExpired
from nbauth.core.interrupted import SignInInterrupted
from nbauth.kernel.sign_in.receivers import loopback, sockets
from nbauth.kernel.sign_in.receivers.loopback import Receiver
from nbauth.testing.engine import refusal
from tests.harness.kernels import ROOT
from tests.kernel.conftest import Bench, in_a_thread, redirect, until
from tests.kernel.sign_in.test_attempt import begun
from tests.kernel.sign_in.test_receiver import free_port

__all__ = ["free_port"]
HOSTS = ("127.0.0.1", "localhost")


class Browser:
    """Follows the redirect on a keep-alive connection, and keeps its end open."""

    def __init__(self) -> None:
        self.pages: list[bytes] = []
        self._kept: list[http.client.HTTPConnection] = []
        self._threads: list[threading.Thread] = []

    def __call__(self, authorize_url: str) -> None:
        thread = threading.Thread(target=self._visit, args=(redirect(authorize_url),))
        self._threads.append(thread)
        thread.start()

    def _visit(self, address: str) -> None:
        parts = urlsplit(address)
        spare = socket.create_connection(("127.0.0.1", parts.port or 80))  # as Chromium opens one
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=5)
        connection.request(
            "GET", f"{parts.path or '/'}?{parts.query}", headers={"Connection": "keep-alive"}
        )
        kept = connection.sock
        self.pages.append(connection.getresponse().read())
        self._kept += [spare, kept]  # type: ignore[list-item]

    def close(self) -> None:
        for thread in self._threads:
            thread.join(5)
        for kept in self._kept:
            if kept is not None:
                kept.close()


@pytest.fixture
def browser() -> Iterator[Browser]:
    made = Browser()
    yield made
    made.close()


def assert_free(port: int) -> None:
    """The port is free at once, since another program may need it, and no thread is left."""
    for sock in sockets.listen(port, "localhost"):
        sock.close()
    assert [thread.name for thread in threading.enumerate() if "receiver" in thread.name] == []


def test_fifty_sign_ins_in_a_row_find_their_port_free(
    bench: Bench, browser: Browser, free_port: int
) -> None:
    address = f"http://localhost:{free_port}/cb"
    for _ in range(50):
        account = bench.session.login(
            "read", flow="browser", redirect_uri=address, open_browser=browser, force=True
        )
        assert_free(free_port)
        assert account.username == "ada@example.com"
    browser.close()
    assert [page for page in browser.pages if b"You are signed in" not in page] == []
    assert len(browser.pages) == 50


def fails(bench: Bench, browser: Browser, login: Callable[..., Any]) -> None:
    bench.engine.will("redeem", refusal("invalid_grant"))
    with pytest.raises(NbAuthError):
        login(open_browser=browser)


def is_declined(bench: Bench, browser: Browser, login: Callable[..., Any]) -> None:
    def decline(authorize_url: str) -> None:
        address = redirect(authorize_url, error="access_denied").replace("code=c-1&", "")
        thread = threading.Thread(target=lambda: urlopen(address, timeout=5).read())
        browser._threads.append(thread)
        thread.start()

    with pytest.raises(NbAuthError, match="access_denied"):
        login(open_browser=decline)


def expires(bench: Bench, browser: Browser, login: Callable[..., Any]) -> None:
    with pytest.raises(SignInExpired):
        login(timeout=0.05, open_browser=False)


def is_cancelled(bench: Bench, browser: Browser, login: Callable[..., Any]) -> None:
    def cancel(_: str) -> None:
        (pending,) = bench.session.pending()
        browser._threads.append(threading.Thread(target=pending.cancel))
        browser._threads[-1].start()

    with pytest.raises(SignInCancelled):
        login(open_browser=cancel)


def is_cancelled_while_it_redeems(
    bench: Bench, browser: Browser, login: Callable[..., Any]
) -> None:
    gate = bench.engine.hold("redeem")
    before = bench.engine.count("redeem")

    def cancel() -> None:
        until(lambda: bench.engine.count("redeem") > before)
        (pending,) = bench.session.pending()
        pending.cancel()

    thread = threading.Thread(target=cancel)
    browser._threads.append(thread)
    thread.start()
    with pytest.raises(SignInCancelled):
        login(open_browser=browser)
    gate.open()


def is_interrupted(bench: Bench, browser: Browser, login: Callable[..., Any]) -> None:
    def wait(*_: Any) -> None:
        until(lambda: bench.session.pending()[0].step.__class__.__name__ == "OpenBrowser")
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.screen, "wait", wait)
        with pytest.raises(SignInInterrupted):
            login(open_browser=False)


ENDS = [fails, is_declined, expires, is_cancelled, is_cancelled_while_it_redeems, is_interrupted]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_the_port_is_free_when_a_sign_in_returns_however_it_ends(
    bench: Bench,
    browser: Browser,
    free_port: int,
    end: Callable[[Bench, Browser, Callable[..., Any]], None],
) -> None:
    def login(**options: Any) -> Any:
        address = f"http://localhost:{free_port}"
        return bench.session.login("read", flow="browser", redirect_uri=address, **options)

    for _ in range(3):
        end(bench, browser, login)
        assert_free(free_port)
        browser.close()
    login(open_browser=browser)
    assert_free(free_port)


def test_a_sign_in_stopped_while_its_port_is_opened_keeps_no_port(
    bench: Bench, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code that stops it at that moment sees no receiver to close."""
    made = Receiver.__init__

    def stopped_meanwhile(self: Receiver, *given: Any, **options: Any) -> None:
        made(self, *given, **options)
        (pending,) = bench.session.pending()
        in_a_thread(pending.cancel)
        pending.ended.wait(2)

    monkeypatch.setattr(Receiver, "__init__", stopped_meanwhile)
    sign_in = bench.session.login(
        "read", flow="browser", redirect_uri=f"http://localhost:{free_port}", background=True
    )
    assert sign_in.ended.wait(2)
    until(lambda: not sign_in._thread.is_alive())
    assert_free(free_port)
    assert bench.engine.count("authorize") == 0


# ── two sign-ins at one port ────────────────────────────────────────────────────────────────


def test_two_sign_ins_of_one_kernel_wait_at_one_port(bench: Bench, free_port: int) -> None:
    """Each takes its own response, in any order; the last one closes the port."""
    address = f"http://localhost:{free_port}/cb"
    first = begun(bench, "read", flow="browser", redirect_uri=address)
    second = begun(bench, "write", flow="browser", redirect_uri=address)
    assert first is not second
    for sign_in in (second, first):
        assert sign_in.authorize_url is not None
        with urlopen(redirect(sign_in.authorize_url), timeout=5) as page:
            assert b"You are signed in" in page.read()
        assert sign_in.wait(5).username == "ada@example.com"
    assert_free(free_port)


@pytest.mark.parametrize("leaves", [0, 1])
def test_a_sign_in_keeps_waiting_at_a_port_that_another_leaves(
    bench: Bench, free_port: int, leaves: int
) -> None:
    address = f"http://localhost:{free_port}/cb"
    waiting = [begun(bench, one, flow="browser", redirect_uri=address) for one in ("read", "write")]
    waiting.pop(leaves).cancel()
    (left,) = waiting
    assert left.state == "waiting"
    assert left.authorize_url is not None
    with urlopen(redirect(left.authorize_url), timeout=5) as page:
        assert b"You are signed in" in page.read()
    assert left.wait(5).username == "ada@example.com"
    assert_free(free_port)


def test_a_sign_in_can_enter_while_the_last_one_leaves(free_port: int) -> None:
    """At any moment: it shares the open port, or opens it again."""
    address = f"http://127.0.0.1:{free_port}"
    start = threading.Barrier(4)

    def come_and_go(name: str) -> None:
        start.wait()
        for number in range(50):
            one = Receiver(f"{name}{number}", redirect_uri=address)
            answer = f"{address}?code=c&state={name}{number}"
            asking, _ = in_a_thread(lambda answer=answer: urlopen(answer, timeout=5).read())
            assert one.answer.result(5)["state"] == f"{name}{number}"
            one.finish("Done", "")
            asking.join()

    threads = [in_a_thread(lambda name=name: come_and_go(name)) for name in "abcd"]
    for thread, _ in threads:
        thread.join()
    assert [outcome for _, outcome in threads] == [[None]] * 4
    assert_free(free_port)


def test_the_next_sign_in_completes_an_interrupted_leave(free_port: int) -> None:
    address = f"http://127.0.0.1:{free_port}"
    one = Receiver("one", redirect_uri=address)
    release = one._server.release

    def interrupted() -> None:
        raise KeyboardInterrupt

    one._server.release = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        one.finish("", "")
    one._server.release = release  # type: ignore[method-assign]
    two = Receiver("two", redirect_uri=address)
    assert two._server is not one._server
    with _asked(two):
        two.finish("Done", "")
    one.finish("", "")
    assert_free(free_port)


def _asked(receiver: Receiver) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", receiver.port))
    sock.sendall(
        f"GET /?code=c&state={receiver.state} HTTP/1.1\r\nHost: localhost:1\r\n\r\n".encode()
    )
    assert receiver.answer.result(5)["code"] == "c"
    return sock


# ── the port is in use ──────────────────────────────────────────────────────────────────────

OTHER_KERNEL = """
    import sys
    from nbauth.kernel.sign_in.receivers.loopback import Receiver
    receiver = Receiver("state", redirect_uri=sys.argv[1])
    print("open", flush=True)
    sys.stdin.readline()
    receiver.finish("", "")
"""
CHILD = """
    import os, sys
    from nbauth.core.errors import ConfigurationError
    from nbauth.kernel.sign_in.receivers.loopback import Receiver
    receiver = Receiver("state", redirect_uri=sys.argv[1])
    child = os.fork()
    if child == 0:
        receiver.forked()
        try:
            Receiver("state", redirect_uri=sys.argv[1])
        except ConfigurationError as error:
            os._exit(3 if error.code == "port_taken" else 4)
        os._exit(5)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    receiver.finish("", "")
    Receiver("state", redirect_uri=sys.argv[1]).finish("", "")
"""


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


@pytest.mark.timing
@pytest.mark.parametrize("host", [*HOSTS, "[::1]"])
def test_a_port_in_use_by_another_kernel_is_reported(free_port: int, host: str) -> None:
    address = f"http://{host}:{free_port}"
    with contextlib.ExitStack() as stack:
        if host == "[::1]":  # then it listens there only
            stack.enter_context(socket.create_server(("127.0.0.1", free_port)))
        other = stack.enter_context(python(OTHER_KERNEL, address))
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "open\n"
            with pytest.raises(ConfigurationError) as caught:
                Receiver("state", redirect_uri=address)
        finally:
            other.communicate("\n")
    assert caught.value.code == "port_taken"
    assert f"Port {free_port}" in str(caught.value)
    assert "a sign-in in another notebook" in str(caught.value)
    assert "Finish or cancel that sign-in" in caught.value.hint
    assert caught.value.suggested_flow == "device"
    Receiver("state", redirect_uri=address).finish("", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_share_its_parents_port(free_port: int) -> None:
    """It can't join there: the responses go to the parent."""
    with python(CHILD, f"http://127.0.0.1:{free_port}") as process:
        output, _ = process.communicate(timeout=30)
    assert output == "3\n"
    assert process.returncode == 0


@pytest.mark.parametrize("reply", [None, b"", b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", b"\xff\n"])
def test_a_port_in_use_by_another_program_is_reported(free_port: int, reply: bytes | None) -> None:
    """Also if the program is silent, disconnects, or speaks another protocol."""
    with socket.create_server(("127.0.0.1", free_port)) as squatter:

        def serve() -> None:
            while reply is not None:
                try:
                    connection, _ = squatter.accept()
                except OSError:
                    return
                connection.sendall(reply)
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(ConfigurationError, match="another program") as caught:
            Receiver("state", redirect_uri=f"http://localhost:{free_port}")
        squatter.shutdown(socket.SHUT_RDWR)
    assert caught.value.code == "port_taken"
    assert "Stop that program" in caught.value.hint


def test_with_auto_a_port_in_use_leads_to_another_flow(bench: Bench, free_port: int) -> None:
    bench.screen.known_ways, bench.screen.has_choice = ("browser", "device"), False
    with socket.create_server(("127.0.0.1", free_port)):
        address = f"http://127.0.0.1:{free_port}"
        assert bench.session.login("read", redirect_uri=address).username == "ada@example.com"
    assert any(f"Port {free_port}" in line for line in bench.screen.said)
    assert bench.engine.count("poll_device") == 1


# ── required addresses ──────────────────────────────────────────────────────────────────────

V4, V6 = "127.0.0.1", "::1"


@pytest.mark.parametrize(
    ("host", "port", "failing", "listens"),
    [
        ("localhost", 8400, {V6: errno.EADDRNOTAVAIL}, [V4]),
        ("localhost", 8400, {V6: errno.EAFNOSUPPORT}, [V4]),
        ("localhost", 8400, {V6: errno.EACCES}, [V4]),
        ("localhost", 8400, {V4: errno.EADDRNOTAVAIL}, [V6]),
        ("localhost", 8400, {V4: errno.EADDRNOTAVAIL, V6: errno.EAFNOSUPPORT}, "no_such_address"),
        ("localhost", 8400, {V6: errno.EADDRINUSE}, "port_taken"),
        ("localhost", 8400, {V4: errno.EADDRINUSE}, "port_taken"),
        ("localhost", 80, {V4: errno.EACCES, V6: errno.EACCES}, "cannot_listen"),
        ("localhost", 0, {V6: errno.EADDRINUSE}, "cannot_listen"),
        ("127.0.0.1", 8400, {V6: errno.EADDRINUSE}, [V4]),
        ("127.0.0.1", 8400, {V6: errno.EADDRNOTAVAIL}, [V4]),
        ("127.0.0.1", 8400, {V4: errno.EADDRNOTAVAIL}, "no_such_address"),
        ("127.0.0.1", 0, {V6: errno.EAFNOSUPPORT}, [V4]),
        ("[::1]", 8400, {V4: errno.EADDRINUSE}, [V6]),
        ("[::1]", 8400, {V6: errno.EADDRNOTAVAIL}, "no_such_address"),
        ("[::1]", 8400, {V6: errno.EAFNOSUPPORT}, "no_such_address"),
        ("[::1]", 0, {V6: errno.EADDRNOTAVAIL}, "no_such_address"),
        ("[::1]", 0, {V4: errno.EADDRNOTAVAIL}, [V6]),
    ],
)
def test_it_listens_on_the_addresses_that_the_browser_may_use(
    host: str,
    port: int,
    failing: dict[str, int],
    listens: list[str] | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The address of the registration is required; others are opened if possible."""

    class Listener:
        def __init__(self, address: str, port: int) -> None:
            self._name = (address, port or 50_000)

        def getsockname(self) -> tuple[str, int]:
            return self._name

        def close(self) -> None:
            pass

    def bound(_: object, address: str, port: int) -> Any:
        if address in failing:
            raise OSError(failing[address], "no")
        return Listener(address, port)

    monkeypatch.setattr(sockets, "_bound", bound)
    bare = host.strip("[]")
    if isinstance(listens, list):
        assert [one.getsockname()[0] for one in sockets.listen(port, bare)] == listens
        return
    with pytest.raises(OSError, match="no") as caught:
        sockets.listen(port, bare)
    said = loopback._cannot_listen(host, port, caught.value)
    assert said.code == listens
    if listens == "no_such_address":
        assert "redirect_uri" in said.hint
        assert ("::1" in str(said)) == ("::1" in host)


def test_without_ipv6_an_ipv6_redirect_uri_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = sockets._bound

    def bound(family: Any, address: str, port: int) -> Any:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        return real(family, address, port)

    monkeypatch.setattr(sockets, "_bound", bound)
    with pytest.raises(ConfigurationError, match="no address ::1"):
        Receiver("state", redirect_uri="http://[::1]/cb")
    Receiver("state", redirect_uri="http://localhost/cb").finish("", "")


@pytest.mark.parametrize(("port", "says"), [(80, "below 1024"), (8400, "above 1023")])
def test_a_forbidden_port_is_distinguished_from_one_in_use(port: int, says: str) -> None:
    said = loopback._cannot_listen("localhost", port, PermissionError(errno.EACCES, "denied"))
    assert str(said) == f"This kernel is not allowed to listen on port {port}."
    assert says in said.hint
    assert ("below 1024" in said.hint) == (port < 1024)
    assert said.suggested_flow == "device"
