"""One action on stored sign-ins in a restricted process: prints the error that it raised.

``python -m tests.faults.apart ACT FOLDER LIMIT USER``: with files of at most LIMIT bytes and as
USER, a number; ``-`` for no limit, and for who started it. Becomes that user once all is imported.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from nbauth.core.errors import PersistenceError
from nbauth.testing.persistence import ADA
from tests.harness.kernels import ROOT
from tests.persistence.stored import Stored

OLD, NEW = b"old", b"new" * 1000


def apart(act: str, folder: Path, limit: int | None = None, user: int | None = None) -> str:
    """The error that it raised there, or ``""``."""
    given = [act, str(folder), *("-" if one is None else str(one) for one in (limit, user))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.apart", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def main(act: str, folder: str, limit: str, user: str) -> None:
    """See the module."""
    with tempfile.TemporaryDirectory() as elsewhere:  # imports what another user may not be able to
        Stored(Path(elsewhere)).save(ADA, NEW)
    kernel = Stored(Path(folder))
    if limit != "-":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    if user != "-":
        os.setgroups([])
        os.setgid(int(user))
        os.setuid(int(user))
    try:
        if act == "load":
            assert kernel.load(ADA) == OLD
        elif act == "open":
            kernel.open()
        else:
            kernel.save(ADA, {"save old": OLD, "save new": NEW}[act])
    except PersistenceError as error:
        print(f"{error.code}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
