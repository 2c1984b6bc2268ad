"""Ports of 127.0.0.1 for the servers and kernels of the tests.

Linux assigns ports from 32768 on to connections and to port 0. One of those could be taken before
the intended server listens. These ports are below, and each worker of pytest-xdist has a range of
its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket

LOWEST, HIGHEST, RANGES = 10_000, 32_000, 8


def _own_range() -> range:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    size = (HIGHEST - LOWEST) // RANGES
    start = LOWEST + int(worker) % RANGES * size
    return range(start, start + size)


def _candidates() -> itertools.cycle[int]:
    ports = list(_own_range())
    random.shuffle(ports)  # two runs at once on one machine
    return itertools.cycle(ports)


_ports = _candidates()


def free_port() -> int:
    """A port of 127.0.0.1 that is not in use; it is not returned again for a long time."""
    for port in itertools.islice(_ports, (HIGHEST - LOWEST) // RANGES):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port on 127.0.0.1")
