"""marimo and Voila: front ends that show the panel without JupyterLab."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat
import psutil  # type: ignore[import-untyped]

from tests.harness.kernels import (
    OWN_HISTORY,
    isolated_environment,
    library_folder,
    write_kernelspec,
)
from tests.harness.ports import free_port

MARIMO, VOILA = "marimo-0.25", "voila-0.5"
CELL = "@app.cell\ndef _():\n"


@contextlib.contextmanager
def running_marimo(home: Path, env: Mapping[str, str], *cells: str) -> Iterator[str]:
    """``marimo edit`` on a notebook of these cells, which run when its page is opened.

    Gives its address. Cells share no names.
    """
    settings = home / "config" / "marimo" / "marimo.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[runtime]\nauto_instantiate = true\n", "utf-8")
    notebook = home / "notebook.py"
    made = (CELL + "".join(f"    {line}\n" for line in cell.splitlines()) for cell in cells)
    notebook.write_text("import marimo\n\napp = marimo.App()\n\n" + "\n".join(made), "utf-8")
    port = free_port()
    command = ["marimo", "edit", "--headless", "--no-token", "--skip-update-check",
               "--host=127.0.0.1", f"--port={port}", str(notebook)]  # fmt: skip
    environment = isolated_environment(home, env=env, libraries=(MARIMO,))
    with _serving(command, environment, home, port) as url:
        yield url


@contextlib.contextmanager
def running_voila(home: Path, env: Mapping[str, str], *cells: str) -> Iterator[str]:
    """Voila on a notebook of these cells; gives its address."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, home / "notebook.ipynb")
    write_kernelspec(home / "jupyter-path", {"PYTHONPATH": "", **env}, OWN_HISTORY)
    environment = isolated_environment(home, libraries=(VOILA,))
    templates = library_folder(VOILA) / "share" / "jupyter"
    environment["JUPYTER_PATH"] += f"{os.pathsep}{templates}"
    port = free_port()
    command = ["voila", str(home / "notebook.ipynb"), "--no-browser", f"--port={port}",
               "--Voila.ip=127.0.0.1"]  # fmt: skip
    with _serving(command, environment, home, port) as url:
        yield url


@contextlib.contextmanager
def _serving(
    command: list[str], environment: Mapping[str, str], home: Path, port: int
) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}/"
    log = home / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=home,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        _wait_for(url, process, log)
        yield url
    finally:
        _end(process)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), direct.open(url, timeout=30):
            return
        time.sleep(0.1)
    raise RuntimeError(f"not started:\n{log.read_text(errors='replace')[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """The server and each process that it has started, by their ids."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.kill()
    process.wait(5)
