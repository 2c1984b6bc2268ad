"""The message pump in real kernels: no message lost or reordered, and a fallback without it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from tests.harness.kernels import KERNEL_VERSIONS, Kernel
from tests.kernels.conftest import environment

COMMS = """
import threading, time
from comm import create_comm
from nbauth.jupyter.ipykernel import waiting
ours, theirs = create_comm(target_name="ours"), create_comm(target_name="theirs")
got = {"ours": [], "theirs": []}
ours.on_msg(lambda message: got["ours"].append(message["content"]["data"]["n"]))
theirs.on_msg(lambda message: got["theirs"].append(message["content"]["data"]["n"]))
cells = []
sleep = lambda: time.sleep(15)
kernel = get_ipython().kernel
print(ours.comm_id, theirs.comm_id)
"""
WAIT = """
got["ours"].clear(), got["theirs"].clear(), cells.clear()
ended = threading.Event()
timer = threading.Timer(15.0, ended.set); timer.start()
all_here = lambda: len(got["ours"]) == 60 and ended.set()
waiting.wait(kernel, ended, lambda: {ours.comm_id}, meanwhile=all_here)
timer.cancel()
during = list(got["ours"]), list(got["theirs"])
"""
WAIT_ASYNC = WAIT.replace("waiting.wait(", "await waiting.wait_async(")
WAIT_FOR_STOP = """
print("begun")
waiting.wait(kernel, threading.Event(), lambda: {ours.comm_id}, timeout=20)
"""
WAIT_FOR_STOP_IN_A_TASK = """
async def work():
    waiting.wait(kernel, threading.Event(), lambda: {ours.comm_id}, timeout=20)
print("begun")
await asyncio.gather(work())
"""


@pytest.fixture(scope="module")
def kernels() -> Iterator[Callable[[str], Kernel]]:
    """One kernel of each version: each test makes its own comms. One that is busy is replaced."""
    with contextlib.ExitStack() as stack:
        running: dict[str, Kernel] = {}

        def of(version: str) -> Kernel:
            kernel = running.get(version)
            if kernel is None or kernel.run("%reset -f\n6 * 7", timeout=5).result != "42":
                running[version] = kernel = stack.enter_context(Kernel(version))
            return kernel

        yield of


@pytest.fixture
def kernel(request: pytest.FixtureRequest, kernels: Callable[[str], Kernel]) -> Kernel:
    return kernels(getattr(request, "param", "7.4"))


every_version = pytest.mark.parametrize("kernel", KERNEL_VERSIONS, indirect=True)


def begin(kernel: Kernel, cell: str) -> str:
    """Send the cell and wait until it says that it has begun: an idle kernel ignores SIGINT."""
    ident = kernel.send(cell)
    end = time.monotonic() + 10
    while "begun" not in kernel.wait(ident, timeout=0.02)[ident].text:
        assert time.monotonic() < end, "the cell did not begin"
    return ident


@every_version
@pytest.mark.parametrize("cell", [WAIT, WAIT_ASYNC], ids=["sync", "async"])
def test_bursts_of_messages_and_queued_cells_keep_their_order(kernel, cell):
    ours, theirs = kernel.run(COMMS).text.split()
    for _ in range(3):
        idents = [kernel.send(cell)]
        time.sleep(0.3)
        for number in range(60):
            kernel.send_comm("comm_msg", ours, {"n": number})
            kernel.send_comm("comm_msg", theirs, {"n": number})
            if number % 20 == 0:
                idents.append(kernel.send(f"cells.append({number})"))
        idents.append(kernel.send("print(during[0], '|', got['theirs'], '|', cells)"))
        results = kernel.wait(*idents, timeout=30)
        during, others, cells = results[idents[-1]].text.strip().split(" | ")
        assert during == str(list(range(60))), "our own messages are handled while the cell waits"
        assert others == str(list(range(60))), (
            "others are handled afterwards, complete and in order"
        )
        assert cells == "[0, 20, 40]"


@every_version
def test_interrupts_in_bursts_leave_the_kernel_healthy(kernel):
    ours, _ = kernel.run(COMMS).text.split()
    for _ in range(4):
        ident = begin(kernel, WAIT_FOR_STOP)
        for number in range(30):
            kernel.send_comm("comm_msg", ours, {"n": number})
        queued = kernel.send("queued = True", stop_on_error=False)
        kernel.interrupt()
        results = kernel.wait(ident, queued)
        assert results[ident].error == "KeyboardInterrupt: "
        assert results[queued].status in ("ok", "aborted"), "a queued cell was lost"
    assert kernel.run("print(6 * 7)").text == "42\n"


@every_version
def test_an_interrupt_that_python_would_drop_is_not_lost(kernel):
    """In a destructor no exception can be raised, as in that of a ZMQ frame."""
    ours, _ = kernel.run(COMMS).text.split()
    kernel.run("""
        import signal
        class PressedInMyDestructor:
            def __del__(self):
                signal.raise_signal(signal.SIGINT)
        ours.on_msg(lambda message: PressedInMyDestructor() and None)
    """)
    ident = begin(kernel, WAIT_FOR_STOP)
    kernel.send_comm("comm_msg", ours, {"n": 0})
    assert kernel.wait(ident, timeout=5)[ident].error == "KeyboardInterrupt: "
    assert kernel.run("print(6 * 7)").text == "42\n"


@every_version
def test_stop_reaches_a_plain_wait_in_a_cell_that_awaits(kernel):
    """ipykernel cancels such a cell at its next ``await``, which a plain wait never meets."""
    kernel.run(COMMS + "import asyncio")
    for cell in ("await asyncio.sleep(0)" + WAIT_FOR_STOP, WAIT_FOR_STOP_IN_A_TASK):
        ident = begin(kernel, cell)
        kernel.interrupt()
        assert kernel.wait(ident, timeout=5)[ident].error.startswith("CancelledError")
    assert kernel.run("print(6 * 7)").text == "42\n"


def test_stop_reaches_what_is_done_meanwhile(kernel):
    """Such as asking for an address by the notebook's input field."""
    kernel.run(COMMS)
    ident = begin(kernel, WAIT_FOR_STOP.replace("timeout=", "meanwhile=sleep, timeout="))
    kernel.interrupt()
    assert kernel.wait(ident, timeout=5)[ident].error == "KeyboardInterrupt: "


STORM = """
presses = 0
def own(number, frame):
    global inside, presses
    presses += 1
    if inside:
        inside = False
        raise KeyboardInterrupt
got["ours"].clear(), got["theirs"].clear()
stream = Channels.of(kernel).requests
before = stream._recv_callback, signal.signal(signal.SIGINT, own)
interrupted = False
try:
    inside = True
    print("begun")
    waiting.wait(kernel, threading.Event(), lambda: {ours.comm_id}, timeout=20)
except (KeyboardInterrupt, asyncio.CancelledError):  # a later press finds a handler that returns
    interrupted = True
as_before = stream._recv_callback is before[0] and signal.getsignal(signal.SIGINT) is own
while not all_pressed.exists():  # the next press would interrupt ipykernel, which loses the reply
    time.sleep(0.01)
all_pressed.unlink()
signal.signal(signal.SIGINT, before[1])
"""


@pytest.fixture(params=KERNEL_VERSIONS)
def untouched(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A kernel of the test's own, in which nothing has waited yet."""
    with Kernel(request.param) as own:
        yield own


def test_a_storm_of_presses_ends_the_wait_once_and_the_kernel_reads_on(untouched, tmp_path):
    """The handler lets one through: what more presses do after the wait is ipykernel's affair."""
    kernel = untouched
    ours, theirs = kernel.run(COMMS + "import asyncio, signal").text.split()
    kernel.run("from nbauth.jupyter.ipykernel.channels import Channels")
    all_pressed = tmp_path / "all-pressed"
    kernel.run(f"from pathlib import Path; all_pressed = Path({str(all_pressed)!r})")
    for round_ in range(10):
        ident = begin(kernel, STORM)
        for number in range(40):
            kernel.send_comm("comm_msg", ours, {"n": number})
            kernel.send_comm("comm_msg", theirs, {"n": number})
            if number >= round_:
                kernel.interrupt()
        all_pressed.touch()
        result = kernel.wait(ident)[ident]
        assert result.status == "ok", result.traceback
        assert kernel.run("as_before and interrupted and presses > 0").result == "True"
        received = int(kernel.run("len(got['ours']) + len(got['theirs'])").result)
        assert received >= 79, "more than that of the interrupted handler was lost"


@pytest.mark.parametrize("handler", ["signal.default_int_handler", "signal.SIG_IGN", "own"])
def test_the_handler_of_the_stop_button_comes_back(kernel, handler):
    kernel.run(COMMS + "import signal\ndef own(*_): raise ValueError('own')")
    kernel.run(f"""
        before = signal.signal(signal.SIGINT, {handler})
        waiting.wait(kernel, threading.Event(), lambda: set(), timeout=0.1)
        after = signal.signal(signal.SIGINT, before)
    """)
    assert kernel.run(f"print(after == {handler})").text == "True\n"


@pytest.mark.parametrize("version", KERNEL_VERSIONS)
def test_login_finishes_where_the_private_names_are_gone(version, demo, willing_person):
    with Kernel(version, env=environment(demo), allow_stdin=True) as kernel:
        kernel.run("%load_ext nbauth")
        kernel.run("from nbauth.jupyter.ipykernel.channels import Channels")
        kernel.run("Channels.of = lambda kernel: None")
        result = kernel.run("account = %login --flow device")
        assert result.status == "ok", result.traceback
        assert kernel.run("print(account.username)").text == "ada.demo@demo.example\n"


def test_plain_html_stands_in_for_a_panel_that_nobody_brings_to_life(demo, willing_person):
    """``auto`` with no front end: device code after five seconds, shown as text."""
    with Kernel("7.4", env=environment(demo), allow_stdin=True) as kernel:
        kernel.run("%load_ext nbauth")
        began = time.monotonic()
        result = kernel.run("account = %login")
        assert result.status == "ok", result.traceback
        assert time.monotonic() - began < 20
        shown = " ".join(str(bundle.get("text/html")) for bundle in result.data)
        assert "/device" in shown
