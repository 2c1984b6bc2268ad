"""Errors are shown in two lines, without a traceback; scripts end non-zero."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness.kernels import Kernel
from tests.harness.ports import free_port
from tests.kernels.conftest import environment

CELLS = {
    "no client_id": ("%login --tenant contoso.com", "ConfigurationError: No client_id is set"),
    "unknown flow": (
        "import nbauth; nbauth.login(flow='nonsense')",
        "ConfigurationError: The setting flow",
    ),
    "flow that does not work here": (
        "import nbauth; nbauth.login(flow='hub')",
        "FlowUnavailable: This kernel was not started by JupyterHub",
    ),
    "flow of a missing tool": (
        "import nbauth, os; os.environ['PATH'] = ''; nbauth.login(flow='azure-cli')",
        "FlowUnavailable: The Azure CLI is not installed",
    ),
    "mixed resources": (
        "%login User.Read https://vault.azure.net/.default",
        "ConfigurationError: One request can name scopes of one resource",
    ),
    "unreachable authority": (
        "%login --flow device --authority https://127.0.0.1:{port}",
        "AuthorityUnreachable: 127.0.0.1:{port} cannot be reached",
    ),
    "wrong tenant": (
        "%login --flow device --authority {wrong_tenant}",
        "ConfigurationError: This tenant does not exist at this authority",
    ),
    "http authority": (
        "%login --authority http://id.example",
        "ConfigurationError: 'http://id.example' is not https",
    ),
    "not a provider": (
        "%login --flow device --authority {graph}",
        "ConfigurationError: There is no OpenID Connect provider",
    ),
    "bad scope": ("%token '\"quoted\"'", "ConfigurationError: "),
    "bad prompt": ("%login --prompt sometimes", "ConfigurationError: Unknown prompt"),
    "unknown account": ("%logout --account x@y.example", "NotSignedIn: x@y.example"),
    "unknown profile": ("%login --profile nowhere", "ConfigurationError: There is no profile"),
    "unknown persistence": ("%login --persist cloud", "ConfigurationError: The setting persist"),
}


@pytest.fixture(scope="module")
def kernel(demo):
    with Kernel("7.4", env=environment(demo), allow_stdin=True) as running:
        running.run("%load_ext nbauth")
        yield running


@pytest.mark.parametrize("name", CELLS)
def test_two_lines(kernel, demo, name):
    places = {
        "port": free_port(),
        "wrong_tenant": demo.authority.rsplit("/", 1)[0] + "/00000000-1111-2222-3333-444444444444",
        "graph": demo.graph_url,
    }
    cell, expected = (text.format(**places) for text in CELLS[name])
    if name == "no client_id":
        kernel.run("import os; kept = os.environ.pop('NBAUTH_CLIENT_ID')")
    result = kernel.run(cell)
    if name == "no client_id":
        kernel.run("os.environ['NBAUTH_CLIENT_ID'] = kept")
    lines = result.traceback.splitlines()
    assert len(lines) == 2, result.traceback
    assert lines[0].startswith(expected)
    assert lines[1].startswith("→ ")
    assert len(lines[1]) > 20


def test_debug_shows_the_traceback(kernel):
    kernel.run("%config NbAuth.debug = True")
    shown = kernel.run("%login --prompt sometimes").traceback
    kernel.run("%config NbAuth.debug = None")
    assert "Traceback (most recent call last)" in shown
    assert "Unknown prompt" in shown


@pytest.mark.timing
def test_an_unattended_kernel_raises_within_a_second(demo):
    with Kernel("7.4", env=environment(demo), allow_stdin=False) as kernel:
        kernel.run("%load_ext nbauth\nimport nbauth")
        for cell in ("%login", "%token", "nbauth.login()", "await nbauth.login_async()"):
            began = time.monotonic()
            result = kernel.run(cell)
            assert time.monotonic() - began < 1
            assert result.traceback.splitlines()[0].startswith("InteractionRequired"), cell
            assert len(result.traceback.splitlines()) == 2


@pytest.mark.parametrize("kind", ["ipy", "py"])
def test_a_script_ends_non_zero_and_says_what_to_do(tmp_path, kind):
    script = {"ipy": "%load_ext nbauth\n%login\n", "py": "import nbauth\nnbauth.login()\n"}[kind]
    path = tmp_path / f"script.{kind}"
    path.write_text(script)
    program = [sys.executable] if kind == "py" else [sys.executable, "-m", "IPython"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NBAUTH_")}
    ended = subprocess.run(
        [*program, str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env={**kept, "IPYTHONDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert ended.returncode == 1
    said = ended.stdout + ended.stderr
    assert "No client_id is set" in said
    assert "→ Register one: az ad app create" in said
