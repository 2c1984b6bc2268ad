"""S17: loading the extension and restoring widgets opens nothing, writes nothing, runs nothing."""

from __future__ import annotations

import json
import time

import pytest

from tests.faults.conftest import Figure
from tests.harness.kernels import KERNEL_VERSIONS, Kernel

WATCH = """
import json, os, sys
seen = []
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
def hook(event, args):
    if event == "open":
        path, mode, flags = (*args, None, None, None)[:3]
        if isinstance(flags, int) and flags & WRITES and "/dev/" not in str(path):
            seen.append(f"writes {path}")
    elif event.startswith(("socket.", "subprocess.", "webbrowser.", "os.exec", "os.posix_spawn",
                           "os.system", "os.fork", "os.mkdir", "os.rename", "os.remove",
                           "os.rmdir", "os.link", "os.symlink", "shutil.", "urllib.", "ctypes.")):
        seen.append(event)
sys.addaudithook(hook)
"""
LOOK = "print(json.dumps(seen)); print(sorted(m for m in sys.modules if m in ('msal', 'authlib')))"
HOSTILE = "<img src=x onerror=alert(1)>"
MODELS = [
    {"_model_module": "anywidget", "_model_name": "AnyModel", "_esm": "alert(1)", "step": HOSTILE},
    {"_model_module": "@jupyter-widgets/controls", "_model_name": "HTMLModel", "value": HOSTILE},
    {"authorize_url": "javascript:alert(1)", "__class__": "nbauth.jupyter.panel.panel.SignInPanel"},
]


@pytest.mark.parametrize("version", KERNEL_VERSIONS)
def test_loading_and_restoring_does_nothing(version: str, figure: Figure) -> None:
    with Kernel(version) as kernel:
        kernel.run("import ipywidgets, comm, base64, concurrent.futures")  # of Jupyter, not ours
        assert kernel.run(WATCH).status == "ok"
        assert kernel.run("%load_ext nbauth").status == "ok"
        for number, state in enumerate(MODELS):
            ident = f"restored-{number}"
            kernel.send_comm("comm_open", ident, {"state": state}, target="jupyter.widget")
            kernel.send_comm("comm_msg", ident, {"method": "update", "state": state})
            kernel.send_comm("comm_msg", ident, {"method": "custom", "content": {"kind": "start"}})
        kernel.send_comm("comm_open", "control", {}, target="jupyter.widget.control")
        kernel.send_comm("comm_msg", "control", {"method": "request_states"})
        time.sleep(0.2)
        shown = kernel.run(LOOK).text.splitlines()
        assert json.loads(shown[-2]) == []
        assert shown[-1] == "[]"
        assert kernel.run("from nbauth.api import session_if_made\nsession_if_made()").result == ""
        kernel.run("import socket; socket.socket().close(); open('a file', 'w').close()")
        assert len(json.loads(kernel.run(LOOK).text.splitlines()[-2])) >= 2, "it would be seen"
    what = "loading the extension; widgets restored from an untrusted notebook"
    given = f"{len(MODELS)} forged models in {len(KERNEL_VERSIONS)} kernels"
    figure("S17", what, given, "0 sockets, 0 files, 0 processes, 0 sign-ins")
