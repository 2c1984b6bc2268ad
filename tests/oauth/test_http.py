from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from nbauth.core.errors import AuthorityUnreachable, NbAuthError
from nbauth.oauth.http import Http, VerifiedSession
from nbauth.testing.canary import make_canary
from tests.harness.certificates import Certificates
from tests.oauth.servers import Answer, Seen, Server, reply


def moved_within(seen: Seen) -> bytes:
    return reply(302, "", Location="/new") if seen.target == "/" else reply()


def unreachable(call: Callable[[], object]) -> AuthorityUnreachable:
    with pytest.raises(AuthorityUnreachable) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, '{"a": 1}'), (400, '{"error": "invalid_grant"}'), (401, "{}"), (404, "[]")],
)
def test_protocol_responses_are_returned(status: int, body: str) -> None:
    with Server(answer=reply(status, body)) as server:
        response = Http().get(server.url)
    assert (response.status_code, response.text) == (status, body)


@pytest.mark.parametrize("address", ["https://id..example/", "https://[bad/", "https://x:99999/"])
def test_an_invalid_address_is_unreachable(address: str) -> None:
    with pytest.raises(NbAuthError) as caught:
        Http().get(address)
    assert caught.value.code == "bad_address"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_netrc_is_ignored(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests would send its password to the provider, even instead of a Bearer token."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Server(answer=reply(200, "{}")) as server:
        Http().request(method, server.url)
        Http().request(method, server.url, headers={"Authorization": "Bearer token"})
        first, second = [seen.headers.get("authorization") for seen in server.seen]
    assert (first, second) == (None, "Bearer token")


def test_netrc_is_ignored_at_a_redirect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Server(answer=moved_within) as server:
        Http().get(server.url, headers={"Authorization": "Bearer token"})
        assert [seen.headers.get("authorization") for seen in server.seen] == ["Bearer token", None]


def test_cookies_are_not_stored() -> None:
    with Server(answer=reply(200, "{}", Set_Cookie="person=ada; Path=/")) as server, Http() as http:
        for _ in range(2):
            http.get(server.url)
        assert [seen.headers.get("cookie") for seen in server.seen] == [None, None]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (reply(503, "{}"), "http_503"),
        (reply(500, '{"error": "x"}'), "http_500"),
        (reply(502, "<html>Bad Gateway</html>"), "http_502"),
        (reply(429, "{}", Retry_After="1"), "http_429"),
        (reply(200, "<html>Please log in to the WLAN</html>"), "not_json"),
        (reply(200, ""), "not_json"),
        (reply(403, "<html>proxy</html>"), "http_403"),
        (reply(400, ""), "http_400"),
        (reply(302, "", Location="https://[bad"), "redirected"),
        (reply(302, "", Location="https://id..example/"), "redirected"),
        (b"", "connection_lost"),
        (b"garbage\r\n\r\n", "not_http"),
        (reply(200, '{"a": 1}')[:-3], "connection_lost"),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz", "not_http"),
    ],
)
def test_other_responses_are_authority_unreachable(answer: Answer, code: str) -> None:
    with Server(answer=answer) as server:
        error = unreachable(lambda: Http().get(server.url))
    assert error.code == code
    assert "127.0.0.1" in str(error)
    assert error.hint


@pytest.mark.parametrize("answer", [reply(200, ""), reply(204, "")])
def test_the_response_of_a_post_may_be_empty(answer: Answer) -> None:
    """As the response of a revocation endpoint (RFC 7009 §2.2)."""
    with Server(answer=answer) as server:
        assert Http().post(server.url, data={}).ok


@pytest.mark.timing
def test_a_request_without_response_times_out() -> None:
    with Server(answer=None) as server:
        began = time.monotonic()
        error = unreachable(lambda: Http().get(server.url, timeout=(1, 0.05)))
    assert error.code == "timeout"
    assert time.monotonic() - began < 1


def test_there_is_always_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbauth.oauth.http.TIMEOUT", (1.0, 0.05))
    with Server(answer=None) as server:
        for options in ({}, {"timeout": None}):
            assert unreachable(lambda o=options: Http().get(server.url, **o)).code == "timeout"


def test_an_error_does_not_contain_the_request() -> None:
    with Server(answer=reply(503)) as server:
        error = unreachable(
            lambda: Http().post(f"{server.url}/token?x=canary-q", data={"code": "canary-b"})
        )
    assert "canary" not in str(error)


# ── certificates ────────────────────────────────────────────────────────────────────────────


def test_a_ca_file_is_trusted(certificates: Certificates) -> None:
    with Server(certificates) as server:
        assert Http(str(certificates.ca_file)).get(server.url).ok


@pytest.mark.parametrize("verify", [None, True])
def test_an_error_for_an_untrusted_certificate_names_the_setting(
    certificates: Certificates, verify: bool | None
) -> None:
    with Server(certificates) as server:
        error = unreachable(lambda: Http(verify).get(server.url))
    assert error.code == "certificate"
    assert "verify" in error.hint
    assert server.seen == []


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_verify_overrides_the_environment(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    with Server(certificates) as server:
        (tmp_path / "other.pem").write_bytes(certificates.ca_file.read_bytes())
        monkeypatch.setenv(variable, str(tmp_path / "other.pem"))
        assert Http().get(server.url).ok  # not set: the environment is used
        assert unreachable(lambda: Http(True).get(server.url)).code == "certificate"
        monkeypatch.setenv(variable, str(tmp_path / "absent.pem"))
        assert Http(str(certificates.ca_file)).get(server.url).ok


def test_verify_applies_to_prepared_requests(certificates: Certificates) -> None:
    with Server(certificates) as server:
        session = VerifiedSession(str(certificates.ca_file))
        assert session.send(requests.Request("GET", server.url).prepare()).ok


def test_a_request_cannot_disable_verification(certificates: Certificates) -> None:
    with Server(certificates) as server:
        http = Http(True)
        http.verify = False
        assert unreachable(lambda: http.get(server.url, verify=False)).code == "certificate"


# ── abort ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timing
@pytest.mark.parametrize("what", ["plain", "tls", "handshake", "body", "proxy"])
def test_abort_ends_a_hanging_request(what: str, certificates: Certificates) -> None:
    secure = certificates if what in {"tls", "handshake"} else None
    answer = reply(200, "x" * 100)[:-50] if what == "body" else None
    server = Server(secure, answer=None, handshakes=what != "handshake")
    if what == "body":

        def half(_: object) -> bytes:
            # sent in parts, so that the connection stays open
            server._open[-1].sendall(answer or b"")
            return None  # type: ignore[return-value]

        server.answer = half
    with server:
        http = Http(str(certificates.ca_file), {"https": server.url} if what == "proxy" else None)
        url = "https://id.example/" if what == "proxy" else server.url
        caught: list[BaseException] = []

        def run() -> None:
            try:
                http.get(url)
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        assert server.asked.wait(5)
        time.sleep(0.03)
        began = time.monotonic()
        http.abort()
        thread.join(5)
        assert time.monotonic() - began < 0.5
        assert isinstance(caught[0], AuthorityUnreachable)


def test_after_an_abort_the_next_request_succeeds() -> None:
    with Server() as server:
        http = Http()
        http.abort()
        assert http.get(server.url).ok
        http.abort()
        assert http.get(server.url).ok


# ── the log ─────────────────────────────────────────────────────────────────────────────────


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "nbauth.oauth.http"]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200, "{}"), "200"),
        (reply(400, '{"error": "invalid_grant"}'), "400"),
        (reply(503, "{}"), r"503 \(http_503\)"),
        (reply(200, "<html>"), r"200 \(not_json\)"),
        (b"", r"no response \(connection_lost\)"),
    ],
)
def test_the_log_has_address_status_and_seconds(
    answer: Answer, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="nbauth")
    canary = make_canary()
    with Server(answer=answer) as server:
        address = f"http://user:secret@127.0.0.1:{server.port}/realms/a/token?code={canary}"
        with contextlib.suppress(AuthorityUnreachable):
            Http().post(address, data={"refresh_token": canary}, headers={"X-Secret": canary})
    (line,) = logged(caplog)
    place = f"POST 127.0.0.1:{server.port}/realms/a/token"
    assert re.fullmatch(rf"{place}: {outcome}, \d+\.\d\d\d s, correlation id none", line), line


@pytest.mark.parametrize("whose", ["request", "answer"])
def test_the_log_has_the_correlation_id(whose: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="nbauth")
    trace = "0c0ffee0-0000-4000-8000-000000000001"
    headers = {"client-request-id": trace}
    answer = reply(200, "{}", **({"x_ms_request_id": trace} if whose == "answer" else {}))
    with Server(answer=answer) as server:
        Http().get(server.url, headers=headers if whose == "request" else {})
    assert logged(caplog)[0].endswith(f"correlation id {trace}")


def test_the_log_omits_an_invalid_correlation_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="nbauth")
    with Server(answer=reply(200, "{}", x_request_id="a secret/+=")) as server:
        Http().get(server.url)
    assert logged(caplog)[0].endswith("correlation id …")


@pytest.mark.timing
@pytest.mark.parametrize("where", ["head", "body"])
def test_a_response_that_arrives_byte_by_byte_is_ended(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte arrives in time, so the read never times out."""
    monkeypatch.setattr("nbauth.oauth.http.LONGEST", 0.3)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        sock, _ = listening.accept()
        with sock, contextlib.suppress(OSError):
            sock.recv(4096)
            sock.sendall(head + (b"X-Slow: " if where == "head" else b"\r\n"))
            while not over.wait(0.01):
                sock.sendall(b"1")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        began = time.monotonic()
        error = unreachable(lambda: Http().post(f"http://127.0.0.1:{listening.getsockname()[1]}/"))
        assert time.monotonic() - began < 5
        over.set()
        thread.join(5)
    assert error.code == "timeout"


def test_the_time_limit_of_one_request_does_not_end_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    http, gate = Http(), threading.Event()

    def slow(_: Seen) -> bytes:
        gate.wait(5)
        return reply(200, '{"a": 1}')

    outcomes: list[int] = []
    with Server(answer=slow) as hanging, Server(answer=slow) as other:
        thread = threading.Thread(target=lambda: outcomes.append(http.get(other.url).status_code))
        thread.start()
        assert other.asked.wait(5)
        monkeypatch.setattr("nbauth.oauth.http.LONGEST", 0.2)
        assert unreachable(lambda: http.get(hanging.url)).code == "timeout"
        gate.set()
        thread.join(5)
    assert outcomes == [200]


def test_a_request_is_sent_even_if_no_timer_thread_can_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Server(answer=reply(200, '{"a": 1}')) as server:
        http = Http()
        monkeypatch.setattr(threading.Timer, "start", no_thread)
        assert http.get(server.url).status_code == 200
