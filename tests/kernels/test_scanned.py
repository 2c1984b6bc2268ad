"""A notebook that a real kernel has filled and nbclient has saved, with a secret in each place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat

from nbauth.cli import main
from nbauth.scanning.scan import REMOVED
from tests.harness.kernels import isolated_environment, write_kernelspec
from tests.scanning.planted import json_web_token, some

RUN = """
import nbformat
from nbclient import NotebookClient
saved = nbformat.read("a.ipynb", 4)
NotebookClient(saved, allow_errors=True).execute()
nbformat.write(saved, "a.ipynb")
"""
CELLS = """
import os; token = os.environ["PLANTED"]; print("é", token[:40], end="", flush=True)
print(token[40:], flush=True)
---
import ipywidgets; ipywidgets.Text(value=token, description="é")
---
from IPython.display import HTML, JSON, display; display(HTML(f"<b>{token}</b>"), JSON([token]))
---
{"access_token": os.environ["OPAQUE"]}
---
raise ValueError(f"401 for Bearer {token}")
"""


def test_a_saved_notebook_is_cleaned(tmp_path: Path, monkeypatch, capsys) -> None:
    token, opaque = json_web_token(), f"a1{some(40)}9"
    env = isolated_environment(tmp_path, env={"PLANTED": token, "OPAQUE": opaque})
    write_kernelspec(tmp_path / "jupyter-path", env)
    cells = [nbformat.v4.new_code_cell(text.strip()) for text in CELLS.split("---")]
    path = tmp_path / "a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, env=env, check=True, timeout=60)
    before = path.read_text("utf-8")
    plain = json.loads(before)
    assert before.count(token) >= 5
    monkeypatch.chdir(tmp_path)
    assert main(["scan", "--clean", "a.ipynb"]) == 1
    out = capsys.readouterr().out
    for place in (
        "cell 1, output 1, stdout: JSON", "cell 3, output 1, text/html: JSON",
        "cell 3, output 2, application/json: JSON", "cell 4, output 1, text/plain: access token",
        "cell 5, output 1, error: JSON", "widget state of model",
    ):  # fmt: skip
        assert f"a.ipynb: {place}" in out
    after = path.read_text("utf-8")
    # The representation of the widget has a shortened token, which nobody can use.
    assert token.rpartition(".")[2] not in after + out
    assert opaque[3:] not in after + out
    assert main(["scan", "a.ipynb"]) == 0
    nbformat.validate(json.loads(after))
    stream = plain["cells"][0]["outputs"][0]
    if token in "".join(stream["text"]):  # the kernel has sent both writes as one message
        assert after == before.replace(token, REMOVED).replace(opaque, REMOVED)
    assert len(json.loads(after)["cells"]) == len(plain["cells"])
