"""A user of a machine, whose kernels share stored sign-ins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.harness.kernels import CellResult, Kernel

_SHARED = ("XDG_DATA_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
DEBUG = "import logging\nlogging.basicConfig(level=logging.DEBUG, filename='debug.log')\n"


class User:
    """A user of a machine.

    Args:
        environment: of the user's log-in; the part that kernels share is taken from it.
        settings: of nbauth.
    """

    def __init__(self, environment: Mapping[str, str], settings: Mapping[str, str]) -> None:
        shared = {name: environment[name] for name in _SHARED if name in environment}
        self.environment = {**settings, **shared}
        self.kept = Path(environment["XDG_DATA_HOME"]) / "nbauth"

    @contextmanager
    def kernel(self, load: str = "%load_ext nbauth", **more: str) -> Iterator[Kernel]:
        """A new kernel with the extension loaded, nobody signed in, and full logging."""
        with Kernel("7.4", env={**self.environment, **more}, allow_stdin=True) as running:
            ok(running, f"{DEBUG}{load}\nimport nbauth, os, time")
            yield running

    def files(self) -> list[Path]:
        """The stored files, without locks."""
        return [path for path in self.kept.rglob("*") if path.is_file() and path.stat().st_size]


def ok(kernel: Kernel, cell: str, timeout: float = 30) -> CellResult:
    """Run a cell that has to succeed."""
    result = kernel.run(cell, timeout)
    assert result.status == "ok", result.traceback
    return result


def value(kernel: Kernel, expression: str) -> str:
    """The value of an expression in the kernel."""
    return ok(kernel, f"print({expression})").text.strip()


def answered(kernel: Kernel, cell: str, *texts: str, timeout: float = 30) -> list[str]:
    """Run a cell that asks in an input field, and reply; returns the prompts."""
    ident = kernel.send(cell)
    prompts = []
    for text in texts:
        asked = kernel.client.get_stdin_msg(timeout=timeout)
        assert asked["content"]["password"], "what is typed would show"
        prompts.append(asked["content"]["prompt"])
        kernel.client.input(text)
    result = kernel.wait(ident, timeout=timeout)[ident]
    assert result.status == "ok", result.traceback
    return prompts
