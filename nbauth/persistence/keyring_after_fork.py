"""The keyring in a forked child, where the libraries of some backends work no more.

GLib and libdbus keep one connection to the session bus for a process, and a thread that serves it.
A child has the connection, which is the parent's, and not the thread; Apple's libraries end a child
that uses them. There a new process asks the keyring, with the same checks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from nbauth.core.errors import PersistenceError
from nbauth.persistence.keyring_backend import Backends, in_words

_LOADED_IN = os.getpid()
_NOT_AFTER_A_FORK = ("gi", "dbus")
_PATIENCE = 3.0  # seconds


def backends() -> Backends | BackendsElsewhere:
    """Those of this process, or of a new one where this one may not use them."""
    if os.getpid() != _LOADED_IN and (
        sys.platform == "darwin" or any(name in sys.modules for name in _NOT_AFTER_A_FORK)
    ):
        return BackendsElsewhere()
    return Backends()


class BackendsElsewhere:
    """See :class:`nbauth.persistence.keyring_backend.Backends`; each call is a process."""

    def get(self, service: str, username: str) -> str | None:
        """The password, if there is one."""
        found: str | None = _ask("get", service, username)
        return found

    def set(self, service: str, username: str, password: str) -> None:
        """Store it."""
        _ask("set", service, username, password)

    def delete(self, service: str, username: str) -> None:
        """Remove it, if it is there."""
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
    """The new process: a call comes in, as JSON, and what it gave goes out."""
    method, *arguments = json.load(sys.stdin)
    try:
        answer = {"gave": getattr(Backends(), method)(*arguments)}
    except Exception as failed:
        error = in_words(failed)
        answer = {"error": str(error), "code": error.code, "hint": error.hint}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
