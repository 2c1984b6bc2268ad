"""Input at a pseudo-terminal: without echo, and ended when the caller gives up."""

from __future__ import annotations

import os
import pty
import sys
import termios
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from nbauth.core.steps import OpenBrowser
from nbauth.jupyter import hidden_input, terminal
from nbauth.jupyter.hidden_input import read_hidden, timeout_after
from tests.jupyter.test_display import sign_in


class Person:
    """The person at the terminal."""

    def __init__(self) -> None:
        self.end, self.terminal = pty.openpty()
        self.typing: threading.Thread | None = None

    def types(self, text: bytes) -> None:
        """Type once the prompt is there, which is when the echo is off."""

        def type_it() -> None:
            while self.sees_what_is_typed():
                time.sleep(0.01)
            for piece in text.partition(b"|")[::2]:
                os.write(self.end, piece)

        self.typing = threading.Thread(target=type_it, daemon=True)
        self.typing.start()

    def sees_what_is_typed(self) -> bool:
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    made = Person()
    with os.fdopen(made.terminal, closefd=False) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield made
    if made.typing is not None:
        made.typing.join(5)
    os.close(made.end)
    os.close(made.terminal)


ADDRESS = "http://localhost/?code=" + "c" * 3000


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (b"secret\n", "secret"),
        (b"sec|ret\n", "secret"),
        (b"\n", ""),
        (b" a b \n", " a b "),
        ("Ünïcode\n".encode(), "Ünïcode"),
        (f"{ADDRESS}\n".encode(), ADDRESS),
        (b"no end of line\x04|\x04", "no end of line"),
    ],
    ids=["plain", "in two", "nothing", "blanks", "letters", "long", "ended"],
)
def test_a_line_is_read_as_typed(person: Person, keys: bytes, text: str) -> None:
    person.types(keys)
    assert read_hidden("Address: ", timeout_after(10)) == text
    assert person.sees_what_is_typed(), "the echo is on again"


def test_the_end_of_the_input_raises_eof_error(person: Person) -> None:
    person.types(b"\x04")
    with pytest.raises(EOFError):
        read_hidden("Address: ", timeout_after(10))
    assert person.sees_what_is_typed()


def test_no_answer_raises_timeout_error(person: Person) -> None:
    with pytest.raises(TimeoutError):
        read_hidden("Address: ", timeout_after(0.2))
    assert person.sees_what_is_typed()
    assert terminal.ask_for_secret("Passphrase: ", 0.2) == ""


def test_an_interrupt_restores_the_terminal(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        assert not person.sees_what_is_typed()
        raise KeyboardInterrupt

    monkeypatch.setattr(hidden_input, "select", interrupt)
    with pytest.raises(KeyboardInterrupt):
        read_hidden("Address: ", timeout_after(10))
    assert person.sees_what_is_typed()


def test_the_prompt_for_an_address_ends_with_the_sign_in_or_at_the_callers_time_limit(
    person: Person,
) -> None:
    made = sign_in(OpenBrowser("https://id.example/a", paste=True))
    made.cancel = lambda: pytest.fail("nobody has cancelled")
    threading.Timer(0.2, made.ended.set).start()
    assert terminal.ask_person(made, made.step, print)
    made.ended.clear()
    assert not terminal.ask_person(made, made.step, print, until=0.0)


def test_without_a_terminal_getpass_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"{prompt}typed")
    drawn, redirected = SimpleNamespace(isatty=lambda: True), SimpleNamespace(isatty=lambda: False)
    for stream in (None, SimpleNamespace(), drawn, redirected):
        monkeypatch.setattr(sys, "stdin", stream)
        assert read_hidden("Address: ", timeout_after(10)) == "Address: typed"
