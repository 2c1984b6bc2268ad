"""The pipe at which a kernel answers its worker processes, and who else may connect to it."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from nbauth.core.errors import NbAuthError
from nbauth.kernel.answering import pipe
from nbauth.kernel.answering.pipe import Answers
from nbauth.kernel.asking import pipe as asking
from nbauth.kernel.asking import wire
from nbauth.kernel.asking.pipe import Pipe
from nbauth.kernel.asking.wire import SocketWire, meet, prove
from tests.kernel.redirects import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="named pipes have no such sockets")


def answer(question: object) -> Mapping[str, Any]:
    return {"asked": question}


@pytest.fixture(autouse=True)
def before() -> set[threading.Thread]:
    """The threads that earlier tests have left."""
    earlier.clear()
    earlier.update(threading.enumerate())
    return earlier


@pytest.fixture
def answers(before: object) -> Iterator[Answers]:
    made = Answers(answer)
    yield made
    made.stop()
    until(lambda: not ours())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker waits for less long."""
    monkeypatch.setattr(asking, "SILENCE", 0.6)
    monkeypatch.setattr(SocketWire.receive, "__defaults__", (wire.MOST, 0.3))


OF_THE_PIPE = ("nbauth-workers", "nbauth-worker", "nbauth-answer")
earlier: set[threading.Thread] = set()


def ours() -> list[str]:
    """The names of the threads that the pipe of this test has started."""
    started = [one for one in threading.enumerate() if one not in earlier]
    return [one.name for one in started if one.name in OF_THE_PIPE]


def plain(address: str) -> socket.socket:
    """A client that has connected, and has said nothing."""
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(10)
    made.connect(address)
    return made


def ask(address: str, question: Any = None) -> Mapping[str, Any]:
    return Pipe(address).ask("", {"number": 1} if question is None else question)


def code(address: str) -> str:
    with pytest.raises(NbAuthError) as caught:
        ask(address)
    return caught.value.code


def test_nothing_listens_before_the_first_use() -> None:
    made = Answers(answer)
    assert (made._listener, ours()) == (None, [])


def test_a_question_is_answered(answers: Answers) -> None:
    assert ask(answers.address(), {"number": 7}) == {"asked": {"number": 7}}


def test_many_processes_ask_at_once(answers: Answers) -> None:
    """More than the backlog, and more than it answers at once."""
    address, got = answers.address(), list[Any]()

    def one(number: int) -> None:
        try:
            got.append(ask(address, {"number": number})["asked"]["number"])
        except NbAuthError as error:
            got.append(error.code)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(got, key=str) == sorted(range(200), key=str)


def test_one_more_than_it_answers_at_once_tries_again(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "AT_ONCE", 1)
    address = answers.address()
    with plain(address):
        until(lambda: answers._open)
        threading.Timer(0.2, lambda: [one.close() for one in list(answers._open)]).start()
        assert ask(address) == {"asked": {"number": 1}}


def framed(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data


NUMBER = framed(bytes(32))


STRANGERS = (
    b"",
    b"\0",
    NUMBER[:20],
    NUMBER,
    NUMBER + NUMBER,  # a wrong proof
    struct.pack("!I", 2**32 - 1) + bytes(1000),
    struct.pack("!I", 0),
    b"GET / HTTP/1.1\r\n\r\n",
)


def test_strangers_get_no_answer_and_are_dropped(answers: Answers) -> None:
    """Whatever they say, and wherever they stop; others are served meanwhile."""
    address = answers.address()
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(plain(address)) for _ in STRANGERS]
        for stranger, said in zip(strangers, STRANGERS, strict=True):
            stranger.sendall(said)
        assert ask(address) == {"asked": {"number": 1}}
        for stranger in strangers:
            heard = b"".join(iter(functools.partial(received, stranger), b""))
            assert len(heard) <= len(NUMBER)  # at most a random number
    until(lambda: not answers._open)


def received(of: socket.socket) -> bytes:
    try:
        return of.recv(10_000)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "said", [b"{", b"\xff", b"[" * 200_000, b"1" * (wire.MOST + 1), b'{"a": 1}' * 2]
)
def test_what_is_no_question_is_dropped(
    answers: Answers, said: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    address = answers.address()
    known = met(address)
    with contextlib.suppress(OSError):
        known.send(said)
    with pytest.raises((EOFError, OSError)):
        known.receive()
    known.close()
    until(lambda: not answers._open)
    assert ask(address) == {"asked": {"number": 1}}
    assert capfd.readouterr().err == ""


def met(address: str) -> SocketWire:
    made = SocketWire(plain(address))
    prove(made, meet(made), address, asks=True)
    return made


def test_another_key(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    address = answers.address()
    code = f"from nbauth.kernel.asking.pipe import Pipe; print(Pipe({address!r}).ask('', {{}}))"
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert other.stdout == ""
    assert "is no longer connected" in other.stderr


def test_a_proof_holds_for_one_address(answers: Answers) -> None:
    """Nobody who listens elsewhere can pass the messages on, and read the answer."""
    address = answers.address()
    elsewhere = SocketWire(plain(address))
    with pytest.raises(EOFError):
        prove(elsewhere, meet(elsewhere), "\0another address", asks=True)
    elsewhere.close()


def test_a_proof_is_not_its_own_answer(answers: Answers) -> None:
    """A client that returns what it hears has proved nothing."""
    address = answers.address()
    mirror = plain(address)
    with mirror:
        mirror.sendall(mirror.recv(1000))
        mirror.sendall(NUMBER)
        assert received(mirror) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the user of a socket")
def test_another_user_is_dropped_at_once(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    address = answers.address()
    monkeypatch.setattr(os, "getuid", lambda: 2**20)
    monkeypatch.setattr(wire, "struct", Peer())
    with plain(address) as stranger:
        assert received(stranger) == b""


class Peer:
    """What the system tells about the other end: a process of a third user."""

    @staticmethod
    def calcsize(_: str) -> int:
        return 12

    @staticmethod
    def unpack(_: str, __: bytes) -> tuple[int, int, int]:
        return 1, 2**20 + 1, 1


def test_a_worker_that_stops_reading(answers: Answers) -> None:
    """The answer is larger than what the system buffers."""
    answers._answer = lambda _: {"long": "x" * 10_000_000}
    address = answers.address()
    stuck = met(address)
    stuck.send(b"{}")
    until(lambda: "nbauth-worker" in ours())
    until(lambda: not answers._open, 15)
    stuck.close()


def test_signs_of_life_while_the_provider_answers(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "BEAT", 0.05)
    go_on = threading.Event()
    answers._answer = lambda question: {"waited": go_on.wait(10)}
    known = met(answers.address())
    known.send(b"{}")
    assert [known.receive() for _ in range(3)] == [b"{}"] * 3
    go_on.set()
    until(lambda: json.loads(known.receive()) == {"waited": True})
    known.close()


def test_a_worker_that_ends_while_it_waits(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "BEAT", 0.05)
    go_on = threading.Event()
    answers._answer = lambda question: {"waited": go_on.wait(10)}
    known = met(answers.address())
    known.send(b"{}")
    known.receive()
    known.close()
    until(lambda: not answers._open)  # although the answer is not there yet
    go_on.set()


def test_too_many_open_files(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts connections again when there are fewer."""
    address, accepted, failures = (
        answers.address(),
        answers._accepted,
        [errno.EMFILE, errno.ECONNABORTED],
    )

    def fails(listener: Any) -> Any:
        if failures:
            raise OSError(failures.pop(), "no")
        return accepted(listener)

    ask(address)
    monkeypatch.setattr(answers, "_accepted", fails)
    assert ask(address) == ask(address) == ask(address) == {"asked": {"number": 1}}
    assert failures == []


def test_no_more_threads(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker tries again; with one thread, it has its answer."""
    address, start, refusals = answers.address(), threading.Thread.start, [1, 2]

    def refused(thread: threading.Thread) -> None:
        if thread.name == "nbauth-answer" or (thread.name == "nbauth-worker" and refusals):
            if refusals:
                refusals.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    assert ask(address) == {"asked": {"number": 1}}


def test_it_ends_and_begins_again_at_its_address(answers: Answers) -> None:
    """Processes that know it can ask again."""
    address = answers.address()
    for _ in range(3):
        answers.stop()
        until(lambda: not ours())
        assert code(address) == "kernel_gone"
        assert answers.address() == address
        assert ask(address) == {"asked": {"number": 1}}


def test_a_program_that_closes_all_its_files(answers: Answers) -> None:
    """As one does that becomes a daemon; the next use begins again."""
    address = answers.address()
    answers._listener.shutdown(socket.SHUT_RDWR)
    until(lambda: answers._listener is None)
    assert ask(answers.address()) == {"asked": {"number": 1}}
    assert address


def test_its_address_is_taken(answers: Answers) -> None:
    address = answers.address()
    answers.stop()
    with socket.socket(socket.AF_UNIX) as other:
        until(lambda: bound(other, address))
        assert answers.address() not in ("", address)


def bound(of: socket.socket, address: str) -> bool:
    try:
        of.bind(address)
    except OSError:
        return False
    return True


def test_it_cannot_listen(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EMFILE, "no")

    monkeypatch.setattr(socket.socket, "bind", fails)
    assert answers.address() == ""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("says", [b"", b"\0\0", NUMBER, NUMBER[:20]])
def test_a_silent_kernel(says: bytes) -> None:
    """Wherever it stops."""
    with listening() as (listener, address):

        def one() -> None:
            made, _ = listener.accept()
            made.sendall(says)
            ended.wait(10)
            made.close()

        ended = threading.Event()
        thread = threading.Thread(target=one)
        thread.start()
        assert code(address) == "kernel_silent"
        ended.set()
        thread.join()


@pytest.mark.usefixtures("impatient")
def test_a_silent_kernel_that_many_ask() -> None:
    """Its backlog is full."""
    with listening() as (listener, address), contextlib.ExitStack() as stack:
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                one = stack.enter_context(socket.socket(socket.AF_UNIX))
                one.setblocking(False)
                one.connect(address)
        assert code(address) == "kernel_silent"


@contextlib.contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    address = f"\0nbauth-test-{os.urandom(8).hex()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(5)
        yield listener, address


def test_a_kernel_that_ends_in_the_middle(answers: Answers) -> None:
    def ends(_: object) -> Any:
        answers.stop()
        for one in list(answers._open):
            one.close()
        return {}

    answers._answer = ends
    assert code(answers.address()) == "kernel_gone"


def test_no_process_that_it_starts_has_its_socket(answers: Answers) -> None:
    answers.address()
    assert not os.get_inheritable(answers._listener.fileno())
