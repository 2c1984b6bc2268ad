"""Sign-ins in a terminal."""

from __future__ import annotations

import threading
import time
import webbrowser
from types import SimpleNamespace

import pytest

from nbauth.core.errors import ConfigurationError, FlowUnavailable
from nbauth.core.steps import Done, OpenBrowser, message_of
from nbauth.jupyter import terminal as terminal_screen
from nbauth.jupyter.terminal import TerminalScreen
from tests.jupyter.test_display import ADA, PAGE, device, sign_in


class Terminal:
    def __init__(self, *, tty: bool = True) -> None:
        self.tty = tty
        self.text = ""

    def isatty(self) -> bool:
        return self.tty

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal()
    # Not sys.stderr itself: pytest replaces it between the fixture and the test.
    streams = SimpleNamespace(stdin=made, stderr=made, platform="linux")
    monkeypatch.setattr(terminal_screen, "sys", streams)
    return made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    opened: list[str] = []
    browser = SimpleNamespace(name="firefox", open=opened.append)
    monkeypatch.setattr(webbrowser, "get", lambda _=None: browser)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    return opened


def test_only_the_main_thread_of_a_terminal_is_attended(terminal: Terminal) -> None:
    screen = TerminalScreen()
    assert screen.attended()
    answers: list[bool] = []
    other = threading.Thread(target=lambda: answers.append(screen.attended()))
    other.start()
    other.join()
    assert answers == [False]
    terminal.tty = False
    assert not screen.attended()


@pytest.mark.usefixtures("opened")
def test_the_browser_flow_is_first_if_a_window_can_open(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = TerminalScreen()
    assert screen.ways(sign_in()) == ("browser", "device", "paste")
    monkeypatch.setenv("SSH_CONNECTION", "1.2.3.4 5 6.7.8.9 22")
    assert screen.ways(sign_in()) == ("device", "paste")
    monkeypatch.delenv("SSH_CONNECTION")
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert screen.ways(sign_in()) == ("device", "paste")


def test_there_is_no_jupyter_server_behind_a_terminal() -> None:
    with pytest.raises(FlowUnavailable) as caught:
        TerminalScreen().callback(sign_in(), "secret", None)
    assert caught.value.suggested_flow == "device"


def test_the_prompt_for_the_address_has_no_echo_and_repeats_until_it_is_valid(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sign_in(OpenBrowser("https://id.example/a", paste=True))
    typed = iter(["nonsense with spaces", "http://localhost/", "http://localhost/?code=c&state=s"])
    taken: list[str] = []

    def submit(text: str) -> None:
        if "code" not in text:
            raise ConfigurationError("That address carries no answer.", hint="Copy it whole.")
        taken.append(text)
        made.ended.set()

    made.submit, made.state = submit, "waiting"
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    TerminalScreen().wait(made, 5)
    assert taken == ["http://localhost/?code=c&state=s"]
    first, how, *second = terminal.text.splitlines()
    assert first == "That is not the address of the last page."
    assert how.endswith("It begins with http.")
    assert second == ["That address carries no answer.", "Copy it whole."]


def test_the_end_of_the_input_cancels_the_sign_in(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the past, Ctrl-D showed an ``EOFError`` with its traceback."""

    def end(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", end)
    assert TerminalScreen().ask("Passphrase: ") == ""
    made = sign_in(OpenBrowser("https://id.example/a", paste=True))
    made.cancel = made.ended.set
    TerminalScreen().wait(made, 5)
    assert made.ended.is_set()


def test_the_terminal_prints_each_step_once(terminal: Terminal, opened: list[str]) -> None:
    made = device()
    TerminalScreen().show(made)
    made.changed.emit(made)
    made.changed.emit(made)
    assert terminal.text.count("WDJB-MJHT") == 1
    assert terminal.text.splitlines()[1].strip() == PAGE
    made.step, made.message = Done(ADA), "Signed in as ada."
    made.changed.emit(made)
    assert terminal.text.splitlines()[-1] == "Signed in as ada."
    assert not opened


def test_the_terminal_opens_the_browser(terminal: Terminal, opened: list[str]) -> None:
    made = sign_in(OpenBrowser("https://id.example/a"))
    for screen in (TerminalScreen(), TerminalScreen(open_browser=False)):
        screen.show(made)
    made.changed.emit(made)
    assert opened == ["https://id.example/a"]
    assert terminal.text.count("https://id.example/a") == 2
    TerminalScreen().show(sign_in(OpenBrowser("file:///etc/passwd")))
    assert len(opened) == 1


def test_a_step_that_has_passed_is_printed_and_opens_nothing(
    terminal: Terminal, opened: list[str]
) -> None:
    made = sign_in(OpenBrowser("https://id.example/a"))
    TerminalScreen().show(made)
    made.step = OpenBrowser("https://id.example/a", note="Refused.")
    made.message = message_of(made.step)
    made.changed.emit(made)
    assert "Refused. To sign in, open this page" in terminal.text
    assert opened == ["https://id.example/a"]


@pytest.mark.timing
def test_waiting_ends_with_the_sign_in_or_at_the_time_limit(terminal: Terminal) -> None:
    screen, made = TerminalScreen(), sign_in()
    begun = time.monotonic()
    screen.wait(made, 0.15)
    assert 0.1 < time.monotonic() - begun < 1
    threading.Timer(0.1, made.ended.set).start()
    screen.wait(made)
    screen.say("Said\x1b[2J.")
    assert terminal.text == "Said\\x1b[2J.\n"
