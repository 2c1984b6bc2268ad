"""The pump in real kernels: nothing lost, nothing out of order, and a way out without it."""

from __future__ import annotations

import time

import pytest

from tests.harness.kernels import KERNEL_VERSIONS, Kernel
from tests.kernels.conftest import environment

COMMS = """
import threading
from comm import create_comm
from nbauth.jupyter import waiting
ours, theirs = create_comm(target_name="ours"), create_comm(target_name="theirs")
got = {"ours": [], "theirs": []}
ours.on_msg(lambda message: got["ours"].append(message["content"]["data"]["n"]))
theirs.on_msg(lambda message: got["theirs"].append(message["content"]["data"]["n"]))
cells = []
kernel = get_ipython().kernel
print(ours.comm_id, theirs.comm_id)
"""
WAIT = """
got["ours"].clear(), got["theirs"].clear(), cells.clear()
ended = threading.Event()
timer = threading.Timer(1.0, ended.set); timer.start()
waiting.wait(kernel, ended, lambda: {ours.comm_id})
during = list(got["ours"]), list(got["theirs"])
"""
WAIT_ASYNC = WAIT.replace("waiting.wait(", "await waiting.wait_async(")


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
        assert others == str(list(range(60))), "others come after it, complete and in order"
        assert cells == "[0, 20, 40]"


@pytest.mark.parametrize("version", KERNEL_VERSIONS)
def test_interrupts_in_bursts_leave_the_kernel_healthy(version):
    with Kernel(version) as kernel:
        ours, _ = kernel.run(COMMS).text.split()
        for _ in range(4):
            ident = kernel.send(WAIT)
            time.sleep(0.2)
            for number in range(30):
                kernel.send_comm("comm_msg", ours, {"n": number})
            kernel.interrupt()
            assert kernel.wait(ident)[ident].status == "error"
        assert kernel.run("print(6 * 7)").text == "42\n"


@pytest.mark.parametrize("version", KERNEL_VERSIONS)
def test_login_finishes_where_the_private_names_are_gone(version, demo, willing_person):
    with Kernel(version, env=environment(demo), allow_stdin=True) as kernel:
        kernel.run("%load_ext nbauth")
        kernel.run("from nbauth.jupyter import waiting\nwaiting.shell_stream = lambda kernel: None")
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
        assert time.monotonic() - began < 10
        shown = " ".join(str(bundle.get("text/html")) for bundle in result.data)
        assert "/device" in shown
