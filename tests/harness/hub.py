"""A real JupyterHub with its real proxy, two users, and their servers as local processes.

In both layouts: all users on one origin, or each on a subdomain of ``hub.localhost`` (which
browsers resolve to the loopback address). ``nbauth.server`` runs in every user's server.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil  # type: ignore[import-untyped]
import requests
from playwright.sync_api import BrowserContext, Page

from tests.harness import missing
from tests.harness.kernels import OWN_HISTORY, isolated_environment, write_kernelspec
from tests.harness.ports import free_port
from tests.harness.served_kernel import ServedKernel

PROXY = Path(__file__).parent / "node" / "node_modules" / "configurable-http-proxy"
USERS = ("ada", "bob")
NOT_NEEDED = ("jupyter_lsp", "jupyter_server_terminals", "notebook", "notebook_shim")


@dataclass
class Hub:
    """JupyterHub behind configurable-http-proxy, for as long as the ``with`` block lasts.

    *subdomains*: a host for each user. *strict*: all cookies are SameSite=Strict. *hook*: what
    ``nbauth.server.hub`` offers is installed. *env* goes to the kernels; *gateway* is
    ``(url, token)`` of a kernel gateway, in which the kernels of servers named ``remote`` run.
    *settings*: more of the hub's configuration. *crypt_key*: whether the hub can store auth_state.

    Attributes:
        host: the hub's origin, as browsers know it.
        token: of an administrator.
        kernels: the kernels that were started, by user and server.
    """

    subdomains: bool = False
    strict: bool = False
    hook: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    gateway: tuple[str, str] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    crypt_key: bool = False

    def __enter__(self) -> Self:
        node = shutil.which("node")
        if node is None or not PROXY.is_dir():
            missing("configurable-http-proxy (run `npm ci` in tests/harness/node)")
        self.port = free_port()
        self.token, self.password = secrets.token_hex(16), secrets.token_hex(8)
        self.host = f"http://{'hub.localhost' if self.subdomains else '127.0.0.1'}:{self.port}"
        self.kernels: dict[tuple[str, str], ServedKernel] = {}
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="nbauth-hub-", ignore_cleanup_errors=True)
            )
            self.home = Path(folder)
            self._configure(node)
            stack.callback(self._stop)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def redirect_uri(self) -> str:
        """The redirect URI to register."""
        return f"{self.host}/hub/user-redirect/nbauth/callback"

    @property
    def log(self) -> str:
        """The DEBUG log of hub, proxy, users' servers and kernels."""
        return (self.home / "hub.log").read_text("utf-8", "replace")

    def host_of(self, user: str) -> str:
        """The origin of a user's servers."""
        return self.host.replace("hub.", f"{user}.hub.") if self.subdomains else self.host

    def server_url(self, user: str, server: str = "") -> str:
        """The address of a user's server, as a browser knows it; no slash at the end."""
        return f"{self.host_of(user)}/user/{user}" + (f"/{server}" if server else "")

    def api(self, path: str, method: str = "GET", body: Any = None) -> requests.Response:
        """Ask the hub's own API (``api("users/ada")``), as an administrator."""
        answer = self._ask(f"http://127.0.0.1:{self.port}/hub/api/{path}", method, body)
        answer.raise_for_status()
        return answer

    def start_servers(self, *users: str, server: str = "") -> None:
        """Start a server for each user and wait until they answer."""
        for user in users:
            self.api(self._server_path(user, server), "POST")
        end = time.monotonic() + 60
        for user in users:
            while not self.api(f"users/{user}").json()["servers"].get(server, {}).get("ready"):
                if time.monotonic() > end:
                    raise RuntimeError(f"{user}'s server did not start:\n{self.log[-3000:]}")
                time.sleep(0.1)

    def stop_server(self, user: str, server: str = "") -> None:
        """Stop a server and wait until it is gone."""
        self.api(self._server_path(user, server), "DELETE")
        while server in self.api(f"users/{user}").json()["servers"]:
            time.sleep(0.05)

    def start_kernel(
        self, user: str, server: str = "", runtime: Path | None = None
    ) -> ServedKernel:
        """A kernel of a running server, driven from here beside the server."""
        path = f"/user/{user}/{server + '/' if server else ''}api/kernels"
        answer = self._ask(f"http://127.0.0.1:{self.port}{path}", "POST", {}, self.host_of(user))
        answer.raise_for_status()
        ident = answer.json()["id"]
        file = (runtime or self.home / "runtime" / user) / f"kernel-{ident}.json"
        end = time.monotonic() + 20
        while not file.exists():
            if time.monotonic() > end:
                raise RuntimeError(f"no connection file of kernel {ident}")
            time.sleep(0.05)
        return ServedKernel(file, ident)

    def write_notebook(self, user: str, name: str, cells: list[str]) -> None:
        """Put a notebook into a user's home."""
        made = [
            {"id": f"c{n}", "cell_type": "code", "execution_count": None, "metadata": {},
             "outputs": [], "source": source}
            for n, source in enumerate(cells)
        ]  # fmt: skip
        spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        notebook = {
            "cells": made,
            "metadata": {"kernelspec": spec},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (self.home / "homes" / user / name).write_text(json.dumps(notebook), "utf-8")

    def log_in(self, where: BrowserContext | Page, user: str) -> None:
        """Log in on the hub's own page."""
        page = where if isinstance(where, Page) else where.new_page()
        if page is not where:
            page.goto(f"{self.host}/hub/login?next=/hub/home")
        page.fill("#username_input", user)
        page.fill("#password_input", self.password)
        page.click("#login_submit")
        if page is not where:
            page.wait_for_url("**/hub/home")
            page.close()

    def _server_path(self, user: str, server: str) -> str:
        return f"users/{user}/servers/{server}" if server else f"users/{user}/server"

    def _ask(self, url: str, method: str, body: Any, host: str = "") -> requests.Response:
        headers = {"Authorization": f"token {self.token}"}
        if host or self.subdomains:
            headers["Host"] = (host or self.host).removeprefix("http://")
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, url, json=body, headers=headers, timeout=60)

    def _configure(self, node: str) -> None:
        home = self.home
        environment = isolated_environment(home)
        write_kernelspec(home / "jupyter-path", {"PYTHONPATH": "", **self.env}, OWN_HISTORY)
        server_config = {
            "ServerApp": {
                "jpserver_extensions": {"nbauth.server": True, **dict.fromkeys(NOT_NEEDED, False)},
                "allow_root": True,
                "log_level": "DEBUG",
            },
            "LabApp": {"expose_app_in_browser": True, "extension_manager": "readonly"},
            "AsyncMappingKernelManager": {"shutdown_wait_time": 1.0},
        }
        (home / "jupyter-config").mkdir()
        (home / "jupyter-config" / "jupyter_server_config.json").write_text(
            json.dumps(server_config), "utf-8"
        )
        for user in USERS:
            (home / "homes" / user).mkdir(parents=True)
        servers = {
            name: environment[name]
            for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_PATH", "JUPYTER_PLATFORM_DIRS")
        }
        settings: dict[str, Any] = {
            "JupyterHub.bind_url": f"http://127.0.0.1:{self.port}",
            "JupyterHub.hub_port": free_port(),
            "JupyterHub.hub_ip": "127.0.0.1",
            "JupyterHub.log_level": "DEBUG",
            "JupyterHub.db_url": f"sqlite:///{home}/hub.sqlite",
            "JupyterHub.cookie_secret_file": f"{home}/cookie_secret",
            "JupyterHub.authenticator_class": "dummy",
            "JupyterHub.spawner_class": "simple",
            "JupyterHub.allow_named_servers": True,
            "JupyterHub.subdomain_host": self.host if self.subdomains else "",
            "JupyterHub.services": [{"name": "tests", "api_token": self.token}],
            "JupyterHub.load_roles": [
                {
                    "name": "tests",
                    "services": ["tests"],
                    "scopes": ["admin:users", "admin:servers", "access:servers", "shares"],
                },
                {"name": "user", "scopes": ["self", "shares!user"]},
            ],
            "ConfigurableHTTPProxy.api_url": f"http://127.0.0.1:{free_port()}",
            "ConfigurableHTTPProxy.command": [node, f"{PROXY}/bin/configurable-http-proxy"],
            "ConfigurableHTTPProxy.pid_file": f"{home}/proxy.pid",
            "DummyAuthenticator.password": self.password,
            "DummyAuthenticator.allowed_users": set(USERS),
            "SimpleLocalProcessSpawner.home_dir_template": f"{home}/homes/{{username}}",
            "Spawner.cmd": [sys.executable, "-m", "jupyterhub.singleuser"],
            "Spawner.environment": servers,
            "Spawner.http_timeout": 60,
        }
        roles = [
            *settings["JupyterHub.load_roles"],
            *self.settings.get("JupyterHub.load_roles", ()),
        ]
        settings |= {**self.settings, "JupyterHub.load_roles": roles}
        if self.crypt_key:
            environment["JUPYTERHUB_CRYPT_KEY"] = secrets.token_hex(32)
        lines = [f"c.{name} = {value!r}" for name, value in settings.items()]
        lines.append("c.Spawner.environment['JUPYTER_RUNTIME_DIR'] = (")
        lines.append(f"    lambda spawner: {str(home / 'runtime')!r} + '/' + spawner.user.name)")
        if self.strict:
            cookies = {"SameSite": "Strict"}
            lines.append(f"c.JupyterHub.tornado_settings = {{'cookie_options': {cookies!r}}}")
            lines.append(f"c.Spawner.cookie_options = {cookies!r}")
        if self.gateway is not None:
            variables = ("JUPYTER_GATEWAY_URL", "JUPYTER_GATEWAY_AUTH_TOKEN")
            given = dict(zip(variables, self.gateway, strict=True))
            lines.append("def before(spawner):")
            lines.append(f"    if spawner.name == 'remote': spawner.environment |= {given!r}")
            lines.append("c.Spawner.pre_spawn_hook = before")
        if self.hook:
            lines.append("import nbauth.server.hub")
            lines.append("nbauth.server.hub.configure(c)")
        (home / "jupyterhub_config.py").write_text("\n".join(lines), "utf-8")
        self._environment = environment

    def _start(self) -> None:
        with (self.home / "hub.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(self.home / "jupyterhub_config.py")],
                cwd=self.home,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(requests.RequestException):
                self.api("users")
                return
            time.sleep(0.1)
        raise RuntimeError(f"JupyterHub did not start:\n{self.log[-3000:]}")

    def _stop(self) -> None:
        """End hub, proxy, servers and kernels, each by its own id; none may be left."""
        for kernel in self.kernels.values():
            kernel.client.stop_channels()
        try:
            hub = psutil.Process(self.process.pid)
            family = [hub, *hub.children(recursive=True)]
        except (AttributeError, psutil.NoSuchProcess):
            return
        for process in family:  # the hub first, since it restarts its proxy
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)
        end = time.monotonic() + 10
        while left := [one for one in family if _runs(one.pid)]:
            if time.monotonic() > end:
                raise RuntimeError(f"still there: {left}")
            time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def lines_with(text: str, state: str, code: str | None = None) -> list[str]:
    """The lines that contain a sign-in's secrets, shortened to the secret's surroundings."""
    wanted = [state.rpartition(".")[2], *([code[:40]] if code else [])]
    return [
        line[max(0, line.index(secret) - 200) :]
        for secret in wanted
        for line in text.splitlines()
        if secret in line
    ]
