"""The notebook's screen after many sign-ins: few panels stay, a line replaces the others."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import comm
import pytest
from ipywidgets.widgets import widget

from nbauth.jupyter.panel.panel import SignInPanel
from nbauth.jupyter.screen import KEPT_PANELS, NotebookScreen
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.oauth.engines.protocol import AuthorizationPending
from nbauth.testing.engine import refusal
from tests.jupyter.panel.front import RecordingComm
from tests.jupyter.panel.scripted import ScriptedEngine, session_with, tokens
from tests.kernel.conftest import until

MANY = 200


class Output:
    """The return value of ``display``: the handle of one output, with its later updates."""

    def __init__(self, shown: Any) -> None:
        self.shown = shown
        self.updates: list[Any] = []

    def update(self, data: Any, **options: Any) -> None:
        assert options == {"raw": True}
        self.shown = None
        self.updates.append(data)


class Notebook:
    """A session with a notebook's screen, and scripts instead of provider and front end."""

    def __init__(self) -> None:
        self.engine = ScriptedEngine()
        self.session = session_with(self.engine)
        self.screen = NotebookScreen(self.session, SimpleNamespace())
        self.session.screen.show = self.screen.show  # type: ignore[method-assign]
        self.outputs: list[Output] = []

    def display(self, shown: Any, **options: Any) -> Output:
        self.outputs.append(Output(shown))
        return self.outputs[-1]

    def begin(self) -> SignIn:
        self.engine.answer = AuthorizationPending()
        self.engine.refusal = None
        sign_in = self.session.login("openid", force=True, background=True, flow="device")
        assert isinstance(sign_in, SignIn)
        return sign_in

    def sign_in(self, end: str = "done") -> SignIn:
        """A sign-in that is shown from its begin to that end."""
        if end == "failed":
            self.engine.refusal = refusal("odd")
            sign_in = self.session.login("openid", force=True, background=True, flow="device")
            assert isinstance(sign_in, SignIn)
        else:
            sign_in = self.begin()
            until(lambda: sign_in.user_code)
            if end == "done":
                self.engine.answer = tokens()
            else:
                sign_in.cancel()
        assert sign_in.ended.wait(5)
        until(lambda: not sign_in._thread.is_alive())
        self.engine.refusal = None
        return sign_in

    @property
    def living(self) -> list[SignInPanel]:
        """The panels that the outputs still show."""
        return [output.shown for output in self.outputs if output.shown is not None]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    monkeypatch.setattr("nbauth.oauth.flows.device_code.SHORTEST_INTERVAL", 0.002)
    monkeypatch.setattr("nbauth.kernel.sign_in.driver.Driver.pause", _shortly)
    made = Notebook()
    monkeypatch.setattr("IPython.display.display", made.display)
    yield made
    made.session.logout(all=True)
    for shown in made.screen._shown:
        shown.panel.close_quietly()


def _shortly(driver: Any, seconds: float) -> None:
    driver._wake.wait(min(seconds, 0.002))
    driver._wake.clear()
    driver._check_stopped()


def panels() -> int:
    """The number of panels that ipywidgets has registered."""
    return sum(isinstance(one, SignInPanel) for one in widget._instances.values())


@pytest.mark.long
@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
def test_only_a_few_of_many_panels_stay(notebook: Notebook, end: str) -> None:
    before = panels()
    for _ in range(KEPT_PANELS + 1):
        notebook.sign_in(end)
    first = figures(notebook)
    for _ in range(MANY):
        notebook.sign_in(end)
    # Fewer are what tests before this one had left, for example a thread that has ended meanwhile.
    assert {name: count for name, count in figures(notebook).items() if count > first[name]} == {}
    assert (
        panels() - before == len(notebook.living) == len(notebook.screen._shown) <= KEPT_PANELS + 1
    )
    assert len(notebook.outputs) == KEPT_PANELS + 1 + MANY


def figures(notebook: Notebook) -> dict[str, int]:
    gc.collect()
    living = notebook.living
    before = sum(len(panel.comm.sent) for panel in living)
    notebook.session.changed.emit()
    sign_ins = [one for one in gc.get_objects() if isinstance(one, SignIn)]
    return {
        "told by one change": sum(len(panel.comm.sent) for panel in living) - before,
        "observers": len(notebook.session.changed),
        "of sign-ins": sum(len(sign_in.changed) for sign_in in sign_ins),
        "sign-ins": len(sign_ins),
        "panels": sum(isinstance(one, SignInPanel) for one in gc.get_objects()),
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
    }


def test_older_panels_are_replaced_by_a_line_of_text(notebook: Notebook) -> None:
    for _ in range(KEPT_PANELS):
        notebook.sign_in()
    notebook.sign_in()
    assert [output.updates for output in notebook.outputs] == [[]] * (KEPT_PANELS + 1)
    last = notebook.sign_in()
    assert [bool(output.updates) for output in notebook.outputs] == [True] + [False] * (
        KEPT_PANELS + 1
    )
    (line,) = notebook.outputs[0].updates
    assert line["text/plain"] == "This sign-in has ended; a newer panel shows who is signed in."
    assert line["text/html"] == f"<div>{line['text/plain']}</div>"
    assert notebook.living[-1].sign_in is last


def test_a_panel_with_a_pending_sign_in_is_not_replaced(notebook: Notebook) -> None:
    waiting = notebook.begin()
    panel = notebook.living[0]
    for number in range(2 * KEPT_PANELS):
        sign_in = notebook.session.login(f"scope-{number}", background=True, flow="device")
        assert isinstance(sign_in, SignIn)
        sign_in.cancel()
    assert panel in notebook.living
    assert panel.sign_in is waiting
    assert len(notebook.living) <= KEPT_PANELS + 2
    waiting.cancel()


def test_a_closed_panel_observes_nothing(notebook: Notebook) -> None:
    sign_in = notebook.begin()
    begun = SignInPanel(notebook.session, sign_in.again, sign_in)
    assert (len(notebook.session.changed), len(sign_in.changed)) == (2, 3)
    begun.close()
    assert (len(notebook.session.changed), len(sign_in.changed)) == (1, 2)
    begun.close()
    begun._shown.show(sign_in)  # a change that was under way
    assert len(sign_in.changed) == 2
    (shown,) = notebook.screen._shown
    shown.replace()
    assert (len(notebook.session.changed), len(sign_in.changed)) == (0, 0)
    sign_in.cancel()


def beside(call: Callable[[], object]) -> Callable[[], object]:
    """A function that calls ``call`` once in another thread and waits a moment for it."""
    threads: list[threading.Thread] = []

    def once() -> None:
        if not threads:
            threads.append(threading.Thread(target=call))
            threads[0].start()
            threads[0].join(0.1)

    return once


def test_two_threads_replace_each_panel_once(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(KEPT_PANELS + 2):
        notebook.sign_in()
    (oldest, *_, newest), replaced = notebook.screen._shown, []
    monkeypatch.setattr(oldest, "replace", lambda: replaced.append(1))
    meanwhile = beside(notebook.screen._limit_panels)
    ended = SignInPanel.is_idle.fget

    def is_idle(panel: SignInPanel) -> bool:
        if panel is newest.panel:
            meanwhile()
        return bool(ended(panel))

    monkeypatch.setattr(SignInPanel, "is_idle", property(is_idle))
    notebook.screen._limit_panels()
    until(lambda: len(notebook.screen._shown) == KEPT_PANELS)
    assert replaced == [1]
    oldest.panel.close_quietly()


def test_a_panel_that_gets_sign_ins_from_two_threads_observes_one(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (notebook.sign_in() for _ in range(2))
    panel = SignInPanel(notebook.session, first.again)
    before = len(first.changed), len(second.changed)
    meanwhile, connect = beside(lambda: panel._shown.show(second)), first.changed.connect

    def connects(observer: Callable[..., object]) -> None:
        meanwhile()
        connect(observer)

    monkeypatch.setattr(first.changed, "connect", connects)
    panel._shown.show(first)
    until(lambda: panel.sign_in is second and len(second.changed) > before[1])
    assert (len(first.changed), len(second.changed)) == (before[0], before[1] + 1)
    panel.close()
