"""A demo provider whose device codes are approved over HTTP as soon as they exist."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from nbauth.demo.launcher import Demo, start
from nbauth.demo.tour import approve


@pytest.fixture(scope="package")
def demo() -> Iterator[Demo]:
    """The embedded provider and Graph, with tokens of an hour."""
    with start() as running:
        yield running


@pytest.fixture
def willing_person(demo: Demo) -> Iterator[None]:
    """Approves every device code while the test runs."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            for device in demo.provider.store.pending_devices():
                with contextlib.suppress(Exception):  # it may have been cancelled meanwhile
                    approve(demo, device)

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    stop.set()
    thread.join(10)


def environment(demo: Demo, **more: str) -> dict[str, str]:
    """The environment that the demo sets for its kernels."""
    return {**demo.environment(), **more}


def wait_for(condition: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.02)
