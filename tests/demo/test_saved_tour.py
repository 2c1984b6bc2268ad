"""The notebooks of the demo as they are saved after a run: no secret is in the files."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

from nbauth.cli import main
from nbauth.demo.launcher import find_tour
from nbauth.demo.servers import Demo
from nbauth.demo.tour import Approver
from nbauth.testing import canary

LAST_SHOWN = {
    "01-sign-in": "Signed out ada.demo@demo.example",
    "02-tokens": "([], False)",
    "03-graph": "Signed out ada.demo@demo.example",
    "07-dask": "That account has been signed out. Run %login",
}
"""The notebooks that are run here, and what the last cell with an output shows."""
RUN = [path for path in find_tour() if path.stem in LAST_SHOWN]


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_no_secret_is_in_a_saved_copy(
    path: Path,
    demo: Demo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, setting in demo.environment().items():
        monkeypatch.setenv(name, setting)
    monkeypatch.setenv("NBAUTH_FLOW", "device")
    monkeypatch.setenv("NBAUTH_ATTENDED", "true")  # nbclient has no input; the panel still shows
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    approver = Approver(demo, demo.user)
    approver.start()
    try:
        nbclient.NotebookClient(
            notebook, timeout=30, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
        ).execute()
    finally:
        approver.end()
    shown = [cell.outputs for cell in notebook.cells if cell.get("outputs")]
    assert LAST_SHOWN[path.stem] in str(shown[-1])
    saved = tmp_path / path.name
    nbformat.write(notebook, saved)
    store = demo.provider.store
    secrets = [*store.access_tokens, *store.refresh_tokens, demo.password]
    assert len(secrets) >= 3
    assert canary.scan(secrets, [saved]) == []
    assert main(["scan", str(saved)]) == 0, capsys.readouterr().out
