"""A password in a terminal, and in the card of a front end without a panel."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbauth.core.errors import SignInError
from nbauth.core.steps import Asking, AskPassword, Shown, message_of
from nbauth.jupyter import terminal
from nbauth.jupyter.display import html_for, lines_for
from nbauth.jupyter.panel.messages import _shown
from nbauth.kernel.sign_in.driver import Driver
from nbauth.kernel.sign_in.seen import Seen
from nbauth.testing.canary import find, make_canary
from tests.jupyter.test_display import HOSTILE, Markup, sign_in

WRONG = SignInError("It is wrong.", code="AADSTS50126", hint="Try again.")
ADA = "ada@example.com"


def test_the_card_and_the_lines_say_what_to_enter_and_why() -> None:
    first = sign_in(AskPassword(ADA, note="Better use a browser."), expires_in=300)
    assert "Better use a browser." in Markup(html_for(first)).text
    assert "into the field below" in Markup(html_for(first)).text
    assert lines_for(first)[:2] == [
        "Better use a browser.",
        "Enter the user name and the password. They are not saved.",
    ]
    again = sign_in(AskPassword(ADA, refusal=WRONG, attempt=2))
    assert lines_for(again)[:2] == ["It is wrong.", "Try again."]
    assert "It is wrong." in Markup(html_for(again)).text
    hostile = sign_in(AskPassword(HOSTILE, HOSTILE, SignInError(HOSTILE, hint=HOSTILE)))
    assert Markup(html_for(hostile)).tags <= {"div", "strong", "span"}
    assert not set("\n".join(lines_for(hostile))) & set("\u202e\u2066\x1b")


def test_an_unknown_step_raises_on_each_screen() -> None:
    odd: Any = object()
    with pytest.raises(TypeError):
        message_of(odd)
    with pytest.raises(TypeError):
        _shown(odd)
    with pytest.raises(TypeError):
        Driver._do(Driver.__new__(Driver), odd)


class Asked(Seen):
    """A sign-in that asks for a password until it is right."""

    def __init__(self, *steps: Shown, right: str = "right") -> None:
        super().__init__()
        self._steps = list(steps)
        self._right = right
        self.given: list[tuple[str, str]] = []
        self.was_cancelled = False
        made = sign_in(self._steps[0])
        self.ended, self.changed, self.request = made.ended, made.changed, made.request
        self.step = self._steps.pop(0)
        self.expires_in = None

    def enter(self, name: str, password: str) -> None:
        self.given.append((name, password))
        if password == self._right:
            self.ended.set()
        self.step = self._steps.pop(0) if self._steps else Asking()

    def cancel(self) -> None:
        self.was_cancelled = True
        self.ended.set()


def typing(monkeypatch: pytest.MonkeyPatch, *texts: str | BaseException) -> list[str]:
    """A person who types these texts; returns the list of the prompts."""
    prompts: list[str] = []
    left = list(texts)

    def read(prompt: str, given_up: Callable[[], bool], *, echo: bool = False) -> str:
        prompts.append(prompt if not echo else f"{prompt}(shown)")
        text = left.pop(0)
        if isinstance(text, BaseException):
            raise text
        return text

    monkeypatch.setattr(terminal, "read_hidden", read)
    return prompts


def test_it_asks_for_the_password_of_the_named_account_and_then_for_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: Any = Asked(AskPassword(ADA), AskPassword(ADA, refusal=WRONG, attempt=2))
    prompts = typing(monkeypatch, "wrong", "", "right")
    terminal.wait_and_ask(asked, print, 5)
    assert asked.given == [(ADA, "wrong"), (ADA, "right")]
    assert prompts == [
        f"Password for {ADA}: ", f"User name [{ADA}]: (shown)", f"Password for {ADA}: ",
    ]  # fmt: skip


def test_the_user_name_is_asked_for_if_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Any = Asked(AskPassword())
    prompts = typing(monkeypatch, "eve", "right")
    terminal.wait_and_ask(asked, print, 5)
    assert asked.given == [("eve", "right")]
    assert prompts == ["User name: (shown)", "Password for eve: "]


@pytest.mark.parametrize("typed", [(EOFError(),), ("eve", EOFError())])
def test_ctrl_d_cancels(monkeypatch: pytest.MonkeyPatch, typed: tuple[Any, ...]) -> None:
    asked: Any = Asked(AskPassword())
    typing(monkeypatch, *typed)
    terminal.wait_and_ask(asked, print, 5)
    assert asked.was_cancelled
    assert asked.given == []


def test_the_question_ends_when_another_caller_has_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: Any = Asked(AskPassword(ADA), right="")

    def read(prompt: str, given_up: Callable[[], bool], *, echo: bool = False) -> str:
        assert not given_up()
        asked.step = Asking()
        assert given_up()
        raise TimeoutError

    monkeypatch.setattr(terminal, "read_hidden", read)
    assert terminal.ask_person(asked, asked.step, print)
    assert asked.given == []


PROGRAM = """
import logging, sys, os
logging.basicConfig(level=logging.DEBUG, filename=os.environ["LOG"])
sys.path.insert(0, os.environ["ROOT"])
from nbauth.core.settings_reader import SettingsReader
from nbauth.jupyter.terminal import TerminalScreen
from nbauth.kernel.session import Session
from nbauth.testing.engine import FakeEngine, refusal

engine = FakeEngine().will("obtain", refusal("invalid_grant", "no"))
session = Session(SettingsReader({}), TerminalScreen(), lambda *_, **__: engine)
session.configure(authority="https://id.example", client_id="notebooks", refresh_ahead=False)
account = session.login("read", flow="password")
sent = [call.arguments["wanted"] for call in engine.calls if call.method == "obtain"]
print("SIGNED IN", account.username, [len(str(one.password)) for one in sent], sent)
"""


def test_in_a_real_terminal_the_password_is_not_shown(tmp_path: Path) -> None:
    secret = make_canary("typed").replace("\n", "")
    log = tmp_path / "debug.log"
    end, screen = pty.openpty()
    environment = {**os.environ, "LOG": str(log), "ROOT": str(Path(__file__).parents[2])}
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=screen, stdout=screen, stderr=screen,
        env=environment, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    os.close(screen)
    seen = b""

    def until(text: str) -> None:
        nonlocal seen
        while text.encode() not in seen:
            ready, _, _ = select.select([end], [], [], 30)
            assert ready, seen
            seen += os.read(end, 65536)

    try:
        for number, word in enumerate(("wrong", secret), 1):
            until("User name" if number == 1 else "User name [ada]: ")
            os.write(end, b"ada\n")
            until("Password for ada: ")
            seen = seen.replace(b"Password for ada: ", b"")
            time.sleep(0.2)
            os.write(end, word.encode() + b"\n")
        until("SIGNED IN ada@example.com")
    finally:
        program.wait(10)
        os.close(end)
    assert find(secret, seen) == []
    assert b"multi-factor" in seen
    assert b"did not accept" in seen
    assert log.stat().st_size
    assert find(secret, log.read_bytes()) == []
