"""What P10 runs in the notebook's process and in the workers: ``python -m benchmarks.on_cluster``.

It prints what it measured as JSON. All processes of the cluster are this process's children.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from distributed import Client, LocalCluster, Variable, get_client

TASKS, EACH, WORKERS = 2000, 0.02, 4
LIFE, MARGIN = 2.0, 0.4
"""Seconds: the lifetime of a token, and how long before its end it is renewed."""
IDLE, WARM = 6.0, 3000
SCOPE = "User.Read"
URL = "https://127.0.0.1:{port}/v1.0/me"

Facts = dict[str, str]
Call = Callable[[], object]


# ── in a worker ─────────────────────────────────────────────────────────────────────────────


def work(_: int, get: Call) -> tuple[int, float, float]:
    """A task: one timed call, and a pause. Returns the process, when it began, and the seconds."""
    at, began = time.time(), time.perf_counter()
    text = get()
    took = time.perf_counter() - began
    assert text
    time.sleep(EACH)
    return os.getpid(), at, took


def warm(get: Call) -> tuple[float, float]:
    """The median and the 99th percentile of calls in one task, in seconds."""
    clock, took = time.perf_counter, []
    get()
    for _ in range(WARM):
        began = clock()
        get()
        took.append(clock() - began)
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


class Signed:
    """Adds a token to one prepared request after the other."""

    def __init__(self, auth: Any, url: str) -> None:
        self._auth = auth
        self._url = url

    def __call__(self) -> object:
        return self._auth(requests.Request("GET", self._url).prepare())

    def bare(self) -> object:
        """The same without a token."""
        return requests.Request("GET", self._url).prepare()


class Credential:
    """Calls a credential."""

    def __init__(self, credential: Any) -> None:
        self._credential = credential

    def __call__(self) -> object:
        return self._credential.get_token(SCOPE)


_held: dict[str, Any] = {"text": "", "until": 0.0}


def hold(text: str, until: float) -> None:
    """Of the peers: take a token."""
    _held.update(text=text, until=until)


def pushed() -> object:
    """Of the peer that pushes: the token that the notebook has sent."""
    return _held["text"]


def from_variable() -> object:
    """Of the peer with a Variable: read it again when the token is due."""
    if time.time() > _held["until"]:
        hold(*Variable("token", client=get_client()).get())
    return _held["text"]


# ── in the notebook's process ───────────────────────────────────────────────────────────────


def ours(client: Client, facts: Facts) -> dict[str, Any]:
    """Sign in, serve the cluster, and measure each kind of reference."""
    import nbauth
    from nbauth.adapters.bearer import token_provider
    from nbauth.adapters.dask import serve
    from tests.kernel.redirects import until

    nbauth.configure(attended=True)
    sign_in = nbauth.login(SCOPE, flow="password", background=True, login_hint=facts["user"])
    assert isinstance(sign_in, nbauth.SignIn)
    until(lambda: getattr(sign_in.step, "attempt", 0) == 1)
    sign_in.enter(facts["user"], facts["password"])
    sign_in.wait(20)
    serving = serve(client)
    found = run(client, token_provider(SCOPE))
    signed = Signed(nbauth.auth(), facts["graph_url"] + "/me")
    kinds = {"provider": token_provider(SCOPE), "credential": Credential(nbauth.credential()),
             "auth": signed, "bare": signed.bare}  # fmt: skip
    found["warm"] = {name: client.submit(warm, get).result() for name, get in kinds.items()}
    serving.close()
    return found


def peer(client: Client, facts: Facts, share: Callable[[str, float], None], get: Call) -> Any:
    """A notebook that shares a new token each time the last one is due, with MSAL."""
    import msal

    app = msal.PublicClientApplication(
        facts["client_id"], authority=facts["authority"], instance_discovery=False,
        verify=facts["ca_file"],
    )  # fmt: skip
    with repeated(lambda first: share(*from_msal(app, first)), LIFE - MARGIN):
        found = run(client, get)
    found["warm"] = {"provider": client.submit(warm, get).result()}
    return found


def from_msal(app: Any, first: bool) -> tuple[str, float]:
    """A new token, and when it is due."""
    scopes = [f"https://graph.microsoft.com/{SCOPE}"]
    if first:
        got = app.acquire_token_by_device_flow(app.initiate_device_flow(scopes))
    else:
        (account,) = app.get_accounts()
        got = app.acquire_token_silent(scopes, account, force_refresh=True)
    return got["access_token"], time.time() + LIFE - MARGIN


def push(client: Client, facts: Facts) -> Any:
    """``client.run`` on a timer."""
    return peer(client, facts, lambda *token: client.run(hold, *token), pushed)


def variable(client: Client, facts: Facts) -> Any:
    """A ``Variable`` that is set on a timer, and read when the last token is due."""
    shared = Variable("token", client=client)
    return peer(client, facts, lambda *token: shared.set(token), from_variable)


@contextmanager
def repeated(act: Callable[[bool], None], seconds: float) -> Iterator[None]:
    """Act now, and again after each of these seconds, until the block ends."""
    act(True)
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            act(False)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def run(client: Client, get: Call) -> dict[str, Any]:
    """The tasks, and then a while without one."""
    began = time.time()
    futures = client.map(work, range(TASKS), get=get, pure=False)
    done = client.gather(futures)
    ended = time.time()
    time.sleep(2 * LIFE)  # what a worker had used is renewed once more
    idle = time.time()
    time.sleep(IDLE)
    return {"began": began, "ended": ended, "calls": done, "idle": [idle, time.time()]}


DESIGNS: dict[str, Callable[[Client, Facts], Any]] = {
    "nbauth": ours, "push": push, "variable": variable
}  # fmt: skip


def main(design: str) -> None:
    """One design, in a cluster of its own."""
    facts = json.loads(sys.stdin.readline())
    options: Any = {"dashboard_address": None, "n_workers": WORKERS, "threads_per_worker": 1}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        client.wait_for_workers(WORKERS)
        print(json.dumps(DESIGNS[design](client, facts)))


if __name__ == "__main__":
    from benchmarks import on_cluster  # cloudpickle would pickle what __main__ defines

    on_cluster.main(*sys.argv[1:])
