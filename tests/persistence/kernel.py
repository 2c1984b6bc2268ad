"""A process that stores sign-ins, one command for each line; it stands in for a kernel.

``python -m tests.persistence.kernel KIND FOLDER``; see :class:`Kernel` for its client.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from nbauth.core.errors import NbAuthError
from nbauth.persistence import Entry, persistence_named
from tests.harness.kernels import ROOT


class Refused(Exception):
    """The error of the other process: its code, its two lines, and the time it took."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(" ".join(answer["lines"]))
        self.code: str = answer["code"]
        self.seconds: float = answer["seconds"]


class Kernel:
    """The client: sends commands to the process and reads its replies."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seconds = 0.0

    def __call__(self, method: str, *arguments: Any) -> Any:
        """Call a method there. Entries are sent as such, bytes as text."""
        sent = [asdict(one) if isinstance(one, Entry) else one for one in arguments]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([method, *sent]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        self.seconds = answer["seconds"]
        if "lines" in answer:
            raise Refused(answer)
        return answer["gave"]


@contextmanager
def kernel(kind: str, folder: Path, environment: Mapping[str, str]) -> Iterator[Kernel]:
    """A running process; killed at the end."""
    command = [sys.executable, "-m", "tests.persistence.kernel", kind, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, env=dict(environment)
    ) as process:
        try:
            yield Kernel(process)
        finally:
            process.kill()


def _gave(result: Any) -> Any:
    if isinstance(result, bytes):
        return result.decode()
    if isinstance(result, list):
        return [_gave(one) for one in result]
    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else result


def main(kind: str, folder: str) -> None:
    """See the module."""
    persistence = persistence_named(kind, folder=Path(folder))
    for line in sys.stdin:
        method, *sent = json.loads(line)
        arguments = [Entry(**one) if isinstance(one, dict) else one for one in sent]
        if method == "save":
            arguments[1] = arguments[1].encode()
        began = time.monotonic()
        answer: dict[str, Any]
        try:
            member = getattr(persistence, method)
            answer = {"gave": _gave(member(*arguments) if callable(member) else member)}
        except NbAuthError as error:
            answer = {"code": error.code, "lines": error.lines()}
        print(json.dumps({**answer, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
