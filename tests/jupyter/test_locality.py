"""The locality probe, over real sockets."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from nbauth.jupyter.panel.same_machine import LocalityProbe

ORIGIN = "http://localhost:8888"


def ask(
    probe: LocalityProbe, method: str = "GET", path: str | None = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    parts = urlsplit(probe.url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=3)
    connection.request(method, path or parts.path, headers={"Origin": ORIGIN, **headers})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, {name.lower(): value for name, value in answer.getheaders()}


def refused(probe: LocalityProbe) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", urlsplit(probe.url).port)) != 0


def test_a_page_of_this_machine_can_read_the_text_once() -> None:
    with LocalityProbe() as probe:
        assert probe.text not in probe.url
        status, text, headers = ask(probe)
        assert (status, text) == (200, probe.text)
        assert headers["access-control-allow-origin"] == ORIGIN
        assert headers["cache-control"] == "no-store"
        assert ask(probe)[:2] == (404, "")


@pytest.mark.parametrize("origin", ["https://127.0.0.1", "http://[::1]:9", "http://localhost"])
def test_loopback_origins(origin: str) -> None:
    with LocalityProbe() as probe:
        _, text, headers = ask(probe, Origin=origin)
        assert text == probe.text
        assert headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.com"},
        {"Origin": "http://localhost.example.com"},
        {"Origin": "http://127.0.0.1.example.com:8888"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[::1"},
        {"Host": "rebound.example.com"},
    ],
)
def test_other_requests_are_refused_and_do_not_use_up_the_text(headers: dict[str, str]) -> None:
    with LocalityProbe() as probe:
        for method in ("GET", "OPTIONS"):
            status, text, answered = ask(probe, method, **headers)
            assert (status, text) == (404, "")
            assert "access-control-allow-origin" not in answered
        assert ask(probe, path="/")[0] == 404
        assert ask(probe)[1] == probe.text


def test_preflight_for_private_networks() -> None:
    with LocalityProbe() as probe:
        status, _, headers = ask(
            probe,
            "OPTIONS",
            **{"Access-Control-Request-Private-Network": "true"},
        )
        assert status == 204
        assert headers["access-control-allow-private-network"] == "true"
        assert headers["access-control-allow-origin"] == ORIGIN
        assert ask(probe)[1] == probe.text


@pytest.mark.timing
def test_close_ends_port_and_thread_despite_a_silent_client() -> None:
    before = set(threading.enumerate())
    probe = LocalityProbe()
    with socket.create_connection(("127.0.0.1", urlsplit(probe.url).port)) as silent:
        silent.sendall(b"GET ")
        time.sleep(0.1)
        assert ask(probe)[1] == probe.text
        begun = time.monotonic()
        probe.close()
        assert time.monotonic() - begun < 1
        assert refused(probe)
        assert "nbauth-locality" not in {t.name for t in set(threading.enumerate()) - before}
    probe.close()


@pytest.mark.timing
def test_idle_and_half_sent_connections_do_not_delay_others() -> None:
    with LocalityProbe() as probe:
        port = urlsplit(probe.url).port
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        idle[0].sendall(b"GET ")
        begun = time.monotonic()
        assert ask(probe)[1] == probe.text
        assert time.monotonic() - begun < 1
        probe.close()
        assert time.monotonic() - begun < 2
        assert refused(probe)
        for sock in idle:
            sock.close()


@pytest.mark.timing
def test_it_closes_by_itself_after_its_life() -> None:
    probe = LocalityProbe(life=0.2)
    end = time.monotonic() + 5
    while not refused(probe):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_it_listens_only_on_loopback_and_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with LocalityProbe() as probe:
        assert urlsplit(probe.url).hostname == "127.0.0.1"
        with socket.create_connection(("127.0.0.1", urlsplit(probe.url).port)) as rude:
            rude.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        ask(probe)
    assert capfd.readouterr() == ("", "")
