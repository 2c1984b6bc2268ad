"""Run as a script: references of every kind on a real Dask cluster.

Its argument is a folder for all that can be read and seen of the cluster; see ``wiretap``. It reads
who signs in, and a text that tasks use without care, as JSON. It prints a report as JSON, and ends
with its input.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cloudpickle
import dask
import dask.bag
import fsspec
import requests
from dask.base import tokenize
from distributed import Client, LocalCluster, Variable, get_worker, performance_report, wait
from fsspec.implementations.memory import MemoryFileSystem

import nbauth
from nbauth.adapters.bearer import token_provider
from nbauth.adapters.dask import serve
from nbauth.core.errors import NbAuthError
from tests.faults.sizes import FULL, size
from tests.faults.wiretap import tap
from tests.kernel.redirects import until

SCOPE, OTHER = "User.Read", "Mail.Read"
WORKERS = size(1, 4)
OTHER_USER: list[str] = []
SETTINGS = {
    "distributed.worker.preload": ["tests.faults.wiretap"],
    "distributed.nanny.preload": ["tests.faults.wiretap"],
    "distributed.worker.memory.target": 1e-9,  # every result goes to the disk
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.deploy.lost-worker-timeout": "120s",  # a busy machine restarts one slowly
}


class CanaryFiles(MemoryFileSystem):  # type: ignore[misc]
    """A file system whose files need a token."""

    protocol = "canary"

    def __init__(self, credential: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.credential = credential

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        assert self.credential.get_token(SCOPE).token
        fs = MemoryFileSystem()
        fs.pipe("/file.txt", b"1\n2\n")
        return fs.open("/file.txt", mode)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": 4, "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:
        return True


# ── tasks ───────────────────────────────────────────────────────────────────────────────────


def address(path: str) -> str:
    return f"{os.environ['NBAUTH_GRAPH_URL']}/v1.0/{path}"


def files(dask_worker: Any = None) -> None:
    fsspec.register_implementation("canary", CanaryFiles, clobber=True)


def used(reference: Any, *_: object, **__: object) -> str:
    """Use a reference; return what is no secret."""
    url = address("me")
    if hasattr(reference, "get_token"):
        return str(len(reference.get_token(SCOPE).token))
    if isinstance(reference, nbauth.Graph):
        return str(reference.get("me")["id"])
    if isinstance(reference, requests.Session):
        return str(reference.get(url).status_code)
    if callable(reference) and not isinstance(reference, requests.auth.AuthBase):
        return str(len(reference()))
    verify = reference.bound.client.settings.verify
    return str(requests.get(url, auth=reference, verify=verify, timeout=10).status_code)


async def used_async(credential: Any) -> int:
    return len((await credential.get_token(SCOPE)).token)


def failing(reference: Any, *_: object) -> None:
    """Fail with the token in a variable of a frame, and in what an error leads to."""
    text = reference.get_token(SCOPE).token
    raise ValueError(f"It failed with {len(text)} characters.")


def refused(session: Any) -> None:
    """Fail as requests does, whose errors have the request with its headers."""
    session.get(address("no-such-thing")).raise_for_status()


def response_of(session: Any) -> Any:
    return session.get(address("me"))


def httpx_response_of(auth: Any) -> Any:
    import httpx

    trusted = ssl.create_default_context(cafile=auth.bound.client.settings.verify)
    with httpx.Client(auth=auth, verify=trusted) as client:
        return client.get(address("me"))


def error_of_nbauth(credential: Any) -> None:
    credential.get_token("No.Such.Scope")


def flaky(reference: Any, marker: str) -> str:
    """Fail at the first attempt, and not at the second."""
    used(reference)
    if not Path(marker).exists():
        Path(marker).touch()
        raise OSError("the first attempt")
    return used(reference)


def crash(reference: Any) -> None:
    """End the process while it asks for tokens."""

    def ask() -> None:
        while True:
            with contextlib.suppress(NbAuthError):
                reference._bound.get(reference._bound.client.scopes((SCOPE,)), "refused")

    for _ in range(4):
        threading.Thread(target=ask, daemon=True).start()
    time.sleep(0.2)
    os._exit(1)


def noted(reference: Any) -> str:
    """Log, and send an event with, what a reference shows."""
    get_worker().log_event("noted", {"repr": repr(reference), "str": str(reference)})
    return repr(reference)


def controlled(control: str) -> None:
    """What a careless task does with a text."""
    import logging

    logging.getLogger("distributed.worker").warning("a task logs %s", control)
    get_worker().log_event("noted", {"careless": control})
    raise ValueError(control)


def kept(text: str) -> str:
    return text * 3


class Counter:
    """An actor."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference

    def use(self) -> str:
        return used(self.reference)


def identity(reference: Any) -> dict[str, str]:
    """What is to be the same wherever a reference is."""
    return {
        "repr": repr(reference),
        "str": str(reference),
        "token": tokenize(reference),
        "pickle": hashlib.sha256(pickle.dumps(reference)).hexdigest(),
        "cloudpickle": hashlib.sha256(cloudpickle.dumps(reference)).hexdigest(),
    }


# ── the notebook ────────────────────────────────────────────────────────────────────────────


def sign_in(user: str, password: str) -> None:
    nbauth.configure(attended=True)
    started = nbauth.login(SCOPE, flow="password", background=True, login_hint=user, persist="file")
    assert isinstance(started, nbauth.SignIn)
    until(lambda: getattr(started.step, "attempt", 0) == 1)
    started.enter(user, password)
    started.wait(20)


def references() -> dict[str, Any]:
    credential = nbauth.credential()
    return {
        "auth": nbauth.auth(),
        "auth, scopes": nbauth.auth(SCOPE),
        "session": nbauth.session(),
        "credential": credential,
        "credential, scopes": nbauth.credential(SCOPE),
        "graph": nbauth.Graph(),
        "token_provider": token_provider(SCOPE),
    }


def others() -> dict[str, Any]:
    """Other accounts, clients, hosts and scopes. Of these, no two are equal."""
    host = nbauth.graph.root.address.partition("//")[2]
    return {
        "auth, hosts": nbauth.auth(hosts={host: [OTHER]}),
        "auth, one host": nbauth.auth(hosts=["api.example"]),
        "session, hosts": nbauth.session(hosts={host: [OTHER]}),
        "provider, scopes": token_provider(OTHER),
        "credential, other scopes": nbauth.credential(OTHER),
        "graph, beta": nbauth.Graph(version="beta"),
        **{f"{name} of the other account": made for name, made in of_other().items()},
        **{f"{name} of the application": made for name, made in of_application().items()},
    }


def of_other() -> dict[str, Any]:
    (who,) = OTHER_USER
    return {"auth": nbauth.auth(account=who), "credential": nbauth.credential(account=who),
            "session": nbauth.session(account=who), "graph": nbauth.Graph(account=who),
            "provider": token_provider(SCOPE, account=who)}  # fmt: skip


def of_application() -> dict[str, Any]:
    return {"auth": nbauth.auth(profile="service"),
            "credential": nbauth.credential(profile="service")}  # fmt: skip


def submitted(client: Client, marker: Path) -> dict[str, Any]:
    """References in each way in which a task can get one."""
    made = references()
    credential, session, auth = made["credential"], made["session"], made["auth"]

    def with_default(_: int, reference: Any = credential) -> str:
        return used(reference)

    with dask.annotate(note=repr(credential), priority=1):
        annotated = dask.delayed(used)(credential, dask_key_name=f"annotated-{marker.name}")
    bag = dask.bag.from_sequence(list(made.values()), npartitions=2).persist()
    published = {"refs": bag, "one": dask.delayed(used)(auth).persist()}
    for name, one in published.items():
        client.publish_dataset(one, name=name, override=True)
    held = client.scatter(auth, hash=False)
    Variable("reference", client=client).set(held)
    calls: dict[str, tuple[Any, ...]] = {
        **{name: (used, one) for name, one in made.items()},
        "credential of the application": (used, of_application()["credential"]),
        "credential.aio": (used_async, credential.aio),
        "closure": (lambda: used(credential),),
        "default": (with_default, 1),
        "nested": (lambda given: used(given["a"][0]), {"a": [session]}),
        "scattered": (used, client.scatter(session, hash=False)),
        "of a variable": (lambda: used(of_variable()),),
        "retried": (flaky, credential, str(marker)),
        "noted": (noted, session),
        "failing": (failing, credential),
        "refused": (refused, session),
        "unknown scope": (error_of_nbauth, credential),
        "response": (response_of, session),
        "response of httpx": (httpx_response_of, auth),
    }
    return {
        **{name: client.submit(*call, pure=False, retries=1) for name, call in calls.items()},
        "keyword": client.submit(lambda *, s: used(s), s=session, pure=False),
        "mapped": client.submit(sum, client.map(lambda n, s: len(used(s)), [1, 2], s=session)),
        "annotated": client.compute(annotated),
        "bag": client.compute(bag.map(used)),
        "storage_options": client.compute(lines(credential)),
        **({"dataframe": client.compute(frame(credential))} if FULL else {}),
        "held": held,
    }


def of_variable() -> Any:
    return Variable("reference", client=get_worker()._get_client()).get().result()


def frame(credential: Any) -> Any:
    import dask.dataframe

    options = {"credential": credential}
    return dask.dataframe.read_csv("canary://file.txt", storage_options=options)["1"].sum()


def lines(credential: Any) -> Any:
    """A collection whose files are opened in the workers."""
    options = {"credential": credential}
    return dask.bag.read_text("canary://file.txt", storage_options=options).map(int).sum()


def outcome(future: Any) -> str:
    try:
        return str(future.result(timeout=60))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


# ── what can be seen of the cluster ─────────────────────────────────────────────────────────


class Seen:
    """Files with all that Dask tells, one for each way to ask.

    Args:
        folder: for the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, find: Callable[[], Any]) -> None:
        """What is found as text, and as it is pickled."""
        found = find()
        text = found if isinstance(found, str) else repr(found)
        (self._folder / name).write_text(text, "utf-8", "surrogateescape")
        with contextlib.suppress(TypeError):  # it has a lock or a connection
            (self._folder / f"{name}.pickle").write_bytes(cloudpickle.dumps(found))

    def of_scheduler(self, scheduler: Any) -> None:
        """What it holds: the graph first."""
        tasks = list(scheduler.tasks.values())
        self.write("graph", lambda: [(t.key, t.run_spec, t.annotations, t.metadata) for t in tasks])
        self.write("errors-there", lambda: [(t.exception, t.traceback) for t in tasks])
        self.write("error-texts", lambda: [(t.exception_text, t.traceback_text) for t in tasks])
        self.write("extensions", lambda: [vars(one) for one in scheduler.extensions.values()])
        self.write("plugins", lambda: [vars(one) for one in scheduler.plugins.values()])
        self.write("metadata", lambda: scheduler.task_metadata)

    def of_client(self, client: Client, futures: Mapping[str, Any]) -> None:
        """What every client can ask for."""
        client.dump_cluster_state(str(self._folder / "state"), format="yaml")
        state = client.run_on_scheduler
        self.write("scheduler", lambda: state(lambda dask_scheduler: dask_scheduler._to_dict()))
        self.write("workers", lambda: client.run(lambda dask_worker: dask_worker._to_dict()))
        self.write("info", client.scheduler_info)
        self.write("events", client.get_events)
        self.write("topics", lambda: [client.get_events(topic) for topic in client.get_events()])
        self.write("logs", lambda: [client.get_scheduler_logs(), client.get_worker_logs()])
        self.write("logs of nannies", lambda: client.get_worker_logs(nanny=True))
        self.write("profile", lambda: [client.profile(), client.profile(scheduler=True)])
        self.write("profile of servers", lambda: client.profile(server=True))
        self.write("stacks", client.call_stack)
        self.write("stream", client.get_task_stream)
        self.write("stories", lambda: [client.story(one.key) for one in futures.values()])
        self.write("places", lambda: [client.processing(), client.has_what(), client.who_has()])
        failed = [one for one in futures.values() if one.status == "error"]
        self.write("errors", lambda: [(one.exception(), one.traceback()) for one in failed])
        self.write("versions", client.get_versions)

    def of_pages(self, scheduler: Any, key: str) -> None:
        """The pages of the HTTP server, whether or not bokeh draws the dashboard."""
        names = ["metrics", "info/main/workers.html", "info/logs.html", "json/identity.json",
                 "api/v1", f"info/task/{key}.html", f"info/call-stack/{key}.html"]  # fmt: skip
        for worker in scheduler.workers:
            names += [f"info/worker/{quote(worker, safe='')}.html",
                      f"info/logs/{quote(worker, safe='')}.html"]  # fmt: skip
        for number, name in enumerate(names):
            url = f"http://127.0.0.1:{scheduler.http_server.port}/{name}"
            page = requests.get(url, timeout=10)
            text = f"{url} {page.status_code}\n{page.text}"
            (self._folder / f"page-{number}").write_text(text)

    def spilled(self, local: Path) -> None:
        """The files that workers have written."""
        found = [one for one in local.rglob("*") if one.is_file()]
        for number, one in enumerate(found):
            (self._folder / f"spilled-{number}").write_bytes(one.read_bytes())


def identities(made: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {name: identity(one) for name, one in made.items()}


def compared(client: Client) -> dict[str, dict[str, dict[str, str]]]:
    """Each reference here, made a second time, pickled and loaded, and in each worker."""
    made = references() | others()
    loaded = {name: pickle.loads(pickle.dumps(one)) for name, one in made.items()}
    here = {"here": made, "again": references() | others(), "loaded": loaded}
    return {name: identities(one) for name, one in here.items()} | client.run(identities, made)


def careless(client: Client, control: str) -> dict[str, Any]:
    """What would be found: a text in an argument, a log, an event, an error and a result."""
    client.publish_dataset(careless=dask.delayed(kept)(control))
    made = {"control": client.submit(controlled, control, pure=False),
            "kept control": client.submit(kept, control, pure=False)}  # fmt: skip
    wait(list(made.values()), 30)
    return made


def rounds(client: Client, here: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The futures and the results of the last round."""
    for number in range(size(1, 3)):
        futures = submitted(client, here / f"flaky-{number}")
        results = {name: outcome(one) for name, one in futures.items()}
        counter = client.submit(Counter, nbauth.credential(), actor=True, pure=False).result()
        results["actor"] = counter.use().result()
        results["crash"] = outcome(client.submit(crash, nbauth.credential(), pure=False))
        client.wait_for_workers(WORKERS, timeout=size(40, 100))
        results["after it"] = outcome(client.submit(used, nbauth.credential(), pure=False))
    return futures, results


def reported(client: Client, file: Path) -> contextlib.AbstractContextManager[Any]:
    """Writes a performance report, which needs bokeh."""
    return performance_report(filename=str(file)) if FULL else contextlib.nullcontext()


def main(folder: str) -> None:
    facts = json.loads(sys.stdin.readline())
    here = Path(folder)
    seen, local = Seen(here / "seen"), here / "local"
    tap(here)
    os.environ["NBAUTH_TEST_TAP"] = folder
    dask.config.set(SETTINGS)
    options: Any = {"n_workers": WORKERS, "threads_per_worker": 2, "memory_limit": "1GiB"}
    options |= {"dashboard_address": "127.0.0.1:0", "silence_logs": False}
    with LocalCluster(local_directory=str(local), **options) as cluster, Client(cluster) as client:
        os.environ |= {
            "NBAUTH_CLIENT_SECRET": facts["secret"],
            "NBAUTH_PASSPHRASE": facts["passphrase"],
        }
        for user in (facts["other"], facts["user"]):
            sign_in(user, facts["password"])
        OTHER_USER.append(facts["other"])
        serve(client)
        files()
        client.register_worker_callbacks(files)
        with reported(client, here / "seen" / "report.html"):
            futures, results = rounds(client, here)
        same = compared(client)
        futures |= careless(client, facts["control"])
        seen.of_scheduler(cluster.scheduler)
        seen.of_client(client, futures)
        seen.of_pages(cluster.scheduler, futures["annotated"].key)
        seen.spilled(local)
        processes = list(client.run(os.getpid).values())
        print(json.dumps({"results": results, "same": same, "processes": processes}), flush=True)
        sys.stdin.readline()  # the workers stay as long as they are looked at


if __name__ == "__main__":
    from tests.faults import on_cluster  # cloudpickle would pickle what __main__ defines

    on_cluster.main(*sys.argv[1:])
