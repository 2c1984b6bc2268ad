"""The ``nbauth`` command as another user: ``python -m tests.as_user NUMBER ARGUMENT…``.

It first runs as the current user, to import what the other user may not be able to read; then as
that user, who is in no password database.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pkgutil
import sys
import tempfile

import nbauth
from nbauth import process_session
from nbauth.cli import main


def warm_up(arguments: list[str]) -> None:
    """Import all that the command may need, and run it without leaving anything behind.

    The demo's and the server's parts take seconds to import.
    """
    for module in pkgutil.walk_packages(nbauth.__path__, "nbauth."):
        if not module.name.startswith(("nbauth.demo", "nbauth.server", "nbauth.__main__")):
            importlib.import_module(module.name)
    given = dict(os.environ)
    silent = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as elsewhere,
        contextlib.redirect_stdout(silent),
        contextlib.redirect_stderr(silent),
    ):
        os.environ.update(HOME=elsewhere, XDG_CONFIG_HOME=elsewhere, XDG_DATA_HOME=elsewhere)
        main(arguments)
    os.environ.clear()
    os.environ.update(given)
    process_session._session = None


if __name__ == "__main__":
    warm_up(sys.argv[2:])
    user = int(sys.argv[1])
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    raise SystemExit(main(sys.argv[2:]))
