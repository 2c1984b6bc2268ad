"""Microsoft's Graph SDK at the demo's Graph, in a process of its own: it loads 1,800 modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbauth.demo.servers import start
from tests.harness import missing

ROOT = Path(__file__).resolve().parents[3]
SDK = ROOT / ".providers" / "msgraph-sdk"
SCRIPT = Path(__file__).with_name("graph_calls.py")
LIFE = 2


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not SDK.is_dir():
        missing("msgraph-sdk in .providers/ (make setup installs it)")
    with start(access_ttl=LIFE) as demo:
        origin = demo.provider.page_origin
        done = subprocess.run(
            [sys.executable, SCRIPT, SDK, origin, demo.user, demo.password, str(LIFE)],
            env={
                **demo.environment(),
                "HOME": str(tmp_path_factory.mktemp("home")),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
                "SSL_CERT_FILE": demo.ca_file,
            },
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    made: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return made


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_token_expires_while_a_client_is_used(report: dict[str, Any], way: str) -> None:
    """The demo's Graph refuses expired tokens."""
    assert report[way]["names"] == ["Ada Demo", "Ada Demo"]
    assert (report[way]["requests"], report[way]["different"]) == (2, 2)


def test_another_host_gets_no_token(report: dict[str, Any]) -> None:
    """The SDK requests a token for each host that it calls; without scopes, that is its own."""
    assert report["wrong host"]["code"] == "other_scopes"
    assert report["sent"] == 0


def test_an_error_is_nbauths_own(report: dict[str, Any]) -> None:
    assert report["no consent"]["type"] == "ConsentRequired"
    assert "%login" in report["no consent"]["hint"]
