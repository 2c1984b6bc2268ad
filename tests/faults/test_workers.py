"""S18: what can be read of a Dask cluster whose workers get tokens: traffic, graph, dumps, logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest

from nbauth.demo.contents import GRACE
from nbauth.demo.grants import Grant, GrantStore
from nbauth.demo.servers import start
from nbauth.demo.signing import Signer
from nbauth.demo.token_endpoint import TokenEndpoint
from nbauth.testing.canary import find, make_canary
from tests.faults.conftest import Figure
from tests.faults.sizes import FULL, size
from tests.harness.kernels import ROOT

CONTROL = "a-text-of-a-careless-task"
CONFIG = """
[profiles.service]
flow = "app"
client_secret_from = "environment"
scopes = ["https://graph.microsoft.com/.default"]
"""
FAILING = {
    "failing": "ValueError: It failed with",
    "refused": "HTTPError: 400 Client Error",
    "unknown scope": "ConfigurationError: The provider does not know",
    "crash": "KilledWorker",
}
SHOWS_CONTROL = {
    "graph.pickle", "errors.pickle", "errors-there.pickle", "error-texts", "events", "topics",
    "logs", "scheduler", "workers", "state.yaml", "spilled", "wire", "log", "page",
}  # fmt: skip
"""What would show a token, as it shows the text of a careless task."""


class Issued(NamedTuple):
    """The secrets of a run.

    Attributes:
        tokens: refresh tokens and ID tokens.
        given: what the kernel reads from its environment: a client secret and a passphrase. Every
            process that it starts inherits these.
    """

    access: list[str]
    tokens: list[str]
    given: list[str]


@contextmanager
def recorded(secret: str) -> Iterator[Issued]:
    """All that the provider issues. It also knows an application, and its secret."""
    issued = Issued([], [], [secret])
    access, identity, refresh = Signer.access_token, Signer.id_token, GrantStore.issue_refresh_token
    require, password = TokenEndpoint.require, TokenEndpoint._password

    def keep(where: list[str], make: Any) -> Any:
        def made(*given: Any) -> str:
            where.append(make(*given))
            return where[-1]

        return made

    def required(endpoint: TokenEndpoint, name: str) -> str:
        value = require(endpoint, name)
        return "password" if value == "client_credentials" else value

    def granted(endpoint: TokenEndpoint, client_id: str) -> Grant:
        if endpoint.field("grant_type") == "password":
            return password(endpoint, client_id)
        assert endpoint.field("client_secret") == secret
        return Grant(endpoint.token_request(client_id), GRACE, time.time())

    with (
        mock.patch.object(Signer, "access_token", keep(issued.access, access)),
        mock.patch.object(Signer, "id_token", keep(issued.tokens, identity)),
        mock.patch.object(GrantStore, "issue_refresh_token", keep(issued.tokens, refresh)),
        mock.patch.object(TokenEndpoint, "require", required),
        mock.patch.object(TokenEndpoint, "_password", granted),
    ):
        yield issued


class Ran(NamedTuple):
    """A run of ``on_cluster``."""

    folder: Path
    report: dict[str, Any]
    issued: Issued
    memory: dict[int, list[bytes]]

    def files(self) -> list[Path]:
        """All that was seen: without what the run needs, and what one process has written and
        another one read only once."""
        own = ("local", "home")
        return [
            one
            for one in sorted(self.folder.rglob("*"))
            if one.is_file() and one.relative_to(self.folder).parts[0] not in own
            if one.suffix != ".in"
        ]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("cluster")
    config = folder / "home" / ".config" / "nbauth" / "config.toml"
    for one in (config.parent, folder / "seen"):
        one.mkdir(parents=True)
    config.write_text(CONFIG)
    passphrase, secret = make_canary("passphrase"), make_canary("secret")
    with recorded(secret) as issued, start(access_ttl=size(3600, 30)) as demo:
        issued.given.append(passphrase)
        given = {"user": demo.user, "other": demo.second_user, "password": demo.password}
        given |= {"control": CONTROL, "secret": secret, "passphrase": passphrase}
        hosts = {demo.graph_url.split("/")[2]: ["https://graph.microsoft.com/.default"]}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.on_cluster", str(folder)],
            cwd=ROOT,
            env={
                **demo.environment(),
                "NBAUTH_HOSTS": json.dumps({**hosts, "api.example": ["User.Read"]}),
                "HOME": str(folder / "home"),
                "PATH": os.environ["PATH"],
                "NBAUTH_FAULTS": os.environ.get("NBAUTH_FAULTS", ""),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "errors").open("wb"),
            text=True,
        )
        with ended(process):
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            lines = iter(process.stdout.readline, "")
            report = next((line for line in lines if line.startswith("{")), "")
            assert report, (folder / "errors").read_text()[-3000:]
            found = json.loads(report)
            memory = {one: list(memory_of(one)) for one in found["processes"]} if FULL else {}
            process.stdin.close()
            process.wait(60)
        yield Ran(folder, found, issued, memory)


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill it, if the block leaves it running or takes too long."""
    late = threading.Timer(size(80, 400), process.kill)
    late.start()
    try:
        yield
    finally:
        late.cancel()
        process.kill()
        process.wait(10)


def memory_of(process: int) -> Iterator[bytes]:
    """What a process has in its own memory (Linux)."""
    maps = Path(f"/proc/{process}/maps").read_text().splitlines()
    with open(f"/proc/{process}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            first, last = (int(end, 16) for end in span.split("-"))
            if rights.startswith("rw"):
                with suppress(OSError):  # not mapped any more
                    memory.seek(first)
                    yield memory.read(last - first)


def holding(secrets: list[str], ran: Ran) -> dict[str, list[str]]:
    """The files that contain one of the secrets, and in which forms."""
    found: dict[str, list[str]] = {}
    for file in ran.files():
        data = file.read_bytes()
        forms = [form for secret in secrets for form in find(secret, data)]
        if forms:
            found[file.name] = forms
    return found


def test_each_kind_of_reference_works(ran: Ran) -> None:
    results = ran.report["results"]
    wrong = {
        name: shown
        for name, shown in results.items()
        if ("Error" in shown or "Killed" in shown) and not shown.startswith(FAILING.get(name, "-"))
    }
    assert wrong == {}
    assert FAILING.keys() <= results.keys()


def test_the_scan_would_find_it(ran: Ran) -> None:
    """The text of a careless task is in each kind of file in which a token could be."""
    shown = holding([CONTROL], ran)
    assert {kind for kind in SHOWS_CONTROL if not any(n.startswith(kind) for n in shown)} == set()
    assert any(find(CONTROL, file.read_bytes()) for file in ran.folder.glob("wire-*.out"))


def test_access_tokens_are_in_answers_only(ran: Ran, figure: Figure) -> None:
    """The kernel sends them to the scheduler, and the scheduler to the worker that asked."""
    shown = holding(ran.issued.access, ran)
    assert {name for name in shown if not name.startswith("wire-")} == set()
    assert {name for name in shown if not answers(ran.folder / name)} == set()
    assert len(shown) > 2
    copies = sum(count(ran.folder / name, ran.issued.access) for name in shown)
    traffic = sum(one.stat().st_size for one in ran.folder.glob("wire-*.out"))
    asked = sum(one.read_bytes().count(b"nbauth_ask") for one in ran.folder.glob("wire-*.in"))
    told = sum(one.read_bytes().count(b"nbauth_answer") for one in ran.folder.glob("wire-*.out"))
    assert copies <= asked + told
    kinds, seen = len(ran.report["results"]), len(list((ran.folder / "seen").iterdir()))
    figure(
        "S18",
        "a Dask cluster whose workers get tokens: traffic, graph, dumps, events, logs, reports",
        f"{kinds} kinds of tasks, {size(1, 4)} workers, {traffic / 1e6:.0f} MB of traffic,"
        f" {seen} dumps, {len(ran.issued.access)} access tokens",
        f"access tokens in {copies} answers to workers and nowhere else;"
        " 0 bytes of refresh tokens, ID tokens, the client secret and the passphrase",
    )


def answers(file: Path) -> bool:
    """Whether a connection has carried questions of a worker, or answers of the kernel."""
    other = file.with_suffix(".in")
    asked = other.exists() and b"nbauth_ask" in other.read_bytes()
    return asked or b"nbauth_answer" in file.read_bytes()


def count(file: Path, secrets: list[str]) -> int:
    return sum(file.read_bytes().count(secret.encode()) for secret in secrets)


def test_other_secrets_stay_in_the_kernel(ran: Ran) -> None:
    assert len(ran.issued.tokens) > 3
    assert holding(ran.issued.tokens + ran.issued.given, ran) == {}


@pytest.mark.full_size
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_have_no_other_token_in_their_memory(ran: Ran) -> None:
    everywhere = [part for parts in ran.memory.values() for part in parts]
    assert any(token.encode() in part for part in everywhere for token in ran.issued.access)
    for parts in ran.memory.values():
        held = [one for one in ran.issued.tokens for part in parts if one.encode() in part]
        assert held == []


def test_references_are_the_same_in_each_process(ran: Ran) -> None:
    """Their texts and Dask's tokens. fsspec and Dask recognise equal arguments by these."""
    places = ran.report["same"]
    assert len(places) == 3 + size(1, 4)
    for name, here in places["here"].items():
        for at in places.values():
            assert {key: at[name][key] for key in ("repr", "str", "token")} == {
                key: here[key] for key in ("repr", "str", "token")
            }, name
        assert here["pickle"] == places["again"][name]["pickle"], name


def test_different_references_differ(ran: Ran) -> None:
    """Another account, client, host or scope, or another kind of object."""
    here = ran.report["same"]["here"]
    for key in ("repr", "token", "pickle"):
        assert len({one[key] for one in here.values()}) == len(here), key
