"""Azurite, Microsoft's emulator of Azure Storage: its service for blobs, with OAuth.

It checks the form, the times, the issuer and the audience of a token, and requires https. It checks
neither signature nor scope, because it knows no keys of Entra (``--oauth basic``). The SQL drivers
among its dependencies are left out (``overrides`` in ``node/package.json``).
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import missing
from tests.harness.certificates import Certificates

MAIN = Path(__file__).parent / "node/node_modules/azurite/dist/src/blob/main.js"
ACCOUNT = "devstoreaccount1"


@contextmanager
def running_azurite(certificates: Certificates, directory: Path) -> Iterator[str]:
    """Start it, and end it; gives the account's URL. Its log is in ``directory``."""
    node = shutil.which("node")
    if node is None:
        missing("node")
    if not MAIN.is_file():
        missing("azurite: run make setup")
    options = ["--oauth", "basic", "--blobPort", "0", "--skipApiVersionCheck", "--silent"]
    options += ["--cert", str(certificates.cert_file), "--key", str(certificates.key_file)]
    log = directory / "azurite.log"
    with log.open("wb") as log_file:
        process = subprocess.Popen(
            [node, str(MAIN), "--inMemoryPersistence", *options],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
        )
        too_late = threading.Timer(30, process.kill)
        too_late.start()
        try:
            assert process.stdout is not None
            address = next((_address(line) for line in process.stdout if "listens on" in line), "")
            too_late.cancel()
            if not address:
                raise RuntimeError(f"Azurite did not start:\n{log.read_text()[-2000:]}")
            yield f"{address}/{ACCOUNT}"
        finally:
            too_late.cancel()
            process.terminate()
            process.communicate(timeout=10)


def _address(line: str) -> str:
    return line.rpartition(" ")[2].strip()
