"""One notebook, unchanged: run by a person, and by papermill with a service identity."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from tests.harness.client_keys import client_key
from tests.harness.kernels import isolated_environment, write_kernelspec
from tests.harness.panva import Panva
from tests.interop.scripted_browser import ScriptedBrowser

CELLS = [
    "%load_ext nbauth",
    "%login User.Read",
    """
import os, requests, nbauth
token = nbauth.token("User.Read")
me = requests.get(os.environ["API"], headers=token.header, verify=os.environ["NBAUTH_VERIFY"])
print("I am", me.json()["client_id"], "for", me.json()["sub"])
""",
    "%accounts",
    "%token User.Read --show",
    "%whoami",
]


def run(folder: Path, env: dict[str, str]) -> str:
    """Run the notebook by papermill; return its outputs as text."""
    environment = isolated_environment(folder, env=env)
    write_kernelspec(folder / "jupyter-path", environment)
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(cell, id=f"c{n}") for n, cell in enumerate(CELLS)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
    nbformat.write(notebook, folder / "in.ipynb")
    ended = subprocess.run(
        [str(Path(sys.executable).parent / "papermill"), "in.ipynb", "out.ipynb"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-3000:]
    saved = nbformat.read(folder / "out.ipynb", 4)
    assert [cell.source for cell in saved.cells if cell.source] == CELLS
    return "\n".join(str(output) for cell in saved.cells for output in cell.outputs)


@contextmanager
def willing_person(panva: Panva) -> Iterator[None]:
    """A person who enters each device code that appears."""
    stop, browser = threading.Event(), ScriptedBrowser(panva.ca_file)
    earlier = panva.device_codes()  # of other tests, some ended meanwhile

    def watch() -> None:
        while not stop.wait(0.2):
            for code in panva.device_codes():
                if code not in earlier:
                    browser.approve(f"{panva.ms_issuer}/device", code)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


@pytest.mark.node
def test_one_notebook_for_a_person_and_for_a_scheduled_run(panva: Panva, tmp_path: Path) -> None:
    key = client_key()
    how = {"token_endpoint_auth_method": "private_key_jwt", "jwks": key.jwks}
    panva.add_client("nightly-job", **how)
    profile = {
        "NBAUTH_AUTHORITY": panva.ms_authority,
        "NBAUTH_CLIENT_ID": panva.client_id,
        "NBAUTH_VERIFY": panva.ca_file,
        "API": panva.ms_api_url,
    }
    identity = {
        "AZURE_AUTHORITY_HOST": panva.ms_authority.removesuffix(f"/{panva.tenant}"),
        "AZURE_TENANT_ID": panva.tenant,
        "AZURE_CLIENT_ID": "nightly-job",
        "AZURE_CLIENT_CERTIFICATE_PATH": key.pem(tmp_path / "c.pem", password="of the key"),
        "AZURE_CLIENT_CERTIFICATE_PASSWORD": "of the key",
    }
    for name in ("person", "job"):
        (tmp_path / name).mkdir()
    with willing_person(panva):
        person = {"NBAUTH_ATTENDED": "true", "NBAUTH_FLOW": "device"}
        said = run(tmp_path / "person", {**profile, **person, **identity})
    assert "I am notebooks for ada" in said
    assert "ada@example.org" in said
    assert "nightly-job" not in said
    before = panva.token_requests()
    said = run(tmp_path / "job", {**profile, **identity})
    assert "I am nightly-job for nightly-job" in said
    assert "Signed in as nightly-job (application)" in said
    for place in ("text/html", "account  nightly-job (application)", "(application); tenant"):
        assert place in said, "%accounts, %token --show, %whoami"
    assert said.count("nightly-job (application)") >= 5
    assert "ada@example.org" not in said
    assert panva.token_requests() == before + 1, "one token for all cells"
    assert "of the key" not in said
    assert not list((tmp_path / "job").rglob("nbauth/*")), "nothing is stored"
