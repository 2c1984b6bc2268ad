"""A kernel's receiver: one answer, once, by the whole state. (Real kernels: tests/server.)"""

from __future__ import annotations

import json
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from nbauth.core.callback_state import DELIVER, OUTCOME, CallbackState
from nbauth.core.errors import FlowUnavailable
from nbauth.kernel.sign_in.receivers.jupyter_server import CallbackReceiver

KERNEL_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ADDRESS = "https://hub.example/hub/user-redirect/nbauth/callback"


class FakeKernel:
    """The names of an ipykernel that the receiver leans on; asks itself as the server would."""

    def __init__(self, connection_file: str = f"/run/user/kernel-{KERNEL_ID}.json") -> None:
        self.control_handlers: dict[str, Any] = {"shutdown_request": lambda *_: None}
        self.control_thread = object()
        self.parent = SimpleNamespace(connection_file=connection_file)
        self.session = self
        self.replies: list[tuple[str, dict[str, Any]]] = []

    def send(self, stream: Any, kind: str, content: Any, *, parent: Any, ident: Any) -> None:
        assert ident == ["them"]
        self.replies.append((kind, content))

    def ask_raw(self, kind: str, buffers: list[bytes]) -> dict[str, Any]:
        message = {"header": {"msg_type": kind}, "content": {}, "buffers": buffers}
        self.control_handlers[kind](None, ["them"], message)
        replied, content = self.replies.pop()
        assert replied == f"{kind}_reply"
        return content

    def ask(self, kind: str, **parameters: Any) -> dict[str, Any]:
        return self.ask_raw(kind, [json.dumps(parameters).encode()])


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel()


def receiver(kernel: FakeKernel, server_name: str = "") -> CallbackReceiver:
    return CallbackReceiver(
        kernel, secrets.token_urlsafe(32), redirect_uri=ADDRESS, server_name=server_name
    )


def test_the_genuine_answer_arrives(kernel):
    waiting = receiver(kernel, "gpu")
    assert CallbackState.parse(waiting.state).server_name == "gpu"
    assert CallbackState.parse(waiting.state).kernel_id == KERNEL_ID
    assert kernel.ask(DELIVER, state=waiting.state, code="c", iss="i")["known"] is True
    assert waiting.answer.result(0) == {"state": waiting.state, "code": "c", "iss": "i"}


def test_an_answer_is_taken_once(kernel):
    waiting = receiver(kernel)
    assert kernel.ask(DELIVER, state=waiting.state, code="first")["known"] is True
    assert kernel.ask(DELIVER, state=waiting.state, code="second")["known"] is False
    assert waiting.answer.result(0)["code"] == "first"


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state[:-1],
        lambda state: f"{state}x",
        lambda state: state.swapcase(),
        lambda state: state.rpartition(".")[2],
        lambda state: f"Z3B1{state}",
        lambda state: "",
        lambda state: "ä\ud800",
    ],
)
def test_another_state_is_unknown_and_the_genuine_one_still_works(kernel, change):
    waiting = receiver(kernel)
    assert kernel.ask(DELIVER, state=change(waiting.state), code="c")["known"] is False
    assert not waiting.answer.done()
    assert kernel.ask(DELIVER, state=waiting.state, code="c")["known"] is True


@pytest.mark.parametrize(
    "buffers",
    [[], [b""], [b"\xff"], [b"[]"], [b"1"], [b"null"], [b'{"state": null}'], [b'{"code": "c"}']],
)
def test_what_is_no_answer_is_unknown(kernel, buffers):
    waiting = receiver(kernel)
    assert kernel.ask_raw(DELIVER, buffers)["known"] is False
    assert kernel.ask_raw(OUTCOME, buffers)["ended"] is False
    assert not waiting.answer.done()


def test_the_page_is_told_how_it_ended_and_then_nothing_is_left(kernel):
    before = dict(kernel.control_handlers)
    waiting = receiver(kernel)
    kernel.ask(DELIVER, state=waiting.state, code="c")
    assert kernel.ask(OUTCOME, state=waiting.state)["ended"] is False
    ending = threading.Thread(target=waiting.finish, args=("You are signed in", "Go back."))
    ending.start()
    while not (told := kernel.ask(OUTCOME, state=waiting.state))["ended"]:
        pass
    assert (told["title"], told["text"]) == ("You are signed in", "Go back.")
    ending.join(5)
    assert kernel.control_handlers == before


def test_a_sign_in_that_got_no_answer_leaves_at_once(kernel):
    before = dict(kernel.control_handlers)
    waiting = receiver(kernel)
    waiting.finish("Not signed in", "Cancelled.")
    assert kernel.control_handlers == before
    assert not waiting.told.is_set()


def test_an_answer_that_comes_after_the_end_is_unknown(kernel):
    first, second = receiver(kernel), receiver(kernel)
    first.finish("Not signed in", "Cancelled.")
    assert kernel.ask(DELIVER, state=first.state, code="c")["known"] is False
    assert kernel.ask(DELIVER, state=second.state, code="c")["known"] is True


def test_a_hundred_sign_ins_of_one_kernel_each_get_their_own(kernel):
    before = dict(kernel.control_handlers)
    with ThreadPoolExecutor(8) as threads:
        waiting = list(threads.map(lambda _: receiver(kernel), range(100)))
        assert len({one.state for one in waiting}) == 100
        for number, one in reversed(list(enumerate(waiting))):
            assert kernel.ask(DELIVER, state=one.state, code=str(number))["known"] is True
        assert [one.answer.result(0)["code"] for one in waiting] == [str(n) for n in range(100)]
        for one in waiting:
            one.told.set()
        list(threads.map(lambda one: one.finish("", ""), waiting))
    assert kernel.control_handlers == before


@pytest.mark.parametrize("name", ["connection.json", "", "kernel-.json", "kernel-a/b.json", "x"])
def test_a_kernel_without_an_id_is_out_of_reach(name):
    with pytest.raises(FlowUnavailable) as caught:
        receiver(FakeKernel(name))
    assert caught.value.suggested_flow == "device"


def test_what_is_no_ipykernel_with_a_control_channel_is_out_of_reach(kernel):
    kernel.control_thread = None
    with pytest.raises(FlowUnavailable):
        receiver(kernel)
    with pytest.raises(FlowUnavailable):
        receiver(object())  # type: ignore[arg-type]
