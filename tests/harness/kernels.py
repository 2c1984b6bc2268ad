"""Real kernels of the versions that behave differently, isolated from the user's configuration.

ipykernel 6.29 has no subshells, 7.3 runs widget callbacks in them, 7.4 does not (it answers a comm
in the shell that used it last). A result for one version does not hold for another, so a test of
a waiting cell runs in all three. Those that the environment doesn't hold lie in
``.kernels/ipykernel-<version>`` (``make setup`` puts them there), first on the kernel's PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.harness import missing
from tests.harness.ports import free_port

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

ROOT = Path(__file__).resolve().parents[2]
KERNELS_FOLDER = ROOT / ".kernels"
ALL_VERSIONS = ("7.4", "7.3", "6.29")
#: The versions of this run: other Pythons use the newest only, since the kernels differ by
#: themselves and not with Python (tools/other_pythons.sh).
KERNEL_VERSIONS = tuple(os.environ.get("NBAUTH_TEST_KERNELS", " ".join(ALL_VERSIONS)).split())

#: What a kernel or server under test inherits; everything else on the developer's machine (VS Code,
#: SSH, Codespaces, certificate bundles, settings of nbauth itself) would change what is tested.
_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONDONTWRITEBYTECODE")


def library_folder(name: str) -> Path:
    """The folder with a library that only some kernels get, e.g. ``nest_asyncio-1.6``."""
    folder = KERNELS_FOLDER / name
    if not folder.is_dir():
        missing(f"{name} in {KERNELS_FOLDER.name}/ (make setup installs it)")
    return folder


def kernel_path(version: str) -> list[Path]:
    """The folders to put first on ``sys.path`` for this version of ``ipykernel``."""
    if version not in ALL_VERSIONS:
        raise ValueError(f"kernel version {version!r} is none of {', '.join(ALL_VERSIONS)}")
    try:
        installed = metadata.version("ipykernel")
    except metadata.PackageNotFoundError:
        installed = ""
    return [] if installed.startswith(f"{version}.") else [library_folder(f"ipykernel-{version}")]


def isolated_environment(
    home: Path,
    version: str = "7.4",
    env: Mapping[str, str] | None = None,
    libraries: tuple[str, ...] = (),
) -> dict[str, str]:
    """The environment of a kernel (or server) that reads and writes nothing outside of *home*.

    *libraries* names folders of ``.kernels/`` that come before everything else.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    folders = [*(library_folder(name) for name in libraries), *kernel_path(version)]
    variables = {
        "HOME": home,
        "XDG_CONFIG_HOME": home / "config",
        "XDG_CACHE_HOME": home / "cache",
        "XDG_DATA_HOME": home / "data",
        "XDG_STATE_HOME": home / "state",
        "IPYTHONDIR": home / "ipython",
        "JUPYTER_CONFIG_DIR": home / "jupyter-config",
        "JUPYTER_DATA_DIR": home / "jupyter-data",
        "JUPYTER_RUNTIME_DIR": home / "jupyter-runtime",
        "JUPYTER_PATH": home / "jupyter-path",
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYTHONPATH": os.pathsep.join(str(folder) for folder in folders),
    }
    if version == "7.3":
        variables["PYTHONSTARTUP"] = Path(__file__).with_name("keep_reading.py")
    return {**inherited, **{name: str(value) for name, value in variables.items()}, **(env or {})}


OWN_HISTORY = "--HistoryManager.hist_file=:memory:"
"""For kernels of one home: they share a file and print into cells when it is locked."""


def write_kernelspec(
    folder: Path,
    environment: Mapping[str, str],
    *options: str,
    launcher: str = "ipykernel_launcher",
) -> None:
    """Make this interpreter's kernel the ``python3`` of *folder* (one of JUPYTER_PATH)."""
    spec = {
        "argv": [sys.executable, "-Xfrozen_modules=off", "-m", launcher,
                 "-f", "{connection_file}", *options],
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "env": dict(environment),
    }  # fmt: skip
    target = folder / "kernels" / "python3"
    target.mkdir(parents=True, exist_ok=True)
    (target / "kernel.json").write_text(json.dumps(spec, indent=1), encoding="utf-8")


@dataclass
class CellResult:
    """What one execute request gave."""

    status: str = "unanswered"  #: "ok", "error", "aborted" or "unanswered"
    text: str = ""  #: stdout and stderr, in the order in which they came
    result: str = ""  #: text/plain of the last expression
    error: str = ""  #: "ename: evalue"
    data: list[dict[str, Any]] = field(
        default_factory=list
    )  #: MIME bundles of results and displays
    traceback: str = ""
    idle: bool = False


class Kernel:
    """A kernel without a front end, driven by Jupyter's client::

    with Kernel("7.3") as kernel:
        assert kernel.run("print(1)").text == "1\\n"
    """

    def __init__(
        self,
        version: str = "7.4",
        *,
        env: Mapping[str, str] | None = None,
        libraries: tuple[str, ...] = (),
        allow_stdin: bool = False,
        cwd: Path | None = None,
        launcher: str = "ipykernel_launcher",
    ) -> None:
        self.version = version
        self.allow_stdin = allow_stdin
        self._env, self._libraries, self._cwd = env, libraries, cwd
        self._launcher = launcher
        self._results: dict[str, CellResult] = {}

    def __enter__(self) -> Self:
        from jupyter_client.manager import KernelManager

        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nbauth-kernel-"))
            self.home = Path(folder)
            environment = isolated_environment(self.home, self.version, self._env, self._libraries)
            write_kernelspec(self.home / "jupyter-path", environment, launcher=self._launcher)
            self._log = stack.enter_context((self.home / "kernel.log").open("wb"))
            self.manager = KernelManager(
                kernel_name="python3",
                connection_file=str(self.home / "connection.json"),
                shutdown_wait_time=2.0,
                cache_ports=False,  # its own choice may collide with another worker's
                **{name: free_port() for name in _PORTS},
            )
            self.manager.kernel_spec_manager.kernel_dirs = [
                str(self.home / "jupyter-path" / "kernels")
            ]
            self.manager.start_kernel(
                env=environment,
                stdout=self._log,
                stderr=self._log,
                cwd=str(self._cwd or self.home),
            )
            stack.callback(self.manager.shutdown_kernel, now=True)
            self.client: BlockingKernelClient = self.manager.client()
            self.client.start_channels()
            stack.callback(self.client.stop_channels)
            self.client.wait_for_ready(timeout=60)
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
    def log(self) -> str:
        """The output of the kernel's process outside of cells."""
        return (self.home / "kernel.log").read_text(encoding="utf-8", errors="replace")

    def send(self, code: str, **options: Any) -> str:
        """Queue a cell; gives the id to wait for. Options are those of ``client.execute``."""
        options.setdefault("allow_stdin", self.allow_stdin)
        ident = str(self.client.execute(code, **options))
        self._results[ident] = CellResult()
        return ident

    def wait(self, *idents: str, timeout: float = 30) -> dict[str, CellResult]:
        """The results of *idents*; after *timeout* seconds some may still be ``"unanswered"``."""
        end = time.monotonic() + timeout
        wanted = {ident: self._results[ident] for ident in idents}
        channels = (self.client.shell_channel, self.client.iopub_channel)
        while not all(r.idle and r.status != "unanswered" for r in wanted.values()):
            ready = [channel for channel in channels if channel.msg_ready()]
            for channel in ready:
                self._receive(channel.get_msg(timeout=1))
            if not ready:
                if time.monotonic() > end:
                    break
                time.sleep(0.005)
        return wanted

    def run(self, code: str, timeout: float = 30, **options: Any) -> CellResult:
        """Run one cell to its end."""
        ident = self.send(code, **options)
        return self.wait(ident, timeout=timeout)[ident]

    def send_comm(self, kind: str, comm_id: str, data: Any = None, target: str = "") -> None:
        """Send ``comm_open``, ``comm_msg`` or ``comm_close``, as a front end does."""
        content = {"comm_id": comm_id, "data": data or {}}
        if target:
            content["target_name"] = target
        self.client.shell_channel.send(self.client.session.msg(kind, content))

    def interrupt(self) -> None:
        """Press the stop button."""
        self.manager.interrupt_kernel()

    def kill(self) -> None:
        """Kill the process, as in a crash."""
        self.manager.signal_kernel(signal.SIGKILL)

    def _receive(self, message: dict[str, Any]) -> None:
        result = self._results.get(message.get("parent_header", {}).get("msg_id", ""))
        if result is None:
            return
        content, kind = message["content"], message["msg_type"]
        if kind == "execute_reply":
            result.status = content["status"]
        if kind == "error" or (kind == "execute_reply" and result.status == "error"):
            result.error = f"{content['ename']}: {content['evalue']}"
            result.traceback = "\n".join(content["traceback"])
        elif kind == "stream":
            result.text += content["text"]
        elif kind in ("execute_result", "display_data", "update_display_data"):
            result.data.append(content["data"])
            if kind == "execute_result":
                result.result = content["data"].get("text/plain", "")
        elif kind == "status" and content["execution_state"] == "idle":
            result.idle = True


@pytest.fixture(params=KERNEL_VERSIONS)
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A fresh kernel, once for each version of the matrix."""
    with Kernel(request.param) as running:
        yield running
