"""A local Microsoft Graph with faults on demand, for tests and benchmarks.

It speaks the part of Graph that nbauth uses, refuses what Graph refuses and records every request.

    graph = FaultyGraph(certificates)
    graph.fail("GET", "/v1.0/users", on=2, answer=replies.throttled(1))
    graph.fail("GET", "/v1.0/users", on=3, answer=changes.self_link)

``answer`` is a response (``tests.harness.graph.replies``: the request has no effect) or a change of
the normal one (``tests.harness.graph.changes``: it has). Members of a batch get faults as well.

``python -m tests.harness.faulty_graph --plain --latency 0.05`` serves until stdin closes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path

from tests.harness.certificates import Certificates, make_certificates
from tests.harness.graph.changes import Change
from tests.harness.graph.faults import Fault, with_faults
from tests.harness.graph.listener import Listener, Recorded
from tests.harness.graph.quota import Quota
from tests.harness.graph.replies import Refused, Reply, refusal, seconds_of
from tests.harness.graph.routes import Routes

UNAUTHORISED = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize",'
    ' client_id="00000003-0000-0000-c000-000000000000"'
)


class FaultyGraph(Routes):
    """Graph on loopback, with two hosts that must never get a token and one for files.

    Attributes:
        graph: the server of Graph; ``root`` is its address, ``requests`` what it got.
        elsewhere: another host.
        insecure: another host, without TLS.
        storage: the host of the pre-authorised addresses.
        members: the members of all batches, as requests.
        early: the requests that came before the end of their ``Retry-After``.
        quota: refuses what exceeds it; None: no limit.
        tokens: the accepted bearer tokens; None: any.
        latency: seconds before each response; a batch takes two of them.
    """

    def __init__(
        self,
        certificates: Certificates | None,
        latency: float = 0.0,
        users: int = 250,
        messages: int = 60,
    ) -> None:
        self._sizes = {"users": users, "messages": messages}
        self._latency = latency
        super().__init__()
        self.graph = Listener(self._graph, certificates)
        self.elsewhere = Listener(self._elsewhere, certificates, "localhost")
        self.insecure = Listener(self._elsewhere, None, "localhost")
        self.storage = Listener(self._storage, certificates, "localhost")
        self._hosts = (self.graph, self.elsewhere, self.insecure, self.storage)
        self.graph.latency = self._wait
        self.storage.latency = lambda _: self.latency
        self.storage.body_limit = self.drive.body_limit
        self.root = self.graph.root
        self.drive.root = self.storage.root
        self.handle_member = self._member
        self.reset()

    def reset(self) -> None:
        """Set data, faults and tokens back, and forget what was recorded."""
        self.faults: list[Fault] = []
        self.tokens: set[str] | None = None
        self.quota: Quota | None = None
        self.latency = self._latency
        self.members: list[Recorded] = []
        self.early: list[Recorded] = []
        self._not_before: dict[tuple[str, bytes], float] = {}
        self.fill(**self._sizes)
        for host in self._hosts:
            host.clear()

    def stop(self) -> None:
        for host in self._hosts:
            host.stop()

    def fail(
        self,
        method: str,
        path: str,
        *,
        on: int | Collection[int] = (),
        answer: Reply | Change,
        each: bool = False,
        when: Callable[[Recorded], bool] = lambda _: True,
    ) -> Fault:
        """Give some requests a wrong response; see ``Fault``. The first matching fault counts."""
        numbers = (on,) if isinstance(on, int) else on
        fault = Fault(method, path, answer, numbers, each, when)
        self.faults.append(fault)
        return fault

    def render(self, *targets: str) -> None:
        """Prepare all pages of some lists."""
        for target in targets:
            left = target
            while left:
                reply = self.answer(Recorded("GET", left.encode(), root=self.root))
                left = reply.data.get("@odata.nextLink", "").removeprefix(self.root)

    @property
    def requests(self) -> list[Recorded]:
        """What Graph got; a batch is one request."""
        return self.graph.requests

    @property
    def errors(self) -> list[Exception]:
        """Failures of this server: a wrong fault of a test, or a mistake here."""
        return [error for host in self._hosts for error in host.errors]

    @property
    def leaks(self) -> list[Recorded]:
        """Requests with a token at a host that must not get one."""
        return [
            request
            for host in (self.elsewhere, self.insecure, self.storage)
            for request in host.requests
            if "authorization" in request.headers or self._has_token(request)
        ]

    def _has_token(self, request: Recorded) -> bool:
        text = request.head + request.body
        return any(token.encode() in text for token in self.tokens or ())

    def _wait(self, request: Recorded) -> float:
        return self.latency * (2 if request.path.endswith("/$batch") else 1)

    def _graph(self, request: Recorded) -> Reply:
        return self._timed(request, lambda: with_faults(self.faults, request, self._authorised))

    def _member(self, request: Recorded) -> Reply:
        self.members.append(request)
        return self._timed(request, lambda: with_faults(self.faults, request, self.answer))

    def _timed(self, request: Recorded, answer: Callable[[], Reply]) -> Reply:
        """The response; a request that came too early after a refusal is noted."""
        key = (request.method, request.target)
        if request.at < self._not_before.pop(key, 0.0):
            self.early.append(request)
        reply = self._within_quota(request, answer)
        seconds = seconds_of(reply, time.time())
        if seconds > 0 and not request.path.endswith("/$batch"):
            self._not_before[key] = request.at + seconds
        return reply

    def _within_quota(self, request: Recorded, answer: Callable[[], Reply]) -> Reply:
        if self.quota is None:
            return answer()
        refused, used = self.quota.spend(request)
        return self.quota.told(answer() if refused is None else refused, used)

    def _authorised(self, request: Recorded) -> Reply:
        token = request.token
        if token is None:
            return Refused(401, WWW_Authenticate=UNAUTHORISED).reply
        if self.tokens is not None and token not in self.tokens:
            message = "Lifetime validation failed, the token is expired."
            return refusal(401, "", message, WWW_Authenticate=UNAUTHORISED)
        return self.answer(request)

    def _elsewhere(self, request: Recorded) -> Reply:
        return with_faults(self.faults, request, lambda _: Reply(200, {"value": [{"id": "evil"}]}))

    def _storage(self, request: Recorded) -> Reply:
        return with_faults(self.faults, request, self.drive.storage)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the local Graph until stdin closes.")
    parser.add_argument("--plain", action="store_true", help="without TLS")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        made = None if options.plain else make_certificates(Path(directory))
        graph = FaultyGraph(made, options.latency, options.users, options.messages)
        graph.render("/v1.0/users", "/v1.0/users?$top=100", "/v1.0/users?$top=999")
        told = {"url": graph.root, "ca_file": str(made.ca_file) if made else None}
        sys.setswitchinterval(0.001)
        print(json.dumps(told), flush=True)
        sys.stdin.buffer.read()
        graph.stop()


if __name__ == "__main__":
    main()
