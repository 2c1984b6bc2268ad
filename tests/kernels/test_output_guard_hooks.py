"""The hooks of the output guard: they leave no trace, and need no private name to load."""

from __future__ import annotations

import pytest

from nbauth.core.secret import MASK
from nbauth.jupyter.guard import NOTICE
from tests.harness.kernels import KERNEL_VERSIONS, Kernel
from tests.kernels.leaks import JWT, SET_UP, Watched

UNLOADED = """
session = get_ipython().kernel.session
print("send" in vars(session), getattr(session.pack, "__self__", None), session.pack.__module__)
"""


@pytest.mark.parametrize("version", KERNEL_VERSIONS)
def test_unloading_leaves_no_trace(version: str) -> None:
    with Kernel(version) as kernel:
        before = kernel.run(UNLOADED).text
        for _ in range(2):
            assert "outgoing" in kernel.run("%load_ext nbauth\n" + UNLOADED).text
            assert kernel.run("%unload_ext nbauth\n" + UNLOADED).text == before


def test_a_wrapper_of_another_extension_stays() -> None:
    with Watched() as kernel:
        kernel.run("%load_ext nbauth")
        kernel.run(SET_UP)
        kernel.run(
            "session = get_ipython().kernel.session\ninner = session.pack, session.send\n"
            "session.pack = lambda part: inner[0](part)\n"
            "session.send = theirs = lambda *a, **o: inner[1](*a, **o)\n"
        )
        assert kernel.run("print(JWT)").text == f"{MASK}\n{NOTICE}"
        kernel.run("%unload_ext nbauth")
        assert kernel.run("session.send is theirs").result == "True"
        assert kernel.run("print(JWT)").text == f"{JWT}\n"


@pytest.mark.parametrize("name", ["iopub_thread", "session", "iopub_socket"])
def test_without_a_name_of_ipykernel_the_extension_still_loads(name: str) -> None:
    with Watched() as kernel:
        hidden = (
            "kernel = get_ipython().kernel\n"
            "class Without(type(kernel)):\n"
            "    def __new__(cls): return object.__new__(cls)\n"
            "    def __init__(self): pass\n"
            "    def __getattribute__(self, name):\n"
            f"        if name == {name!r}: raise AttributeError(name)\n"
            "        return getattr(kernel, name)\n"
            "from nbauth.jupyter.ipykernel.outgoing import guard_output\n"
            "from nbauth.jupyter.guard import Guard\n"
            "from nbauth.api import session_if_made\n"
            "undo = guard_output(Without(), Guard(session_if_made))"
        )
        assert kernel.run(SET_UP).error == ""
        assert kernel.run(hidden).error == ""
        shown = kernel.run("print(JWT)").text
        assert shown.startswith(JWT if name == "session" else MASK)
        assert kernel.run("undo()\nprint(1)").text == "1\n"
