"""nbauth handles only messages that the kernel would accept; others reach the kernel unchanged."""

from __future__ import annotations

import threading

import pytest
import zmq
from jupyter_client.session import Session

from nbauth.jupyter.ipykernel.messages import Message
from nbauth.jupyter.ipykernel.waiting import wait
from tests.jupyter.ipykernel.fake_kernel import OURS, FakeKernel
from tests.jupyter.ipykernel.forged import NOT_GENUINE, UNSIGNED_IS_FINE, genuine, odd_part


def frames(*parts: bytes) -> list[zmq.Frame]:
    return [zmq.Frame(part) for part in parts]


@pytest.fixture
def session() -> Session:
    return Session(key=b"the key")


def accepted(session: Session, parts: list[zmq.Frame]) -> bool:
    """The checks of ipykernel before it looks for a handler."""
    try:
        _, message = session.feed_identities(parts, copy=False)
        session.deserialize(message, content=True, copy=False)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("case", NOT_GENUINE)
def test_a_message_that_the_kernel_refuses_goes_to_the_kernel_which_refuses_it(session, case):
    sent = frames(*NOT_GENUINE[case](session, OURS))
    before = [part.bytes for part in sent]
    message = Message.read(session, sent)
    ours = message is not None and message.comm_id == OURS
    assert message is None or not ours or message.take(session) is None
    assert session.digest_history == set()
    assert [part.bytes for part in sent] == before
    with_us, without_us = accepted(session, sent), accepted(Session(key=b"the key"), sent)
    assert with_us == without_us


@pytest.mark.parametrize("case", sorted(UNSIGNED_IS_FINE - {"unsigned cell", "unsigned question"}))
def test_without_a_key_all_signatures_are_accepted(case):
    sent = frames(*NOT_GENUINE[case](Session(key=b"the key"), OURS))
    message = Message.read(Session(key=b""), sent)
    assert message is not None
    assert message.comm_id == OURS


def test_read_records_nothing_and_take_records_the_signature_once(session):
    sent = frames(b"identity", *genuine(session, OURS, n=1), b"a buffer")
    for _ in range(2):
        message = Message.read(session, sent)
        assert message is not None
        assert session.digest_history == set()
    idents, parsed = message.take(session) or ([], {})
    assert idents == [b"identity"]
    assert parsed["content"]["data"] == {"n": 1}
    assert [bytes(buffer) for buffer in parsed["buffers"]] == [b"a buffer"]
    assert session.digest_history == {sent[2].bytes}
    assert Message.read(session, sent) is None, "a duplicate"


def test_a_message_that_breaks_the_protocol_goes_to_the_kernel(session):
    message = Message.read(session, frames(*odd_part(1, b"{")(session, OURS)))
    assert message is not None
    assert message.take(session) is None
    assert session.digest_history == set(), "else the kernel sees a duplicate"


def test_the_kernel_gets_the_same_frames():
    with FakeKernel() as kernel:
        ended = threading.Event()
        kernel.handle = lambda data: ended.set()
        sent = [make(kernel.front_end, OURS) for make in NOT_GENUINE.values()]
        kernel.send(*sent)
        kernel.send_ours(n=1)
        wait(kernel, ended, lambda: {OURS}, timeout=10)
        assert kernel.handled == [{"n": 1}]
        assert [[part.bytes for part in parts] for parts in kernel.queued] == sent
        assert len(kernel.session.digest_history) == 1
        assert [state for state, _ in kernel.said] == ["busy", "idle", "busy"]


def test_a_duplicate_of_a_handled_message_goes_to_the_kernel():
    with FakeKernel() as kernel:
        ended = threading.Event()
        kernel.handle = lambda data: ended.set() if "cancel" in data else None
        twice = genuine(kernel.front_end, OURS, n=1)
        kernel.send(twice, twice)
        kernel.send_ours(cancel=1)
        wait(kernel, ended, lambda: {OURS}, timeout=10)
        assert kernel.handled == [{"n": 1}, {"cancel": 1}]
        assert [[part.bytes for part in parts] for parts in kernel.queued] == [twice]
