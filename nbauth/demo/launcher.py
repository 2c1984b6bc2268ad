"""`nbauth demo`: JupyterLab on the tour, beside the local provider and Graph."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from .servers import Demo, bind_loopback, start

__all__ = ["Demo", "bind_loopback", "find_tour", "run_lab", "serve_until_stopped", "start"]

TOUR = (
    "01-sign-in.ipynb", "02-tokens.ipynb", "03-graph.ipynb", "04-two-accounts.ipynb",
    "05-your-own-flow.ipynb", "07-dask.ipynb",
)  # fmt: skip
"""The notebooks of the demo. JupyterLab opens on the first."""
_LOOPBACK = "127.0.0.1"


def find_tour() -> list[Path]:
    """The tour's notebooks: package data in an installed wheel, or the checkout's folder."""
    here = Path(__file__).resolve().parent
    for folder in (here, here.parents[1] / "notebooks"):
        notebooks = [folder / name for name in TOUR]
        if all(notebook.is_file() for notebook in notebooks):
            return notebooks
    raise FileNotFoundError(f"the notebooks {', '.join(TOUR)} are not where they were installed")


def stop_event() -> threading.Event:
    """An event that Ctrl-C, SIGTERM or a closed terminal sets; call it in the main thread."""
    event = threading.Event()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: event.set())
    return event


def serve_until_stopped(
    *, access_ttl: int = 3600, as_json: bool = False, pages_url: str | None = None
) -> int:
    """`nbauth demo --idp-only`: print where everything is; serve until stopped; give 0."""
    stopped = stop_event()
    with start(access_ttl=access_ttl, pages_url=pages_url) as demo:
        print(demo.as_json() if as_json else _block(demo), flush=True)
        stopped.wait()
    return 0


def run_lab(
    *,
    port: int | None = None,
    browser: bool = True,
    access_ttl: int = 3600,
    pages_url: str | None = None,
) -> int:
    """`nbauth demo`: provider, Graph and JupyterLab on a copy of the tour, until stopped."""
    stopped = stop_event()
    with start(access_ttl=access_ttl, pages_url=pages_url) as demo:
        work = demo.folder / "notebooks"
        work.mkdir()
        for notebook in find_tour():
            shutil.copyfile(notebook, work / notebook.name)
        lab_port = port or _free_port(8888)
        token = secrets.token_urlsafe(24)
        lab = _start_lab(demo, work, lab_port, token, browser)
        try:
            address = f"http://{_LOOPBACK}:{lab_port}/lab/tree/{TOUR[0]}?token={token}"
            print(_block(demo, address), flush=True)
            while not stopped.wait(0.3):
                if lab.poll() is not None:
                    sys.stdout.write(_tail(demo.folder / "lab.log"))
                    print("JupyterLab has ended.", flush=True)
                    return lab.returncode
        finally:
            _end(lab)
    return 0


def _start_lab(
    demo: Demo, work: Path, port: int, token: str, browser: bool
) -> subprocess.Popen[bytes]:
    # JupyterLab would ask to fetch news, and the demo promises that nothing leaves here.
    settings = demo.folder / "settings"
    settings.mkdir()
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "overrides.json").write_text(
        json.dumps({"@jupyterlab/apputils-extension:notification": quiet})
    )
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.ip={_LOOPBACK}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={work}",
        f"--LabApp.app_settings_dir={settings}",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        *([] if browser else ["--no-browser"]),
        TOUR[0],
    ]
    environment: Mapping[str, str] = {
        **os.environ,
        **demo.environment(),
        "JUPYTER_TOKEN": token,  # not an argument: other users can read those
        "JUPYTER_RUNTIME_DIR": str(demo.folder / "runtime"),
    }
    with (demo.folder / "lab.log").open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group of its own; Ctrl-C reaches it through us
        )


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child's process group to end, wait, then kill it. The server ends its kernels."""
    for patience, name in ((15.0, "SIGTERM"), (5.0, "SIGKILL")):
        if child.poll() is None:
            try:
                if hasattr(os, "killpg"):
                    os.killpg(child.pid, getattr(signal, name))
                else:
                    child.terminate()
                child.wait(timeout=patience)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def _free_port(first: int) -> int:
    for port in (first, 0):
        try:
            with bind_loopback(port) as listener:
                return int(listener.getsockname()[1])
        except OSError:
            continue
    raise OSError("no free port on 127.0.0.1")


def _tail(log: Path, lines: int = 15) -> str:
    text = log.read_text(errors="replace").splitlines(keepends=True)
    return "".join(text[-lines:])


def _block(demo: Demo, address: str = "") -> str:
    rows = {
        "JupyterLab": address,
        "user": demo.user,
        "password": demo.password,
        "second user": f"{demo.second_user} (the same password)",
        "provider": demo.authority,
        "pages": "" if demo.provider.is_local else demo.provider.pages_url,
        "Graph": demo.graph_url,
        "CA file": demo.ca_file,
    }
    lines = [f"  {name:<11} {value}" for name, value in rows.items() if value]
    end = "nothing leaves this computer" if demo.provider.is_local else "a proxy serves its pages"
    head = f"nbauth local demo - {end}"
    return "\n".join(["", head, *lines, "  Ctrl-C stops everything and removes its files.", ""])
