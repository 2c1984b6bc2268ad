"""The loopback listener, over real sockets."""

from __future__ import annotations

import errno
import gc
import random
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from nbauth.core.errors import ConfigurationError, FlowUnavailable, NbAuthError
from nbauth.kernel.sign_in.receivers import http_server as loopback
from nbauth.kernel.sign_in.receivers import sockets
from nbauth.kernel.sign_in.receivers.http_server import LARGEST
from nbauth.kernel.sign_in.receivers.loopback import Receiver

STATE = "s-Tate_0123456789-abcdefghijklmnopqrstuvwxyz"
GENUINE = {"code": "the code/+=&é", "state": STATE, "session_state": ""}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    open_one = Receiver(STATE)
    yield open_one
    open_one.finish("Done", "Close this tab.")


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An exception in a connection would be logged by asyncio, under somebody's cell."""
    yield
    records = [*caplog.get_records("setup"), *caplog.get_records("call"), *caplog.records]
    assert [record.getMessage() for record in records] == []


def connect(receiver: Receiver, host: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_connection((host, receiver.port), timeout=10)
    sock.settimeout(10)
    return sock


def read_all(sock: socket.socket) -> bytes:
    data = b""
    try:
        while chunk := sock.recv(65_536):
            data += chunk
    except ConnectionError:
        pass
    return data


def ask(receiver: Receiver, request: bytes, host: str = "127.0.0.1") -> bytes:
    with connect(receiver, host) as sock:
        try:
            sock.sendall(request)
        except ConnectionError:
            return b""
        return read_all(sock)


def get(target: str, host: str = "localhost", method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: {host}:1\r\n\r\n".encode()


def post(body: str, target: str = "/", kind: str = "application/x-www-form-urlencoded") -> bytes:
    data = body.encode()
    head = f"POST {target} HTTP/1.1\r\nHost: localhost:1\r\nContent-Type: {kind}\r\n"
    return head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data


def accepts_the_genuine_one(receiver: Receiver) -> float:
    """Delivers it, and returns the seconds until it has been taken."""
    began = time.monotonic()
    sock = connect(receiver)
    sock.sendall(get(f"/?{urlencode(GENUINE)}"))
    assert receiver.answer.result(5) == GENUINE
    taken = time.monotonic() - began
    receiver.finish("Signed in", "Close this tab.")
    assert b"Signed in" in read_all(sock)
    sock.close()
    return taken


@pytest.mark.parametrize(
    "request_",
    [
        get(f"/?{urlencode(GENUINE)}"),
        get(f"/?{urlencode(GENUINE)}", host="127.0.0.1"),
        get(f"/?{urlencode(GENUINE)}", host="[::1]"),
        post(urlencode(GENUINE)),
        post(urlencode(GENUINE), kind="application/x-www-form-urlencoded; charset=utf-8"),
    ],
)
def test_the_genuine_answer_is_taken_as_query_and_as_form(
    receiver: Receiver, request_: bytes
) -> None:
    with connect(receiver) as sock:
        sock.sendall(request_)
        assert receiver.answer.result(5) == GENUINE


def test_an_error_with_the_right_state_is_an_answer(receiver: Receiver) -> None:
    with connect(receiver) as sock:
        sock.sendall(get(f"/?error=access_denied&state={STATE}"))
        assert receiver.answer.result(5) == {"error": "access_denied", "state": STATE}


def test_it_listens_on_both_loopback_addresses_and_nowhere_else(receiver: Receiver) -> None:
    assert receiver.redirect_uri == f"http://localhost:{receiver.port}"
    names = sorted(sock.getsockname()[0] for sock in receiver._server._listeners)
    try:  # asked of the machine, not of the receiver, which might have lost it
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
        there = ["127.0.0.1", "::1"]
    except OSError:
        there = ["127.0.0.1"]
    assert names == there
    with connect(receiver, there[-1]) as sock:
        sock.sendall(get(f"/?{urlencode(GENUINE)}"))
        assert receiver.answer.result(5) == GENUINE


REFUSED: dict[str, bytes] = {
    "no state": get("/?code=c"),
    "error without state": get("/?error=access_denied"),
    "empty state": get("/?code=c&state="),
    "truncated state": get(f"/?code=c&state={STATE[:-1]}"),
    "longer state": get(f"/?code=c&state={STATE}x"),
    "other case": get(f"/?code=c&state={STATE.swapcase()}"),
    "state with a space": get(f"/?code=c&state=+{STATE}"),
    "non-ascii state": get("/?code=c&state=%E2%80%AE%F0%9F%98%80"),
    "broken utf-8 state": get("/?code=c&state=%FF%FE"),
    "state twice": get(f"/?code=c&state={STATE}&state={STATE}"),
    "code twice": get(f"/?code=c&code=d&state={STATE}"),
    "neither code nor error": get(f"/?state={STATE}&x=y"),
    "in the fragment": get(f"/#code=c&state={STATE}"),
    "other path": get(f"/callback?code=c&state={STATE}"),
    "other path below": get(f"/../?code=c&state={STATE}"),
    "double slash": get(f"//?code=c&state={STATE}"),
    "no address at all": get(f"//[?code=c&state={STATE}"),
    "bad brackets": get(f"http://[::1?code=c&state={STATE}"),
    "semicolons": get(f"/?code=c;state={STATE}"),
    "HEAD": get(f"/?code=c&state={STATE}", method="HEAD"),
    "OPTIONS": get(f"/?code=c&state={STATE}", method="OPTIONS"),
    "PUT": get(f"/?code=c&state={STATE}", method="PUT"),
    "DELETE": get(f"/?code=c&state={STATE}", method="DELETE"),
    "POST with a query": get(f"/?code=c&state={STATE}", method="POST"),
    "rebound name": get(f"/?code=c&state={STATE}", host="evil.example"),
    "rebound suffix": get(f"/?code=c&state={STATE}", host="localhost.evil.example"),
    "rebound prefix": get(f"/?code=c&state={STATE}", host="evil-localhost"),
    "user in host": get(f"/?code=c&state={STATE}", host="localhost@evil.example"),
    "no host": f"GET /?code=c&state={STATE} HTTP/1.0\r\n\r\n".encode(),
    "two hosts": f"GET /?code=c&state={STATE} HTTP/1.1\r\nHost: localhost:1\r\n"
    "Host: evil.example\r\n\r\n".encode(),
    "json": post('{"code": "c"}', kind="application/json"),
    "multipart": post(f"code=c&state={STATE}", kind="multipart/form-data"),
    "text/plain": post(f"code=c&state={STATE}", kind="text/plain"),
    "form without state": post("code=c"),
    "form with state in the query": post("code=c", target=f"/?state={STATE}"),
    "form twice": post(f"code=c&state={STATE}&state={STATE}"),
    "favicon": get("/favicon.ico"),
    "root": get("/"),
    "TLS hello": bytes.fromhex("16030100c8010000c40303") + b"\0" * 200,
    "garbage": b"\xff\xfe\0\r\n\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": f"GET /?code=c&state={STATE}\r\n\r\n".encode(),
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    "CONNECT": b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    "oversize header": get("/?x=" + "a" * (2 * LARGEST)),
    "oversize body": post(f"code=c&state={STATE}&x=" + "a" * (2 * LARGEST)),
    "bad length": b"POST / HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: abc\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: -1\r\n\r\n",
    "smuggled": b"POST / HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nHost: localhost:1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "header line break": b"GET / HTTP/1.1\r\nHost: localhost:1\r\nX: a\0b\r\n\r\n",
}


@pytest.mark.parametrize("what", REFUSED)
def test_all_else_is_refused_and_the_genuine_one_then_accepted(
    receiver: Receiver, what: str
) -> None:
    reply = ask(receiver, REFUSED[what])
    assert reply == b"" or b" 404 " in reply.split(b"\r\n")[0]
    assert STATE.encode() not in reply
    assert not receiver.answer.done()
    accepts_the_genuine_one(receiver)


# ── a refusal that names no sign-in ─────────────────────────────────────────────────────────

STRAY = "error=access_denied&error_description=Not+you"


@pytest.mark.parametrize(
    "request_",
    [
        get(f"/?{STRAY}"),
        get(f"/?{STRAY}&state="),
        get(f"/?{STRAY}&iss=https://id.example"),
        post(STRAY),
    ],
)
def test_a_refusal_without_state_is_shown_and_ends_nothing(
    receiver: Receiver, request_: bytes
) -> None:
    page = ask(receiver, request_).decode()
    assert "The provider says: Not you [access_denied]." in page
    assert "Your notebook is still waiting" in page
    assert receiver.stray.result(5)["error"] == "access_denied"
    assert not receiver.answer.done()
    accepts_the_genuine_one(receiver)


@pytest.mark.parametrize(
    "request_",
    [
        get(f"/?{STRAY}&state={STATE}x"),
        get(f"/?{STRAY}&code=c"),
        get("/?error="),
        get(f"/other?{STRAY}"),
        get(f"/?{STRAY}", method="HEAD"),
        get(f"/?{STRAY}", host="evil.example"),
        get(f"/?{STRAY}&error=again"),
        post(STRAY, kind="application/json"),
    ],
)
def test_what_is_no_such_refusal_is_told_to_nobody(receiver: Receiver, request_: bytes) -> None:
    assert b"provider" not in ask(receiver, request_)
    assert not receiver.stray.done()
    accepts_the_genuine_one(receiver)


def test_a_refusal_without_state_is_text_and_nothing_else(receiver: Receiver) -> None:
    words = urlencode({"error": HOSTILE.replace("\ud800", ""), "error_description": "x" * 9_000})
    page = ask(receiver, get(f"/?{words}"))
    assert b"<script" not in page
    assert b"<img" not in page
    assert "\u202e".encode() not in page
    assert len(page) < 4_000


# ── the name that it is asked by ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("host", "port", "ours"),
    [
        ("localhost", 80, True),
        ("127.0.0.1", 80, True),
        ("[::1]", 80, True),
        ("LocalHost", 80, True),
        ("localhost:80", 80, True),
        ("localhost", 443, True),
        ("localhost", 8400, False),
        ("[::1]", 8400, False),
        ("localhost:8400", 8400, True),
        ("[::1]:8400", 8400, True),
        ("", 80, False),
        (":80", 80, False),
        ("evil.example", 80, False),
        ("localhost.evil.example", 80, False),
        ("localhost@evil.example", 80, False),
        ("evil.example:localhost", 80, False),
        ("127.0.0.2", 80, False),
        ("[::]", 80, False),
        ("::1", 80, False),
        ("localhost\n", 80, False),
    ],
)
def test_a_host_may_leave_out_the_port_that_is_its_schemes_own(
    host: str, port: int, ours: bool
) -> None:
    assert loopback.is_ours(host, port) is ours


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_the_answer_is_taken_without_a_port_in_host_at_the_schemes_own(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    bare = f"GET /?{urlencode(GENUINE)} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    assert b" 404 " in ask(receiver, bare)
    monkeypatch.setattr(loopback, "DEFAULT_PORTS", {receiver.port})  # 80 takes an administrator
    with connect(receiver) as sock:
        sock.sendall(bare)
        assert receiver.answer.result(5) == GENUINE


def fuzzed(dice: random.Random) -> bytes:
    """A request that is nearly the genuine one, or one of the refused, damaged."""
    if dice.random() < 0.5:
        data = bytearray(dice.choice([value for value in REFUSED.values() if len(value) < 2_000]))
        for _ in range(dice.randrange(4)):
            at = dice.randrange(len(data))
            data[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
        if STATE.encode() in data:
            data = bytearray(data.replace(STATE.encode(), STATE[1:].encode()))
        return bytes(data)
    state = list(STATE)
    for _ in range(dice.randrange(1, 3)):
        at = dice.randrange(len(state))
        state[at] = dice.choice([c for c in "abcXYZ019-._~ %\u00e9" if c != STATE[at]])
    values = {**GENUINE, "state": "".join(state)[: dice.randrange(1, len(state) + 1)]}
    pairs = dice.sample(list(values.items()), len(values))
    method = dice.choice(["GET", "POST", "HEAD", "get", "PATCH"])
    encoded = urlencode(pairs)
    if method == "POST":
        return post(encoded, kind=dice.choice(["application/x-www-form-urlencoded", "x", ""]))
    host = dice.choice(["localhost", "127.0.0.1", "evil.example", "LOCALHOST", ""])
    return get(f"/{dice.choice(['', '/', 'x', '%2f'])}?{encoded}", host=host, method=method)


@pytest.mark.timing
def test_hundreds_of_fuzzed_requests_are_refused_and_the_genuine_one_accepted(
    receiver: Receiver,
) -> None:
    dice = random.Random(20_240_501)
    requests = [fuzzed(dice) for _ in range(400)]
    replies: list[bytes] = []

    def send(mine: list[bytes]) -> None:
        for request in mine:
            with connect(receiver) as sock:
                try:
                    sock.sendall(request)
                    sock.shutdown(socket.SHUT_WR)
                except ConnectionError:
                    continue
                replies.append(read_all(sock))

    threads = [threading.Thread(target=send, args=(requests[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) > 350
    assert all(reply == b"" or b" 404 " in reply.split(b"\r\n")[0] for reply in replies)
    assert not receiver.answer.done()
    assert accepts_the_genuine_one(receiver) < 1


@pytest.mark.timing
def test_idle_and_half_sent_connections_do_not_delay_the_genuine_answer(receiver: Receiver) -> None:
    idle = [connect(receiver) for _ in range(50)]
    half = connect(receiver)
    half.sendall(b"POST / HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 9999999999\r\n\r\nco")
    assert accepts_the_genuine_one(receiver) < 1
    for sock in [*idle, half]:
        sock.close()


def test_a_connection_that_takes_too_long_is_closed(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    monkeypatch.setattr(loopback, "PATIENCE", 0.05)
    with connect(receiver) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        assert read_all(sock) == b""
    accepts_the_genuine_one(receiver)


def test_the_same_answer_many_times_is_one_answer(receiver: Receiver) -> None:
    """Whoever has connected by the end gets the page, even who has not been read yet."""
    socks = [connect(receiver) for _ in range(20)]
    for number, sock in enumerate(socks):
        sock.sendall(get(f"/?code=c{number}&state={STATE}"))
    first = receiver.answer.result(5)
    receiver.finish("Signed in", "Close this tab.")
    assert receiver.answer.result(0) == first
    assert all(b"Signed in" in read_all(sock) for sock in socks)
    for sock in socks:
        sock.close()


@pytest.mark.timing
def test_a_delivery_that_arrives_while_it_closes_does_not_hang() -> None:
    """It gets the page, or an end: no connection is left open for the collector to find."""
    fates: list[str] = []

    def deliver(receiver: Receiver, start: threading.Barrier) -> None:
        start.wait()
        try:
            reply = ask(receiver, get(f"/?{urlencode(GENUINE)}"))
            fates.append("page" if b"Signed in" in reply else "closed")
        except TimeoutError:
            fates.append("hung")
        except OSError:
            fates.append("refused")

    gc.disable()
    try:
        for _ in range(10):
            receiver, start = Receiver(STATE), threading.Barrier(21)
            threads = [threading.Thread(target=deliver, args=(receiver, start)) for _ in range(20)]
            for thread in threads:
                thread.start()
            start.wait()
            receiver.answer.result(5)
            receiver.finish("Signed in", "Close this tab.")
            began = time.monotonic()
            for thread in threads:
                thread.join()
            assert time.monotonic() - began < 2
    finally:
        gc.enable()
    assert "hung" not in fates
    assert fates.count("page") >= 10


def test_the_oldest_silent_connection_makes_room(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    monkeypatch.setattr(loopback, "MOST", 10)
    delivered = connect(receiver)
    delivered.sendall(get(f"/?{urlencode(GENUINE)}"))
    receiver.answer.result(5)
    silent = [connect(receiver) for _ in range(15)]
    assert [read_all(sock) for sock in silent[:5]] == [b""] * 5
    receiver.finish("Signed in", "Close this tab.")
    assert b"Signed in" in read_all(delivered)
    for sock in [delivered, *silent]:
        sock.close()


def test_the_browser_is_told_nothing_before_the_end(receiver: Receiver) -> None:
    with connect(receiver) as sock:
        sock.sendall(get(f"/?{urlencode(GENUINE)}"))
        receiver.answer.result(5)
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(5)
        receiver.finish("Not signed in", "The code was no good.")
        assert b"The code was no good." in read_all(sock)


@pytest.mark.timing
@pytest.mark.parametrize("answered", [True, False])
def test_port_and_thread_are_gone_after_finish(answered: bool) -> None:
    receiver = Receiver(STATE)
    idle = [connect(receiver) for _ in range(5)]
    if answered:
        idle[0].sendall(get(f"/?{urlencode(GENUINE)}"))
        receiver.answer.result(5)
    began = time.monotonic()
    receiver.finish("Done", "Close.")
    assert time.monotonic() - began < 1
    assert not receiver._server.thread.is_alive()
    for host in ("127.0.0.1", "::1"):
        with pytest.raises(OSError, match=r"refused|assign|unreachable|support"):
            connect(receiver, host)
    receiver.finish("Again", "does nothing")
    for sock in idle:
        sock.close()


@pytest.mark.timing
def test_a_browser_that_does_not_read_cannot_keep_it_open() -> None:
    receiver = Receiver(STATE)
    sock = connect(receiver)
    sock.sendall(get(f"/?{urlencode(GENUINE)}"))
    receiver.answer.result(5)
    began = time.monotonic()
    receiver.finish("Done", "x" * 10_000_000)
    assert not receiver._server.thread.is_alive()
    assert time.monotonic() - began < 1.2
    sock.close()


def test_many_cycles_leave_nothing_behind() -> None:
    before = threading.active_count()
    for _ in range(20):
        Receiver(STATE).finish("Done", "Close.")
    assert threading.active_count() == before


HOSTILE = "</p><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e &amp; \ud800"


def test_the_final_page_shows_text_and_can_do_nothing(receiver: Receiver) -> None:
    with connect(receiver) as sock:
        sock.sendall(get(f"/?{urlencode(GENUINE)}"))
        receiver.answer.result(5)
        receiver.finish(f"T {HOSTILE}", f"B {HOSTILE}")
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"<script" not in body
    assert b"<img" not in body
    assert body.count(b"&lt;script&gt;alert(1)&lt;/script&gt;") == 3
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.decode().splitlines()[1:])
    }
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-type"] == "text/html; charset=utf-8"


def test_the_page_does_not_repeat_the_answer(receiver: Receiver) -> None:
    with connect(receiver) as sock:
        sock.sendall(get(f"/?code=secretcode&state={STATE}"))
        receiver.answer.result(5)
        receiver.finish("Signed in", "Close this tab.")
        page = read_all(sock)
    assert b"secretcode" not in page
    assert STATE.encode() not in page


# ── where it listens ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]  # type: ignore[no-any-return]


def test_a_fixed_port_and_path_are_used_as_registered(free_port: int) -> None:
    uri = f"http://127.0.0.1:{free_port}/call/back"
    receiver = Receiver(STATE, redirect_uri=uri)
    assert receiver.redirect_uri == uri
    assert b" 404 " in ask(receiver, get(f"/?{urlencode(GENUINE)}"))
    assert not receiver.answer.done()
    with connect(receiver) as sock:
        sock.sendall(get(f"/call/back?{urlencode(GENUINE)}"))
        assert receiver.answer.result(5) == GENUINE
        receiver.finish("Done", "Close.")


def test_a_fixed_port_can_be_used_again_at_once(free_port: int) -> None:
    """Where the server closed first the port lingers in TIME_WAIT."""
    for _ in range(3):
        receiver = Receiver(STATE, redirect_uri=f"http://127.0.0.1:{free_port}")
        accepts_the_genuine_one(receiver)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_fixed_port_that_is_taken_is_said_so(free_port: int, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as squatter:
        squatter.bind((host, free_port))
        squatter.listen()
        with pytest.raises(ConfigurationError, match=f"Port {free_port}") as caught:
            Receiver(STATE, redirect_uri=f"http://localhost:{free_port}")
    assert caught.value.code == "port_taken"


def test_a_process_that_may_not_listen_is_told_of_another_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(sockets, "_bound", refused)
    with pytest.raises(FlowUnavailable, match="not allowed to listen on a local port") as caught:
        Receiver(STATE)
    assert "--flow device" in caught.value.hint


def test_two_receivers_do_not_share_a_port() -> None:
    one, two = Receiver(STATE), Receiver(STATE)
    try:
        assert one.port != two.port
        with pytest.raises(ConfigurationError, match="in use"):
            Receiver(STATE, redirect_uri=f"http://localhost:{one.port}")
    finally:
        one.finish("x", "y")
        two.finish("x", "y")


@pytest.mark.parametrize(
    ("uri", "starts"),
    [
        (None, "http://localhost:"),
        ("http://localhost", "http://localhost:"),
        ("http://localhost/", "http://localhost:"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:"),
        ("http://[::1]/cb", "http://[::1]:"),
    ],
)
def test_a_missing_port_is_the_systems_choice(uri: str | None, starts: str) -> None:
    receiver = Receiver(STATE, redirect_uri=uri)
    receiver.finish("x", "y")
    path = (uri or "").partition("://")[2].partition("/")[1:]
    assert receiver.redirect_uri == f"{starts}{receiver.port}{''.join(path)}"


@pytest.mark.parametrize(
    "uri",
    [
        "https://localhost:8400",
        "http://example.com",
        "http://0.0.0.0:8400",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "http://user@localhost",
        "http://localhost:99999",
        "http://localhost:port",
        "http://[::1",
        "http://localhost?x=y",
        "http://localhost/#x",
        "urn:ietf:wg:oauth:2.0:oob",
        " ",
    ],
)
def test_what_is_no_loopback_address_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Receiver(STATE, redirect_uri=uri)
    assert caught.value.code == "bad_redirect_uri"


# ── where this process may not listen ───────────────────────────────────────────────────────


def test_a_machine_without_a_thread_left_keeps_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/cb"

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(FlowUnavailable, match="can't listen"):
            Receiver("state", redirect_uri=address)
    Receiver("state", redirect_uri=address).finish("", "")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EMFILE, "Too many open files"),
        (errno.EACCES, "is not allowed to listen on port"),
        (errno.EADDRINUSE, "in use by another program"),
    ],
)
def test_why_a_port_cannot_be_opened_is_said(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listen(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr("nbauth.kernel.sign_in.receivers.http_server.listen", listen)
    with pytest.raises(NbAuthError, match=said) as caught:
        Receiver("state", redirect_uri="http://127.0.0.1:8400/cb")
    assert caught.value.hint
