"""Kernels that share a stored sign-in: each is a process that requests tokens continuously.

``python -m tests.faults.rotating kernel SCOPE`` asks until its standard input ends;
``… threads SCOPE COUNT CALLS`` lets threads ask so often; ``… msal SCOPE`` is the same kernel with
MSAL and msal-extensions' cache. All print ``ready``, wait for a line, and end with a line of JSON:
the microseconds that each call took, and how many calls failed, by the words they failed with.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAUSE = 0.003  # seconds between two calls: a busy notebook, and no machine at a standstill
PAUSE_OF_THREADS = 0.01
FRESH_TO_MSAL = 300  # seconds: with no more left MSAL refreshes


class Calls:
    """Durations and results of calls."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self.took: list[int] = []
        self.failed: Counter[str] = Counter()

    def make(self, pause: float = PAUSE) -> None:
        """One call, and a pause."""
        began = time.perf_counter()
        try:
            self._call()
        except Exception as error:
            self.failed[f"{type(error).__name__}: {error}"] += 1
        self.took.append(round((time.perf_counter() - began) * 1e6))
        time.sleep(pause)


def nbauth_call(scope: str) -> Callable[[], object]:
    """A call as in a notebook."""
    import nbauth

    return lambda: nbauth.acquire(scope, interactive=False)


def msal_call(scope: str) -> Callable[[], object]:
    """A call as in the samples of MSAL and msal-extensions."""
    application = msal_application()

    def acquire() -> None:
        (account,) = application.get_accounts()
        answer = application.acquire_token_silent_with_error([scope], account=account)
        if not answer or "access_token" not in answer:
            raise LookupError((answer or {}).get("error", "nothing without asking"))

    return acquire


def msal_application() -> Any:
    """Over the file, and at the authority, that the environment names."""
    import msal
    import requests
    from msal_extensions import FilePersistence, PersistedTokenCache

    web = requests.Session()
    web.verify = os.environ["NBAUTH_VERIFY"]
    return msal.PublicClientApplication(
        os.environ["NBAUTH_CLIENT_ID"],
        authority=os.environ["NBAUTH_AUTHORITY"],
        http_client=web,
        instance_discovery=False,
        token_cache=PersistedTokenCache(
            FilePersistence(str(Path(os.environ["XDG_DATA_HOME"]) / "msal.json"))
        ),
    )


def until_told(calls: Calls) -> None:
    """Continue until standard input ends."""
    waiting = threading.Thread(target=sys.stdin.read, daemon=True)
    waiting.start()
    while waiting.is_alive():
        calls.make()


def by_threads(calls: Calls, count: int, each: int) -> None:
    """Let threads make so many calls each."""

    def make() -> None:
        for _ in range(each):
            calls.make(PAUSE_OF_THREADS)

    threads = [threading.Thread(target=make) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(what: str, scope: str, *numbers: str) -> None:
    """See the module."""
    calls = Calls((msal_call if what == "msal" else nbauth_call)(scope))
    calls.make()
    print("ready", flush=True)
    sys.stdin.readline()
    if what == "threads":
        by_threads(calls, *map(int, numbers))
    else:
        until_told(calls)
    print(json.dumps({"took": calls.took, "failed": calls.failed}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
