"""S9: killed between the provider's response and the save, when the old refresh token is invalid.

The new refresh token is then lost and cannot be recovered: the next kernel reports this
once, and one sign-in restores access. Other accounts are not affected.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import Figure
from tests.faults.sizes import size
from tests.harness.kernels import ROOT, isolated_environment
from tests.harness.panva import Panva
from tests.interop.peers import Peer, new_session, peer_of
from tests.interop.scripted_browser import ScriptedBrowser

SOON = 0.5  # seconds after which a waiting kernel gets the lock of a killed one


def environment(folder: Path, peer: Peer, persist: str) -> dict[str, str]:
    settings = {f"NBAUTH_{name.upper()}": str(value) for name, value in peer.settings.items()}
    env = {"NBAUTH_PERSIST": persist, "NBAUTH_PASSPHRASE": "the user's passphrase", **settings}
    return isolated_environment(folder, env=env)


def run(what: str, *arguments: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.faults.killed", what, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.timing
def test_a_kill_between_response_and_save_needs_one_sign_in(
    peer: Peer, panva: Panva, tmp_path: Path, figure: Figure
) -> None:
    times = size(5, 100)
    env = environment(tmp_path, peer, "keyring") | {"NBAUTH_REFRESH_AHEAD": "false"}
    env["OTHER_ACCOUNT"] = peer.account[0].replace("ada", "grace")
    rounds = json.loads(run("kills", str(times), str(tmp_path), peer.first, environment=env))
    assert len(rounds) == times
    for one in rounds:
        assert one["ended"] == -signal.SIGKILL
        assert one["other"] == "refresh", "another account was changed"
        first, second = one["met"]
        assert first[0] == second[0] == "InteractionRequired"
        assert len(first) == 3, "two lines"
        assert first[2].startswith("→ Sign in "), "a forked process stands for the next kernel"
    statuses = [
        one["status"] for one in panva.requests("token") if one["grant_type"] == "refresh_token"
    ]
    assert statuses == [200, 400, 200] * times, "the invalid refresh token was sent only once"
    slowest = max(one["waited"] for one in rounds)
    assert slowest <= SOON
    figure(
        "S9",
        f"kill -9 between the provider's answer and the save ({peer.name})",
        f"{times} kernels",
        "1 clear prompt each, 0 other accounts touched, the next has the lock after at most"
        f" {slowest * 1000:.0f} ms",
    )


def test_a_kernel_that_exits_normally_saves_first(
    panva: Panva, scripted: ScriptedBrowser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proactive refresh is in progress when a notebook is closed or a script ends."""
    peer = peer_of(panva, "oidc")
    env = environment(tmp_path, peer, "file")
    for name in ("XDG_DATA_HOME", "NBAUTH_PASSPHRASE"):
        monkeypatch.setenv(name, env[name])
    panva.control(access_ttl=2)
    settings = {**peer.settings, "persist": "file", "refresh_ahead": False}
    new_session(**settings).login(peer.first, web_ui=scripted)
    run("leaves", peer.first, environment=env)
    after = new_session(**settings)
    assert after.acquire(peer.first, force_refresh=True, interactive=False).source == "refresh"
    after.rest()
