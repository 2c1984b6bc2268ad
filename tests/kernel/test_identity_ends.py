"""Identities that hang, and in a forked child."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.harness.azure_tools import TENANT, StubTool, on_path
from tests.kernel.conftest import Bench, in_a_thread, until

AUTHORITY = f"https://login.microsoftonline.com/{TENANT}"
VAULT = "https://vault.azure.net/.default"


@pytest.fixture
def microsoft(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench at Entra where nobody is there."""
    monkeypatch.setenv("PATH", on_path(tmp_path))
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    bench.environ["NBAUTH_AUTHORITY"] = AUTHORITY
    bench.session.configure(refresh_ahead=False)
    bench.screen.is_attended = False
    bench.session.new_cell()
    return bench


class Hanging:
    """A credential whose second token never comes."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = 0

    def get_token(self, *_: str, **__: Any) -> Any:
        self.asked += 1
        if self.asked > 1:
            self.go.wait(20)

        class Answer:
            token, expires_on = f"token-{self.asked}", time.time() + 3600

        return Answer()


@pytest.mark.timing
def test_a_credential_that_hangs_does_not_hold_sign_out_or_another_account(
    microsoft: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Hanging()
    microsoft.session.configure(credential=given)
    microsoft.session.acquire(VAULT)
    thread, outcome = in_a_thread(lambda: microsoft.session.acquire(VAULT, force_refresh=True))
    until(lambda: given.asked == 2)
    began = time.monotonic()
    microsoft.session.configure(credential=None)
    assert microsoft.session.accounts() == []
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "s")
    monkeypatch.setenv("AZURE_CLIENT_ID", "job")
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    assert microsoft.session.acquire(VAULT).account.application
    assert time.monotonic() - began < 2
    given.go.set()
    thread.join(5)
    assert isinstance(outcome[0], Exception)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_runs_the_tool_itself(microsoft: Bench, tmp_path: Path) -> None:
    az = StubTool(tmp_path, "az")
    az.set(expires_on=int(microsoft.clock.time()) + 3600)
    (tmp_path / "azureProfile.json").write_text("{}")
    token = microsoft.session.token("User.Read", flow="azure-cli")
    microsoft.clock.advance(3700)
    az.set(token="of-the-child", expires_on=int(microsoft.clock.time()) + 3600)
    child = os.fork()
    if child == 0:
        try:
            microsoft.session.forked()
            (tmp_path / "read").write_text(str(token))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "read").read_text() == "of-the-child"
    assert str(token) == "of-the-child"
