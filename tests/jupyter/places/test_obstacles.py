"""If a sign-in can't be shown or answered, an error with a remedy is raised at once."""

from __future__ import annotations

import builtins
import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher, DisplayPublisher

from nbauth.core.person import NOBODY, Obstacle
from nbauth.jupyter.places import environment, obstacles
from nbauth.jupyter.places.obstacles import in_kernel, in_process
from nbauth.jupyter.places.request import request_of

CELL = {"header": {"msg_type": "execute_request", "msg_id": "1"}, "content": {"allow_stdin": True}}
UNASKED = {**CELL, "content": {"allow_stdin": False}}
CLICK = {"header": {"msg_type": "comm_msg", "msg_id": "2"}, "content": {"data": {}}}
COMPLETION = {"header": {"msg_type": "complete_request", "msg_id": "3"}, "content": {"code": ""}}


class Ipykernel:
    """A kernel with ``get_parent`` of ipykernel 6 and 7."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def get_parent(self, channel: str | None = None) -> Any:
        return self.request


class Xeus(Ipykernel):
    """A kernel with ``get_parent`` of xeus-python: no argument; returns only the header."""

    def get_parent(self) -> Any:  # type: ignore[override]
        return {"header": self.request["header"]}


class Pyodide(Ipykernel):
    """A kernel with ``get_parent`` of Pyodide's kernel: no argument; the request or nothing."""

    def get_parent(self) -> Any:  # type: ignore[override]
        return self.request


class Without:
    """A kernel that does not give its request."""


class Outside(Ipykernel):
    """ipykernel 7 in a thread that handles no request."""

    def get_parent(self, channel: str | None = None) -> Any:
        raise LookupError(channel)


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(display_pub=DisplayPublisher(), user_ns={})
    monkeypatch.setattr(environment, "shell", lambda: made)
    monkeypatch.setattr(obstacles, "shell", lambda: made)
    monkeypatch.delenv("VOILA_BASE_URL", raising=False)
    return made


def in_thread(act: Callable[[], Any], name: str = "other") -> Any:
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(act()), name=name)
    thread.start()
    thread.join(5)
    return got[0]


@pytest.mark.parametrize("kind", [Ipykernel, Xeus, Pyodide])
def test_a_cell_can_show_a_sign_in_in_each_kind_of_kernel(kind: Any) -> None:
    assert in_kernel(kind(CELL)) is None


@pytest.mark.parametrize("kind", [Ipykernel, Pyodide])
@pytest.mark.parametrize("request_", [UNASKED, COMPLETION], ids=["no stdin", "no cell"])
def test_after_a_request_that_takes_no_input_nobody_can_answer(kind: Any, request_: Any) -> None:
    assert in_kernel(kind(request_)) is NOBODY


def test_xeus_python_refuses_input_with_another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> None:
        """(prompt: str = '') -> None
        """  # fmt: skip

    assert in_kernel(Xeus(COMPLETION)) is NOBODY
    monkeypatch.setattr(builtins, "input", refuses)
    assert in_kernel(Xeus(CELL)) is NOBODY
    assert in_kernel(Ipykernel(CELL)) is None, "allow_stdin decides"


@pytest.mark.parametrize("kernel", [Without(), Outside(None), Pyodide(None)])
def test_a_kernel_that_does_not_give_its_request(kernel: Any) -> None:
    assert request_of(kernel) == {}
    assert in_kernel(kernel) is NOBODY
    assert in_kernel(kernel, attended=True) is None


# ── output that nobody sees ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("attended", ["auto", True])
def test_captured_displays_cannot_show_a_sign_in(
    shell: SimpleNamespace, attended: bool | str
) -> None:
    """``%%capture`` and ``capture_output`` use that publisher."""
    shell.display_pub = CapturingDisplayPublisher()
    assert in_kernel(Ipykernel(CELL), attended) is obstacles.CAPTURED


def test_if_only_text_is_redirected_a_panel_is_visible(shell: SimpleNamespace) -> None:
    hook = CapturingDisplayHook(shell)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert hook
        assert in_kernel(Ipykernel(CELL)) is None


def test_a_callback_can_show_a_sign_in_only_in_an_output_widget() -> None:
    from ipywidgets import Output

    assert in_kernel(Ipykernel(CLICK)) is obstacles.IN_A_CALLBACK
    output = Output()
    output.msg_id = "of another request"
    assert in_kernel(Ipykernel(CLICK)) is obstacles.IN_A_CALLBACK
    output.msg_id = "2"
    assert in_kernel(Ipykernel(CLICK)) is None
    output.close()
    assert in_kernel(Ipykernel(CLICK)) is obstacles.IN_A_CALLBACK


def test_attended_true_allows_a_sign_in_in_a_callback() -> None:
    assert in_kernel(Ipykernel(CLICK), attended=True) is None


def test_a_thread_and_a_subshell_are_distinguished() -> None:
    """ipykernel 7.0 to 7.3 calls a widget's callback in a subshell's thread."""
    assert in_thread(lambda: in_kernel(Ipykernel(CELL))) is obstacles.IN_A_THREAD
    assert in_thread(lambda: in_kernel(Ipykernel(CELL), True)) is obstacles.IN_A_THREAD
    found = in_thread(lambda: in_kernel(Ipykernel(CLICK)), "subshell-1")
    assert found is obstacles.IN_A_CALLBACK


def test_in_voila_the_remedy_is_the_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOILA_BASE_URL", "/")
    for request in (UNASKED, CLICK):
        found = in_kernel(Ipykernel(request))
        assert found is obstacles.IN_VOILA
        assert "nbauth.panel()" in found.hint
    assert in_process(FILE, FILE) is obstacles.IN_VOILA, "its kernel may have no IPython"
    assert in_kernel(Ipykernel(UNASKED), attended=True) is None


@pytest.mark.parametrize("request_", [CELL, UNASKED, CLICK])
def test_attended_false_refuses_a_sign_in(request_: Any) -> None:
    found = in_kernel(Ipykernel(request_), attended=False)
    assert found is obstacles.SAID_NOBODY
    assert "NBAUTH_ATTENDED" in found.hint


def test_attended_true_allows_a_sign_in() -> None:
    assert in_kernel(Ipykernel(UNASKED), attended=True) is None


# ── without a kernel ────────────────────────────────────────────────────────────────────────

TTY = SimpleNamespace(isatty=lambda: True)
FILE = SimpleNamespace(isatty=lambda: False)


@pytest.mark.parametrize(
    ("stdin", "stderr", "attended", "found"),
    [
        (TTY, TTY, "auto", None),
        (FILE, TTY, "auto", NOBODY),
        (None, TTY, "auto", NOBODY),
        (TTY, FILE, "auto", obstacles.NO_TERMINAL),
        (TTY, io.StringIO(), "auto", obstacles.CAPTURED),
        (TTY, io.StringIO(), True, obstacles.CAPTURED),
        (TTY, TTY, False, obstacles.SAID_NOBODY),
        (FILE, FILE, True, None),
    ],
)
def test_a_terminal_needs_stdin_and_stderr(
    stdin: Any, stderr: Any, attended: bool | str, found: Obstacle | None
) -> None:
    assert in_process(stdin, stderr, attended) is found


def test_a_thread_of_a_terminal_cannot_show_a_sign_in() -> None:
    assert in_thread(lambda: in_process(TTY, TTY)) is obstacles.IN_A_THREAD


@pytest.fixture
def marimo(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    import sys

    made = SimpleNamespace(running_in_notebook=lambda: True)
    monkeypatch.setitem(sys.modules, "marimo", made)
    return made


def test_in_marimo_the_remedy_is_the_panel(marimo: SimpleNamespace) -> None:
    """``marimo run`` works in a thread of the server, ``marimo edit`` in a process."""
    for found in (in_process(FILE, FILE), in_thread(lambda: in_process(FILE, FILE))):
        assert found is obstacles.IN_MARIMO
        assert "nbauth.panel()" in found.hint
    assert in_process(FILE, FILE, attended=True) is None
    marimo.running_in_notebook = lambda: False
    assert in_process(FILE, FILE) is NOBODY, "a script that imports marimo"


def test_each_obstacle_has_a_remedy() -> None:
    known = [one for one in vars(obstacles).values() if isinstance(one, Obstacle)]
    assert len(known) == 10
    for one in known:
        assert one.what.endswith(".")
        assert one.hint.endswith(".")
        assert one.code.isidentifier()
