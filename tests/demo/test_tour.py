"""`nbauth demo --check` signs in and reports failures."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from nbauth.demo import tour

SIGN_IN = """
import os, msal
app = msal.PublicClientApplication(
    os.environ["NBAUTH_CLIENT_ID"],
    authority=os.environ["NBAUTH_AUTHORITY"],
    verify=os.environ["NBAUTH_VERIFY"],
    instance_discovery=False,
)
assert os.environ["NBAUTH_FLOW"] == "device"
result = app.acquire_token_by_device_flow(app.initiate_device_flow(["User.Read"]))
print("signed in as", app.get_accounts()[0]["username"])
"""


def run(
    cells: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    path = tmp_path / "tour.ipynb"
    nbformat.write(notebook, path)
    monkeypatch.setattr(tour, "find_tour", lambda: [path])
    monkeypatch.setattr(tour, "_ONE_CELL", 5.0)
    return tour.check(), capsys.readouterr().out


def test_it_signs_in_at_the_local_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run([SIGN_IN], tmp_path, monkeypatch, capsys)
    assert code == 0, said
    assert "signed in as ada.demo@demo.example" in said


@pytest.mark.parametrize(
    ("cells", "complaint"),
    [
        ([SIGN_IN, "print(result['access_token'])"], "the output contains an access token"),
        ([SIGN_IN, "1/0"], "ZeroDivisionError"),
        ([SIGN_IN, "input('name? ')"], "asked for input: name?"),
        ([SIGN_IN, "%nosuchmagic"], "UsageError"),
        (["1 + 1"], "no cell started a sign-in"),
    ],
)
def test_it_reports_a_failure(
    cells: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, said = run(cells, tmp_path, monkeypatch, capsys)
    assert code == 1 and complaint in said, said
