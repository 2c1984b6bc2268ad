"""S6: notebooks that show tokens in every listed way are run and saved; no token is in the file."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from nbauth.demo.servers import Demo
from nbauth.testing.canary import find
from tests.faults.conftest import Figure
from tests.faults.sizes import size
from tests.harness.kernels import isolated_environment
from tests.kernels.conftest import demo, willing_person
from tests.kernels.leaks import CELLS, IMPORTS, XMODES

__all__ = ["demo", "willing_person"]
NOTEBOOKS = size(4, 500)
CELLS_EACH = size(25, 12)
SIGN_IN = """
import logging, os
logging.basicConfig(level=logging.DEBUG, filename=os.environ["NBAUTH_TEST_LOG"], force=True)
%load_ext nbauth
%login --flow device --quiet
"""
SECRETS = """
import nbauth
from nbauth.api import the_session
result = nbauth.acquire()
(record,) = the_session().cache.signed_in.values()
ACCESS, ID = str(result.access_token), str(result.id_token)
REFRESH = str(record.grants[0].record()["refresh_token"])
token = nbauth.token()
with open(os.environ["NBAUTH_TEST_FILE"], "w") as file:
    json.dump([ACCESS, ID, REFRESH], file)
os.environ["S"] = ACCESS
logging.basicConfig(level=logging.DEBUG, force=True)  # into the outputs from here on
"""
WRITTEN = (
    "{x}",
    "'Bearer ' + {x}",
    "f'Authorization: Bearer {{{x}}}'",
    "json.dumps(dict(token={x}))",
    "repr([{x}])",
    "urllib.parse.quote({x}, safe='')",
    "base64.b64encode(('client:' + {x}).encode()).decode()",
    "'%s' % {x}",
)
TEXTS = ("ACCESS", "ID", "REFRESH", "str(token)", "token.header['Authorization']")
MORE = (
    "held = {s}\n%whos",
    "%xmode {mode}\ndef call(header):\n    raise OSError(header)\ncall({s})",
    "%xmode {mode}\nimport requests\nrequests.get('http://127.0.0.1:9/', params=dict(t={s}))",
    "import http.client\nhttp.client.HTTPConnection({s}, 9).request('GET', '/')",
    "logging.getLogger('mine').debug('sent %s', {s})",
)
LEFT_OUT = frozenset({"a forked child", "two messages of a stream", "both streams"})
"""The first copies the notebook's threads; the others cut what may be a form of a token."""


def notebooks(count: int, seed: int) -> Iterator[nbformat.NotebookNode]:
    """Generated notebooks; the same for the same seed."""
    chosen = random.Random(seed)
    cells = [*(code for name, code in CELLS.items() if name not in LEFT_OUT), *MORE]
    for _ in range(count):
        made = nbformat.v4.new_notebook()
        for code in chosen.sample(cells, min(CELLS_EACH, len(cells))):
            text = chosen.choice(WRITTEN).format(x=chosen.choice(TEXTS))
            filled = code.replace("{s}", f"({text})").replace("{mode}", chosen.choice(XMODES))
            made.cells.append(nbformat.v4.new_code_cell(filled))
        yield made


class Runner:
    """One kernel that is signed in, and runs notebooks as nbconvert and papermill do."""

    def __init__(self, demo: Demo, folder: Path) -> None:
        self.folder = folder
        self.told = folder / "secrets.json"
        self.log = folder / "debug.log"
        variables = {
            "NBAUTH_ATTENDED": "true",
            "NBAUTH_TEST_FILE": str(self.told),
            "NBAUTH_TEST_LOG": str(self.log),
        }
        self.home = folder / "home"
        self.home.mkdir()
        self._environment = isolated_environment(self.home, env={**demo.environment(), **variables})
        self._client = NotebookClient(
            nbformat.v4.new_notebook(), kernel_name="python3", timeout=60, allow_errors=True
        )

    def __enter__(self) -> Runner:
        self._context = self._client.setup_kernel(env=self._environment, cwd=str(self.home))
        self._context.__enter__()
        made = nbformat.v4.new_notebook()
        made.cells = [nbformat.v4.new_code_cell(code) for code in (SIGN_IN, IMPORTS, SECRETS)]
        self.run(made)
        return self

    def __exit__(self, *of: Any) -> None:
        self._context.__exit__(*of)

    @property
    def secrets(self) -> list[str]:
        found: list[str] = json.loads(self.told.read_text())
        return found

    def run(self, notebook: nbformat.NotebookNode) -> str:
        """The text of the saved notebook."""
        client = self._client
        client.nb = notebook
        client.reset_execution_trackers()
        client.widget_state, client.widget_buffers = {}, {}
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        client.set_widgets_metadata()
        path = self.folder / "saved.ipynb"
        nbformat.write(notebook, path)
        return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def runner(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    from tests.kernels.conftest import willing_person as fixture

    person = fixture.__wrapped__(demo)  # for the sign-in only
    next(person)
    try:
        with Runner(demo, tmp_path_factory.mktemp("notebooks")) as running:
            assert len(running.secrets) == 3
            yield running
    finally:
        next(person, None)


def test_no_saved_notebook_contains_a_token(runner: Runner, figure: Figure) -> None:
    cells = leaks = masked = 0
    for made in notebooks(NOTEBOOKS, seed=6):
        saved = runner.run(made)
        cells += len(made.cells)
        masked += saved.count("••••••••")
        found = {form for secret in runner.secrets for form in find(secret, saved)}
        leaking = [
            cell.source
            for cell in made.cells
            if any(find(secret, json.dumps(cell.outputs)) for secret in runner.secrets)
        ]
        assert (leaking, found) == ([], set())
        leaks += len(found)
    assert masked > NOTEBOOKS
    log = runner.log.read_text(errors="replace")
    assert "nbauth" in log
    assert [find(secret, log) for secret in runner.secrets] == [[], [], []]
    figure(
        "S6",
        "tokens in saved notebooks and their widget state",
        f"{NOTEBOOKS} generated notebooks, {cells} cells, 8 written forms",
        f"{leaks} canary bytes in any form; {masked} masks; the log of the sign-in at DEBUG has 0",
    )


def test_without_the_guard_each_notebook_contains_one(runner: Runner) -> None:
    off = nbformat.v4.new_code_cell("%config NbAuth.redact = False")
    for made in notebooks(1, seed=7):
        made.cells.insert(0, off)
        saved = runner.run(made)
        assert any(find(secret, saved) for secret in runner.secrets)
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell("%config NbAuth.redact = True")]
    runner.run(made)
