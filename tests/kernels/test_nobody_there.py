"""If nobody can answer: an error with the remedy, at once, in each tool that runs notebooks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import nbauth
from tests.harness.kernels import isolated_environment, write_kernelspec
from tests.kernels.conftest import environment

#: the path in traceback frames of nbauth, whatever the checkout's folder is called
PACKAGE = str(Path(nbauth.__file__).parent)
CELL = """
import time
began = time.time()
try:
    %load_ext nbauth
    loaded = time.time()
    {ask}
finally:
    print("took", time.time() - began, time.time() - loaded)
"""
#: an address without a server: a request to it would give another error than the expected one
SETTINGS = {"NBAUTH_CLIENT_ID": "notebooks", "NBAUTH_AUTHORITY": "https://127.0.0.1:1/common"}
NBCLIENT = """
import sys, nbformat
from nbclient import NotebookClient
NotebookClient(nbformat.read("in.ipynb", 4), allow_errors=False).execute()
"""
TOOLS = {
    "papermill": ["papermill", "in.ipynb", "out.ipynb"],
    "nbconvert": ["jupyter-nbconvert", "--to=notebook", "--execute", "in.ipynb", "--output=out"],
    "jupyter execute": ["jupyter-execute", "in.ipynb"],
    "nbclient": ["python", "-c", NBCLIENT],
    "ipython -c": ["ipython", "-c", "{cell}"],
}


def run(folder: Path, tool: list[str], cell: str, settings: dict[str, str]) -> tuple[int, str]:
    """Run a cell with a tool in an empty home, without stdin; return exit code and output."""
    env = isolated_environment(folder, env=settings)
    write_kernelspec(folder / "jupyter-path", env)
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell)], metadata={"kernelspec": spec}
    )
    nbformat.write(notebook, folder / "in.ipynb")
    (folder / "cell.ipy").write_text(cell)
    program, *arguments = (word.replace("{cell}", cell) for word in tool)
    ended = subprocess.run(
        [str(Path(sys.executable).parent / program), *arguments],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.timing
@pytest.mark.parametrize(
    ("tool", "ask"),
    [
        *((tool, "%login") for tool in TOOLS),
        ("nbclient", "str(__import__('nbauth').token())"),
        ("ipython -c", "%token"),
    ],
)
def test_an_error_with_the_remedy_within_a_second(tool, ask, tmp_path):
    """From the cell's first line to the error, including all imports."""
    code, said = run(tmp_path, TOOLS[tool], CELL.format(ask=ask), SETTINGS)
    if tool == "papermill":  # it writes the cell's output to the notebook only
        outputs = nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].outputs
        said += "".join(output.get("text", "") for output in outputs)
        (saved,) = (output for output in outputs if output.output_type == "error")
        assert len(saved.traceback) == 2
    assert code != 0
    lines = said.splitlines()
    error = next(n for n, line in enumerate(lines) if line.startswith("InteractionRequired: "))
    assert "obody can" in lines[error]
    assert lines[error + 1].startswith(
        "→ Run %login in a notebook that a person uses, or set attended"
    )
    assert PACKAGE not in said, "a traceback of ours was shown"
    took = re.search(r"took ([\d.]+) ([\d.]+)", said)
    assert took is not None, said
    assert float(took[1]) < 1
    print(f"{tool}, {ask}: {float(took[1]):.2f} s, {float(took[2]):.3f} s of it after %load_ext")


@pytest.mark.timing
def test_a_panel_without_a_front_end_becomes_text_with_a_deadline(tmp_path, demo):
    """``jupyter run`` claims that input is possible, although nobody is there."""
    cell = CELL.format(ask="%login --timeout 1")
    code, said = run(tmp_path, ["jupyter-run", "cell.ipy"], cell, environment(demo))
    assert code != 0
    assert "SignInExpired: The sign-in was not finished in time." in said
    assert "→ Run %login again" in said
    assert PACKAGE not in said, "a traceback of ours was shown"
    took = re.search(r"took ([\d.]+)", said)
    assert took is not None
    assert 5 < float(took[1]) < 9, "5 s for a panel to come to life, then the deadline"


def test_that_text_is_enough_to_sign_in(tmp_path, demo, willing_person):
    cell = CELL.format(ask="%login")
    code, said = run(tmp_path, ["jupyter-run", "cell.ipy"], cell, environment(demo))
    assert code == 0, said
    assert "/device" in said


def test_a_sign_in_that_was_stored_before_is_used(tmp_path, demo, willing_person):
    """As the error advises. Both runs have the same home, with the setting ``persist``."""
    stored = {"NBAUTH_PERSIST": "file", "NBAUTH_PASSPHRASE": "of this test"}
    settings = environment(demo, **stored)
    watched = {**settings, "NBAUTH_ATTENDED": "true"}
    tool = TOOLS["ipython -c"]
    code, said = run(tmp_path, tool, CELL.format(ask="%login --flow device"), watched)
    assert (code, "Signed in as" in said) == (0, True), said
    ask = "token = %token\n    print('a token of', len(str(token)))"
    code, said = run(tmp_path, tool, CELL.format(ask=ask), settings)
    assert code == 0, said
    assert re.search(r"a token of \d{3,}", said), said
