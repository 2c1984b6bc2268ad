"""Where a sign-in would not be seen, in real kernels: it is refused at once, and says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.kernels import KERNEL_VERSIONS, Kernel
from tests.kernels.conftest import environment, wait_for

SETUP = """
%load_ext nbauth
import io, threading, contextlib, nbauth, ipywidgets
from IPython.display import display
from IPython.utils.capture import capture_output

def log_in(*_):
    try:
        nbauth.login(timeout=60)
        seen.append("signed in")
    except nbauth.NbAuthError as error:
        seen.append(error.code)

def pressed(act):
    button = ipywidgets.Button()
    button.on_click(act)
    print(button.comm.comm_id)

def in_output(*_):
    with out:
        seen.append(nbauth.api.the_session().screen.obstacle())

seen = []
out = ipywidgets.Output()
"""


@pytest.fixture(scope="module", params=KERNEL_VERSIONS)
def kernel(request: pytest.FixtureRequest, demo) -> Iterator[Kernel]:
    # Whoever waits here for a person would wait for ever: nobody approves a code.
    with Kernel(request.param, env=environment(demo), allow_stdin=True) as running:
        assert running.run(SETUP).status == "ok"
        yield running


def seen(kernel: Kernel) -> list[object]:
    return eval(kernel.run("seen").result)


@pytest.fixture(autouse=True)
def forget(kernel: Kernel) -> None:
    kernel.run("seen.clear()\n%config NbAuth.attended = None")


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("%%capture\nlog_in()", "output_captured"),
        ("%%capture --no-stdout --no-stderr\nlog_in()", "output_captured"),
        ("with capture_output(): log_in()", "output_captured"),
        ("%config NbAuth.attended = True\nwith capture_output(): log_in()", "output_captured"),
        ("t = threading.Thread(target=log_in); t.start(); t.join()", "in_a_thread"),
        ("await __import__('asyncio').to_thread(log_in)", "in_a_thread"),
        ("%config NbAuth.attended = False\nlog_in()", "nobody_there"),
    ],
)
def test_it_is_refused_at_once(kernel: Kernel, cell: str, code: str) -> None:
    assert kernel.run(cell).status == "ok"
    assert seen(kernel) == [code]


def test_the_error_is_two_lines_that_name_the_way_out(kernel: Kernel) -> None:
    result = kernel.run("%%capture\n%login")
    what, hint = result.traceback.splitlines()
    assert what.startswith("InteractionRequired: Signing in needs a person. The output here is ")
    assert hint == "→ Run %login in another cell, whose output is shown, then this cell again."


def test_a_token_says_the_same(kernel: Kernel) -> None:
    result = kernel.run("with capture_output(): nbauth.token()")
    assert "The output here is captured" in result.error


def click(kernel: Kernel, act: str) -> list[object]:
    comm_id = kernel.run(f"pressed({act})").text.strip()
    kernel.send_comm("comm_msg", comm_id, {"method": "custom", "content": {"event": "click"}})
    wait_for(lambda: seen(kernel), 20)
    return seen(kernel)


def test_a_buttons_callback_is_refused_at_once(kernel: Kernel) -> None:
    assert click(kernel, "log_in") == ["in_a_callback"]


def test_a_callback_that_writes_into_an_output_widget_can_show_it(kernel: Kernel) -> None:
    assert click(kernel, "in_output") == [None]


def test_what_interact_calls_can_show_it(kernel: Kernel) -> None:
    made = kernel.run(
        "def changed(x): seen.append(nbauth.api.the_session().screen.obstacle())\n"
        "w = ipywidgets.interactive(changed, x=(0, 5)); display(w)\n"
        "print(w.children[0].comm.comm_id)"
    )
    before = len(seen(kernel))
    update = {"method": "update", "state": {"value": 4}, "buffer_paths": []}
    kernel.send_comm("comm_msg", made.text.split()[-1], update)
    wait_for(lambda: len(seen(kernel)) > before, 20)
    assert set(seen(kernel)) == {None}


def test_with_text_alone_redirected_the_panel_is_shown(kernel: Kernel) -> None:
    result = kernel.run(
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try: nbauth.login(timeout=0.5)\n"
        "    except nbauth.NbAuthError as error: seen.append(error.code)"
    )
    assert any("nbauth sign-in panel" in shown["text/plain"] for shown in result.data)
    assert seen(kernel) == ["timeout"]


def test_the_setting_lets_an_unattended_request_ask(kernel: Kernel) -> None:
    cell = "try: nbauth.login(timeout=0.5)\nexcept nbauth.NbAuthError as e: seen.append(e.code)"
    kernel.run(cell, allow_stdin=False)
    kernel.run("%config NbAuth.attended = True")
    kernel.run(cell, allow_stdin=False)
    assert seen(kernel) == ["nobody_there", "timeout"]


def test_a_cell_that_joins_where_nothing_can_be_shown_says_what_it_waits_for(
    kernel: Kernel,
) -> None:
    kernel.run("pending = nbauth.login(background=True)")
    for cell in (
        "%login --timeout 1",
        "await nbauth.login_async(timeout=1)",
        "with capture_output() as captured:\n"
        "    try: nbauth.login(timeout=1)\n"
        "    except nbauth.NbAuthError: pass\n"
        "print(captured.stdout)",
    ):
        kernel.run(f"%config NbAuth.attended = {'capture' in cell}")
        result = kernel.run(cell)
        assert result.text.count("This cell waits for a sign-in that began elsewhere") == 1
        assert not [shown for shown in result.data if "panel" in shown["text/plain"]]
    kernel.run("%config NbAuth.attended = None")
    thread = "t = threading.Thread(target=log_in, args=[1]); t.start(); t.join(1)"
    assert kernel.run(thread).text == "", "a thread stops no cell"
    kernel.run("pending.cancel(); t.join()")


def test_a_panel_that_was_closed_is_shown_anew(kernel: Kernel) -> None:
    result = kernel.run(
        "threading.Timer(0.5, ipywidgets.Widget.close_all).start()\n%login --timeout 2"
    )
    views = [one.get("application/vnd.jupyter.widget-view+json") for one in result.data]
    assert len({view["model_id"] for view in views if view}) == 2
