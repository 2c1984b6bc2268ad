"""Each private name of ipykernel and pyzmq is hidden once: a wait still ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.kernels import KERNEL_VERSIONS, Kernel

SET_UP = """
import inspect, threading, time
from comm import create_comm
from nbauth.jupyter.ipykernel import waiting
from nbauth.jupyter.ipykernel.channels import Channels
kernel = get_ipython().kernel
ours = create_comm(target_name="ours")
handled = []
ours.on_msg(lambda message: (handled.append(1), ended.set()))

def theirs(value):
    return type(value).__module__.partition(".")[0] in ("ipykernel", "zmq")

class Without:
    def __init__(self, real, hidden):
        self.__dict__.update(_real=real, _hidden=hidden)
    def __setattr__(self, name, value):
        setattr(self._real, name, value)
    def __getattr__(self, name):
        if name == self._hidden:
            raise AttributeError(name)
        return self._wrap(getattr(self._real, name))
    def _wrap(self, value):
        if inspect.ismethod(value) and theirs(value.__self__):
            return lambda *args, **options: self._wrap(value(*args, **options))
        return Without(value, self._hidden) if theirs(value) else value

stream = Channels.of(kernel).requests
before = stream._recv_callback
print(ours.comm_id)
"""
WAIT = """
handled.clear()
ended = threading.Event()
timer = threading.Timer({seconds}, ended.set)
timer.start()
hidden = Without(kernel, {name!r})
print("begun")
{wait}(hidden, ended, lambda: {{ours.comm_id}})
timer.cancel()
at_once = len(handled)
left = ended.is_set(), stream._recv_callback is before
"""
SHARED = ("io_loop", "shell_handlers", "_recv_callback", "on_recv", "flush", "closed", "socket",
          "_recv_copy", "_publish_status", "nothing of it")  # fmt: skip
NAMES = {
    "6.29": (*SHARED, "shell_stream"),
    "7.3": (*SHARED, "shell_channel_thread", "manager", "get_shell_channel_to_subshell_pair",
            "to_stream", "get_subshell_to_shell_channel_socket", "_shell_socket", "_manager"),
}  # fmt: skip
NAMES["7.4"] = NAMES["7.3"]
NOT_NEEDED = frozenset({"_recv_copy", "_publish_status", "_shell_socket", "_manager",
                        "nothing of it"})  # fmt: skip
"""Without them the panel still works."""


@pytest.fixture(scope="module", params=KERNEL_VERSIONS)
def kernel(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(request.param) as running:
        running.ours = running.run(SET_UP).text.strip()  # type: ignore[attr-defined]
        yield running


@pytest.mark.parametrize("wait", ["waiting.wait", "await waiting.wait_async"])
def test_the_wait_ends_with_the_sign_in_and_changes_nothing(kernel, wait):
    for name in NAMES[kernel.version]:
        # Where the message does not end the wait, this time does.
        seconds = 5 if name in NOT_NEEDED else 0.3
        cell = kernel.send(WAIT.format(name=name, wait=wait, seconds=seconds))
        while "begun" not in kernel.wait(cell, timeout=0.02)[cell].text:
            pass
        kernel.send_comm("comm_msg", kernel.ours, {})
        result = kernel.wait(cell, timeout=5)[cell]
        assert result.status == "ok", (name, result.traceback)
        assert kernel.run("left").result == "(True, True)", name
        if name in NOT_NEEDED:
            assert kernel.run("at_once").result == "1", name
        assert kernel.run("handled").result == "[1]", f"{name}: the message was lost"
