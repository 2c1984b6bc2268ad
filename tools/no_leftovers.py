"""Run a command and fail if a process that it started still runs afterwards (Linux).

Usage: python3 tools/no_leftovers.py SECONDS COMMAND…. Ends as the command does, with 1 for a
process left behind, with 124 if the command took longer than SECONDS, 143 if it was stopped.
Ends only processes that descend from the command.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # orphaned processes become our children, so they are found
_PATIENCE = 10.0  # seconds that a process may take to end after the command


def descendants() -> dict[int, str]:
    """Running descendants of this process: id and command line."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            if state != "Z":
                parents[int(folder.name)] = int(parent)
    found: dict[int, str] = {}
    layer = {os.getpid()}
    while layer:
        layer = {pid for pid, parent in parents.items() if parent in layer}
        for pid in layer:
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                found[pid] = line.replace(b"\0", b" ").decode(errors="replace")[:160]
    return found


def reap() -> None:
    """Collect adopted children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main(limit: float, command: list[str]) -> int:
    """See the module."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a termination of this process ends them all
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        code = child.wait(timeout=limit)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as ended:
        late = isinstance(ended, subprocess.TimeoutExpired)
        print(f"{'not done' if late else 'stopped'}: {' '.join(command)}", file=sys.stderr)
        code = 124 if late else 143
        for pid in descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + _PATIENCE
    while (left := descendants()) and time.monotonic() < end:
        reap()
        time.sleep(0.2)
    for pid, line in left.items():
        print(f"left behind: {pid} {line}", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return code or (1 if left else 0)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
