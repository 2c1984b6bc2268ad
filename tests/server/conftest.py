"""Real Jupyter servers, one with kernels of its own and one whose kernels a gateway runs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import requests

from tests.harness.kernels import ALL_VERSIONS, OWN_HISTORY, ROOT, isolated_environment
from tests.harness.ports import free_port
from tests.harness.served_kernel import ServedKernel, open_front_end

OWN_FOLDERS = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "IPYTHONDIR")
"""Named in the kernelspecs too: a gateway gives its kernels no HOME."""


@dataclass
class Server:
    """A process with an address, a token and a log."""

    process: subprocess.Popen[bytes]
    url: str
    token: str = field(repr=False)
    home: Path
    runtime: tuple[Path, ...]
    kernels: list[ServedKernel] = field(default_factory=list)

    @property
    def log(self) -> str:
        return (self.home / "server.log").read_text("utf-8", "replace")

    def get(
        self,
        query: str | Mapping[str, str] | list[tuple[str, str]] = "",
        method: str = "GET",
        **options: Any,
    ) -> requests.Response:
        """Request the callback page as the server's owner, and follow a page that waits."""
        page = self.get_once(query, method, **options)
        while page.status_code == 202:
            page = self.get_once({"nbauth_follow": ticket_of(page)}, **options)
        return page

    def get_once(
        self,
        query: str | Mapping[str, str] | list[tuple[str, str]] = "",
        method: str = "GET",
        **options: Any,
    ) -> requests.Response:
        """Request the callback page as the server's owner; gives the first page."""
        options.setdefault("headers", {"Authorization": f"token {self.token}"})
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method,
                f"{self.url}/nbauth/callback",
                params=query,  # type: ignore[arg-type]
                timeout=40,
                allow_redirects=False,
                **options,
            )

    def order(self, path: str, method: str = "POST") -> None:
        """Send a request to the server's REST API."""
        headers = {"Authorization": f"token {self.token}"}
        requests.request(
            method, f"{self.url}/{path}", headers=headers, timeout=60
        ).raise_for_status()

    def start_kernel(self, name: str) -> ServedKernel:
        made = requests.post(
            f"{self.url}/api/kernels",
            json={"name": name},
            headers={"Authorization": f"token {self.token}"},
            timeout=60,
        )
        made.raise_for_status()
        ident = made.json()["id"]
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for folder in self.runtime:
                if (folder / f"kernel-{ident}.json").exists():
                    kernel = ServedKernel(folder / f"kernel-{ident}.json", ident)
                    self.kernels.append(kernel)
                    return kernel
            time.sleep(0.05)
        raise RuntimeError(f"no connection file of kernel {ident}")


def ticket_of(page: requests.Response) -> str:
    """The ticket in a page that waits for the end of a sign-in."""
    named = re.search(r"\?nbauth_follow=([\w-]{22})'", page.text)
    assert named is not None, page.text
    return named[1]


@contextlib.contextmanager
def running(home: Path, module: str, *options: str, gateway: Server | None = None) -> Iterator[Any]:
    """Start a server of a Jupyter module, log at DEBUG; end it and its kernels by their ids."""
    home.mkdir(parents=True, exist_ok=True)
    environment = {**isolated_environment(home), "PYTHONPATH": str(ROOT)}
    folders = {name: environment[name] for name in OWN_FOLDERS}
    for version in ALL_VERSIONS:
        its_own = isolated_environment(home, version)
        names = {"PYTHONPATH", "PYTHONSTARTUP"} & its_own.keys()
        _write_spec(home, f"py-{version}", {name: its_own[name] for name in names} | folders)
    _write_spec(home, "python3", folders)
    _write_spec(home, "py-debug", {"PYTHONPATH": environment["PYTHONPATH"], **folders}, "--debug")
    port, token = free_port(), secrets.token_hex(16)
    if gateway is not None:
        environment |= {"JUPYTER_GATEWAY_AUTH_TOKEN": gateway.token}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--ip=127.0.0.1", f"--port={port}", "--debug",
             *(option.replace("TOKEN", token) for option in options)],
            cwd=home,
            env={**environment, "JUPYTER_TOKEN": token},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )  # fmt: skip
    runtime = (home / "jupyter-runtime", *(gateway.runtime if gateway else ()))
    server = Server(process, f"http://127.0.0.1:{port}", token, home, runtime)
    try:
        _wait_until_up(server)
        yield server
    finally:
        for kernel in server.kernels:
            kernel.client.stop_channels()
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGKILL)
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait(10)


def _write_spec(home: Path, name: str, environment: dict[str, str], *options: str) -> None:
    folder = home / "jupyter-path" / "kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
                 OWN_HISTORY, *options],
        "display_name": name,
        "language": "python",
        "env": environment,
    }  # fmt: skip
    (folder / "kernel.json").write_text(json.dumps(spec), "utf-8")


def _wait_until_up(server: Server) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.process.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            requests.get(
                f"{server.url}/api/kernelspecs",
                headers={"Authorization": f"token {server.token}"},
                timeout=20,
            ).raise_for_status()
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{server.log[-3000:]}")


EXTENSION = (
    "--ServerApp.jpserver_extensions={'nbauth.server': True}",
    "--no-browser",
    "--allow-root",
    "--ServerApp.allow_unauthenticated_access=False",
    "--ServerApp.authorizer_class=tests.server.authorizer.Refusing",
    "--IdentityProvider.cookie_options={'SameSite': 'Strict'}",
)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Jupyter server with kernels of all versions of its own."""
    with running(tmp_path_factory.mktemp("server"), "jupyter_server", *EXTENSION) as started:
        yield started


@pytest.fixture(scope="package")
def gateway_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Jupyter server whose kernels run in a Jupyter Kernel Gateway that asks for a token."""
    folder = tmp_path_factory.mktemp("gateway")
    with (
        running(
            folder / "gateway", "kernel_gateway", "--KernelGatewayApp.auth_token=TOKEN"
        ) as gateway,
        running(
            folder / "server",
            "jupyter_server",
            *EXTENSION,
            f"--GatewayClient.url={gateway.url}",
            gateway=gateway,
        ) as started,
    ):
        yield started


StartKernel = Callable[[str], ServedKernel]


@pytest.fixture(scope="package")
def kernels(server: Server) -> StartKernel:
    """``kernels(version)``: one kernel of the server for each version, for the whole package."""
    started: dict[str, ServedKernel] = {}

    def kernel(version: str) -> ServedKernel:
        if version not in started:
            started[version] = server.start_kernel(f"py-{version}")
        return started[version]

    return kernel


@pytest.fixture(scope="package")
def gateway_kernel(gateway_server: Server) -> Iterator[ServedKernel]:
    """A gateway's kernel, with a front end."""
    kernel = gateway_server.start_kernel("py-7.4")
    front_end = open_front_end(gateway_server.url, kernel.id, gateway_server.token)
    yield kernel
    front_end.close()
