"""A used refresh token is neither sent again nor left in the store for another kernel."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import pytest

from nbauth.core.errors import (
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    PersistenceError,
    TokenError,
)
from nbauth.core.secret import SecretStr
from nbauth.kernel.accounts import unsaved
from nbauth.kernel.session import Session
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import refusal
from tests.kernel.accounts.machine import Machine, live, names
from tests.kernel.accounts.shelf import Handle
from tests.kernel.conftest import Bench, in_a_thread, redirect


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(unsaved, "time", clock)
    return clock


def kept_tokens(machine: Machine) -> set[str]:
    records = [json.loads(data) for _, data in machine.shelf.kept_records.values()]
    return {grant["refresh_token"] for record in records for grant in record["grants"]}


def kept_word(kernel: Session) -> str:
    (record,) = kernel.cache.signed_in.values()
    return record.kept


def not_written(machine: Machine) -> Session:
    """A kernel in which Ada signed in while the disk was full; there is room again."""
    kernel = machine.kernel()
    machine.shelf.full = True
    kernel.login("read", web_ui=redirect)
    kernel.rest()
    machine.shelf.full = False
    return kernel


# ── what could not be written ───────────────────────────────────────────────────────────────


def test_a_repeated_write_does_not_store_a_refresh_token_in_use(
    machine: Machine, now: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is stored yet, so there is no lock that kernels share."""
    kernel = not_written(machine)
    monkeypatch.setattr(Handle, "refreshing", lambda *_: nullcontext())
    save, refreshes = Handle.save, []

    def slow(*given: Any, **options: Any) -> bool:
        if not refreshes:
            refreshes.append(in_a_thread(lambda: kernel.acquire("read", force_refresh=True)))
            refreshes[0][0].join(0.3)
        return save(*given, **options)

    monkeypatch.setattr(Handle, "save", slow)
    now.advance(1)
    kernel._stored._watch.look()
    refreshes[0][0].join(5)
    assert kept_tokens(machine) == live(machine)


def test_a_repeated_write_does_not_wait_for_a_renewal(machine: Machine, now: FakeClock) -> None:
    kernel = not_written(machine)
    gate = machine.engine.hold("refresh")
    refresh, _ = in_a_thread(lambda: kernel.acquire("read", force_refresh=True))
    assert gate.reached.wait(5)
    now.advance(1)
    kernel._stored._watch.look()
    assert machine.shelf.kept_records == {}
    gate.open()
    refresh.join(5)
    assert kept_tokens(machine) == live(machine)


def test_a_sign_out_during_a_failing_save_leaves_nothing_to_write(
    machine: Machine, now: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = machine.signed_in()
    save = Handle.save

    def failing(*_: Any, **__: Any) -> bool:
        monkeypatch.setattr(Handle, "save", save)
        kernel.logout()
        raise PersistenceError("The disk is full.")

    monkeypatch.setattr(Handle, "save", failing)
    with suppress(NbAuthError):
        kernel.acquire("read", force_refresh=True)
    kernel.rest()
    now.advance(60)
    assert kernel._stored._watch.look() is None, "nothing is left to watch"
    machine.signed_in()
    assert names(kernel) == ["ada@example.com"]


@pytest.mark.parametrize("what", ["sign-in", "refresh"])
def test_an_account_that_was_not_written_is_not_shown_as_stored(
    machine: Machine, now: FakeClock, what: str
) -> None:
    kernel = machine.kernel() if what == "sign-in" else machine.signed_in()
    machine.shelf.full = True
    if what == "sign-in":
        kernel.login("read", web_ui=redirect)
    else:
        kernel.acquire("read", force_refresh=True)
    kernel.rest()
    assert kept_word(kernel) == "memory"
    machine.shelf.full = False
    now.advance(1)
    kernel._stored._watch.look()
    assert kept_word(kernel) == "keyring"


# ── forks ───────────────────────────────────────────────────────────────────────────────────


def in_a_child(call: Callable[[], str]) -> str:
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            os.write(writing, call().encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


def test_a_child_does_not_write_its_parents_unsaved_grants(machine: Machine) -> None:
    parent = machine.signed_in()
    machine.shelf.full = True
    parent.acquire("read", force_refresh=True)
    parent.rest()
    machine.shelf.full = False

    def child() -> str:
        parent.forked()
        try:
            parent.acquire("read", force_refresh=True, interactive=False)
        except TokenError as error:
            before = error.code
        newer = json.dumps({**record, "grants": [{**grant, "refresh_token": "refresh-ada-2"}]})
        Handle(machine.shelf, "keyring").save(entry, newer.encode())  # as the parent does
        parent.acquire("read", force_refresh=True, interactive=False)
        return f"{before} {machine.engine.reused}"

    ((entry, (_, data)),) = machine.shelf.kept_records.items()
    record = json.loads(data)
    (grant,) = record["grants"]
    assert live(machine) == {"refresh-ada-2"}
    assert in_a_child(child) == "forked_process []"


def test_a_child_repeats_a_failed_write_at_its_next_call(machine: Machine, now: FakeClock) -> None:
    parent = machine.signed_in()
    parent.rest()

    def child() -> str:
        parent.forked()
        machine.shelf.full = True
        parent.acquire("read", force_refresh=True, interactive=False)
        machine.shelf.full = False
        before = kept_tokens(machine) == live(machine)
        now.advance(1)
        parent.token("read", interactive=False)
        return f"{before} {kept_tokens(machine) == live(machine)}"

    assert in_a_child(child) == "False True"


# ── the store can't be read ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [PersistenceError("Could not look."), OSError("I/O error")])
def test_a_stored_grant_is_not_used_while_the_store_cannot_be_read(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    one, other = machine.signed_in(), machine.kernel()
    one.rest()
    other.acquire("read", force_refresh=True)
    other.rest()

    def fails(*_: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Handle, "stamp", fails)
        machine.clock.advance(3500)
        assert one.acquire("read", interactive=False).source == "cache", "still valid"
        machine.clock.advance(200)
        with pytest.raises(PersistenceError):
            one.acquire("read", interactive=False)
    assert one.acquire("read", interactive=False).source == "refresh"
    assert machine.engine.reused == []


@pytest.mark.parametrize("data", [b'{"form": 2}', None], ids=["newer record", "newer format"])
def test_a_grant_is_not_used_if_another_kernels_record_cannot_be_read(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, data: bytes | None
) -> None:
    one, other = machine.signed_in(), machine.kernel()
    one.rest()
    other.acquire("read", force_refresh=True)
    other.rest()
    monkeypatch.setattr(Handle, "load", lambda *_: data)
    machine.clock.advance(3700)
    with pytest.raises(PersistenceError, match="can't be read here"):
        one.acquire("read", interactive=False)
    assert machine.engine.reused == []


def test_an_unsaved_grant_is_renewed_although_the_store_cannot_be_read(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = machine.kernel()
    machine.shelf.full = True
    kernel.login("read", web_ui=redirect)
    kernel.rest()
    monkeypatch.setattr(Handle, "stamp", lambda *_: 1 / 0)
    assert kernel.acquire("read", force_refresh=True).source == "refresh"
    kernel.rest()


# ── refused responses ───────────────────────────────────────────────────────────────────────


def another_persons(bench: Bench) -> Callable[[], Any]:
    def answer() -> Any:
        given = bench.engine.calls[-1].arguments
        response = bench.engine._refreshed(given["refresh_token"], given["scopes"])
        return replace(response, id_token_claims={**response.id_token_claims, "sub": "eve"})

    return answer


def test_a_grant_that_returns_another_persons_tokens_is_not_used_again(bench: Bench) -> None:
    bench.sign_in("read")
    bench.engine.will("refresh", another_persons(bench))
    with pytest.raises(NbAuthError, match="another person"):
        bench.session.acquire("read", force_refresh=True, interactive=False)
    with pytest.raises(InteractionRequired):
        bench.session.acquire("read", force_refresh=True, interactive=False)
    assert bench.refreshes == 1
    assert bench.engine.reused == []
    assert bench.read("read") == "access-ada-1", "the person's own token is used while it is valid"


@pytest.mark.parametrize("revoke", [True, False])
def test_the_refresh_token_of_a_refused_response_is_revoked_after_a_sign_out(
    bench: Bench, revoke: bool
) -> None:
    bench.sign_in("read")
    answered, go_on = threading.Event(), threading.Event()

    def answer() -> Any:
        given = bench.engine.calls[-1].arguments
        response = bench.engine._refreshed(given["refresh_token"], given["scopes"])
        answered.set()
        go_on.wait(5)
        error = refusal("id_token_expired")
        error.rotated = SecretStr(str(response.refresh_token))
        return error

    bench.engine.will("refresh", answer)
    thread, outcome = in_a_thread(lambda: bench.session.acquire("read", force_refresh=True))
    assert answered.wait(5)
    bench.session.logout(revoke=revoke)
    go_on.set()
    thread.join(5)
    assert isinstance(outcome[0], NotSignedIn)
    assert bench.engine.live == {}


def test_the_refresh_token_of_a_refused_response_is_revoked_after_another_kernels_sign_out(
    machine: Machine,
) -> None:
    one, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    one.rest()

    def answer() -> Any:
        given = machine.engine.calls[-1].arguments
        response = machine.engine._refreshed(given["refresh_token"], given["scopes"])
        other.logout()
        error = refusal("id_token_expired")
        error.rotated = SecretStr(str(response.refresh_token))
        return error

    machine.engine.will("refresh", answer)
    with pytest.raises(NotSignedIn):
        one.acquire("read", force_refresh=True, interactive=False)
    assert live(machine) == set()
    assert names(one) == []


# ── hooks ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scope", ["read", "write"])
def test_a_hook_that_requests_a_token_of_its_account_gets_an_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    kernel = machine.signed_in()
    kernel.rest()
    save, told = Handle.save, []

    def save_with_hook(*given: Any, **options: Any) -> bool:
        saved = save(*given, **options)
        if not told:
            try:
                kernel.acquire(scope, force_refresh=True, interactive=False)
            except NbAuthError as error:
                told.append(error.code)
        return saved

    monkeypatch.setattr(Handle, "save", save_with_hook)
    thread, outcome = in_a_thread(lambda: kernel.acquire("read", force_refresh=True))
    thread.join(5)
    assert not thread.is_alive()
    assert outcome[0].source == "refresh"
    assert told == ["within_itself"]
