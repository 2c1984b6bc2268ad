"""ipykernel 7.3 stops reading its shell channel under a burst of requests; nbauth mends that.

A page that is opened or loaded again sends such a burst: kernel and comm info, history, a subshell.
That ipykernel does so without nbauth is shown in ``tests/rigs/test_ipykernel.py``.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.harness.kernels import Kernel

BARE = {"PYTHONSTARTUP": ""}
AT_START = "c.IPKernelApp.extensions = ['nbauth']"
BURSTS = 60
REQUESTS = 20
SOCKET = "print(get_ipython().kernel.shell_channel_thread.manager._shell_socket)"
WAIT_WITHOUT_THE_EXTENSION = """
import threading
from nbauth.jupyter.ipykernel import waiting
ended = threading.Event()
print("begun")
waiting.wait(get_ipython().kernel, ended, set, timeout=60)
"""


def unanswered(kernel: Kernel, bursts: int = BURSTS) -> int:
    """How many requests of the first burst that is not answered whole lie there for 3 s."""
    channel, session = kernel.client.shell_channel, kernel.client.session
    for _ in range(bursts):
        asked = set()
        for number in range(REQUESTS):
            request = session.msg("kernel_info_request", {})
            asked.add(request["header"]["msg_id"])
            channel.send(request)
            time.sleep(0.0001 * (number % 5))
        end = time.monotonic() + 3
        while asked and time.monotonic() < end:
            if channel.msg_ready():
                asked.discard(channel.get_msg(timeout=1)["parent_header"]["msg_id"])
            else:
                time.sleep(0.001)
        if asked:
            return len(asked)
    return 0


@pytest.mark.parametrize("version", ["7.4", "7.3", "6.29"])
def test_with_the_extension_every_kernel_answers(version: str) -> None:
    with Kernel(version, env=BARE) as kernel:
        assert kernel.run("%load_ext nbauth").status == "ok"
        assert unanswered(kernel) == 0
        assert kernel.run("%reload_ext nbauth\n6 * 7").result == "42"
        assert unanswered(kernel, 10) == 0


def test_with_the_extension_from_the_start_there_is_no_gap(tmp_path: Path) -> None:
    (tmp_path / "profile_default").mkdir()
    (tmp_path / "profile_default" / "ipython_kernel_config.py").write_text(AT_START)
    with Kernel("7.3", env={**BARE, "IPYTHONDIR": str(tmp_path)}) as kernel:
        assert kernel.run(SOCKET).text.startswith("<nbauth.jupyter.ipykernel.reply_fix.")
        assert unanswered(kernel) == 0
        assert kernel.run("%unload_ext nbauth\n" + SOCKET).text.startswith("<zmq.Socket")


def test_the_other_tests_kernels_are_mended_from_the_start() -> None:
    with Kernel("7.3") as kernel:
        assert unanswered(kernel) == 0


def test_without_the_extension_a_waiting_cell_is_safe() -> None:
    with Kernel("7.3", env=BARE) as kernel:
        cell = kernel.send(WAIT_WITHOUT_THE_EXTENSION)
        kernel.wait(cell, timeout=2)
        assert unanswered(kernel) == 0
        kernel.interrupt()
        assert kernel.wait(cell, timeout=5)[cell].error.startswith("KeyboardInterrupt")


def test_unloading_takes_it_back() -> None:
    with Kernel("7.3", env=BARE) as kernel:
        before = kernel.run(SOCKET).text
        mended = kernel.run("%load_ext nbauth\n" + SOCKET).text
        assert mended != before
        assert kernel.run("%unload_ext nbauth\n" + SOCKET).text == before
