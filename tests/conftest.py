"""The harness's fixtures for every test, and the distribution of tests among workers.

pytest alone is enough to load this file.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from importlib import metadata
from itertools import chain, zip_longest
from pathlib import Path
from typing import IO, Any

import pytest

with contextlib.suppress(ModuleNotFoundError):  # the times say only how busy the machine is
    import hypothesis

    hypothesis.settings.register_profile(
        "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("untimed")

pytest_plugins = ("tests.harness.fixtures", "tests.harness.kernels", "tests.harness.jupyter")

ONE_WORKER = ("tests/hub/", "tests/server/", "tests/demo/", "tests/adapters/dask/")
"""Folders whose files share servers that are expensive to start; other files are independent."""
LONGEST_FIRST = (
    "tests/hub/",
    "tests/browsers/",
    "tests/rigs/test_jupyterlab.py",
    "tests/end_to_end/",
    "tests/jupyter/panel/",
    "tests/kernels/",
    "tests/rigs/",
    "tests/test_surroundings.py",
    "tests/docs/",
    "tests/adapters/",
    "tests/server/",
    "tests/interop/",
    "tests/faults/",
    "tests/persistence/",
    "tests/contracts/",
)

LAST = ("tests/adapters/data/test_files.py",)
"""Files after which their worker runs no other.

Once Polars has read from a cloud, a thread of its own calls ``getenv`` from time to time. The
process crashes if a test changes the environment at that moment.
"""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Accept the option for pytest-timeout even if that is not installed."""
    if not pluginmanager.has_plugin("timeout"):
        parser.addini("timeout", "seconds a test may take; needs pytest-timeout")


def pytest_configure() -> None:
    """Enable interrupts, here and in child processes.

    A shell starts background jobs with SIGINT ignored, and Python inherits that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in list(os.environ):  # a service identity of the machine is not one of the tests
        if name.startswith(("AZURE_", "AZUREPS_", "IDENTITY_", "IMDS_", "MSI_")):
            del os.environ[name]
    os.environ["AZURE_CONFIG_DIR"] = os.devnull  # nor is a sign-in of the machine's Azure CLI
    metadata.entry_points = _entry_points


_read_entry_points = metadata.entry_points


def _entry_points(**wanted: Any) -> Any:
    """As in ``importlib.metadata``, but the packages are read again only if a folder changed.

    Each sign-out looks for plug-ins, which takes 20 ms in an environment of hundreds of packages.
    """
    return _entry_points_of(tuple((folder, _changed(folder)) for folder in sys.path)).select(
        **wanted
    )


@functools.lru_cache(maxsize=8)
def _entry_points_of(folders: tuple[tuple[str, int], ...]) -> Any:
    return _read_entry_points()


def _changed(folder: str) -> int:
    with contextlib.suppress(OSError):
        return os.stat(folder or ".").st_mtime_ns
    return 0


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage in what stays for the whole run: all modules and all tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need node; with workers, sort the tests."""
    for item in items:
        if "panva_server" in getattr(item, "fixturenames", ()):
            item.add_marker("node")
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = _in_order(items)


def _in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Longest first, alternating tests that use the processor, a browser, or wait."""
    parts: dict[str, list[pytest.Item]] = {}
    for item in sorted(items, key=lambda item: _place(item.nodeid)):
        parts.setdefault(_part(item.nodeid), []).append(item)
    busy = [part for part in parts.values() if any(map(_has_browser, part))]
    others = [part for part in parts.values() if part not in busy]
    turns = chain.from_iterable(zip_longest(busy, others, fillvalue=[]))
    ordered = list(chain.from_iterable(turns))
    return sorted(ordered, key=lambda item: item.nodeid.startswith(LAST))


def _place(nodeid: str) -> int:
    places = (n for n, folder in enumerate(LONGEST_FIRST) if nodeid.startswith(folder))
    return next(places, len(LONGEST_FIRST))


def _part(nodeid: str) -> str:
    """The unit that one worker runs: a file, or a folder."""
    whole = (folder for folder in ONE_WORKER if nodeid.startswith(folder))
    return next(whole, nodeid.partition("::")[0])


@functools.cache
def _uses_browser(part: str) -> bool:
    """As ``_has_browser`` of its tests, but known where the tests are not collected."""
    place = Path(__file__).parents[1] / part
    files = place.glob("test_*.py") if place.is_dir() else [place]
    return any(re.search("mark.browser|foreign.suite", file.read_text("utf-8")) for file in files)


def _has_browser(item: pytest.Item) -> bool:
    return item.get_closest_marker("browser") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """With workers, at most one test for each core uses a browser at the same time."""
    limited = "PYTEST_XDIST_WORKER" in os.environ and _has_browser(item)
    with _one_of(os.cpu_count() or 1) if limited else contextlib.nullcontext():
        return (yield)


@contextlib.contextmanager
def _one_of(seats: int) -> Iterator[None]:
    """Wait until one of the machine's seats for a browser test is free, and take it."""
    with contextlib.ExitStack() as stack:
        path = os.path.join(tempfile.gettempdir(), f"nbauth-tests-{os.getuid()}-browser")
        files = [stack.enter_context(open(f"{path}-{seat}", "w")) for seat in range(seats)]
        while not any(_locked(file) for file in files):
            time.sleep(0.05)
        yield


def _locked(file: IO[str]) -> bool:
    """Lock the file until it is closed, unless another process has it."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """``--dist loadfile``, but the files of some folders together, in the order of the items."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFileOrFolder(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _part(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            """Browsers and JupyterLab run in as many workers as have a seat, not in all."""
            seats = os.cpu_count() or 1
            if len(self.nodes) > seats:
                wanted = node in self.nodes[:seats]
                parts = (part for part in self.workqueue if not part.startswith(LAST))
                part = next((part for part in parts if _uses_browser(part) is wanted), None)
                if part is not None:
                    self.workqueue.move_to_end(part, last=False)
            super()._assign_work_unit(node)

    config.option.loadscopereorder = False
    return ByFileOrFolder(config, log)
