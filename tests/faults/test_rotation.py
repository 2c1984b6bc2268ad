"""S8: kernels that share a sign-in with single-use refresh tokens never lose it.

The provider is panva's: it rotates refresh tokens, and a reused one revokes the whole
grant (RFC 9700 §4.14.2), so a single extra refresh is detected.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.faults.conftest import Figure
from tests.faults.rotating import FRESH_TO_MSAL, msal_application
from tests.faults.sizes import size
from tests.harness import missing
from tests.harness.kernels import ROOT, isolated_environment
from tests.harness.panva import Panva
from tests.interop.peers import PEERS, Peer, new_session, peer_of
from tests.interop.scripted_browser import ScriptedBrowser

KERNELS = 8
LIFE = 1  # second; the shortest that the provider gives
LATE, AHEAD = 0.8, 0.6  # of its life, before which no token is refreshed: at need, ahead of need


@dataclass
class Shown:
    """The combined results of all processes and the provider."""

    took: list[int]
    failed: dict[str, int]
    refreshes: list[dict[str, Any]]

    @property
    def refused(self) -> int:
        return sum(one["status"] != 200 for one in self.refreshes)

    @property
    def closest(self) -> float:
        """The shortest time, in seconds, between two refreshes."""
        times: list[float] = [one["time"] for one in self.refreshes]
        return min(later - earlier for earlier, later in pairwise(times))

    def words(self) -> str:
        return (
            f"{len(self.took):,} calls, {len(self.refreshes)} refreshes, {self.refused}"
            f" invalid_grant, p50 {median(self.took) / 1000:.2f} ms,"
            f" worst {max(self.took) / 1000:.0f} ms"
        )


@contextmanager
def rotating(*what: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process of that module, ready to start."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults.rotating", *what]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(
    panva: Panva, environment: dict[str, str], *what: str, kernels: int, refreshes: int, limit: int
) -> Shown:
    """Run this many processes until this many refreshes were requested, or for a time."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(rotating(*what, environment=environment)) for _ in range(kernels)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        end = time.monotonic() + limit
        while panva.token_requests("refresh_token") < refreshes and time.monotonic() < end:
            time.sleep(0.2)
        answers = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    failed: dict[str, int] = {}
    for answer in answers:
        for words, times in answer["failed"].items():
            failed[words] = failed.get(words, 0) + times
    took = [one for answer in answers for one in answer["took"]]
    asked = [one for one in panva.requests("token") if one["grant_type"] == "refresh_token"]
    return Shown(took, failed, asked)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user with sign-ins stored in files; this process belongs to the same user."""
    made = isolated_environment(
        tmp_path, env={"NBAUTH_PERSIST": "file", "NBAUTH_PASSPHRASE": "the user's passphrase"}
    )
    for name in ("XDG_DATA_HOME", "NBAUTH_PASSPHRASE"):
        monkeypatch.setenv(name, made[name])
    return made


def settings(peer: Peer) -> dict[str, str]:
    return {f"NBAUTH_{name.upper()}": str(value) for name, value in peer.settings.items()}


def signed_in(peer: Peer, scripted: ScriptedBrowser) -> None:
    """Store a sign-in in a kernel that then ends."""
    session = new_session(**peer.settings, persist="file")
    session.login(peer.first, web_ui=scripted)
    session.rest()


def test_the_provider_revokes_a_grant_whose_refresh_token_is_reused(
    peer: Peer, scripted: ScriptedBrowser, panva: Panva
) -> None:
    """The other tests here rely on this."""
    session = new_session(**peer.settings, refresh_ahead=False)
    session.login(peer.first, web_ui=scripted)
    ((_key, record),) = session.cache.signed_in.items()
    first = record.grants[0].refresh_token
    session.acquire(peer.first, force_refresh=True)
    second, record.grants[0].refresh_token = record.grants[0].refresh_token, first
    assert first != second
    for token in (first, second):
        record.grants[0].refresh_token = token
        with pytest.raises(Exception, match="sign"):
            session.acquire(peer.first, force_refresh=True, interactive=False)
    assert [one["status"] for one in panva.requests("token")] == [200, 200, 400, 400]


@pytest.mark.parametrize(("name", "ahead"), [("oidc", False), ("microsoft", True)])
def test_eight_kernels_refresh_once_per_expiry(
    name: str,
    ahead: bool,
    panva: Panva,
    scripted: ScriptedBrowser,
    environment: dict[str, str],
    figure: Figure,
) -> None:
    peer = peer_of(panva, name)
    expiries = size(3, 100)
    panva.control(access_ttl=LIFE)
    signed_in(peer, scripted)
    environment |= settings(peer) | {"NBAUTH_REFRESH_AHEAD": str(ahead)}
    shown = run(
        panva, environment, "kernel", peer.first, kernels=KERNELS, refreshes=expiries, limit=400
    )
    print([(round(o["time"], 2), o["status"]) for o in shown.refreshes])
    assert shown.failed == {}
    assert shown.refused == 0
    assert len(shown.refreshes) >= expiries
    assert shown.closest >= (AHEAD if ahead else LATE) * LIFE, "a token was refreshed twice"
    when = "ahead of need" if ahead else "at need"
    figure(
        "S8",
        f"rotation, refresh {when} ({name})",
        f"{KERNELS} processes × {expiries} expiries",
        f"1 refresh an expiry: {shown.words()}",
    )


@pytest.mark.parametrize("name", size(PEERS[:1], PEERS))
def test_threads_of_one_kernel_refresh_once_per_expiry(
    name: str,
    panva: Panva,
    scripted: ScriptedBrowser,
    environment: dict[str, str],
    figure: Figure,
) -> None:
    peer = peer_of(panva, name)
    each = size(250, 1000)
    panva.control(access_ttl=LIFE)
    signed_in(peer, scripted)
    environment |= settings(peer)
    what = ("threads", peer.first, "32", str(each))
    shown = run(panva, environment, *what, kernels=1, refreshes=1, limit=60)
    assert shown.failed == {}
    assert shown.refused == 0
    assert len(shown.took) == 32 * each + 1
    assert len(shown.refreshes) > 1
    assert shown.closest >= AHEAD * LIFE, "a token was refreshed twice"
    figure(
        "S8",
        f"threads ({name})",
        f"32 threads × {each:,} calls in one process",
        f"1 refresh an expiry: {shown.words()}",
    )


@pytest.mark.full_size
def test_eight_kernels_of_the_peer(
    panva: Panva,
    scripted: ScriptedBrowser,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    figure: Figure,
) -> None:
    try:
        version = metadata.version("msal-extensions")
    except metadata.PackageNotFoundError:
        missing("msal-extensions (make test-faults installs it)")
    peer = peer_of(panva, "microsoft")
    panva.control(access_ttl=FRESH_TO_MSAL + LIFE)
    environment |= settings(peer)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    Path(environment["XDG_DATA_HOME"]).mkdir(exist_ok=True)
    application = msal_application()
    flow = application.initiate_auth_code_flow([peer.first], redirect_uri="http://localhost:1")
    answer = dict(
        pair.split("=", 1) for pair in scripted(flow["auth_uri"]).partition("?")[2].split("&")
    )
    assert "access_token" in application.acquire_token_by_auth_code_flow(flow, answer)
    shown = run(
        panva, environment, "msal", peer.first, kernels=KERNELS, refreshes=20 * KERNELS, limit=25
    )
    lost = sum(shown.failed.values())
    figure(
        "S8",
        f"the same, MSAL over msal-extensions {version}",
        f"{KERNELS} processes, for 25 s",
        f"{len(shown.refreshes)} refreshes, {shown.refused} invalid_grant,"
        f" {lost:,} of {len(shown.took):,} calls failed",
    )
    assert shown.took
