"""A kernel that a server or gateway has started, driven directly."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import websocket
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.session import Session
from websocket import WebSocket

from tests.harness.kernels import Kernel


class ServedKernel(Kernel):
    """Cells run and are waited for as in ``Kernel``; it ends with its server."""

    def __init__(self, connection_file: Path, kernel_id: str) -> None:
        self.id = kernel_id
        self.allow_stdin = True  # a front end that could ask a person
        self._results = {}
        self.client = BlockingKernelClient(connection_file=str(connection_file))
        self.client.load_connection_file()
        self.client.start_channels(hb=False)
        self.client.wait_for_ready(timeout=60)

    def wait_text(self, ident: str, text: str, timeout: float = 20) -> None:
        """Wait until a running cell has printed *text*."""
        end = time.monotonic() + timeout
        while text not in self.wait(ident, timeout=0.05)[ident].text:
            assert time.monotonic() < end, f"the cell did not print {text!r}"


def open_front_end(server_url: str, kernel_id: str, token: str, host: str = "") -> WebSocket:
    """Connect to a kernel as a notebook does.

    A gateway accepts no client until the kernel has replied once on the shell channel: with
    no front end connected, the first client waits for the running cell.
    """
    socket = websocket.create_connection(
        f"{server_url.replace('http', 'ws', 1)}/api/kernels/{kernel_id}/channels",
        header={"Authorization": f"token {token}"},
        host=host or None,
        timeout=30,
    )
    question = {**Session().msg("kernel_info_request"), "channel": "shell"}
    socket.send(json.dumps(question, default=str))
    while json.loads(socket.recv())["msg_type"] != "kernel_info_reply":
        pass
    return socket


@contextlib.contextmanager
def holding_the_gil(kernel: ServedKernel, folder: Path) -> Iterator[None]:
    """While this lasts, no thread of the kernel runs, not even the control thread.

    ``PyDLL`` keeps the interpreter's lock during a call, here one that waits for a FIFO's writer.
    """
    gate, mark = folder / "gate", folder / "mark"
    os.mkfifo(gate)
    held = kernel.send(
        "import ctypes, os\n"
        f"path, wait = {str(gate)!r}.encode(), ctypes.PyDLL(None).open\n"
        f"open({str(mark)!r}, 'w').close(); wait(path, os.O_RDONLY)"
    )
    end = time.monotonic() + 60
    while not mark.exists():
        assert time.monotonic() < end, "the cell does not run"
        time.sleep(0.02)
    try:
        yield
    finally:
        os.close(os.open(gate, os.O_WRONLY))
    kernel.wait(held)
