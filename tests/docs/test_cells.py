"""Every Python block of the documents is a cell that runs, in the order of its document.

One real kernel runs them all. The demo's provider signs in its first user. Requests to
graph.microsoft.com go to the demo's Graph instead; nothing else is changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from nbauth.demo.servers import start
from nbauth.demo.tour import Approver, Outputs
from tests.docs.blocks import DOCUMENTS, ROOT, Block, of_kind

GRAPH = "graph.microsoft.com"
PRELUDE = "import tests.docs.rerouted\n%load_ext nbauth"
FRESH = """
%logout --all --quiet
%config NbAuth.timeout = None
%reset -f
__spec__ = None
"""
"""Between two documents: nobody is signed in, and no name is left.

``%reset`` also deletes ``__spec__``, without which multiprocessing starts no process.
"""
Run = Callable[[str], Outputs]
WITH_CELLS = [name for name in DOCUMENTS if any(b.document == name for b in of_kind("python"))]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("cells")
    with start() as demo:
        hosts = {
            **json.loads(demo.environment()["NBAUTH_HOSTS"]),
            GRAPH: [f"https://{GRAPH}/.default"],
        }
        environment = {
            **{name: value for name, value in os.environ.items() if name[:7] != "NBAUTH_"},
            **demo.environment(),
            "NBAUTH_FLOW": "device",
            "NBAUTH_HOSTS": json.dumps(hosts),
            "SSL_CERT_FILE": demo.ca_file,
            "REQUESTS_CA_BUNDLE": demo.ca_file,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            **{name: str(folder) for name in ("HOME", "IPYTHONDIR", "XDG_CONFIG_HOME")},
            "JUPYTER_RUNTIME_DIR": str(folder),
            "PYTHONPATH": str(ROOT),
        }
        manager = KernelManager(kernel_name="python3", transport="ipc")
        manager.connection_file = str(Path(demo.folder) / "kernel.json")
        manager.start_kernel(env=environment, cwd=str(folder))
        client = manager.blocking_client()
        approver = Approver(demo)
        try:
            client.start_channels()
            client.wait_for_ready(timeout=60)
            approver.start()

            def run_cell(source: str) -> Outputs:
                outputs = Outputs()
                reply = client.execute_interactive(
                    source,
                    allow_stdin=True,
                    timeout=60,
                    output_hook=outputs.hook,
                    stdin_hook=lambda _: pytest.fail("the cell asked for input"),
                )
                if reply["content"]["status"] != "ok" and not outputs.failure:
                    outputs.failure = str(reply["content"])
                return outputs

            assert not run_cell(PRELUDE).failure
            yield run_cell
        finally:
            if approver.is_alive():
                approver.end()
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


@pytest.mark.parametrize("document", WITH_CELLS)
def test_cells_run(document: str, run: Run) -> None:
    assert not run(FRESH).failure
    cells: list[Block] = [block for block in of_kind("python") if block.document == document]
    for block in cells:
        outputs = run(block.text)
        assert not outputs.failure, f"{block.place}: {outputs.failure}"
        assert "UsageError" not in outputs.everything, f"{block.place}: {outputs.everything}"


def test_a_cell_that_fails_is_noticed(run: Run) -> None:
    for cell in ("%login --no-such-option", "nbauth.no_such_name", "%no_such_magic"):
        assert run(f"import nbauth\n{cell}").failure
