"""Records what a process of a Dask cluster sends and logs; a preload of workers and nannies.

The environment variable ``NBAUTH_TEST_TAP`` names the folder. Each connection has a file of what
was written and one of what was read; each process has a log at DEBUG.
"""

from __future__ import annotations

import itertools
import logging
import os
from pathlib import Path
from typing import Any

from tornado.iostream import IOStream

_numbers = itertools.count()


def tap(folder: Path) -> None:
    """Begin; a second call in a process does nothing."""
    if not getattr(IOStream, "tapped", False):
        IOStream.tapped = True
        _record_streams(folder)
        _log_all(folder)


def _record_streams(folder: Path) -> None:
    written, read = IOStream.write_to_fd, IOStream.read_from_fd

    def file_of(stream: Any, way: str) -> Path:
        if not hasattr(stream, "tap"):
            stream.tap = f"{os.getpid()}-{next(_numbers)}"
        return folder / f"wire-{stream.tap}.{way}"

    def write_to_fd(self: Any, data: memoryview) -> int:
        copy = bytes(data)
        count: int = written(self, data)
        with file_of(self, "out").open("ab") as file:
            file.write(copy[:count])
        return count

    def read_from_fd(self: Any, buffer: bytearray | memoryview) -> int | None:
        count: int | None = read(self, buffer)
        if count:
            with file_of(self, "in").open("ab") as file:
                file.write(memoryview(buffer)[:count])
        return count

    IOStream.write_to_fd, IOStream.read_from_fd = write_to_fd, read_from_fd  # type: ignore[assignment, method-assign]


def _log_all(folder: Path) -> None:
    handler = logging.FileHandler(folder / f"log-{os.getpid()}.txt")
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    logging.root.addHandler(handler)
    for name in (None, "distributed", "nbauth", "asyncio", "tornado", "dask"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith("distributed") and isinstance(logger, logging.Logger):
            logger.setLevel(logging.DEBUG)
            if not logger.propagate:
                logger.addHandler(handler)


async def dask_setup(_process: Any) -> None:
    """The process of a worker or nanny begins."""
    tap(Path(os.environ["NBAUTH_TEST_TAP"]))
