"""Whatever arrives at the shell port while a cell waits, the cell keeps waiting.

Any local user can connect to the port; only the owner of the key can sign. The wait checks a
message as the kernel does, and messages that are not nbauth's reach the kernel unchanged.
"""

from __future__ import annotations

import ast
import json
import threading
import time
from collections.abc import Iterator

import pytest
import zmq
from jupyter_client.session import Session

from nbauth.core.callback_state import DELIVER
from tests.harness.kernels import KERNEL_VERSIONS, Kernel
from tests.jupyter.ipykernel.forged import NOT_GENUINE, UNSIGNED_IS_FINE, Frames, genuine
from tests.kernels.conftest import environment, wait_for

SET_UP = """
import threading, time
from comm import create_comm
from nbauth.jupyter.ipykernel import waiting
kernel = get_ipython().kernel
ours, theirs = create_comm(target_name="ours"), create_comm(target_name="theirs")
got, of_others = [], []
def take(message):
    got.append(message["content"]["data"])
    if "cancel" in got[-1]:
        ended.set()
ours.on_msg(take)
theirs.on_msg(lambda message: of_others.append(message["content"]["data"]))
print(ours.comm_id, theirs.comm_id)
"""
WAIT = """
got.clear(), of_others.clear()
ended = threading.Event()
print("begun")
waiting.wait(kernel, ended, lambda: {ours.comm_id}, timeout=5)
left, during = (got, ended.is_set()), list(got)
"""
WAIT_ASYNC = """
got.clear(), of_others.clear()
ended = threading.Event()
threading.Timer(5, ended.set).start()
print("begun")
await waiting.wait_async(kernel, ended, lambda: {ours.comm_id})
left = got, ended.is_set()
"""
ENDED = "([{'cancel': 1}], True, False)"


class Waiting:
    """A kernel in which cells wait, and another process's socket at its shell port."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.session = kernel.client.session
        self.ours, self.theirs = kernel.run(SET_UP).text.split()
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(f"tcp://127.0.0.1:{kernel.client.shell_port}")

    def close(self) -> None:
        self._socket.close()

    def send(self, *messages: Frames) -> None:
        for frames in messages:
            self._socket.send_multipart(frames)

    def begin(self, cell: str = WAIT) -> str:
        ident = self.kernel.send(cell)
        wait_for(lambda: "begun" in self.kernel.wait(ident, timeout=0)[ident].text)
        return ident

    def survives(self, *messages: Frames, cell: str = WAIT, expected: str = ENDED) -> None:
        """The messages arrive, the cell keeps waiting, and the next genuine one ends it."""
        ident = self.begin(cell)
        self.send(*messages)
        result = self.kernel.wait(ident, timeout=0.15)[ident]
        assert result.status == "unanswered", f"the wait has ended: {result.error}"
        self.kernel.send_comm("comm_msg", self.ours, {"cancel": 1})
        result = self.kernel.wait(ident, timeout=5)[ident]
        assert result.status == "ok", result.traceback or "the genuine message did not arrive"
        after = self.kernel.run("(*left, 'forged' in dir())", timeout=5)
        assert after.result == expected, "the kernel does not handle the next cell"


@pytest.fixture(scope="module", params=KERNEL_VERSIONS)
def waiting(request: pytest.FixtureRequest) -> Iterator[Waiting]:
    with Kernel(request.param) as kernel:
        made = Waiting(kernel)
        yield made
        made.close()


def test_a_message_that_is_not_genuine_does_not_end_the_wait(waiting):
    """Each is followed by a genuine one, which is handled while the same cell waits."""
    ident = waiting.begin(WAIT.replace("timeout=5", "timeout=60"))
    for case, make in NOT_GENUINE.items():
        waiting.send(make(waiting.session, waiting.ours))
        waiting.kernel.send_comm("comm_msg", waiting.ours, {"after": case})
        assert waiting.kernel.wait(ident, timeout=0.02)[ident].status == "unanswered", case
    waiting.kernel.send_comm("comm_msg", waiting.ours, {"cancel": 1})
    result = waiting.kernel.wait(ident, timeout=20)[ident]
    assert result.status == "ok", result.traceback or "a genuine message did not arrive"
    handled = ast.literal_eval(waiting.kernel.run("during").result)
    assert handled == [*({"after": case} for case in NOT_GENUINE), {"cancel": 1}]
    assert waiting.kernel.run("'forged' in dir()", timeout=5).result == "False"


@pytest.mark.parametrize("cell", [WAIT, WAIT_ASYNC], ids=["sync", "async"])
def test_a_burst_of_forged_messages_does_not_end_the_wait(waiting, cell):
    waiting.survives(
        *(make(waiting.session, waiting.ours) for make in NOT_GENUINE.values()), cell=cell
    )


@pytest.mark.parametrize("cell", [WAIT, WAIT_ASYNC], ids=["sync", "async"])
def test_a_message_that_comes_twice_is_handled_once(waiting, cell):
    once = genuine(waiting.session, waiting.ours, n=1)
    waiting.survives(once, once, cell=cell, expected="([{'n': 1}, {'cancel': 1}], True, False)")
    waiting.survives(once, cell=cell)


@pytest.mark.parametrize("cell", [WAIT, WAIT_ASYNC], ids=["sync", "async"])
def test_a_message_for_another_comm_is_handled_by_the_kernel(waiting, cell):
    waiting.survives(genuine(waiting.session, waiting.theirs, n=2), cell=cell)
    assert waiting.kernel.run("of_others").result == "[{'n': 2}]"


def test_a_flood_of_unsigned_messages_does_not_keep_the_wait_from_ending(waiting):
    forged = NOT_GENUINE["unsigned"](waiting.session, waiting.ours)
    stop = threading.Event()

    def flood() -> None:
        with zmq.Context.instance().socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(f"tcp://127.0.0.1:{waiting.kernel.client.shell_port}")
            while not stop.is_set():
                for _ in range(20):
                    socket.send_multipart(forged)
                time.sleep(0.001)

    ident = waiting.begin(WAIT.replace("timeout=5", "timeout=2"))
    thread = threading.Thread(target=flood)
    thread.start()
    try:
        result = waiting.kernel.wait(ident, timeout=8)[ident]
    finally:
        stop.set()
        thread.join()
    assert result.status == "ok", "the wait continues after its time is over"
    assert waiting.kernel.run("print(6 * 7)").text == "42\n"


@pytest.mark.parametrize("version", KERNEL_VERSIONS)
def test_a_kernel_without_a_key_accepts_unsigned_messages(version):
    with Kernel(version) as kernel:
        waiting = Waiting(kernel)
        waiting.kernel.run("""
                def forget_the_key():
                    kernel.session.key = b""
                threading.Timer(0.2, forget_the_key).start()
            """)
        time.sleep(0.4)
        signing = Session(key=kernel.client.session.key)
        kernel.client.session.key = b""
        waiting.survives(
            genuine(waiting.session, waiting.ours, n=1),
            expected="([{'n': 1}, {'cancel': 1}], True, False)",
        )
        malformed = sorted(NOT_GENUINE.keys() - UNSIGNED_IS_FINE)
        waiting.survives(*(NOT_GENUINE[case](signing, waiting.ours) for case in malformed))
        waiting.close()


@pytest.mark.parametrize("version", KERNEL_VERSIONS)
def test_login_keeps_waiting_and_its_panel_can_cancel(version, demo):
    env = environment(demo, NBAUTH_FLOW="device")
    with Kernel(version, env=env, allow_stdin=True) as kernel:
        waiting = Waiting(kernel)
        kernel.run("%load_ext nbauth")
        ident = kernel.send("%login")
        wait_for(lambda: panels(kernel, ident))
        (panel,) = panels(kernel, ident)
        waiting.send(*(make(waiting.session, panel) for make in NOT_GENUINE.values()))
        assert kernel.wait(ident, timeout=0.3)[ident].status == "unanswered"
        cancel = {"method": "custom", "content": {"kind": "cancel"}}
        kernel.send_comm("comm_msg", panel, cancel)
        assert kernel.wait(ident, timeout=5)[ident].error.startswith("SignInCancelled")
        # ipykernel may log the messages late, within this cell's output.
        assert "42" in kernel.run("print(6 * 7)").text.splitlines()
        waiting.close()


def panels(kernel: Kernel, ident: str) -> list[str]:
    """The comms of the panels that a cell shows."""
    view = "application/vnd.jupyter.widget-view+json"
    shown = kernel.wait(ident, timeout=0)[ident].data
    return [bundle[view]["model_id"] for bundle in shown if view in bundle]


RECEIVE = """
from nbauth.kernel.sign_in.receivers.jupyter_server import CallbackReceiver
kernel = get_ipython().kernel
kernel.parent.connection_file = "kernel-0f8fad5b.json"
receiver = CallbackReceiver(kernel, "s" * 43, redirect_uri="https://hub.example/back")
print(receiver.state)
"""


@pytest.mark.parametrize("version", KERNEL_VERSIONS)
def test_an_unsigned_authorization_response_is_not_accepted(version):
    """On the control channel, where the kernel checks the signature before it calls the handler."""
    with Kernel(version) as kernel, zmq.Context.instance().socket(zmq.DEALER) as socket:
        state = kernel.run(RECEIVE).text.strip()
        socket.linger = 0
        socket.connect(f"tcp://127.0.0.1:{kernel.client.control_port}")
        session = kernel.client.session

        def message(code: str) -> Frames:
            answer = json.dumps({"state": state, "code": code}).encode()
            return [*session.serialize(session.msg(DELIVER, {})), answer]

        for signature in (b"", b"0" * 64):
            delimiter, _, *rest = message("forged")
            socket.send_multipart([delimiter, signature, *rest])
        socket.send_multipart(message("forged")[:-2])
        assert socket.poll(500) == 0, "a message that is not signed was answered"
        assert kernel.run("print(receiver.answer.done())").text == "False\n"
        socket.send_multipart(message("genuine"))
        assert socket.poll(5000), "the genuine message was not answered"
        assert kernel.run("print(receiver.answer.result(1)['code'])").text == "genuine\n"
