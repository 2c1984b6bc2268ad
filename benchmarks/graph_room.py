"""The server and the clients of P7 and P8; each is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from benchmarks.graph_server import ROOT, Server
from nbauth.demo.servers import Demo
from tests.harness.certificates import make_certificates

Given = tuple[Any, ...]


@dataclass(frozen=True)
class Took:
    """One call's times, and what it gave."""

    seconds: float
    cpu: float
    result: int


class Peer:
    """One client's process."""

    def __init__(self, name: str, facts: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self._name = name
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "benchmarks.graph_peers", name],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask(facts)

    def call(self, what: str, *given: Any) -> Took:
        """One timed call in the process."""
        return Took(**self._ask({"what": what, "given": given}))

    def _ask(self, line: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._name} ended with {self._process.wait(10)}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class Room:
    """The server and its clients; they start when they are first asked for."""

    def __init__(self, demo: Demo, folder: Path, stack: ExitStack) -> None:
        self._stack, self._peers = stack, dict[str, Peer]()
        made = make_certificates(folder)
        bundle = folder / "all.pem"  # the provider's authority and the server's
        bundle.write_text(Path(demo.ca_file).read_text() + made.ca_file.read_text())
        self.server = stack.enter_context(Server(made.cert_file, made.key_file))
        self.facts = {
            **json.loads(demo.as_json()),
            "url": self.server.url,
            "ca_file": str(bundle),
            "token": "t" * 1500,
            "cache": str(folder / "msal.json"),
        }
        host = self.server.url.removeprefix("https://")
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **demo.environment(),
            "NBAUTH_VERIFY": str(bundle),
            "NBAUTH_HOSTS": json.dumps({host: ["User.Read"]}),
            "SSL_CERT_FILE": str(bundle),  # msgraph-sdk's httpx reads it
            "PYTHONWARNINGS": "ignore",
        }

    def call(self, peer: str, what: str, *given: Any) -> Took:
        """One timed call of a client."""
        if peer not in self._peers:
            started = Peer(peer, self.facts, self.environment)
            self._peers[peer] = self._stack.enter_context(started)
        return self._peers[peer].call(what, *given)

    def by_turns(self, turns: int, calls: Mapping[str, Given], expected: int) -> dict[str, Took]:
        """The medians of each call's times; a first round is not timed."""
        seen: dict[str, list[Took]] = {name: [] for name in calls}
        for turn in range(turns + 1):
            for name, (peer, *given) in calls.items():
                took = self.call(peer, *given)
                assert took.result == expected, (name, took)
                if turn:
                    seen[name].append(took)
        return {
            name: Took(median(t.seconds for t in all_), median(t.cpu for t in all_), expected)
            for name, all_ in seen.items()
        }

    def fresh(self, what: str, environment: Mapping[str, str] | None = None) -> dict[str, float]:
        """What one process of ``benchmarks.graph_first`` prints."""
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "benchmarks.graph_first", what, json.dumps(self.facts)],
            cwd=ROOT,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{what}: {done.stderr[-3000:]}")
        shown: dict[str, float] = json.loads(done.stdout)
        return shown


@contextmanager
def room(demo: Demo) -> Iterator[Room]:
    """The server, ended with its clients."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield Room(demo, Path(folder), stack)
