"""The thread that handles a comm's message; nbauth's package does not hide ipykernel."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

from nbauth.jupyter.ipykernel.comms import answer_in_named_subshell

NAMES = """
import nbauth.jupyter.ipykernel.waiting, nbauth.extension
import ipykernel
print(ipykernel.__version__, nbauth.jupyter.ipykernel is ipykernel)
"""


def test_the_subshell_that_the_front_end_names_is_used():
    comm = SimpleNamespace(_reply_subshell_for=lambda data, default: "the busy one")
    answer_in_named_subshell(comm)
    assert comm._reply_subshell_for({}, "named") == "named"


def test_a_comm_without_the_private_method_is_unchanged():
    comm = SimpleNamespace(comm_id="c")
    answer_in_named_subshell(comm)
    assert vars(comm) == {"comm_id": "c"}


def test_import_ipykernel_imports_the_real_package():
    done = subprocess.run(
        [sys.executable, "-c", NAMES], capture_output=True, text=True, timeout=60, check=True
    )
    version, same = done.stdout.split()
    assert version[0].isdigit()
    assert same == "False"
