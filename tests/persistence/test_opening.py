"""Opening asks one person once, and other threads do not wait for the reply."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from nbauth.core.errors import PersistenceError
from nbauth.persistence import Persistence, encrypted, passphrase, persistence_named
from nbauth.persistence.turn import Turn
from nbauth.testing.persistence import ADA

SOON = 0.5  # seconds: less than any patience here


class Person:
    """Is asked, and replies when told to."""

    def __init__(self, answer: str = "correct horse") -> None:
        self.answer = answer
        self.asked = threading.Event()
        self.may_answer = threading.Event()
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        self.asked.set()
        assert self.may_answer.wait(20)
        return self.answer


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrase, "COSTS", {"n": 2, "r": 8, "p": 1})
    monkeypatch.setattr(encrypted, "_TO_OPEN", 1.5)
    monkeypatch.delenv(passphrase.VARIABLE, raising=False)


@pytest.fixture
def person() -> Person:
    return Person()


@pytest.fixture
def threads(person: Person) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool
        person.may_answer.set()


def kept(folder: Path) -> Path:
    """A folder with a stored sign-in of Ada's."""
    persistence_named("file", folder=folder, ask=lambda prompt: "correct horse").save(ADA, b"data")
    return folder


def code_of(act: Callable[[], object]) -> tuple[str, float]:
    """The error's code, and the seconds until it was raised."""
    began = time.monotonic()
    with pytest.raises(PersistenceError) as raised:
        act()
    return raised.value.code, time.monotonic() - began


@pytest.fixture
def asking(tmp_path: Path, person: Person, threads: ThreadPoolExecutor) -> Persistence:
    """A persistence that a thread is opening; the person has not replied yet."""
    one = persistence_named("file", folder=kept(tmp_path), ask=person)
    threads.submit(one.open)
    assert person.asked.wait(5)
    return one


@pytest.mark.timing
def test_a_read_does_not_wait_for_the_person(asking: Persistence, person: Person) -> None:
    code, took = code_of(lambda: asking.stamp(ADA))
    assert code == "being_opened"
    assert took < SOON
    began = time.monotonic()
    assert asking.exists()
    assert time.monotonic() - began < SOON
    person.may_answer.set()
    assert asking.load(ADA) == b"data"
    assert asking.stamp(ADA) is not None
    assert len(person.prompts) == 1


@pytest.mark.parametrize("method", ["open", "load", "save", "entries", "clear"])
def test_others_wait_for_a_bounded_time(method: str, asking: Persistence) -> None:
    arguments = {"load": (ADA,), "save": (ADA, b"new"), "clear": (ADA,)}.get(method, ())
    code, took = code_of(lambda: getattr(asking, method)(*arguments))
    assert code == "being_opened"
    assert SOON < took < 20


def test_waiting_threads_continue_after_the_persons_reply(
    asking: Persistence, person: Person, threads: ThreadPoolExecutor
) -> None:
    waiting: list[Future[bytes | None]] = [threads.submit(asking.load, ADA) for _ in range(5)]
    time.sleep(0.1)
    person.may_answer.set()
    assert [one.result(5) for one in waiting] == [b"data"] * 5
    assert len(person.prompts) == 1


def test_waiting_threads_do_not_ask_again_after_a_refusal(
    asking: Persistence, person: Person, threads: ThreadPoolExecutor
) -> None:
    waiting = [threads.submit(asking.load, ADA) for _ in range(5)]
    time.sleep(0.1)
    person.answer = ""
    person.may_answer.set()
    for one in waiting:
        with pytest.raises(PersistenceError, match="needs a passphrase"):
            one.result(5)
    assert len(person.prompts) == 1
    person.answer = "correct horse"
    assert asking.load(ADA) == b"data"


def test_an_interrupt_at_the_prompt_releases_waiting_threads(
    tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    asked, interrupt = threading.Event(), threading.Event()

    def ask(prompt: str) -> str:
        if asked.is_set():
            return "correct horse"
        asked.set()
        assert interrupt.wait(5)
        raise KeyboardInterrupt

    one = persistence_named("file", folder=kept(tmp_path), ask=ask)
    opening = threads.submit(one.open)
    assert asked.wait(5)
    waiting = threads.submit(one.load, ADA)
    time.sleep(0.1)
    interrupt.set()
    with pytest.raises(KeyboardInterrupt):
        opening.result(5)
    with pytest.raises(PersistenceError, match="was interrupted"):
        waiting.result(5)
    assert one.load(ADA) == b"data"


@pytest.mark.timing
def test_the_prompt_may_read_the_store(tmp_path: Path) -> None:
    codes = []

    def ask(prompt: str) -> str:
        codes.append(code_of(lambda: one.load(ADA)))
        return "correct horse"

    one = persistence_named("file", folder=kept(tmp_path), ask=ask)
    assert one.load(ADA) == b"data"
    ((code, took),) = codes
    assert code == "being_opened"
    assert took < SOON


@pytest.mark.timing
def test_a_read_continues_while_a_forgotten_store_is_opened_again(
    tmp_path: Path, person: Person, threads: ThreadPoolExecutor
) -> None:
    person.may_answer.set()
    one = persistence_named("file", folder=kept(tmp_path), ask=person)
    assert one.load(ADA) == b"data"
    persistence_named("file", folder=tmp_path).forget()
    person.asked.clear()
    person.may_answer.clear()
    saving = threads.submit(one.save, ADA, b"signed in anew")
    assert person.asked.wait(5)
    began = time.monotonic()
    assert one.stamp(ADA) is None
    assert one.load(ADA) is None
    assert time.monotonic() - began < SOON
    person.may_answer.set()
    assert saving.result(5) is True
    assert one.load(ADA) == b"signed in anew"


def test_a_turn_of_the_parent_process_does_not_block_a_child(
    monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    turn, entered, leave = Turn(), threading.Event(), threading.Event()

    def stays() -> None:
        entered.set()
        assert leave.wait(5)

    staying = threads.submit(turn.take, stays, 0)
    assert entered.wait(5)
    assert code_of(lambda: turn.take(lambda: None, 0))[0] == "being_opened"
    ran = []
    with monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: -1)
        turn.take(lambda: ran.append(True), 0)
    assert ran == [True]
    leave.set()
    staying.result(5)
