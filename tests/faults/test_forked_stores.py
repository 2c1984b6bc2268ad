"""S10: a forked child uses stored sign-ins like any process, whenever its parent forked."""

from __future__ import annotations

import hashlib
import hmac
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jws

from nbauth.core import forks
from nbauth.persistence import persistence_named
from nbauth.testing.persistence import ADA
from tests.faults.conftest import Figure
from tests.faults.forking import PATIENCE, forked
from tests.harness.kernels import ROOT, isolated_environment
from tests.harness.secret_service import running_secret_service
from tests.oauth.test_id_token import GOOD, check, signed

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
KINDS = ["file", "keyring"]
SOON = PATIENCE * 0.8


@pytest.fixture(scope="module")
def environments(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Mapping[str, str]]]:
    with running_secret_service() as service:
        home = tmp_path_factory.mktemp("home")
        yield {"keyring": service.environment, "file": isolated_environment(home)}


Environments = dict[str, Mapping[str, str]]


@pytest.mark.timing
@pytest.mark.parametrize("kind", KINDS)
def test_while_another_thread_refreshes(
    kind: str, environments: Environments, tmp_path: Path, figure: Figure
) -> None:
    told = forked("another_thread_refreshes", kind, tmp_path, environments[kind])
    assert told["out"] == ["busy", "busy"], "each waited for the parent, and used all else"
    assert told["waited"] < SOON, "children that live on keep nobody out"
    figure("S10", "fork while refreshing", "child lives on", "kept out, and keeps nobody out")


@pytest.mark.timing
@pytest.mark.parametrize("kind", KINDS)
def test_within_the_refresh_itself(kind: str, environments: Environments, tmp_path: Path) -> None:
    told = forked("the_same_thread_refreshes", kind, tmp_path, environments[kind])
    assert told["left"] == "left"
    assert told["out"] == "busy", "the parent was in still"
    assert told["waited"] < SOON


@pytest.mark.timing
@pytest.mark.parametrize("kind", KINDS)
def test_a_child_does_not_keep_the_lock_of_a_killed_parent(
    kind: str, environments: Environments, tmp_path: Path
) -> None:
    assert forked("the_holder_is_killed", kind, tmp_path, environments[kind])["waited"] < SOON


@pytest.mark.timing
def test_while_another_thread_asks_for_a_passphrase(
    environments: Environments, tmp_path: Path
) -> None:
    told = forked("another_thread_is_asked", "file", tmp_path, environments["file"])
    for found, waited in told["answers"]:
        assert found in {"data", "the child's"}
        assert waited < SOON


@pytest.mark.parametrize("kind", KINDS)
def test_while_another_thread_opens(
    kind: str, environments: Environments, tmp_path: Path, figure: Figure
) -> None:
    told = forked("another_thread_opens", kind, tmp_path, environments[kind])
    assert told["answers"] == [["", True]] * len(told["answers"])
    figure("S10", "fork while opening", f"{len(told['answers'])} moments", "each child opens")


def test_no_socket_of_the_parent_is_used(environments: Environments, tmp_path: Path) -> None:
    told = forked("sockets_are_closed", "keyring", tmp_path, environments["keyring"])
    assert told["answer"] == ["data", True, True, True]


def test_a_library_that_does_not_survive_a_fork(environments: Environments, tmp_path: Path) -> None:
    told = forked("its_library_does_not_survive", "keyring", tmp_path, environments["keyring"])
    assert told["answer"] == ["data", True]


@pytest.mark.parametrize("kind", KINDS)
def test_by_multiprocessing(kind: str, environments: Environments, tmp_path: Path) -> None:
    told = forked("by_multiprocessing", kind, tmp_path, environments[kind])
    assert told["answers"] == [True] * 6


# ── no_fork ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timing
def test_a_fork_waits_for_an_import_in_another_thread() -> None:
    there = threading.Event()

    def loads() -> None:
        with forks.no_fork():
            there.set()
            time.sleep(0.2)

    thread = threading.Thread(target=loads)
    thread.start()
    assert there.wait(5)
    assert _seconds_to_fork() > 0.1
    assert not forks._uncut
    with forks.no_fork():
        assert _seconds_to_fork() < 0.1, "a thread does not wait for itself"
    thread.join()


@pytest.mark.timing
def test_a_fork_waits_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_PATIENCE", 0.1)
    monkeypatch.setitem(forks._uncut, object(), -1)
    assert 0.1 <= _seconds_to_fork() < 2


def _seconds_to_fork() -> float:
    began = time.monotonic()
    forks._before_fork()
    try:
        return time.monotonic() - began
    finally:
        forks._after_fork()


FORKS_WHILE_ONE_WOULD_LOAD = """
import os, signal, sys, threading, time
begun = threading.Event()
def somebody_elses():  # registered before nbauth's hook, so it runs after it
    begun.set()
    time.sleep(0.3)
os.register_at_fork(before=somebody_elses)
from nbauth.core.forks import no_fork
sys.path.insert(0, sys.argv[1])
def loads():
    begun.wait()
    with no_fork():
        import loaded_slowly
thread = threading.Thread(target=loads)
thread.start()
pid = os.fork()
if not pid:
    signal.alarm(10)
    with no_fork():
        import loaded_slowly
        os._exit(7 if loaded_slowly.whole else 1)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_no_import_starts_during_a_fork(tmp_path: Path) -> None:
    (tmp_path / "loaded_slowly.py").write_text("import time\ntime.sleep(1)\nwhole = True\n")
    command = [sys.executable, "-W", "ignore", "-c", FORKS_WHILE_ONE_WOULD_LOAD, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_a_fork_waits_for_openssl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uncut: dict[str, set[bool]] = {}

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watching(*given: Any, **options: Any) -> Any:
            uncut.setdefault(name, set()).add(bool(forks._uncut))
            return call(*given, **options)

        return watching

    class Box:
        def __init__(self, key: bytes) -> None:
            box = watched("box", AESGCM)(key)
            self.encrypt = watched("encrypt", box.encrypt)
            self.decrypt = watched("decrypt", box.decrypt)

    monkeypatch.setattr("cryptography.hazmat.primitives.ciphers.aead.AESGCM", Box)
    monkeypatch.setattr("hmac.digest", watched("digest", hmac.digest))
    monkeypatch.setattr("hashlib.scrypt", watched("scrypt", hashlib.scrypt))
    verify = watched("verify", jws.deserialize_compact)
    monkeypatch.setattr("nbauth.oauth.signature.jws.deserialize_compact", verify)

    for _ in range(2):  # the first creates the key, the second opens the existing store
        store = persistence_named("file", folder=tmp_path / "kept", ask=lambda prompt: "horse")
        store.save(ADA, b"data")
        assert store.load(ADA) == b"data"
    assert check(signed(GOOD)) == GOOD
    names = ("box", "encrypt", "decrypt", "digest", "scrypt", "verify")
    assert uncut == {name: {True} for name in names}
