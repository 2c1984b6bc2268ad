"""xeus-python, a kernel that is no ipykernel: ``get_parent`` takes nothing, no message comes in
while a cell runs. Somebody is there all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.harness.kernels import Kernel
from tests.kernels.conftest import environment


@pytest.fixture(scope="module")
def xeus(demo) -> Iterator[Kernel]:
    with Kernel(
        env=environment(demo),
        libraries=("xeus-python",),
        launcher="xpython_launcher",
        allow_stdin=True,
    ) as kernel:
        assert kernel.run("type(get_ipython().kernel).__name__").result == "'XKernel'"
        assert kernel.run("%load_ext nbauth").status == "ok"
        yield kernel


@pytest.fixture(autouse=True)
def nobody(xeus: Kernel) -> None:
    xeus.run("%logout --all --quiet")


@pytest.mark.usefixtures("willing_person")
def test_a_device_code_is_shown_as_html_and_brought_up_to_date(xeus: Kernel) -> None:
    result = xeus.run("%login")
    assert result.error == ""
    shown = [bundle["text/html"] for bundle in result.data if "text/html" in bundle]
    assert any("/device" in card and "Your code" in card for card in shown)
    assert "Signed in" in shown[-1]
    assert "Your code" not in shown[-1].partition("<strong>")[2], "the code is gone at the end"
    assert xeus.run("len(str(%token))").status == "error", "a magic is no expression"
    assert xeus.run("t = %token\nlen(str(t)) > 20").result == "True"


@pytest.mark.usefixtures("willing_person")
def test_one_in_the_background_is_shown_too(xeus: Kernel) -> None:
    result = xeus.run("s = %login --background\ns.wait(20).profile")
    assert result.result == "'default'"
    assert any("Your code" in shown.get("text/html", "") for shown in result.data)


def test_an_address_can_be_pasted(xeus: Kernel) -> None:
    ident = xeus.send("%login --flow paste")
    asked = xeus.client.get_stdin_msg(timeout=30)["content"]
    assert asked["password"] is True
    xeus.client.input("http://localhost/?error=access_denied&state=anothers")
    assert xeus.client.get_stdin_msg(timeout=30)["content"] == asked, "that is no answer to it"
    state = re.search(r"[?&;]state=([^&']+)", cards(xeus, ident, "Open sign-in page")[-1])
    assert state is not None
    xeus.client.input(f"http://localhost/?error=access_denied&state={state[1]}")
    assert xeus.wait(ident)[ident].error.startswith("<class 'nbauth.core.errors.SignInDeclined'>")


def cards(kernel: Kernel, ident: str, text: str) -> list[str]:
    """Those shown so far, once one of them has this text."""
    found: list[str] = []
    while not any(text in card for card in found):
        result = kernel.wait(ident, timeout=0.2)[ident]
        found = [shown["text/html"] for shown in result.data if "text/html" in shown]
    return found


def test_the_callback_is_refused_with_what_to_use(xeus: Kernel) -> None:
    result = xeus.run("%login --flow callback")
    what, hint = result.traceback.splitlines()
    assert "This kernel reads no messages while a cell runs" in what
    assert "--flow device" in hint


HANDLER = """
import ctypes, signal
look = ctypes.pythonapi.PyOS_getsig
look.restype, look.argtypes = ctypes.c_void_p, (ctypes.c_int,)
look(signal.SIGINT), signal.getsignal(signal.SIGINT)
"""


@pytest.mark.parametrize(
    ("cell", "text", "error"),
    [
        ("%login --flow device", "Your code", "the sign-in was cancelled by the interrupt"),
        ("await nbauth.login_async(flow='device')", "Your code", "CancelledError"),
        ("s.wait()", "", "the sign-in continues"),
        ("%login --flow paste", "Open sign-in page", "the sign-in was cancelled by the interrupt"),
        ("%login --persist file", "", "the sign-in was cancelled by the interrupt"),
    ],
)
def test_the_stop_button_ends_the_wait_and_not_the_kernel(
    xeus: Kernel, cell: str, text: str, error: str
) -> None:
    """The kernel's own handler of SIGINT ends the process. It is in place again afterwards."""
    if cell == "s.wait()":
        xeus.run("s = %login --flow device --background")
    own = xeus.run(f"import nbauth\n{HANDLER}").result
    ident = xeus.send(cell)
    if text:
        assert "To cancel, stop the waiting cell" in cards(xeus, ident, text)[-1]
    if "paste" in cell or "persist" in cell:
        assert xeus.client.get_stdin_msg(timeout=30)
    xeus.wait(ident, timeout=0.3)
    xeus.interrupt()
    result = xeus.wait(ident)[ident]
    assert error in f"{result.error} {result.traceback}"
    assert "default_int_handler" in own
    assert xeus.run(HANDLER).result == own


def test_a_request_without_input_has_nobody_behind_it(xeus: Kernel) -> None:
    assert "nobody can answer here." in xeus.run("%login", allow_stdin=False).error


def test_the_panel_is_there_for_between_two_cells(xeus: Kernel) -> None:
    shown = xeus.run("import nbauth\nnbauth.panel()").data[-1]
    assert "application/vnd.jupyter.widget-view+json" in shown


@pytest.mark.usefixtures("willing_person")
def test_a_cell_authorises_its_calls_and_no_others(xeus: Kernel) -> None:
    xeus.run("import os, requests, asyncio")
    xeus.run("url = os.environ['NBAUTH_DEMO_GRAPH_URL'] + '/me'")
    xeus.run("def status():\n    return requests.get(url, verify=os.environ['NBAUTH_VERIFY'])")
    cell = "await asyncio.sleep(0)\nprint(status().status_code, await asyncio.to_thread(status))"
    assert xeus.run("%login --quiet").status == "ok"
    assert xeus.run("own = requests.Session.send\nstatus().status_code").result == "401"
    for end in ("", "\n1 / 0", "\nraise SystemExit"):
        result = xeus.run(f"%%auth --quiet\n{cell}{end}")
        assert result.text.startswith("200 <Response [200]>"), result.traceback
        assert (result.status == "ok") is (end == ""), end
        assert xeus.run("status().status_code, requests.Session.send is own").result == (
            "(401, True)"
        )
    assert "no call of this cell got a token" in xeus.run("%%auth\n1").text
    assert xeus.run("%%auth --quiet\n%unload_ext nbauth").status == "ok"
    assert xeus.run("requests.Session.send is own").result == "True"
    assert xeus.run("%load_ext nbauth\n2").result == "2"
