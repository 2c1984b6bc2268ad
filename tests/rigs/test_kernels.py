"""Each kernel of the matrix has the version it claims."""

from __future__ import annotations

import pytest

from tests.harness.kernels import Kernel


def test_version_and_streams(kernel: Kernel) -> None:
    result = kernel.run("import ipykernel; print('printed'); ipykernel.__version__")
    assert (result.status, result.text) == ("ok", "printed\n")
    assert result.result.strip("'").startswith(f"{kernel.version}.")


def test_input_is_not_answered(kernel: Kernel) -> None:
    assert kernel.run("input('?')").error.startswith("StdinNotImplementedError")


def test_interrupt(kernel: Kernel) -> None:
    waiting = kernel.send("import time; print('on'); time.sleep(30)")
    kernel.wait(waiting, timeout=1)
    kernel.interrupt()
    assert kernel.wait(waiting, timeout=5)[waiting].error.startswith("KeyboardInterrupt")


def test_the_users_configuration_is_not_read(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = kernel.run("import os; os.path.expanduser('~')").result.strip("'")
    assert home == str(kernel.home)
