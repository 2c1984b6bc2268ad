"""``%%auth`` in real kernels, against the demo's Graph: 200 with a token, 401 without one."""

from __future__ import annotations

import re

import pytest

from tests.harness.kernels import KERNEL_VERSIONS, CellResult, Kernel
from tests.kernels.conftest import environment, wait_for

PREPARE = """
import asyncio, os, signal, ssl, threading, time
import httpx, requests
url, ca = os.environ["NBAUTH_DEMO_GRAPH_URL"] + "/me", os.environ["NBAUTH_VERIFY"]
trusting = ssl.create_default_context(cafile=ca)
own = requests.Session.send, httpx.AsyncClient.send, threading.Thread.start
def status():
    return requests.get(url, verify=ca).status_code
async def status_async():
    async with httpx.AsyncClient(verify=trusting) as client:
        return (await client.get(url)).status_code
def is_clean():
    there = requests.Session.send, httpx.AsyncClient.send, threading.Thread.start
    return there == own and status() == 401
"""


@pytest.fixture(scope="module", params=KERNEL_VERSIONS)
def prepared(request, demo):
    with Kernel(request.param, env=environment(demo), allow_stdin=True) as running:
        loaded = running.run("%load_ext nbauth" + PREPARE)
        assert loaded.status == "ok", loaded.traceback
        yield running


@pytest.fixture
def kernel(prepared, willing_person):
    signed_in = prepared.run("account = %login --flow device --quiet")
    assert signed_in.status == "ok", signed_in.traceback
    yield prepared
    assert prepared.run("is_clean()").result == "True"


def test_the_last_value_and_what_is_printed_are_those_of_the_cell(kernel):
    result = kernel.run("%%auth\nprint('first')\nstatus()")
    assert (result.status, result.text, result.result) == ("ok", "first\n", "200")
    assert kernel.run("%%auth\nx = status()").result == ""
    assert kernel.run("x").result == "200"


def test_await_tasks_and_threads(kernel):
    cell = """%%auth User.Read
found = [await status_async(), status(), await asyncio.to_thread(status)]
found += await asyncio.gather(status_async(), status_async())
found.append(await asyncio.get_running_loop().run_in_executor(None, status))
thread = threading.Thread(target=lambda: found.append(status()))
thread.start()
thread.join()
found"""
    assert kernel.run(cell).result == str([200] * 7)
    assert kernel.run(cell.replace("%%auth User.Read", "")).result == str([401] * 7)


def test_tasks_and_threads_that_go_on_get_no_token(kernel):
    begun = kernel.run("""%%auth --quiet
go, late, done = threading.Event(), [], threading.Event()
async def wait_and_ask():
    while not go.is_set():
        await asyncio.sleep(0.01)
    late.append(await status_async())
    done.set()
task = asyncio.create_task(wait_and_ask())
thread = threading.Thread(target=lambda: (go.wait(20), late.append(status())))
thread.start()
await asyncio.sleep(0)""")
    assert begun.status == "ok", begun.traceback
    result = kernel.run("%%auth\ngo.set()\nawait task\nthread.join()\nprint(late, status())")
    assert result.text == "[401, 401] 200\n", result.traceback


def test_an_error_stops_the_queue_and_is_shown_once_with_its_line(kernel):
    cells = ["%%auth --quiet\nstatus()\n\n1 / 0", "'next'"]
    idents = [kernel.send(cell) for cell in cells]
    failed, following = kernel.wait(*idents).values()
    shown = re.sub(r"\x1b\[[0-9;]*m", "", failed.traceback)
    assert failed.error == "ZeroDivisionError: division by zero"
    assert shown.count("Traceback") == 1
    assert "----> 4 1 / 0" in shown
    assert "nbauth" not in shown
    assert following.status == "aborted"


@pytest.mark.parametrize("loop", ["time.sleep(0.01)", "await asyncio.sleep(0.01)"])
def test_an_interrupt_ends_it(kernel, loop):
    ident = kernel.send(f"%%auth\nprint(status())\nwhile True:\n    {loop}")
    wait_for(lambda: "200" in kernel.wait(ident, timeout=0)[ident].text)
    kernel.interrupt()
    result = kernel.wait(ident)[ident]
    assert result.status == "error"
    assert re.match("KeyboardInterrupt|CancelledError", result.error)


def test_a_wrong_line_does_not_run_the_body_and_stops_the_queue(kernel):
    cells = ("import time; time.sleep(1)", "%%auth --hots x\nprint('body')", "'next'")
    _, failed, following = kernel.wait(*map(kernel.send, cells)).values()
    assert failed.error.startswith("UsageError: %%auth has no option --hots.")
    assert "body" not in failed.text
    assert following.status == "aborted"
    assert "--host" in kernel.run("%%auth --help").text
    assert "cell body is empty" in kernel.run("%%auth").error


def test_silent_cells_and_system_exit(kernel):
    kernel.run("%%auth\nsilent = status()", silent=True)
    assert kernel.run("silent").result == "200"
    kernel.run("%%auth\ncode = status()\nraise SystemExit", silent=False)
    assert kernel.run("code").result == "200"


def test_the_input_is_shown_as_that_of_other_magics(kernel):
    kernel.run("%%auth --quiet\nstatus()")
    assert "run_cell_magic('auth', '--quiet', None)" in kernel.run("In[-2]").result
    assert "%%auth --quiet\nstatus()\n" in kernel.run("%history -l 3").text


def in_subshell(kernel: Kernel, subshell: str, code: str) -> str:
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {},
               "allow_stdin": False, "stop_on_error": True}  # fmt: skip
    message = kernel.client.session.msg("execute_request", content)
    message["header"]["subshell_id"] = subshell
    kernel._results[message["header"]["msg_id"]] = CellResult()
    kernel.client.shell_channel.send(message)
    return message["header"]["msg_id"]


def test_two_cells_at_once_in_subshells(kernel):
    if kernel.version == "6.29":
        return  # it has no subshells
    kernel.client.control_channel.send(kernel.client.session.msg("create_subshell_request", {}))
    subshell = kernel.client.get_control_msg(timeout=20)["content"]["subshell_id"]
    kernel.run("inside, outside = threading.Event(), threading.Event()")
    first = kernel.send("%%auth --quiet\ninside.set()\noutside.wait(20)\nprint(status())")
    second = in_subshell(kernel, subshell, "inside.wait(20)\nprint(status())\noutside.set()")
    results = kernel.wait(first, second)
    assert (results[first].text, results[second].text) == ("200\n", "401\n")
    kernel.run("inside, outside = threading.Event(), threading.Event()")
    third = in_subshell(
        kernel, subshell, "%%auth --quiet\ninside.set()\noutside.wait(20)\nprint(status())"
    )
    fourth = kernel.send("%%auth --quiet\ninside.wait(20)\nprint(status())\noutside.set()")
    results = kernel.wait(third, fourth)
    assert (results[third].text, results[fourth].text) == ("200\n", "200\n")
