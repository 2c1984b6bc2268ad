"""The keyring in a forked child, where some backends' libraries no longer work.

GLib and libdbus share one connection to the session bus per process, served by a thread. A forked
child inherits the parent's connection but not the thread. Apple's libraries abort in a forked
child. In these cases a new process accesses the keyring, with the same checks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from nbauth.core.errors import PersistenceError
from nbauth.persistence.keyring_backend import Backends, as_persistence_error

_LOADED_IN = os.getpid()
_NOT_AFTER_A_FORK = ("gi", "dbus")
_PATIENCE = 3.0  # seconds


def backends() -> Backends | BackendsElsewhere:
    """Return this process's backends, or a new process's where this one must not use them."""
    if os.getpid() != _LOADED_IN and (
        sys.platform == "darwin" or any(name in sys.modules for name in _NOT_AFTER_A_FORK)
    ):
        return BackendsElsewhere()
    return Backends()


class BackendsElsewhere:
    """As :class:`nbauth.persistence.keyring_backend.Backends`; each call starts a process."""

    def get(self, service: str, username: str) -> str | None:
        """Return the password, or ``None``."""
        found: str | None = _ask("get", service, username)
        return found

    def set(self, service: str, username: str, password: str) -> None:
        """Store it."""
        _ask("set", service, username, password)

    def delete(self, service: str, username: str) -> None:
        """Remove it if it exists."""
        _ask("delete", service, username)


def _ask(*call: str) -> Any:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", __name__],
        input=json.dumps(call),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )
    if done.returncode:
        raise RuntimeError(f"the process that asks the keyring ended with {done.returncode}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "error" in answer:
        raise PersistenceError(answer["error"], code=answer["code"], hint=answer["hint"])
    return answer["gave"]


def main() -> None:
    """Run in the new process: read a call as JSON from stdin, print its result as JSON."""
    method, *arguments = json.load(sys.stdin)
    try:
        answer = {"gave": getattr(Backends(), method)(*arguments)}
    except Exception as failed:
        error = as_persistence_error(failed)
        answer = {"error": str(error), "code": error.code, "hint": error.hint}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
