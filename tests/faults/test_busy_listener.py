"""S2: a listener under load receives the genuine response, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import requests

from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.faults.busy import Crowd
from tests.faults.conftest import Figure
from tests.faults.sizes import size
from tests.harness.kernels import ROOT
from tests.harness.panva import Panva
from tests.interop.peers import Peer, address_shown
from tests.interop.scripted_browser import ScriptedBrowser

STATE = "s" * 43
MEGABYTE = 1_048_576


class Listening:
    """The process with the listener; see ``listening.py``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._memory = psutil.Process(process.pid)
        self.most = 0

    def heard(self) -> dict[str, Any]:
        """Its next line of output."""
        assert self.process.stdout is not None
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told

    def finish(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("finish\n")
        self.process.stdin.flush()

    def memory(self) -> int:
        """Resident bytes; the maximum is recorded."""
        now = int(self._memory.memory_info().rss)
        self.most = max(self.most, now)
        return now


@contextmanager
def listening(errors: Path, *what: str) -> Iterator[Listening]:
    command = [sys.executable, "-m", "tests.faults.listening", *what]
    pipe = subprocess.PIPE
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=stderr, text=True
        ) as process,
    ):
        try:
            yield Listening(process)
        finally:
            process.kill()


def genuine(what: str, told: dict[str, Any]) -> str:
    """Send the request as a browser would, on its own connections; return the response."""
    with requests.Session() as browser:
        browser.trust_env = False
        if what == "receiver":
            url = f"http://localhost:{told['port']}/?code=c&state={STATE}"
            return browser.get(url, timeout=30).text
        url = f"http://127.0.0.1:{told['port']}{told['path']}"
        return browser.get(url, headers={"Origin": "http://localhost:8888"}, timeout=30).text


@pytest.mark.timing
@pytest.mark.parametrize("what", ["receiver", "probe"])
def test_the_genuine_response_is_received_under_load(
    what: str, tmp_path: Path, figure: Figure
) -> None:
    pages: list[str] = []
    arguments = [what, STATE] if what == "receiver" else [what]
    with listening(tmp_path / "stderr", *arguments) as listener:
        told = listener.heard()
        if what == "receiver":  # memory of the first request is not counted as growth
            assert requests.get(f"http://127.0.0.1:{told['port']}/", timeout=10).status_code == 404
        before = listener.memory()
        crowd = Crowd(told["port"], size(40, 200), size(12, 40), size(5, 20), size(1, 4))
        with crowd.around():
            end = time.monotonic() + size(1.0, 8.0)
            while time.monotonic() < end:
                listener.memory()
                time.sleep(0.02)
            browser = threading.Thread(target=lambda: pages.append(genuine(what, told)))
            began = time.monotonic()
            browser.start()
            if what == "receiver":  # its page arrives at the end
                assert listener.heard() == {"answer": {"code": "c", "state": STATE}}
            else:
                browser.join()
            took = time.monotonic() - began
            listener.memory()
            listener.finish()
            gone = listener.heard()["gone"]
            browser.join()
        grown = (listener.most - before) / MEGABYTE
    (page,) = pages
    assert "You are signed in" in page if what == "receiver" else page == told["text"]
    assert (tmp_path / "stderr").read_text() == ""
    assert took < 1
    assert gone < 1
    assert grown < 5
    assert crowd.came_back > 0
    given = (
        f"{crowd.idle} idle sockets, {crowd.half} half-sent requests, {crowd.slow} at one byte a"
        f" second, {3 * crowd.endless} without end (10 GB length, chunked, headers;"
        f" {crowd.sent / MEGABYTE:.0f} MB sent)"
    )
    shown = (
        f"genuine one handled in {took * 1000:.0f} ms, growth {grown:.1f} MB,"
        f" port and thread gone after {gone * 1000:.0f} ms"
    )
    figure("S2", f"a busy listener ({what})", given, shown)


def test_the_same_response_twenty_times_at_once(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, figure: Figure
) -> None:
    """All twenty get the final page, and the code is redeemed once."""
    rounds = size(1, 10)
    for _ in range(rounds):
        panva.reset()
        sign_in = session.login(peer.first, flow="browser", background=True, force=True)
        assert isinstance(sign_in, SignIn)
        redirect = scripted(address_shown(sign_in))
        start = threading.Barrier(20)

        def deliver(_: int, redirect: str = redirect, start: threading.Barrier = start) -> str:
            with requests.Session() as browser:
                browser.trust_env = False
                start.wait()
                return browser.get(redirect, timeout=10).text

        with ThreadPoolExecutor(20) as browsers:
            pages = list(browsers.map(deliver, range(20)))
        assert sign_in.wait(10).username == peer.account[0]
        assert panva.token_requests() == 1
        assert [page for page in pages if "You are signed in" not in page] == []
    given = f"the genuine answer 20 times at once, {rounds} sign-ins"
    figure("S2", f"repeated callback ({peer.name})", given, "1 token request each, 20 final pages")
