"""The ``nbauth`` command as another user: ``python -m tests.as_user NUMBER COMMAND…``.

It first runs the commands, as the current user, to import what the other user may not be able to
read. Each of them is the arguments of ``nbauth`` as JSON.

Each line of its input is a command as JSON, ``[arguments, environment]``. The command runs in a
fork of its own as the other user, who is in no password database. The answer is a line of JSON:
exit code, output and error output.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pkgutil
import sys
import tempfile
from typing import IO

import nbauth
from nbauth import process_session
from nbauth.cli import main


def warm_up(arguments: list[str]) -> None:
    """Import all that a command may need, and run one without leaving anything behind.

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


def become(user: int, environment: dict[str, str], out: int, errors: int) -> None:
    """Make this fork a process of the other user, with streams and an environment of its own."""
    for number, stream in enumerate((os.open(os.devnull, os.O_RDONLY), out, errors)):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(environment)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def written(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def serve(user: int) -> list[str]:
    """Answer each line of the input. Returns in each fork, with the arguments of its command."""
    for line in sys.stdin:
        arguments, environment = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            child = os.fork()
            if child == 0:
                become(user, environment, out.fileno(), errors.fileno())
                return list(arguments)
            _, status = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(status)
            print(json.dumps([code, written(out), written(errors)]), flush=True)
    return []


if __name__ == "__main__":
    for line in sys.argv[2:]:
        warm_up(json.loads(line))
    if command := serve(int(sys.argv[1])):
        raise SystemExit(main(command))
