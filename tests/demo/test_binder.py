"""binder/start starts Jupyter on a hub, with the demo if that is possible."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbauth.demo.outside import find_pages_url

BINDER_START = Path(__file__).parents[2] / "binder" / "start"
ADA = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}
HUB = {"JUPYTERHUB_PUBLIC_HUB_URL": "https://hub.example/hub/"}


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({**ADA, "JUPYTERHUB_PUBLIC_URL": "https://ada.hub.example/user/ada/"}, "ada.hub.example"),
        ({**ADA, **HUB}, "hub.example"),
    ],
)
def test_outside_address_from_the_hub(environment: dict[str, str], found: str) -> None:
    assert find_pages_url(environment) == f"https://{found}/user/ada/proxy/{{port}}"


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({}, "not a JupyterHub server"),
        (ADA, "its host is not known"),
        ({**ADA, "JUPYTERHUB_PUBLIC_URL": "", "JUPYTERHUB_PUBLIC_HUB_URL": ""}, "not known"),
        ({**ADA, "BINDER_LAUNCH_HOST": "https://mybinder.org/"}, "another host may serve it"),
        ({**ADA, **HUB, "JUPYTERHUB_HOST": "https://hub.example"}, "its host is not known"),
        ({**ADA, "JUPYTERHUB_PUBLIC_URL": "/user/ada/"}, "is a path only"),
    ],
)
def test_outside_address_unknown(environment: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        find_pages_url(environment)


def binder(folder: Path, **variables: str) -> tuple[str, str]:
    """Run binder/start with `env` instead of Jupyter; then stop its processes."""
    names = [name for name in os.environ if name.startswith(("JUPYTERHUB_", "BINDER_", "NBAUTH_"))]
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    scripts = str(Path(sys.executable).parent)
    process = subprocess.Popen(
        [str(BINDER_START), "env"],
        env={
            **inherited,
            "PATH": f"{scripts}{os.pathsep}{inherited['PATH']}",
            "REPO_DIR": str(folder),
            "TMPDIR": str(folder),
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, errors = process.communicate(timeout=40)
        assert process.returncode == 0, errors
        return said, errors
    finally:
        with contextlib.suppress(ProcessLookupError):  # no process is left
            os.killpg(process.pid, signal.SIGTERM)
        ends_at = time.monotonic() + 10
        while list(folder.glob("nbauth-demo-*")) and time.monotonic() < ends_at:
            time.sleep(0.05)
        assert not list(folder.glob("nbauth-demo-*"))


def test_binder(tmp_path: Path) -> None:
    said, errors = binder(tmp_path, JUPYTERHUB_PUBLIC_URL="https://hub.example/user/ada/")
    told = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("NBAUTH_"))
    assert told["NBAUTH_FLOW"] == "device" and errors == ""
    assert told["NBAUTH_AUTHORITY"].startswith("https://127.0.0.1:")
    assert not {"NBAUTH_DEMO_USER", "NBAUTH_DEMO_PASSWORD"} & set(told)
    note = tmp_path / "demo-sign-in.txt"
    assert note.read_text().startswith("user: ada.demo@demo.example\npassword: ")
    assert note.stat().st_mode & 0o077 == 0


def test_binder_without_an_outside_address_starts_jupyter(tmp_path: Path) -> None:
    said, errors = binder(tmp_path, JUPYTERHUB_SERVICE_PREFIX="/user/ada/")
    assert "NBAUTH_AUTHORITY" not in said and "REPO_DIR" in said
    assert "its host is not known" in errors
    assert errors == (tmp_path / "demo-sign-in.txt").read_text()


def test_binder_without_nbauth_starts_jupyter(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin" / "nbauth"
    broken.write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    broken.chmod(0o755)
    path = (
        f"{broken.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    said, errors = binder(
        tmp_path, PATH=path, JUPYTERHUB_PUBLIC_URL="https://hub.example/user/ada/"
    )
    assert "NBAUTH_AUTHORITY" not in said and "REPO_DIR" in said
    assert "out of order" in errors
