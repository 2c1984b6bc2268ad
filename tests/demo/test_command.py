"""`nbauth demo` in its own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import requests

from nbauth.cli import main
from nbauth.demo.contents import GRACE, SIGN_IN_PEOPLE
from nbauth.demo.launcher import _block, find_tour
from nbauth.demo.servers import Demo
from tests.demo.steps import tokens

FIELDS = ["issuer", "authority", "graph_url", "client_id", "user", "password", "ca_file"]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_idp_only(tmp_path: Path, stop: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "nbauth", "demo", "--idp-only", "--json", "--access-ttl", "7"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert list(told) == FIELDS
        assert len(list(tmp_path.iterdir())) == 1
        metadata = requests.get(
            f"{told['issuer']}/.well-known/openid-configuration",
            verify=told["ca_file"],
            timeout=5,
        ).json()
        assert metadata["issuer"] == told["issuer"]
        token = requests.post(
            metadata["token_endpoint"],
            data={
                "grant_type": "password",
                "client_id": told["client_id"],
                "username": told["user"],
                "password": told["password"],
                "scope": "User.Read",
            },
            verify=told["ca_file"],
            timeout=5,
        ).json()
        assert token["expires_in"] == 7
        process.send_signal(stop)
        rest, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0 and rest == "" and errors == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json"],
        ["--check", "--idp-only"],
        ["--idp-only", "--port", "8888"],
        ["--access-ttl", "0"],
        ["--port", "99999"],
        ["--check", "--pages-url", "https://hub.example/{port}"],
    ],
)
def test_misuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", *arguments])
    assert ended.value.code == 2 and "error:" in capsys.readouterr().err


def test_missing_extra_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["demo", "--idp-only"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pip install 'nbauth[demo]'" in said


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from nbauth.cli import main\n"
        "try: main(['demo', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'tornado', 'msal', 'requests', 'cryptography', 'jupyterlab'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")


def test_the_notebooks_of_the_tour_are_clean() -> None:
    for path in find_tour():
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert cells and all(not cell.outputs and cell.execution_count is None for cell in cells)
        assert any("%login" in cell.source for cell in cells)


def test_the_terminal_shows_both_users_and_the_second_can_sign_in(
    demo: Demo, http: requests.Session
) -> None:
    shown = _block(demo)
    assert demo.second_user in [user for user in SIGN_IN_PEOPLE if user != demo.user]
    for word in (demo.user, demo.second_user, demo.password):
        assert word in shown
    given = tokens(demo, http, username=demo.second_user)
    assert demo.provider.store.find_access_token(given["access_token"]).grant.person == GRACE
