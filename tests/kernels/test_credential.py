"""``nbauth.credential()`` in a cell while nobody is signed in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbauth.demo.launcher import Demo
from tests.harness.kernels import Kernel
from tests.kernels.conftest import environment

PANEL = "application/vnd.jupyter.widget-view+json"
IN_A_THREAD = """
import asyncio, threading
import azure.identity, nbauth
made, seen = nbauth.credential(), []

def work():
    try:
        made.get_token("User.Read")
    except nbauth.NbAuthError as error:
        seen.append((type(error).__name__, error.code, error.hint))

thread = threading.Thread(target=work)
thread.start()
thread.join()
print(*seen)
"""
ERROR = 'made.get_token("User.Read")'
SYNC = "token = made.get_token('User.Read').token\nprint(len(token) > 20)"
ASYNC = """
async def get():
    return (await made.aio.get_token("User.Read")).token
print(await get() == token, nbauth.run(get()) == token)
made
"""


@pytest.fixture
def kernel(demo: Demo) -> Iterator[Kernel]:
    env = environment(demo, NBAUTH_FLOW="device")
    with Kernel("7.4", env=env, allow_stdin=True) as running:
        assert running.run("%load_ext nbauth").status == "ok"
        yield running


@pytest.mark.usefixtures("willing_person")
@pytest.mark.parametrize("first", [SYNC, "token = (await made.aio.get_token('User.Read')).token"])
def test_the_panel_opens_in_the_main_thread_only(kernel: Kernel, first: str) -> None:
    in_a_thread = kernel.run(IN_A_THREAD)
    assert in_a_thread.text.startswith("('InteractionRequired', 'not_signed_in', ")
    assert "main thread" in in_a_thread.text or "%login" in in_a_thread.text
    assert not any(PANEL in bundle for bundle in in_a_thread.data)
    cell = kernel.run(first)
    assert cell.status == "ok", cell.traceback
    assert sum(PANEL in bundle for bundle in cell.data) == 1
    later = kernel.run(ASYNC)
    assert later.status == "ok", later.traceback
    assert later.text.startswith("True True\n")
    token = kernel.run("print(token)").text.strip()
    outputs = in_a_thread, cell, later
    assert not any(token in f"{one.text}{one.data}" for one in outputs)


def test_an_error_has_two_lines_although_azure_identity_knows_it(kernel: Kernel) -> None:
    assert kernel.run("%config NbAuth.attended = False").status == "ok"
    kernel.run(IN_A_THREAD)
    failed = kernel.run(ERROR)
    assert failed.status == "error"
    assert len(failed.traceback.splitlines()) == 2
    assert failed.error.startswith("InteractionRequired: ")
